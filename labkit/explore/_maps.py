"""Two-dimensional views of an embedding: those that are there at once, and what each one may claim."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from labkit.explore._space import Series, Space

SLOW = {"umap": "UMAP", "tsne": "t-SNE", "spectral": "Spectral"}
_AXES = 10


@dataclass
class Map:
    """Positions of the shown points, for one epoch or for several.

    Attributes:
        kind: "pca", "pca-aligned", "raw", "probe", "umap", "tsne", "spectral".
        label: what it is, in words, for the caption.
        xy: [frames, n, 2] float32.
        axes: which two of ``choices`` are drawn.
        names: what the two axes are called.
        notes: one sentence for each frame, or none.
        plane: [dim, 2] with orthonormal columns when the map is such a projection; new points can be placed with it.
        frame: the epoch's index when the map shows one epoch of several; None when it shows all.
        claims: what it may say of itself: one for each frame, one for all of them, or none.
        found: what was measured of it, by epoch (:class:`labkit.explore._words.Findings`).
    """

    kind: str
    label: str
    xy: np.ndarray
    axes: tuple[int, int] = (0, 1)
    names: tuple[str, str] = ("", "")
    choices: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    plane: Tensor | None = None
    frame: int | None = None
    claims: list[str] = field(default_factory=list)
    found: dict[int, Any] = field(default_factory=dict)

    def at(self, frame: int) -> np.ndarray:
        """Positions [n, 2] at a frame of the series."""
        return self.xy[min(frame, len(self.xy) - 1)]

    def claim(self, frame: int) -> str:
        return self.claims[min(frame, len(self.claims) - 1)] if self.claims else ""

    def note(self, frame: int) -> str:
        return self.notes[frame] if frame < len(self.notes) else ""

    @cached_property
    def view(self) -> list[float]:
        """x0, x1, y0, y1 to show: everything, unless a few outliers would squeeze all others into a spot."""
        flat = self.xy.reshape(-1, 2)
        sample = flat[:: max(1, len(flat) // 100_000)]
        box = []
        for axis in range(2):
            low, high = float(flat[:, axis].min()), float(flat[:, axis].max())
            a, b = np.quantile(sample[:, axis], [0.002, 0.998])
            if high - low > 4 * (b - a) > 0:
                low, high = max(low, float(a - 0.2 * (b - a))), min(high, float(b + 0.2 * (b - a)))
            box += [low, high]
        return box

    def outside(self, frame: int) -> int:
        """Points of a frame beyond ``view``."""
        x0, x1, y0, y1 = self.view
        x, y = self.at(frame).T
        return int(((x < x0) | (x > x1) | (y < y0) | (y > y1)).sum())


def pca(series: Series, axes: Sequence[int] | None = None) -> Map:
    """Principal components of all epochs pooled, each epoch centred: one fixed plane, nothing is turned.

    Cost: time O(epochs · n · dim² + dim³) or, with more dimensions than points, O(n² · dim + n³).
    """
    i, j = pick(axes, min(_AXES, series.dim), "principal components")
    values, vectors, total = _components(series)
    shares = [float(v) / total if total else 0.0 for v in values]
    plane = vectors[:, [i, j]] if series.dim > 1 else torch.cat([vectors, torch.zeros_like(vectors)], dim=1)
    spaces = [series.at(frame) for frame in range(len(series))]
    xy = np.stack([(space.x @ plane).numpy() for space in spaces])
    choices = [f"PC {c + 1} ({percent(share)})" for c, share in enumerate(shares)]
    shown = shares[i] + (shares[j] if j != i and series.dim > 1 else 0)
    label = (
        f"PCA of {_dimensions(series.dim)}"
        if len(series) == 1
        else f"PCA of {series.dim} dimensions (one for all {len(series)} epochs)"
    )
    return Map("pca", label, xy, (i, j), _names(choices, i, j), choices, _moves(xy, series.epochs), plane,
               claims=[_shows(shown)])  # fmt: skip


def pca_aligned(series: Series, axes: Sequence[int] | None = None) -> Map:
    """Each epoch's own principal components, turned (never stretched) onto those of the epoch before."""
    i, j = pick(axes, min(_AXES, series.dim), "principal components")
    frames, notes = [], []
    for frame in range(len(series)):
        space = series.at(frame)
        _, vectors, _ = _components(Series([series.frames[frame]], metric=series.metric))
        xy = (space.x @ vectors[:, [i, j]]).double().numpy()
        if frames:
            xy, rest = procrustes(xy, frames[-1])
            notes.append(
                f"Epoch {series.epochs[frame]}: turned onto epoch {series.epochs[frame - 1]}, "
                f"**{percent(rest)}** of the spread is left as motion."
            )
        else:
            notes.append(f"Epoch {series.epochs[0]}: its own PCA.")
        frames.append(xy)
    label = f"PCA of {series.dim} dimensions (each epoch's own, aligned by orthogonal Procrustes)"
    choices = [f"PC {c + 1}" for c in range(min(_AXES, series.dim))]
    xy = np.stack(frames).astype(np.float32)
    return Map("pca-aligned", label, xy, (i, j), _names(choices, i, j), choices, notes)


