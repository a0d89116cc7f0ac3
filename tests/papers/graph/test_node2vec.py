"""node2vec: held-out links are honest, the measures of figure 3 are right, the method trains."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch_geometric.data import Data

from labkit.data import check_graph, load, stochastic_block_model
from labkit.papers.graph import _links, node2vec
from labkit.papers.graph.node2vec import walks


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.3))
def test_held_out_links_are_gone_and_components_stay_whole(seed, share):
    data = stochastic_block_model([20, 20, 10], 0.4, 0.02, seed=1)
    links = _links.hold_out_links(data, share, seed)
    whole, left = nx.Graph(data.edge_index.T.tolist()), nx.Graph(links.graph.edge_index.T.tolist())
    held = int(share * data.num_edges / 2)
    positive, negative = links.pairs[:, links.linked == 1].T.tolist(), links.pairs[:, links.linked == 0].T.tolist()
    assert len(positive) == len(negative) == held
    assert all(whole.has_edge(a, b) and not left.has_edge(a, b) for a, b in positive)
    assert not any(whole.has_edge(a, b) or a == b for a, b in negative)
    assert len({tuple(sorted(pair)) for pair in positive + negative}) == 2 * held
    assert left.number_of_edges() == whole.number_of_edges() - held
    assert nx.number_connected_components(left) == nx.number_connected_components(whole)
    assert set(left) == set(whole)


def test_holding_out_too_much_is_refused():
    tree = load("karate")
    with pytest.raises(ValueError, match="45 can go without cutting the graph"):
        _links.hold_out_links(tree, 0.9, 0)
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        _links.hold_out_links(tree, 1.0, 0)
    complete = Data(edge_index=torch.combinations(torch.arange(10)).T, num_nodes=10)
    with pytest.raises(ValueError, match="9 pairs without an edge are needed; 10 nodes with 45 edges have fewer"):
        _links.hold_out_links(complete, 0.2, 0)


def test_adamic_adar_and_its_auc():
    karate = load("karate")
    karate.edge_attr = torch.rand(karate.num_edges, 2)
    links = _links.hold_out_links(karate, 0.3, 0)
    check_graph(links.graph)  # what belonged to edges is gone with them
    graph = nx.Graph(links.graph.edge_index.T.tolist())
    score = _links.adamic_adar(links.graph)
    pairs = [tuple(pair) for pair in links.pairs.T.tolist()]
    exact = np.array([value for *_, value in nx.adamic_adar_index(graph, pairs)])
    np.testing.assert_allclose(np.asarray(score[tuple(links.pairs.numpy())]).ravel(), exact)
    tests = ~_links._teaching_half(links, 0)
    assert _links.score_auc(score, links) == pytest.approx(roc_auc_score(links.linked[tests], exact[tests]))
    linked = links.linked.numpy()
    assert linked[tests].mean() == 0.5


def test_an_embedding_that_knows_the_blocks_finds_links_and_noise_does_not():
    data = stochastic_block_model([40] * 5, 0.3, 0.005, seed=0)
    links = _links.hold_out_links(data, 0.3, 0)
    known = torch.nn.functional.one_hot(data.y).float() + 0.01 * torch.randn(200, 5)
    for operator in _links.OPERATORS:
        auc = _links.link_auc(known, links, operator)
        assert auc > 0.85 if operator != "average" else auc < 0.7  # a mean of two blocks is not whether they agree
        assert _links.link_auc(torch.randn(200, 5), links, operator) == pytest.approx(0.5, abs=0.12)


def test_modularity_is_networkx_s():
    data = load("les-miserables")
    clusters = np.random.default_rng(0).integers(4, size=77)
    graph = nx.Graph(data.edge_index.T.tolist())
    parts = [set(np.flatnonzero(clusters == c).tolist()) for c in range(4)]
    assert node2vec.modularity(data, clusters) == pytest.approx(nx.community.modularity(graph, parts))


def test_explained_by_roles_is_one_for_roles_and_small_for_noise():
    data = load("les-miserables")
    degree = data.edge_index[0].bincount()
    clusters = np.searchsorted([2, 8], degree.numpy())
    assert node2vec.explained_by_roles(data, clusters) > 0.4
    noise = np.random.default_rng(0).integers(3, size=77)
    assert node2vec.explained_by_roles(data, noise) < 0.15
    assert node2vec.explained_by_roles(data, np.arange(77)) == pytest.approx(1)


def test_the_figure_s_embedding_and_the_control():
    z, clusters = node2vec.les_miserables(1, 0.5, 6, epochs=1)
    assert z.shape == (77, 16)
    assert len(np.unique(clusters)) == 6
    again = node2vec.les_miserables(1, 0.5, 6, epochs=1)
    assert torch.equal(z, again[0])
    data = stochastic_block_model([30, 30], 0.4, 0.02)
    vectors = node2vec.spectral(data, 3)
    assert vectors.shape == (60, 3)
    split = (vectors[:, 1] > 0) == (data.y == 0)
    assert split.float().mean().item() in (0.0, 1.0)


@pytest.mark.parametrize("dim", [16, 32, 60, 76])
def test_eigenvectors_of_values_that_repeat_are_all_found(dim):
    data = load("les-miserables")
    edges = torch.cat([data.edge_index, 77 + torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])], dim=1)
    a = torch.zeros(81, 81).double()  # beside it a square, whose eigenvalues 1, 0, 0, -1 are met again
    a[tuple(edges)] = 1
    scale = a.sum(1).rsqrt()
    across = scale[:, None] * a * scale
    found = node2vec.spectral(Data(edge_index=edges, num_nodes=81), dim).double()
    assert torch.allclose(found.T @ found, torch.eye(dim).double(), atol=1e-5)
    assert torch.allclose(across @ found, found * torch.linalg.eigvalsh(across).flip(0)[:dim], atol=1e-5)


def test_noise_is_drawn_by_degree_to_the_three_quarters():
    data = load("les-miserables")
    weighted = torch.zeros(77).index_add(0, data.edge_index[0], data.edge_weight)
    torch.testing.assert_close(node2vec.Node2Vec(data, dim=2).noise_until, weighted.pow(0.75).double().cumsum(0))
    data.edge_weight = None
    degree = data.edge_index[0].bincount(minlength=77)
    torch.testing.assert_close(node2vec.Node2Vec(data, dim=2).noise_until, degree.pow(0.75).double().cumsum(0))


def test_the_control_is_whole_where_the_graph_is_in_pieces():
    """One eigenvalue of 1 a component: an iterative solver alone finds some of them, others on another machine."""
    whole, twig = stochastic_block_model([30, 30], 0.4, 0.02).edge_index, torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    edges = torch.cat([whole, *(60 + 3 * k + twig for k in range(40))], dim=1)
    data = Data(edge_index=edges, num_nodes=182)  # the last two nodes have no edges
    a = torch.zeros(182, 182).double()
    a[tuple(edges)] = 1
    scale = a.sum(1).clamp(min=1).rsqrt()
    across = scale[:, None] * a * scale
    values = torch.linalg.eigvalsh(across).flip(0)
    for dim in (5, 41, 44):
        found = node2vec.spectral(data, dim).double()
        assert found.shape == (182, dim)
        assert torch.allclose(found.T @ found, torch.eye(dim).double(), atol=1e-5)
        assert torch.allclose(across @ found, found * values[:dim], atol=1e-5)
    split = found[:60, 41] > 0
    assert split[:30].float().mean().item() in (0.0, 1.0)
    assert torch.equal(split[:30], ~split[30:])


def test_one_half_of_the_pairs_teaches_and_the_other_scores_drawn_by_seed(monkeypatch):
    """Features that remember every pair: whoever is scored on what it learned from is perfect."""
    links = _links.hold_out_links(stochastic_block_model([40] * 5, 0.3, 0.005, seed=0), 0.3, 0)
    z = torch.randn(200, 150)
    aucs = [_links.link_auc(z, links, seed=seed) for seed in range(3)]
    assert max(aucs) < 0.75
    assert len(set(aucs)) == 3


def test_walks_of_a_call_are_the_ones_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(node2vec, "walks", lambda data, **of: seen.append(of) or walks(data, **of))
    node2vec.embed(load("karate"), 0, dim=4, window=2, q=2.0, length=6, walks_per_node=1)
    assert seen == [{"q": 2.0, "length": 6, "walks_per_node": 1}]
