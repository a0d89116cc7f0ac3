"""How far two representations of the same items depend on each other, whatever their widths."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import may_look, require_rows
from labkit.losses._precision import without_autocast


@checked(numbers=False)
@without_autocast
def distance_correlation(x: Tensor, y: Tensor) -> Float[Tensor, ""]:
    """Distance correlation of two representations (Székely, Rizzo & Bakirov 2007, definition 4).

    √(mean(A∘B) / √(mean(A∘A)·mean(B∘B))) with A and B the doubly centred matrices of Euclidean distances: between 0
    and 1; 1 when one is a rotation and scaling of the other, and, with enough items, 0 only when they are independent.
    MV-MR (Kinakh et al. 2024, section 3) minimises 1 − this. Its released code keeps every distance above 0.01,
    also that of an item to itself; here that one is zero, and so is its gradient.

    The plain estimate from n items is biased: of independent ones it is above 0, the more so the wider they are and the
    fewer. Compare it with its value for shuffled rows.

    Args:
        x: [n, dim_x], n ≥ 2. y: [n, dim_y], any width.

    Cost: time O(n²·(dim_x + dim_y)), memory O(n²).

    Raises:
        ValueError: other shapes, another number of items, NaN or infinite rows, items that are all the same.
    """
    for name, rows in (("x", x), ("y", y)):
        require_rows(name, rows)
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"x and y must hold the same items, at least 2, not {len(x)} and {len(y)}")
    a, b = _centred_distances(x), _centred_distances(y)
    aa, bb = a.square().mean(), b.square().mean()
    if may_look(x) and not (aa > 0 and bb > 0):
        raise ValueError(f"all rows of {'y' if aa > 0 else 'x'} are the same: there is nothing to depend on")
    share = (a * b).mean() / (aa.sqrt() * bb.sqrt())  # of a product of four lengths floats run out
    none = share <= 0
    return share.masked_fill(none, 1.0).sqrt().masked_fill(none, 0.0)  # a root has no gradient at 0


def _centred_distances(x: Tensor) -> Float[Tensor, "n n"]:
    x = x - x.mean(0)
    square = x.square().sum(1)
    squared = (square[:, None] + square - 2 * x @ x.T).clamp(min=0)
    # nearer than what rounding leaves of these two squares: no distance, and no gradient of a root at zero
    apart = squared > 8 * torch.finfo(x.dtype).eps * (square[:, None] + square)
    distance = torch.where(apart, squared, 1.0).sqrt() * apart
    rows = distance.mean(0)
    return distance - rows - rows[:, None] + rows.mean()
