"""A graph whose nodes play known parts: what structure alone can tell."""

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import LocalDegreeProfile
from torch_geometric.utils import coalesce

from labkit._checks import require_counts
from labkit.data._catalogue import Entry

ROLES = ("ring", "ring, built on", "bottom of a house", "wall of a house", "roof", "centre of a star", "tip of a star")
HOUSE = ([(0, 1), (0, 2), (1, 3), (2, 3), (2, 4), (3, 4)], [2, 2, 3, 3, 4])  # links and roles of its five nodes
STAR = ([(0, 1), (0, 2), (0, 3), (0, 4)], [5, 6, 6, 6, 6])


def read_planted_roles(entry: Entry, ring: int = 500, built: int = 100, extra: int = 50, seed: int = 0) -> Data:
    """A ring with houses and stars built onto it, after the synthetic graphs of GraphWave (Donnat et al. 2018).

    Copies of a house or a star lie scattered over the ring: neither communities nor walks tell which roles are alike,
    their surroundings do.

    Args:
        ring: nodes of the ring.
        built: houses and stars, about half each, at random places of the ring; five nodes each.
        extra: further links between random nodes of the ring, so that nodes of one role are not alike to the last bit.
        seed: the same arguments give the same bits.

    Returns:
        ``Data`` with y: the role of each node (``class_names``), and x [nodes, 10], what degrees tell without any
        learning: degree, and least, greatest, mean and spread of the neighbours' degrees, and log(1 + those),
        standardised.

    Raises:
        ValueError: a ring of less than three nodes, or more houses than the ring has nodes.
    """
    if ring < 3 or not 0 <= built <= ring:
        raise ValueError(f"ring must be at least 3 and built between 0 and ring, not {ring} and {built}")
    require_counts(0, extra=extra, seed=seed)
    rng = np.random.default_rng(seed)
    place = rng.choice(ring, built, replace=False)
    house = rng.random(built) < 0.5
    base = ring + 5 * np.arange(built)
    around = np.arange(ring)
    parts = [np.stack([around, (around + 1) % ring]), np.stack([place, base]), rng.integers(ring, size=(2, extra))]
    for which, (links, _) in ((house, HOUSE), (~house, STAR)):
        parts.append((base[which, None, None] + np.array(links)).reshape(-1, 2).T)
    edges = np.concatenate(parts, axis=1)
    edges = torch.from_numpy(edges[:, edges[0] != edges[1]])
    edge_index = coalesce(torch.cat([edges, edges.flip(0)], dim=1))
    y = np.zeros(ring + 5 * built, dtype=np.int64)
    y[place] = 1
    y[ring:] = np.where(house[:, None], HOUSE[1], STAR[1]).ravel()
    profile = LocalDegreeProfile()(Data(edge_index=edge_index, num_nodes=len(y))).x
    profile = torch.cat([profile, torch.log1p(profile)], dim=1)
    x = (profile - profile.mean(dim=0)) / profile.std(dim=0).clamp(min=1e-6)
    return Data(x=x, edge_index=edge_index, y=torch.from_numpy(y), class_names=ROLES)
