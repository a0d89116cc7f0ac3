"""VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning.

Adrien Bardes, Jean Ponce, Yann LeCun. ICLR 2022.
https://arxiv.org/abs/2105.04906 · code: https://github.com/facebookresearch/vicreg
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.losses import vicreg
from labkit.methods import TwoView
from labkit.papers.vision._nuisance import (
    against,
    against_rank,
    against_raw,
    against_spread,
    changed,
    family,
    head,
    of_images,
)


class VICReg(TwoView):
    """Views agree, every dimension keeps a variance of one, dimensions do not covary (section 4).

    Args:
        encoder, view: as in ``TwoView``.
        dim: width of the projection; the paper's is 8 192, four times the encoder's.
        invariance, variance, covariance: weights λ, μ, ν of the three terms.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        dim: int = 256,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
    ):
        loss = partial(vicreg, invariance=invariance, variance=variance, covariance=covariance)
        super().__init__(encoder, head(encoder.dim, dim, hidden=dim), view, loss)


RECIPES = family("vicreg", of_images(VICReg))
SMALL = RECIPES[1]
NO_VARIANCE = changed(SMALL, variance=0.0)
NO_COVARIANCE = changed(SMALL, covariance=0.0)


@claim("Invariance, variance and covariance beat raw pixels, without negatives.", needs="nuisance-mnist", minutes=1)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "VICReg")


@claim("Without the variance term the representation is worse: it collapses (table 7).",
       needs="nuisance-mnist", minutes=2, reported="68.6 against collapse, table 7")  # fmt: skip
def variance_term_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, NO_VARIANCE, "with variance", "without")


@claim("Without the variance term the directions of the projections lie closer together.",
       needs="nuisance-mnist", minutes=2, reported="in accuracy: 68.6 against collapse, table 7")  # fmt: skip
def variance_term_keeps_spread(lab: Lab) -> Evidence:
    return against_spread(lab, SMALL, NO_VARIANCE, "with variance", "without")


@claim("Without the covariance term the projection uses fewer dimensions (appendix D.4).",
       needs="nuisance-mnist", minutes=2, reported="in accuracy: 68.6 against 57.5, table 7")  # fmt: skip
def covariance_term_keeps_rank(lab: Lab) -> Evidence:
    return against_rank(lab, SMALL, NO_COVARIANCE, "with covariance", "without")
