"""SelfTask's targets against breadth-first searches, and its losses against ones written out."""

from functools import partial

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch_geometric.data import Data

from labkit.data import save_graph, stochastic_block_model
from labkit.papers.graph import _distances as distances
from labkit.papers.graph import _pretexts as p
from labkit.papers.graph.selftask import GCN, PRETEXTS, RECIPES, WITH, SelfTask
from labkit.recipes import for_own_graph, run
from labkit.train import fit


def graph_of(seed, nodes=30, p_in=0.15):
    graph = stochastic_block_model([nodes // 2, nodes - nodes // 2], p_in, 0.02, features=5, seed=seed)
    parts = torch.arange(nodes) % 4
    graph.train_mask, graph.val_mask, graph.test_mask = parts == 0, parts == 1, parts > 1
    return graph


@pytest.fixture
def data():
    return graph_of(0)


def network(data):
    graph = nx.Graph(data.edge_index.T.tolist())
    graph.add_nodes_from(range(data.num_nodes))
    return graph


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), p_in=st.floats(0.01, 0.3))
def test_closeness_and_pairs_are_those_of_a_breadth_first_search(seed, p_in):
    data = graph_of(seed, 24, p_in)
    paths = dict(nx.all_pairs_shortest_path_length(network(data)))
    sources = torch.tensor([0, 5, 23])
    away = [[paths[source].get(node, torch.inf) for source in sources.tolist()] for node in range(24)]
    expected = 1 / torch.tensor(away).clamp(min=1)  # 1 at the source itself, 0 where no path leads
    assert torch.equal(distances.closeness(data.edge_index, 24, sources), expected)
    for away, listed in enumerate(distances.pairs_by_distance(data.edge_index, 24, 3), 1):
        plain = {(a, b) for a in paths for b, d in paths[a].items() if a < b and d == away}
        assert set(map(tuple, listed.T.tolist())) == plain
        assert listed.shape[1] == len(plain)


@pytest.mark.parametrize("released", [False, True])
def test_edge_mask_hides_what_it_asks_for(data, released):
    task = p.EdgeMask(data, 4, share=0.5, released=released)
    linked = set(map(tuple, data.edge_index.T.tolist()))
    left = set(map(tuple, task.view(data)[1].T.tolist()))
    asked = list(map(tuple, task.pairs.T.tolist()))
    hidden = {pair for pair, truth in zip(asked, task.truth.tolist(), strict=True) if truth}
    assert hidden == linked - left
    assert 0 < len(hidden) < len(linked)
    assert not {pair for pair, truth in zip(asked, task.truth.tolist(), strict=True) if not truth} & linked
    given_away = {(b, a) for a, b in hidden} & left
    assert bool(given_away) == released


def test_attribute_mask_hides_nodes_without_labels(data):
    task = p.AttributeMask(data, 4, share=0.3)
    x = task.view(data)[0]
    assert not data.train_mask[task.hidden].any()
    assert (x[task.hidden] == 0).all()
    kept = torch.ones(30, dtype=torch.bool).index_fill(0, task.hidden, False)
    assert torch.equal(x[kept], data.x[kept])
    assert torch.equal(task.truth, data.x[task.hidden])


def test_node_property_is_the_degree(data):
    degree = torch.tensor([d for _, d in sorted(network(data).degree())])
    expected = [0 if d <= 2 else 1 if d <= 7 else 2 for d in degree.tolist()]
    assert p.NodeProperty(data, 4).truth.tolist() == expected
    assert torch.equal(p.NodeProperty(data, 4, regression=True).truth, degree.float())


def test_pairwise_distance_asks_for_pairs_at_the_distance_it_says(data, monkeypatch):
    paths = dict(nx.all_pairs_shortest_path_length(network(data)))
    task = p.PairwiseDistance(data, 4, pairs=50)
    seen = {}
    monkeypatch.setattr(p, "_difference", lambda h, pairs: seen.setdefault("pairs", pairs).T.float() @ torch.ones(2, 4))
    monkeypatch.setattr(p.F, "cross_entropy", lambda said, truth: seen.setdefault("truth", truth))
    task(torch.zeros(30, 4))
    truth = [min(paths[a].get(b, 4), 4) - 1 for a, b in seen["pairs"].T.tolist()]
    assert seen["truth"].tolist() == truth
    assert set(truth) == {0, 1, 2, 3}


