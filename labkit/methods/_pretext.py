"""Predict: a network answers a question about an image whose answer nobody had to write down."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._arguments import checked
from labkit.methods._method import Method, check_images, in_blocks, inference
from labkit.methods._two_view import scaled
from labkit.models import MLP


@checked(numbers=False)
class Pretext(Method):
    """Encode the pieces of a question one by one, read the answer off all of them: RotNet, context, jigsaw.

    The representation is the encoder's output for the whole image. Loss: cross-entropy of the answer.

    Args:
        encoder: images [n, channels, h, w] in [0, 1] of any size -> [n, dim].
        question: images -> (pieces [asked, pieces, channels, h, w], answers [asked]), with ``pieces`` and ``answers``,
            how many there are of each: ``Rotations``, ``RelativePosition``, ``Jigsaw``, or a function of one's own.
        head: [n, pieces · dim] -> [n, answers]; None: Linear-BN-ReLU-Linear, for an encoder that has ``dim``.
        evaluation_view: what images go through before ``embed``; None: scaled to [0, 1].

    Raises:
        ValueError: no head, where the question doesn't say its ``pieces`` and ``answers`` or the encoder its ``dim``.

    Example:
        >>> method = Pretext(resnet8(), Rotations())
        >>> run = labkit.fit(method, Minibatches(images, 64), epochs=10)
        >>> method.accuracy(held_out)                                   # of the answers, chance 0.25
    """

    def __init__(
        self,
        encoder: nn.Module,
        question: Callable[[Tensor], tuple[Tensor, Tensor]],
        head: nn.Module | None = None,
        evaluation_view: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.encoder, self.question, self.evaluation_view = encoder, question, evaluation_view or scaled
        known = hasattr(encoder, "dim") and hasattr(question, "pieces") and hasattr(question, "answers")
        if head is None and not known:
            raise ValueError("head is missing, and can't be made: question must have pieces and answers, encoder dim")
        self.head = head or MLP(question.pieces * encoder.dim, 128, question.answers, norm="batch")

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        pieces, answers = self.question(images)
        return F.cross_entropy(self.head(self.codes(pieces)).float(), answers)

    def codes(self, pieces: Tensor) -> Float[Tensor, "asked pieces_dim"]:
        """The encodings of a question's pieces side by side; each piece's is kept for the history of the run."""
        codes = encoded(self.encoder, pieces)
        self.seen = {"h": (codes.detach().unflatten(1, (pieces.shape[1], -1)).flatten(0, 1),)}
        return codes

    @inference
    def accuracy(self, images: Tensor, seed: int = 0) -> float:
        """Share of right answers about images it was not trained on, to questions drawn from ``seed``."""
        said, answers = self.answers(images, seed)
        return (said == answers).double().mean().item()

    @inference
    def answers(self, images: Tensor, seed: int = 0) -> tuple[Int64[Tensor, "asked"], Int64[Tensor, "asked"]]:
        """(what it says, what is right) to questions drawn from ``seed``."""
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            asked = [self.question(part) for part in images.split(256)]
        said = [self.said(pieces) for pieces, _ in asked]
        return torch.cat(said), torch.cat([answers for _, answers in asked])

    @inference
    def said(self, pieces: Tensor) -> Int64[Tensor, "asked"]:
        """Its answers to a question that was drawn already."""
        return self.head(encoded(self.encoder, pieces)).argmax(1)

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items dim"]:
        def encode(part: Tensor) -> Tensor:
            return encoded(self.encoder, self.evaluation_view(part)[:, None]).float()  # a question of one piece

        return in_blocks(encode, images, block=256)

    def check(self, images: Any) -> None:
        check_images(images)
        self.question(images[:2])  # refuses images that are too small for it


@checked(numbers=False)
def encoded(
    encoder: nn.Module, pieces: Float[Tensor, "asked pieces channels height width"]
) -> Float[Tensor, "asked pieces_dim"]:
    """[asked, pieces, channels, h, w] -> the encodings of the pieces side by side, in the precision of the encoder."""
    if 0 in pieces.shape:
        raise ValueError(f"pieces is empty: shape {list(pieces.shape)}; at least one of one pixel is needed")
    precision = next((weight.dtype for weight in encoder.parameters()), pieces.dtype)
    return encoder(pieces.flatten(0, 1).to(precision)).unflatten(0, pieces.shape[:2]).flatten(1)
