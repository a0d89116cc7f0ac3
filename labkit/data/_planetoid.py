"""Cora, CiteSeer and PubMed from the Planetoid files, with the public split."""

from itertools import chain, repeat

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, index_to_mask, remove_self_loops

from labkit.data._catalogue import Entry
from labkit.data._pickles import unpickle_arrays
from labkit.data._store import read_bytes


def read_planetoid(entry: Entry) -> Data:
    """The graph as PyG's ``Planetoid`` gives it: raw features, both directions of each edge, public split masks.

    Nodes without features or edges (CiteSeer has 15 without features) stay, as rows of zeros.
    """
    x, tx, allx, y, ty, ally, graph = (
        _dense(unpickle_arrays(read_bytes(entry, file), file.name))
        for file in entry.files
        if file.name != f"ind.{entry.name}.test.index"
    )
    test = read_bytes(entry, entry.file(f"ind.{entry.name}.test.index"))
    test = torch.tensor([int(line) for line in test.split()])
    train, n = torch.arange(len(y)), len(graph)
    features, one_hot = torch.zeros(n, x.shape[1]), torch.zeros(n, y.shape[1])
    # The test rows stand in the order of test.index; rows that it leaves out are the isolated nodes.
    for whole, known, tested in ((features, allx, tx), (one_hot, ally, ty)):
        whole[: len(known)], whole[test] = known, tested
    return Data(
        x=features,
        edge_index=_edges(graph, n),
        y=one_hot.argmax(dim=1),
        train_mask=index_to_mask(train, n),
        val_mask=index_to_mask(torch.arange(500) + len(train), n),
        test_mask=index_to_mask(test, n),
    )


def _dense(value):
    if isinstance(value, dict):
        return value
    return torch.from_numpy(np.asarray(value.todense() if hasattr(value, "todense") else value)).float()


def _edges(graph: dict[int, list[int]], n: int) -> Int64[Tensor, "2 edges"]:
    """Both directions of each edge once, no self-loops: the files repeat some edges."""
    sources = torch.tensor(list(chain.from_iterable(repeat(node, len(to)) for node, to in graph.items())))
    targets = torch.tensor(list(chain.from_iterable(graph.values())))
    edge_index, _ = remove_self_loops(torch.stack([sources, targets]))
    return coalesce(edge_index, num_nodes=n, sort_by_row=False)
