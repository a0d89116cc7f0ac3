"""Subgraphs of a graph that is too large for one step."""

from collections.abc import Iterator
from copy import copy
from typing import TYPE_CHECKING

import torch

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit.views import Adjacency, random_walk

if TYPE_CHECKING:  # PyG takes seconds to import, and who trains on images does not need it
    from torch_geometric.data import Data


@checked(numbers=False)
class Subgraphs:
    """Subgraphs around random walks, for training node-level methods on graphs of any size.

    Uniform walks from random nodes; the nodes they meet and all edges between them (Zeng et al. 2020, "GraphSAINT", the
    random-walk sampler, without its weights: a contrastive loss has no per-node sum to keep unbiased). A method sees
    each as a graph of its own, so that its cost depends on ``size`` and not on the graph. What ``data`` has for each
    node (x, y, masks) comes along; weights of edges do not.

    Args:
        data: PyG ``Data`` with x and edge_index, both directions of undirected edges.
        size: nodes at most in a subgraph.
        batches: subgraphs an epoch; None: as many as would cover the graph if each had ``size`` nodes of its own.
        walk: steps of a walk; longer walks give fewer, larger pieces.

    Cost: O(edges · log edges) time once and 16 bytes an edge; a subgraph takes time and memory in the edges of its
    nodes, and one byte a node of the graph.

    Raises:
        ValueError: ``size`` below 2 or above the number of nodes, ``walk`` or ``batches`` below 1, no edges, no
            features.

    Example:
        >>> run = labkit.fit(method, Subgraphs(data, size=2000), epochs=10)
    """

    def __init__(self, data: "Data", size: int, batches: int | None = None, walk: int = 4):
        if not isinstance(getattr(data, "num_nodes", None), int):
            raise TypeError(f"data must be a torch_geometric.data.Data, not {type(data).__name__}")
        if getattr(data, "x", None) is None:
            raise ValueError("data has no features x: give it some, e.g. torch_geometric.transforms.Constant()(data)")
        if not 2 <= size <= data.num_nodes:
            raise ValueError(f"size must lie between 2 and the number of nodes, {data.num_nodes}; not {size}")
        require_counts(walk=walk, batches=1 if batches is None else batches)
        self.data, self.size, self.walk = data, size, min(walk, size - 1)
        self.batches = batches or -(-data.num_nodes // size)
        self.adjacency = Adjacency(data.edge_index, data.num_nodes)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator["Data"]:
        for _ in range(self.batches):
            yield self.draw()

    def draw(self) -> "Data":
        """One subgraph, from torch's default generator; its ``nodes`` are rows of the whole graph."""
        starts = self.size // (self.walk + 1)
        start = torch.randint(self.data.num_nodes, (starts,), device=self.adjacency.device)
        return self.among(random_walk(self.adjacency, start, self.walk + 1).unique())

    def among(self, nodes: torch.Tensor) -> "Data":
        """The subgraph of rising ``nodes`` [n] and all edges between them."""
        from torch_geometric.data import Data

        inside = torch.zeros(self.data.num_nodes, dtype=torch.bool, device=nodes.device)
        inside[nodes] = True
        source, target, _ = self.adjacency.edges_of(nodes)
        kept = inside[target]
        edge_index = torch.stack([source[kept], torch.searchsorted(nodes, target[kept])])
        of_nodes = {
            name: value[nodes]
            for name, value in self.data
            if isinstance(value, torch.Tensor) and self.data.is_node_attr(name)
        }
        return Data(**of_nodes | {"edge_index": edge_index, "nodes": nodes})

    def to(self, device: torch.device) -> "Subgraphs":
        moved = copy(self)
        moved.data, moved.adjacency = copy(self.data).to(device), self.adjacency.to(device)
        return moved

    def __repr__(self) -> str:
        return f"Subgraphs({self.batches} × {self.size} of {self.data.num_nodes} nodes)"
