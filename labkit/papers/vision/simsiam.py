"""SimSiam: Exploring Simple Siamese Representation Learning.

Xinlei Chen, Kaiming He. CVPR 2021.
https://arxiv.org/abs/2011.10566 · code: https://github.com/facebookresearch/simsiam
"""

import statistics
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from labkit.claims import Evidence, Lab, claim
from labkit.losses import without_autocast
from labkit.methods import SelfDistillation
from labkit.models import MLP
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


class SimSiam(SelfDistillation):
    """A network predicts what it itself says of the other view; the stop-gradient alone prevents collapse (section 3).

    Args:
        encoder, view: as in ``TwoView``.
        dim: width of the projection, which ends in a batch norm without affine part.
        bottleneck: width inside the predictor, smaller than ``dim`` (section 3: a quarter).
        predictor: another one, for controls.
        stop_gradient: False for the control that collapses.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        dim: int = 128,
        bottleneck: int = 32,
        predictor: nn.Module | None = None,
        stop_gradient: bool = True,
    ):
        projector = nn.Sequential(head(encoder.dim, dim), nn.BatchNorm1d(dim, affine=False))
        predictor = MLP(dim, bottleneck, dim, norm="batch") if predictor is None else predictor
        super().__init__(encoder, projector, view, negative_cosine, predictor, stop_gradient=stop_gradient)


@without_autocast
def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """Equation 1: −cos, mean over items; between −1 and 1. Half of ``losses.byol`` less one, but for the stop-gradient,
    which is the method's here, so that it can be left out."""
    return -F.cosine_similarity(p, z, dim=1).mean()


# On the validation images SimCLR's Adam at 4e-3 gives 24.4 % after 16 epochs and 40.5 after 48; SGD at 0.1 gives 31.6,
# 44.5 and, after 150, 93.1; at 0.03 23.0 (16), at 0.3 34.9 (48).
RECIPES = family("simsiam", of_images(SimSiam), **patient(150))
SMALL = RECIPES[1]
NO_STOP = changed(SMALL, stop_gradient=False)
NO_PREDICTOR = changed(SMALL, predictor=nn.Identity())
AS_LONG_AS_SIMCLR = SMALL.with_training(epochs=16)


@claim("Two views of one network, no negatives, no momentum, beat raw pixels.", needs="nuisance-mnist", minutes=8)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "SimSiam")


@claim("Without the stop-gradient the projection collapses to a point (section 4.1, figure 2).",
       needs="nuisance-mnist", minutes=16, reported="spread 0 and loss −1 without it, figure 2")  # fmt: skip
def stop_gradient_prevents_collapse(lab: Lab) -> Evidence:
    return against_spread(lab, SMALL, NO_STOP, "stop-gradient", "none")


@claim("Without the stop-gradient the representation is worse (section 4.1, figure 2).",
       needs="nuisance-mnist", minutes=16, reported="67.7 against 0.1, figure 2")  # fmt: skip
def stop_gradient_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, NO_STOP, "stop-gradient", "none")


@claim("Without the predictor it does not work (section 4.2, table 1).",
       needs="nuisance-mnist", minutes=16, reported="67.7 against 0.1, table 1")  # fmt: skip
def predictor_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, NO_PREDICTOR, "with predictor", "without")


@claim("What it learns comes late: after as few steps as SimCLR's recipe takes it knows less (ours).",
       needs="nuisance-mnist", minutes=9)  # fmt: skip
def patience_helps(lab: Lab) -> Evidence:
    untrained = 100 * statistics.fmean(lab.scores(SMALL, embed=lambda run: run.snapshots[0]))
    note = f"On nuisance-mnist-small; untrained {untrained:.1f}."
    return against(lab, SMALL, AS_LONG_AS_SIMCLR, "150 epochs", "16 epochs", note=note)
