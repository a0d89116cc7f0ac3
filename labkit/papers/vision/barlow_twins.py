"""Barlow Twins: Self-Supervised Learning via Redundancy Reduction.

Jure Zbontar, Li Jing, Ishan Misra, Yann LeCun, Stéphane Deny. ICML 2021.
https://arxiv.org/abs/2103.03230 · code: https://github.com/facebookresearch/barlowtwins
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.losses import barlow_twins
from labkit.methods import TwoView
from labkit.papers.vision._nuisance import against, against_rank, against_raw, changed, family, head, of_images


class BarlowTwins(TwoView):
    """The cross-correlation of two views' projections is pulled to the identity (section 2.1).

    Args:
        encoder, view: as in ``TwoView``.
        dim: width of the projection; the paper's is 8 192, four times the encoder's.
        off_diagonal: λ, weight of the redundancy term.
    """

    def __init__(
        self, encoder: nn.Module, view: Callable[[Tensor], Tensor], dim: int = 256, off_diagonal: float = 5e-3
    ):
        loss = partial(barlow_twins, off_diagonal=off_diagonal)
        super().__init__(encoder, head(encoder.dim, dim, hidden=dim), view, loss)


RECIPES = family("barlow_twins", of_images(BarlowTwins))
SMALL = RECIPES[1]
REDUNDANT = changed(SMALL, off_diagonal=0.0)


@claim("Agreement of views and no redundancy beat raw pixels, without negatives.", needs="nuisance-mnist", minutes=1)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "Barlow Twins")


@claim("Without the redundancy term the projection uses fewer dimensions (table 5).",
       needs="nuisance-mnist", minutes=2, reported="in accuracy: 71.4 against 57.3, table 5")  # fmt: skip
def redundancy_term_keeps_rank(lab: Lab) -> Evidence:
    return against_rank(lab, SMALL, REDUNDANT, "λ = 0.005", "λ = 0")


@claim("Without the redundancy term the representation is worse (table 5).",
       needs="nuisance-mnist", minutes=2, reported="71.4 against 57.3, table 5")  # fmt: skip
def redundancy_term_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, REDUNDANT, "λ = 0.005", "λ = 0")


@claim("A wide projection beats a narrow one (section 4, figure 4).",
       needs="nuisance-mnist", minutes=2, reported="better with every width up to 16 384, figure 4")  # fmt: skip
def wide_projection_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, dim=32), "256 wide", "32 wide")
