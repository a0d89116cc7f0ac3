"""Counting components under attack: each step beside a slow one, and the whole of it on a few graphs."""

import networkx as nx
import pytest
import torch
from torch.nn import functional as F
from torch_geometric.data import Data

from labkit.claims import Lab
from labkit.data import GraphBatch, GraphSet
from labkit.papers.graph import _graphcl_robustness as robustness
from labkit.papers.graph import graphcl
from labkit.papers.graph._graphcl_robustness import (
    ATTACKS,
    ComponentCounter,
    UnderAttack,
    add_edges,
    addable,
    attacked,
    by_gradient,
    by_trying_all,
    component_graphs,
    components,
    counted_by_size,
    kept,
    train_counter,
)
from labkit.train import seeded

FEW = {"contrast": 1, "labelled": 2, "progress": False}


@pytest.fixture(scope="module")
def graphs():
    return component_graphs(4, seed=3)


@pytest.fixture(scope="module")
def counter(graphs):
    """In float64, with weights and batch norm's averages that are nobody's start."""
    with seeded(1):
        made = ComponentCounter(graphs.y, layers=2, hidden=6).double()
        made.train()
        for _ in range(5):
            made.encoder(double(graphs.packed))
        for weights in made.parameters():
            weights.data += 0.1 * torch.randn_like(weights)
    return made.eval()


def double(batch: GraphBatch) -> GraphBatch:
    return GraphBatch(batch.x.double(), batch.edge_index, batch.ptr)


def networks(batch: GraphBatch) -> list[nx.Graph]:
    found = []
    for i in range(len(batch)):
        one = batch[i]
        found.append(nx.Graph(one.edge_index.T.tolist()))
        found[-1].add_nodes_from(range(len(one.x)))
        assert 2 * found[-1].number_of_edges() == one.edge_index.shape[1]  # both directions, nothing twice, no loops
    return found