def raw(series: Series, axes: Sequence[int] | None = None) -> Map:
    """Two coordinates of the embedding as they are (centred)."""
    i, j = pick(axes, series.dim, "dimensions")
    plane = torch.zeros(series.dim, 2)
    plane[i, 0] = 1.0
    if series.dim > 1:
        plane[j, 1] = 1.0
    spaces = _measurable(series)
    xy = np.stack([(space.x @ plane).numpy() for space in spaces])
    choices = [f"dim {c}" for c in range(series.dim)]
    shown = [float(space.x[:, sorted({i, j})].square().sum(dim=1).mean()) for space in spaces]
    claims = [_shows(part / max(space.variance, 1e-30)) for part, space in zip(shown, spaces, strict=True)]
    label = f"map of dimensions {i} and {j} of {series.dim}" if series.dim > 1 else "map of the one dimension"
    return Map("raw", label, xy, (i, j), _names(choices, i, j), choices, _moves(xy, series.epochs), plane,
               claims=claims)  # fmt: skip


def probe(series: Series, codes: np.ndarray, classes: list[str], axes: Sequence[int] | None = None) -> Map:
    """What a least-squares probe says for two classes: left-out scores for one epoch, one probe for several."""
    i, j = pick(axes, len(classes), "classes")
    ridge = series.at(len(series) - 1).ridge
    target = torch.from_numpy(np.stack([codes == i, codes == j], axis=1)).float()
    if len(series) == 1:
        xy, how = ridge.left_out(target).numpy()[None], "each point scored by a probe fitted without it"
    else:
        weight, bias = ridge.fit(target)
        xy = np.stack([(series.at(frame).x @ weight + bias).numpy() for frame in range(len(series))])
        how = f"probe fitted at epoch {series.epochs[-1]}"
    choices = [f"score of {name}" for name in classes]
    return Map("probe", f"map of probe scores ({how})", xy.astype(np.float32), (i, j), _names(choices, i, j), choices,
               _moves(xy, series.epochs), claims=["is made with the labels"])  # fmt: skip


def procrustes(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, float]:
    """``a`` [n, 2] turned or mirrored onto ``b``, and what is left: |a Q − b| / |b| (Schönemann 1966)."""
    u, _, vt = np.linalg.svd(a.T @ b)
    turned = a @ (u @ vt)
    return turned, float(np.linalg.norm(turned - b) / max(np.linalg.norm(b), 1e-30))


