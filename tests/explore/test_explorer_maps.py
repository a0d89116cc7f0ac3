"""What the Explorer draws and says of it: maps, captions, colours, two maps side by side."""

import base64
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from explorers import Y, Z, in_browser

from labkit.explore import _export, _words, compare, explore
from labkit.explore._colours import Colouring

RNG = np.random.default_rng(0)


def test_the_caption_says_what_was_measured():
    explorer = explore(Z, Y).wait()
    text = explorer.caption
    trust = explorer.trust()
    assert f"keeps {100 * trust.kept.mean():.0f} % of the 15 nearest neighbours" in text
    assert re.search(r"A linear probe reaches \d+ % in all 6 dimensions and \d+ % in these two", text)
    assert "effective rank" in text


def test_choosing_another_map_in_the_browser_changes_projection_and_caption():
    explorer = explore(Z, Y).wait()
    before = explorer.caption
    in_browser(explorer, _wanted={**explorer._wanted, "left": {"map": "raw", "axes": [2, 4]}})
    np.testing.assert_array_equal(explorer.projection, Z[:, [2, 4]])
    assert explorer._left["names"] == ["dim 2", "dim 4"]
    assert explorer.wait().caption != before
    explorer.project("probe", axes=(0, 2))
    scores = explorer.projection
    assert scores[Y == 0, 0].mean() > 0.8
    assert scores[Y != 0, 0].mean() < 0.2


def test_a_wrong_wish_from_the_browser_is_said_in_the_widget():
    explorer = explore(Z, Y)
    in_browser(explorer, _wanted={**explorer._wanted, "left": {"map": "raw", "axes": [0, 99]}})
    assert "axes must be two numbers" in explorer._notice


@pytest.mark.parametrize("kind", ["spectral", "tsne"])
def test_slow_maps_come_from_a_process_beside(kind):
    explorer = explore(Z, Y)
    explorer.project(kind)
    assert explorer._left["map"] == "pca"  # the first picture stays until the other is ready
    assert "left" in explorer._progress
    explorer.wait(120)
    assert explorer._left["map"] == kind
    assert explorer._progress == {}
    assert explorer.projection.shape == (150, 2)
    assert explorer.trust().kept.mean() > 0.2
    first = explorer.projection.copy()
    explorer.project("pca")
    explorer.project(kind)  # kept: there at once, and the same
    np.testing.assert_allclose(np.abs(explorer.projection), np.abs(first), atol=1e-3)


def test_a_slow_map_can_be_stopped():
    explorer = explore(RNG.normal(size=(3000, 40)))
    explorer.project("tsne")
    explorer._on_message(None, {"do": "stop", "side": "left"}, [])
    explorer.wait(60)
    assert explorer._left["map"] == "pca"
    assert explorer._wanted["left"]["map"] == "pca"
    assert explorer._notice == ""


def test_spectral_axes_separate_the_pieces_of_the_neighbour_graph():
    z = np.concatenate([RNG.normal(size=(60, 3)), RNG.normal(size=(60, 3)) + 50])
    explorer = explore(z).wait()
    explorer.project("spectral")
    explorer.wait(60)
    x = explorer.projection[:, 0]  # the first eigenvector of a graph in two pieces tells them apart
    assert x[:60].std() < 0.01 * abs(x[:60].mean() - x[60:].mean())
    assert "falls into 2 pieces" in explorer.caption
    with pytest.raises(ValueError, match=r"axes must be two numbers from 0 to 9 .*eigenvectors"):
        explorer.project("spectral", axes=(0, 99))
    with pytest.raises(ValueError, match=r"axes must be two numbers from 0 to 2 .*principal components"):
        explorer.project("pca", axes=(0, 1, 2))


@pytest.mark.parametrize(
    "name", ["label", "none", "age", "cluster", "density", "kept", "false", "torn", "error", "guess"]
)
def test_every_colour_arrives(name):
    explorer = explore(Z, Y, columns={"age": np.linspace(0, 9, 150)})
    explorer.colour_by(name)
    explorer.wait()
    assert explorer._notice == ""
    assert explorer._colour["id"].removeprefix("column:") == name
    assert len(explorer._colour["values"]) == {"none": 0}.get(name, 150 * {"u1": 1, "f4": 4}[explorer._colour["type"]])


def test_an_unknown_colour_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'density'"):
        explore(Z, Y).colour_by("densty")


@pytest.mark.attack("names and captions")
def test_two_thousand_classes_and_html_in_names():
    y = [f"<img src=x onerror=alert({i})>" for i in range(2000)]
    explorer = explore(RNG.normal(size=(2000, 3)), y)
    assert len(explorer._colour["classes"]) == 2000
    assert explorer._colour["type"] == "u2"
    assert "2,000 classes, colours too many to tell apart" in explorer._colour["about"]
    assert "probe" not in [entry["id"] for entry in explorer._menu["maps"]]
    assert len(explorer._repr_mimebundle_()[0]["image/png"]) < 200_000


