"""A graph over the map: its edges, and what is around a node."""

from typing import Any

import numpy as np
from scipy.sparse import coo_matrix

from labkit.explore._inputs import array

_MOST_EDGES = 400_000  # drawn as a background; more are a grey slab
_MOST_LINES = 3_000  # around one node


class Edges:
    """Undirected edges between shown nodes, from a PyG ``Data``, a networkx graph or an ``edge_index`` [2, m]."""

    def __init__(self, graph: Any, rows: np.ndarray, total: int):
        index = _edge_index(graph, total)
        place = np.full(total, -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        a, b = place[index]
        shown = (a >= 0) & (b >= 0) & (a != b)
        a, b = a[shown], b[shown]
        ones = np.ones(2 * len(a), dtype=np.int8)
        self.matrix = coo_matrix((ones, (np.r_[a, b], np.r_[b, a])), shape=(len(rows), len(rows))).tocsr()
        self.matrix.data[:] = 1

    def pairs(self) -> np.ndarray:
        """[m, 2] int32, each edge once; none when there are too many to draw."""
        if self.matrix.nnz // 2 > _MOST_EDGES:
            return np.zeros((0, 2), dtype=np.int32)
        both = self.matrix.tocoo()
        once = both.row < both.col
        return np.stack([both.row[once], both.col[once]], axis=1).astype(np.int32)

    def of(self, node: int | np.integer) -> np.ndarray:
        return self.matrix.indices[self.matrix.indptr[node] : self.matrix.indptr[node + 1]]

    def degrees(self) -> np.ndarray:
        return np.diff(self.matrix.indptr)

    def around(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """Edges [m, 2] of the node, and those from its neighbours onwards (at most 3 000 each)."""
        first = self.of(node)[:_MOST_LINES]
        hop1 = np.stack([np.full(len(first), node), first], axis=1)
        onward = [np.stack([np.full(len(self.of(v)), v), self.of(v)], axis=1) for v in first]
        hop2 = np.concatenate(onward) if onward else np.zeros((0, 2), dtype=np.int64)
        return hop1.astype(np.int32), hop2[hop2[:, 1] != node][:_MOST_LINES].astype(np.int32)

    def facts(self, node: int, codes: np.ndarray | None, nearest: np.ndarray) -> list[str]:
        """What a reader wants to know about a node, in short lines."""
        near = self.of(node)
        if not len(near):
            return ["isolated: no edge in the graph"]
        lines = [f"degree {len(near)}"]
        if codes is not None:
            same = int((codes[near] == codes[node]).sum())
            lines.append(f"homophily {same / len(near):.0%}: {same} of {len(near)} graph neighbours share its class")
        both = int(np.isin(near, nearest).sum())
        lines.append(f"{both} of {len(near)} graph neighbours are among the {len(nearest)} nearest in the embedding")
        return lines


def _edge_index(graph: Any, total: int) -> np.ndarray:
    nodes = getattr(graph, "num_nodes", None)
    if hasattr(graph, "edge_index"):
        index = array("graph.edge_index", graph.edge_index)
    elif hasattr(graph, "number_of_nodes"):  # networkx: nodes count in the order in which they were added
        nodes = graph.number_of_nodes()
        order = {node: k for k, node in enumerate(graph.nodes)}
        index = np.array([[order[u], order[v]] for u, v in graph.edges], dtype=np.int64).reshape(-1, 2).T
    else:
        index, nodes = array("graph", graph), None
    if nodes is not None and nodes != total:
        raise ValueError(f"graph has {nodes:,} nodes for the {total:,} rows of the embedding; give one row a node")
    if index.ndim != 2 or index.shape[0] != 2 or (index.size and index.dtype.kind not in "iu"):
        raise ValueError(
            f"graph must be a PyG Data, a networkx graph or an integer edge_index [2, edges], "
            f"not {list(index.shape)} of {index.dtype}"
        )
    if index.size and not (index.min() >= 0 and index.max() < total):
        raise ValueError(
            f"graph has an edge to node {int(index.max())} (or below 0), but the embedding has rows 0 to {total - 1}"
        )
    return index.astype(np.int64)
