"""Rate reduction: how many nats a set of vectors costs, whole and part by part (Yu et al. 2020, Chu et al. 2024)."""

from math import log, log1p

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_counts, require_matrix, require_positive


@checked
def coding_rate(z: Float[Tensor, "n dim"], eps2: float = 0.5) -> Float[Tensor, ""]:
    """R(Z) = ½ log det(I + dim / (n ε²) ZᵀZ): nats a vector when each is kept up to an error of ε² (MCR², equation 7).

    Args:
        z: [n, dim], rows; differentiable.
        eps2: ε², the squared error. CPP's code uses 0.1 wherever its flag says otherwise.

    Cost: time O(n · d · min(n, d)), the smaller of the two Gram matrices being taken.

    Raises:
        ValueError: NaN, ``eps2`` ≤ 0.
    """
    _check(z, eps2)
    return _half_logdet(z, z.shape[1] / (len(z) * eps2))


@checked
def rate_reduction(z: Float[Tensor, "n dim"], y: Int64[Tensor, " n"], eps2: float = 0.5) -> Float[Tensor, ""]:
    """ΔR = R(Z) − Σ_j (n_j / n) R(Z_j): what is saved by coding each class by itself (MCR², equation 8). ≥ 0.

    Args:
        z: [n, dim], differentiable. y: [n] integer classes. eps2: ε².

    Raises:
        ValueError: lengths differ, NaN, ``eps2`` ≤ 0.
    """
    _check(z, eps2)
    parts = [z[y == c] for c in y.unique()]
    compressed = torch.stack([len(part) / len(z) * coding_rate(part, eps2) for part in parts]).sum()
    return coding_rate(z, eps2) - compressed


@checked
def orthogonal_rate_reduction(classes: int, rank: int, dim: int, eps2: float = 0.5) -> float:
    """ΔR at the optimum: ``classes`` equally many unit vectors, isotropic in orthogonal subspaces of ``rank``.

    ½ k r log(1 + d / (k r ε²)) − ½ r log(1 + d / (r ε²)), for k r ≤ d (MCR², theorem 1, in closed form).

    Raises:
        ValueError: the subspaces do not fit into ``dim``, ``eps2`` ≤ 0.
    """
    require_positive("eps2", eps2)
    if min(classes, rank) < 1 or classes * rank > dim:
        raise ValueError(f"{classes} orthogonal subspaces of rank {rank} do not fit into {dim} dimensions")
    whole, part = (rank * n * log1p(dim / (n * rank * eps2)) / 2 for n in (classes, 1))
    return whole - part


@checked
def coding_length(z: Float[Tensor, "n dim"], y: Int64[Tensor, " n"], eps2: float = 0.1) -> float:
    """Nats for vectors and their classes: Σ_j (n_j + d)/2 · log det(I + d/(n_j ε²) Z_jᵀZ_j) + n_j log(n / n_j).

    Ma et al. 2007, equation 14, in nats. The second term pays for saying which class a vector is of; smallest at the
    number of classes that describes the data best (CPP, section 3.3).

    Args, Raises: as :func:`rate_reduction`; empty classes cost nothing.
    """
    _check(z, eps2)
    z, dim, total = z.detach().double(), z.shape[1], 0.0
    for c in y.unique():
        part = z[y == c]
        size = len(part)
        total += (size + dim) * _half_logdet(part, dim / (size * eps2)).item()
        total += size * log(len(z) / size)
    return total


@checked
def membership(
    z: Float[Tensor, "n dim"], temperature: float = 0.15, iterations: int = 1000, tolerance: float = 1e-10
) -> Float[Tensor, "n n"]:
    """Π [n, n]: exp(|z_i · z_j| / η) made doubly stochastic by Sinkhorn's iteration; rows add up to 1 (CPP, eq. 6).

    In logarithms, and in the symmetric form, so that Π is exactly symmetric at any η. The released code stops after
    five half steps (``max_iter=5``): its columns then add up to other numbers than its rows.

    Args:
        z: [n, dim]; normalised rows are what the paper has.
        temperature: η > 0.
        iterations, tolerance: stop when no row sum is farther from 1 than ``tolerance``, or after so many.

    Cost: time O(n² · (dim + iterations)), memory O(n²).

    Raises:
        ValueError: NaN, ``temperature`` ≤ 0, ``iterations`` < 1.
    """
    require_matrix("z", z, rows=2)
    require_positive("temperature", temperature)
    require_counts(iterations=iterations)
    z = z.detach().double()
    logits = (z @ z.T).abs() / temperature
    logits = (logits + logits.T) / 2  # equal to the last bit
    potential = torch.zeros_like(logits[0])
    for _ in range(iterations):
        row = (logits + (potential[:, None] + potential)).logsumexp(dim=1)
        potential = potential - row / 2  # the square root of a full step: symmetric, and it does not swing
        if row.exp().sub(1).abs().max() < tolerance:
            break
    return (logits + (potential[:, None] + potential)).exp()


def _half_logdet(z: Tensor, scale: float) -> Float[Tensor, ""]:
    gram = z.T @ z if z.shape[1] <= len(z) else z @ z.T  # both have the same non-zero eigenvalues
    identity = torch.eye(len(gram), dtype=z.dtype, device=z.device)
    factor, failed = torch.linalg.cholesky_ex(identity + scale * gram)
    lost = scale * gram.diagonal().max() * len(gram) * torch.finfo(z.dtype).eps
    if failed or lost > 1e-3:  # next to values this large rounding hides the identity; singular values keep it
        return (torch.log1p(scale * torch.linalg.svdvals(z.double()).square()).sum() / 2).to(z.dtype)
    return factor.diagonal().log().sum()


def _check(z: Tensor, eps2: float) -> None:
    require_positive("eps2", eps2)
    require_matrix("z", z.detach())