def test_graphs_have_the_components_and_the_sizes_they_say(graphs):
    drawn = networks(graphs.packed)
    assert [nx.number_connected_components(graph) - 1 for graph in drawn] == graphs.y.tolist()
    assert graphs.y.bincount().tolist() == [4, 4, 4]
    for graph in drawn:
        parts = [len(part) for part in nx.connected_components(graph)]
        assert all(15 // len(parts) <= size <= 20 // len(parts) for size in parts)
    assert len({(len(graph), graph.number_of_edges()) for graph in drawn}) > 6
    assert torch.equal(graphs.packed.edge_index, component_graphs(4, seed=3).packed.edge_index)
    assert not torch.equal(graphs.packed.ptr, component_graphs(4, seed=4).packed.ptr)
    with pytest.raises(ValueError, match="each"):
        component_graphs(0, seed=0)


def test_pieces_of_a_component_are_linked_by_as_few_edges_as_can_be():
    trees = networks(component_graphs(2, seed=0, p=0.0).packed)
    assert all(nx.is_forest(tree) for tree in trees)
    full = networks(component_graphs(2, seed=0, p=1.0).packed)
    assert all(nx.density(graph.subgraph(part)) == 1 for graph in full for part in nx.connected_components(graph))


def test_what_may_be_added_leaves_the_number_of_components(graphs):
    batch = graphs.packed
    found, slow = addable(batch), []
    for i, graph in enumerate(networks(batch)):
        before = nx.number_connected_components(graph)
        for u, v in nx.non_edges(graph):
            with_it = nx.Graph(graph)
            with_it.add_edge(u, v)
            if nx.number_connected_components(with_it) == before:
                slow.append([int(batch.ptr[i]) + min(u, v), int(batch.ptr[i]) + max(u, v)])
    assert sorted(found.T.tolist()) == sorted(slow)
    assert (batch.batch[found[0]].diff() >= 0).all()
    assert components(batch).max() + 1 == (graphs.y + 1).sum()


@pytest.mark.parametrize("how", ATTACKS)
def test_each_graph_gets_one_edge_and_keeps_its_answer(graphs, counter, how):
    after = attacked(counter, double(graphs.packed), graphs.y, ATTACKS[how])
    assert torch.equal(after.ptr, graphs.packed.ptr)
    assert (after.edge_batch.diff() >= 0).all()
    for before, now, label in zip(networks(graphs.packed), networks(after), graphs.y.tolist(), strict=True):
        assert len(set(map(frozenset, now.edges)) - set(map(frozenset, before.edges))) == 1
        assert now.number_of_edges() == before.number_of_edges() + 1
        assert nx.number_connected_components(now) == label + 1


def test_a_graph_that_has_no_edge_to_add_stays(counter):
    complete = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1]]))
    path = Data(x=torch.ones(3, 1), edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    labels = torch.tensor([0, 0, 0])
    for how in ATTACKS.values():
        after = attacked(counter, double(GraphBatch.of([complete, path, complete])), labels, how)
        assert after.edge_ptr.diff().tolist() == [6, 6, 6]
        alone = double(GraphBatch.of([complete]))
        assert torch.equal(attacked(counter, alone, labels[:1], how).edge_index, alone.edge_index)


@torch.no_grad()
def dense_loss(counter, adjacency, label):
    """The classifier with its sums as products with a dense matrix."""
    x, pooled = torch.ones(len(adjacency), 1, dtype=torch.float64), []
    for update, norm in zip(counter.encoder.updates, counter.encoder.norms, strict=True):
        x = norm(update(adjacency @ x + x).relu())
        pooled.append(x.sum(0))
    return F.cross_entropy(counter.head(torch.cat(pooled))[None], label)


def test_the_gradient_is_that_of_the_dense_adjacency_and_its_edge_the_steepest(graphs, counter):
    batch = double(graphs.packed)
    pairs = addable(batch)
    rises, after = by_gradient(counter, batch, graphs.y, pairs), attacked(counter, batch, graphs.y, by_gradient)
    step = 1e-6
    for i, graph in list(enumerate(networks(batch)))[:6]:
        adjacency = torch.from_numpy(nx.to_numpy_array(graph, nodelist=range(len(graph))))
        slow = {}
        for u, v in (pairs[:, batch.batch[pairs[0]] == i] - batch.ptr[i]).T.tolist():
            up, down = adjacency.clone(), adjacency.clone()
            up[[u, v], [v, u]], down[[u, v], [v, u]] = step, -step
            rise = dense_loss(counter, up, graphs.y[i : i + 1]) - dense_loss(counter, down, graphs.y[i : i + 1])
            slow[u, v] = rise.item() / (2 * step)
        here = rises[batch.batch[pairs[0]] == i]
        torch.testing.assert_close(here, torch.tensor(list(slow.values())), atol=1e-5, rtol=1e-4)
        (added,) = set(map(frozenset, networks(after[i])[0].edges)) - set(map(frozenset, graph.edges))
        assert slow[tuple(sorted(added))] == pytest.approx(max(slow.values()), abs=1e-6)


def test_trying_all_is_each_graph_with_each_edge_one_at_a_time(graphs, counter):
    batch = double(graphs.packed)
    pairs = addable(batch)
    found = by_trying_all(counter, batch, graphs.y, pairs, block=37)
    for at in range(0, pairs.shape[1], 23):
        i = int(batch.batch[pairs[0, at]])
        logits = counter.embed(add_edges(batch, pairs[:, at : at + 1])[i])[0]
        right = int(graphs.y[i])
        wrong = max(float(logits[c]) for c in range(3) if c != right)
        assert float(found[at]) == pytest.approx(wrong - float(logits[right]))


@pytest.mark.parametrize("how", [by_gradient, by_trying_all])
def test_a_graph_is_attacked_the_same_in_any_company(graphs, counter, how):
    batch = double(graphs.packed)
    together = attacked(counter, batch, graphs.y, how)
    for i in (0, 5, 10):
        alone = attacked(counter, batch[i], graphs.y[i : i + 1], how)
        assert set(map(tuple, alone.edge_index.T.tolist())) == set(map(tuple, together[i].edge_index.T.tolist()))


def test_a_random_edge_is_drawn_from_all(counter):
    path = Data(x=torch.ones(4, 1), edge_index=torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]]))
    many = GraphBatch.of([path] * 600)
    pairs = addable(many)
    assert pairs.shape[1] == 1800  # 0-2, 0-3, 1-3
    after = attacked(counter, many, torch.zeros(600, dtype=torch.int64), robustness.at_random)
    added = [
        tuple(sorted(next(iter(set(map(frozenset, graph.edges)) - {frozenset(e) for e in ((0, 1), (1, 2), (2, 3))}))))
        for graph in networks(after)
    ]
    assert all(150 < added.count(pair) < 250 for pair in ((0, 2), (0, 3), (1, 3)))


def test_nothing_beats_trying_all_and_what_is_kept_is_accuracy(graphs):
    tested = component_graphs(10, seed=5)
    counter = train_counter(component_graphs(20, seed=3), 2, "scratch", 0, **FEW | {"labelled": 20})
    found = kept(counter, tested)
    assert found.any <= min(found.random, found.gradient)
    assert found.any < found.clean
    right = [int(counter.embed(tested.packed[i]).argmax()) == label for i, label in enumerate(tested.y.tolist())]
    assert found.clean == pytest.approx(sum(right) / 30)
    assert found == kept(counter, tested)


