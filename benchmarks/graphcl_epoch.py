"""One GraphCL epoch on PROTEINS, against the published way: each graph augmented by itself in Python, then collated."""

from copy import deepcopy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINConv, global_add_pool

from benchmarks._bench import Row, alternate
from labkit.data import load
from labkit.papers.graph.graphcl import build
from labkit.train import Minibatches, memory_kept

NAME = "GraphCL epoch on PROTEINS"
BATCH, RATE, EPOCHS = 128, 0.01, 5
RANDOM = np.random.default_rng(0)


class Augmented(torch.utils.data.Dataset):
    """Each graph with one augmented view, or two, made when asked for: nodes dropped or a one-hop subgraph, through a
    dense adjacency, Python lists and sets, as https://github.com/Shen-Lab/GraphCL (unsupervised_TU/aug.py) does it."""

    def __init__(self, graphs, both=False):
        self.graphs, self.both = list(graphs), both

    def __len__(self):
        return len(self.graphs)

    def __getitem__(self, i):
        graph = deepcopy(self.graphs[i])
        nodes = len(graph.x)
        loops = torch.tensor([[n, n] for n in range(nodes - 1)]).reshape(-1, 2).t()
        graph.edge_index = torch.cat([graph.edge_index, loops], dim=1)
        return self.view(graph) if self.both else graph, self.view(graph)

    def view(self, graph):
        view, nodes = deepcopy(graph), len(graph.x)
        gone = self.dropped(nodes) if RANDOM.integers(2) == 0 else self.far(view.edge_index.numpy(), nodes)
        adjacency = torch.zeros(nodes, nodes)
        adjacency[view.edge_index[0], view.edge_index[1]] = 1
        adjacency[gone, :] = 0
        adjacency[:, gone] = 0
        view.edge_index = adjacency.nonzero().t()
        return view

    @staticmethod
    def dropped(nodes):
        return RANDOM.choice(nodes, nodes // 10, replace=False)

    @staticmethod
    def far(edges, nodes):
        chosen = [int(RANDOM.integers(nodes))]
        near = set(edges[1][edges[0] == chosen[0]])
        for _ in range(nodes):
            if len(chosen) > int(0.2 * nodes) or not near:
                break
            node = RANDOM.choice(list(near))
            if node in chosen:
                continue
            chosen.append(node)
            near.union(set(edges[1][edges[0] == node]))  # the released code drops this result, too
        return [n for n in range(nodes) if n not in chosen]


def without_missing_nodes(view):
    """The augmented batch keeps the nodes that still have an edge or loop, renumbered by a dictionary (gsimclr.py)."""
    edges = view.edge_index.numpy()
    left = [n for n in range(len(view.x)) if n in edges[0] or n in edges[1]]
    number = {old: new for new, old in enumerate(left)}
    pairs = [[number[edges[0, e]], number[edges[1, e]]] for e in range(edges.shape[1]) if edges[0, e] != edges[1, e]]
    view.x, view.batch = view.x[left], view.batch[left]
    view.edge_index = torch.tensor(pairs).reshape(-1, 2).t()
    return view


class Published(nn.Module):
    """The released network: PyG's GINConv, batch norm, sum pool of each layer, a two-layer head."""

    def __init__(self, dim_in, hidden=32, layers=3):
        super().__init__()
        widths = [dim_in, *[hidden] * layers]
        updates = [nn.Sequential(nn.Linear(w, hidden), nn.ReLU(), nn.Linear(hidden, hidden)) for w in widths[:-1]]
        self.convolutions = nn.ModuleList(GINConv(update) for update in updates)
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in updates)
        dim = layers * hidden
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def embed(self, data, graphs):
        x, pooled = data.x, []
        for convolve, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(torch.relu(convolve(x, data.edge_index)))
            pooled.append(global_add_pool(x, data.batch, graphs))
        return self.head(torch.cat(pooled, dim=1))

    def forward(self, first, second):
        a, b = (self.embed(view, first.num_graphs) for view in (first, second))
        similarity = torch.exp(F.normalize(a) @ F.normalize(b).T / 0.2)
        positive = similarity.diag()
        return -torch.log(positive / (similarity.sum(1) - positive)).mean()


def epoch(method, batches, call, **options):
    optimizer = torch.optim.Adam(method.parameters(), lr=RATE, **options)

    def once():
        for batch in batches:
            optimizer.zero_grad()
            call(batch).backward()
            optimizer.step()

    return once


def as_in_fit(method, graphs):
    train = several(epoch(method, Minibatches(graphs.packed, BATCH, drop_last=False), method, fused=True))

    def kept():
        with memory_kept():  # once for a whole training, as fit does it
            train()

    return kept


def several(once):
    return lambda: [once() for _ in range(EPOCHS)]


def alternate_epochs(ours, theirs, repeats):
    """Seconds an epoch."""
    return [[seconds / EPOCHS for seconds in times] for times in alternate(ours, theirs, repeats)]


def views_alone(method, graphs):
    batches = Minibatches(graphs.packed, BATCH, drop_last=False)
    return lambda: [[view(batch) for view in method.views] for batch in batches]


def main(repeats: int = 5) -> list[Row]:
    graphs, peer = load("proteins"), "the per-graph Python formulation"
    method = Published(graphs[0].num_features)
    one, two = (DataLoader(Augmented(graphs, both), BATCH, shuffle=True) for both in (False, True))
    theirs = several(epoch(method, one, lambda pair: method(pair[0], without_missing_nodes(pair[1]))))
    theirs_of_two = several(epoch(method, two, lambda pair: method(*map(without_missing_nodes, pair))))
    released, paper = (build(graphs, variant=variant) for variant in ("released", "paper"))

    def their_views():
        return [without_missing_nodes(view) for _, view in one]

    times = alternate_epochs(as_in_fit(released, graphs), theirs, repeats)
    both = alternate_epochs(as_in_fit(paper, graphs), theirs_of_two, repeats)
    alone = alternate(views_alone(released, graphs), their_views, repeats)
    why = "batches and views are a fifth of it; the rest is the network and the loss, which both have"
    return [
        Row("GraphCL epoch, one view augmented as in the released code", peer, *times, at_least=10, why=why),
        Row("GraphCL epoch, both views augmented as in the paper", peer, *both, at_least=10),
        Row("GraphCL epoch, its batches and views alone", peer, *alone, at_least=10),
    ]
