"""Contrastive learning is spectral clustering on the pair graph (Tan et al. 2024)."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._checks import require_finite, require_positive


def laplacian(pi: Tensor) -> Float[Tensor, "n n"]:
    """D − (π + πᵀ)/2 for π [n, n], the Laplacian of the pair graph; D holds the row sums of the symmetric part.

    Raises:
        ValueError: π is not square, has negative, NaN or infinite entries.
    """
    _check(pi)
    symmetric = (pi + pi.T) / 2
    return torch.diag(symmetric.sum(dim=1)) - symmetric


def graph_infonce(pi: Tensor, z: Float[Tensor, "items dim"], tau: float) -> Float[Tensor, ""]:
    """Cross-entropy of two random graphs: pairs drawn from π against the kernel graph of z (theorem 3.1).

    H = −Σ_ij π_ij log(k_ij / Σ_{l≠i} k_il), k_ij = exp(−‖z_i − z_j‖² / 2τ), a sum over rows. On the unit sphere k is
    the kernel of InfoNCE with cosine similarity at temperature τ, and for the 2n × 2n graph that swaps the views of n
    items H / 2n is NT-Xent. For symmetric π with rows that sum to 1, H = tr(Zᵀ L Z) / τ + Σ_i log Σ_{l≠i} k_il.

    Args:
        pi: [n, n], π ≥ 0, zero diagonal: how often j is drawn as the positive of i.
        z: [n, dim] embeddings, normalised or not.
        tau: τ > 0.

    Cost: time O(n²·dim), memory O(n²).

    Raises:
        ValueError: π not square, negative or with a diagonal, z of another length, ``tau`` ≤ 0, NaN or infinite values.
    """
    _check(pi)
    require_positive("tau", tau)
    require_finite("z", z.detach())
    if len(z) != len(pi):
        raise ValueError(f"z must have a row for each of the {len(pi)} objects of pi, not {len(z)}")
    if pi.diagonal().any():
        raise ValueError("pi must have a zero diagonal: an object is not its own pair")
    log_kernel = -torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist").square() / (2 * tau)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_sum = log_kernel.masked_fill(itself, -torch.inf).logsumexp(dim=1)
    return (pi * (log_sum[:, None] - log_kernel)).sum()


def _check(pi: Tensor) -> None:
    if pi.dim() != 2 or pi.shape[0] != pi.shape[1] or len(pi) < 2:
        raise ValueError(f"pi must be square, at least 2 × 2, not {list(pi.shape)}")
    require_finite("pi", pi)
    if (pi < 0).any():
        raise ValueError(f"pi must hold probabilities or weights ≥ 0, not {pi.min().item()}")
