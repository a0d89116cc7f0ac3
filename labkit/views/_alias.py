"""Alias tables for many discrete distributions at once: one draw from each in O(1), made without a loop."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


class AliasRows:
    """Rows of unequal length, each a distribution over its own places (Walker 1977).

    A place is drawn uniformly and then kept with its own chance or sent to its alias. Places below the mean of their
    row are filled up by those above it; which by which follows from prefix sums of what they lack and what they have
    to spare, for all rows together (the sweep of Hübschle-Schneider & Sanders 2019, section 4).

    Args:
        weight: [places] of all rows, one after the other; at least 0.
        length: [rows] places of each row; 0 is allowed.

    Attributes:
        length: [rows], 0 where a row has no places or no weight: nothing can be drawn there.

    Cost: time O(places · log places) once, 16 bytes a place.
    """

    def __init__(self, weight: Float[Tensor, " places"], length: Int64[Tensor, " rows"]):
        self.first = length.cumsum(0) - length
        row = torch.repeat_interleave(torch.arange(len(length), device=weight.device), length)
        weight = weight.double()
        total = torch.zeros(len(length), device=weight.device, dtype=torch.float64).index_add_(0, row, weight)
        self.length = torch.where(total > 0, length, 0)
        mean = (total / length.clamp(min=1))[row]
        height = torch.where(mean > 0, weight / mean, 1.0)  # a row without weight is never drawn from
        # equal weights may all come out just below their mean: their row has no high place, so all are as high as it
        level = row[height >= 1].bincount(minlength=len(length)) == 0
        height = torch.where(level[row], 1.0, height)
        low, high = (height < 1).nonzero().flatten(), (height >= 1).nonzero().flatten()
        lacking, spare = (1 - height[low]).cumsum(0), (height[high] - 1).cumsum(0)
        # what rows lack and what they can spare add up to the same, so the sums of all rows run in step; rounding may
        # put them one row off, which the row's own first and last high place put right
        place = torch.arange(len(row), device=weight.device)
        self.chance, self.slot = height.clamp(max=1.0), place - self.first[row]
        if not len(low):
            return
        highs = row[high].bincount(minlength=len(length))
        last = (highs.cumsum(0) - 1)[row]
        start = last - highs[row] + 1
        before = torch.cat([lacking.new_zeros(1), lacking[:-1]])
        helper = torch.searchsorted(spare, before, right=True).clamp(start[low], last[low])
        self.slot[low] = high[helper] - self.first[row[low]]
        # a high place is itself topped up by the next one, where the low places it serves take more than it has
        order = torch.arange(len(high), device=weight.device)
        until = torch.searchsorted(lacking, spare).clamp(max=len(low) - 1)
        topped = (order < last[high]) & (row[low[until]] == row[high])
        topped &= (before[until] < spare) & (spare <= lacking[until])
        self.chance[high] = torch.where(topped, 1 + spare - lacking[until], 1.0).clamp(0, 1)
        following = high[(order + 1).clamp(max=len(high) - 1)] - self.first[row[high]]
        self.slot[high] = torch.where(topped, following, self.slot[high])

    def draw(self, rows: Int64[Tensor, " draws"], uniform: Float[Tensor, " draws"]) -> Int64[Tensor, " draws"]:
        """A place within each row, from one uniform number each; 0 for rows from which nothing can be drawn."""
        level = uniform * self.length.index_select(0, rows)
        slot = level.long()
        place = self.first.index_select(0, rows).add_(slot).clamp_(max=len(self.chance) - 1)
        kept = level.sub_(slot) < self.chance.index_select(0, place)
        return torch.where(kept, slot, self.slot.index_select(0, place))
