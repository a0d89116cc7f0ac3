"""The spectral contrastive loss: a matrix factorisation of the augmentation graph."""

from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_pair
from labkit._processes import mean_over_processes, processes, summed
from labkit.losses._precision import without_autocast


@checked(numbers=False)
@without_autocast
def spectral_contrastive(a: Tensor, b: Tensor, ring: bool = False) -> Float[Tensor, ""]:
    """−2·E[a_i·b_i] + E_{i≠j}[(a_i·b_j)²] (HaoChen et al. 2021, equation 6 and algorithm 1).

    The second mean is over the n(n − 1) pairs of different items, as in the paper's code. Σ_ij (a_i·b_j)² is the inner
    product of the two dim × dim second moments, so that no n × n matrix is needed, in tiles or whole; with fewer items
    than dimensions the n × n matrix is the smaller one, and is used.

    Args:
        a, b: [n, dim], n ≥ 2, not normalised.
        ring: a and b are this process's share of the batch, equally many in each; the loss is that of the whole batch.
            Nothing goes round: the moments of all processes are added.

    Cost: time O(n·dim·min(n, dim)), extra memory O(min(n, dim)²), at most that of a and b. Of p processes each has
    time O(n·dim² / p), memory O(n·dim / p + dim²).
    Precision: float32 at least, under ``torch.autocast`` too; rows in half precision are worked out in float32.

    Raises:
        ValueError: other shapes, one item, NaN or infinite rows.
    """
    require_pair("a", a, "b", b, items=2, power=4)
    together = processes() if ring else 1
    n = len(a) * together
    positive = (a * b).sum(dim=1)
    itself = mean_over_processes(positive.square().mean(), ring)
    if together == 1 and n < a.shape[1]:
        all_pairs = (a @ b.T).square().sum()
    else:
        moments = [summed(x.T @ x) if ring else x.T @ x for x in (a, b)]
        all_pairs = (moments[0] * moments[1]).sum()
    return -2 * mean_over_processes(positive.mean(), ring) + (all_pairs / n - itself) / (n - 1)