def test_cluster_centres_have_most_neighbours_unless_they_are_the_released_ones(data):
    torch.manual_seed(0)
    truth = p.DistanceCluster(data, 4, clusters=2).truth
    centres = (truth == 1).nonzero()
    for column in range(2):  # the centre is at distance 0, its neighbours at 1: all of them are 1
        neighbours = centres[centres[:, 1] == column, 0].tolist()
        assert any(set(neighbours) == {c, *network(data)[c]} for c in neighbours)
    torch.manual_seed(0)
    assert not torch.equal(p.DistanceCluster(data, 4, clusters=2, released=True).truth, truth)


def test_distance_to_labelled_nodes_is_a_mean_over_each_class(data):
    task = p.Distance2Labeled(data, 4)
    labelled = data.train_mask.nonzero().flatten()
    near = distances.closeness(data.edge_index, 30, labelled)
    plain = torch.stack([near[:, data.y[labelled] == c].mean(dim=1) for c in range(2)], dim=1)
    torch.testing.assert_close(task.truth, plain)


def test_the_released_similarity_loss_is_the_broadcast_one(data):
    task = p.PairwiseAttrSim(data, 4, released=True, pairs=40)
    hidden = torch.randn(30, 4)
    torch.manual_seed(3)
    ours = task(hidden)
    torch.manual_seed(3)
    drawn = torch.randint(task.ends.shape[1], (40,))
    said, truth = task.head(p._difference(hidden, task.ends[:, drawn])), task.truth[drawn]
    torch.testing.assert_close(ours, (said - truth).square().mean())  # [40, 1] − [40] is [40, 40]


def test_similar_pairs_hold_each_nodes_nearest_and_furthest(data):
    task = p.PairwiseAttrSim(data, 4, k=2)
    x = F.normalize(data.x, dim=1)
    similar = x @ x.T
    asked = set(map(tuple, task.ends.T.tolist()))
    for node in range(30):
        order = [other for other in similar[node].argsort().tolist() if other != node]
        for other in order[:2] + order[-2:]:
            assert (min(node, other), max(node, other)) in asked
    torch.testing.assert_close(task.truth, similar[task.ends[0], task.ends[1]])


def test_context_labels_are_shares_of_the_labels_around(data):
    data.train_mask[:] = True
    node = int(data.edge_index[0].bincount().argmax())
    data.train_mask[node] = False
    task = p.ContextLabel(data, 4)
    adjacency = torch.zeros(30, 30).index_put((data.edge_index[0], data.edge_index[1]), torch.tensor(1.0))
    near = (adjacency + adjacency @ adjacency > 0).float()
    near.fill_diagonal_(0)
    votes = F.one_hot(data.y, 2).float()
    around = data.y[adjacency[node] > 0].bincount(minlength=2)
    votes[node] = F.one_hot(around.argmax(), 2)
    assert task.free.tolist() == [node]
    torch.testing.assert_close(task.truth[0], near[node] @ votes / (near[node] @ votes).sum())


def test_labels_are_classified_by_features_and_by_the_labels_of_neighbours(data):
    for extend in (p.propagated, p.classified, p.combined):
        votes = extend(data)
        assert votes.shape == (30, 2)
        assert torch.equal(votes.argmax(dim=1)[data.train_mask], data.y[data.train_mask])
    torch.testing.assert_close(p.combined(data), p.propagated(data) + p.classified(data))
    torch.testing.assert_close(p.classified(data).sum(dim=1), torch.ones(30))


def test_neighbours_outweigh_features_that_mislead():
    """Two cliques; one node's features are those of the other clique's."""
    clique = torch.tensor([(i, j) for part in (range(6), range(6, 12)) for i in part for j in part if i != j]).T
    y = (torch.arange(12) >= 6).long()
    x = F.one_hot(y, 2).float()
    x[5] = x[11]
    known = torch.zeros(12, dtype=torch.bool)
    known[[0, 1, 2, 6, 7, 8]] = True
    data = Data(x=x, edge_index=clique, y=y, train_mask=known)
    assert p.classified(data, rounds=1)[5].argmax() == 0
    assert p.CombinedContextLabel(data, 4).truth.shape == (6, 2)


