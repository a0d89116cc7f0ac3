"""How near an embedding is to collapse, cheap enough to be looked at in every epoch."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_matrix, require_same_shape
from labkit.evaluate._geometry import alignment, effective_rank, uniformity
from labkit.evaluate._inputs import unit_rows
from labkit.theory.sphere import uniformity_floor


@checked(numbers=False)
def collapse(a: Tensor, b: Tensor) -> tuple[dict[str, float], Float[Tensor, " dim"]]:
    """Diagnostics of two views of the same items, all of them of unit vectors; and the spectrum of their covariance.

    "alignment" and "uniformity" as the functions of these names; "uniformity_floor", the lowest that so many items can
    have in so many dimensions; "effective_rank" of the uncentred vectors (RankMe): 1 when all point one way.
    Eigenvalues of the covariance come in falling order and add up to the spread of the directions around their mean, 0
    (one point) to 1 (mean zero): complete collapse is a spectrum of zeros, dimensional collapse (Jing et al. 2022) one
    that falls to zero early.

    Items that are zero in a view have no direction and are left out; with fewer than two left, all numbers are NaN.

    Args:
        a, b: [items, dim].

    Cost: time O(items² · dim + items · dim²).

    Raises:
        ValueError: other shapes, NaN or infinite rows.
    """
    require_matrix("a", a)
    require_matrix("b", b)
    require_same_shape("a", a, "b", b)
    there = (a != 0).any(1) & (b != 0).any(1)
    a, b = (unit_rows(view.detach()[there].double()) for view in (a, b))
    if len(a) < 2:
        names = ("alignment", "uniformity", "uniformity_floor", "effective_rank")
        return dict.fromkeys(names, math.nan), torch.full((a.shape[1],), math.nan)
    both = torch.cat([a, b])
    centred = both - both.mean(0)
    facts = {
        "alignment": alignment(a, b),
        "uniformity": (uniformity(a) + uniformity(b)) / 2,
        "uniformity_floor": uniformity_floor(a.shape[1], items=len(a)),
        "effective_rank": effective_rank(both),
    }
    spectrum = torch.linalg.eigvalsh(centred.mT @ centred / len(both)).flip(0).clamp(min=0)
    return facts, spectrum.float().cpu()
