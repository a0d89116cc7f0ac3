"""Losses between an item and its target: no batch, no negatives. Cost O(n·dim)."""

from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_pair, require_positive
from labkit.losses._precision import unit_rows


@checked(numbers=False)
def byol(p: Tensor, z: Tensor) -> Float[Tensor, ""]:
    """BYOL and SimSiam: 2 − 2·cos of a prediction and its target (Grill et al. 2020, equation 2).

    No gradient flows into ``z``. The mean over items; SimSiam's negative cosine (Chen & He 2021, equation 1) is half of
    it less one: ``byol(p, z) / 2 - 1``. Symmetrise by hand: ``byol(p1, z2) + byol(p2, z1)``.

    Args:
        p, z: [n, dim] predictions and targets.

    Raises:
        ValueError: other shapes, NaN or infinite rows.
    """
    require_pair("p", p, "z", z, items=1)
    return 2 - 2 * _cosine(p, z.detach()).mean()


@checked(numbers=False)
def scaled_cosine_error(x: Tensor, y: Tensor, gamma: float = 3) -> Float[Tensor, ""]:
    """GraphMAE's reconstruction error: mean of (1 − cos(x_i, y_i))^γ (Hou et al. 2022, equation 2).

    γ > 1 weighs down items that are nearly right. γ = 1 is BYOL's loss over 2, with gradients into both.

    Args:
        x, y: [n, dim] originals and reconstructions.
        gamma: γ > 0. Below 1 the gradient grows without bound where an item comes near; one that is met has none.

    Raises:
        ValueError: other shapes, NaN or infinite rows, ``gamma`` ≤ 0.
    """
    require_pair("x", x, "y", y, items=1)
    require_positive("gamma", gamma)
    gap = 1 - _cosine(x, y)
    met = gap <= 0
    return gap.masked_fill(met, 1.0).pow(gamma).masked_fill(met, 0.0).mean()  # a power below 1 has no gradient at 0


def _cosine(x: Tensor, y: Tensor) -> Float[Tensor, " n"]:
    """0 where a row is zero, with a gradient as of a row of length one: torch's is 1e8 times that."""
    return (unit_rows(x) * unit_rows(y)).sum(1)
