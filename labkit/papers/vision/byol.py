"""BYOL: Bootstrap Your Own Latent. A New Approach to Self-Supervised Learning.

Jean-Bastien Grill, Florian Strub, Florent Altché, Corentin Tallec, Pierre Richemond and others. NeurIPS 2020.
https://arxiv.org/abs/2006.07733 · code: https://github.com/google-deepmind/deepmind-research/tree/master/byol
"""

from collections.abc import Callable

from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.losses import byol
from labkit.methods import SelfDistillation
from labkit.papers.vision._nuisance import (
    against,
    against_raw,
    against_spread,
    changed,
    family,
    head,
    of_images,
    patient,
)


class BYOL(SelfDistillation):
    """The online network predicts the target network's projection of another view; no negatives (section 3.1).

    The target's weights are a running mean of the online ones. The paper's momentum grows from 0.996 to 1; here it is
    constant.

    Args:
        encoder, view: as in ``TwoView``.
        projector, predictor: None: Linear-BN-ReLU-Linear to the encoder's width.
        momentum: of the target's weights; None: the target is the online network itself, behind the stop-gradient.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        projector: nn.Module | None = None,
        predictor: nn.Module | None = None,
        momentum: float | None = 0.99,
    ):
        dim = encoder.dim
        projector, predictor = (head(dim, dim) if part is None else part for part in (projector, predictor))
        super().__init__(encoder, projector, view, byol, predictor, momentum)


# On the validation images: 23.5 % with SimCLR's Adam at 4e-3 after 16 epochs, 34.2 with SGD at 0.03; SGD at 0.1 gives
# 53.0 after 48 and 90.5 after 150, at 0.3 51.7 after 48.
RECIPES = family("byol", of_images(BYOL), **patient(150))
SMALL = RECIPES[1]
NO_PREDICTOR = changed(SMALL, predictor=nn.Identity())


@claim("Predicting one's own slow copy beats raw pixels, without a single negative.", needs="nuisance-mnist", minutes=8)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "BYOL")


@claim("Without the predictor the projection collapses: its directions lie closer together (table 5b).",
       needs="nuisance-mnist", minutes=16, reported="collapse: accuracy 0.2 against 72.5, table 5b")  # fmt: skip
def predictor_prevents_collapse(lab: Lab) -> Evidence:
    return against_spread(lab, SMALL, NO_PREDICTOR, "with predictor", "without")


@claim("Without the predictor the representation is worse (table 5b).",
       needs="nuisance-mnist", minutes=16, reported="72.5 against 0.2, table 5b")  # fmt: skip
def predictor_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, NO_PREDICTOR, "with predictor", "without")


@claim("A slowly moving target beats the network itself as its target (table 5a).",
       needs="nuisance-mnist", minutes=16, reported="72.5 against 0.3, table 5a")  # fmt: skip
def slow_target_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, momentum=None), "momentum 0.99", "stop-gradient alone")