def test_more_classes_than_a_colour_table_holds_are_merged():
    explorer = explore(RNG.normal(size=(6000, 2)), np.arange(6000))
    assert len(explorer._colour["classes"]) == 4096
    assert explorer._colour["classes"][-1]["name"] == "(the 1,905 smallest classes)"


def test_missing_values_of_a_column_have_no_colour():
    values = np.linspace(0, 1, 150)
    values[7] = np.nan
    payload = Colouring("c", "c", values=values).payload()
    sent = np.frombuffer(payload["values"], np.float32)
    assert sent[7] < -1e37
    assert np.isfinite(sent).all()


@pytest.mark.parametrize(
    ("z", "words"),
    [
        (np.ones((1, 5)), "One point"),
        (np.ones((40, 5)), "All 40 points are the same vector"),
        (np.zeros((2, 1)), "All 2 points are the same vector"),
        (np.random.default_rng(0).normal(size=(50, 1)), "PCA of 1 dimension shows 100 %"),
    ],
)
def test_degenerate_embeddings_are_drawn_and_called_by_their_name(z, words):
    explorer = explore(z).wait()
    assert re.search(words, explorer.caption)
    assert explorer._notice == ""
    explorer.focus(0)
    assert explorer._notice == ""
    assert np.isfinite(explorer.projection).all()
    explorer._repr_mimebundle_()


def test_two_maps_share_selection_and_say_how_alike_they_are():
    turned = Z @ np.linalg.qr(RNG.normal(size=(6, 6)))[0].astype(np.float32)
    explorer = compare(Z, turned, Y, titles=("before", "after")).wait()
    assert (explorer._left["space"], explorer._right["space"]) == ("before", "after")
    assert "linear CKA 1.00, 100 % of nearest neighbours shared" in explorer.caption
    explorer.focus(4)
    assert explorer._near["left"]["rows"] == explorer._near["right"]["rows"]
    explorer.select(range(30))
    explorer.wait()
    assert any("share **100 %**" in line for line in explorer._verdict["lines"])
    explorer.colour_by("overlap")
    explorer.wait()
    assert explorer._colouring.values.min() == 1
    noise = compare(Z, RNG.normal(size=(150, 9)), Y).wait()
    assert "100 % of nearest neighbours shared" not in noise.caption
    assert set(noise.projections) == {"left", "right"}


def test_two_dimensions_drawn_as_they_are_lose_nothing_and_one_of_them_twice_loses_much():
    explorer = explore(RNG.normal(size=(300, 2)))
    assert explorer.trust().kept.min() == 1
    assert "nothing is projected" in explorer.wait().caption
    explorer.project("raw", axes=(0, 0))
    assert "nothing is projected" not in explorer.wait().caption
    assert explorer.trust().kept.mean() < 0.9


def test_labels_named_like_a_coordinate_do_not_take_its_place():
    pandas = pytest.importorskip("pandas")
    frame = explore(Z, pandas.Series(Y, name="y"), columns={"x": np.arange(150)}).to_frame()
    assert (frame["label: y"] == Y).all()
    np.testing.assert_array_equal(frame["column: x"], np.arange(150))
    assert frame["y"].nunique() > 3


def test_what_was_measured_of_a_map_is_not_said_of_another():
    explorer = explore(Z, Y).wait()
    for axes in ((0, 1), (2, 3), (4, 5), (0, 1)) * 5:
        explorer.project("raw", axes=axes)
        explorer.wait()
        lens = explorer._lenses["left"]
        fresh = _words.caption(lens.map, lens.frame, lens.space, lens._measure(lens.space, lens.xy, lens.frame))
        assert explorer._caption[0] == fresh


@pytest.mark.parametrize("narrow_first", [True, False])
def test_two_embeddings_are_compared_on_either_side_of_an_unprojected_one(narrow_first):
    pair = (Z[:, :2], Z) if narrow_first else (Z, Z[:, :2])
    assert "linear CKA" in compare(*pair).wait().caption


def test_one_dimension_is_called_so():
    explorer = explore(Z[:, :1]).wait()
    assert explorer._left["names"] == [explorer._left["names"][0], ""]
    explorer.project("raw")
    assert "This is the one dimension of the embedding itself" in explorer.wait().caption


