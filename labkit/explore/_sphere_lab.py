"""The sphere playground: points, their alignment and uniformity, and the floor below which no points lie."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between
from labkit.evaluate import alignment, uniformity, uniformity_floor
from labkit.explore._layout import broken_line
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory.sphere import concentrated_points, cosine_density

_TIMES = np.array([0.25, 0.5, 1, 2, 3, 4, 6, 8, 10])
_BINS = 24


@checked(numbers=False)
def two_views(
    points: int, dim: int, concentration: float, noise: float, seed: int = 0
) -> tuple[Float[Tensor, "points dim"], Float[Tensor, "points dim"]]:
    """Points on the sphere and a second view of each: moved by normal noise of length about ``noise``, normalised."""
    require_between("noise", noise, 0, 1e100)  # squares of more overflow
    generator = torch.Generator().manual_seed(seed)
    z = concentrated_points(points, dim, concentration, generator)
    moved = torch.randn(z.shape, generator=generator, dtype=z.dtype) * (noise / dim**0.5)
    return z, normalize(z + moved, dim=1)


@checked(numbers=False)
def uniformity_curve(
    z: Float[Tensor, "points dim"], times: Sequence[float] | np.ndarray = _TIMES
) -> Float[Tensor, "times four"]:
    """Rows t, L_unif, the floor of a distribution, the floor of as many points."""
    n, dim = z.shape
    rows = [[t, uniformity(z, t), uniformity_floor(dim, t), uniformity_floor(dim, t, items=n)] for t in times]
    return torch.tensor(rows, dtype=torch.float64)


def sphere_lab() -> Playground:
    """Alignment and uniformity of points on the sphere, against the exact floor (Wang & Isola 2020, proposition 1).

    With few points in many dimensions the mean over pairs lies below the floor of a distribution, and above the floor
    for so many points. The numbers: :func:`two_views`, :func:`uniformity_curve`, ``evaluate.alignment``.

    Example:
        >>> labkit.explore.sphere_lab().set(points=20, dim=32)
    """
    sliders = {
        "points": Slider("points", 200, 2, 300, 1),
        "dim": Slider("dimensions", 3, 2, 64, 1),
        "concentration": Slider("concentration", 0.5, 0.0, 8.0, 0.1),
        "noise": Slider("second view moved by", 0.3, 0.0, 2.0, 0.1),
        "t": Slider("t", 2.0, 0.25, 10.0, 0.25),
    }
    return Playground(_panels, sliders, "Points on the sphere")


def _panels(points: int, dim: int, concentration: float, noise: float, t: float) -> list[Panel]:
    a, b = two_views(points, dim, concentration, noise)
    near, now = alignment(a, b), uniformity(a, t)
    floors = uniformity_floor(dim, t), uniformity_floor(dim, t, items=points)
    lines = broken_line(np.stack([a[:, :2].numpy(), b[:, :2].numpy()], axis=1))
    round_ = np.linspace(0, 2 * np.pi, 120)
    cosine = (a @ a.T)[tuple(torch.triu_indices(len(a), len(a), 1))].numpy()
    share, edges = np.histogram(cosine, _BINS, (-1, 1), density=True)
    fine = np.linspace(-0.99, 0.99, 120)
    exact = cosine_density(torch.tensor(fine), dim).numpy()
    curve = uniformity_curve(a).numpy().T
    return [
        Panel("First two coordinates", [
            Layer("line", np.cos(round_), np.sin(round_), plot.FLOOR, width=1.2),
            Layer("line", *lines, plot.FLOOR, width=1, opacity=0.5),
            Layer("points", *a[:, :2].T.numpy(), plot.COLOURS[0], "first view", width=6, opacity=0.8),
        ], says=f"L_align {near:.3f} to the second view (grey lines)"),
        Panel("Cosines of pairs", [
            Layer("points", (edges[1:] + edges[:-1]) / 2, share, plot.COLOURS[0], "these points", width=7),
            Layer("line", fine, exact, plot.COLOURS[1], "uniform, exact"),
        ], "cosine", "density", x_range=(-1.05, 1.05), says=f"{len(a)} points in {dim} dimensions"),
        Panel("Uniformity", [
            Layer("points", curve[0], curve[1], plot.COLOURS[0], "these points", width=8),
            Layer("line", curve[0], curve[2], plot.COLOURS[1], "floor of a distribution"),
            Layer("line", curve[0], curve[3], plot.COLOURS[2], f"floor of {len(a)} points", dash=True),
            Layer("points", [t], [now], plot.COLOURS[3], width=11),
        ], "t", "L_unif", says=f"at t = {t:g}: {now:.3f}; floors {floors[0]:.3f}, {floors[1]:.3f}"),
    ]  # fmt: skip
