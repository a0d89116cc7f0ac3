"""Dense multicut: the merges of the explicit complete graph, without it."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score
from torch.nn.functional import normalize

from labkit.theory import multicut
from labkit.theory.multicut import greedy_multicut


def drawn(seed, n, d):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def explicit(features, a):
    """Greedy additive edge contraction on the whole matrix of weights."""
    weights = features @ features.T - a
    weights.fill_diagonal_(-torch.inf)
    labels, gained = torch.arange(len(features)), 0.0
    while weights.max() > 0:
        i, j = sorted(divmod(int(weights.argmax()), len(features)))
        gained += weights[i, j].item()
        weights[i] += weights[j]
        weights[:, i] += weights[:, j]
        weights[j] = weights[:, j] = weights[i, i] = -torch.inf
        labels[labels == j] = i
    return labels, gained


def value(features, labels, a):
    """What multicut maximises: the weights of all pairs inside clusters."""
    pairs = itertools.combinations(range(len(features)), 2)
    return sum((features[i] @ features[j] - a).item() for i, j in pairs if labels[i] == labels[j])


def same_clusters(a, b):
    return torch.equal(a[:, None] == a, b[:, None] == b)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 50), st.integers(1, 8), st.sampled_from([-0.5, 0.0, 0.3, 0.9, 4.0]))
def test_the_same_merges_as_on_the_explicit_graph(seed, n, d, a):
    features = drawn(seed, n, d)
    ours, (labels, gained) = greedy_multicut(features, a), explicit(features, a)
    assert same_clusters(ours.labels, labels)
    assert ours.value == pytest.approx(gained, abs=1e-9)
    assert ours.value == pytest.approx(value(features, ours.labels, a), abs=1e-9)
    assert ours.merges == n - int(ours.labels.max()) - 1
    assert ours.labels[0] == 0


def test_against_the_best_of_all_partitions():
    """Greedy is no optimum, but never better than the best nor worse than leaving everything apart."""
    features = drawn(3, 6, 3)
    best = max(value(features, labels, 0.1) for labels in itertools.product(range(3), repeat=6))
    ours = greedy_multicut(features, 0.1).value
    assert 0 < ours <= best + 1e-12


def test_thousands_of_items_in_single_precision():
    generator = torch.Generator().manual_seed(0)
    centres = torch.linalg.qr(torch.randn(16, 16, generator=generator))[0][:10]
    y = torch.randint(10, (3000,), generator=generator)
    features = normalize(centres[y] + 0.1 * torch.randn(3000, 16, generator=generator))
    found = greedy_multicut(features, 0.5)
    assert adjusted_rand_score(y, found.labels) > 0.99
    assert found.searches < 3000  # products are saved, or this would be O(n³)
    assert same_clusters(found.labels, greedy_multicut(features, 0.5).labels)


def test_what_is_remembered_outlives_the_clusters_that_are_forgotten(monkeypatch):
    features = [drawn(seed, 40, 3) for seed in range(60)]  # one alone remembers the first cluster
    forgetting = [greedy_multicut(each, 0.3) for each in features]
    monkeypatch.setattr(multicut._State, "_compact", lambda state: None)
    for ours, keeping in zip(forgetting, (greedy_multicut(each, 0.3) for each in features), strict=True):
        assert same_clusters(ours.labels, keeping.labels)
        assert (ours.merges, ours.searches) == (keeping.merges, keeping.searches)


def test_nothing_to_merge_and_everything_to_merge():
    apart = torch.eye(5)
    assert greedy_multicut(apart, 0.1).labels.tolist() == [0, 1, 2, 3, 4]
    assert greedy_multicut(apart, -0.1).labels.tolist() == [0] * 5
    assert greedy_multicut(torch.ones(1, 2)).labels.tolist() == [0]


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ValueError, match="features holds NaN"):
        greedy_multicut(torch.full((3, 2), torch.nan))
    with pytest.raises(ValueError, match="a must be finite"):
        greedy_multicut(torch.ones(3, 2), float("inf"))
