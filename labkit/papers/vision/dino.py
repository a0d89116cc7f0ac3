"""DINO: Emerging Properties in Self-Supervised Vision Transformers.

Mathilde Caron, Hugo Touvron, Ishan Misra, Hervé Jégou, Julien Mairal, Piotr Bojanowski, Armand Joulin. ICCV 2021.
https://arxiv.org/abs/2104.14294 · code: https://github.com/facebookresearch/dino
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.losses import dino
from labkit.methods import SelfDistillation
from labkit.models import MLP, Prototypes
from labkit.papers.vision._nuisance import against, against_raw, changed, family, of_images, patient


class DINO(SelfDistillation):
    """A student predicts the centred and sharpened distribution of its own running mean, the teacher (section 3.1).

    On a small residual network, which the paper trains too (section 4.1), and without its crops of several sizes; its
    head has no batch norm either. The representation is the student's, for comparison with the rest of the family; the
    paper takes the teacher's.

    Args:
        encoder, view: as in ``TwoView``.
        clusters: K, width of the distributions; the paper's is 65 536.
        momentum: of the teacher's weights; the paper's grows from 0.996 to 1.
        student_temperature, teacher_temperature: τ_s and τ_t; sharpening is τ_t < τ_s.
        center_momentum: of the running mean that is taken from the teacher's outputs; None: no centring.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        clusters: int = 256,
        momentum: float = 0.99,
        student_temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        center_momentum: float | None = 0.9,
    ):
        width = encoder.dim
        projector = nn.Sequential(
            MLP(width, 2 * width, width, layers=3, activation="gelu"), Prototypes(width, clusters)
        )
        super().__init__(encoder, projector, view, self.distil, momentum=momentum)
        self.temperatures, self.center_momentum = (student_temperature, teacher_temperature), center_momentum
        self.register_buffer("center", torch.zeros(clusters))
        self.outputs = None

    def distil(self, student: Tensor, teacher: Tensor) -> Tensor:
        return dino(student, teacher, self.center, *self.temperatures)

    def targets(self, views: Tensor, projected: Tensor) -> Tensor:
        self.outputs = super().targets(views, projected)
        return self.outputs

    def after_step(self) -> None:
        super().after_step()
        if self.center_momentum is not None:
            self.center.lerp_(gather(self.outputs).to(self.center.dtype).mean(0), 1 - self.center_momentum)


# On the validation images: 24.9 % with SimCLR's Adam at 4e-3 after 16 epochs; SGD at 0.1 gives 24.9, 35.2 after 48 and
# 66.6 after 150.
RECIPES = family("dino", of_images(DINO), **patient(150))
SMALL = RECIPES[1]
NO_CENTRE = changed(SMALL, center_momentum=None)
NOT_SHARP = changed(SMALL, teacher_temperature=0.1)


def information(lab: Lab, recipe) -> list[float]:
    """Nats that the student's cluster says about the image: entropy of its mean distribution less its mean entropy.

    0 under both collapses: the same cluster for all (the first is 0), or the uniform distribution for all (both are
    log K).
    """
    found = []
    for run in lab.runs(recipe):
        projected = run.method.projected(lab.material(recipe).items)
        share = (projected / run.method.temperatures[0]).double().softmax(1)
        entropy = torch.special.entr(share)
        found.append((torch.special.entr(share.mean(0)).sum() - entropy.sum(1).mean()).item())
    return found


@claim("Distilling one's own running mean beats raw pixels.", needs="nuisance-mnist", minutes=6)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "DINO")


@claim("Without centring the clusters say less about the image: one takes all (section 5.3, figure 7).",
       needs="nuisance-mnist", minutes=12, reported="KL and entropy go to 0 without it, section 5.3")  # fmt: skip
def centring_prevents_collapse(lab: Lab) -> Evidence:
    ours, without = (information(lab, recipe) for recipe in (SMALL, NO_CENTRE))
    return Evidence(ours, without, "centred", "not centred", "nats")


@claim("Without sharpening the clusters say less about the image: all are alike (section 5.3, figure 7).",
       needs="nuisance-mnist", minutes=12,
       reported="KL goes to 0 and entropy to log K without it, section 5.3")  # fmt: skip
def sharpening_prevents_collapse(lab: Lab) -> Evidence:
    ours, without = (information(lab, recipe) for recipe in (SMALL, NOT_SHARP))
    return Evidence(ours, without, "τ of the teacher 0.04", "0.1, as the student's", "nats")


@claim("Without centring the representation is worse (section 5.3).", needs="nuisance-mnist", minutes=12)
def centring_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, NO_CENTRE, "centred", "not centred")
