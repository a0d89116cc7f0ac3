"""An embedding that can be asked: who is nearest to whom, at which epoch."""

from collections.abc import Sequence
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from labkit._checks import require_known
from labkit.explore._probe import Ridge


class Space:
    """One embedding [n, dim], centred, float32, with what makes a single question fast.

    With ``metric="cosine"`` rows are scaled to length 1 first; Euclidean distance between them then orders points as
    cosine similarity does, and every map shows the same geometry in which neighbours are counted.
    """

    def __init__(self, x: Tensor, metric: str = "euclidean"):
        x = x.float()
        if metric == "cosine":
            x = torch.nn.functional.normalize(x, dim=1)
        self.mean = x.mean(dim=0)
        self.x = x - self.mean
        self.metric = metric

    def __len__(self) -> int:
        return len(self.x)

    @property
    def dim(self) -> int:
        return self.x.shape[1]

    @cached_property
    def half_square(self) -> Tensor:
        return self.x.square().sum(dim=1) / 2

    @cached_property
    def variance(self) -> float:
        """Total variance, summed over dimensions."""
        return float(self.half_square.double().mean() * 2)

    @cached_property
    def ridge(self) -> Ridge:
        """Probes of the points: what they share is computed for the first."""
        return Ridge(self.x)

    def bring(self, z: Tensor) -> Tensor:
        """New points [m, dim] in the coordinates of ``x``."""
        z = z.float()
        if self.metric == "cosine":
            z = torch.nn.functional.normalize(z, dim=1)
        return z - self.mean

    def nearest(self, point: Tensor, k: int, itself: int | None = None) -> tuple[Tensor, Tensor]:
        """The k nearest rows to ``point`` [dim], and their distances: one matrix-vector product over all rows."""
        near = torch.mv(self.x, point).sub_(self.half_square)
        if itself is not None:
            near[itself] = -torch.inf
        # A few more than k, measured again: |a|² + |b|² − 2ab loses the order of very close points to rounding.
        found, rows = near.topk(min(k + 8, len(self.x) - (itself is not None)))
        squares = point.square().sum() + 2 * self.half_square[rows[-1]]
        rounding = 4 * torch.finfo(found.dtype).eps * self.dim**0.5 * squares
        if k < len(rows) and found[k - 1] - found[-1] <= rounding:  # the nearest may not be among these few
            exact = torch.cdist(point[None], self.x, compute_mode="donot_use_mm_for_euclid_dist")[0]
            if itself is not None:
                exact[itself] = torch.inf
            rows = exact.topk(k, largest=False).indices
        distances = (self.x[rows] - point).norm(dim=1)
        order = distances.argsort(stable=True)[:k]
        return rows[order], distances[order]

    def neighbours(self, row: int, k: int) -> tuple[Tensor, Tensor]:
        """The k rows nearest to ``row``, nearest first, and their distances."""
        return self.nearest(self.x[row], k, itself=row)


class Series:
    """The embeddings of the same items at one or more epochs.

    Attributes:
        name: shown above the map; "" when there is only one embedding.
        frames: [n, dim] tensors, one an epoch.
        epochs: what the frames are called.
        metric: "euclidean", or "cosine": rows are scaled to length 1 first.

    Raises:
        ValueError: another metric.
    """

    def __init__(
        self, frames: Sequence[Tensor], epochs: Sequence[int] = (0,), name: str = "", metric: str = "euclidean"
    ):
        require_known("metric", metric, ("cosine", "euclidean"))
        self.frames, self.epochs, self.name, self.metric = list(frames), list(epochs), name, metric
        self._spaces = lru_cache(maxsize=2)(lambda frame: Space(self.frames[frame], metric))

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def dim(self) -> int:
        return self.frames[-1].shape[1]

    def at(self, frame: int) -> Space:
        return self._spaces(frame)