def place(drawn: Map, space: Space, z: Tensor, frame: int, k: int = 5) -> np.ndarray:
    """Where new points ``z`` [m, dim] belong: exactly on a plane, else at the mean of their k nearest points."""
    z = space.bring(z)
    if drawn.plane is not None:
        return (z @ drawn.plane).numpy()
    xy = drawn.at(frame)
    return np.stack([xy[space.nearest(point, min(k, len(space)))[0].numpy()].mean(axis=0) for point in z])


def _components(series: Series) -> tuple[np.ndarray, Tensor, float]:
    """The largest eigenvalues of the pooled covariance, their vectors [dim, ≤ 10], and the total variance.

    A vector's sign is such that its largest entry is positive, so that the same data give the same picture.
    """
    spaces = _measurable(series)
    n, dim = len(spaces[0]), series.dim
    count = min(_AXES, dim)
    total = sum(space.variance for space in spaces) / len(spaces)
    if dim <= max(n * len(spaces), 64):
        gram = sum((space.x.T @ space.x).double() for space in spaces) / (n * len(spaces))
        values, vectors = eigh(gram.numpy(), subset_by_index=[dim - count, dim - 1])
        values, vectors = values[::-1], vectors[:, ::-1]
    else:  # more dimensions than points: the same from the n × n side
        pooled = torch.cat([space.x for space in spaces]).double()
        _, s, vt = torch.linalg.svd(pooled, full_matrices=False)
        values, vectors = (s.square() / len(pooled)).numpy(), vt.T.numpy()
        values, vectors = values[:count], vectors[:, :count]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    vectors = vectors * np.where(signs == 0, 1, signs)
    lacking = count - len(values)  # where there are fewer points than axes
    values, vectors = np.pad(values, (0, lacking)), np.pad(vectors, ((0, 0), (0, lacking)))
    return np.maximum(values, 0), torch.from_numpy(vectors).float(), total


def _measurable(series: Series) -> list[Space]:
    """The spaces of all epochs, in which distances are finite and those of different points not all 0."""
    spaces = [series.at(frame) for frame in range(len(series))]
    for space in spaces:
        if not math.isfinite(space.variance):
            raise ValueError("embedding holds values whose squares overflow float32; divide it by a constant")
        if space.variance == 0 and space.x.any():
            raise ValueError("embedding holds values whose squares vanish in float32; multiply it by a constant")
    return spaces


def _moves(xy: np.ndarray, epochs: Sequence[int]) -> list[str]:
    """For each frame how far it moved from the one before, and how much of that a rotation of the map explains."""
    if len(xy) == 1:
        return []
    notes = [f"Epoch {epochs[0]}."]
    for before, now, old, new in zip(xy, xy[1:], epochs, epochs[1:]):
        size = max(float(np.linalg.norm(before)), 1e-30)
        moved = float(np.linalg.norm(now - before)) / size
        rest = procrustes(now.astype(np.float64), before.astype(np.float64))[1]
        notes.append(
            f"Epoch {new}: moved by **{percent(moved)}** of the spread since epoch {old}; "
            f"turned onto it, {percent(rest)} is left."
        )
    return notes


def pick(axes: Sequence[int] | None, count: int, what: str) -> tuple[int, int]:
    """The two axes to show of ``count``; None: the first two."""
    chosen = [0, min(1, count - 1)] if axes is None else [int(axis) for axis in axes]
    if len(chosen) != 2 or not all(0 <= axis < count for axis in chosen):
        raise ValueError(
            f"axes must be two numbers from 0 to {count - 1} (there are {count} {what}), not {tuple(axes)}"
        )
    return tuple(chosen)


def _dimensions(dim: int) -> str:
    return f"{dim} dimension" + ("s" if dim != 1 else "")


def _names(choices: list[str], i: int, j: int) -> tuple[str, str]:
    return choices[i], choices[j] if len(choices) > 1 else ""  # one dimension lies on a line


def _shows(share: float) -> str:
    return f"shows **{percent(share)}** of the variance"


def percent(share: float | np.floating) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.1f} %"
