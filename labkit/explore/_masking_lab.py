"""The masking lab: complexity, spectrum, and what a mask share trades between approximation and estimation."""

import math

import numpy as np
import torch

from labkit import plot
from labkit.explore._playground import Layer, Panel, Playground, Slider
from labkit.theory.augmentation import FAMILIES, masking_complexity, masking_spectrum, ridge_risk

_SHARES = np.linspace(0.02, 0.98, 25)


def masking_lab() -> Playground:
    """Mask ±1 tokens: κ² and the spectrum in closed form, and the error of a ridge regression on the kernel K_X.

    The target is a sum of all products of ``degree`` tokens. Few masks leave many eigenvalues near 1, and the labels do
    not suffice (estimation); many masks make all that joins several tokens invisible (approximation). Everything comes
    from :mod:`labkit.theory.augmentation`: :func:`masking_complexity`, :func:`masking_spectrum`, :func:`ridge_risk`.

    Example:
        >>> labkit.explore.masking_lab().set(degree=3, labels=2.5, share=0.6).panels[2].says
    """
    sliders = {
        "share": Slider("mask share α", 0.5, 0.0, 0.95, 0.05),
        "family": Slider("family (0 random, 1 block, 2 block + flip)", 0, 0, 2, 1),
        "length": Slider("tokens m", 8, 4, 10, 1),
        "degree": Slider("tokens that the target joins", 2, 1, 4, 1),
        "labels": Slider("log₁₀ of the labels n", 1.8, 1.0, 3.0, 0.1),
    }
    return Playground(masking_panels, sliders, "Masking")


def risk_over_shares(kind: str, length: int, degree: int, labels: int, noise: float = 0.1) -> tuple[list, list, list]:
    """Mask shares and the approximation and estimation error at each, for a target of all parities of one degree.

    The estimation error is that on clean test labels. Blocks have whole widths: their shares are multiples of 1/m.
    """
    shares = _SHARES if kind == "random" else np.arange(1, length) / length
    missed, paid = [], []
    for share in shares:
        values, degrees = masking_spectrum(kind, length, float(share))
        target = (degrees == degree).double()
        first, second = ridge_risk(values, target / target.norm(), labels, noise)
        missed.append(first)
        paid.append(second - noise)
    return list(shares), missed, paid


def masking_panels(share: float, family: int, length: int, degree: int, labels: float) -> list[Panel]:
    """The lab's three panels at these settings (``labels`` as log₁₀)."""
    kind, n = FAMILIES[int(family)], round(10**labels)
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
    shown = torch.linspace(0, len(values) - 1, min(len(values), 256)).long()
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
    shares, missed, paid = risk_over_shares(kind, length, min(degree, length), labels)
    total = np.add(missed, paid)
    top = float(min(max(total.max() * 1.1, 0.2), 2.0))
    layers = [
        Layer("line", shares, missed, plot.COLOURS[0], "approximation"),
        Layer("line", shares, paid, plot.COLOURS[1], "estimation"),
        Layer("line", shares, total, plot.INK, "both", 3),
        Layer("line", [share, share], [0, top], plot.FLOOR, width=1.5, dash=True),
    ]
    best = shares[int(np.argmin(total))]
    says = f"least at α = {best:.2f} with {labels} labels: error {float(total.min()):.2f} of the target's variance"
    return Panel("Error of a probe, as theory has it", layers, "mask share α", "squared error", x_range=(0, 1),
                 y_range=(0, top), says=says)  # fmt: skip
