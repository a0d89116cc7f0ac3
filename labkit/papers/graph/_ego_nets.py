"""Subgraphs around many nodes at once: cut out by walks with restart, padded, with positions and degrees."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from labkit._checks import require_between, require_counts, require_undirected
from labkit.data import GraphBatch
from labkit.views import Adjacency, restart_walk


@dataclass(frozen=True)
class EgoNets:
    """Small graphs side by side, padded to the largest; the first node of each is its centre.

    Attributes:
        links: float [nets, size, size], 1 where two nodes are linked.
        real: bool [nets, size], False in the padding.
    """

    links: Float[Tensor, "nets size size"]
    real: Bool[Tensor, "nets size"]

    def __len__(self) -> int:
        return len(self.real)

    def to(self, device: torch.device) -> "EgoNets":
        return EgoNets(self.links.to(device), self.real.to(device))

    @property
    def degree(self) -> Int64[Tensor, "nets size"]:
        return self.links.sum(dim=2).long()

    def positions(self, dim: int) -> Float[Tensor, "nets size dim"]:
        """Eigenvectors of D^-1/2 A D^-1/2 with the largest eigenvalues, each node's row scaled to length 1.

        As in GCC's released code: at most nodes − 2 of them, zeros beyond; their signs are the solver's. All nets are
        solved together, in time O(nets · size³).
        """
        scale = self.links.sum(dim=2).clamp(min=1).rsqrt()
        matrix = scale[:, :, None] * self.links * scale[:, None, :]
        # eigenvalues lie in [-1, 1]: those of the padding go below, out of the way
        matrix = matrix - 2 * torch.diag_embed((~self.real).to(matrix))
        vectors = torch.linalg.eigh(matrix).eigenvectors.flip(2)[:, :, :dim]
        there = torch.arange(vectors.shape[2], device=vectors.device) < (self.real.sum(1, keepdim=True) - 2)
        vectors = vectors * there[:, None, :] * self.real[:, :, None]
        vectors = torch.nn.functional.normalize(vectors, dim=2)
        return torch.nn.functional.pad(vectors, (0, dim - vectors.shape[2]))


def ego_nets(
    adjacency: Adjacency,
    start: Int64[Tensor, " nets"],
    length: int,
    restart: float,
    size: int,
    generator: torch.Generator | None = None,
) -> EgoNets:
    """The subgraph that a walk with restart visits around each start: the first ``size`` nodes it meets.

    Cost: time O(nets · (length · log length + size² · log degree)), memory O(nets · (length + size²)).
    """
    walks = restart_walk(adjacency, start, length, restart, generator)
    value, order = walks.sort(dim=1, stable=True)
    again = torch.zeros_like(value, dtype=torch.bool)
    again[:, 1:] = value[:, 1:] == value[:, :-1]
    met = order.masked_fill(again, length).sort(dim=1).values[:, :size]  # when each node was first met, in that order
    real = met < length
    met, real = met[:, : int(real.sum(1).max())], real[:, : int(real.sum(1).max())]
    nodes = walks.gather(1, met.clamp(max=length - 1))
    both = nodes[:, :, None].expand(-1, -1, nodes.shape[1])
    linked = adjacency.has_edge(both.flatten(), both.mT.flatten()).reshape(both.shape)
    pair = real[:, :, None] & real[:, None, :] & ~torch.eye(nodes.shape[1], dtype=torch.bool, device=real.device)
    return EgoNets((linked & pair).float(), real)


def whole_graphs(batch: GraphBatch) -> EgoNets:
    """Whole graphs as nets; the centre is a node of the largest degree, as GCC's released code has it for graphs."""
    require_undirected(batch.edge_index, len(batch.x))
    size = max(int(batch.sizes.max()), 1)  # graphs may all be empty
    first = batch.ptr[batch.edge_batch]
    links = torch.zeros(len(batch), size, size, device=batch.device)
    links[batch.edge_batch, batch.edge_index[0] - first, batch.edge_index[1] - first] = 1
    links.diagonal(dim1=1, dim2=2).zero_()
    centre, every = links.sum(2).argmax(1), torch.arange(len(batch), device=batch.device)
    order = torch.arange(size, device=batch.device).repeat(len(batch), 1)  # the centre changes places with the first
    order[every, centre], order[every, 0] = 0, centre
    links = links[every[:, None, None], order[:, :, None], order[:, None, :]]
    return EgoNets(links, torch.arange(size, device=batch.device) < batch.sizes[:, None])


class EgoPairs:
    """Batches of two nets around the same nodes of one or more graphs, drawn anew in each epoch, for ``fit``.

    Centres are drawn in proportion to degree^0.75 over all graphs, as in GCC's released code.

    Args:
        graphs: PyG ``Data``, undirected; only their edges are used.
        size: nodes a net at most.
        batch: pairs a batch.
        steps: batches an epoch.
        length, restart: of the walks.
    """

    def __init__(
        self,
        graphs: Sequence,
        size: int = 64,
        batch: int = 128,
        steps: int = 50,
        length: int = 256,
        restart: float = 0.8,
    ):
        require_counts(batch=batch, steps=steps, length=length)
        require_counts(least=2, size=size)
        require_between("restart", restart, 0, 1)
        nodes = torch.tensor([graph.num_nodes for graph in graphs])
        first = (nodes.cumsum(0) - nodes).tolist()
        edges = torch.cat([graph.edge_index + at for graph, at in zip(graphs, first, strict=True)], dim=1)
        require_undirected(edges, int(nodes.sum()))
        self.adjacency = Adjacency(edges, int(nodes.sum()))
        self.size, self.batch, self.steps, self.length, self.restart = size, batch, steps, length, restart

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[EgoNets, EgoNets]]:
        weight_until = (self.adjacency.degree.double() ** 0.75).cumsum(0)
        for _ in range(self.steps):
            level = torch.rand(self.batch, device=weight_until.device, dtype=torch.float64) * weight_until[-1]
            start = torch.searchsorted(weight_until, level, right=True).clamp_(max=self.adjacency.num_nodes - 1)
            both = ego_nets(self.adjacency, start.repeat(2), self.length, self.restart, self.size)
            yield tuple(EgoNets(*parts) for parts in zip(both.links.chunk(2), both.real.chunk(2), strict=True))

    def to(self, device: torch.device) -> "EgoPairs":
        moved = copy(self)
        moved.adjacency = self.adjacency.to(device)
        return moved
