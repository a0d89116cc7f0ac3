"""Kernel-InfoNCE: InfoNCE with other kernels than the Gaussian, and with sums of kernels (Tan et al. 2024)."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_known, require_pair, require_positive
from labkit._processes import mean_over_processes
from labkit.losses._precision import unit_rows, without_autocast
from labkit.losses._tiles import log_sums

MIXTURES = ("sum", "concatenation", "concatenation (as released)", "losses (as released)")


@checked(numbers=False)
@without_autocast
def kernel_nt_xent(
    a: Tensor,
    b: Tensor,
    kernels: Sequence[tuple[float, float]] = ((2.0, 1.0),),
    mixture: str = "sum",
    weights: Sequence[float] | None = None,
    block: int | None = None,
    ring: bool = False,
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
        block, ring: as in :func:`nt_xent`: rows of a tile; rows are this process's share of the batch.

    Cost: time O(n²·dim); extra memory O(n·dim + kernels · block²) tiled, O(kernels · n²) dense. The tiled form is
    differentiable once. Distances below 3e-4 (1e-8 in float64) count as that and have no gradient, since that of ‖·‖^γ
    is infinite at 0 for γ < 1.
    Precision: both forms agree to 1e-10 in float64 and 1e-5 in float32, value and gradient. Rows in half precision are
    worked out in float32, under ``torch.autocast`` too: a small distance is a difference of nearly equal numbers.

    Raises:
        ValueError: other shapes, fewer than two items, NaN or infinite rows, γ outside (0, 2], τ ≤ 0, a dim that the
            parts don't share, ``block`` < 1.

    Example:
        >>> loss = kernel_nt_xent(a, b, kernels=((2, 1.0), (1, 1.0)))  # Gaussian + Laplacian
    """
    require_pair("a", a, "b", b, items=2)
    parts = _check(a.shape[1], kernels, mixture, weights)
    z = torch.cat([a, b])
    if mixture == "concatenation":
        z = unit_rows(z.unflatten(1, (parts, -1))).flatten(1)
    else:
        z = unit_rows(z)
    weights = [1.0] * len(kernels) if weights is None else weights
    shares = [weight / sum(weights) for weight in weights]
    if mixture == "losses (as released)":
        losses = [_info_nce(z, [kernel], [1.0], parts, block, ring) for kernel in kernels]
        return sum(share * loss for share, loss in zip(shares, losses, strict=True))
    return _info_nce(z, kernels, shares, parts, block, ring)


def _info_nce(z: Tensor, kernels, shares, parts: int, block: int | None, ring: bool) -> Float[Tensor, ""]:
    """−log K(z, z⁺) / Σ K(z, other) of unit rows, where K = Σ share · kernel, each kernel on its part of the row."""

    def log_kernel(rows: Tensor, columns: Tensor) -> Tensor:
        return mix([_squares(x, y) for x, y in zip(rows.chunk(parts, 1), columns.chunk(parts, 1), strict=True)])

    def mix(squares: list[Tensor]) -> Tensor:
        logs = [
            square.clamp(min=torch.finfo(z.dtype).eps).pow(gamma / 2) / -tau + math.log(share)
            for square, (gamma, tau), share in zip(squares * (len(kernels) // parts), kernels, shares, strict=True)
        ]
        return logs[0] if len(logs) == 1 else torch.stack(logs).logsumexp(dim=0)

    n = len(z) // 2
    positive = mix([part.square().sum(dim=1) for part in (z[:n] - z[n:]).chunk(parts, 1)]).mean()
    lowest = max(math.log(share) - 2**gamma / tau for (gamma, tau), share in zip(kernels, shares, strict=True))
    total = log_sums(log_kernel, z, bounds=(lowest, 0.0), block=block, ring=ring)
    return mean_over_processes(total.mean() - positive, ring)


def _squares(x: Float[Tensor, "m dim"], y: Float[Tensor, "k dim"]) -> Float[Tensor, "m k"]:
    """‖x_i − y_j‖²."""
    lengths = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    return torch.addmm(lengths, x, y.T, alpha=-2)


def _check(dim: int, kernels: Sequence[tuple[float, float]], mixture: str, weights: Sequence[float] | None) -> int:
    """Into how many parts vectors are cut."""
    require_known("mixture", mixture, MIXTURES)
    if not kernels:
        raise ValueError("kernels is empty: name at least one (gamma, tau), e.g. ((2, 1.0),)")
    for gamma, tau in kernels:
        if not 0 < gamma <= 2:
            raise ValueError(f"gamma must lie in (0, 2], where the kernel is positive definite, not {gamma}")
        require_positive("tau", tau)
    if weights is not None and (len(weights) != len(kernels) or not all(0 < weight < math.inf for weight in weights)):
        raise ValueError(f"weights must hold {len(kernels)} numbers > 0, one for each kernel, not {list(weights)}")
    parts = len(kernels) if mixture.startswith("concatenation") else 1
    if dim % parts:
        raise ValueError(f"a concatenation of {parts} kernels needs a dim that {parts} divides, not {dim}")
    return parts
