"""One SuperGAT-MX epoch on Cora, against PyG's ``SuperGATConv`` as its example has it; then a graph of degree 40."""

import torch
from torch.nn import functional as F
from torch_geometric.nn import SuperGATConv

from benchmarks._bench import Row, alternate, training_step
from labkit.data import load
from labkit.papers.graph._supergat_grid import random_partition_graph
from labkit.papers.graph.supergat import SuperGAT

NAME = "SuperGAT epoch"


class Published(torch.nn.Module):
    """The training step of PyG's ``examples/super_gat.py``, with λ and dropout as given."""

    def __init__(self, dim_in: int, classes: int, edge_weight: float, dropout: float):
        super().__init__()
        options = {"heads": 8, "dropout": dropout, "edge_sample_ratio": 0.8, "is_undirected": True}
        self.first = SuperGATConv(dim_in, 8, **options)
        self.second = SuperGATConv(64, classes, concat=False, **options)
        self.edge_weight, self.dropout = edge_weight, dropout

    def forward(self, data):
        h = F.elu(self.first(F.dropout(data.x, self.dropout), data.edge_index))
        logits = self.second(F.dropout(h, self.dropout), data.edge_index)
        edges = self.first.get_attention_loss() + self.second.get_attention_loss()
        return F.cross_entropy(logits[data.train_mask], data.y[data.train_mask]) + self.edge_weight * edges


def _step(method, data, **optimizer_options):
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-3, weight_decay=8e-3, **optimizer_options)
    return training_step(method, data, optimizer)


def main(repeats: int = 5) -> list[Row]:
    rows = []
    graphs = {"Cora": (load("cora"), 0.6), "2 000 nodes of degree 40": (random_partition_graph(0.5, 40.0), 0.0)}
    for name, (data, dropout) in graphs.items():
        sizes = data.num_features, int(data.y.max()) + 1
        ours = _step(SuperGAT(*sizes, edge_weight=11.35, dropout=dropout), data, fused=True)
        theirs = _step(Published(*sizes, 11.35, dropout), data)
        rows.append(Row(f"{NAME}, {name}", "PyG's SuperGATConv", *alternate(ours, theirs, repeats)))
    return rows
