"""Small graphs, and a set of forty in two classes."""

from collections.abc import Callable

import pytest
import torch
from torch_geometric.data import Data

from labkit.data import GraphSet


@pytest.fixture
def ring() -> Callable[..., Data]:
    def make(n, label=0):
        a = torch.arange(n)
        edges = torch.stack([a, (a + 1) % n])
        return Data(x=torch.rand(n, 3), edge_index=torch.cat([edges, edges.flip(0)], 1), y=torch.tensor([label]))

    return make


@pytest.fixture
def graphs(ring) -> GraphSet:
    return GraphSet(tuple(ring(4 + i % 7, i % 2) for i in range(40)), "rings")
