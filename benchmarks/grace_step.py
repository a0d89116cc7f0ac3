"""One GRACE training step on Cora, against the formulation of the released code: dense features, dense n × n loss."""

import torch
from torch.nn import functional as F
from torch_geometric.nn import GCNConv
from torch_geometric.utils import dropout_edge

from benchmarks._bench import Row, alternate, extra_memory, training_step
from labkit.data import load
from labkit.models import MLP
from labkit.papers.graph.grace import GRACE

NAME = "GRACE step on Cora"
EDGE_DROP, FEATURE_MASK, TEMPERATURE = (0.2, 0.4), (0.3, 0.4), 0.4


class Published(torch.nn.Module):
    """The step as https://github.com/CRIPAC-DIG/GRACE writes it: GCNConv, ``exp`` of two dense products a direction."""

    def __init__(self, dim_in: int):
        super().__init__()
        self.first, self.second = GCNConv(dim_in, 256), GCNConv(256, 128)
        self.projector = MLP(128, 128, 128, activation="elu")

    def view(self, data, edge_drop, feature_mask):
        x = data.x.clone()
        x[:, torch.rand(x.shape[1]) < feature_mask] = 0
        edges = dropout_edge(data.edge_index, edge_drop)[0]
        return self.projector(torch.relu(self.second(torch.relu(self.first(x, edges)), edges)))

    def forward(self, data):
        a, b = (self.view(data, *p) for p in zip(EDGE_DROP, FEATURE_MASK, strict=True))
        return ((self.one_side(a, b) + self.one_side(b, a)) * 0.5).mean()

    @staticmethod
    def one_side(a, b):
        a, b = F.normalize(a), F.normalize(b)
        within, between = torch.exp(a @ a.T / TEMPERATURE), torch.exp(a @ b.T / TEMPERATURE)
        return -torch.log(between.diag() / (within.sum(1) + between.sum(1) - within.diag()))


def step(method, data, bfloat16=False, fused=False):
    optimizer = torch.optim.Adam(method.parameters(), lr=5e-4, weight_decay=1e-5, fused=fused)
    return training_step(method, data, optimizer, bfloat16)


def _ours():
    data = load("cora")
    return step(GRACE(data.num_features), data, fused=True)  # as fit has it


def _published():
    data = load("cora")
    return step(Published(data.num_features), data)


def main(repeats: int = 5) -> list[Row]:
    why = "11 of the released 22 billion operations of the loss's products are left, and take half of the step"
    half = (
        "on a processor without tiles of bfloat16 (AMX) these products of 128 numbers take longer in it than in float32"
    )
    kept = (
        "half of the loss's matrix, 58 MB, waits from the forward to the backward pass, which saves an eighth of a step"
    )
    times = alternate(_ours(), _published(), repeats)
    rows = [Row("GRACE step, float32", "the released formulation", *times, at_least=3, why=why)]
    if torch.cpu._is_avx512_bf16_supported():
        data = load("cora")
        ours = step(GRACE(data.num_features), data, bfloat16=True, fused=True)
        rows.append(Row("GRACE step, bfloat16 products", "the released formulation in float32",
                        *alternate(ours, _published(), repeats), at_least=3, why=half))  # fmt: skip
    memory = extra_memory(__name__, "_ours()"), extra_memory(__name__, "_published()")
    rows.append(Row("GRACE step, extra memory", "the released formulation", *memory, at_least=5, unit="MB", why=kept))
    return rows
