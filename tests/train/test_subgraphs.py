"""Subgraphs around walks: induced, seeded, and good enough to train on."""

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.utils import subgraph

from labkit.data import stochastic_block_model
from labkit.methods import GCNClassifier
from labkit.papers.graph.grace import GRACE
from labkit.papers.graph.graphmae import GraphMAE
from labkit.papers.graph.mvgrl import MVGRL
from labkit.train import Subgraphs, fit


@pytest.fixture
def data():
    return stochastic_block_model([60, 60], p_in=0.1, p_out=0.01, features=8, seed=0)


def test_a_subgraph_holds_its_nodes_and_all_edges_between_them(data):
    part = Subgraphs(data, size=40).draw()
    assert 2 <= part.num_nodes <= 40
    assert torch.equal(part.x, data.x[part.nodes])
    expected = subgraph(part.nodes, data.edge_index, relabel_nodes=True)[0]
    assert {*map(tuple, part.edge_index.T.tolist())} == {*map(tuple, expected.T.tolist())}
    assert part.edge_index.shape == expected.shape


def test_walks_find_more_edges_than_scattered_nodes(data):
    torch.manual_seed(0)
    sampler = Subgraphs(data, size=40, walk=4)
    walked = [sampler.draw() for _ in range(20)]
    scattered = [sampler.among(torch.randperm(120)[: part.num_nodes].sort().values) for part in walked]
    assert sum(part.num_edges for part in walked) > 1.3 * sum(part.num_edges for part in scattered)


def test_an_epoch_holds_as_many_nodes_as_the_graph_and_a_seed_means_one_thing(data):
    sampler = Subgraphs(data, size=50)
    assert len(sampler) == len(list(sampler)) == 3
    assert repr(sampler) == "Subgraphs(3 × 50 of 120 nodes)"
    torch.manual_seed(7)
    first = [part.nodes for part in sampler]
    torch.manual_seed(7)
    assert all(torch.equal(a, part.nodes) for a, part in zip(first, sampler, strict=True))


@pytest.mark.parametrize("method", [GRACE, GraphMAE, MVGRL])
def test_node_level_methods_train_on_them(data, method):
    options = {"hidden": 16, "heads": 2} if method is GraphMAE else {"dim": 16}
    run = fit(method(8, **options), Subgraphs(data, size=60), epochs=3, watch=data, snapshots=[3], progress=False)
    assert len(run.snapshots[3]) == 120
    assert len(run.history["loss"]) == 3


def test_what_belongs_to_nodes_comes_along_and_labels_teach(data):
    data.train_mask = torch.arange(120) % 5 == 0
    data.edge_attr = torch.rand(data.num_edges)
    part = Subgraphs(data, size=40).draw()
    assert torch.equal(part.y, data.y[part.nodes])
    assert torch.equal(part.train_mask, data.train_mask[part.nodes])
    assert "edge_attr" not in part
    method = GCNClassifier(8, 2, hidden=8, select="last")
    none = part.clone()
    none.train_mask = torch.zeros_like(part.train_mask)
    assert method(none) == 0  # no label to learn from in this one
    data.x = data.x + 2 * data.y[:, None]
    run = fit(method, Subgraphs(data, size=60), epochs=40, lr=0.02, progress=False)
    rest = ~data.train_mask
    assert (run.method.embed(data).argmax(dim=1) == data.y)[rest].float().mean() > 0.9


def test_what_is_refused(data):
    for size in (1, 121):
        with pytest.raises(ValueError, match="size must lie between 2 and the number of nodes, 120"):
            Subgraphs(data, size=size)
    with pytest.raises(ValueError, match="walk must be at least 1"):
        Subgraphs(data, size=10, walk=0)
    with pytest.raises(ValueError, match="batches must be at least 1"):
        Subgraphs(data, size=10, batches=0)
    data.edge_index = data.edge_index[:, :0]
    with pytest.raises(ValueError, match="no edge to walk on"):
        Subgraphs(data, size=10)


def test_a_walk_is_as_long_as_it_says_and_no_longer_than_the_piece(data):
    path = torch.stack([torch.arange(119), torch.arange(1, 120)])
    data.edge_index = torch.cat([path, path.flip(0)], dim=1)
    torch.manual_seed(0)
    for walk in (1, 3):
        sizes = {Subgraphs(data, size=walk + 1, walk=walk).draw().num_nodes for _ in range(100)}
        assert max(sizes) == walk + 1
    assert {Subgraphs(data, size=3, walk=10).draw().num_nodes for _ in range(100)} == {2, 3}


def test_edges_of_a_directed_graph_keep_their_direction():
    edges = torch.tensor([[0, 2, 4, 1], [2, 4, 0, 3]])
    graph = Data(x=torch.eye(5), edge_index=edges)
    part = Subgraphs(graph, size=4).among(torch.tensor([0, 2, 4]))
    assert set(map(tuple, part.nodes[part.edge_index].T.tolist())) == {(0, 2), (2, 4), (4, 0)}
