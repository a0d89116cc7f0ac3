"""Probes that have not seen the point they score, and selections beside chance, against slow and obvious references."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import roc_auc_score

from labkit.explore import _probe, _selection
from labkit.explore._probe import Ridge, left_out_classes, separate
from labkit.explore._space import Space

RNG = np.random.default_rng(0)


def blobs(n, dim, classes, spread):
    y = np.arange(n) % classes
    return (RNG.normal(size=(classes, dim))[y] * spread + RNG.normal(size=(n, dim))).astype(np.float32), y


# ---------------------------------------------------------------- probes


def test_left_out_scores_are_those_of_n_separate_fits():
    x, y = blobs(40, 5, 2, spread=0.5)
    space, target = Space(torch.from_numpy(x)), (y == 1).astype(np.float32)
    ridge = Ridge(space.x)
    penalty = 1e-3 * float((space.x.T @ space.x).diagonal().mean())
    found = ridge.left_out(torch.from_numpy(target)[:, None])[:, 0].numpy()
    z = space.x.double().numpy()
    for i in range(40):
        rest = np.arange(40) != i
        # the intercept of the fit on all points belongs to centred columns; left out, the others are centred anew
        fitted = SklearnRidge(penalty).fit(z[rest], target[rest])
        assert found[i] == pytest.approx(fitted.predict(z[i : i + 1])[0], abs=2e-3)


@pytest.mark.parametrize("outlier", [1, 1000], ids=["few and wide", "and one far out"])
def test_left_out_scores_do_not_know_the_label_that_is_left_out(outlier):
    x = torch.randn(60, 300, generator=torch.Generator().manual_seed(0))
    x[0] *= outlier
    x = x - x.mean(0)
    ridge, y = Ridge(x), torch.arange(60)[:, None] % 2.0
    turned = y.clone()
    turned[:5] = 1 - turned[:5]
    z = torch.cat([x, torch.ones(60, 1)], 1).double()
    penalty = torch.eye(301, dtype=torch.float64) * 1e-3 * float(x.square().sum(0).mean())
    penalty[-1, -1] = 0
    for target in (y, turned):
        hat = z @ torch.linalg.solve(z.T @ z + penalty, z.T)
        exact = ((hat @ target.double()) - hat.diagonal()[:, None] * target) / (1 - hat.diagonal()[:, None])
        torch.testing.assert_close(ridge.left_out(target).double(), exact, atol=1e-4, rtol=1e-4)
    assert separate(ridge, y[:, 0].bool().numpy()).auc < 0.8


@pytest.mark.parametrize("dim", [5, 300], ids=["in float32", "in float64"])
def test_left_out_scores_depend_neither_on_the_unit_nor_on_how_many_rows_are_taken_at_a_time(dim, monkeypatch):
    x = torch.randn(60, dim, generator=torch.Generator().manual_seed(0))
    x, y = x - x.mean(0), (torch.arange(60)[:, None] % 3 == 0).float()
    whole = Ridge(x).left_out(y)
    torch.testing.assert_close(Ridge(1e-3 * x).left_out(y), whole, atol=1e-3, rtol=1e-3)
    monkeypatch.setattr(_probe, "_ROWS", 16)
    torch.testing.assert_close(Ridge(x).left_out(y), whole, atol=1e-4, rtol=1e-4)


def test_auc_is_that_of_the_left_out_scores():
    x, y = blobs(300, 6, 3, spread=0.7)
    verdict = separate(Ridge(Space(torch.from_numpy(x)).x), y == 1)
    assert verdict.auc == pytest.approx(roc_auc_score(y == 1, verdict.score))
    assert verdict.auc > 0.6


def test_a_probe_of_noise_finds_nothing_although_it_has_many_dimensions():
    x = torch.randn(200, 150)  # fitted and scored on the same points, such a probe looks perfect
    aucs = [separate(Ridge(x - x.mean(0)), RNG.random(200) < 0.5).auc for _ in range(5)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.12)


def test_guesses_agree_with_one_target_at_a_time():
    x, y = blobs(120, 6, 40, spread=4)
    ridge = Ridge(Space(torch.from_numpy(x)).x)
    scores = np.stack([ridge.left_out(torch.from_numpy(y == k).float()[:, None])[:, 0].numpy() for k in range(40)], 1)
    np.testing.assert_array_equal(left_out_classes(ridge, y, 40), scores.argmax(1))


@pytest.mark.parametrize("chosen", [np.zeros(9, bool), np.ones(9, bool)])
def test_a_probe_needs_two_sides(chosen):
    with pytest.raises(ValueError, match="points on both sides"):
        separate(Ridge(torch.randn(9, 3)), chosen)


# ---------------------------------------------------------------- selections


@given(st.lists(st.booleans(), max_size=70))
@settings(deadline=None)
def test_bitmask_and_back(chosen):
    chosen = np.array(chosen, dtype=bool)
    np.testing.assert_array_equal(_selection.unpack(_selection.pack(chosen), len(chosen)), chosen)


def test_nothing_selected_is_the_empty_bitmask():
    assert _selection.pack(np.zeros(5, bool)) == b""


def test_wilson_interval():
    low, high = _selection.wilson(8, 10)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson 1927, z = 1.96
    assert _selection.wilson(0, 10)[0] == pytest.approx(0)
    assert _selection.wilson(10, 10)[1] == pytest.approx(1)


def test_composition_counts_classes_and_their_base_rate():
    codes = np.array([0, 0, 0, 1, 1, 2])
    shares = _selection.composition(codes, ["a", "b", "c"], np.array([1, 1, 0, 1, 0, 0], bool))
    assert [(s.name, s.count, round(s.share, 3), s.base) for s in shares] == [
        ("a", 2, 0.667, 0.5),
        ("b", 1, 0.333, 1 / 3),
    ]


def test_a_blob_is_the_points_nearest_to_one_of_them():
    xy = RNG.normal(size=(100, 2)) + 3
    chosen = _selection.blob(xy, 12, np.random.default_rng(1))
    assert chosen.sum() == 12
    assert any(
        (np.argsort(cdist(xy[i : i + 1], xy)[0])[:12] == np.flatnonzero(chosen)[:, None]).any(1).all()
        for i in range(100)
    )


def test_small_blobs_of_many_points_are_found_by_a_tree_and_are_the_same():
    xy, codes = RNG.normal(size=(3000, 2)), np.arange(3000)
    codes[::2] = 0
    of_all = [_selection.blob(xy, 20, np.random.default_rng(seed)) for seed in range(3000)]
    known = {np.bincount(codes[chosen]).max() / 20 for chosen in of_all}
    found = _selection.blob_purities(xy, codes, 20, 200)
    assert set(found) <= known
    assert 0.3 < found.mean() < 0.7


def test_blobs_of_a_map_without_structure_have_about_the_largest_base_rate():
    purities = _selection.blob_purities(RNG.normal(size=(2000, 2)), RNG.integers(0, 2, 2000), 500)
    assert purities.mean() == pytest.approx(0.5, abs=0.05)


def test_ties_count_half_in_the_area_under_the_curve():
    x = torch.zeros(40, 2)
    x[:, 0] = torch.arange(40) % 2 - 0.5
    verdict = separate(Ridge(x), np.arange(40) < 15)
    assert verdict.auc == pytest.approx(roc_auc_score(np.arange(40) < 15, verdict.score))
