"""What the Explorer says about a map, against slow and obvious references."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import roc_auc_score

from labkit.explore import _maps, _selection, _trust
from labkit.explore._lens import Lens
from labkit.explore._probe import Ridge, left_out_classes, separate
from labkit.explore._space import Series, Space

RNG = np.random.default_rng(0)


def blobs(n=240, dim=8, classes=4, spread=2.5):
    y = np.arange(n) % classes
    return (RNG.normal(size=(classes, dim))[y] * spread + RNG.normal(size=(n, dim))).astype(np.float32), y


def slow_trust(x, xy, k, wide):
    """Neighbour lists by full sorts; no ties in random data."""
    original, shown = cdist(x.astype(float), x.astype(float)), cdist(xy.astype(float), xy.astype(float))
    np.fill_diagonal(original, np.inf)
    np.fill_diagonal(shown, np.inf)
    true, near = original.argsort(1), shown.argsort(1)
    rows = range(len(x))
    kept = [len(set(true[i, :k]) & set(near[i, :k])) / k for i in rows]
    false = [len(set(near[i, :k]) - set(true[i, :wide])) / k for i in rows]
    torn = [len(set(true[i, :k]) - set(near[i, :wide])) / k for i in rows]
    return kept, false, torn


# ---------------------------------------------------------------- neighbours


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_are_those_of_the_original_space(metric):
    x, _ = blobs()
    x += 100 if metric == "euclidean" else 0  # far from the origin, where |a|² + |b|² − 2ab loses digits
    distances = cdist(x.astype(float), x.astype(float), metric)
    np.fill_diagonal(distances, np.inf)
    space = Space(torch.from_numpy(x), metric)
    for row in (0, 17, 239):
        rows, found = space.neighbours(row, 7)
        np.testing.assert_array_equal(rows, distances[row].argsort()[:7])
        expected = distances[row, rows] if metric == "euclidean" else np.sqrt(2 * distances[row, rows])
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_neighbours_in_classes_tighter_than_rounding_are_the_true_ones():
    generator = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(5, 16, generator=generator), dim=1)
    x = centres[torch.arange(500) % 5] + 1e-4 * torch.randn(500, 16, generator=generator)
    space = Space(x)
    distances = cdist(space.x.double(), space.x.double())
    np.fill_diagonal(distances, np.inf)
    for row in range(0, 500, 50):
        assert space.neighbours(row, 10)[0].tolist() == distances[row].argsort()[:10].tolist()


def test_neighbours_of_very_close_points_keep_their_order():
    x = torch.zeros(50, 3)
    x[:, 0] = 1000 + torch.arange(50) * 1e-3
    rows, _ = Space(x).neighbours(0, 5)
    assert rows.tolist() == [1, 2, 3, 4, 5]


def test_duplicates_are_neighbours_at_distance_zero():
    x = torch.randn(20, 4)
    x[7] = x[3]
    rows, distances = Space(x).neighbours(3, 2)
    assert rows[0] == 7
    assert distances[0] == 0


# ---------------------------------------------------------------- trust


def test_trust_agrees_with_full_sorts():
    x, _ = blobs()
    xy = x[:, :2]
    found = _trust.measure(Space(torch.from_numpy(x)), xy.astype(float), 10)
    assert (found.k, found.wide) == (10, 50)
    for name, expected in zip(("kept", "false", "torn"), slow_trust(x, xy, 10, 50)):
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-6)


def test_a_map_that_is_the_embedding_keeps_everything_also_with_duplicates():
    x = RNG.normal(size=(90, 2)).astype(np.float32)
    x[30:60] = x[:30]  # every row twice: which twin is listed first must not matter
    found = _trust.measure(Space(torch.from_numpy(x)), x.astype(float), 5)
    assert found.kept.min() == 1
    assert found.false.max() == 0
    assert found.torn.max() == 0


def test_a_random_map_keeps_about_what_chance_keeps():
    x, _ = blobs(600)
    found = _trust.measure(Space(torch.from_numpy(x)), RNG.normal(size=(600, 2)), 12)
    assert found.kept.mean() == pytest.approx(12 / 599, abs=0.01)
    assert found.false.mean() == pytest.approx(1 - 60 / 599, abs=0.02)


def test_measuring_some_rows_gives_their_numbers():
    x, _ = blobs()
    space, xy = Space(torch.from_numpy(x)), x[:, :2].astype(float)
    rows = np.array([5, 100, 239])
    np.testing.assert_allclose(_trust.measure(space, xy, 9, rows).kept, _trust.measure(space, xy, 9).kept[rows])


def test_overlap_of_an_embedding_with_itself_and_with_noise():
    x, _ = blobs()
    a, b = Space(torch.from_numpy(x)), Space(torch.randn(240, 8))
    rows = np.arange(240)
    assert _trust.overlap(a, Space(a.x @ torch.linalg.qr(torch.randn(8, 8))[0] * 3), 10, rows).min() == 1
    assert _trust.overlap(a, b, 10, rows).mean() == pytest.approx(10 / 239, abs=0.03)


@pytest.mark.parametrize(("n", "k", "wide"), [(2, 1, 1), (3, 1, 1), (34, 6, 16), (1000, 15, 75)])
def test_few_points_get_few_neighbours(n, k, wide):
    assert _trust.sizes(n, 15) == (k, wide)


def test_probe_accuracy_sees_what_is_there_and_nothing_in_noise():
    x, y = blobs(400)
    assert _trust.probe_accuracy(torch.from_numpy(x), y) > 0.95
    assert _trust.probe_accuracy(torch.randn(400, 8), y) < 0.5
    assert _trust.probe_accuracy(torch.from_numpy(x), np.arange(400)) is None  # every row its own class


# ---------------------------------------------------------------- maps


def test_pca_is_pca():
    x, _ = blobs()
    drawn = _maps.pca(Series([torch.from_numpy(x)]), axes=(0, 2))
    expected = PCA(3).fit_transform(x.astype(float))[:, [0, 2]]
    np.testing.assert_allclose(np.abs(drawn.at(0)), np.abs(expected), atol=1e-4)
    assert drawn.choices[0].startswith("PC 1 (")


def test_pca_with_more_dimensions_than_points_is_the_same_from_the_other_side():
    x = RNG.normal(size=(30, 400)).astype(np.float32)
    drawn = _maps.pca(Series([torch.from_numpy(x)]))
    np.testing.assert_allclose(np.abs(drawn.at(0)), np.abs(PCA(2).fit_transform(x.astype(float))), atol=1e-3)


def test_the_same_data_give_the_same_picture():
    x, _ = blobs()
    a, b = (_maps.pca(Series([torch.from_numpy(x)])).xy for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_pooled_pca_is_one_plane_for_all_epochs():
    frames = [torch.randn(50, 6) * scale for scale in (1, 2, 3)]
    drawn = _maps.pca(Series(frames, [0, 5, 9]))
    plane = drawn.plane.numpy()
    np.testing.assert_allclose(plane.T @ plane, np.eye(2), atol=1e-5)
    for frame, xy in zip(frames, drawn.xy):
        np.testing.assert_allclose(xy, (frame - frame.mean(0)).numpy() @ plane, atol=1e-4)
    assert len(drawn.notes) == 3


def test_aligned_pca_does_not_show_a_rotation_as_motion():
    x, _ = blobs()
    turn, _ = np.linalg.qr(RNG.normal(size=(8, 8)))
    frames = [torch.from_numpy(x), torch.from_numpy((x @ turn).astype(np.float32))]
    aligned = _maps.pca_aligned(Series(frames, [0, 1]))
    assert np.linalg.norm(aligned.xy[1] - aligned.xy[0]) < 1e-3 * np.linalg.norm(aligned.xy[0])
    assert "**0.0 %**" in aligned.notes[1] or "**0 %**" in aligned.notes[1]


def test_procrustes_undoes_a_turn_and_reports_what_is_left():
    a = RNG.normal(size=(40, 2))
    angle = 1.1
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned, rest = _maps.procrustes(a @ turn, a)
    np.testing.assert_allclose(turned, a, atol=1e-12)
    assert rest < 1e-12
    noisy = a + 0.1 * RNG.normal(size=a.shape)
    best = min(
        np.linalg.norm(noisy @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) - a)
        for t in np.linspace(-np.pi, np.pi, 20001)
    )
    assert _maps.procrustes(noisy, a)[1] == pytest.approx(best / np.linalg.norm(a), abs=1e-4)


def test_new_points_land_on_a_linear_map_where_they_belong():
    x, _ = blobs()
    series = Series([torch.from_numpy(x)])
    drawn = _maps.pca(series)
    np.testing.assert_allclose(_maps.place(drawn, series.at(0), torch.from_numpy(x[:5]), 0), drawn.at(0)[:5], atol=1e-5)


def test_new_points_land_among_their_neighbours_on_any_other_map():
    x, _ = blobs()
    series = Series([torch.from_numpy(x)])
    drawn = _maps.Map("umap", "", RNG.normal(size=(1, 240, 2)).astype(np.float32))
    placed = _maps.place(drawn, series.at(0), torch.from_numpy(x[3:4]), 0, k=1)
    np.testing.assert_allclose(placed[0], drawn.at(0)[3])


def test_outliers_do_not_squeeze_the_rest_and_are_counted():
    xy = RNG.normal(size=(1, 2000, 2)).astype(np.float32)
    xy[0, :3] = 1e4
    drawn = _maps.Map("raw", "", xy)
    assert max(map(abs, drawn.view)) < 10
    assert drawn.outside(0) >= 3


@pytest.mark.parametrize("axes", [(0, 8), (-1, 0)])
def test_axes_that_do_not_exist_are_refused(axes):
    with pytest.raises(ValueError, match="axes must be two numbers from 0 to 7"):
        _maps.pca(Series([torch.randn(20, 8)]), axes)


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
    xy = RNG.normal(size=(100, 2))
    chosen = _selection.blob(xy, 12, np.random.default_rng(1))
    assert chosen.sum() == 12
    assert any(
        (np.argsort(cdist(xy[i : i + 1], xy)[0])[:12] == np.flatnonzero(chosen)[:, None]).any(1).all()
        for i in range(100)
    )


def test_an_outlier_does_not_make_a_bad_map_look_good():
    x, xy = RNG.normal(size=(400, 8)), RNG.normal(size=(400, 2))
    plain = _trust.measure(Space(torch.from_numpy(x)), xy, 10).kept[1:].mean()
    x[0] = 1e7
    assert _trust.measure(Space(torch.from_numpy(x)), xy, 10).kept[1:].mean() < plain + 0.01


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


@pytest.mark.parametrize("levels", [2, 6])
def test_ties_do_not_make_an_embedding_unlike_itself(levels):
    x = torch.from_numpy(RNG.integers(0, levels, size=(400, 5)).astype(np.float32))
    turned = Space(x[:, [3, 1, 4, 0, 2]] * 2 + 3)
    assert _trust.overlap(Space(x), turned, 10, np.arange(400)).min() == 1


def test_ties_count_half_in_the_area_under_the_curve():
    x = torch.zeros(40, 2)
    x[:, 0] = torch.arange(40) % 2 - 0.5
    verdict = separate(Ridge(x), np.arange(40) < 15)
    assert verdict.auc == pytest.approx(roc_auc_score(np.arange(40) < 15, verdict.score))


def test_what_is_measured_in_a_thread_is_one_map_whatever_is_chosen_meanwhile(monkeypatch):
    z = torch.randn(80, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 4.0, 1.0, 1.0, 1.0, 1.0])
    lens = Lens("left", Series([z], [0]), None, 15, 0)
    first, other, at = lens.map, lens.compute("raw", (4, 5)), lens.series.at
    monkeypatch.setattr(lens.series, "at", lambda epoch: setattr(lens, "map", other) or at(epoch))
    found = lens.measure()
    assert first.found == {0: found}
    assert other.found == {}
    assert lens.measure().trust.kept.mean() < found.trust.kept.mean()  # of the other one, of two small directions
