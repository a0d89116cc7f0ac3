"""Losses against embeddings that were kept from earlier steps: a bank of all items, a queue of the last ones."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import require_between, require_pair, require_positive, require_rows
from labkit.losses._precision import unit_rows, without_autocast


@checked(numbers=False)
@without_autocast
def info_nce_queue(
    queries: Tensor, keys: Tensor, queue: Float[Tensor, "m dim"], temperature: float = 0.07
) -> Float[Tensor, ""]:
    """InfoNCE of each query and its key against a queue of other keys (He et al. 2020, "MoCo", equation 1).

    log(1 + Σ_j exp((q·queue_j − q·k) / τ)), mean over the queries; cosine similarity. No gradient flows into ``keys``
    or ``queue``, as in the paper. The released code, lightly (``NTXentLoss`` with a memory bank) and solo-learn give
    the same value (factor 1). The other keys of the batch are no negatives here; see ``info_nce`` for that.

    Args:
        queries, keys: [n, dim]. Normalised here.
        queue: m ≥ 1 negatives, shared by all queries. Normalised here.
        temperature: τ > 0.

    Cost: time and memory O(n·m).

    Raises:
        ValueError: other shapes, an empty queue, NaN or infinite rows, ``temperature`` ≤ 0.
    """
    require_pair("queries", queries, "keys", keys, items=1)
    require_positive("temperature", temperature)
    require_rows("queue", queue)
    if len(queue) < 1 or queue.shape[1] != queries.shape[1]:
        raise ValueError(f"queue must be [m, {queries.shape[1]}] with m ≥ 1, not {list(queue.shape)}")
    q, k, others = map(unit_rows, (queries, keys.detach(), queue.detach()))
    positive = (q * k).sum(1, keepdim=True)
    return (torch.cat([positive, q @ others.T], 1) / temperature).logsumexp(1).mean() - positive.mean() / temperature


@checked(numbers=False)
@without_autocast
def nce(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor,
    items: int,
    temperature: float = 0.07,
    partition: float | Tensor | None = None,
) -> Float[Tensor, ""]:
    """Noise-contrastive estimation against a memory bank (Wu et al. 2018, "InstDisc", equations 4 to 7).

    Which entry of the bank is the query's own is a classification among ``items``; its softmax,
    P(i | v) = exp(v·f_i / τ) / Z, is replaced by telling the own entry from m uniformly drawn ones:
    −log h(own) − Σ_j log(1 − h(j)) with h = P / (P + m / items), mean over queries. The released code gives the same
    value up to the 1e-7 it adds to the denominators; it sets Z once, from the first batch, with the positives among the
    draws. No gradient flows into the bank.

    Args:
        queries: [n, dim] embeddings. Normalised here.
        positives: [n, dim] their own entries of the bank.
        negatives: [n, m, dim] entries drawn for each query, or [m, dim] for all of them.
        items: entries of the whole bank.
        temperature: τ > 0.
        partition: Z; None: its estimate from these draws, items · mean exp(v·f / τ), without gradient (equation 8).

    Cost: time O(n·m·dim), memory O(n·m), and [n, m, dim] where the negatives are not shared.

    Raises:
        ValueError: other shapes, NaN or infinite rows, ``temperature`` or ``partition`` ≤ 0, fewer than 2 items.
    """
    logits = _bank_logits(queries, positives, negatives, temperature)
    require_between("items", items, 2, math.inf)
    m = logits.shape[1] - 1
    if partition is None:
        drawn = logits[:, 1:].detach().flatten()
        log_partition = drawn.logsumexp(0) + math.log(items / len(drawn))
    else:
        if isinstance(partition, Tensor) and partition.numel() != 1:
            raise ValueError(f"partition must be one number, not {list(partition.shape)}")
        require_positive("partition", float(partition))
        log_partition = torch.as_tensor(partition, dtype=logits.dtype, device=logits.device).reshape(()).log()
    score = logits - log_partition - math.log(m / items)  # log of P / (m / items): h is its sigmoid
    return F.softplus(-score[:, 0]).mean() + F.softplus(score[:, 1:]).sum(1).mean()


def _bank_logits(queries: Tensor, positives: Tensor, negatives: Tensor, temperature: float) -> Float[Tensor, "n draws"]:
    require_pair("queries", queries, "positives", positives, items=1)
    require_positive("temperature", temperature)
    n, dim = queries.shape
    if (
        negatives.shape[-1:] != (dim,)
        or negatives.dim() not in (2, 3)
        or (negatives.dim() == 3 and len(negatives) != n)
    ):
        raise ValueError(f"negatives must be [{n}, m, {dim}] or [m, {dim}], not {list(negatives.shape)}")
    if not negatives.numel():
        raise ValueError("negatives is empty; draw at least one entry of the bank")
    require_rows("negatives", negatives.flatten(0, -2))
    q, own, drawn = map(unit_rows, (queries, positives.detach(), negatives.detach()))
    others = q @ drawn.T if drawn.dim() == 2 else torch.einsum("nd,nmd->nm", q, drawn)
    return torch.cat([(q * own).sum(1, keepdim=True), others], 1) / temperature