@pytest.mark.parametrize("task", [None, *PRETEXTS], ids=lambda task: task.__name__ if task else "GCN")
def test_every_task_trains_beside_the_labels(data, task):
    def once():
        torch.manual_seed(0)
        return fit(SelfTask(data, task, 1.0, hidden=8), [data], epochs=30, lr=0.02, progress=False)

    first, again = once(), once()
    assert first.history["loss"] == again.history["loss"]
    assert first.history["loss"][-1] < first.history["loss"][0]
    assert first.method.embed(data).shape == (30, 2)
    assert first.method.hidden(data).shape == (30, 8)


def test_shuffled_answers_are_the_same_ones_elsewhere(data):
    torch.manual_seed(0)
    true = p.Distance2Labeled(data, 4).truth
    torch.manual_seed(0)
    dealt = p.shuffled(data, 4, p.Distance2Labeled).truth
    assert not torch.equal(true, dealt)
    assert sorted(true.tolist()) == sorted(dealt.tolist())
    with pytest.raises(ValueError, match="PairwiseDistance keeps no truth"):
        p.shuffled(data, 4, p.PairwiseDistance)


def test_no_weight_is_the_plain_gcn(data):
    def losses(**changes):
        torch.manual_seed(0)
        return fit(SelfTask(data, **changes), [data], epochs=5, progress=False).history["loss"]

    assert losses(pretext=p.PairwiseDistance, weight=0.0) == losses()


def test_the_pretext_reaches_the_hidden_layer_but_not_the_classifier(data):
    method = SelfTask(data, partial(p.NodeProperty, regression=True), 1.0, hidden=8)
    method.pretext(method.classify(*method.pretext.view(data))[1]).backward()
    assert method.first.weight.grad.abs().sum() > 0
    assert method.second.weight.grad is None


def test_what_is_refused(data):
    with pytest.raises(ValueError, match="weight must be at least 0"):
        SelfTask(data, p.EdgeMask, -1.0)
    other = data.clone()
    other.edge_index = other.edge_index[:, 2:]
    with pytest.raises(ValueError, match="of another graph"):
        fit(SelfTask(data, p.NodeProperty, 1.0), [other], epochs=1, progress=False)
    fit(SelfTask(data), [other], epochs=1, progress=False)  # labels alone ask nothing of the graph
    del data.train_mask
    with pytest.raises(ValueError, match="needs train_mask"):
        SelfTask(data, p.AttributeMask, 1.0)


@pytest.mark.parametrize("task", [p.ContextLabel, p.IterativeContextLabel, p.CombinedContextLabel])
def test_nodes_without_a_label_may_be_asked_about(data, task):
    known = data.train_mask | data.val_mask
    hidden = data.clone()
    hidden.y = torch.where(known, data.y, -1)
    truths = [SelfTask(graph, task, 1.0).pretext.truth for graph in (data, hidden)]
    assert torch.equal(*truths)


def test_a_graph_from_a_file_gets_a_split_to_train_with(data, tmp_path):
    for name in ("train_mask", "val_mask", "test_mask"):
        del data[name]
    save_graph(data, tmp_path / "mine.npz")
    recipe, graph = for_own_graph(GCN["cora"], tmp_path / "mine.npz")
    assert [int(graph[name].sum()) for name in ("train_mask", "val_mask", "test_mask")] == [4, 4, 22]
    assert (graph.train_mask.int() + graph.val_mask.int() + graph.test_mask.int() == 1).all()
    result = run(recipe, 1, dataset=graph, epochs=3, progress=False)
    assert {"raw", "propagated", "untrained"} <= result.floors.keys()


def test_recipes_name_every_task_on_both_graphs():
    names = {recipe.name for recipe in RECIPES}
    assert len(names) == len(RECIPES) == 2 * (1 + len(PRETEXTS))
    assert {"selftask/cora-gcn", "selftask/citeseer-pairwise-distance"} <= names
    weights = {key: recipe.build.keywords["weight"] for key, recipe in WITH.items()}
    assert weights == {(data, task): λ for task, both in PRETEXTS.items() for data, λ in zip(GCN, both, strict=True)}
    assert (weights["cora", p.EdgeMask], weights["citeseer", p.EdgeMask]) == (10, 5)
