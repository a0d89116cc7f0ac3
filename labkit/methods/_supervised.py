"""The ceiling: what the same encoder learns from the same images when it is told their classes."""

from collections.abc import Callable

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import may_look
from labkit.methods._two_view import TwoView


@checked(numbers=False)
class Supervised(TwoView):
    """One view of each image, a linear classifier on the encoder's output, cross-entropy.

    Trained with the views and the budget of a self-supervised recipe and scored by its probe, it says what that encoder
    reaches there when it is told. A method that is given more epochs may pass it.

    Args:
        encoder, view: as in ``TwoView``; each image is seen once a step.
        labels: [items] class of every training image, from 0.

    A batch is (images, their rows): ``Minibatches(images, size, numbered=True)``.

    Raises:
        ValueError: labels that are no classes; batches without rows, or with rows that have no label.
    """

    def __init__(self, encoder: nn.Module, view: Callable[[Tensor], Tensor], labels: Int64[Tensor, " items"]):
        if len(labels) == 0 or int(labels.min()) < 0:
            raise ValueError("labels must hold a class from 0 upwards for each training image")
        super().__init__(encoder, nn.Linear(encoder.dim, int(labels.max()) + 1), view, F.cross_entropy)
        self.register_buffer("labels", labels)

    def forward(self, batch: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
        images, rows = batch
        if may_look(rows):
            self._require_labels(rows)
        h = self.encoder(self.view(images))
        self.seen = {"h": (h.detach(),)}
        return self.loss(self.projector(h), self.labels[rows])

    def check(self, batch) -> None:
        if not isinstance(batch, tuple):
            raise ValueError("Supervised needs to know which images it sees: Minibatches(images, size, numbered=True)")
        super().check(batch[0])
        self._require_labels(batch[1])

    def _require_labels(self, rows: Tensor) -> None:
        if int(rows.max()) >= len(self.labels):
            raise ValueError(f"there are {len(self.labels)} labels, but a batch holds row {int(rows.max())}")
