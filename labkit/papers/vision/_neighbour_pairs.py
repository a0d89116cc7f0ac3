"""Pairs of an item and one of its neighbours, which SCAN and TLDR take in the place of two views."""

from collections.abc import Iterator

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit.train import Minibatches


class NeighbourPairs(Minibatches):
    """Shuffled minibatches of (items, a neighbour of each), the neighbour drawn anew each time.

    Args:
        items: [n, ...].
        neighbours: [n, k], the rows from which the neighbour of each item is drawn: ``evaluate.neighbours(z, k)[0]``.
        size: pairs in a batch.

    Raises:
        ValueError: rows for another number of items, or that no item has; what ``Minibatches`` refuses.
    """

    def __init__(self, items: Tensor, neighbours: Int64[Tensor, "rows k"], size: int):
        if len(neighbours) != len(items) or not neighbours.numel():
            raise ValueError(f"neighbours must hold rows for each of the {len(items)} items, not {len(neighbours)}")
        if int(neighbours.min()) < 0 or int(neighbours.max()) >= len(items):
            raise ValueError(
                f"neighbours must lie between 0 and {len(items) - 1}, not {int(neighbours.min())} and "
                f"{int(neighbours.max())}"
            )
        super().__init__(items, size, numbered=True)
        self.neighbours = neighbours

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for items, rows in super().__iter__():
            column = torch.randint(self.neighbours.shape[1], (len(rows),)).to(rows.device)
            yield items, self.items[self.neighbours[rows, column]]

    def to(self, device: torch.device) -> "NeighbourPairs":
        return NeighbourPairs(self.items.to(device), self.neighbours.to(device), self.size)
