"""InfoNCE in its two common forms, exact at any temperature, in memory that grows with n and not n².

Both losses are ``logsumexp(similarities) − similarity of the positive``. The log-sum-exp is where the n × n matrix
would be: the tiled form (Yang et al. 2025, "Inf-CL", section 3) keeps one number a row in the forward pass and
makes each tile of similarities again in the backward pass.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from labkit._checks import require_pair, require_positive

DENSE_ROWS = 1024  # below this many rows the whole matrix is small change and autograd's own path is as quick
TILE = {"cpu": 512, "cuda": 4096}  # rows and columns of a tile: 1 MB in a core's cache, 64 MB on a GPU


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.5, block: int | None = None) -> Float[Tensor, ""]:
    """NT-Xent of two views of the same items (Chen et al. 2020, "SimCLR", equation 1 and algorithm 1).

    Each of the 2n views is told from the 2n − 2 views of other items: cosine similarity, the view itself left out of
    the denominator, mean over all 2n. GRACE's node loss (Zhu et al. 2020, equations 1 and 2) is the same number.
    lightly's ``NTXentLoss`` and solo-learn's ``simclr_loss_func`` give the same value (factor 1).

    Args:
        a, b: [n, dim] embeddings of the two views, row i of both from item i; n ≥ 2. Normalised here.
        temperature: τ > 0; exact down to 0.01 and below.
        block: rows of a tile. None: dense up to 1 024 views, tiles of 512 above. At least 2n: dense.

    Cost: time O(n²·dim); extra memory O(n·dim + block²) tiled, O(n²) dense. The tiled form is differentiable once.
    Under ``torch.autocast`` in bfloat16 the products of the tiled form run in bfloat16, everything else in float32.

    Raises:
        ValueError: other shapes, fewer than two items, NaN or infinite rows, ``temperature`` ≤ 0, ``block`` < 1.

    Example:
        >>> loss = nt_xent(projector(encoder(view_a)), projector(encoder(view_b)), temperature=0.5)
    """
    require_pair("a", a, "b", b, items=2)
    _check(temperature, block)
    z = _unit_rows(torch.cat([a, b]))
    positive = (z[: len(a)] * z[len(a) :]).sum(dim=1).mean() / temperature
    return _log_sum_exp_of_others(z, float(temperature), block).mean() - positive


def info_nce(queries: Tensor, keys: Tensor, temperature: float = 0.1, block: int | None = None) -> Float[Tensor, ""]:
    """InfoNCE of queries against keys, positives on the diagonal, one direction (van den Oord et al. 2018, eq. 4).

    Row i of ``queries`` is to be matched with row i of ``keys`` among all n keys; cosine similarity; mean over n.
    CLIP's loss is the mean of ``info_nce(q, k)`` and ``info_nce(k, q)``.

    Args:
        queries, keys: [n, dim]; n ≥ 2. Normalised here.
        temperature: τ > 0; exact down to 0.01 and below.
        block: rows of a tile. None: dense up to 1 024 rows, tiles of 512 above. At least n: dense.

    Cost: time O(n²·dim); extra memory O(n·dim + block²) tiled, O(n²) dense. The tiled form is differentiable once.
    Under ``torch.autocast`` in bfloat16 the products of the tiled form run in bfloat16, everything else in float32.

    Raises:
        ValueError: other shapes, fewer than two rows, NaN or infinite rows, ``temperature`` ≤ 0, ``block`` < 1.

    Example:
        >>> loss = info_nce(predictor(online), target, temperature=0.2)
    """
    require_pair("queries", queries, "keys", keys, items=2)
    _check(temperature, block)
    q, k = _unit_rows(queries), _unit_rows(keys)
    positive = (q * k).sum(dim=1).mean() / temperature
    return _log_sum_exp_of_keys(q, k, float(temperature), block).mean() - positive


def _unit_rows(rows: Tensor) -> Tensor:
    """Rows of length one, at least in float32: half precision is for products, never for the sums."""
    return F.normalize(rows if rows.dtype == torch.float64 else rows.float(), dim=1)


def _log_sum_exp_of_others(z: Tensor, temperature: float, block: int | None) -> Tensor:
    """log Σ_{j≠i} exp(z_i·z_j / τ) for unit rows z: [m, dim] -> [m]."""
    if _dense(len(z), block):
        similarity = z @ z.T / temperature
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        return similarity.masked_fill(itself, -torch.inf).logsumexp(dim=1)
    return _TiledOthers.apply(z, temperature, block or TILE.get(z.device.type, 4096))


def _log_sum_exp_of_keys(q: Tensor, k: Tensor, temperature: float, block: int | None) -> Tensor:
    """log Σ_j exp(q_i·k_j / τ) for unit rows: [n, dim], [m, dim] -> [n]."""
    if _dense(len(q), block):
        return (q @ k.T / temperature).logsumexp(dim=1)
    return _TiledKeys.apply(q, k, temperature, block or TILE.get(q.device.type, 4096))


def _dense(rows: int, block: int | None) -> bool:
    return rows <= DENSE_ROWS if block is None else block >= rows


class _Tiles:
    """Tiles exp((similarity − shift)) of two sets of unit rows, written into one buffer.

    For unit rows a similarity lies in ±1/τ. While the exponent's whole range 2/τ fits into the floating-point type,
    one shift by 1/τ serves every row, so that one exponential gives a tile's row sums and its column sums. At lower
    temperatures each row and column needs its own maximum: ``shift`` is None and callers work on the logits.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, temperature: float, block: int):
        self.buffer = torch.empty(block * block, dtype=dtype, device=device)
        self.scale = temperature**-0.5
        self.shift = 1 / temperature if 2 / temperature < _exponent_range(dtype) else None
        # under bfloat16 autocast the products run in it (same range of exponents); sums stay in `dtype`
        half = torch.is_autocast_enabled(device.type) and torch.get_autocast_dtype(device.type)
        self.product = torch.bfloat16 if half is torch.bfloat16 else dtype

    def operand(self, rows: Tensor) -> Tensor:
        return (rows * self.scale).to(self.product)

    def __call__(self, rows: Tensor, columns: Tensor, diagonal: bool = False) -> Tensor:
        tile = self.buffer[: len(rows) * len(columns)].view(len(rows), len(columns))
        if rows.dtype == tile.dtype:
            torch.mm(rows, columns.T, out=tile)
        else:
            tile.copy_(rows @ columns.T)
        if diagonal:
            tile.fill_diagonal_(-torch.inf)
        return tile if self.shift is None else tile.sub_(self.shift).exp_()


