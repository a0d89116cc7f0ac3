"""One GraphMAE epoch on Cora, against the formulation of the released code's PyG branch: GATConv on dense features."""

import torch
from torch.nn import functional as F
from torch_geometric.nn import GATConv

from benchmarks._bench import Row, alternate, extra_memory, training_step
from labkit.data import load
from labkit.papers.graph.graphmae import GraphMAE

NAME = "GraphMAE epoch on Cora"


class Published(torch.nn.Module):
    """The epoch as https://github.com/THUDM/GraphMAE writes it (PyG branch, Cora): every step on nodes × features."""

    def __init__(self, dim_in: int):
        super().__init__()
        self.first, self.second = (GATConv(dim, 128, 4, dropout=0.1) for dim in (dim_in, 512))
        self.acts = torch.nn.ModuleList([torch.nn.PReLU(), torch.nn.PReLU()])
        self.to_decoder = torch.nn.Linear(512, 512, bias=False)
        self.decoder = GATConv(512, dim_in, 1, dropout=0.1)
        self.token = torch.nn.Parameter(torch.zeros(1, dim_in))

    def forward(self, data):
        x, nodes = data.x, data.num_nodes
        order = torch.randperm(nodes)
        hidden = order[: int(0.5 * nodes)]
        borrow = int(0.05 * len(hidden))
        token = hidden[: len(hidden) - borrow]
        masked = x.clone()
        masked[token] = 0.0
        masked[hidden[len(hidden) - borrow :]] = x[torch.randperm(nodes)[:borrow]]
        masked[token] += self.token
        h = self.acts[0](self.first(F.dropout(masked, 0.2), data.edge_index))
        h = self.to_decoder(self.acts[1](self.second(F.dropout(h, 0.2), data.edge_index)))
        h[hidden] = 0
        y = self.decoder(F.dropout(h, 0.2), data.edge_index)
        cosine = (F.normalize(x[hidden], dim=1) * F.normalize(y[hidden], dim=1)).sum(dim=1)
        return (1 - cosine).pow(3).mean()


def _step(kind, **optimizer_options):
    data = load("cora")
    method = kind(data.num_features)
    optimizer = torch.optim.Adam(method.parameters(), lr=1e-3, weight_decay=2e-4, **optimizer_options)
    return training_step(method, data, optimizer)


def _ours():
    return _step(GraphMAE, fused=True)  # as `fit` has it


def _published():
    return _step(Published)


def main(repeats: int = 5) -> list[Row]:
    peer = "the released formulation"
    times = alternate(_ours(), _published(), repeats)
    memory = extra_memory(__name__, "_ours()"), extra_memory(__name__, "_published()")
    why = "dense and sparse products, which both have, are half of what is left"
    return [
        Row("GraphMAE epoch", peer, *times, at_least=4, why=why),
        Row("GraphMAE epoch, extra memory", peer, *memory, unit="MB"),
    ]
