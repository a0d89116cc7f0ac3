"""Sets of many small graphs: the TU benchmark, and the GIN authors' text files with their ten folds."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.functional import one_hot
from torch_geometric.data import Data
from torch_geometric.utils import coalesce, remove_self_loops

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit._graph_batch import GraphBatch
from labkit.data._arrays import read_zip
from labkit.data._catalogue import Entry
from labkit.data._store import read_bytes


@checked(numbers=False)
@dataclass(frozen=True, repr=False, eq=False)
class GraphSet(Sequence):
    """Many graphs in memory: a sequence of PyG ``Data``, as PyG's ``DataLoader`` takes it.

    Attributes:
        graphs: the ``Data`` objects; each has y, int64 [1].
        name: the data set's name.
        folds: (train, test) int64 indices into this set, one pair a fold; empty where there are none.
    """

    graphs: tuple[Data, ...]
    name: str = "graphs"
    folds: tuple[tuple[Tensor, Tensor], ...] = ()

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index):
        """One graph for an int; those of a slice, of a tensor of indices or of a mask as a set without folds."""
        if isinstance(index, slice):
            return GraphSet(self.graphs[index], self.name)
        if isinstance(index, list | np.ndarray):
            index = torch.as_tensor(index)
        if isinstance(index, Tensor) and index.dim():
            if index.dtype == torch.uint8 or index.is_floating_point():
                raise TypeError(f"graphs are chosen by int64 numbers or a bool mask, not by {index.dtype}")
            if index.dtype == torch.bool:
                if index.shape != (len(self),):
                    raise ValueError(
                        f"a mask must hold one bool for each of {len(self)} graphs, not {list(index.shape)}"
                    )
                index = index.nonzero().flatten()
            return GraphSet(tuple(self.graphs[i] for i in index.tolist()), self.name)
        return self.graphs[operator.index(index)]

    @property
    def y(self) -> Int64[Tensor, " graphs"]:
        """The class of every graph."""
        return torch.cat([graph.y for graph in self.graphs])

    @cached_property
    def packed(self) -> GraphBatch:
        """All graphs in one :class:`GraphBatch`, made once: what encoders embed and minibatches are cut from.

        Raises:
            ValueError: graphs without features x, of different widths, or with edges past their nodes.
        """
        return GraphBatch.of(self.graphs)

    def __repr__(self) -> str:
        folds = f"; {len(self.folds)} folds" if self.folds else ""
        return f"GraphSet({self.name}: {len(self)} graphs{folds}; first: {self.graphs[0] if len(self) else 'none'})"


def read_tu(
    entry: Entry,
    source: str = "tu",
    attributes: bool = False,
    transform: Callable[[Data], Data] | None = None,
    per_class: int | None = None,
) -> GraphSet:
    """MUTAG, PROTEINS, IMDB-BINARY, REDDIT-BINARY.

    Args:
        source: "tu": as PyG's ``TUDataset`` gives them, in the TU order. "gin": from the text files of the GIN authors,
            with the ten folds of the GIN and DGCNN line of papers; those index that file's order, which differs from
            TU's on MUTAG. Their test parts leave out what does not divide by ten.
        attributes: put continuous node attributes (PROTEINS has one) before the one-hot labels in x, as PyG's
            ``use_node_attr``; from "tu" only.
        transform: called on each graph, as in PyG. IMDB-BINARY and REDDIT-BINARY have no x without one, e.g.
            ``torch_geometric.transforms.OneHotDegree(135)``.
        per_class: only the first so many graphs of each class, without folds; for a quick look.
    """
    if source not in ("tu", "gin"):
        raise ValueError(f"source must be 'tu' or 'gin', not {source!r}")
    if source == "gin" and attributes:
        raise ValueError("attributes=True needs source='tu': the GIN text files hold no continuous attributes")
    if per_class is not None:
        require_counts(per_class=per_class)
    file = entry.files[0 if source == "tu" else 1]
    members = read_zip(read_bytes(entry, file), file.name)
    if source == "tu":
        graphs, folds = _tu_graphs(members, file.name.removesuffix(".zip"), attributes), ()
    else:
        name = file.name.removesuffix(".zip")
        graphs, folds = _gin_graphs(members[f"{name}/{name}.txt"]), _gin_folds(members, name)
    if per_class is not None:
        graphs, folds = _first_of_each_class(graphs, per_class), ()
    return GraphSet(tuple(map(transform, graphs) if transform else graphs), entry.name, folds)


def _first_of_each_class(graphs: list[Data], count: int) -> list[Data]:
    y = torch.cat([graph.y for graph in graphs])
    chosen = torch.cat([(y == kind).nonzero().flatten()[:count] for kind in y.unique()])
    return [graphs[i] for i in chosen.sort().values.tolist()]


def _tu_graphs(members: dict[str, bytes], prefix: str, attributes: bool) -> list[Data]:
    tables = {}
    for path, content in members.items():
        name = path.rsplit("/", 1)[-1]
        if name.startswith(f"{prefix}_") and name.endswith(".txt"):
            kind = float if "attributes" in name else np.int64
            table = np.loadtxt(BytesIO(content), delimiter=",", dtype=kind, ndmin=2)
            tables[name[len(prefix) + 1 : -4]] = torch.from_numpy(table)
    owner = tables["graph_indicator"].flatten() - 1
    sizes = owner.bincount()
    x = [tables["node_attributes"].float()] if attributes and "node_attributes" in tables else []
    x += [_one_hot(tables["node_labels"])] if "node_labels" in tables else []
    edge_attr = _one_hot(tables["edge_labels"]) if "edge_labels" in tables else None
    edge_index, edge_attr = remove_self_loops(tables["A"].t() - 1, edge_attr)
    edge_index, edge_attr = coalesce(edge_index, edge_attr, len(owner))  # IMDB-BINARY holds each edge several times
    y = tables["graph_labels"].flatten().unique(return_inverse=True)[1]
    return _separate(sizes, edge_index, y, torch.cat(x, dim=1) if x else None, edge_attr)


def _separate(sizes: Tensor, edge_index: Tensor, y: Tensor, x: Tensor | None, edge_attr: Tensor | None) -> list[Data]:
    """One ``Data`` a graph from all graphs in one; nodes and edges stand graph by graph."""
    first = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)[edge_index[0]]
    edges = owner.bincount(minlength=len(sizes)).tolist()
    local = (edge_index - first[owner]).split(edges, dim=1)
    xs = x.split(sizes.tolist()) if x is not None else [None] * len(sizes)
    attrs = edge_attr.split(edges) if edge_attr is not None else [None] * len(sizes)
    graphs = []
    for i, size in enumerate(sizes.tolist()):
        data = Data(x=xs[i], edge_index=local[i].contiguous(), edge_attr=attrs[i], y=y[i : i + 1])
        if x is None:
            data.num_nodes = size
        graphs.append(data)
    return graphs


def _gin_graphs(content: bytes) -> list[Data]:
    """Number of graphs; for each its nodes and class; for each node a tag, its degree, its neighbours."""
    numbers = np.array(content.split(), dtype=np.int64)
    at, tags, sizes, labels, pairs, offset = 1, [], [], [], [], 0
    for _ in range(numbers[0]):
        n, label = numbers[at : at + 2].tolist()
        at += 2
        for node in range(offset, offset + n):
            tag, degree = numbers[at : at + 2].tolist()
            tags.append(tag)
            pairs.append((node, offset + numbers[at + 2 : at + 2 + degree]))
            at += 2 + degree
        sizes.append(n)
        labels.append(label)
        offset += n
    source = torch.repeat_interleave(
        torch.tensor([node for node, _ in pairs]), torch.tensor([len(to) for _, to in pairs])
    )
    edge_index = torch.stack([source, torch.from_numpy(np.concatenate([to for _, to in pairs]))])
    edge_index = coalesce(remove_self_loops(edge_index)[0], num_nodes=offset)
    x = _one_hot(torch.tensor(tags)[:, None]) if len(set(tags)) > 1 else None
    return _separate(torch.tensor(sizes), edge_index, torch.tensor(labels).unique(return_inverse=True)[1], x, None)


def _gin_folds(members: dict[str, bytes], name: str) -> tuple[tuple[Tensor, Tensor], ...]:
    def rows(part: str, fold: int) -> Tensor:
        return torch.tensor([int(row) for row in members[f"{name}/10fold_idx/{part}_idx-{fold}.txt"].split()])

    return tuple((rows("train", fold), rows("test", fold)) for fold in range(1, 11))


def _one_hot(labels: Tensor) -> Tensor:
    """Float one-hot columns, one group for each column of labels."""
    labels = labels - labels.min(dim=0).values
    return torch.cat([one_hot(column).float() for column in labels.unbind(dim=1)], dim=1)
