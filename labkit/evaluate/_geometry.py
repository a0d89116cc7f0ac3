"""What an embedding looks like without labels: alignment, uniformity, effective rank, similarity of two, a map's trust.

All of it is worked out in float64 and without gradients.
"""

import math

import torch
from torch import Tensor

from labkit import losses
from labkit._arguments import checked
from labkit._checks import require_matrix, require_positive, require_same_shape
from labkit.evaluate._inputs import in_range, unit_rows
from labkit.evaluate._neighbours import blocks, neighbours


@checked(numbers=False)
def alignment(a: Tensor, b: Tensor, alpha: float = 2) -> float:
    """Mean ‖a_i − b_i‖^alpha of the unit vectors of two views of the same items (Wang & Isola 2020, section 4.1).

    0 when both views of an item agree; at alpha = 2, where it is 2 − 2 cos, 4 when they are opposite.

    Args:
        a, b: [items, dim], row i of both from item i. Normalised here.
        alpha: power of the distance, > 0.

    Raises:
        ValueError: other shapes, NaN, a row of zeros, ``alpha`` ≤ 0.

    Example:
        >>> alignment(method.embed(view(images)), method.embed(view(images)))
    """
    require_matrix("a", a)
    require_matrix("b", b)
    require_same_shape("a", a, "b", b)
    require_positive("alpha", alpha)
    a, b = _unit("a", a), _unit("b", b)
    if alpha == 2:
        return losses.alignment(a, b).item()
    return (a - b).norm(dim=1).pow(alpha).mean().item()  # the loss keeps away from 0 for its gradient's sake


@checked(numbers=False)
def uniformity(z: Tensor, t: float = 2) -> float:
    """log of the mean of exp(−t ‖z_i − z_j‖²) over pairs i < j of unit vectors (Wang & Isola 2020, section 4.1).

    0 when all items coincide; lower is more uniform. Read it beside :func:`uniformity_floor`: in d dimensions no
    distribution goes lower.

    Args:
        z: [items, dim]. Normalised here.
        t: > 0.

    Cost: time O(items² · dim), memory O(items · dim) and a block of 2^23 numbers.

    Raises:
        ValueError: fewer than two items, NaN, a row of zeros, ``t`` ≤ 0.

    Example:
        >>> uniformity(z) - uniformity_floor(z.shape[1])    # 0 is as uniform as the sphere allows
    """
    require_matrix("z", z, rows=2)
    require_positive("t", t)
    z = _unit("z", z)
    total = torch.tensor(-torch.inf, dtype=z.dtype, device=z.device)
    for start, block in blocks(z, len(z)):
        later = block @ z[start:].T  # pairs with an item of this block or of a later one
        row, column = torch.tril_indices(len(block), len(block), device=z.device)
        logs = (later - 1) * (2 * t)
        logs[row, column] = -torch.inf
        total = torch.logaddexp(total, logs.flatten().logsumexp(dim=0))
    return total.item() - math.log(len(z) * (len(z) - 1) / 2)


