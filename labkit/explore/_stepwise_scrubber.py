"""The stepwise scrubber: drag time, and watch an embedding grow one dimension after the other."""

import numpy as np
import torch
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_matrix, require_same_shape
from labkit.data import load
from labkit.explore._inputs import kinds_of, shades
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory.pair_kernel import PairKernelEncoder
from labkit.theory.stepwise import critical_times, eigenvalues, loss
from labkit.views import shift

MOST = 8  # dimensions
_TIMES = 400


@checked
def stepwise_scrubber(x: Tensor | None = None, x2: Tensor | None = None, labels: Tensor | None = None) -> Playground:
    """Linear Barlow Twins in closed form: eigenvalues of the cross-correlation, loss, embedding, at any moment.

    The spectrum is yours, γ_j = decay^(j − 1); the points are the modes of the pairs, each scaled to unit correlation
    and then by √λ_j(t): a point, then a line, then a plane. The numbers are those of
    :func:`labkit.theory.stepwise.eigenvalues`, ``critical_times`` and ``loss``.

    Args:
        x, x2: [items, features], two views; None: 300 digits, moved by up to a pixel.
        labels: [items] integer classes, for colours.

    Raises:
        ValueError: other shapes, NaN, pairs that share fewer than 8 modes.

    Example:
        >>> labkit.explore.stepwise_scrubber().set(alpha=-5, time=0.5)  # s(0) = 10⁻⁵
    """
    if x is None:
        x, x2, labels = digit_pairs(300)
    if x2 is None:
        raise ValueError("x2 is missing: a pair has two views")
    require_matrix("x", x)
    require_same_shape("x", x, "x2", x2)
    if min(x.shape) < MOST:
        raise ValueError(
            f"x must have at least {MOST} items and features, for the modes that two views share; not {list(x.shape)}"
        )
    sliders = {
        "alpha": Slider("start: log₁₀ of s(0)", -4.0, -6.0, -0.5, 0.25),
        "d": Slider("dimensions d", 5, 1, MOST, 1),
        "decay": Slider("γ: each is … of the last", 0.6, 0.5, 0.97, 0.01),
        "time": Slider("time / last critical time", 0.2, 0.0, 1.3, 0.01),
    }
    return Playground(_Scrubber(x, x2, labels), sliders, "One dimension at a time")


class _Scrubber:
    def __init__(self, x: Tensor, x2: Tensor, labels: Tensor | None):
        encoder = PairKernelEncoder.fit(x, x2)
        if len(encoder.gamma) < MOST:
            found = len(encoder.gamma)
            raise ValueError(f"of x and x2 {MOST} modes are drawn, but the modes that two views share are {found}")
        self.modes = encoder.embed(x)[:, :MOST].numpy()
        reach = 1.05 * float(np.abs(self.modes[:, :2]).max())
        self.range = (-reach, reach)
        kinds, _ = kinds_of(labels, len(x))
        self.colour = shades(kinds)
        self.text = None if labels is None else [f"class {label}" for label in labels.tolist()]

    def __call__(self, alpha: float, d: int, decay: float, time: float) -> list[Panel]:
        gamma = decay ** torch.arange(d, dtype=torch.float64)
        initial = torch.full_like(gamma, 10**alpha)
        ticks = critical_times(gamma, initial)
        last = float(ticks[-1])
        now, times = time * last, torch.linspace(0, 1.3 * last, _TIMES, dtype=torch.float64)
        curves = eigenvalues(gamma, initial, times)
        here = eigenvalues(gamma, initial, torch.tensor([now], dtype=torch.float64))[0]
        at = [now, now]
        return [
            self._curves(times, curves, ticks, at, here),
            self._staircase(
                times, loss(curves), ticks, loss(eigenvalues(gamma, initial, ticks)), at, float(loss(here))
            ),
            self._embedding(here.numpy()),
        ]

    def _curves(self, times: Tensor, curves: Tensor, ticks: Tensor, at: list[float], here: Tensor) -> Panel:
        nothing = torch.full((len(times), MOST - curves.shape[1]), torch.nan)
        lines = torch.cat([curves, nothing], dim=1).T
        table = plot.colours(MOST)
        layers = [Layer("line", times, line, table[j]) for j, line in enumerate(lines)]
        layers += [
            Layer("points", ticks, torch.full_like(ticks, 0.5), plot.INK, width=6),
            Layer("line", at, [0, 1], plot.FLOOR, dash=True),
        ]
        learned = int((here > 0.5).sum())
        says = f"{learned} of {len(here)} learned; λ now " + ", ".join(f"{value:.2f}" for value in here[:4])
        return Panel("Eigenvalues of C = WΓWᵀ", layers, "time (learning rate × steps)", "eigenvalue λ", says=says,
                     x_range=(0, float(times[-1])), y_range=(-0.03, 1.05))  # fmt: skip

    def _staircase(
        self, times: Tensor, values: Tensor, ticks: Tensor, heights: Tensor, at: list[float], here: float
    ) -> Panel:
        d = len(ticks)
        layers = [
            Layer("line", times, values, plot.COLOURS[0], "loss", 2.5),
            Layer("points", ticks, heights, plot.INK, "critical times τ", width=6),
            Layer("line", at, [0, d], plot.FLOOR, "now", dash=True),
        ]
        return Panel("The loss, a staircase", layers, "time (learning rate × steps)", "‖C − I‖²",
                     x_range=(0, float(times[-1])), y_range=(-0.03 * d, 1.05 * d),
                     says=f"now {here:.2f}, from {d}; last step at {float(ticks[-1]):.3g}")  # fmt: skip

    def _embedding(self, here: np.ndarray) -> Panel:
        size = np.sqrt(np.concatenate([here, [0.0]])[:2].clip(min=0))
        xy = self.modes[:, :2] * size
        layers = [Layer("points", *xy.T, self.colour, width=7, opacity=0.8, text=self.text)]
        kept = float(np.square(here).sum() and here.sum() ** 2 / np.square(here).sum())
        return Panel("The embedding: dimensions 1, 2", layers, "dimension 1", "dimension 2", self.range, self.range,
                     says=f"dimensions in use {kept:.1f} (participation ratio of λ)")  # fmt: skip


@checked(numbers=False)
def digit_pairs(n: int, pixels: int = 1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """n of scikit-learn's digits moved by up to ``pixels``, twice: x, x' [n, 64] in float64 and labels."""
    digits, generator = load("digits"), torch.Generator().manual_seed(seed)
    rows = digits.splits["train"][torch.randperm(len(digits.splits["train"]), generator=generator)[:n]]
    images = digits.images[rows].double() / 255
    first, second = (shift(images, pixels, generator).flatten(1) for _ in range(2))
    return first, second, digits.labels[rows]
