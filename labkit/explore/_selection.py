"""A selection that argues back: what it is made of, and what chance selections of its size look like."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


def pack(chosen: np.ndarray) -> bytes:
    """Truth values [n] as a bitmask, first point in the lowest bit; b"" when nothing is chosen."""
    return np.packbits(chosen, bitorder="little").tobytes() if chosen.any() else b""


def unpack(bits: bytes, n: int) -> np.ndarray:
    """Truth values [n] of a bitmask that :func:`pack` or the browser wrote."""
    if not len(bits):
        return np.zeros(n, dtype=bool)
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=n, bitorder="little").astype(bool)


def wilson(hits: int, size: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); unlike p ± 1.96 standard errors it stays in [0, 1]."""
    z = 1.96
    p, d = hits / size, 1 + z * z / size
    middle = (p + z * z / (2 * size)) / d
    half = z / d * math.sqrt(p * (1 - p) / size + z * z / (4 * size * size))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Share:
    """One class in a selection: its share there, the interval of that share, and its share among all points."""

    name: str
    count: int
    share: float
    low: float
    high: float
    base: float

    def __str__(self) -> str:
        return f"{self.name}: {self.share:.1%} ({self.low:.1%} to {self.high:.1%}), against {self.base:.1%} of all"


def composition(codes: np.ndarray, names: list[str], chosen: np.ndarray) -> list[Share]:
    """The classes of a selection, largest share first; classes without a point in it are left out."""
    size, total = int(chosen.sum()), np.bincount(codes, minlength=len(names))
    hits = np.bincount(codes[chosen], minlength=len(names))
    return [
        Share(names[k], int(hits[k]), hits[k] / size, *wilson(int(hits[k]), size), total[k] / len(codes))
        for k in np.argsort(-hits, kind="stable")
        if hits[k]
    ]


def blob(xy: np.ndarray, size: int, generator: np.random.Generator) -> np.ndarray:
    """Truth values [n]: a random point and the ``size`` − 1 nearest to it on the map."""
    centre = xy[generator.integers(len(xy))]
    distance = np.square(xy - centre).sum(axis=1)
    chosen = np.zeros(len(xy), dtype=bool)
    chosen[np.argpartition(distance, size - 1)[:size]] = True
    return chosen


def blob_purities(xy: np.ndarray, codes: np.ndarray, size: int, count: int = 200, seed: int = 0) -> np.ndarray:
    """Share of the largest class in each of ``count`` random blobs of ``size`` points.

    A blob is compact on the map, as a lasso is, and knows nothing of the classes: its purity is what any patch of
    this map shows. Cost: O(count · n), or O(n · log n + count · size) where they are less than a hundredth of n.
    """
    generator = np.random.default_rng(seed)
    if 100 * size < len(xy):
        _, rows = cKDTree(xy).query(xy[generator.integers(len(xy), size=count)], size)
        blobs = codes[rows.reshape(count, size)]
    else:
        blobs = (codes[blob(xy, size, generator)] for _ in range(count))
    return np.array([np.bincount(of).max() / size for of in blobs])
