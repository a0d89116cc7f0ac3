"""A graph of one's own goes through every method that embeds nodes."""

import networkx
import pytest
from torch_geometric.utils import to_networkx

from labkit import data, papers, recipes
from labkit.data import stochastic_block_model

METHODS = ("grace", "mvgrl", "graphmae", "bandana", "node2vec", "kcore", "gcc", "selftask", "supergat", "fisher")


@pytest.fixture(scope="module")
def own():
    graph = stochastic_block_model([60, 60], p_in=0.15, p_out=0.02, features=12, seed=0)
    return data.read_graph(to_networkx(graph, node_attrs=["x", "y"], to_undirected=True))  # no masks: y, x and edges


@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_nodes_takes_it(name, own, tmp_path):
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
