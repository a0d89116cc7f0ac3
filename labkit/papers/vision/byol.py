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
    changed,
    encoder_of,
    head,
    nuisance_recipe,
    nuisance_view,
    spread,
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
        super().__init__(encoder, projector or head(dim, dim), view, byol, predictor or head(dim, dim), momentum)


def _build(images, predictor: nn.Module | None = None, **changes) -> BYOL:
    return BYOL(encoder_of(images), nuisance_view(), predictor=predictor, **changes)


# One seed, k-NN on 800 of the training images: 23.5 % with SimCLR's Adam at 4e-3, 34.2 % with this.
RECIPES = [
    nuisance_recipe(
        "byol",
        _build,
        training={"epochs": 18, "optimizer": "sgd", "lr": 0.03, "weight_decay": 5e-4, "schedule": "cosine"},
        source="lightly's cifar10_benchmark.py (SGD, 0.06 for a batch of 128), by validation accuracy; SimCLR's views",
    )
]
NUISANCE = RECIPES[0]
NO_PREDICTOR = changed(NUISANCE, predictor=nn.Identity())


@claim("Predicting one's own slow copy beats raw pixels, without a single negative.", needs="nuisance-mnist", minutes=9)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, NUISANCE, "BYOL")


@claim("Without the predictor the projection collapses: its directions lie closer together (table 5b).",
       needs="nuisance-mnist", minutes=18)  # fmt: skip
def predictor_prevents_collapse(lab: Lab) -> Evidence:
    ours, without = (spread(lab.runs(recipe)) for recipe in (NUISANCE, NO_PREDICTOR))
    return Evidence(ours, without, "with predictor", "without", "spread of directions, 0 to 1")


@claim("Without the predictor the representation is worse (table 5b).", needs="nuisance-mnist", minutes=18)
def predictor_helps(lab: Lab) -> Evidence:
    return against(lab, NUISANCE, NO_PREDICTOR, "with predictor", "without")


@claim("A slowly moving target beats the network itself as its target (table 5a).", needs="nuisance-mnist", minutes=18)
def slow_target_helps(lab: Lab) -> Evidence:
    return against(lab, NUISANCE, changed(NUISANCE, momentum=None), "momentum 0.99", "stop-gradient alone")
