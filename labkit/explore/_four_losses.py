"""Four losses, one spectrum: what a linear encoder learns of it, in which order, and how much it keeps."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.stats import kendalltau
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory import modes

MODES, START = 10, 1e-3  # START: s(0) of every mode


class Learned(NamedTuple):
    """What one loss makes of each mode: rate r, time to half its plateau (inf: dropped), variance σu* at the end."""

    rate: Float[Tensor, " modes"]
    half_time: Float[Tensor, " modes"]
    variance: Float[Tensor, " modes"]


@checked
def four_losses(
    sigma: Float[Tensor, " modes"],
    rho: Float[Tensor, " modes"],
    beta: float = 1.0,
    tau: float = 0.5,
    start: float = START,
) -> dict[str, Learned]:
    """Rates, learning times and final variances under the four losses of :mod:`labkit.theory.modes`, by name.

    Args:
        sigma, rho: variance of each mode and its correlation across views.
        beta: weight of VICReg's invariance.
        tau: temperature of InfoNCE.
        start: singular value s(0) of W on every mode.

    Raises:
        ValueError: what the losses refuse: σ ≤ 0, |ρ| > 1, β < 0, τ ≤ 0; ``start`` < 0.
    """
    require_between("start", start, 0, 1e30)
    gamma = sigma * rho
    found = {
        "Barlow Twins": modes.barlow_twins(gamma),
        "spectral contrastive": modes.spectral_contrastive(gamma, sigma),
        "VICReg": modes.vicreg(gamma, sigma, beta),
        "InfoNCE": modes.info_nce(gamma, sigma, tau),
    }
    begin = torch.full_like(sigma, start**2)
    return {
        name: Learned(one.rate, modes.half_times(*one, begin), sigma * one.plateau.clamp(min=0) * (one.rate > 0))
        for name, one in found.items()
    }


@checked
def order_agreement(a: Learned, b: Learned) -> float:
    """Kendall's τ between the orders in which two losses learn the modes that both learn; NaN where there is none."""
    both = a.half_time.isfinite() & b.half_time.isfinite()
    return float(kendalltau(a.half_time[both], b.half_time[both]).statistic) if int(both.sum()) > 1 else float("nan")


def four_losses_one_spectrum() -> Playground:
    """Ten modes: choose how fast their variance falls and how much of each the two views share; four losses answer.

    The numbers are those of :func:`four_losses`.

    Example:
        >>> labkit.explore.four_losses_one_spectrum().set(beta=2.0, rho_last=0.2)
    """
    sliders = {
        "decay": Slider("σ: each is … of the last", 0.85, 0.5, 1.0, 0.01),
        "rho_first": Slider("ρ of mode 1", 0.4, 0.05, 0.99, 0.01),
        "rho_last": Slider(f"ρ of mode {MODES}", 0.95, 0.05, 0.99, 0.01),
        "beta": Slider("VICReg's β", 1.5, 0.0, 4.0, 0.05),
        "tau": Slider("InfoNCE's τ", 0.5, 0.1, 2.0, 0.05),
    }
    return Playground(_panels, sliders, "Four losses, one spectrum")


def _panels(decay: float, rho_first: float, rho_last: float, beta: float, tau: float) -> list[Panel]:
    number = torch.arange(1, MODES + 1, dtype=torch.float64)
    sigma = decay ** (number - 1)
    rho = torch.linspace(rho_first, rho_last, MODES, dtype=torch.float64)
    found = four_losses(sigma, rho, beta, tau)
    shared = int((sigma * rho).argmax()) + 1
    spectrum = [
        Layer("bars", number, sigma, plot.FLOOR, "variance σ", opacity=0.5),
        Layer("points", number, sigma * rho, plot.INK, "shared by views, γ", width=9),
    ]
    return [
        Panel("The spectrum", spectrum, "mode", "variance", y_range=(0, 1.05), says=f"largest γ: mode {shared}"),
        _order(found, number),
        _kept(found, number),
    ]


def _order(found: dict[str, Learned], number: Tensor) -> Panel:
    layers = []
    for (name, one), colour in zip(found.items(), plot.COLOURS, strict=False):
        time = torch.where(one.half_time.isfinite(), one.half_time, torch.nan).clamp(min=1e-3).log10()
        layers.append(Layer("line", number, time, colour, opacity=0.5))
        layers.append(Layer("points", number, time, colour, name, width=8))
    barlow, vicreg = found["Barlow Twins"], found["VICReg"]
    dropped = int((vicreg.rate <= 0).sum())
    agree = order_agreement(barlow, vicreg)
    order = "not to be compared" if math.isnan(agree) else f"{agree:+.2f} (Kendall)"
    return Panel("When a mode is learned", layers, "mode", "log₁₀ of time to half its height",
                 says=f"VICReg drops {dropped}; its order and Barlow Twins': {order}")  # fmt: skip


def _kept(found: dict[str, Learned], number: Tensor) -> Panel:
    layers = []
    for one, colour in zip(found.values(), plot.COLOURS, strict=False):
        layers.append(Layer("line", number, one.variance, colour, opacity=0.5))
        layers.append(Layer("points", number, one.variance, colour, width=8))
    most = float(max(one.variance.max() for one in found.values()))
    barlow = float(found["Barlow Twins"].variance.max())
    return Panel("What is kept of it at the end", layers, "mode", "variance in the embedding, σu*",
                 y_range=(-0.03 * most, 1.08 * most), says=f"Barlow Twins: 1/ρ, at most {barlow:.2f}")  # fmt: skip
