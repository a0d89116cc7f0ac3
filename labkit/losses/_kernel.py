"""Kernel-InfoNCE: InfoNCE with other kernels than the Gaussian, and with sums of kernels (Tan et al. 2024)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit._checks import require_pair, require_positive, unknown

MIXTURES = ("sum", "concatenation", "concatenation (as released)", "losses (as released)")


def kernel_nt_xent(
    a: Tensor,
    b: Tensor,
    kernels: Sequence[tuple[float, float]] = ((2.0, 1.0),),
    mixture: str = "sum",
    weights: Sequence[float] | None = None,
) -> Float[Tensor, ""]:
    """Kernel-InfoNCE of two views: −log K(z_i, z_i⁺) / Σ_{l≠i} K(z_i, z_l), mean over all 2n (Tan et al. 2024).

    Each kernel is exp(−‖x − y‖^γ / τ) of unit vectors, 0 < γ ≤ 2; a (γ, τ) pair in ``kernels``. On the unit sphere
    γ = 2 at τ is cosine InfoNCE at τ/2: ``kernels=((2, 2 * t),)`` is :func:`nt_xent` at temperature t. Simple sum of
    the paper: ``((2, τ₂), (1, τ₁))``. The positive is in the denominator, the view itself is not.

    Args:
        a, b: [n, dim], row i of both from item i; n ≥ 2. Normalised here.
        kernels: (γ, τ) of each kernel.
        mixture: "sum": K = Σ_m w_m k_m, on the whole vector. "concatenation": the vector is cut into as many equal
            parts as there are kernels, each made a unit vector, and kernel m sees part m. "concatenation (as
            released)": one normalisation before the cut, so that parts share the length 1. "losses (as released)":
            Σ_m w_m InfoNCE_m, what the released code computes under the name "sum" (with one τ for both kernels).
        weights: w_m > 0, scaled to a sum of 1; None: all alike.

    Cost: time O(n²·dim), memory O(kernels · n²). Distances below 3e-4 (1e-8 in float64) count as that and have no
    gradient, since that of ‖·‖^γ is infinite at 0 for γ < 1.

    Raises:
        ValueError: other shapes, fewer than two items, NaN or infinite rows, γ outside (0, 2], τ ≤ 0, a dim that the
            parts don't share.

    Example:
        >>> loss = kernel_nt_xent(a, b, kernels=((2, 1.0), (1, 1.0)))  # Gaussian + Laplacian
    """
    require_pair("a", a, "b", b, items=2)
    parts = _check(a.shape[1], kernels, mixture, weights)
    z = torch.cat([a, b])
    z = z if z.dtype == torch.float64 else z.float()
    if mixture != "concatenation":
        z = F.normalize(z, dim=1)
    chunks = z.chunk(parts, dim=1) if parts > 1 else [z] * len(kernels)
    if mixture == "concatenation":
        chunks = [F.normalize(chunk, dim=1) for chunk in chunks]
    share = z.new_tensor(weights or [1.0] * len(kernels))
    share = share / share.sum()
    log_kernels = torch.stack([_log_kernel(c, *kernel) for c, kernel in zip(chunks, kernels, strict=True)])
    if mixture == "losses (as released)":
        return (share * _info_nce(log_kernels)).sum()
    return _info_nce((log_kernels + share.log()[:, None, None]).logsumexp(dim=0))


def _log_kernel(z: Tensor, gamma: float, tau: float) -> Tensor:
    """−‖z_i − z_j‖^γ / τ; the diagonal, which nobody reads, is kept off zero so that its gradient is finite."""
    length = z.square().sum(dim=1)
    square = torch.addmm(length[:, None] + length, z, z.T, alpha=-2).fill_diagonal_(1)
    return square.clamp(min=torch.finfo(z.dtype).eps).pow(gamma / 2) / -tau


def _info_nce(log_kernel: Float[Tensor, "*mixtures views views"]) -> Float[Tensor, "*mixtures"]:
    views = log_kernel.shape[-1]
    itself = torch.eye(views, dtype=torch.bool, device=log_kernel.device)
    total = log_kernel.masked_fill(itself, -torch.inf).logsumexp(dim=-1)
    positive = torch.cat([log_kernel.diagonal(s, -2, -1) for s in (views // 2, -(views // 2))], dim=-1)
    return (total - positive).mean(dim=-1)


def _check(dim: int, kernels: Sequence[tuple[float, float]], mixture: str, weights: Sequence[float] | None) -> int:
    """Into how many parts vectors are cut."""
    if mixture not in MIXTURES:
        raise ValueError(unknown("mixture", mixture, MIXTURES))
    if not kernels:
        raise ValueError("kernels is empty: name at least one (gamma, tau), e.g. ((2, 1.0),)")
    for gamma, tau in kernels:
        if not 0 < gamma <= 2:
            raise ValueError(f"gamma must lie in (0, 2], where the kernel is positive definite, not {gamma}")
        require_positive("tau", tau)
    if weights is not None and (len(weights) != len(kernels) or min(weights) <= 0):
        raise ValueError(f"weights must hold {len(kernels)} numbers > 0, one for each kernel, not {list(weights)}")
    parts = len(kernels) if mixture.startswith("concatenation") else 1
    if dim % parts:
        raise ValueError(f"a concatenation of {parts} kernels needs a dim that {parts} divides, not {dim}")
    return parts
