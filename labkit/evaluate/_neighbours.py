"""Exact nearest neighbours in blocks, and the probe that votes with them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_counts, require_known, require_matrix, require_positive
from labkit.evaluate._inputs import check_labels, check_probe, size_of, unit_rows
from labkit.evaluate._score import Score, accuracy
from labkit.evaluate._split import Split

_METRICS = ("cosine", "euclidean")
_ELEMENTS = 2**23  # of a block of similarities: 32 MB in float32


@checked(numbers=False)
def neighbours(z: Tensor, k: int = 20, metric: str = "cosine", queries: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k nearest rows of ``z``, nearest first: exact, in memory that does not grow with items².

    Args:
        z: [items, dim] embeddings.
        k: how many.
        metric: "cosine" (similarities, falling) or "euclidean" (distances, rising).
        queries: [queries, dim] to look up. None: every row of ``z``, itself left out.

    Returns:
        indices, int64 [queries, k], and similarities or distances, [queries, k]. Similarities that float32 cannot tell
        apart (6e-8 near 1) stand in any order.

    Cost: time O(queries · items · dim), memory O(queries · k) and a block of 2^23 numbers. Queries whose k-th neighbour
    float32 cannot tell from the next are looked up again in float64: all of them where an embedding has nearly
    collapsed, at three times the time and the memory of ``z``. On a GPU where products of float32 are allowed 10 bits
    (``torch.set_float32_matmul_precision("high")``) all is looked up in float64.

    Raises:
        ValueError: ``k`` below 1 or above the rows to choose from, NaN, another width of ``queries``.

    Example:
        >>> index, similarity = neighbours(z, k=10)      # of every item
        >>> (y[index] == y[:, None]).float().mean()      # how often a neighbour shares the class
    """
    require_matrix("z", z)
    require_known("metric", metric, _METRICS)
    itself = queries is None
    if not itself:
        require_matrix("queries", queries)
        if queries.shape[1] != z.shape[1]:
            raise ValueError(f"queries must be as wide as z ({z.shape[1]}), not {queries.shape[1]}")
    available = len(z) - itself
    if not 1 <= k <= available:
        raise ValueError(f"k must be between 1 and the {available} rows to choose from, not {k}")
    z = z.detach() if z.dtype == torch.float64 else z.detach().float()
    kept = z.dtype
    z = z.double() if _products_are_short(z.device) else z
    queries, own = (z, torch.arange(len(z), device=z.device)) if itself else (queries.detach().to(z), None)
    index, value, close = _search(z, queries, k, metric, own)
    if len(close):
        own = own if own is None else own[close]
        index[close], again, _ = _search(z.double(), queries[close].double(), k, metric, own)
        value[close] = again.to(value)
    return index, value.to(kept)


def _products_are_short(device: torch.device) -> bool:
    """Whether a GPU multiplies float32 in TF32: its 10 bits can tell hardly any neighbour from the next."""
    return device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision not in ("ieee", "none")


