"""Losses on the unit sphere: alignment, uniformity (Wang & Isola 2020), equivariance (CARE: Gupta et al. 2024)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_known, require_pair, require_positive
from labkit.losses._precision import unit_rows, without_autocast


@checked(numbers=False)
def alignment(a: Tensor, b: Tensor, alpha: float = 2) -> Float[Tensor, ""]:
    """Mean ‖a_i − b_i‖^alpha of unit vectors (section 4.1): 0 when both views of every item agree.

    The released ``align_loss`` gives the same on normalised rows, and on others whatever it gives; normalised here.

    Args:
        a, b: [n, dim], n ≥ 1.
        alpha: > 0. Below 1 the gradient grows without bound where two views meet.

    Raises:
        ValueError: other shapes, NaN or infinite rows, ``alpha`` ≤ 0.
    """
    require_pair("a", a, "b", b, items=1)
    require_positive("alpha", alpha)
    square = (unit_rows(a) - unit_rows(b)).square().sum(dim=1)
    return square.mean() if alpha == 2 else square.clamp(min=1e-30).pow(alpha / 2).mean()


@checked(numbers=False)
@without_autocast
def uniformity(z: Tensor, t: float = 2) -> Float[Tensor, ""]:
    """log of the mean of exp(−t‖z_i − z_j‖²) over pairs i < j of unit vectors (section 4.1): lower is more uniform.

    The released ``uniform_loss`` on normalised rows; normalised here. Its floor: ``theory.sphere.uniformity_floor``.

    Args:
        z: [n, dim], n ≥ 2; one view. The paper's loss is the mean over both views.
        t: > 0.

    Cost: time O(n² · dim), memory O(n²). Float32 at least, under ``torch.autocast`` too: of rows that lie close
    together a product in bfloat16 keeps nothing.

    Raises:
        ValueError: fewer than two rows, NaN or infinite rows, ``t`` ≤ 0.
    """
    require_pair("z", z, "z", z, items=2)
    require_positive("t", t)
    z = unit_rows(z)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logs = ((z @ z.T - 1) * (2 * t)).masked_fill(itself, -torch.inf)
    return logs.flatten().logsumexp(dim=0) - math.log(len(z) * (len(z) - 1))


@checked(numbers=False)
@without_autocast
def equivariance(a: Tensor, b: Tensor, chunks: int = 1, variant: str = "mean") -> Float[Tensor, ""]:
    """E[(a_i·a_j − b_i·b_j)²] over pairs i ≠ j of unit vectors: 0 iff one rotation takes a to b (CARE, equation 3).

    All items of a chunk must have had the same augmentation, which another chunk need not have had; a and b hold the
    embeddings under two such augmentations (or under one and under none).

    "mean" is the expectation above. "released" is the number of the authors' code, which sums over j and doubles:
    2(m − 1) times the mean for m items in a chunk, so that its weight depends on the chunk size (30 for chunks of 16,
    as on CIFAR; 62 for 32, as on STL-10).

    Args:
        a, b: [n, dim], normalised here; items of a chunk stand together.
        chunks: how many chunks of equal size, each of at least 2 items.

    Cost: time O(n · m · dim), memory O(n · m). Float32 at least, as in :func:`uniformity`.

    Raises:
        ValueError: other shapes, NaN or infinite rows, chunks that do not divide n or hold one item, another variant.
    """
    require_pair("a", a, "b", b, items=2)
    if chunks < 1 or len(a) % chunks or len(a) // chunks < 2:
        raise ValueError(f"chunks must divide the {len(a)} items into parts of at least 2, not {chunks}")
    require_known("variant", variant, ("mean", "released"))
    a, b = (unit_rows(z).unflatten(0, (chunks, -1)) for z in (a, b))
    size = a.shape[1]
    itself = torch.eye(size, dtype=torch.bool, device=a.device)
    gap = (a @ a.mT - b @ b.mT).masked_fill(itself, 0).square().sum()
    mean = gap / (chunks * size * (size - 1))
    return mean if variant == "mean" else 2 * (size - 1) * mean
