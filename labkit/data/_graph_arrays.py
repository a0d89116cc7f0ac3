"""Graphs of the catalogue that are read from npz, npy and text: one large graph each."""

from io import BytesIO

import numpy as np
import torch
from torch_geometric.data import Data, HeteroData
from torch_geometric.utils import index_to_mask

from labkit.data._arrays import read_npy, read_npz
from labkit.data._catalogue import Entry
from labkit.data._graph_files import npz_graph, npz_matrix
from labkit.data._store import read_bytes


def read_npz_graph(entry: Entry) -> Data:
    """Amazon Photo and Coauthor CS as PyG gives them: features set to 0 or 1, both directions, no self-loops, no split.

    Cost: dense float32 features; Coauthor CS takes 500 MB.
    """
    (file,) = entry.files
    data = npz_graph(read_npz(read_bytes(entry, file), file.name), file.name)
    data.x[data.x > 0] = 1
    return data


def read_hypergraph(entry: Entry) -> Data:
    """A hypergraph as ``Data``: x, y, hyperedge_index int64 [2, incidences] (node, hyperedge), num_hyperedges.

    train_mask and test_mask are bool [nodes, 10], HyperGCN's ten splits: what is not trained on is the test part. Nodes
    outside every hyperedge stay.
    """
    (file,) = entry.files
    arrays = read_npz(read_bytes(entry, file), file.name)
    train_mask = torch.from_numpy(arrays["train_mask"]).bool().t().contiguous()
    return Data(
        x=torch.from_numpy(npz_matrix(arrays, "x", file.name).toarray()).float(),
        hyperedge_index=torch.from_numpy(arrays["hyperedge_index"]).long(),
        y=torch.from_numpy(arrays["y"]).long(),
        train_mask=train_mask,
        test_mask=~train_mask,
        num_hyperedges=len(arrays["hyperedge_name"]),
    )


# Which node type carries labels; node type -> feature file; edge file -> (first column, second column); meta-paths.
_HETERO = {
    "acm": (
        "paper",
        {"paper": "p_feat.npz", "author": "a_feat.npz"},
        {"pa.txt": ("paper", "author"), "ps.txt": ("paper", "subject")},
        {"pap": "pap.npz", "psp": "psp.npz", "positive": "pos.npz"},
    ),
    "dblp": (
        "author",
        {"author": "a_feat.npz", "paper": "p_feat.npz"},
        {"pa.txt": ("paper", "author"), "pc.txt": ("paper", "venue"), "pt.txt": ("paper", "term")},
        {"apa": "apa.npz", "positive": "pos.npz"},
    ),
}


def read_hetero(entry: Entry, labels_per_class: int = 20) -> HeteroData:
    """ACM and DBLP in HeCo's pre-processing, as ``HeteroData``.

    Relations carry PyG's name "to", in both directions: ("paper", "to", "author"), ("author", "to", "paper"), ... On
    the type with labels (ACM: paper, DBLP: author) stand y, train_mask, val_mask, test_mask, the meta-path neighbours
    ("paper", "pap", "paper"), ..., and HeCo's positive pairs ("paper", "positive", "paper"). Types without features
    carry num_nodes only. DBLP's author-paper-venue-paper-author and author-paper-term-paper-author are made by
    ``torch_geometric.transforms.AddMetaPaths``.

    Args:
        labels_per_class: 20, 40 or 60, the three training sets of the paper.
    """
    if labels_per_class not in (20, 40, 60):
        raise ValueError(f"labels_per_class must be 20, 40 or 60, not {labels_per_class}")
    target, features, relations, meta_paths = _HETERO[entry.name]

    def content(name: str) -> bytes:
        return read_bytes(entry, entry.file(name))

    data = HeteroData()
    for kind, name in features.items():
        data[kind].x = torch.from_numpy(_scipy(content(name)).toarray()).float()
    for name, (source, to) in relations.items():
        pairs = torch.from_numpy(np.loadtxt(BytesIO(content(name)), dtype=np.int64).T.copy())
        data[source, "to", to].edge_index = pairs
        data[to, "to", source].edge_index = pairs.flip(0)
        if to not in features:
            data[to].num_nodes = int(pairs[1].max()) + 1
    for path, name in meta_paths.items():
        pairs = _scipy(content(name)).tocoo()
        data[target, path, target].edge_index = torch.from_numpy(np.stack([pairs.row, pairs.col])).long()
    data[target].y = torch.from_numpy(read_npy(content("labels.npy"), "labels.npy")).long()
    for part in ("train", "val", "test"):
        name = f"{part}_{labels_per_class}.npy"
        rows = torch.from_numpy(read_npy(content(name), name))
        data[target][f"{part}_mask"] = index_to_mask(rows, len(data[target].y))
    return data


def _scipy(data: bytes):
    from scipy.sparse import load_npz  # never unpickles

    return load_npz(BytesIO(data))
