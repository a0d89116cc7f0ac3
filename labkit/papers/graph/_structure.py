"""Structure without learning: a graph with planted roles, and the few numbers that a structural method has to beat."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import LocalDegreeProfile


def planted_roles(houses: int = 100, ring: int = 500, extra: int = 50, seed: int = 0) -> Data:
    """A ring with houses and stars built onto it, and the role of every node: what structure alone can tell.

    Roles: 0 ring, 1 ring where something is built on, 2 bottom of a house, 3 wall of a house, 4 its roof, 5 centre of
    a star, 6 its tips. After the synthetic graphs of Donnat et al. 2018 (GraphWave). ``extra`` edges between random
    nodes of the ring keep copies of a role from being alike to the last bit. x is a column of ones.
    """
    rng = np.random.default_rng(seed)
    edges = [(i, (i + 1) % ring) for i in range(ring)]
    roles = [0] * ring
    for place in rng.choice(ring, houses, replace=False):
        base, roles[place] = len(roles), 1
        if rng.random() < 0.5:  # bottom left and right, walls left and right, roof
            edges += [(base + a, base + b) for a, b in ((0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (3, 4))]
            roles += [2, 2, 3, 3, 4]
        else:
            edges += [(base, base + tip) for tip in range(1, 5)]
            roles += [5, 6, 6, 6, 6]
        edges.append((int(place), base))
    edges += [tuple(pair) for pair in rng.choice(ring, (extra, 2), replace=True).tolist() if pair[0] != pair[1]]
    half = torch.tensor(edges).T
    both = torch.cat([half, half.flip(0)], dim=1).unique(dim=1)
    return Data(x=torch.ones(len(roles), 1), edge_index=both, y=torch.tensor(roles))


def degree_profile(data: Data) -> Float[Tensor, "nodes 10"]:
    """The control for a node: degree, least, greatest, mean and spread of its neighbours' degrees; and their logs."""
    profile = LocalDegreeProfile()(Data(edge_index=data.edge_index, num_nodes=data.num_nodes)).x
    profile = torch.cat([profile, torch.log1p(profile)], dim=1)
    return (profile - profile.mean(0)) / profile.std(0).clamp(min=1e-6)


def size_profile(graphs: Sequence[Data]) -> Float[Tensor, "graphs 5"]:
    """The control for a graph: log nodes, log edges, density, mean and largest degree; standardised."""
    nodes = torch.tensor([graph.num_nodes for graph in graphs]).float()
    edges = torch.tensor([graph.num_edges for graph in graphs]).float()
    largest = torch.tensor([graph.edge_index[0].bincount().max().item() for graph in graphs]).float()
    table = [nodes.log(), edges.log(), edges / (nodes * (nodes - 1)).clamp(min=1), edges / nodes, largest.log()]
    table = torch.stack(table, dim=1)
    return (table - table.mean(0)) / table.std(0).clamp(min=1e-6)