def test_sizes_alone_count_forests_until_an_edge_is_added():
    """With the number of nodes fixed, edges tell forests of one, two and three trees apart."""
    forests = component_graphs(60, seed=0, nodes=(12, 12), p=0.0)
    found = counted_by_size(forests, component_graphs(5, seed=1, nodes=(12, 12), p=0.0))
    assert found.clean == 1
    # 11, 10 and 9 edges: with one more, two trees look like one, three like two; one is still nearest to its like
    assert found.random == found.gradient == found.any == pytest.approx(1 / 3)


def test_three_starts_share_their_first_weights_and_their_graphs(monkeypatch):
    """What differs is what was learned before, and for how long."""
    seen = []

    def fit(method, batches, epochs, **more):
        seen.append((type(method).__name__, epochs, more["seed"], method.encoder.updates[0][0].weight.clone()))
        if type(method).__name__ == "GraphCL":
            method.encoder.updates[0][0].weight.data += 1

    monkeypatch.setattr(robustness, "fit", fit)
    graphs = component_graphs(20, seed=0)
    for start in ("scratch", "longer", "pretrained"):
        train_counter(graphs, 2, start, seed=4, contrast=3, labelled=5)
    assert [one[:3] for one in seen] == [
        ("ComponentCounter", 5, 4),
        ("ComponentCounter", 8, 4),
        ("GraphCL", 3, 4),
        ("ComponentCounter", 5, 4),
    ]
    weights = [one[3] for one in seen]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    assert torch.equal(weights[3], weights[2] + 1)
    with pytest.raises(ValueError, match="no start named 'pre-trained'"):
        train_counter(graphs, 2, "pre-trained", seed=0)


def test_a_training_of_each_kind_runs_and_ends_with_other_weights():
    graphs = component_graphs(20, seed=0)
    made = {start: train_counter(graphs, 2, start, 0, **FEW) for start in robustness.STARTS}
    assert isinstance(graphs, GraphSet)
    logits = {start: counter.embed(graphs.packed) for start, counter in made.items()}
    assert logits["scratch"].shape == (60, 3)
    assert not torch.equal(logits["scratch"], logits["pretrained"])
    assert not torch.equal(logits["scratch"], logits["longer"])


def test_claims_compare_the_starts_on_the_same_graphs_and_train_each_once(monkeypatch):
    trained = []

    def train_counter(graphs, layers, start, seed, **more):
        assert (more["contrast"], len(graphs)) == (1, 60)
        trained.append((start, seed, layers))
        return start, graphs

    def kept(counter, tested, seed):
        start, graphs = counter
        better = {"scratch": 0.0, "longer": 0.05, "pretrained": 0.1}[start] + 0.01 * (
            trained[-1] == ("pretrained", 1, 2)
        )
        assert not torch.equal(graphs.packed.ptr[:5], tested.packed.ptr[:5])
        return UnderAttack(0.8 + better, 0.7 - 0.01 * seed, 0.6 + 2 * better, 0.2 + better)

    monkeypatch.setattr(graphcl, "train_counter", train_counter)
    monkeypatch.setattr(graphcl, "kept", kept)
    lab = Lab("smoke", [0, 1], progress=False)
    assert graphcl.robust_to_random_edges.test(lab).difference[0] == 0
    assert graphcl.robust_to_gradients.test(lab).difference[0] == pytest.approx(0.2)
    assert graphcl.robust_to_any_edge.test(lab).difference[0] == pytest.approx(0.1)
    longer = graphcl.robust_beyond_longer_training.test(lab)
    assert longer.difference[0] == pytest.approx(0.1)
    assert longer.note.startswith("Without an attack 90.0 and 85.0; as many epochs in all")
    assert graphcl.loses_less_to_gradients.test(lab).treatment == pytest.approx([-0.1, -0.1])
    assert graphcl.loses_less_to_gradients.test(lab).control == pytest.approx([-0.2, -0.2])
    assert graphcl.gradients_find_worse_edges.test(lab).difference[0] == pytest.approx(0.095)
    assert sorted(trained) == [(start, seed, 3) for start in sorted(robustness.STARTS) for seed in (0, 1)]
    assert graphcl.shallow_robust_to_gradients.test(lab).difference[0] == pytest.approx(0.21)
    assert graphcl.shallow_robust_to_any_edge.test(lab).difference[0] == pytest.approx(0.105)
    assert trained[6:] == [(start, seed, 2) for start in ("pretrained", "scratch") for seed in (0, 1)]
