"""One GraphCL epoch on PROTEINS, against the published way: each graph augmented by itself in Python, then collated."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch_geometric.loader import DataLoader
from torch_geometric.nn import GINConv, global_add_pool

from benchmarks._bench import Row, alternate
from labkit.data import load
from labkit.papers.graph.graphcl import build
from labkit.train import Minibatches

NAME = "GraphCL epoch on PROTEINS"
BATCH, RATE = 128, 0.01
RANDOM = np.random.default_rng(0)


class Augmented(torch.utils.data.Dataset):
    """Graphs with one augmented view each, made when asked for: nodes dropped, or a one-hop subgraph, by dense
    adjacency and Python sets, as the description of https://github.com/Shen-Lab/GraphCL (unsupervised_TU) has it."""

    def __init__(self, graphs):
        self.graphs = list(graphs)

    def __len__(self):
        return len(self.graphs)

    def __getitem__(self, i):
        graph = self.graphs[i].clone()
        nodes = len(graph.x)
        loops = torch.tensor([[n, n] for n in range(nodes - 1)]).reshape(-1, 2).t()
        graph.edge_index = torch.cat([graph.edge_index, loops], dim=1)
        keep = self.without_some(nodes) if RANDOM.integers(2) == 0 else self.one_hop(graph, nodes)
        view = graph.clone()
        adjacency = torch.zeros(nodes, nodes)
        adjacency[graph.edge_index[0], graph.edge_index[1]] = 1
        gone = [n for n in range(nodes) if n not in keep]
        adjacency[gone, :] = 0
        adjacency[:, gone] = 0
        view.edge_index = adjacency.nonzero().t()
        return graph, view

    @staticmethod
    def without_some(nodes):
        dropped = RANDOM.choice(nodes, nodes // 10, replace=False)
        return {n for n in range(nodes) if n not in dropped}

    @staticmethod
    def one_hop(graph, nodes):
        source, target = graph.edge_index.numpy()
        chosen = [RANDOM.integers(nodes)]
        near = set(target[source == chosen[0]])
        for _ in range(nodes):
            if len(chosen) > int(0.2 * nodes) or not near:
                break
            node = RANDOM.choice(list(near))
            if node not in chosen:
                chosen.append(node)
        return set(chosen)


def without_missing_nodes(view, batch):
    """The augmented batch keeps the nodes that still have an edge or loop, renumbered by a dictionary."""
    ends = view.edge_index.numpy()
    left = [n for n in range(len(view.x)) if n in ends[0] or n in ends[1]]
    number = {old: new for new, old in enumerate(left)}
    pairs = [[number[a], number[b]] for a, b in ends.T if a != b]
    view.x, view.batch = view.x[left], batch.batch[left]
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

    def forward(self, batch, view):
        graphs = batch.num_graphs
        a, b = self.embed(batch, graphs), self.embed(without_missing_nodes(view, batch), graphs)
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


def main(repeats: int = 5) -> list[Row]:
    graphs = load("proteins")
    published = Published(graphs[0].num_features)
    loader = DataLoader(Augmented(graphs), BATCH, shuffle=True)
    theirs = epoch(published, loader, lambda pair: published(*pair))
    rows = []
    for variant, name in (("released", "one view augmented, one hop"), ("paper", "both views, subgraphs that grow")):
        method = build(graphs, variant=variant)
        ours = epoch(method, Minibatches(graphs.packed, BATCH, drop_last=False), method, fused=True)  # as fit does
        entry = f"GraphCL epoch, {name}"
        rows.append(Row(entry, "the per-graph Python formulation", *alternate(ours, theirs, repeats), at_least=10))
    return rows
