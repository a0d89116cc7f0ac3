"""InfoNCE in its two common forms, exact at any temperature, in memory that grows with n and not n²."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from labkit._arguments import checked
from labkit._checks import require_pair, require_positive
from labkit._processes import mean_over_processes
from labkit.losses._precision import unit_rows
from labkit.losses._tiles import Products, log_sums


@checked(numbers=False)
def nt_xent(
    a: Tensor, b: Tensor, temperature: float = 0.5, block: int | None = None, ring: bool = False
) -> Float[Tensor, ""]:
    """NT-Xent of two views of the same items (Chen et al. 2020, "SimCLR", equation 1 and algorithm 1).

    Each of the 2n views is told from the 2n − 2 views of other items: cosine similarity, the view itself left out of
    the denominator, mean over all 2n. GRACE's node loss (Zhu et al. 2020, equations 1 and 2) is the same number.
    lightly's ``NTXentLoss`` and solo-learn's ``simclr_loss_func`` give the same value (factor 1).

    Args:
        a, b: [n, dim] embeddings of the two views, row i of both from item i; n ≥ 2. Normalised here.
        temperature: τ > 0; exact down to 0.01 and below.
        block: rows of a tile. None: dense up to 1 024 views, tiles of 512 above (4 096 on a GPU). At least 2n: dense.
        ring: the rows are this process's share of the batch, equally many in each; the loss is that of the whole batch.

    Cost: time O(n²·dim); extra memory O(n·dim + block²) tiled, and up to 64 MB of tiles kept for the backward pass;
    O(n²) dense. The tiled form is differentiable once. Of a ring of p processes each takes time O(n²·dim / p) and
    memory O(n·dim / p + block²) and those 64 MB.
    Precision: both forms agree to 1e-10 in float64 and 1e-5 in float32 (from τ = 0.01 up; below, logits of 1/τ are
    themselves rounded to 6e-8/τ), value and gradient. Under ``torch.autocast`` in bfloat16 the products run in bfloat16
    and all sums in float32: at τ ≥ 0.1 value to 2e-3, gradient to 3e-2 of its length.

    Raises:
        ValueError: other shapes, fewer than two items, NaN or infinite rows, ``temperature`` ≤ 0, ``block`` < 1.

    Example:
        >>> loss = nt_xent(projector(encoder(view_a)), projector(encoder(view_b)), temperature=0.5)
    """
    require_pair("a", a, "b", b, items=2)
    require_positive("temperature", temperature)
    z = unit_rows(torch.cat([a, b])) * temperature**-0.5
    positive = (z[: len(a)] * z[len(a) :]).sum(dim=1)
    loss = _told_from_others(positive.repeat(2), z, None, len(a), temperature, block, ring)
    return mean_over_processes(loss, ring)


@checked(numbers=False)
def multi_view_nt_xent(*views: Tensor, temperature: float = 0.5) -> Float[Tensor, ""]:
    """The mean of NT-Xent over all pairs of several views (Tian et al. 2020, "CMC": its full graph).

    ``mean(nt_xent(a, b, temperature) for a, b in combinations(views, 2))``, from one matrix of products instead of one
    a pair. Of the same number of encoded images, more views of fewer images teach more where training is short (Shidani
    et al. 2024, "Poly-View Contrastive Learning").

    Args:
        views: two or more, each [n, dim], row i of all from item i; n ≥ 2. Normalised here.
        temperature: τ > 0.

    Cost: time O(d²·n²·dim), memory O(d²·n²) for d views. Under ``torch.autocast`` in bfloat16 as :func:`nt_xent`.

    Raises:
        ValueError: one view, other shapes, fewer than two items, NaN or infinite rows, ``temperature`` ≤ 0.

    Example:
        >>> loss = multi_view_nt_xent(*projector(encoder(torch.cat(views))).chunk(len(views)), temperature=0.2)
    """
    if len(views) < 2:
        raise ValueError(f"multi_view_nt_xent compares at least 2 views, not {len(views)}; hand them in one by one")
    for number, view in enumerate(views[1:], start=1):
        require_pair("view 0", views[0], f"view {number}", view, items=2)
    require_positive("temperature", temperature)
    d, n = len(views), len(views[0])
    z = unit_rows(torch.cat(views)) * temperature**-0.5
    products, of_views = Products(z), z.view(d, n, -1)
    logits = products(z, z).view(d, n, d, n)
    if products.precision is not products.dtype:  # positives as they are, for the reason of _told_from_others
        with torch.autocast(z.device.type, enabled=False):
            exact = torch.einsum("ikc,jkc->ijk", of_views, of_views)
        logits = logits.diagonal_scatter(exact, dim1=1, dim2=3)
    positive = logits.diagonal(dim1=1, dim2=3)  # [d, d, n]: of item k in views i and j
    itself = torch.eye(d * n, dtype=torch.bool, device=z.device).view(d, n, d, n)
    sums = logits.masked_fill(itself, -torch.inf).logsumexp(3)  # of k in i with all others in j
    within = sums.diagonal(dim1=0, dim2=2).T[..., None]  # [d, n, 1]: with those in i itself
    total = sums.logaddexp(within).transpose(1, 2)  # the denominator of k in view i, for the pair of i and j
    pairs = 1 - torch.eye(d, dtype=z.dtype, device=z.device)[..., None]
    return ((total - positive) * pairs).sum() / (d * (d - 1) * n)


@checked(numbers=False)
def info_nce(
    queries: Tensor, keys: Tensor, temperature: float = 0.1, block: int | None = None, ring: bool = False
) -> Float[Tensor, ""]:
    """InfoNCE of queries against keys, positives on the diagonal, one direction (van den Oord et al. 2018, eq. 4).

    Row i of ``queries`` is to be matched with row i of ``keys`` among all n keys; cosine similarity; mean over n.
    CLIP's loss is the mean of ``info_nce(q, k)`` and ``info_nce(k, q)``.

    Args:
        queries, keys: [n, dim]; n ≥ 2. Normalised here.
        temperature: τ > 0; exact down to 0.01 and below.
        block: rows of a tile. None: dense up to 1 024 rows, tiles of 512 above (4 096 on a GPU). At least n: dense.
        ring: the rows are this process's share of the batch, equally many in each; the loss is that of the whole batch.

    Cost: time O(n²·dim), extra memory O(n·dim + block²) tiled, O(n²) dense. What it keeps, a ring and the precision
    are as in :func:`nt_xent`.

    Raises:
        ValueError: other shapes, fewer than two rows, NaN or infinite rows, ``temperature`` ≤ 0, ``block`` < 1.

    Example:
        >>> loss = info_nce(predictor(online), target, temperature=0.2)
    """
    require_pair("queries", queries, "keys", keys, items=2)
    require_positive("temperature", temperature)
    q, k = (unit_rows(torch.cat([queries, keys])) * temperature**-0.5).chunk(2)
    loss = _told_from_others((q * k).sum(dim=1), q, k, 0, temperature, block, ring)
    return mean_over_processes(loss, ring)


def _told_from_others(
    positive: Tensor,
    rows: Tensor,
    columns: Tensor | None,
    partner: int,
    temperature: float,
    block: int | None,
    ring: bool,
) -> Tensor:
    """The mean over rows of log Σ exp(logits) − positive, the logit of row i with column i + ``partner``.

    In bfloat16 the positive is left out of the products, and put back as it is: where views agree the two terms cancel,
    and a positive that was rounded in one of them only would leave nothing but its rounding.
    """
    products, how = Products(rows), {"bounds": (-1 / temperature, 1 / temperature), "block": block, "ring": ring}
    if products.precision is products.dtype:
        return log_sums(products, rows, columns, **how).mean() - positive.mean()
    return softplus(log_sums(products, rows, columns, partner=partner, **how) - positive).mean()
