"""Row-wise log-sum-exp of an n × n matrix that is never held: tile by tile, and round a ring of processes.

The log-sum-exp is where a contrastive loss would hold all pairs at once. Here the forward pass keeps one number a row
and the backward pass makes each tile again (Cheng et al. 2024, "Inf-CL", section 3), but for those tiles that fit into
a fixed budget: to make them again is a fifth of the step's products.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from labkit._processes import passed_on, processes

DENSE_ROWS = 1024  # below this many rows the whole matrix is small change and autograd's own path is as quick
TILE = {"cpu": 512, "cuda": 4096}  # rows and columns of a tile: 1 MB in a core's cache, 64 MB on a GPU
KEPT = 2**26  # bytes of tiles that wait from the forward to the backward pass: all of them up to 5 400 rows in float32
_EXPONENTS = {torch.float64: 600.0}  # how far apart exponents may lie without under- or overflow; others: 80

Logits = Callable[[Float[Tensor, "m dim"], Float[Tensor, "k dim"]], Float[Tensor, "m k"]]


def log_sums(
    logits: Logits,
    rows: Float[Tensor, "n dim"],
    columns: Float[Tensor, "k dim"] | None = None,
    *,
    bounds: tuple[float, float],
    partner: int | None = None,
    block: int | None = None,
    ring: bool = False,
) -> Float[Tensor, "n"]:
    """log Σ_j exp(logits_ij) for each row i, in memory O(n·dim + block²) and 64 MB of tiles that are kept, exact.

    Args:
        logits: plain torch from some rows and some columns to all their pairs. Gradients flow into rows and columns,
            not into what else the function holds.
        columns: None: every other one of ``rows`` (i ≠ j). ``logits`` must then be symmetric, and each tile of the
            upper triangle serves its rows and its columns.
        bounds: between which all logits lie. While the type's exponents span them, one shift (to their middle) serves
            all rows, so that one exponential gives a tile's row sums and column sums.
        partner: the sum of row i leaves out column (i + partner) mod k, of those that are here. None: it has all.
        block: rows of a tile. None: dense up to 1 024 rows, else 512 on a CPU and 4 096 on a GPU. At least n: dense.
        ring: the rows and columns here are this process's share, equally many in each process. Columns go round; the
            sums are over those of all processes, in memory O(n·dim + block²) of the share's n.

    Raises:
        ValueError: ``block`` < 1.
    """
    if block is not None and block < 1:
        raise ValueError(f"block must be at least 1 row, not {block}")
    steps = processes() if ring else 1
    with torch.autocast(rows.device.type, enabled=False):
        if steps == 1 and (len(rows) <= DENSE_ROWS if block is None else block >= len(rows)):
            tile = logits(rows, rows if columns is None else columns)
            if columns is None:
                tile = tile.masked_fill(torch.eye(len(rows), dtype=torch.bool, device=rows.device), -torch.inf)
            if partner is not None:
                itself = torch.eye(tile.shape[1], dtype=torch.bool, device=rows.device)[: len(rows)]
                tile = tile.masked_fill(itself.roll(partner, 1), -torch.inf)
            return tile.logsumexp(dim=1)
        low, high = bounds
        shift = (low + high) / 2 if high - low < _EXPONENTS.get(rows.dtype, 80.0) else None
        block = block or TILE.get(rows.device.type, 4096)
        return _LogSums.apply(rows, columns, logits, shift, block, steps, partner)


class Products:
    """Dot products as ``logits``, in bfloat16 where autocast says so.

    Known by their class: their gradient is written out. Autograd would find it, too, but has to leave each tile as it
    is, where here it is written over.
    """

    def __init__(self, like: Tensor):
        device = like.device.type
        half = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) is torch.bfloat16
        self.dtype, self.precision = like.dtype, torch.bfloat16 if half else like.dtype

    def __call__(self, rows: Tensor, columns: Tensor) -> Tensor:
        return (rows.to(self.precision) @ columns.to(self.precision).T).to(self.dtype)


def _leave_out(tile: Tensor, i: slice, j: slice, partner: int, columns: int) -> None:
    """−inf at column (row + partner) mod ``columns`` of each row of a tile."""
    for away in (partner % columns, partner % columns - columns):
        first, last = max(i.start, j.start - away), min(i.stop, j.stop - away)
        if first < last:
            square = tile[first - i.start : last - i.start, first + away - j.start : last + away - j.start]
            square.fill_diagonal_(-torch.inf)


def _tiles(rows: int, columns: int, block: int, triangle: bool) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each tile; of a symmetric matrix those of the upper triangle."""
    for i in range(0, rows, block):
        for j in range(i if triangle else 0, columns, block):
            yield slice(i, min(i + block, rows)), slice(j, min(j + block, columns))


