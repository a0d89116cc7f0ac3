"""How much of the original neighbourhood a map keeps, point by point and on average."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from labkit.evaluate import Split, linear_probe, neighbours
from labkit.explore._space import Space

_QUERIES = 1024  # asked at once: bounds memory, and a user who stops waits for one block at most


@dataclass(frozen=True)
class Trust:
    """Shares in [0, 1] for each measured point.

    Attributes:
        rows: the points measured.
        kept: of the k points nearest on the map, the share that is truly among the k nearest.
        false: of the k nearest on the map, the share that is not even among the ``wide`` truly nearest.
        torn: of the k truly nearest, the share that is not among the ``wide`` nearest on the map.
        k: neighbours counted.
        wide: five times k, or less for few points.
    """

    rows: np.ndarray
    kept: np.ndarray
    false: np.ndarray
    torn: np.ndarray
    k: int
    wide: int


def sizes(n: int, k: int) -> tuple[int, int]:
    """k and ``wide`` that make sense among n points."""
    k = min(k, max(1, (n - 1) // 5))
    return k, max(k, min(5 * k, (n - 1) // 2))


def some(n: int, most: int, seed: int) -> np.ndarray:
    """All of n rows, or ``most`` of them that ``seed`` draws; rising."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


def blocks(rows: np.ndarray, progress: Callable[[float], None] | None = None) -> Iterator[Tensor]:
    """``rows`` a block at a time; ``progress`` hears after each what share is done."""
    for start in range(0, len(rows), _QUERIES):
        yield torch.from_numpy(rows[start : start + _QUERIES])
        if progress:
            progress(min(1.0, (start + _QUERIES) / len(rows)))


def measure(
    space: Space,
    xy: np.ndarray,
    k: int,
    rows: np.ndarray | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trust:
    """Compare neighbourhoods in ``space`` and on the map ``xy`` [n, 2], for ``rows`` or for all points.

    Ties count in the map's favour: a neighbour is true when it is as near as the k-th, whoever was listed. Duplicates
    would otherwise make a perfect map look bad.

    Cost: time O(rows · n · dim), memory one block of 2^23 numbers.
    """
    k, wide = sizes(len(space), k)
    rows = np.arange(len(space)) if rows is None else rows
    tree = cKDTree(xy)
    scale = _rounding(space)
    shares = [_shares(space, tree, xy, part, k, wide, scale) for part in blocks(rows, progress)]
    kept, false, torn = np.concatenate(shares, axis=1)
    return Trust(rows, kept, false, torn, k, wide)


def _rounding(space: Space) -> float:
    """What distances may differ by without being different; by the median point, which no outlier moves."""
    return 1e-6 * max(2 * float(space.half_square.median()), 1e-30) ** 0.5


def _shares(space: Space, tree: cKDTree, xy: np.ndarray, part: Tensor, k: int, wide: int, scale: float) -> np.ndarray:
    points = space.x[part]
    true, distance = neighbours(space.x, min(wide + 1, len(space)), "euclidean", queries=points)
    true, distance = (_without(part, true, values) for values in (true, distance))
    shown_distance, shown = tree.query(xy[part.numpy()], wide + 1)
    shown, shown_distance = torch.from_numpy(shown), torch.from_numpy(shown_distance)
    shown, shown_distance = (_without(part, shown, values) for values in (shown, shown_distance))
    of_shown = (space.x[shown[:, :k]] - points[:, None]).norm(dim=2)
    kept = (of_shown <= distance[:, k - 1 : k] * (1 + 1e-6) + scale).float().mean(dim=1)
    false = (of_shown > distance[:, -1:] * (1 + 1e-6) + scale).float().mean(dim=1)
    on_map = torch.from_numpy(xy)
    of_true = (on_map[true[:, :k]] - on_map[part][:, None]).norm(dim=2)
    torn = (of_true > shown_distance[:, -1:] * (1 + 1e-6)).float().mean(dim=1)
    return torch.stack([kept, false, torn]).numpy()


def _without(part: Tensor, index: Tensor, values: Tensor) -> Tensor:
    """``values`` less the entry of the point itself; less the last where duplicates pushed the point out."""
    itself = index == part[:, None]
    itself[:, -1] |= ~itself.any(dim=1)
    return values[~itself].reshape(len(part), -1)


def overlap(
    a: Space, b: Space, k: int, rows: np.ndarray, progress: Callable[[float], None] | None = None
) -> np.ndarray:
    """Share of the k nearest neighbours in ``a`` that are also among those in ``b``, for each of ``rows``.

    Ties count as shared, as in :func:`measure`: one is among them when it is as near as the k-th.
    """
    scale = _rounding(b)
    shares = []
    for part in blocks(rows, progress):
        near, _ = neighbours(a.x, k + 1, "euclidean", queries=a.x[part])
        index, distance = neighbours(b.x, k + 1, "euclidean", queries=b.x[part])
        near, farthest = _without(part, near, near), _without(part, index, distance)[:, -1:]
        reached = (b.x[near] - b.x[part][:, None]).norm(dim=2)
        shares.append((reached <= farthest * (1 + 1e-6) + scale).float().mean(dim=1).numpy())
    return np.concatenate(shares)


def probe_accuracy(z: Tensor, codes: np.ndarray, seed: int = 0) -> float | None:
    """Test accuracy of the linear probe on ``z`` [n, dim], scaled to variance 1; None where it can't be asked.

    At most 3 000 rows, 60 % to learn from, 20 % to choose the strength on, 20 % to score. Classes with fewer than
    ten rows among those are left out.
    """
    rows = some(len(z), 3000, seed)
    _, small, sizes_ = np.unique(codes[rows], return_inverse=True, return_counts=True)
    rows = rows[sizes_[small] >= 10]
    y = torch.from_numpy(np.unique(codes[rows], return_inverse=True)[1].astype(np.int64))
    if len(rows) < 50 or not 2 <= int(y.max()) + 1 <= 100:
        return None
    z = z[torch.from_numpy(rows)]
    z = (z - z.mean(dim=0)) / z.var(dim=0).mean().sqrt().clamp_min(1e-12)
    for attempt in range(5):  # a random train part may miss a small class
        split = Split.random(y, 0.6, 0.2, 0.2, seed=seed + attempt)
        if len(y[split.train[0]].unique()) == int(y.max()) + 1:
            return linear_probe(z, y, split, strengths=(0.01, 0.1, 1.0, 10.0), normalize=False).mean
    return None
