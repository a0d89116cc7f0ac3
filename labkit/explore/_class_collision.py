"""The class-collision playground: how many classes, how many negatives, and what the bound still says."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between, require_counts
from labkit.explore._inputs import shades
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory import bounds

_COUNTS = [1, 2, 4, 8, 16, 32, 64]
_EACH, _DRAWS = 40, 1500


@checked(numbers=False)
def class_mixture(
    classes: int, spread: float = 0.3, strength: float = 2.0, each: int = _EACH, seed: int = 0
) -> tuple[Float[Tensor, "items two"], Int64[Tensor, " items"]]:
    """A representation of ``classes`` latent classes: centres evenly on a circle of radius ``strength``, normal spread.

    Args:
        classes: at least 2.
        spread: standard deviation of a class in each of the two dimensions.
        strength: the length of a representation; the loss falls with it as long as classes stay apart.
        each: points of a class, at least 1.
        seed: of the points.
    """
    require_counts(2, classes=classes)
    require_counts(each=each)
    require_between("spread", spread, 0, math.inf)
    require_between("strength", strength, 0, math.inf)
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(classes).repeat_interleave(each)
    angle = 2 * math.pi * y / classes
    z = strength * torch.stack([angle.cos(), angle.sin()], dim=1).double()
    return z + spread * torch.randn(z.shape, generator=generator, dtype=z.dtype), y


@checked(numbers=False)
def collision_curve(
    z: Float[Tensor, "items dim"], y: Int64[Tensor, " items"], draws: int = _DRAWS, seed: int = 0
) -> Float[Tensor, "counts five"]:
    """Rows for k = 1, 2, 4 ... 64: k, τ_k, contrastive loss, loss of the mean classifier, bound (the last three drawn).

    The bound is infinite, and the classifier's loss NaN, where no draw is free of collisions.
    """
    rho, rows = y.bincount() / len(y), []
    for k in _COUNTS:
        found = bounds.sampled_losses(z, y, k, draws, torch.Generator().manual_seed(seed), rho)
        tau = bounds.collision_probability(rho, k)
        bound = bounds.supervised_bound(found.contrastive, rho, k) if tau < 1 - 1e-12 else math.inf
        rows.append([k, tau, found.contrastive, found.supervised, bound])
    return torch.tensor(rows, dtype=torch.float64)


def class_collision_lab() -> Playground:
    """Latent classes on a circle: τ, the contrastive loss, the bound, and the mean classifier's true loss.

    Few classes and many negatives: nearly every draw has a negative of the item's own class, and the bound says nothing
    any more (Arora et al. 2019, sections 4 and 6.1). The numbers: :func:`class_mixture`, :func:`collision_curve`.

    Example:
        >>> labkit.explore.class_collision_lab().set(classes=3, negatives=5)  # 2⁵ negatives
    """
    sliders = {
        "classes": Slider("classes", 6, 2, 20, 1),
        "negatives": Slider("log₂ of the negatives k", 1, 0, 6, 1),
        "spread": Slider("spread within a class", 0.4, 0.0, 2.0, 0.1),
        "strength": Slider("length of a representation", 2.0, 0.5, 5.0, 0.5),
    }
    return Playground(_panels, sliders, "Class collision")


def _panels(classes: int, negatives: int, spread: float, strength: float) -> list[Panel]:
    z, y = class_mixture(classes, spread, strength)
    curve = collision_curve(z, y).numpy()
    k, tau, loss, supervised, bound = curve.T
    at = curve[negatives]
    power = np.log2(k)
    top = max(2.5, 1.3 * float(loss.max()))
    clipped = np.minimum(bound, 20 * top)  # leaves the panel, does not end
    sign = "≈" if abs(at[3] - at[4]) < 0.02 else "≤" if at[3] < at[4] else ">"  # both are means over draws
    says = f"k = {at[0]:.0f}: loss {at[3]:.2f} {sign} {at[4]:.2f}, the bound"
    if not np.isfinite(at[3]):
        says = "no draw without collision"
    elif at[4] > 100:
        says = f"k = {at[0]:.0f}: loss {at[3]:.2f}, and a bound that says nothing"
    return [
        Panel("The representation", [Layer("points", *z.T.numpy(), shades(y), width=5, opacity=0.7)],
              says=f"{classes} classes, {_EACH} points each"),
        Panel("A negative of the own class", [
            Layer("line", power, tau, plot.COLOURS[0], "τ, closed form"),
            Layer("points", [power[negatives]], [at[1]], plot.COLOURS[3], width=11),
        ], "log₂ of the negatives k", "probability τ", y_range=(0, 1.05), says=f"τ = {at[1]:.3f} at k = {at[0]:.0f}"),
        Panel("What the bound says", [
            Layer("line", power, clipped, plot.COLOURS[0], "bound"),
            Layer("points", power, loss, plot.COLOURS[1], "contrastive loss", width=8),
            Layer("points", power, supervised, plot.COLOURS[2], "mean classifier", width=8),
            Layer("line", [power[negatives]] * 2, [0, top], plot.FLOOR, width=1.5, dash=True),
        ], "log₂ of the negatives k", "loss (bits)", y_range=(0, top), says=says),
    ]  # fmt: skip
