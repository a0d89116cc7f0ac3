"""Bandana's masks, its loss against a plain rewrite, and links that nothing trained has seen."""

import pytest
import torch
from torch.nn import functional as F
from torch_geometric.nn import GCNConv

from labkit.data import stochastic_block_model
from labkit.papers import recipe
from labkit.papers.graph import bandana
from labkit.papers.graph._links import LinkScore
from labkit.papers.graph.bandana import Bandana, predict_links
from labkit.train import fit


@pytest.fixture
def data():
    return stochastic_block_model([20, 20], p_in=0.4, p_out=0.05, features=8, seed=0)


def small(**changes) -> Bandana:
    torch.manual_seed(0)
    return Bandana(8, **{"hidden": 12, "layers": 2, "decoder_hidden": 6} | changes)


def heard(weight, edges, nodes):
    """Sum over the edges that end at each node that has any."""
    total = torch.zeros(nodes).index_add(0, edges[1], weight)
    return total[edges[1].bincount(minlength=nodes) > 0]


def test_what_a_node_hears_adds_up_to_one(data):
    edges = data.edge_index[:, torch.randperm(data.num_edges)]
    weight, target = small().draw(edges, data.num_nodes)
    total = heard(weight, edges, data.num_nodes)
    torch.testing.assert_close(total, torch.ones(len(total)))
    assert torch.equal(weight, target)


def test_in_the_released_order_edges_are_asked_for_those_of_others_unless_they_are_sorted(data):
    method, nodes = small(released_order=True), data.num_nodes
    by_end = data.edge_index[:, (data.edge_index[1] * nodes + data.edge_index[0]).argsort()]
    for edges, own in ((by_end, True), (by_end[:, torch.randperm(data.num_edges)], False)):
        weight, target = method.draw(edges, nodes)
        total = heard(weight, edges, nodes)
        torch.testing.assert_close(total, torch.ones(len(total)))
        assert torch.equal(weight, target) == own
        torch.testing.assert_close(weight.sort().values, target.sort().values)


def test_the_discrete_mask_hides_both_directions_of_an_edge_from_all_layers(data):
    method, drawn = small(mask="discrete", keep=0.3), []
    kept, target = method.draw(data.edge_index, data.num_nodes)
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert kept.mean().item() == pytest.approx(0.3, abs=0.1)
    by_edge = dict(zip(map(tuple, data.edge_index.T.tolist()), kept.tolist()))
    assert all(by_edge[b, a] == value for (a, b), value in by_edge.items())
    hidden = kept == 0
    torch.testing.assert_close(target, hidden / hidden.float().mean())  # a mean over edges is one over hidden ones
    once = method.draw
    method.draw = lambda *edges: drawn.append(once(*edges)) or drawn[-1]
    method(data)
    assert len(drawn) == 1


def test_the_loss_equals_a_plain_rewrite_with_pyg(data):
    method = small(dropout=0.0)
    torch.manual_seed(1)
    ours = method(data)
    torch.manual_seed(1)
    others = torch.randint(data.num_nodes, data.edge_index.shape)
    draws = [torch.randn(data.num_edges) / method.temperature for _ in method.convolutions]
    x, losses = data.x, []
    order = (data.edge_index[1] * data.num_nodes + data.edge_index[0]).argsort()  # in which noise is drawn
    for convolve, norm, noise in zip(method.convolutions, method.norms, draws, strict=True):
        bandwidth = torch.empty(data.num_edges)
        for node in range(data.num_nodes):
            of = (data.edge_index[1][order] == node).nonzero().flatten()
            bandwidth[order[of]] = noise[of].softmax(dim=0)
        theirs = GCNConv(convolve.weight.shape[0], 12)
        theirs.lin.weight.data, theirs.bias.data = convolve.weight.data.T, convolve.bias.data
        x = F.elu(norm(theirs(x, data.edge_index, bandwidth)))
        linked = method.decoder(x[data.edge_index[0]] * x[data.edge_index[1]])
        unlinked = method.decoder(x[others[0]] * x[others[1]])
        zero, one = (torch.full((data.num_edges,), k) for k in (0, 1))
        losses.append(
            (F.cross_entropy(linked, zero, reduction="none") * bandwidth).mean() + F.cross_entropy(unlinked, one)
        )
    torch.testing.assert_close(ours, torch.stack(losses).mean(), rtol=1e-4, atol=1e-5)


def test_training_lowers_the_loss_and_embeds_all_layers(data):
    run = fit(small(dropout=0.2), [data], epochs=40, lr=1e-2, progress=False)
    assert sum(run.history["loss"][-5:]) < sum(run.history["loss"][:5])
    assert run.method.embed(data).shape == (40, 24)


def test_links_are_ranked_above_chance_on_one_split_for_all_seeds():
    data = stochastic_block_model([20, 20], p_in=0.7, p_out=0.02, features=8, signal=3.0, seed=0)
    settings = {"epochs": 30, "hidden": 16, "dropout": 0.2, "lr": 1e-2}
    first = predict_links(data, seed=0, **settings)
    assert first == predict_links(data, seed=0, **settings)
    assert first.auc > 0.6
    assert 0.5 < first.average_precision <= 1


