"""The masking lab: complexity, spectrum, and what a mask share costs and buys a ridge regression."""

import math

import numpy as np
import torch
from jaxtyping import Float

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_counts
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory.augmentation import (
    FAMILIES,
    complexity_bound,
    masking_complexity,
    masking_spectrum,
    ridge_risk,
)

_SHARES = np.linspace(0.02, 0.98, 25)


def masking_lab() -> Playground:
    """Mask ±1 tokens: κ² and the spectrum in closed form, and the error of a ridge regression on the kernel K_X.

    The target is a sum of all products of ``degree`` tokens. With few masks all 2^m products look alike, and n labels
    tell nothing about the rest of them (bias). With many, products of several tokens have eigenvalues so small that
    they are fitted from noise (variance). The green line is where the bound κ·‖f*‖/√n is least. Everything comes from
    :mod:`labkit.theory.augmentation`: ``masking_complexity``, ``masking_spectrum``, ``ridge_risk``,
    ``complexity_bound``.

    Example:
        >>> labkit.explore.masking_lab().set(degree=3, labels=2.5, share=0.6).panels[2].says
    """
    sliders = {
        "share": Slider("mask share α", 0.5, 0.0, 0.95, 0.05),
        "family": Slider("family (0 random, 1 block, 2 block + flip)", 0, 0, 2, 1),
        "length": Slider("tokens m", 10, 4, 10, 1),
        "degree": Slider("tokens that the target joins", 3, 1, 4, 1),
        "labels": Slider("log₁₀ of the labels n", 2.0, 1.0, 3.0, 0.1),
    }
    return Playground(_panels, sliders, "Masking")


@checked
def risk_over_shares(
    kind: str, length: int, degree: int, labels: int, noise: float = 0.1
) -> dict[str, Float[np.ndarray, " shares"]]:
    """Theory of ridge regression on K_X for a target of norm 1, the sum of all products of ``degree`` tokens.

    Returns:
        "share": mask shares; "bias" and "variance" at each, on clean test labels; "bound": κ·‖f*‖/√n. Blocks have
        whole widths, so that their shares are multiples of 1/length.
    """
    require_counts(2, length=length)
    if not 0 <= degree <= length:
        raise ValueError(f"degree must lie between 0 and length={length}, not {degree}")
    shares = _SHARES if kind == "random" else np.arange(1, length) / length
    found = []
    for share in shares:
        values, degrees = masking_spectrum(kind, length, float(share))
        target = (degrees == degree).double()
        target = target / target.norm()
        bias, variance = ridge_risk(values, target, labels, noise)
        found.append((share, bias, variance - noise, complexity_bound(values, target, labels)))
    return dict(zip(("share", "bias", "variance", "bound"), np.array(found).T, strict=True))


def _panels(share: float, family: int, length: int, degree: int, labels: float) -> list[Panel]:
    """The lab's three panels at these settings (``labels`` as log₁₀)."""
    kind, n = FAMILIES[family], round(10**labels)
    width = round(share * length) / length
    share = share if kind == "random" else min(max(width, 1 / length), 1 - 1 / length)
    return [_complexity(kind, length, share), _spectrum(kind, length, share), _risk(kind, length, share, degree, n)]


def _complexity(kind: str, length: int, share: float) -> Panel:
    alphas = np.linspace(0, 1, 41)
    layers = [
        Layer("line", alphas, [math.log2(masking_complexity(name, length, a)) for a in alphas], plot.COLOURS[i], name)
        for i, name in enumerate(FAMILIES)
    ]
    now = math.log2(masking_complexity(kind, length, share))
    layers.append(Layer("points", [share], [now], plot.COLOURS[3], width=12))
    says = f"κ² = {2**now:.3g} between 1 and 2^{length} = {2**length}"
    return Panel("Complexity", layers, "mask share α", "log₂ κ²", x_range=(0, 1), y_range=(-0.2, 10.5), says=says)


def _spectrum(kind: str, length: int, share: float) -> Panel:
    values, degrees = masking_spectrum(kind, length, share)
    shades = plot.colours(8)
    # even on the axis, which is a logarithm: the first ones, the large ones, are all there
    shown = torch.logspace(0, math.log10(len(values)), 400).round().long().unique() - 1
    layers = []
    for size in range(5):
        here = (degrees[shown] == size) if size < 4 else (degrees[shown] >= 4)
        index = torch.where(here, shown + 1.0, torch.nan)
        name = ("the mean", "1 token", "2 tokens", "3 tokens", "4 or more")[size]
        layers.append(Layer("points", torch.log2(index), values[shown], shades[size], name, width=7))
    says = f"{int((values > 0.5).sum())} of {len(values)} eigenvalues above ½; their sum is κ²"
    return Panel("Which products of tokens survive", layers, "log₂ of the eigenvalue's number", "eigenvalue",
                 x_range=(-0.3, 10.3), y_range=(-0.02, 1.05), says=says)  # fmt: skip


def _risk(kind: str, length: int, share: float, degree: int, labels: int) -> Panel:
    found = risk_over_shares(kind, length, degree, labels)
    shares, total = found["share"], found["bias"] + found["variance"]
    top = float(min(max(total.max() * 1.1, 0.2), 2.0))
    best, bounded = shares[int(np.argmin(total))], shares[int(np.argmin(found["bound"]))]
    bounded = bounded if np.isfinite(found["bound"]).any() else np.nan
    layers = [
        Layer("line", shares, found["bias"], plot.COLOURS[0], "bias"),
        Layer("line", shares, found["variance"], plot.COLOURS[1], "variance"),
        Layer("line", shares, total, plot.INK, "both", 3),
        Layer("line", [bounded, bounded], [0, top], plot.COLOURS[2], "least bound", 1.5),
        Layer("line", [share, share], [0, top], plot.FLOOR, width=1.5, dash=True),
    ]
    says = f"error least at α = {best:.2f} ({float(total.min()):.2f}), the bound "
    says += "infinite everywhere" if np.isnan(bounded) else f"at {bounded:.2f}"
    return Panel("Error of a probe, as theory has it", layers, "mask share α", "squared error", x_range=(0, 1),
                 y_range=(0, top), says=says)  # fmt: skip
