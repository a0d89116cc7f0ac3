"""How far apart nodes are, counted in edges, by SciPy; and the adjacency matrix."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit.models import SparseMatrix


def closeness(
    edge_index: Int64[Tensor, "2 edges"], num_nodes: int, sources: Int64[Tensor, " k"]
) -> Float[Tensor, "nodes k"]:
    """1 / hops, 0 where no path leads; 1 at the source itself, where the released code has 0.

    Time O(k · edges · log nodes), memory O(nodes · k).
    """
    from scipy.sparse.csgraph import shortest_path

    hops = shortest_path(_scipy_adjacency(edge_index, num_nodes), unweighted=True, indices=sources.cpu().numpy())
    return 1 / torch.from_numpy(hops.T).float().contiguous().clamp(min=1).to(edge_index.device)


def pairs_by_distance(edge_index: Int64[Tensor, "2 edges"], num_nodes: int, most: int) -> list[Int64[Tensor, "2 _"]]:
    """Pairs a < b of an undirected graph that are exactly 1, 2 … ``most`` hops apart, by sparse products.

    Time and memory O(pairs within ``most`` hops · mean degree).
    """
    import scipy.sparse as sp

    around = _scipy_adjacency(edge_index, num_nodes)
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


def _scipy_adjacency(edge_index: Tensor, num_nodes: int):
    """The same as SciPy's, with A[source, target] = 1."""
    from scipy.sparse import csr_array

    source, target = edge_index.cpu().numpy()
    return csr_array((np.ones(len(source), dtype=np.float32), (source, target)), shape=(num_nodes, num_nodes))
