"""Graph views: seeded, with the right probabilities, on dense and sparse features."""

import pytest
import torch
from draws import seeded

from labkit.models import SparseMatrix
from labkit.views import drop_edges, hide_nodes, mask_feature_columns


def test_drop_edges_keeps_a_share_in_order():
    edges = torch.arange(20_000).reshape(2, -1)
    kept = drop_edges(edges, 0.3, seeded())
    assert kept.shape[1] == pytest.approx(7000, abs=5 * (10_000 * 0.21) ** 0.5)
    assert torch.equal(kept[0], kept[0].sort().values)
    assert torch.equal(kept[1] - kept[0], torch.full_like(kept[0], 10_000))
    assert torch.equal(kept, drop_edges(edges, 0.3, seeded()))
    assert not torch.equal(kept, drop_edges(edges, 0.3, seeded(1))[:, : kept.shape[1]])
    assert torch.equal(drop_edges(edges, 0), edges)
    assert drop_edges(edges, 1).shape == (2, 0)


def test_mask_feature_columns_zeroes_whole_columns():
    x = torch.rand(50, 2000) + 0.1
    masked = mask_feature_columns(x, 0.4, seeded())
    empty = (masked == 0).all(dim=0)
    assert torch.equal(masked[:, ~empty], x[:, ~empty])
    assert empty.sum().item() == pytest.approx(800, abs=5 * (2000 * 0.24) ** 0.5)
    sparse = mask_feature_columns(SparseMatrix.from_dense(x), 0.4, seeded())
    torch.testing.assert_close(sparse.to_dense(), masked)


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_bad_probability_is_named(p):
    with pytest.raises(ValueError, match=r"p must (lie between 0 and 1|be a number)"):
        drop_edges(torch.zeros(2, 3, dtype=torch.long), p)
    with pytest.raises(ValueError, match=r"p must (lie between 0 and 1|be a number)"):
        mask_feature_columns(torch.zeros(2, 3), p)


def test_hidden_nodes_are_as_many_as_asked_and_places_know_whose_features_they_hold():
    torch.manual_seed(0)
    visible, hidden, tokens, source = hide_nodes(100, 0.5, 0.1)
    assert sorted([*visible.tolist(), *hidden.tolist()]) == list(range(100))
    assert (len(hidden), len(tokens)) == (50, 45)
    assert set(tokens.tolist()) < set(hidden.tolist())
    own = torch.arange(100)
    changed = (source != own).nonzero().flatten()
    lenders = set(hidden.tolist()) - set(tokens.tolist())
    assert set(changed.tolist()) <= lenders
    assert len(changed) >= len(lenders) - 1  # one may draw itself
    assert len(source[changed].unique()) == len(changed)
    assert [len(part) for part in hide_nodes(100, 0.29, 0.0)[:3]] == [71, 29, 29]  # 0.29 · 100 is less, in floats
    assert len(hide_nodes(200, 0.5, 0.29)[2]) == 71
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        hide_nodes(10, 1.5)
    with pytest.raises(ValueError, match="borrow must lie between 0 and 1"):
        hide_nodes(10, 0.5, 1.5)
