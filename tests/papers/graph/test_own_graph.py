"""A graph of one's own goes through every method that embeds nodes."""

import networkx
import pytest
import torch
from torch_geometric.transforms import NormalizeFeatures
from torch_geometric.utils import is_undirected, to_networkx

from labkit import data, papers, recipes
from labkit.data import stochastic_block_model

METHODS = ("grace", "mvgrl", "graphmae", "bandana", "node2vec", "kcore", "gcc", "selftask", "supergat", "fisher")


@pytest.fixture(scope="module")
def own():
    graph = stochastic_block_model([60, 60], p_in=0.15, p_out=0.02, features=12, seed=0)
    return data.read_graph(to_networkx(graph, node_attrs=["x", "y"], to_undirected=True))  # no masks: y, x and edges


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_nodes_takes_it(name, own, tmp_path):
    for other in ("citeseer", "amazon-photo", "proteins") if name == "gcc" else ():  # it is pre-trained on these
        if not data.available(other):
            pytest.skip(f"{other} not found; set LABKIT_DATA")
    data.save_graph(own, tmp_path / "own.npz")
    recipe, graph = recipes.for_own_graph(papers.recipe(name), tmp_path / "own.npz")
    result = recipes.run(recipe, 1, dataset=graph, progress=False, epochs=1)
    assert result.recipe == f"{name}/own"
    assert result.paper is None
    assert {"raw", "untrained", "propagated"} <= set(result.floors)
    assert 0 < result.mean <= 1


def test_a_graph_in_memory_is_the_graph_from_its_file(own, tmp_path):
    data.save_graph(own, tmp_path / "own.npz")
    karate = networkx.karate_club_graph()
    scores = []
    for source, options in ((own, {}), (tmp_path / "own.npz", {}), (karate, {"features": "degree", "label": "club"})):
        recipe, graph = recipes.for_own_graph(papers.recipe("grace"), source, **options)
        scores.append(recipes.run(recipe, 1, dataset=graph, progress=False, epochs=1).mean)
        assert getattr(graph, "train_mask", None) is None
    assert scores[0] == scores[1]
    with pytest.raises(ValueError, match="the graph holds no node features"):
        recipes.for_own_graph(papers.recipe("grace"), karate, label="club")


def test_splits_of_methods_with_labels_leave_the_graph_as_it_was(own):
    _, graph = recipes.for_own_graph(papers.recipe("supergat"), own)
    assert int(graph.train_mask.sum()) == 12
    assert getattr(own, "train_mask", None) is None


@pytest.mark.parametrize("name", ["grace", "supergat"])
def test_a_rare_class_is_trained_on_in_every_split(name, own):
    own = own.clone()
    own.y[:3], own.y[3:5], own.y[5] = 2, 3, 4
    recipe, graph = recipes.for_own_graph(papers.recipe(name), own)
    (protocol,) = recipe.protocols.values()
    protocol.check(graph.y, graph)
    split = protocol.split(graph.y, graph)
    assert all(set(graph.y[rows].tolist()) == {0, 1, 2, 3, 4} for rows in split.train)
    assert all((graph.y[rows] == 2).sum() == 1 for part in (split.validation, split.test) for rows in part)
    assert [part.shape[1] for part in (split.train, split.validation, split.test)] == [14, 12, 94]
    assert len(split.train.unique(dim=0)) == len(split)


def test_classes_that_are_all_too_small_to_split_are_refused(own):
    own = own.clone()
    own.y = torch.arange(120) // 2
    with pytest.raises(ValueError, match=r"no class has three nodes.*merge classes"):
        recipes.for_own_graph(papers.recipe("supergat"), own)


def test_a_papers_name_alone_stands_for_its_own_method_and_not_for_a_control():
    assert papers.recipe("selftask").name == "selftask/cora-edge-mask"
    assert papers.recipe("kcore").name == "kcore/core3-cora"


def test_weights_are_said_to_count_for_node2vec_alone(own, capsys):
    own = own.clone()
    own.edge_weight = own.edge_index.sum(dim=0) + 1.0  # the same in both directions
    said = {}
    for name in ("node2vec", "kcore"):
        recipes.for_own_graph(papers.recipe(name), own)
        said[name] = capsys.readouterr().out
    assert said["node2vec"] == ""
    assert said["kcore"].startswith("edge weights are read by node2vec only")


def test_directed_edges_count_in_both_directions_with_the_larger_weight(own, capsys):
    directed = own.clone()
    a, b = own.edge_index
    directed.edge_index = own.edge_index[:, a < b]
    directed.edge_weight = torch.arange(directed.num_edges) + 1.0
    back = directed.edge_index[:, :1].flip(0)  # of the first edge, with another weight
    directed.edge_index = torch.cat([directed.edge_index, back], dim=1)
    directed.edge_weight = torch.cat([directed.edge_weight, torch.tensor([5.0])])
    _, graph = recipes.for_own_graph(papers.recipe("node2vec"), directed)
    assert "the graph is directed: every edge is taken in both directions" in capsys.readouterr().out
    assert torch.equal(graph.edge_index, own.edge_index)
    assert is_undirected(graph.edge_index, graph.edge_weight)
    assert graph.edge_weight[0] == 5
    assert not is_undirected(directed.edge_index)
    directed.x, directed.num_nodes = None, 120
    degrees = recipes.for_own_graph(papers.recipe("kcore"), directed, features="degree")[1].x[:, 0]
    assert torch.equal(degrees, a.bincount().float())


def test_own_features_are_scaled_by_their_sum_only_where_they_are_counts(own, capsys):
    for x, said in (((own.x > 0).float(), "scaled by NormalizeFeatures"), (own.x, "stay as they are")):
        own = own.clone()
        own.x = x
        graph = recipes.for_own_graph(papers.recipe("grace"), own)[1]
        assert torch.equal(graph.x, x if said == "stay as they are" else NormalizeFeatures()(own).x)
        assert said in capsys.readouterr().out
    own.x, own.num_nodes = None, 120
    graph = recipes.for_own_graph(papers.recipe("grace"), own, features="constant")[1]
    assert torch.equal(graph.x, torch.ones(120, 1))
    graph = recipes.for_own_graph(papers.recipe("fisher"), own, features="degree")[1]
    torch.testing.assert_close(graph.x.norm(dim=1), torch.ones(120))
    assert "scaled by unit_rows" in capsys.readouterr().out


def test_features_that_are_all_zero_are_refused_before_training(own):
    own = own.clone()
    own.x = torch.zeros(120, 3)
    with pytest.raises(ValueError, match="every feature of the graph is 0; leave x out and pass --features"):
        recipes.for_own_graph(papers.recipe("fisher"), own)
    own.x, own.y = torch.ones(120, 3), own.y[:, None]
    with pytest.raises(ValueError, match=r"labels y of shape \[120, 1\]"):
        recipes.for_own_graph(papers.recipe("fisher"), own)
