"""Dense multicut: clusters of a complete graph whose weights are inner products (Abbas & Swoboda 2023).

Every pair of items attracts or repels with weight ⟨f_i, f_j⟩ − a. The best clustering has the largest sum of weights
inside its clusters; how many clusters there are comes out. Clusters add: the weight between two of them is
⟨F_I, F_J⟩ − a n_I n_J, F_I the sum of the features of the n_I items of I. So a merge adds two rows.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_matrix

_BLOCK = 2**23  # numbers in a block of pair weights: 64 MB of float64


class Clusters(NamedTuple):
    """Labels of the items (0 is the cluster of item 0, and so on), the value reached, merges and rows looked at."""

    labels: Tensor
    value: float
    merges: int
    searches: int


@checked
def greedy_multicut(features: Float[Tensor, "n dim"], a: float = 0.0) -> Clusters:
    """Merge the pair of clusters with the largest weight, while it is positive (greedy additive edge contraction).

    The same merges as on the explicit complete graph (algorithm 1, "DGAEC"), with no graph: each cluster remembers its
    best partner and how much that is worth. When the partner merges with another cluster, what was remembered is an
    upper bound, and is looked at again only once it is the largest of all: one product with all features that are left
    then gives the true partner. So nothing is approximate, and few products are needed.

    Args:
        features: [n, dim], not normalised here; computed in their own precision, float32 or float64.
        a: pairs with ⟨f_i, f_j⟩ < a repel.

    Cost: time O(n² · dim) to begin with and O(n · dim) for each merge or search, O(n² · dim) in all when searches stay
    a few times n; memory O(n · dim) and a block of 2^23 weights. The explicit graph takes O(n²) memory.

    Raises:
        ValueError: NaN, a not finite.

    Example:
        >>> clusters = greedy_multicut(torch.nn.functional.normalize(z), a=0.5)
        >>> clusters.labels.unique().numel()
    """
    require_matrix("features", features)
    require_between("a", a, -1e30, 1e30)
    state = _State(features.detach(), float(a))
    gained = 0.0
    while len(state.f) > 1:
        at = int(state.best.argmax())
        value = state.best[at].item()
        if value <= 0:
            break
        partner = int(state.partner[at])
        if partner < 0:  # an upper bound: look again
            state.search(at)
            continue
        gained += value
        state.merge(at, partner)
    return Clusters(state.labels().to(features.device), gained, state.merges, state.searches)


class _State:
    """Clusters that are left: their summed features and sizes, best partner (−1: to be looked for) and its weight."""

    def __init__(self, features: Tensor, a: float):
        n = len(features)
        self.f = torch.cat([features, torch.full_like(features[:, :1], 1.0)], dim=1)
        self.sign = torch.ones_like(self.f[0])
        self.sign[-1] = -a
        self.alive = torch.ones(n, dtype=torch.bool, device=features.device)
        self.name = torch.arange(n, device=features.device)  # of the clusters that are left
        self.parent = torch.arange(n)
        self.left, self.merges, self.searches = n, 0, 0
        self.best, self.partner = self._first()

    def _first(self) -> tuple[Tensor, Tensor]:
        n = len(self.f)
        best, partner = self.f.new_full((n,), -torch.inf), torch.full((n,), -1, device=self.f.device)
        size = max(1, _BLOCK // n)
        for start in range(0, n, size):
            rows = self.f[start : start + size] * self.sign
            weights = rows @ self.f.T
            weights.diagonal(start).fill_(-torch.inf)
            best[start : start + size], partner[start : start + size] = weights.max(dim=1)
        return best, partner

    def weights(self, at: int) -> Tensor:
        """Weights between one cluster and all, −∞ to itself and to those that are gone."""
        weights = (self.f @ (self.f[at] * self.sign)).masked_fill_(~self.alive, -torch.inf)
        weights[at] = -torch.inf
        return weights

    def search(self, at: int) -> None:
        self.searches += 1
        weights = self.weights(at)
        partner = weights.argmax()
        self.best[at], self.partner[at] = weights[partner], partner

    def merge(self, i: int, j: int) -> None:
        self.merges += 1
        self.parent[int(self.name[j])] = int(self.name[i])
        self.f[i] += self.f[j]
        self.alive[j] = False
        self.best[j], self.partner[j] = -torch.inf, -1
        weights = self.weights(i)
        self.partner[(self.partner == i) | (self.partner == j)] = -1  # what they remember is an upper bound now
        better = weights >= self.best  # then nothing else can be better
        self.best = torch.where(better, weights, self.best)
        self.partner = torch.where(better & self.alive, i, self.partner)
        partner = weights.argmax()
        self.best[i], self.partner[i] = weights[partner], partner
        self.left -= 1
        if 2 * self.left < len(self.name):
            self._compact()

    def _compact(self) -> None:
        """Forget the clusters that are gone, once they are more than half: products stay as small as what is left."""
        place = torch.cumsum(self.alive, dim=0) - 1
        self.partner = torch.where(self.partner >= 0, place[self.partner], -1)[self.alive]
        self.f, self.name, self.best = self.f[self.alive], self.name[self.alive], self.best[self.alive]
        self.alive = torch.ones(len(self.f), dtype=torch.bool, device=self.f.device)

    def labels(self) -> Int64[Tensor, " n"]:
        """The cluster of each item, numbered in the order of their first items."""
        root = self.parent.clone()
        while not torch.equal(root, root[root]):
            root = root[root]
        first = torch.full_like(root, len(root)).scatter_reduce_(0, root, torch.arange(len(root)), "amin")
        return first[root].unique(return_inverse=True)[1]
