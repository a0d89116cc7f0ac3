"""What the Explorer says about a map, against slow and obvious references."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from labkit.explore import _maps, _trust
from labkit.explore._lens import Lens
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
        near = distances[row].argsort()[:10].tolist()
        assert space.neighbours(row, 10)[0].tolist() == near
        assert space.nearest(space.x[row], 11)[0].tolist() == [row, *near]  # a new point at the same place


def test_neighbours_of_very_close_points_keep_their_order():
    x = torch.zeros(50, 3)
    x[:, 0] = 1000 + torch.arange(50) * 1e-3
    space = Space(x)
    assert space.neighbours(0, 5)[0].tolist() == [1, 2, 3, 4, 5]


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
    some = _trust.some(240, 30, seed=0)
    assert len(some) == 30
    assert (np.diff(some) > 0).all()
    assert (_trust.some(240, 240, seed=0) == np.arange(240)).all()


def test_what_is_measured_block_by_block_is_the_same(monkeypatch):
    x, _ = blobs()
    space, xy, told = Space(torch.from_numpy(x)), x[:, :2].astype(float), []
    whole = _trust.measure(space, xy, 9)
    monkeypatch.setattr(_trust, "_QUERIES", 100)
    parts = _trust.measure(space, xy, 9, progress=told.append)
    for name in ("kept", "false", "torn"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert told == pytest.approx([100 / 240, 200 / 240, 1])


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
    assert _trust.probe_accuracy(torch.from_numpy(x), y % 2) > 0.5  # of two classes, too
    assert _trust.probe_accuracy(torch.randn(400, 8), y) < 0.5
    assert _trust.probe_accuracy(torch.from_numpy(x), np.arange(400)) is None  # every row its own class


# ---------------------------------------------------------------- maps


def test_pca_is_pca():
    x, _ = blobs()
    drawn = _maps.pca(Series([torch.from_numpy(x)]), axes=(0, 2))
    expected = PCA(8).fit(x.astype(float))
    np.testing.assert_allclose(np.abs(drawn.at(0)), np.abs(expected.transform(x)[:, [0, 2]]), atol=1e-4)
    shares = [_maps.percent(share) for share in expected.explained_variance_ratio_]
    assert drawn.choices == [f"PC {i + 1} ({share})" for i, share in enumerate(shares)]
    assert drawn.notes == []  # there is no other epoch to compare with


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


@pytest.mark.parametrize(("metric", "unit"), [("euclidean", 1), ("cosine", 3)])
def test_new_points_land_on_a_linear_map_where_they_belong(metric, unit):
    x, _ = blobs()
    series = Series([torch.from_numpy(x)], metric=metric)
    drawn = _maps.pca(series)
    placed = _maps.place(drawn, series.at(0), torch.from_numpy(unit * x[:5]), 0)
    np.testing.assert_allclose(placed, drawn.at(0)[:5], atol=1e-5)


def test_new_points_land_among_their_neighbours_on_any_other_map():
    x, _ = blobs()
    series = Series([torch.from_numpy(x)])
    drawn = _maps.Map("umap", "", RNG.normal(size=(1, 240, 2)).astype(np.float32))
    placed = _maps.place(drawn, series.at(0), torch.from_numpy(x[3:4]), 0, k=1)
    np.testing.assert_allclose(placed[0], drawn.at(0)[3])


def test_outliers_do_not_squeeze_the_rest_and_are_counted():
    xy = RNG.normal(size=(1, 2000, 2)).astype(np.float32)
    xy[0, :3] = 12
    (x0, y0), (x1, y1) = xy[0].min(0), xy[0].max(0)
    assert _maps.Map("raw", "", xy).view == [x0, x1, y0, y1]  # not so far out that the rest is a spot
    xy[0, :3] = 1e4
    drawn = _maps.Map("raw", "", xy)
    assert max(map(abs, drawn.view)) < 10
    assert drawn.outside(0) >= 3


@pytest.mark.parametrize("axes", [(0, 8), (-1, 0)])
def test_axes_that_do_not_exist_are_refused(axes):
    with pytest.raises(ValueError, match="axes must be two numbers from 0 to 7"):
        _maps.pca(Series([torch.randn(20, 8)]), axes)


def test_an_outlier_does_not_make_a_bad_map_look_good():
    x, xy = RNG.normal(size=(400, 8)), RNG.normal(size=(400, 2))
    plain = _trust.measure(Space(torch.from_numpy(x)), xy, 10).kept[1:].mean()
    x[0] = 1e7
    assert _trust.measure(Space(torch.from_numpy(x)), xy, 10).kept[1:].mean() < plain + 0.01


@pytest.mark.parametrize("levels", [2, 6])
def test_ties_do_not_make_an_embedding_unlike_itself(levels):
    x = torch.from_numpy(RNG.integers(0, levels, size=(400, 5)).astype(np.float32))
    turned = Space(x[:, [3, 1, 4, 0, 2]] * 2 + 3)
    assert _trust.overlap(Space(x), turned, 10, np.arange(400)).min() == 1


def test_what_is_measured_in_a_thread_is_one_map_whatever_is_chosen_meanwhile(monkeypatch):
    z = torch.randn(80, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 4.0, 1.0, 1.0, 1.0, 1.0])
    lens = Lens("left", Series([z], [0]), None, 15, 0)
    first, other, at = lens.map, lens.compute("raw", (4, 5)), lens.series.at
    monkeypatch.setattr(lens.series, "at", lambda epoch: setattr(lens, "map", other) or at(epoch))
    found = lens.measure()
    assert first.found == {0: found}
    assert other.found == {}
    assert lens.measure().trust.kept.mean() < found.trust.kept.mean()  # of the other one, of two small directions