def _search(z: Tensor, queries: Tensor, k: int, metric: str, own: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """:func:`neighbours` in the precision of ``z``, and the queries [some] whose k-th that cannot tell from the next.

    ``own``: the row of ``z`` that each query is, which does not count.
    """
    scale = None
    if metric == "cosine":
        z, queries = unit_rows(z), unit_rows(queries)
        half_square = 0.0
    else:  # of nearest a, a·q − |a|²/2 is largest; centred, so that the difference loses less to rounding
        scale = torch.maximum(size_of(z), size_of(queries))  # squares of huge values would leave the range of floats
        z, queries = z / scale, queries / scale
        z, queries = z - z.mean(dim=0), queries - z.mean(dim=0)
        half_square = z.square().sum(dim=1) / 2
    # one buffer for all blocks: freed and asked for again between small results, each would leave a hole in the heap
    index = torch.empty(len(queries), k, dtype=torch.long, device=z.device)
    value, buffer, close = z.new_empty(len(queries), k), None, torch.zeros_like(index[:, 0], dtype=torch.bool)
    others = len(z) - (own is not None)
    for start, block in blocks(queries, len(z)):
        at = slice(start, start + len(block))
        buffer = z.new_empty(len(block), len(z)) if buffer is None else buffer[: len(block)]
        near = torch.mm(block, z.T, out=buffer).sub_(half_square)
        if own is not None:
            near.scatter_(1, own[at, None], -torch.inf)
        best, found = near.topk(min(k + 1, others), dim=1)
        value[at], index[at] = best[:, :k], found[:, :k]
        if k < others and z.dtype == torch.float32:
            close[at] = best[:, k - 1] - best[:, k] <= _rounding(block, z[found[:, k]])
        if scale is not None:
            value[at] = _distances(block, z, index[at])
    if scale is not None:
        order = value.argsort(dim=1, stable=True)
        index, value = index.gather(1, order), value.gather(1, order) * scale
    return index, value, close.nonzero()[:, 0]


def _rounding(a: Tensor, b: Tensor) -> Tensor:
    """What two of the sums in a·b − |b|²/2 may differ by without being different, for rows of a and b."""
    return 4 * torch.finfo(a.dtype).eps * a.shape[1] ** 0.5 * (a.square().sum(dim=1) + b.square().sum(dim=1))


@checked(numbers=False)
def knn_probe(z: Tensor, y: Tensor, split: Split, k: int = 20, temperature: float | None = 0.1) -> Score:
    """Test accuracy of a vote among the k most similar train rows (Wu et al. 2018, "InstDisc", section 3.4).

    Cosine similarity; each neighbour's vote weighs exp(similarity / temperature), or 1 when ``temperature`` is None.
    The lowest class wins a tied vote. The paper used k = 200 and temperature 0.07.

    Args:
        z: [items, dim] embeddings.
        y: [items] integer classes.
        split: the train rows vote, the test rows are scored; validation rows are not used.
        k: neighbours that vote, at most the train rows of a split.
        temperature: τ > 0, or None for a plain majority.

    Returns:
        Score over splits; ``details`` holds "predictions" [splits, items], −1 where an item is not scored.

    Cost: time O(splits · n_test · n_train · dim), memory O(n_test · k) and a block of 2^23 numbers.

    Raises:
        ValueError: as :func:`linear_probe`; ``k`` above the train rows, ``temperature`` ≤ 0.

    Example:
        >>> print(knn_probe(z, images.labels, Split.public(images), k=20))
    """
    return KNNProbe(k, temperature)(z, y, split)


@checked(numbers=False)
@dataclass(frozen=True)
class KNNProbe:
    """The options of :func:`knn_probe` as a value, checked when it is made; call it with (z, y, split)."""

    k: int = 20
    temperature: float | None = 0.1

    def __post_init__(self):
        require_counts(k=self.k)
        if self.temperature is not None:
            require_positive("temperature", self.temperature)

    def check(self, y: Tensor, split: Split) -> None:
        """Refuse labels or a split that the probe can't work with."""
        check_labels(y, split)
        if self.k > split.train.shape[1]:
            raise ValueError(f"k must be at most the {split.train.shape[1]} train rows of a split, not {self.k}")

    def __call__(self, z: Tensor, y: Tensor, split: Split) -> Score:
        z, y, split = check_probe(z, y, split, self.check)
        kinds, place = y.unique(return_inverse=True)  # in their order; numbers may be as large as they like
        predictions = torch.full((len(split), len(z)), -1, dtype=torch.long, device=z.device)
        for train, test, predicted in zip(split.train, split.test, predictions, strict=True):
            index, similarity = neighbours(z[train], self.k, "cosine", queries=z[test])
            weight = torch.ones_like(similarity)
            if self.temperature is not None:  # less the largest: the same vote, and exp stays in range
                weight = ((similarity - similarity[:, :1]) / self.temperature).exp()
            votes = weight.new_zeros(len(test), len(kinds)).scatter_add_(1, place[train][index], weight)
            predicted[test] = kinds[votes.argmax(dim=1)]
        return accuracy(self, predictions, y, split)

    def __str__(self) -> str:
        vote = "majority" if self.temperature is None else f"votes exp(similarity / {self.temperature:g})"
        return f"{self.k}-NN by cosine, {vote}"


def blocks(queries: Tensor, columns: int) -> Iterator[tuple[int, Tensor]]:
    """Rows of ``queries``, as many at a time as fill a block with ``columns`` numbers each: (first position, rows)."""
    rows = max(1, _ELEMENTS // columns)
    for start in range(0, len(queries), rows):
        yield start, queries[start : start + rows]


def _distances(queries: Tensor, z: Tensor, index: Tensor) -> Tensor:
    """From differences, which keep what the expanded square loses where neighbours are close: [queries, k]."""
    columns = index.split(max(1, _ELEMENTS // (len(queries) * z.shape[1])), dim=1)
    return torch.cat([(z[part] - queries[:, None]).norm(dim=2) for part in columns], dim=1)
