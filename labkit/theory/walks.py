"""node2vec's walks without draws: the chance of every step, and the vectors that skip-gram would factorise.

A second-order walk is a Markov chain on *edges*: where it goes next depends on the edge that it came by. Rows of the
chain follow the search bias α of Grover & Leskovec 2016, "node2vec", section 3.2.2. Skip-gram on its walks factorises a
matrix that has a closed form (Levy & Goldberg 2014; Qiu et al. 2018, "NetMF", theorem 2.1 for walks without a bias).
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Integer
from scipy.sparse import csr_array
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_edges, require_matrix, require_positive


@checked(numbers=False)
class WalkChain:
    """The walk of node2vec as a chain on directed edges; ``views.random_walk`` draws from it.

    From v, reached from t, a neighbour x has chance proportional to w(v, x) times 1/p if x = t, 1 if t has an edge to
    x, 1/q otherwise. A walk that can't go on stays where it is. Edges may be on any device; results are on the CPU.

    Args:
        edge_index: integer [2, edges], each direction of an undirected edge by itself, each edge once.
        num_nodes: number of nodes; may exceed the largest index (isolated nodes).
        p: return parameter > 0; large: seldom straight back.
        q: in-out parameter > 0; above 1 the walk stays near, below 1 it moves away.
        edge_weight: [edges] positive weights; None means 1.

    Cost: time and memory O(Σ in-degree · out-degree) for the chain, as much for a step.

    Raises:
        ValueError: ``p`` or ``q`` not positive, an edge past the last node, an edge listed twice, weights of 0 or less.

    Example:
        >>> chain = WalkChain(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), 3, p=4.0)
        >>> chain.visits(0, steps=2)[2]  # straight back with 1/4 to 1
        tensor([0.2000, 0.0000, 0.8000], dtype=torch.float64)
    """

    def __init__(
        self,
        edge_index: Integer[Tensor, "2 edges"],
        num_nodes: int,
        p: float = 1.0,
        q: float = 1.0,
        edge_weight: Float[Tensor, " edges"] | None = None,
    ):
        require_positive("p", p)
        require_positive("q", q)
        require_edges(edge_index, num_nodes)
        weight = np.ones(edge_index.shape[1]) if edge_weight is None else edge_weight.detach().double().cpu().numpy()
        if not (np.isfinite(weight) & (weight > 0)).all():
            raise ValueError("edge_weight must hold one finite number above 0 for each edge")
        leaving, arriving = edge_index.cpu().numpy().astype(np.int64)
        key = leaving * num_nodes + arriving
        order = key.argsort(kind="stable")
        key, weight = key[order], weight[order]
        if (key[1:] == key[:-1]).any():
            raise ValueError("edge_index lists an edge twice; add up their weights first")
        source, target = np.divmod(key, max(num_nodes, 1))
        edges = np.arange(len(key))
        start = np.searchsorted(source, np.arange(num_nodes + 1))
        ways = np.diff(start)[target]
        before = np.repeat(edges, ways)
        after = np.arange(len(before)) + np.repeat(start[target] - (ways.cumsum() - ways), ways)
        back = target[after] == source[before]
        near = np.isin(source[before] * num_nodes + target[after], key)
        chance = weight[after] * np.where(back, 1 / p, np.where(near, 1.0, 1 / q))
        stuck = edges[ways == 0]
        before, after = np.append(before, stuck), np.append(after, stuck)
        chance = np.append(chance, np.ones(len(stuck)))
        chance /= np.bincount(before, chance, minlength=len(key))[before]
        share = weight / np.bincount(source, weight, minlength=num_nodes)[source]
        self.num_nodes, self._target = num_nodes, target
        self._step = csr_array((chance, (before, after)), shape=(len(key), len(key)))
        self._first = csr_array((share, (source, edges)), shape=(num_nodes, len(key)))
        self._arrive = csr_array((np.ones(len(key)), (edges, target)), shape=(len(key), num_nodes))
        self._alone = np.diff(start) == 0

    def visits(self, start: int, steps: int) -> Float[Tensor, "steps_and_start nodes"]:
        """The chance of standing at each node before the first step, and after each of ``steps``; rows sum to 1."""
        require_counts(steps=steps)
        require_between("start", start, 0, self.num_nodes - 1)
        seen = np.zeros((steps + 1, self.num_nodes))
        seen[0, start] = 1
        edge = self._first[[start]].toarray()[0]
        for step in range(1, steps + 1):
            seen[step] = seen[0] if self._alone[start] else edge @ self._arrive
            edge = edge @ self._step
        return torch.from_numpy(seen)

    def pairs(self, window: int, length: int) -> Float[Tensor, "nodes nodes"]:
        """How often a node stands within ``window`` steps of another, on average over one walk from each node.

        Args:
            window: largest distance along the walk, both ways; every distance counts alike.
            length: nodes of a walk, the first included.

        Returns:
            Symmetric [nodes, nodes]; entry (u, v) is the number of pairs of places with u and v there, in expectation.

        Cost: time O(window · nodes · Σ in-degree · out-degree + length · Σ in-degree · out-degree).
        """
        require_counts(window=window, length=length)
        places = np.zeros((max(length - 1, 0), self._step.shape[0]))  # row t: by which edge the walks came to place t+1
        for place in range(len(places)):
            places[place] = places[place - 1] @ self._step if place else self._first.sum(axis=0)
        until = places.cumsum(axis=0)
        ahead = self._arrive.toarray()  # from each edge, the chances of what stands `distance` places on
        counts = np.zeros((self.num_nodes, self.num_nodes))
        for distance in range(1, min(window, length - 1) + 1):
            onward = self._first @ ahead  # from a walk's first node
            counts += onward + np.diag(self._alone * float(length - distance))
            ahead = self._step @ ahead
            if length - 2 - distance >= 0:
                counts += self._arrive.T @ (until[length - 2 - distance][:, None] * ahead)
        return torch.from_numpy(counts + counts.T)

    def __repr__(self) -> str:
        return f"WalkChain({self.num_nodes} nodes, {len(self._target)} edges)"


@checked(numbers=False)
def skipgram_vectors(pairs: Float[Tensor, "nodes nodes"], dim: int, negatives: float = 1) -> Float[Tensor, "nodes dim"]:
    """What skip-gram with negative samples would factorise, factorised: vectors without training (NetMF, algorithm 3).

    The logarithm of how much more often two nodes meet than chance would have it, less log ``negatives``; below 0 cut
    off; its ``dim`` largest singular vectors times the roots of their values.

    Args:
        pairs: symmetric counts of at least 0, as :meth:`WalkChain.pairs` gives them.
        dim: width, at most the number of nodes.
        negatives: b of the paper, where it is 1.

    Raises:
        ValueError: negative counts, ``dim`` above the number of nodes, ``negatives`` not positive.
    """
    require_matrix("pairs", pairs)
    require_positive("negatives", negatives)
    require_counts(dim=dim)
    if dim > len(pairs):
        raise ValueError(f"dim must be at most the number of nodes, {len(pairs)}, not {dim}")
    if (pairs < 0).any():
        raise ValueError("pairs must hold counts of at least 0")
    met = pairs.double()
    often = met.sum(dim=1)
    chance = often[:, None] * often / often.sum().clamp(min=torch.finfo(torch.float64).tiny)
    gain = torch.where(met > 0, (met / chance).log() - math.log(negatives), 0).clamp(min=0)
    u, s, _ = torch.linalg.svd(gain)
    return u[:, :dim] * s[:dim].sqrt()
