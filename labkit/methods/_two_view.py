"""Two views of each image, pulled together by a loss that keeps them from collapsing."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labkit._arguments import checked
from labkit._processes import gather
from labkit.methods._method import Method, check_images, in_blocks, inference


@checked(numbers=False)
class TwoView(Method):
    """Encode two views of a batch of images, project, compare: SimCLR, Barlow Twins, VICReg, W-MSE differ in the loss.

    Both views go through the encoder as one batch, so that batch statistics are shared, as in SimCLR's code on one
    device; the code of the others encodes view by view. The representation is the encoder's output, before the
    projector (Chen et al. 2020, section 4.2). Under ``torchrun`` the loss is exactly that of the whole batch: every
    process gathers all projections, or, with ``ring``, keeps its own and sees those of the others in turn.

    Args:
        encoder: images [n, channels, h, w] in [0, 1] -> [n, dim].
        projector: [n, dim] -> [n, projected].
        view: images (uint8 or float) -> float images; called once for each view, each call draws anew for each image.
        loss: ([n, projected], [n, projected]) -> scalar; one argument for each view.
        evaluation_view: what images go through before ``embed``; None: scaled to [0, 1].
        views: of each image, at least 2.
        ring: memory of the loss falls with the number of processes; for losses that know ``ring=True``: ``nt_xent``,
            ``info_nce``, ``kernel_nt_xent``, ``spectral_contrastive``.

    Example:
        >>> method = TwoView(resnet8(), MLP(64, 128, 64), views.simclr(32), partial(nt_xent, temperature=0.5))
        >>> run = labkit.fit(method, Minibatches(images, 256), epochs=20)
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        view: Callable[[Tensor], Tensor],
        loss: Callable[..., Tensor],
        evaluation_view: Callable[[Tensor], Tensor] | None = None,
        views: int = 2,
        ring: bool = False,
    ):
        super().__init__()
        if views < 2:
            raise ValueError(f"views must be at least 2, not {views}: there is nothing to compare one with")
        if ring and "ring" not in inspect.signature(loss).parameters:
            raise ValueError(f"{loss} has no form for a ring of processes; use ring=False, which gathers")
        self.encoder, self.projector = encoder, projector
        self.view, self.loss, self.views, self.evaluation_view = view, loss, views, evaluation_view or scaled
        self.ring = ring

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        _, projected = self.encoded(self.viewed(images))
        parts = projected.chunk(self.views)
        return self.loss(*parts, ring=True) if self.ring else self.loss(*map(gather, parts))

    def viewed(self, images: Tensor) -> Tensor:
        """All views of a batch, one after the other: [views · n, channels, h, w]."""
        return torch.cat([self.view(images) for _ in range(self.views)])

    def encoded(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """(representation, projection); the first two views are kept for the history of the run."""
        h = self.encoder(views)
        z = self.projector(h)
        two = 2 * len(views) // self.views
        # Copies: a compiled step in parts hands out slices of z, and takes slices of z.detach() for slices of those.
        self.seen = {name: x.detach()[:two].clone().chunk(2) for name, x in (("h", h), ("z", z))}
        return h, z

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return in_blocks(lambda part: self.encoder(self.evaluation_view(part)).float(), images)

    @inference
    def projected(self, images: Tensor) -> Float[Tensor, "items projected"]:
        """What the loss sees: the projector's output, which is not the representation."""
        return in_blocks(lambda part: self.projector(self.encoder(self.evaluation_view(part))).float(), images)

    def check(self, images: Any) -> None:
        check_images(images)
        weights = next(self.encoder.parameters(), images)
        if images.dtype == torch.float64 != weights.dtype:
            raise ValueError(f"images are float64, the encoder is {weights.dtype}: hand in images.float()")
        if weights.dtype == torch.float64 != images.dtype:
            raise ValueError(f"the encoder is float64, images are {images.dtype}: hand in doubles, in [0, 1]")


def scaled(images: Tensor) -> Tensor:
    """uint8 to [0, 1]; floats as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images
