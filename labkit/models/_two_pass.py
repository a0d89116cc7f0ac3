"""An encoder whose memory does not grow with the batch."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit._graph_batch import GraphBatch


@checked(numbers=False)
class TwoPass(nn.Module):
    """Encode a batch piece by piece, keep the embeddings alone, and encode each piece again in the backward pass.

    Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (GradCache), section 3:
    the loss sees the embeddings of the whole batch, so that negatives are as many as ever, while the activations of one
    piece are all that is held. With a tiled loss (``nt_xent(..., block=...)``) nothing of a step grows faster than the
    embeddings. Put it around the encoder of any method: the pieces are of the views that the method made, which are
    drawn once; dropout and the like inside the encoder draw the same numbers again. ``dim`` alone is reached through
    this module: it is not for methods that look inside the encoder, as AMDIM does.

    The gradient is that of the plain step, exactly, for encoders that treat each item alone. Batch norm does not: its
    statistics are then those of a piece (as on several GPUs without synchronisation), in both passes, and its running
    ones are updated once. The same holds for what else looks across a batch.

    Args:
        encoder: items [n, ...] (tensor or ``GraphBatch``) -> [n, dim].
        size: items of a piece at most; pieces are as equal as can be.

    Cost: one more forward pass, about a third of the time of a step; memory of activations O(size), not O(n)
    (``labkit bench two_pass``).

    Raises:
        ValueError: ``size`` below 1; no items (on use).

    Example:
        >>> method = SimCLR(resnet8(), view)
        >>> method.encoder = TwoPass(method.encoder, size=256)
    """

    def __init__(self, encoder: nn.Module, size: int):
        super().__init__()
        require_counts(size=size)
        self.encoder, self.size = encoder, size

    def forward(self, items: Tensor | GraphBatch) -> Float[Tensor, "items dim"]:
        if not len(items):
            raise ValueError("items is empty: there is nothing to encode")
        pieces = -(-len(items) // self.size)
        bounds = [len(items) * piece // pieces for piece in range(pieces + 1)]
        return torch.cat([self._twice(items[start:end]) for start, end in pairwise(bounds)])

    def _twice(self, piece: Tensor | GraphBatch) -> Float[Tensor, "piece dim"]:
        # the tensor says whose random state comes back in the second pass: of a GraphBatch `checkpoint` sees no device
        return checkpoint(
            lambda piece, _: self.encoder(piece),
            piece,
            piece.x if isinstance(piece, GraphBatch) else piece,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _statistics_kept(self.encoder)),
        )

    @property
    def dim(self) -> int:
        """Of the embedding."""
        return self.encoder.dim


@contextmanager
def _statistics_kept(encoder: nn.Module) -> Iterator[None]:
    """Batch norms do not update their running statistics here: the first pass has done so."""
    norms = [part for part in encoder.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    before = [(part.momentum, part.num_batches_tracked.clone()) for part in norms]
    for part in norms:
        part.momentum = 0.0
    try:
        yield
    finally:
        for part, (momentum, batches) in zip(norms, before, strict=True):
            part.momentum = momentum
            part.num_batches_tracked.copy_(batches)
