"""Many graphs as one: the value that graph sets, graph views, encoders and minibatches share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_finite, require_known

POOLS = ("sum", "mean", "max")


@checked(numbers=False)
@dataclass(frozen=True, eq=False, repr=False)
class GraphBatch:
    """Many graphs in three tensors, so that nothing ever loops over graphs or nodes.

    ``x``, ``edge_index``, ``batch`` and ``ptr`` mean what they mean in PyG's ``Batch``. Nodes stand graph by graph, and
    so do edges. Nodes without edges stay; a graph may lose all its nodes, and then pools to zero.

    Attributes:
        x: float [nodes, features].
        edge_index: int64 [2, edges], source and target row of ``x``.
        ptr: int64 [graphs + 1]; graph i has the rows ptr[i] to ptr[i + 1] − 1.

    Example:
        >>> packed = load("mutag").packed            # all 188 graphs at once
        >>> few = packed[torch.tensor([5, 0, 5])]    # three of them, by index arithmetic
        >>> few.x.shape, few.batch, len(few)
    """

    x: Tensor
    edge_index: Tensor
    ptr: Tensor

    @classmethod
    def of(cls, graphs: Sequence[Any]) -> "GraphBatch":
        """Put PyG ``Data`` objects together, checked once.

        Raises:
            ValueError: no graphs; a graph without x, of another width, with NaN, or with edges past its last node.
        """
        _check_features(graphs)
        local = torch.cat([graph.edge_index.long() for graph in graphs], dim=1)  # one that is empty may be of floats
        sizes = torch.tensor([len(graph.x) for graph in graphs], device=local.device)
        edges = torch.tensor([graph.edge_index.shape[1] for graph in graphs], device=local.device)
        ptr = _offsets(sizes)
        owner = torch.repeat_interleave(torch.arange(len(graphs), device=local.device), edges)
        outside = ((local < 0) | (local >= sizes[owner])).any(dim=0).nonzero().flatten()
        if len(outside):
            graph = int(owner[outside[0]])
            raise ValueError(
                f"edge {local[:, outside[0]].tolist()} of graph {graph} points outside its {int(sizes[graph])} nodes; "
                "remove it or add rows to x"
            )
        x = torch.cat([graph.x for graph in graphs]).float()
        require_finite("x", x)
        return cls(x, local + ptr[owner], ptr)

    @classmethod
    def cat(cls, batches: Sequence["GraphBatch"]) -> "GraphBatch":
        """The graphs of several batches, one batch after the other."""
        begin = _offsets(torch.tensor([len(batch.x) for batch in batches])).tolist()
        shifted = [(batch.edge_index + first, batch.ptr[1:] + first) for batch, first in zip(batches, begin[:-1])]
        edges, ends = zip(*shifted)
        x = torch.cat([batch.x for batch in batches])
        return cls(x, torch.cat(edges, dim=1), torch.cat([batches[0].ptr[:1], *ends]))

    def __len__(self) -> int:
        """Number of graphs."""
        return len(self.ptr) - 1

    @cached_property
    def batch(self) -> Int64[Tensor, " nodes"]:
        """The graph of every node."""
        return torch.repeat_interleave(self.sizes, output_size=len(self.x))

    @property
    def sizes(self) -> Int64[Tensor, " graphs"]:
        """Number of nodes of every graph."""
        return self.ptr.diff()

    @cached_property
    def edge_batch(self) -> Int64[Tensor, " edges"]:
        """The graph of every edge."""
        return take(self.batch, self.edge_index[0])

    @cached_property
    def edge_ptr(self) -> Int64[Tensor, " graphs_and_one"]:
        """Graph i has the edges edge_ptr[i] to edge_ptr[i + 1] − 1."""
        return torch.searchsorted(self.edge_batch, torch.arange(len(self) + 1, device=self.device))

    def __getitem__(self, graphs: Tensor | slice | int) -> "GraphBatch":
        """The chosen graphs (indices, a mask, a slice) in the order asked for; one may come twice.

        One index gives a batch of one.

        Cost: O(nodes + edges of the chosen).
        """
        graphs = torch.arange(len(self), device=self.device)[graphs].reshape(-1)
        rows, ptr = _ranges(self.ptr, graphs)
        edges, edge_ptr = _ranges(self.edge_ptr, graphs)
        shift = torch.repeat_interleave(ptr[:-1] - self.ptr[graphs], edge_ptr.diff(), output_size=len(edges))
        return GraphBatch(take(self.x, rows), self.edge_index.index_select(1, edges) + shift, ptr)

    def split(self, size: int) -> Iterator["GraphBatch"]:
        """Consecutive parts of ``size`` graphs; the last may hold fewer."""
        return (self[start : start + size] for start in range(0, len(self), size))

    def keep_nodes(self, keep: Bool[Tensor, " nodes"]) -> "GraphBatch":
        """The induced subgraphs: these nodes and the edges between them, renumbered."""
        place = torch.cat([keep.new_zeros(1, dtype=torch.int64), keep.cumsum(0)])
        source, target = self.edge_index
        between = (take(keep, source) & take(keep, target)).nonzero().flatten()
        edges = take(place, self.edge_index.index_select(1, between).flatten()).view(2, -1)
        return GraphBatch(take(self.x, keep.nonzero().flatten()), edges, take(place, self.ptr))

    def pool(self, values: Float[Tensor, "nodes dim"], how: str = "sum") -> Float[Tensor, "graphs dim"]:
        """Sum, mean or maximum ("max") of node values over each graph; a graph without nodes gives zeros."""
        require_known("pooling", how, POOLS)
        if how == "max":
            index = self.batch[:, None].expand_as(values)
            return self._zeros(values).scatter_reduce(0, index, values, "amax", include_self=False)
        total = self._zeros(values).index_add(0, self.batch, values)
        return total / self.sizes.clamp(min=1)[:, None] if how == "mean" else total

    def _zeros(self, values: Tensor) -> Tensor:
        return values.new_zeros(len(self), values.shape[1])

    @property
    def device(self) -> torch.device:
        return self.x.device

    def to(self, device: torch.device | str) -> "GraphBatch":
        return GraphBatch(self.x.to(device), self.edge_index.to(device), self.ptr.to(device))

    def __repr__(self) -> str:
        nodes, features = self.x.shape
        return f"GraphBatch({len(self)} graphs, {nodes} nodes × {features}, {self.edge_index.shape[1]} edges)"


def take(values: Tensor, rows: Tensor) -> Tensor:
    """``values[rows]``: on a CPU ``index_select`` is several times as quick as indexing (0.02 ms against 0.12 ms for
    5 000 rows of 32)."""
    return values.index_select(0, rows)


def argsort(keys: Tensor) -> Tensor:
    """Stable. On a CPU NumPy's, several times as quick as torch's (0.03 ms against 0.2 ms where 5 000 rows are to join
    18 000 that stand in order)."""
    if keys.device.type != "cpu":
        return keys.argsort(stable=True)
    return torch.from_numpy(np.argsort(keys.numpy(), kind="stable"))


def _offsets(sizes: Tensor) -> Tensor:
    """[0, s_0, s_0 + s_1, ...]"""
    return torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])


def _ranges(ptr: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """The rows ptr[i] … ptr[i + 1] − 1 of every chosen i, one after the other, and where each begins among them."""
    first = ptr[chosen]
    begin = _offsets(ptr[chosen + 1] - first)
    rows = torch.arange(int(begin[-1]), device=ptr.device)
    return rows + torch.repeat_interleave(first - begin[:-1], begin.diff(), output_size=len(rows)), begin


def _check_features(graphs: Sequence[Any]) -> None:
    if not len(graphs):
        raise ValueError("there are no graphs to put together")
    widths = {}
    for i, graph in enumerate(graphs):
        if not isinstance(getattr(graph, "x", None), Tensor) or graph.x.dim() != 2:
            raise ValueError(
                f"graph {i} has no features x [nodes, features]; load the set with a PyG transform, e.g. transform="
                "torch_geometric.transforms.Constant(), or OneHotDegree(max_degree)"
            )
        edges = graph.edge_index
        if not isinstance(edges, Tensor) or edges.dim() != 2 or len(edges) != 2:
            raise ValueError(f"graph {i} has no edge_index [2, edges]; one without edges has torch.empty(2, 0).long()")
        if edges.numel() and (edges.is_floating_point() or edges.dtype == torch.bool):
            raise ValueError(f"edge_index of graph {i} must hold whole numbers, not {edges.dtype}")
        widths.setdefault(graph.x.shape[1], i)
    if len(widths) > 1:
        (a, i), (b, j), *_ = widths.items()
        raise ValueError(f"all graphs need as many features: graph {i} has {a}, graph {j} has {b}")


def check_graph_batch(batch: Any, least: int = 1) -> None:
    """Refuse what is no batch of graphs, or one of too few to tell apart.

    Raises:
        ValueError: another type, fewer than ``least`` graphs.
    """
    if not isinstance(batch, GraphBatch):
        raise ValueError(f"a batch must be a labkit.data.GraphBatch, e.g. graphs.packed, not {type(batch).__name__}")
    if len(batch) < least:
        raise ValueError(f"a batch needs at least {least} graphs to tell apart, not {len(batch)}")
