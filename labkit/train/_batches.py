"""Minibatches of a tensor that lives on the device: no workers, no copies but the batch itself."""

from collections.abc import Iterator

import torch
from torch import Tensor


class Minibatches:
    """Shuffled minibatches of the first dimension of ``items``, a new order in each epoch.

    The order comes from torch's default generator, which ``fit`` seeds. Images stay uint8: CIFAR-10 is 150 MB.

    Args:
        items: [n, ...] tensor.
        size: items in a batch; a last batch that is smaller is left out, so that contrastive losses see equal batches.

    Raises:
        ValueError: ``size`` below 1 or above the number of items.

    Example:
        >>> batches = Minibatches(load("digits").images, size=256)
    """

    def __init__(self, items: Tensor, size: int):
        if not 1 <= size <= len(items):
            raise ValueError(f"size must be between 1 and the number of items, {len(items)}; not {size}")
        self.items, self.size = items, size

    def __len__(self) -> int:
        return len(self.items) // self.size

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.randperm(len(self.items)).to(self.items.device)
        for part in order[: len(self) * self.size].split(self.size):
            yield self.items[part]

    def to(self, device: torch.device) -> "Minibatches":
        return Minibatches(self.items.to(device), self.size)

    def __repr__(self) -> str:
        return f"Minibatches({len(self)} × {self.size} of {len(self.items)})"
