"""Embeddings of earlier steps, kept: the last ones in a queue, or one for each item in a bank. Rows have length one."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import require_between, require_counts
from labkit.losses import without_autocast


@checked(numbers=False)
class Queue(nn.Module):
    """The last ``size`` embeddings, first in, first out (He et al. 2020, "MoCo", section 3.2); random rows at first.

    Args:
        size: rows kept, at least 1.
        dim: of each.
    """

    def __init__(self, size: int, dim: int):
        super().__init__()
        require_counts(size=size, dim=dim)
        self.register_buffer("rows", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, rows: Float[Tensor, "n dim"]) -> None:
        """Put these in the place of the oldest; of more than ``size``, the last ones stay."""
        rows = F.normalize(rows.to(self.rows.dtype), dim=1)[-len(self.rows) :]
        place = (self.next + torch.arange(len(rows), device=self.rows.device)) % len(self.rows)
        self.rows[place] = rows
        self.next.add_(len(rows)).remainder_(len(self.rows))

    @torch.no_grad()
    @without_autocast
    def nearest(self, rows: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """The row with the largest cosine similarity to each. Cost O(n · size · dim)."""
        return self.rows[(F.normalize(rows.to(self.rows.dtype), dim=1) @ self.rows.T).argmax(1)]


@checked(numbers=False)
class Bank(nn.Module):
    """One embedding for each item of a data set (Wu et al. 2018, "InstDisc", section 3.2); random rows at first.

    Args:
        items, dim: of the bank, at least 1.
        momentum: share of its old value that a row keeps when it is seen again, 0 to 1; 1 keeps the random rows.
    """

    def __init__(self, items: int, dim: int, momentum: float = 0.5):
        super().__init__()
        require_counts(items=items, dim=dim)
        require_between("momentum", momentum, 0, 1)
        self.momentum = momentum
        self.register_buffer("rows", F.normalize(torch.randn(items, dim), dim=1))

    @torch.no_grad()
    def update(self, where: Int64[Tensor, " n"], rows: Float[Tensor, "n dim"]) -> None:
        """Move the rows at these places towards new ones."""
        mixed = torch.lerp(F.normalize(rows.to(self.rows.dtype), dim=1), self.rows[where], self.momentum)
        self.rows[where] = F.normalize(mixed, dim=1)

    def draw(self, *shape: int) -> Float[Tensor, "... dim"]:
        """Rows drawn uniformly, with repetition, from torch's default generator."""
        return self.rows[torch.randint(len(self.rows), shape, device=self.rows.device)]
