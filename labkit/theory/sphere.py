"""The geometry of the sphere: how uniform points can be, and which rotation leads from one embedding to another."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import gammaln, logsumexp
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_counts


@checked
def uniformity_floor(dim: int, t: float = 2, items: int | None = None) -> float:
    """The lowest uniformity that vectors in ``dim`` dimensions can have: log(e^(−2t) ₀F₁(; dim/2; t²)).

    The uniform distribution on the sphere reaches it (Wang & Isola 2020, proposition 1); it falls to −2t as ``dim``
    grows. It bounds a distribution. The mean over pairs i < j, ``evaluate.uniformity``, leaves out the pairs of an item
    with itself, so that few items in many dimensions can lie below: give ``items`` for the bound that holds for so
    many.

    Args:
        dim: dimensions, at least 1.
        t: > 0.
        items: None for a distribution; n for the larger of log((n e^floor − 1) / (n − 1)), which is what is left when
            the n pairs with themselves are taken out, and −2t n / (n − 1) (Jensen: mean squared distances are at most
            2n / (n − 1)), which the n ≤ dim + 1 corners of a simplex reach.

    Raises:
        ValueError: ``dim`` < 1, ``t`` ≤ 0, ``items`` < 2.

    Example:
        >>> uniformity_floor(128)    # -3.9375
        >>> uniformity_floor(128, items=129)    # -4.03125, the simplex
    """
    require_between("t", t, 1e-30, 1e7)
    if dim < 1 or (items is not None and items < 2):
        raise ValueError(f"dim must be at least 1 and items at least 2, not dim={dim}, items={items}")
    # the series in logarithms: its terms are positive and largest before k = t, so nothing overflows or cancels
    k = np.arange(math.ceil(t + 20 * math.sqrt(t)) + 60)
    terms = 2 * k * math.log(t) - gammaln(k + 1) - (gammaln(dim / 2 + k) - gammaln(dim / 2))
    floor = float(logsumexp(terms)) - 2 * t
    if items is None:
        return floor
    simplex = -2 * t * items / (items - 1)
    rest = items * math.exp(floor) * (1 - 1e-12) - 1  # rounding must not lift a bound
    return max(simplex, math.log(rest / (items - 1))) if rest > 0 else simplex


@checked
def cosine_density(cosine: Float[Tensor, "*any"], dim: int) -> Float[Tensor, "*any"]:
    """Density of the cosine of two independent uniform points on the sphere: ∝ (1 − s²)^((dim − 3) / 2) on [−1, 1].

    Args:
        cosine: any shape, in [−1, 1]; the density is infinite at ±1 in two dimensions.
        dim: at least 2.

    Raises:
        ValueError: ``dim`` < 2.
    """
    require_counts(2, dim=dim)
    if (cosine.abs() > 1).any():
        raise ValueError(f"cosine must lie in [-1, 1], not {cosine[cosine.abs() > 1][0].item()}")
    norm = gammaln(dim / 2) - gammaln((dim - 1) / 2) - math.log(math.pi) / 2
    return math.exp(norm) * (1 - cosine.square()).pow((dim - 3) / 2)


@checked
def concentrated_points(
    items: int, dim: int, concentration: float = 0.0, generator: torch.Generator | None = None
) -> Float[Tensor, "items dim"]:
    """Unit vectors around the first axis: directions of a normal draw moved along it by ``concentration``.

    0 is the uniform distribution; at √dim the mean direction is as strong as all the rest. float64.
    """
    require_counts(items=items, dim=dim)
    require_between("concentration", concentration, -1e100, 1e100)  # squares of more overflow
    z = torch.randn(items, dim, generator=generator, dtype=torch.float64)
    z[:, 0] += concentration
    return torch.nn.functional.normalize(z, dim=1)


@checked
def wahba(
    source: Float[Tensor, "items dim"], target: Float[Tensor, "items dim"], proper: bool = False
) -> Float[Tensor, "dim dim"]:
    """The orthogonal R with Σ‖target_i − R source_i‖² smallest: R = U Vᵀ, where targetᵀ source = U S Vᵀ.

    Wahba 1965; Kabsch 1976; how CARE measures that an augmentation acts as a rotation (Gupta et al. 2024, section 5).
    With too few or flat sources R is not unique; then one of the minimisers.

    Args:
        source, target: [items, dim], row i of both from item i; not centred here.
        proper: det R = 1, without reflections (the last singular direction changes its sign).

    Cost: time O(items · dim² + dim³).

    Raises:
        ValueError: other shapes, NaN or infinite values.

    Example:
        >>> rotation = wahba(method.embed(images), method.embed(turn(images)))
        >>> rotation_angles(rotation)
    """
    _require_items("source", source)
    u, _, vt = torch.linalg.svd(target.T @ source)
    if proper and torch.linalg.det(u @ vt) < 0:
        u = torch.cat([u[:, :-1], -u[:, -1:]], dim=1)
    return u @ vt


@checked
def wahba_error(
    source: Float[Tensor, "items dim"], target: Float[Tensor, "items dim"], proper: bool = False
) -> Float[Tensor, ""]:
    """Mean ‖target_i − R source_i‖² at the best rotation: 0 when a rotation is all that happened.

    On unit vectors between 0 and 2 (of one dimension, where no ``proper`` rotation turns anything, up to 4); read it
    beside the same without a rotation, mean ‖target_i − source_i‖².

    Args, Raises: as :func:`wahba`.
    """
    rotation = wahba(source, target, proper)
    return (target - source @ rotation.T).square().sum(dim=1).mean()


@checked
def rotation_angles(rotation: Float[Tensor, "dim dim"]) -> Float[Tensor, " dim"]:
    """Angles of the eigenvalues e^(iθ) of an orthogonal matrix, in radians from −π to π, ascending.

    They come in pairs ±θ, one for each plane that turns; 0: a direction that stays, π: one that is reflected.
    """
    return torch.linalg.eigvals(rotation).angle().sort().values


@checked
def relative_equivariance(before: Float[Tensor, "items dim"], after: Float[Tensor, "items dim"]) -> Float[Tensor, ""]:
    """γ_f: how far an augmentation changes the distances between items (Gupta et al. 2024, section 5.1).

    Mean over pairs of (d'² − d²)² over mean of (d'² + d²)², with d, d' the distances of a pair before and after. 0 for
    every rotation, whatever its angle; at most 1. The wording of the denominator is from memory of the paper.

    Args:
        before, after: [items, dim], at least 2 items.

    Cost: time O(items² · dim), memory O(items²).

    Raises:
        ValueError: other shapes, fewer than two items, NaN or infinite values, all items in one point.
    """
    _require_items("before", before, 2)
    old, new = (torch.pdist(z).square() for z in (before, after))
    total = (new + old).square().sum()
    if total == 0:
        raise ValueError("all items lie in one point before and after: there is no distance to compare")
    return (new - old).square().sum() / total


class Composition(NamedTuple):
    """R_a, R_b, R_ab and ‖R_ab − R_a R_b‖ over what two unrelated rotations have on average, √(2 dim)."""

    first: Tensor
    second: Tensor
    both: Tensor
    error: float


@checked
def composition(
    origin: Float[Tensor, "items dim"],
    first: Float[Tensor, "items dim"],
    second: Float[Tensor, "items dim"],
    both: Float[Tensor, "items dim"],
) -> Composition:
    """Do recovered rotations multiply as the augmentations do: R_{a∘b} = R_a R_b?

    Args:
        origin, first, second, both: [items, dim] embeddings of x, a(x), b(x) and a(b(x)).

    Raises:
        ValueError: other shapes, NaN or infinite values.
    """
    a, b, ab = (wahba(origin, moved) for moved in (first, second, both))
    error = torch.linalg.matrix_norm(ab - a @ b) / math.sqrt(2 * len(a))
    return Composition(a, b, ab, error.item())


def _require_items(name: str, rows: Tensor, least: int = 1) -> None:
    if len(rows) < least or not rows.shape[1]:
        raise ValueError(f"{name} must hold at least {least} items of one dimension, not {list(rows.shape)}")