def test_probe_and_colours_are_those_of_the_epoch_and_the_map_that_are_shown():
    noise = torch.from_numpy(RNG.normal(size=Z.shape).astype(np.float32))
    run = SimpleNamespace(snapshots={0: noise, 3: torch.from_numpy(Z)}, history={"loss": [2.0, 1.5, 1.0]})
    explorer = explore(run, Y).wait()
    explorer.select(Y == 0)
    late, of_late = explorer.probe().auc, explorer._lenses["left"].measure().probe_full
    explorer.colour_by("density")
    explorer.wait()
    before = explorer._colouring.values
    explorer.time(0)
    explorer.wait()
    assert not np.array_equal(explorer._colouring.values, before)
    assert explorer.probe().auc < 0.8 < 0.95 < late
    assert explorer._lenses["left"].measure().probe_full < 0.7 < of_late
    explorer.colour_by("kept")
    explorer.wait()
    before = explorer._colouring.values
    explorer.project("raw", axes=(0, 1))
    explorer.wait()
    assert not np.array_equal(explorer._colouring.values, before)
    np.testing.assert_allclose(explorer._colouring.values, explorer.trust().kept)


def test_each_of_two_maps_has_its_own_positions_neighbours_and_trust(tmp_path):
    other = RNG.normal(size=(150, 9)).astype(np.float32)
    explorer = compare(other, Z, Y).wait()
    left, right = (explorer.projections[side] for side in ("left", "right"))
    assert not np.array_equal(left, right)
    assert not np.array_equal(explorer.trust("left").kept, explorer.trust("right").kept)
    frame = explorer.to_frame()
    np.testing.assert_array_equal(frame[["x", "y"]], left)
    np.testing.assert_array_equal(frame[["x_right", "y_right"]], right)
    trust = explorer.trust()
    names = {"neighbours kept": trust.kept, "false neighbours": trust.false, "neighbours torn away": trust.torn}
    for name, values in names.items():
        np.testing.assert_array_equal(frame[name], values)
    explorer.colour_by("overlap")
    explorer.wait()
    assert explorer._colouring.values.mean() < 0.5
    np.testing.assert_array_equal(explorer.to_frame()["neighbours shared"], explorer._colouring.values)
    assert float(re.search(r"linear CKA (\d\.\d\d)", explorer.caption).group(1)) < 0.5
    explorer.to_html(tmp_path / "map.html")
    state = json.loads(re.search(r"const packed = (\{.*\});", (tmp_path / "map.html").read_text()).group(1))
    table = {side: base64.b64decode(state["_data"]["table"][side]["rows"]["bytes"]) for side in ("left", "right")}
    for side, z in (("left", other), ("right", Z)):
        near = np.linalg.norm(z - z[7], axis=1).argsort()[1 : explorer._k + 1]
        np.testing.assert_array_equal(np.frombuffer(table[side], np.int32).reshape(150, -1)[7], near)


def test_density_is_that_of_the_last_of_the_neighbours_and_clusters_are_as_many_as_classes():
    explorer = explore(Z, Y)
    explorer.colour_by("density")
    explorer.wait()
    distances = np.sort(np.linalg.norm(Z - Z[7], axis=1))
    assert explorer._colouring.values[7] == pytest.approx(-np.log10(distances[explorer._k]), abs=1e-4)
    explorer.colour_by("cluster")
    explorer.wait()
    assert len(explorer._colouring.names) == 3


def test_what_is_computed_leaves_columns_of_the_same_name_alone():
    mine = {name: np.arange(150) + 0.5 for name in ("neighbours kept", "probe score", "density")}
    explorer = explore(Z, Y, columns=mine)
    explorer.colour_by("density")
    explorer.wait()
    kept, dense = explorer.trust().kept, explorer._colouring.values
    frame = explorer.to_frame()
    np.testing.assert_array_equal(frame["density"], dense)
    explorer.select(range(20))
    score = explorer.probe().score
    frame = explorer.to_frame()
    for name, values in (("neighbours kept", kept), ("probe score", score)):
        np.testing.assert_array_equal(frame[name], values)
        np.testing.assert_array_equal(frame[f"column: {name}"], mine[name])


def test_a_lone_point_has_no_neighbours():
    explorer = explore(Z[:1])
    explorer.focus(0)
    found = explorer.neighbours
    assert (found.row, len(found.rows), len(found.distances)) == (0, 0, 0)


def test_a_column_without_values_says_so():
    explorer = explore(Z, columns={"empty": np.full(150, np.nan)})
    explorer.colour_by("empty")
    assert explorer._colour["about"] == "no point has a value"


@pytest.mark.parametrize("labels", [Y, None])
def test_captions_of_two_maps_do_not_run_into_each_other(labels):
    pair = compare(Z, Z[:, :4], labels, titles=("the whole", "a part of it with a longer name")).wait()
    figure = _export.figure(pair)
    figure.canvas.draw()
    left, right = (text.get_window_extent() for text in figure.texts)
    assert left.x1 < right.x0
    assert right.x1 <= figure.bbox.x1