@checked(numbers=False)
def effective_rank(z: Tensor) -> float:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007; "RankMe" of Garrido et al. 2023).

    Between 1 (all rows on one line) and min(items, dim) (all singular values equal). The rows are not centred, as in
    both papers; pass ``z - z.mean(0)`` for the spread around the mean.

    Args:
        z: [items, dim], not all zero.

    Cost: time O(items · dim · min(items, dim)).

    Raises:
        ValueError: NaN, all zeros.

    Example:
        >>> effective_rank(run.snapshots[200])
    """
    require_matrix("z", z)
    values = torch.linalg.svdvals(in_range(z.detach().double()))
    if values[0] == 0:
        raise ValueError("z is zero everywhere; its effective rank is not defined")
    share = values / values.sum()
    return torch.special.entr(share).sum().exp().item()


@checked(numbers=False)
def cka(a: Tensor, b: Tensor) -> float:
    """Linear centred kernel alignment of two embeddings of the same items (Kornblith et al. 2019, equation 4).

    ‖BᵀA‖² / (‖AᵀA‖ ‖BᵀB‖) in Frobenius norms of centred A, B: between 0 and 1, 1 when one is a rotation and scaling of
    the other. The widths may differ.

    Args:
        a, b: [items, dim_a], [items, dim_b].

    Cost: time O(items · (dim_a + dim_b)²); no items × items matrix is formed.

    Raises:
        ValueError: another number of items, fewer than two, NaN, an embedding whose rows are all the same.

    Example:
        >>> cka(run.snapshots[0], run.snapshots[200])
    """
    require_matrix("a", a, rows=2)
    require_matrix("b", b, rows=2)
    if len(a) != len(b):
        raise ValueError(f"a and b must hold the same items, not {len(a)} and {len(b)} rows")
    a, b = (in_range(x.detach().double()) for x in (a, b))
    a, b = (x - x.mean(dim=0) for x in (a, b.to(a.device)))
    for name, x in (("a", a), ("b", b)):
        if x.abs().max() < 1e-14:  # what rounding leaves of a mean
            raise ValueError(f"all rows of {name} are the same: there is no variation to compare")
    a, b = a / a.norm(), b / b.norm()
    return min(1.0, ((b.T @ a).square().sum() / ((a.T @ a).norm() * (b.T @ b).norm())).item())


@checked(numbers=False)
def trustworthiness(z: Tensor, xy: Tensor, k: int = 15) -> float:
    """How far the neighbours on a map are neighbours in the original space (Venna & Kaski 2001).

    1 − 2 / (n k (2n − 3k − 1)) Σ_i Σ_j max(0, r(i, j) − k): j runs over the k nearest of i on the map, r is the rank of
    its distance in the original space. 1 when no neighbour on the map is a stranger. scikit-learn's number, except
    that points at equal distance share their mean rank there instead of a rank that depends on the sorting.

    Args:
        z: [items, dim] originals.
        xy: [items, dim_map] their map.
        k: neighbours on the map, fewer than half the items.

    Cost: time O(items² · (dim + k)), memory O(items · k) and a few blocks of 2^23 numbers.

    Raises:
        ValueError: another number of items, ``k`` below 1 or not below items / 2, NaN.

    Example:
        >>> trustworthiness(z, projection, k=15)
    """
    require_matrix("z", z)
    require_matrix("xy", xy)
    n = len(z)
    if len(xy) != n:
        raise ValueError(f"z and xy must hold the same items, not {n} and {len(xy)} rows")
    if not 1 <= k < n / 2:
        raise ValueError(f"k must be at least 1 and fewer than half of the {n} items, not {k}")
    near = neighbours(xy.double(), k, "euclidean")[0].to(z.device)
    z = in_range(z.detach().double())
    z = z - z.median(dim=0).values  # which one far item does not move
    square = z.square().sum(dim=1)
    strangers = 0.0
    for start, block in blocks(z, n):
        distance = torch.addmm(square, block, z.T, alpha=-2)  # less |z_i|², which changes no rank
        distance.diagonal(start).fill_(torch.inf)
        for j in near[start : start + len(block)].T:
            own = distance.gather(1, j[:, None])
            rounding = 1e-12 * (square[start : start + len(block)] + square[j])[:, None]  # closer ones are equal
            nearer, not_farther = distance < own - rounding, distance <= own + rounding
            rank = (nearer.sum(dim=1) + not_farther.sum(dim=1) + 1) / 2
            strangers += (rank - k).clamp(min=0).sum().item()
    return 1 - strangers * 2 / (n * k * (2 * n - 3 * k - 1))


def _unit(name: str, z: Tensor) -> Tensor:
    zero = (z == 0).all(dim=1).nonzero()
    if len(zero):
        raise ValueError(f"row {int(zero[0])} of {name} is zero and has no direction; leave it out")
    return unit_rows(z.detach().double())
