"""What the terms of VICReg and Barlow Twins make of two dimensions: their losses as landscapes."""

import torch
from torch import Tensor

from labkit import plot
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory import redundancy

CORRELATION = torch.linspace(0, 0.98, 50, dtype=torch.float64)
STD = torch.linspace(0.02, 1.5, 60, dtype=torch.float64)
AGREEMENT = torch.linspace(0, 1, 101, dtype=torch.float64)


def redundancy_lab() -> Playground:
    """Two dimensions: how far they vary (s), how much they repeat each other (c), how well their views agree (r).

    Dark is low loss; the dot is the lowest. The numbers are those of :mod:`labkit.theory.redundancy`.

    Example:
        >>> labkit.explore.redundancy_lab().set(variance=0.0)    # VICReg falls to a point
    """
    sliders = {
        "agreement": Slider("agreement r", 0.6, 0.0, 1.0, 0.01),
        "invariance": Slider("VICReg: λ", 25.0, 0.0, 50.0, 0.5),
        "variance": Slider("μ", 25.0, 0.0, 50.0, 0.5),
        "covariance": Slider("ν", 1.0, 0.0, 50.0, 0.5),
        "off_diagonal": Slider("Barlow Twins: λ", 0.005, 0.0, 1.0, 0.005),
    }
    return Playground(_panels, sliders, "Two dimensions, three losses")


def _panels(
    agreement: float, invariance: float, variance: float, covariance: float, off_diagonal: float
) -> list[Panel]:
    weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
    of_vicreg = redundancy.vicreg(STD[:, None], CORRELATION, agreement, **weights)
    of_barlow = redundancy.barlow_twins(CORRELATION, agreement, off_diagonal).expand(len(STD), -1)
    settled = redundancy.vicreg_std(AGREEMENT, 0.0, **weights)
    here = float(redundancy.vicreg_std(agreement, 0.0, **weights))
    white = float(redundancy.w_mse(agreement))
    balance = [
        Layer("line", AGREEMENT, settled, plot.COLOURS[0], width=3),
        Layer("points", [agreement], [here], plot.COLOURS[3], width=11),
    ]
    says = f"s = {here:.2f}; W-MSE is {white:.2f} at every s and c"
    axes = {"x_name": "agreement of views, r", "y_name": "standard deviation s", "x_range": (0, 1)}
    return [
        _landscape("VICReg", of_vicreg),
        _landscape("Barlow Twins", of_barlow),
        Panel("Where VICReg's s settles", balance, **axes, y_range=(0, 1.08), says=says),
    ]


def _landscape(name: str, loss: Tensor) -> Panel:
    """Dark where the loss is low; cubed, so that the valley is seen."""
    low, high = loss.min(), loss.max()
    flat = bool(high - low < 1e-9)
    depth = torch.zeros_like(loss) if flat else ((high - loss) / (high - low)).pow(3)
    lowest = (loss <= low + 1e-9 * (high - low)).nonzero()
    s, c = STD[lowest[:, 0]], CORRELATION[lowest[:, 1]]
    at = f"lowest {float(low):.4g} at {_where('c', c, CORRELATION)}, {_where('s', s, STD)}; highest {float(high):.4g}"
    says = "flat: nothing is asked" if flat else at
    layers = [
        Layer("heat", CORRELATION, STD, values=depth),
        Layer("points", c[:: max(1, len(c) // 12)], s[:: max(1, len(s) // 12)], plot.COLOURS[3], width=9),
    ]
    return Panel(name, layers, "correlation of the two, c", "standard deviation s", (0, 0.98), (0.02, 1.5), says)


def _where(name: str, lowest: Tensor, grid: Tensor) -> str:
    """Where along one axis the loss is lowest: one value, a range, or anywhere."""
    first, last = float(lowest.min()), float(lowest.max())
    if first == last:
        return f"{name} = {first:.2f}"
    if first == grid.min() and last == grid.max():
        return f"any {name}"
    return f"{name} ≥ {first:.2f}" if last == grid.max() else f"{name} from {first:.2f} to {last:.2f}"
