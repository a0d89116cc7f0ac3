"""Minibatches of items that live on the device: no workers, no copies but the batch itself."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from labkit._arguments import checked
from labkit._graph_batch import GraphBatch
from labkit._processes import from_first, processes, rank


@checked(numbers=False)
class Minibatches:
    """Shuffled minibatches of the first dimension of ``items``, a new order in each epoch.

    The order comes from torch's default generator, which ``fit`` seeds. Images stay uint8: CIFAR-10 is 150 MB. Graphs
    are cut from one packed set by index arithmetic. Under ``torchrun`` each process gets its share of every batch.

    Args:
        items: [n, ...] tensor, or the :class:`labkit.data.GraphBatch` of a whole set (``graphs.packed``).
        size: items in a batch.
        drop_last: leave out a last batch that is smaller, so that contrastive losses see equal batches. Without it, one
            that has less than two items for each process is left out all the same: no contrast and no batch norm can
            use a single item.
        numbered: batches are (items, their rows in ``items``), for methods with a memory of each item.

    Raises:
        ValueError: ``size`` below 1 or above the number of items.

    Example:
        >>> batches = Minibatches(load("digits").images, size=256)
        >>> batches = Minibatches(load("mutag").packed, size=128, drop_last=False)
    """

    def __init__(self, items: Tensor | GraphBatch, size: int, drop_last: bool = True, numbered: bool = False):
        if not 1 <= size <= len(items):
            raise ValueError(f"size must be between 1 and the number of items, {len(items)}; not {size}")
        self.items, self.size, self.drop_last, self.numbered = items, size, drop_last, numbered

    def __len__(self) -> int:
        whole, rest = divmod(len(self.items), self.size)
        return whole + (rest // processes() > 1 and not self.drop_last)

    def __iter__(self) -> Iterator[Tensor | GraphBatch | tuple[Tensor, Tensor]]:
        if self.size % processes():
            raise ValueError(f"a batch of {self.size} can't be shared equally by {processes()} processes")
        order = from_first(torch.randperm(len(self.items), device="cpu").to(self.items.device))
        for part in order[: len(self) * self.size].split(self.size):
            part = part[rank() : len(part) // processes() * processes() : processes()]
            yield (self.items[part], part) if self.numbered else self.items[part]

    def to(self, device: torch.device) -> "Minibatches":
        moved = copy.copy(self)  # of a subclass, too
        moved.items = self.items.to(device)
        return moved

    def __repr__(self) -> str:
        return f"Minibatches({len(self)} × {self.size} of {len(self.items)})"
