"""A network that predicts what another one, or it itself a moment ago, says of another view of the same image."""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labkit._arguments import checked
from labkit._checks import require_between
from labkit._processes import gather
from labkit.methods._two_view import TwoView


@checked(numbers=False)
class SelfDistillation(TwoView):
    """Each of two views, encoded and projected, predicts the target's projection of the other.

    The family of MoCo, BYOL, SimSiam, DINO and NNCLR: they differ in the target (a running mean of the network's own
    weights, or the network itself behind a stop-gradient, or its nearest neighbour in a queue), in whether a predictor
    stands before the loss, and in the loss. Without predictor, without target weights of its own, and with
    ``stop_gradient=False`` it is ``TwoView``.

    Args:
        encoder, projector, view, evaluation_view: as in ``TwoView``.
        loss: (prediction, target) -> scalar, one direction; the method takes the mean over both.
        predictor: [n, projected] -> [n, projected]; None: the projection itself.
        momentum: None: the target is the network itself. Else the target's weights move to (1 − momentum) · network +
            momentum · target after each step, and start as a copy; its batch statistics are its own.
        stop_gradient: whether the target is a constant; False is for controls.
        symmetric: False: the first view predicts, the target says of the second, as in MoCo v1 and v2; it needs
            ``momentum``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        view: Callable[[Tensor], Tensor],
        loss: Callable[[Tensor, Tensor], Tensor],
        predictor: nn.Module | None = None,
        momentum: float | None = None,
        stop_gradient: bool = True,
        symmetric: bool = True,
        evaluation_view: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__(encoder, projector, view, loss, evaluation_view)
        self.predictor = predictor or nn.Identity()
        self.momentum, self.stop_gradient, self.symmetric = momentum, stop_gradient, symmetric
        self.target_network = None
        if momentum is None and not symmetric:
            raise ValueError("symmetric=False leaves one view to the target: it needs a momentum")
        if momentum is not None:
            require_between("momentum", momentum, 0, 1)
            if not stop_gradient:
                raise ValueError("a momentum target takes no gradient: leave stop_gradient=True or momentum=None")
            self.target_network = copy.deepcopy(nn.Sequential(encoder, projector)).requires_grad_(False)

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        views = self.viewed(images)
        if not self.symmetric:
            mine, other = views.chunk(2)
            h = self.encoder(mine)
            projected, target = self.projector(h), self.targets(other, None)
            self.seen = {"h": (h.detach(),), "z": (projected.detach(), target)}
            return self.loss(gather(self.predictor(projected)), gather(target))
        _, projected = self.encoded(views)
        targets = [gather(part) for part in self.targets(views, projected).chunk(2)]
        predictions = [gather(part) for part in self.predictor(projected).chunk(2)]
        return (self.loss(predictions[0], targets[1]) + self.loss(predictions[1], targets[0])) / 2

    def targets(self, views: Tensor, projected: Tensor | None) -> Tensor:
        """[views, projected], from the views and, where the target is the network itself, from what it made of them."""
        if self.target_network is None:
            return projected.detach() if self.stop_gradient else projected
        with torch.no_grad():
            return self.target_network(views)

    def after_step(self) -> None:
        if self.target_network is not None:
            own = [*self.encoder.parameters(), *self.projector.parameters()]
            with torch.no_grad():
                torch._foreach_lerp_(list(self.target_network.parameters()), own, 1 - self.momentum)
