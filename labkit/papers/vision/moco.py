"""MoCo: Momentum Contrast for Unsupervised Visual Representation Learning.

Kaiming He, Haoqi Fan, Yuxin Wu, Saining Xie, Ross Girshick. CVPR 2020. https://arxiv.org/abs/1911.05722
The head and the views are those of version 2, https://arxiv.org/abs/2003.04297 · code:
https://github.com/facebookresearch/moco
"""

from collections.abc import Callable

from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.losses import info_nce_queue
from labkit.methods import Queue, SelfDistillation
from labkit.models import MLP
from labkit.papers.vision._nuisance import against, against_raw, changed, family, of_images, patient


class MoCo(SelfDistillation):
    """A query finds its key, which a slowly moving copy of the encoder made, among the keys of earlier batches.

    Section 3.1: the loss is InfoNCE against a queue; section 3.2: the momentum encoder.

    Keys are made in one batch with its own statistics; the paper shuffles them over GPUs, so that a query cannot tell
    its key by the batch norm they share. On one device there is nothing to shuffle over, as in lightly and solo-learn.

    Args:
        encoder, view: as in ``TwoView``.
        projector: None: Linear-ReLU-Linear to the encoder's width.
        queue: keys that are kept.
        momentum: of the key encoder; the paper's 0.999 needs more steps than a laptop takes.
        temperature: τ.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        projector: nn.Module | None = None,
        queue: int = 1024,
        momentum: float = 0.99,
        temperature: float = 0.2,
    ):
        projector = MLP(encoder.dim, 2 * encoder.dim, encoder.dim) if projector is None else projector
        super().__init__(encoder, projector, view, self.contrast, momentum=momentum, symmetric=False)
        self.queue, self.temperature, self.keys = Queue(queue, projector.dim), temperature, None

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        self.keys = keys
        return info_nce_queue(queries, keys, self.queue.rows, self.temperature)

    def after_step(self) -> None:
        super().after_step()
        self.queue.push(self.keys)


# On the validation images: 25.9 % with SimCLR's Adam at 4e-3 after 16 epochs; SGD at 0.1 gives 31.9, and 66.6 after 48.
RECIPES = family("moco", of_images(MoCo), **patient(48))
SMALL = RECIPES[1]


@claim("Contrast with a queue of keys beats raw pixels.", needs="nuisance-mnist", minutes=2)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "MoCo")


@claim("More negatives help: a long queue beats a short one (section 4.1).",
       needs="nuisance-mnist", minutes=4,
       reported="60.6 with 65 536 keys against 59.0 with 4 096, section 4.1",
       why_not="keys are up to 16 steps old, and an image's own older key may be among them; not tested.")  # fmt: skip
def long_queue_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, queue=64), "1 024 keys", "64 keys, one batch")


@claim("The key encoder has to move slowly: without momentum, training fails (section 4.1).",
       needs="nuisance-mnist", minutes=4, reported="59.0 against no convergence, section 4.1")  # fmt: skip
def momentum_needed(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, momentum=0.0), "momentum 0.99", "none")
