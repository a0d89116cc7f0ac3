"""Small graphs that come inside networkx: no download."""

import torch
from torch_geometric.data import Data

from labkit.data._catalogue import Entry


def read_karate(entry: Entry) -> Data:
    """Zachary's karate club: 34 members, edge_weight (contexts two of them share), y: the club each chose.

    class_names says which is which (0: Mr. Hi, 1: Officer). x is the identity, as in PyG's ``KarateClub``.
    """
    import networkx

    graph = networkx.karate_club_graph()
    data = _from_networkx(graph)
    clubs = ("Mr. Hi", "Officer")
    data.y = torch.tensor([clubs.index(club) for _, club in graph.nodes(data="club")])
    data.class_names = clubs
    return data


def read_les_miserables(entry: Entry) -> Data:
    """Hugo's novel: 77 characters (names in ``node_names``), edge_weight: in how many chapters two of them meet.

    x is the identity; the graph has no classes.
    """
    import networkx

    graph = networkx.les_miserables_graph()
    data = _from_networkx(graph)
    data.node_names = tuple(graph.nodes)
    return data


def _from_networkx(graph) -> Data:
    number = {node: i for i, node in enumerate(graph)}
    edges = [(number[a], number[b], float(weight)) for a, b, weight in graph.edges(data="weight")]
    edges = sorted(edges + [(b, a, weight) for a, b, weight in edges])
    sources, targets, weights = zip(*edges, strict=True)
    return Data(
        x=torch.eye(len(number)), edge_index=torch.tensor([sources, targets]), edge_weight=torch.tensor(weights)
    )
