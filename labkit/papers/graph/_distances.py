"""Hops between nodes, many sources at once and without a loop over nodes."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit.models import SparseMatrix


def hops(
    edge_index: Int64[Tensor, "2 edges"], num_nodes: int, sources: Int64[Tensor, " k"]
) -> Int64[Tensor, "nodes k"]:
    """Number of edges on a shortest path from each source to each node; −1 where none leads.

    All sources go out together, a level at a time: time O(levels · edges · k), memory O(nodes · k).
    """
    around = adjacency(edge_index, num_nodes)
    column = torch.arange(len(sources), device=sources.device)
    found = torch.full((num_nodes, len(sources)), -1, device=sources.device)
    found[sources, column] = 0
    front, level = (found == 0).float(), 0
    while front.any():
        level += 1
        new = (around @ front > 0) & (found < 0)
        found[new] = level
        front = new.float()
    return found


def closeness(
    edge_index: Int64[Tensor, "2 edges"], num_nodes: int, sources: Int64[Tensor, " k"]
) -> Float[Tensor, "nodes k"]:
    """1 / hops, 0 where no path leads; 1 at the source itself, where the released code has 0."""
    away = hops(edge_index, num_nodes, sources)
    return torch.where(away < 0, 0.0, 1 / away.clamp(min=1))


def pairs_by_distance(edge_index: Int64[Tensor, "2 edges"], num_nodes: int, most: int) -> list[Int64[Tensor, "2 _"]]:
    """Pairs a < b of an undirected graph that are exactly 1, 2 … ``most`` hops apart, by sparse products (SciPy).

    Time and memory O(pairs within ``most`` hops · mean degree).
    """
    import numpy as np
    import scipy.sparse as sp

    source, target = edge_index.cpu().numpy()
    around = sp.csr_array((np.ones(len(source), dtype=np.float32), (source, target)), shape=(num_nodes, num_nodes))
    seen = front = sp.eye_array(num_nodes, dtype=np.float32, format="csr")
    listed = []
    for _ in range(most):
        reached = front @ around
        reached.data[:] = 1
        front = reached - reached * seen
        front.eliminate_zeros()
        seen = seen + front
        upper = sp.triu(front, 1).tocoo()
        listed.append(torch.as_tensor(np.stack([upper.row, upper.col]).astype(np.int64), device=edge_index.device))
    return listed


def adjacency(edge_index: Tensor, num_nodes: int) -> SparseMatrix:
    """A with A[target, source] = 1, without self-loops of its own."""
    source, target = edge_index
    ones = torch.ones(len(source), device=source.device)
    return SparseMatrix.from_edges(target, source, ones, (num_nodes, num_nodes))