class _LogSums(torch.autograd.Function):
    """``log_sums`` by tiles. ``shift`` None: each row has its own maximum, and tiles are worked on as logarithms."""

    @staticmethod
    def forward(ctx, rows: Tensor, columns: Tensor | None, logits: Logits, shift: float | None, block: int, steps: int,
                partner: int | None):  # fmt: skip
        keys = rows if columns is None else columns
        left, right = (_operand(logits, side) for side in (rows, keys))
        total = rows.new_full((len(rows),), -torch.inf if shift is None else 0.0)
        kept, room = {}, KEPT if isinstance(logits, Products) and any(ctx.needs_input_grad) else 0
        for step in range(steps):
            right = passed_on(right) if step else right
            itself = columns is None and step == 0
            for i, j in _tiles(len(rows), len(keys), block, itself):
                tile = logits(left[i], right[j])
                if itself and i == j:
                    tile.fill_diagonal_(-torch.inf)
                if partner is not None and step == 0:
                    _leave_out(tile, i, j, partner, len(keys))
                if shift is not None:
                    tile = _exponentials(tile, shift)
                if tile.nbytes <= room:
                    room -= tile.nbytes
                    kept[step, i.start, j.start] = tile
                for part, dim in [(i, 1), (j, 0)] if itself and i != j else [(i, 1)]:
                    if shift is None:
                        total[part] = total[part].logaddexp(tile.logsumexp(dim))
                    else:
                        total[part].add_(tile.sum(dim))
        result = total if shift is None else total.log() + shift
        ctx.save_for_backward(rows, columns, result)
        ctx.settings = logits, shift, block, steps, partner
        ctx.kept = kept
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        with torch.autocast(upstream.device.type, enabled=False):
            return *_LogSums._gradients(ctx, upstream), None, None, None, None, None

    @staticmethod
    def _gradients(ctx, upstream: Tensor) -> tuple[Tensor, Tensor | None]:
        rows, columns, log_sum = ctx.saved_tensors
        logits, shift, block, steps, partner = ctx.settings
        keys = rows if columns is None else columns
        left, right = (_operand(logits, side) for side in (rows, keys))
        into_rows, into_keys = torch.zeros_like(rows), torch.zeros_like(keys)
        factor = None if shift is None else upstream * (shift - log_sum).exp()

        def share(tile: Tensor, part: slice, dim: int) -> Tensor:
            """Of upstream · exp(logit − log-sum), the factor that belongs to one side of a tile."""
            if factor is not None:
                return factor[part].unsqueeze(dim)
            return (tile - log_sum[part].unsqueeze(dim)).exp_().mul_(upstream[part].unsqueeze(dim))

        for step in range(steps):
            right = passed_on(right) if step else right
            itself = columns is None and step == 0
            for i, j in _tiles(len(rows), len(keys), block, itself):
                tile = ctx.kept.pop((step, i.start, j.start), None)  # it is written over: no second pass may find it
                if tile is not None:
                    pull = _pull_of_products(logits, left[i], right[j])
                else:
                    tile, pull = _with_pull(logits, left[i], right[j])
                    if partner is not None and step == 0:
                        _leave_out(tile, i, j, partner, len(keys))
                    tile = tile if shift is None else _exponentials(tile, shift)
                symmetric = itself and i == j  # what its columns get is in what its rows get
                weight = share(tile, i, 1)
                if itself:
                    weight = weight + share(tile, j, 0)
                if shift is not None:
                    weight = tile.mul_(weight)
                if symmetric:
                    weight.fill_diagonal_(0)
                pull(weight, into_rows[i], None if symmetric else into_keys[j])
            into_keys = passed_on(into_keys) if steps > 1 else into_keys  # after the last step they are at home
        if columns is None:
            return into_rows.add_(into_keys), None
        return into_rows, into_keys


def _operand(logits: Logits, rows: Tensor) -> Tensor:
    """Rows as their products take them, converted once and not tile by tile."""
    return rows.detach().to(logits.precision) if isinstance(logits, Products) else rows.detach()


def _exponentials(tile: Tensor, shift: float) -> Tensor:
    """exp(tile − shift), written over the tile."""
    return (tile.sub_(shift) if shift else tile).exp_()  # a pass less where bounds are symmetric, as of cosines


def _with_pull(logits: Logits, rows: Tensor, columns: Tensor) -> tuple[Tensor, Callable]:
    """A tile that may be written over, and what adds its gradient to that of its rows and, unless None, its columns."""
    if isinstance(logits, Products):
        return logits(rows, columns), _pull_of_products(logits, rows, columns)
    sides = rows.requires_grad_(), columns.requires_grad_()
    with torch.enable_grad():
        tile = logits(*sides)

    def by_autograd(weight: Tensor, into_rows: Tensor, into_columns: Tensor | None):
        into = (into_rows,) if into_columns is None else (into_rows, into_columns)
        for total, found in zip(into, torch.autograd.grad(tile, sides[: len(into)], weight), strict=True):
            total.add_(found)

    return tile.detach().clone(), by_autograd


def _pull_of_products(logits: Products, rows: Tensor, columns: Tensor) -> Callable:
    def written_out(weight: Tensor, into_rows: Tensor, into_columns: Tensor | None):
        weight = weight.to(logits.precision)
        _add_product(into_rows, weight, columns)
        if into_columns is not None:
            _add_product(into_columns, weight.T, rows)

    return written_out


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """total += a @ b, where the types agree within the product."""
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total.add_(a @ b)
