"""The spectral contrastive loss: a matrix factorisation of the augmentation graph."""

from jaxtyping import Float
from torch import Tensor

from labkit._checks import require_pair
from labkit.losses._precision import without_autocast


@without_autocast
def spectral_contrastive(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
    """−2·E[a_i·b_i] + E_{i≠j}[(a_i·b_j)²] (HaoChen et al. 2021, equation 6 and algorithm 1).

    The second mean is over the n(n − 1) pairs of different items, as in the paper's code, and is taken from the two
    dim × dim second moments: time O(n·dim²), memory O(dim²), no n × n matrix.

    Args:
        a, b: [n, dim], n ≥ 2, not normalised.

    Raises:
        ValueError: other shapes, one item, NaN or infinite rows.
    """
    require_pair("a", a, "b", b, items=2)
    n = len(a)
    positive = (a * b).sum(dim=1)
    all_pairs = ((a.T @ a) * (b.T @ b)).sum()
    return -2 * positive.mean() + (all_pairs - positive.square().sum()) / (n * (n - 1))
