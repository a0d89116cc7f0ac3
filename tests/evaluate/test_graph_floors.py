"""Floors of graph sets: what is in them, and that nothing outside is touched."""

import pytest
import torch
from torch_geometric.data import Data

from labkit.data import GraphBatch, GraphSet
from labkit.evaluate import CrossValidation, graph_set_floors, random_gin

PROTOCOL = CrossValidation(folds=3, strengths=1.0)


@pytest.fixture
def graphs():
    """Two classes that differ in the label of one node, not in size."""
    ring = torch.stack([torch.arange(6), torch.arange(6).roll(1)])
    made = []
    for i in range(24):
        x = torch.zeros(6, 2)
        x[:, 0] = 1
        if i % 2:
            x[0] = torch.tensor([0.0, 1.0])
        made.append(Data(x=x, edge_index=torch.cat([ring, ring.flip(0)], 1), y=torch.tensor([i % 2])))
    return GraphSet(tuple(made), "rings")


def test_raw_counts_labels_and_size_counts_nodes_and_edges(graphs):
    floors = graph_set_floors(graphs.packed, graphs.y, graphs, PROTOCOL, random_gins=2)
    assert set(floors) == {"raw", "size", "random GIN"}
    assert floors["raw"].mean == 1.0  # the label counts tell the classes apart
    assert floors["size"].mean == pytest.approx(0.5)  # all rings are equally large
    assert floors["random GIN"].over == "2 random starts, each 3 folds"
    assert set(graph_set_floors(graphs.packed, graphs.y, protocol=PROTOCOL, random_gins=0)) == {"raw", "size"}
    with pytest.raises(ValueError, match="random_gins must be at least 0, not -1"):
        graph_set_floors(graphs.packed, graphs.y, protocol=PROTOCOL, random_gins=-1)


def test_a_random_gin_depends_on_its_seed_alone(graphs):
    before = torch.get_rng_state()
    first, again, other = (random_gin(graphs.packed, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    assert first.shape == (24, 96)
    # the same graph embeds the same, whatever else is in the batch
    torch.testing.assert_close(random_gin(GraphBatch.of(graphs[:3]), 1), first[:3])


def test_every_random_start_is_scored_on_the_same_folds():
    generator = torch.Generator().manual_seed(0)
    parts = [Data(torch.rand(4, 2, generator=generator), torch.tensor([[0, 1, 2], [1, 2, 3]])) for _ in range(60)]
    batch, y = GraphBatch.of(parts), torch.randint(2, (60,), generator=generator)  # noise: every fold counts
    protocol = CrossValidation(folds=3, strengths=(1.0,))
    pooled = graph_set_floors(batch, y, None, protocol, random_gins=2, seed=4)["random GIN"]
    starts = [protocol.score(random_gin(batch, 4 + i), y, None, 4).mean for i in range(2)]
    assert list(pooled.values) == pytest.approx(starts)
    assert starts[1] != protocol.score(random_gin(batch, 5), y, None, 5).mean
