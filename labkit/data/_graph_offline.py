"""Small graphs that come inside networkx: no download."""

import torch
from torch_geometric.data import Data

from labkit.data._catalogue import Entry
from labkit.data._graph_networkx import from_networkx


def read_karate(entry: Entry) -> Data:
    """Zachary's karate club: 34 members, edge_weight (contexts two of them share), y: the club each chose.

    class_names says which is which (0: Mr. Hi, 1: Officer). x is the identity, as in PyG's ``KarateClub``.
    """
    import networkx

    found = from_networkx(networkx.karate_club_graph(), "club")
    data = _with_identity(found)
    data.y, data.class_names = found.y, found.class_names
    return data


def read_les_miserables(entry: Entry) -> Data:
    """Hugo's novel: 77 characters (names in ``node_names``), edge_weight: in how many chapters two of them meet.

    x is the identity; the graph has no classes.
    """
    import networkx

    found = from_networkx(networkx.les_miserables_graph())
    data = _with_identity(found)
    data.node_names = found.node_names
    return data


def _with_identity(graph: Data) -> Data:
    return Data(x=torch.eye(graph.num_nodes), edge_index=graph.edge_index, edge_weight=graph.edge_weight)
