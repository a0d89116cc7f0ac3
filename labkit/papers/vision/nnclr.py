"""NNCLR: With a Little Help from My Friends. Nearest-Neighbor Contrastive Learning of Visual Representations.

Debidatta Dwibedi, Yusuf Aytar, Jonathan Tompson, Pierre Sermanet, Andrew Zisserman. ICCV 2021.
https://arxiv.org/abs/2104.14548
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from labkit._checks import require_known
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.losses import info_nce
from labkit.methods import Queue, SelfDistillation
from labkit.papers.vision._nuisance import against, against_raw, changed, family, head, of_images, patient

FRIENDS = ("nearest", "self", "random")


class NNCLR(SelfDistillation):
    """The positive of a view is the nearest neighbour of the other view among embeddings of earlier steps (section 3).

    Args:
        encoder, view: as in ``TwoView``.
        queue: embeddings that are kept; those of the first view are put there.
        temperature: τ of the InfoNCE over the batch (equation 3).
        friend: what stands for the other view: its "nearest" neighbour in the queue; it"self", which is contrast as in
            SimCLR; a "random" row of the queue.
        dim: of the projection; None: the encoder's.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        queue: int = 1024,
        temperature: float = 0.1,
        friend: str = "nearest",
        dim: int | None = None,
    ):
        require_known("friend", friend, FRIENDS)
        dim = encoder.dim if dim is None else dim
        super().__init__(encoder, head(encoder.dim, dim), view, self.contrast, predictor=head(dim, dim))
        self.queue, self.temperature, self.friend = Queue(queue, dim), temperature, friend
        self.first = None

    def contrast(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return info_nce(targets, predictions, self.temperature)

    def targets(self, views: Tensor, projected: Tensor) -> Tensor:
        own = projected.detach()
        self.first = own.chunk(2)[0]
        if self.friend == "self":
            return own
        if self.friend == "nearest":
            return self.queue.nearest(own)
        return self.queue.rows[torch.randint(len(self.queue.rows), (len(own),), device=own.device)]

    def after_step(self) -> None:
        self.queue.push(gather(self.first))


# On the validation images: 47.9 % with SimCLR's Adam at 4e-3 after 16 epochs; SGD at 0.1 gives 31.0, and 76.1 after 48.
RECIPES = family("nnclr", of_images(NNCLR), **patient(48))
SMALL = RECIPES[1]


@claim("Neighbours as positives beat raw pixels.", needs="nuisance-mnist", minutes=2)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "NNCLR")


@claim("The nearest neighbour is a better positive than the other view itself (table 5).",
       needs="nuisance-mnist", minutes=4, reported="75.6 against 71.7, abstract")  # fmt: skip
def neighbour_beats_self(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, friend="self"), "nearest neighbour", "the other view")


@claim("It has to be the nearest: random rows of the queue teach nothing.", needs="nuisance-mnist", minutes=2)
def nearest_beats_random(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, friend="random"), "nearest neighbour", "a random row")
