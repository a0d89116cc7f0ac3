"""Views of whole graphs (You et al. 2020, "GraphCL", section 3.1): every graph of a batch at once, no loop over any.

The two directions of an undirected edge are two edges here and change independently, as in the released code. Counts
are exact for each graph: ⌊ratio · n⌋ of its n nodes or edges.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_known
from labkit._graph_batch import GraphBatch, argsort, take
from labkit.views._draws import drawn

FILLS = ("mean", "noise")


@checked
def identity(batch: GraphBatch, generator: torch.Generator | None = None) -> GraphBatch:
    """The graphs as they are: the view that augmentations are compared with."""
    return batch


@checked
def drop_nodes(batch: GraphBatch, ratio: float = 0.2, generator: torch.Generator | None = None) -> GraphBatch:
    """Drop ⌊ratio · nodes⌋ random nodes of each graph with their edges (GraphCL, "node dropping").

    Nodes that lose all their edges stay and count in the pool.

    Cost: O(n log n) in the nodes, O(edges).

    Raises:
        ValueError: ``ratio`` outside [0, 1].
    """
    require_between("ratio", ratio, 0, 1)
    place = _random_places(batch.batch, batch.ptr, generator)
    return batch.keep_nodes(place >= take(_share(batch.sizes, ratio), batch.batch))


@checked
def perturb_edges(
    batch: GraphBatch, ratio: float = 0.2, generator: torch.Generator | None = None, add: bool = True
) -> GraphBatch:
    """Replace ⌊ratio · edges⌋ random edges of each graph by edges between random nodes (GraphCL, "edge perturbation").

    Args:
        batch, ratio, generator: the graphs; the share in [0, 1]; where random numbers come from (None: the default).
        add: True: as many edges are added as dropped, self-loops and repetitions not excluded, as in the paper and its
            semi-supervised code. False: they are only dropped, as the released ``unsupervised_TU`` code does.

    Cost: O(m log m) in the edges.

    Raises:
        ValueError: ``ratio`` outside [0, 1].
    """
    require_between("ratio", ratio, 0, 1)
    place = _random_places(batch.edge_batch, batch.edge_ptr, generator)
    hit = place < take(_share(batch.edge_ptr.diff(), ratio), batch.edge_batch)
    if not add:
        return GraphBatch(batch.x, batch.edge_index[:, ~hit], batch.ptr)
    graph = batch.edge_batch[hit]
    edge_index = batch.edge_index.clone()
    edge_index[:, hit] = torch.stack([_random_nodes(batch, graph, generator) for _ in range(2)])
    return GraphBatch(batch.x, edge_index, batch.ptr)


@checked
def mask_attributes(
    batch: GraphBatch, ratio: float = 0.2, generator: torch.Generator | None = None, fill: str = "mean"
) -> GraphBatch:
    """Overwrite the features of ⌊ratio · nodes⌋ random nodes of each graph (GraphCL, "attribute masking").

    Args:
        batch, ratio, generator: as in :func:`perturb_edges`.
        fill: "mean": the mean over the graph's nodes, as the semi-supervised code does. "noise": normal with mean 0.5
            and standard deviation 0.5, as the ``unsupervised_TU`` code does.

    Raises:
        ValueError: ``ratio`` outside [0, 1], an unknown ``fill``.
    """
    require_between("ratio", ratio, 0, 1)
    require_known("fill", fill, FILLS)
    hit = _random_places(batch.batch, batch.ptr, generator) < take(_share(batch.sizes, ratio), batch.batch)
    if fill == "mean":
        instead = take(batch.pool(batch.x, "mean"), batch.batch)
    else:
        instead = 0.5 + 0.5 * drawn(torch.randn, batch.x.shape, batch.device, generator)
    return GraphBatch(torch.where(hit[:, None], instead, batch.x), batch.edge_index, batch.ptr)


@checked
def subgraph(
    batch: GraphBatch, keep: float = 0.8, generator: torch.Generator | None = None, one_hop: bool = False
) -> GraphBatch:
    """A connected part of each graph, grown from a random node (GraphCL, "subgraph").

    The next node is drawn uniformly from the neighbours of all nodes so far, until ⌊keep · nodes⌋ + 1 are there or no
    neighbour is left: what the code means to do (github.com/Shen-Lab/GraphCL/issues/24). Drawn for all graphs at once:
    let a node join an exponential waiting time after its first neighbour did. Such times have no memory, so the order
    of joining has exactly that law, and it is the order of shortest paths from the first node.

    Args:
        batch, generator: as in :func:`perturb_edges`.
        keep: share of the nodes in [0, 1].
        one_hop: only neighbours of the first node may join: what the released code does, as it throws away the
            neighbours of the nodes it adds.

    Cost: Dijkstra's algorithm once over all graphs, O(edges · log n), on the CPU (SciPy).

    Raises:
        ValueError: ``keep`` outside [0, 1].
    """
    require_between("keep", keep, 0, 1)
    joined = _joining_times(batch, generator, one_hop)
    place = _places(joined.atan() / 2, batch.batch, batch.ptr)
    return batch.keep_nodes((place <= take(_share(batch.sizes, keep), batch.batch)) & joined.isfinite())


@checked
class RandomChoice:
    """One of several views for each graph by itself, drawn anew at each call.

    Example:
        >>> view = RandomChoice([drop_nodes, subgraph])
        >>> view(batch, generator)
    """

    def __init__(self, views: Sequence[Callable[..., GraphBatch]]):
        if not views:
            raise ValueError("views is empty; name at least one view to choose from")
        self.views = tuple(views)

    def __call__(self, batch: GraphBatch, generator: torch.Generator | None = None) -> GraphBatch:
        if not len(batch):
            return batch
        choice = (drawn(torch.rand, (len(batch),), batch.device, generator) * len(self.views)).long()
        rows = [(choice == k).nonzero().flatten() for k in range(len(self.views))]
        parts = [view(batch[of], generator=generator) for view, of in zip(self.views, rows, strict=True) if len(of)]
        return GraphBatch.cat(parts)[torch.cat(rows).argsort()]

    def __repr__(self) -> str:
        return f"RandomChoice({', '.join(getattr(view, '__name__', repr(view)) for view in self.views)})"


def _joining_times(batch: GraphBatch, generator: torch.Generator | None, one_hop: bool) -> Tensor:
    """When each node joins: 0 for one random node of each graph, infinite where nothing leads."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    waiting = drawn(torch.rand, (len(batch.x),), batch.device, generator).double()
    waiting = (-torch.log1p(-waiting)).clamp(min=1e-12)  # exponential; an edge of length 0 would be no edge
    first = _random_nodes(batch, batch.sizes.nonzero().flatten(), generator)
    source, target = batch.edge_index
    if one_hop:
        times = torch.full_like(waiting, torch.inf)
        times[first] = 0
        near = target[take(times, source) == 0]
        return times.scatter_reduce(0, near, take(waiting, near), "amin")
    edges = csr_array((np.ones(len(source)), batch.edge_index.cpu().numpy()), shape=(len(waiting),) * 2)
    edges.data = waiting.cpu().numpy()[edges.indices]  # only now: edges that are there twice were added up
    return torch.from_numpy(dijkstra(edges, indices=first.cpu().numpy(), min_only=True)).to(batch.device)


