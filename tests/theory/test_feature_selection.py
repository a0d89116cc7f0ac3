"""Infinite feature selection: closed form against the series, Spearman against scipy, the released code's ranking."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from labkit.data import load
from labkit.theory import feature_selection as selection


def drawn(seed, n=40, d=7):
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (2 * x).round() * torch.arange(1, d + 1)  # with ties, and of different spread


def digits():
    x = load("digits").images.flatten(1).double()
    return x[:, x.std(0) > 0]


@pytest.mark.parametrize("unit", [1.0, 1e-3])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_graph_is_spread_and_rank_correlation(alpha, unit):
    x = drawn(0) * unit
    rho = np.abs(spearmanr(x.numpy()).statistic)
    spread = x.numpy().std(axis=0, ddof=1)
    larger = np.maximum.outer(spread, spread)
    larger = (larger - larger.min()) / (larger.max() - larger.min())
    np.testing.assert_allclose(
        selection.feature_graph(x, alpha), alpha * larger + (1 - alpha) * (1 - rho), atol=1e-12, rtol=0
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95), st.sampled_from(["paper", "released"]))
def test_closed_form_is_the_series(seed, r, variant):
    graph = selection.feature_graph(drawn(seed))
    closed = selection.infinite_scores(graph, r, variant)
    torch.testing.assert_close(selection.truncated_scores(graph, 1200, r, variant), closed, rtol=1e-10, atol=1e-12)


def test_short_paths_by_hand_and_what_is_left_out():
    graph = selection.feature_graph(drawn(1))
    step = graph * 0.9 / torch.linalg.eigvalsh(graph)[-1]
    expected = (step + step @ step + step @ step @ step).sum(1)
    torch.testing.assert_close(selection.truncated_scores(graph, 3), expected)
    whole = selection.infinite_scores(graph)
    rest = (whole - selection.truncated_scores(graph, 20)).norm() / whole.norm()
    assert 0 < rest <= 0.9**20 + 1e-12


def test_the_released_code_ranks_by_degree():
    graph = selection.feature_graph(digits())
    degree, released = graph.sum(1), selection.infinite_scores(graph, variant="released")
    assert torch.equal(released.argsort(), degree.argsort())
    assert selection.path_share(graph, variant="released") < 0.02
    assert 0.85 < selection.path_share(graph) < 0.95  # r of the weight
    paper = selection.infinite_scores(graph)
    assert kendalltau(paper, degree).statistic < 1  # longer paths change something, if not much
    assert spearmanr(paper, degree).statistic > 0.99  # the notes: .998


def test_the_released_code_by_its_own_steps():
    graph = selection.feature_graph(digits(), 0.5)
    n = len(graph)
    eps = 5e-6 * n
    rho = graph.sum(1).max()
    rescaled = graph / (graph.sum(1).max() + eps)
    weight = torch.linalg.inv(torch.eye(n) - (1 - eps) / rho * rescaled).sum(1)
    torch.testing.assert_close(selection.infinite_scores(graph, variant="released"), weight - 1, rtol=1e-9, atol=1e-12)


def test_features_of_one_spread_are_told_by_their_ranks_alone():
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    torch.testing.assert_close(selection.feature_graph(x, 1.0), torch.zeros(2, 2, dtype=torch.float64))
    assert selection.feature_graph(x, 0.0)[0, 1] == pytest.approx(0.5)  # Spearman's correlation is one half


def test_what_cannot_be_used_is_refused():
    graph = selection.feature_graph(drawn(0))
    with pytest.raises(ValueError, match="r must lie between 0 and 1"):
        selection.infinite_scores(graph, 1.0)
    with pytest.raises(ValueError, match="no variant named 'papr'; did you mean 'paper'"):
        selection.infinite_scores(graph, variant="papr")
    with pytest.raises(ValueError, match="the features of graph must be the 3 of graph"):
        selection.infinite_scores(graph[:3])
    with pytest.raises(ValueError, match="symmetric and ≥ 0"):
        selection.infinite_scores(graph.triu())
    with pytest.raises(ValueError, match="no edge"):
        selection.infinite_scores(torch.zeros(3, 3))
    with pytest.raises(ValueError, match="length must be at least 1"):
        selection.truncated_scores(graph, 0)
    with pytest.raises(ValueError, match="alpha must lie between"):
        selection.feature_graph(drawn(0), 2)


def test_what_longer_paths_add_is_as_short_as_the_docstring_says():
    star = torch.zeros(10, 10)
    star[0, 1:] = star[1:, 0] = 1.0
    whole = selection.infinite_scores(star)
    for length in (1, 2, 5):
        left = whole - selection.truncated_scores(star, length)
        assert left.norm() <= 0.9**length * whole.norm() * (1 + 1e-9)