def test_links_are_ranked_by_the_last_layer_at_the_best_validation_epoch(data, monkeypatch):
    runs, ranked, aucs = [], [], iter([0.6, 0.9, 0.5, 0.7])  # of the validation links at epochs 2, 4 and 6; of the test
    monkeypatch.setattr(bandana, "fit", lambda *given, **options: runs.append(fit(*given, **options)) or runs[-1])
    monkeypatch.setattr(bandana, "rank_links", lambda z, _: ranked.append(z) or LinkScore(next(aucs), 0.0))
    assert predict_links(data, epochs=6, every=2, hidden=16).auc == 0.7
    assert torch.equal(ranked[-1], runs[0].snapshots[4][:, 16:])


def test_what_is_refused(data):
    with pytest.raises(ValueError, match="no mask named 'bandwith'; did you mean 'bandwidth'"):
        small(mask="bandwith")
    with pytest.raises(ValueError, match="layers must be at least 1"):
        small(layers=0)
    with pytest.raises(ValueError, match="temperature"):
        small(temperature=0.0)
    with pytest.raises(ValueError, match="no epoch would be looked at"):
        predict_links(data, epochs=5, every=10)
    data.edge_index = data.edge_index[:, :0]
    with pytest.raises(ValueError, match="edge"):
        fit(small(), [data], epochs=1, progress=False)


def test_links_stand_beside_floors_and_trainings_are_kept(tmp_path, monkeypatch):
    graph = stochastic_block_model([20, 20], p_in=0.7, p_out=0.02, features=8, signal=3.0, seed=0)
    monkeypatch.setattr(bandana, "load", lambda name: graph)
    path = tmp_path / "links.json"
    found = bandana.links("citeseer", range(2), path, epochs=10)
    one = {"raw": 1, "A²X": 1, "Bandana": 2}
    own = {"raw, own split": 2, "A²X, own split": 2, "Bandana, own split": 2}
    assert {name: len(pairs) for name, pairs in found.items()} == one | own
    assert len({tuple(pair) for pair in found["raw, own split"]}) == 2
    assert all(0 <= value <= 1 for pairs in found.values() for pair in pairs for value in pair)
    trained = []

    def count(graph, seed, *, split, **_):
        trained.append((seed, split))
        return LinkScore(0.5, 0.5)

    monkeypatch.setattr(bandana, "predict_links", count)
    assert bandana.links("citeseer", range(2), path, epochs=10) == found
    assert not trained
    assert bandana.links("citeseer", (7, 8), path, epochs=10)["Bandana"] == [[0.5, 0.5]] * 2
    assert trained == [(7, None), (8, None), (7, 7), (8, 8)]
    with pytest.raises(ValueError, match="no graph with released link settings named 'core'"):
        bandana.links("core")


@pytest.mark.parametrize("name", ["bandana/cora", "bandana/citeseer"])
def test_as_released_targets_have_another_order_and_15_percent_of_the_edges_are_held_out(name, data):
    own, released = recipe(name), recipe(f"{name}-released")
    assert [each.build(data).released_order for each in (own, released)] == [False, True]
    [batch] = released.batches(data)
    assert batch.num_edges == pytest.approx(0.85 * data.num_edges, abs=4)  # two parts, rounded down
    assert own.batches is None


@pytest.mark.parametrize("temperature", [0.01, 0.9, 100.0])
def test_bandwidths_of_a_node_add_up_to_one_at_any_temperature(data, temperature):
    drawn = Bandana(data.num_features, temperature=temperature).draw(data.edge_index, data.num_nodes)[0]
    sums = torch.zeros(data.num_nodes).index_add(0, data.edge_index[1], drawn)
    torch.testing.assert_close(sums, (data.edge_index[1].bincount(minlength=data.num_nodes) > 0).float())


def test_options_of_the_mask_reach_its_draws(data):
    edges, nodes = data.edge_index, data.num_nodes
    for temperature in (0.2, 5.0):
        method = small(temperature=temperature)
        torch.manual_seed(1)
        weight, _ = method.draw(edges, nodes)
        torch.manual_seed(1)
        order = (edges[1] * nodes + edges[0]).argsort()
        noise = torch.empty(len(order)).index_copy(0, order, torch.randn(len(order)) / temperature)
        node = int(edges[1, 0])
        torch.testing.assert_close(weight[edges[1] == node], noise[edges[1] == node].softmax(dim=0))
    kept = small(mask="discrete", keep=0.9).draw(edges, nodes)[0]
    assert kept.mean().item() == pytest.approx(0.9, abs=0.1)


def test_floors_of_links_have_not_seen_them_and_a_split_is_the_one_asked_for(data, monkeypatch):
    given, split = [], bandana.link_split
    monkeypatch.setattr(bandana, "link_split", lambda data, seed: given.append(seed) or split(data, seed))
    predict_links(data, split=7, epochs=1, every=1, hidden=4)
    assert given == [7]
    train, _, test = split(data, 7)
    x, a = F.normalize(data.x, dim=1), bandana.propagation_matrix(train.edge_index, 40).to_dense()
    score = bandana.rank_links(F.normalize(a @ a @ x, dim=1), test)
    assert bandana._floors(data, [7])["A²X"] == [[score.auc, score.average_precision]]


def test_two_threads_give_the_same_gradients_each_time():
    """Many edges meet in each node; what two threads add up there must not depend on which of them comes first."""
    data, threads = stochastic_block_model([300, 300], 0.3, 0.1, features=8, seed=0), torch.get_num_threads()
    method = Bandana(8, hidden=64)
    torch.set_num_threads(2)
    try:
        gradients = []
        for _ in range(6):
            torch.manual_seed(0)
            gradients.append(torch.autograd.grad(method(data), method.convolutions[0].weight)[0])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradients[0], gradient) for gradient in gradients)