def _random_places(owner: Tensor, ptr: Tensor, generator: torch.Generator | None) -> Tensor:
    """For each row its place, from 0, in a random order of the rows of its graph."""
    rows = torch.arange(len(owner), device=owner.device)
    rank = torch.empty_like(rows).scatter_(0, drawn(torch.randperm, len(owner), owner.device, generator), rows)
    return _places(rank.double() / max(1, len(owner)), owner, ptr)


def _places(key: Tensor, owner: Tensor, ptr: Tensor) -> Tensor:
    """For each row its place among the rows of its graph, by ``key``: float64 in [0, 1)."""
    graph_by_graph = argsort(owner + key)  # graph and key in one number: one sort instead of two
    place = torch.arange(len(owner), device=owner.device) - take(ptr, owner)
    return torch.empty_like(owner).scatter_(0, graph_by_graph, place)


def _share(counts: Tensor, ratio: float) -> Tensor:
    return (counts.double() * ratio + 1e-9).long()  # 0.29 of 100 are 29, though their product in floats is less


def _random_nodes(batch: GraphBatch, graphs: Tensor, generator: torch.Generator | None) -> Tensor:
    """A random node of each of ``graphs``."""
    share = drawn(torch.rand, (len(graphs),), batch.device, generator).double()
    return batch.ptr[graphs] + (share * batch.sizes[graphs]).long()