def _exponent_range(dtype: torch.dtype) -> float:
    return {torch.float64: 600.0}.get(dtype, 80.0)


class _TiledOthers(torch.autograd.Function):
    """Upper-triangle tiles of the symmetric similarity matrix: each serves its rows and its columns."""

    @staticmethod
    def forward(ctx, z: Tensor, temperature: float, block: int) -> Tensor:
        tiles = _Tiles(z.dtype, z.device, temperature, block)
        parts, starts = tiles.operand(z).split(block), range(0, len(z), block)
        exact = tiles.shift is None
        total = z.new_full((len(z),), -torch.inf) if exact else z.new_zeros(len(z))
        sums = list(total.split(block))
        for i, _ in enumerate(starts):
            for j in range(i, len(parts)):
                tile = tiles(parts[i], parts[j], diagonal=i == j)
                if exact:
                    torch.logaddexp(sums[i], tile.logsumexp(1), out=sums[i])
                    if i != j:
                        torch.logaddexp(sums[j], tile.logsumexp(0), out=sums[j])
                else:
                    sums[i] += tile.sum(1)
                    if i != j:
                        sums[j] += tile.sum(0)
        result = total if exact else total.log() + tiles.shift
        ctx.save_for_backward(z, result)
        ctx.settings, ctx.tiles = (block, temperature), tiles
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        z, log_sum = ctx.saved_tensors
        block, temperature = ctx.settings
        tiles, exact = ctx.tiles, ctx.tiles.shift is None
        parts, gradient = tiles.operand(z).split(block), torch.zeros_like(z)
        into = gradient.split(block)
        # p_ij = exp(s_ij − lse_i): with the shared shift it is the tile times a factor of its row
        logs = (log_sum if exact else upstream * (tiles.shift - log_sum).exp()).split(block)
        weight = upstream.split(block)
        for i in range(len(parts)):
            for j in range(i, len(parts)):
                tile = tiles(parts[i], parts[j], diagonal=i == j)
                if exact:
                    of_rows = (tile - logs[i][:, None]).exp_().mul_(weight[i][:, None])
                    tile = tile.sub_(logs[j]).exp_().mul_(weight[j]).add_(of_rows)
                else:
                    tile.mul_(logs[i][:, None] + logs[j])
                tile = tile.to(tiles.product)
                into[i].add_(tile @ parts[j])
                if i != j:
                    into[j].add_(tile.T @ parts[i])
        return gradient.mul_(temperature**-0.5), None, None


class _TiledKeys(torch.autograd.Function):
    """Row-wise log-sum-exp over keys, tile by tile, with a running maximum (exact at any temperature)."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, temperature: float, block: int) -> Tensor:
        tiles = _Tiles(q.dtype, q.device, temperature, block)
        exact = tiles.shift is None
        keys = tiles.operand(k).split(block)
        total = q.new_full((len(q),), -torch.inf) if exact else q.new_zeros(len(q))
        for rows, sums in zip(tiles.operand(q).split(block), total.split(block), strict=True):
            for columns in keys:
                tile = tiles(rows, columns)
                if exact:
                    torch.logaddexp(sums, tile.logsumexp(1), out=sums)
                else:
                    sums += tile.sum(1)
        result = total if exact else total.log() + tiles.shift
        ctx.save_for_backward(q, k, result)
        ctx.settings, ctx.tiles = (block, temperature), tiles
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor):
        q, k, log_sum = ctx.saved_tensors
        block, temperature = ctx.settings
        tiles, exact = ctx.tiles, ctx.tiles.shift is None
        dq, dk = torch.zeros_like(q), torch.zeros_like(k)
        factor = (upstream if exact else upstream * (tiles.shift - log_sum).exp()).split(block)
        logs = log_sum.split(block)
        keys, into_keys = tiles.operand(k).split(block), dk.split(block)
        for i, (rows, into) in enumerate(zip(tiles.operand(q).split(block), dq.split(block), strict=True)):
            for columns, into_columns in zip(keys, into_keys, strict=True):
                tile = tiles(rows, columns)
                if exact:
                    tile.sub_(logs[i][:, None]).exp_()
                tile = tile.mul_(factor[i][:, None]).to(tiles.product)
                into.add_(tile @ columns)
                into_columns.add_(tile.T @ rows)
        scale = temperature**-0.5
        return dq.mul_(scale), dk.mul_(scale), None, None


def _check(temperature: float, block: int | None) -> None:
    require_positive("temperature", temperature)
    if block is not None and block < 1:
        raise ValueError(f"block must be at least 1 row, not {block}")
