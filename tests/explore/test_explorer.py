"""The Explorer's state as Python sees it; how a browser sees it is in tests/browser."""

import base64
import json
import re
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from labkit.explore import _export, _looking, _wiring, _words, compare, explore
from labkit.explore._colours import Colouring

RNG = np.random.default_rng(0)
Y = np.arange(150) % 3
Z = (RNG.normal(size=(3, 6))[Y] * 3 + RNG.normal(size=(150, 6))).astype(np.float32)


def in_browser(explorer, **changes):
    """A change as it arrives from the browser."""
    explorer.set_state(changes)


# ---------------------------------------------------------------- selection


def test_a_bitmask_from_the_browser_is_the_selection():
    explorer = explore(Z, Y)
    chosen = RNG.random(150) < 0.3
    in_browser(explorer, _selection=memoryview(np.packbits(chosen, bitorder="little").tobytes()))
    np.testing.assert_array_equal(explorer.selection, np.flatnonzero(chosen))


def test_select_takes_rows_or_truth_values():
    explorer = explore(Z, Y)
    explorer.select([5, 3, 5])
    np.testing.assert_array_equal(explorer.selection, [3, 5])
    explorer.select(Y == 2)
    np.testing.assert_array_equal(explorer.selection, np.flatnonzero(Y == 2))
    explorer.select(torch.tensor([1, 2]))
    np.testing.assert_array_equal(explorer.selection, [1, 2])
    explorer.select([])
    assert explorer.selection.size == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([150], "row 150 does not exist"),
        ([-1], "row -1 does not exist"),
        ([0.5], "must be row numbers"),
        ([True], "must be row numbers"),
    ],
)
def test_rows_that_do_not_exist_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        explore(Z, Y).select(rows)


def test_saved_selections_have_names():
    explorer = explore(Z, Y)
    explorer.select([1, 2])
    explorer.save_selection(" odd ones ")
    explorer.select([7])
    np.testing.assert_array_equal(explorer.selections["odd ones"], [1, 2])
    explorer._on_message(None, {"do": "restore", "name": "odd ones"}, [])
    np.testing.assert_array_equal(explorer.selection, [1, 2])
    explorer.select([])
    with pytest.raises(ValueError, match="needs a name and at least one"):
        explorer.save_selection("empty")


def test_a_selection_is_compared_with_blobs_of_its_size():
    explorer = explore(Z, Y)
    explorer.select(Y == 0)
    explorer.wait()
    (line,) = explorer._verdict["lines"]
    assert re.search(
        r"A random blob of this size is \d+ % one class .* yours is purer than \*\*[\d.]+ %\*\* of 200", line
    )
    explorer.select([3])
    assert explorer._verdict == {}


def test_a_random_blob_has_the_size_of_the_selection():
    explorer = explore(Z, Y)
    with pytest.raises(ValueError, match="select some points first"):
        explorer.blob()
    explorer.select(range(20))
    assert len(explorer.blob(seed=1)) == 20


def test_composition_needs_labels_and_a_selection():
    with pytest.raises(ValueError, match="needs labels"):
        explore(Z).composition()
    with pytest.raises(ValueError, match="nothing is selected"):
        explore(Z, Y).composition()


def test_finding_text_selects_and_nothing_found_is_said():
    explorer = explore(Z, Y, class_names=["Cat", "dog", "bird"], texts=[f"photo {i}" for i in range(150)])
    explorer._on_message(None, {"do": "find", "text": "cat"}, [])
    np.testing.assert_array_equal(explorer.selection, np.flatnonzero(Y == 0))
    explorer._on_message(None, {"do": "find", "text": "PHOTO 149"}, [])
    np.testing.assert_array_equal(explorer.selection, [149])
    explorer._on_message(None, {"do": "find", "text": "unicorn"}, [])
    assert explorer._notice == "nothing holds 'unicorn'"


# ---------------------------------------------------------------- click


def test_a_click_is_answered_with_true_neighbours():
    explorer = explore(Z, Y)
    in_browser(explorer, _focus=12)
    expected = np.argsort(np.linalg.norm(Z - Z[12], axis=1))[1:16]
    np.testing.assert_array_equal(np.frombuffer(explorer._near["left"]["rows"], np.int32), expected)
    np.testing.assert_array_equal(explorer.neighbours.rows, expected)
    assert explorer.neighbours.row == 12
    explorer.focus(None)
    assert explorer.neighbours is None


def test_rows_of_neighbours_are_those_of_the_input():
    z = np.insert(Z, 0, np.nan, axis=0)
    explorer = explore(z)
    explorer.focus(13)
    np.testing.assert_array_equal(explorer.neighbours.rows, np.argsort(np.linalg.norm(Z - Z[12], axis=1))[1:16] + 1)


def test_a_node_is_shown_with_its_edges_and_homophily():
    graph = nx.karate_club_graph()
    y = [graph.nodes[i]["club"] for i in graph]
    data = Data(edge_index=torch.tensor(list(graph.edges)).T, num_nodes=34)
    for source in (graph, data, np.array(list(graph.edges)).T):
        explorer = explore(RNG.normal(size=(34, 4)), y, graph=source)
        explorer.focus(11)  # knows only node 0
        hop1 = np.frombuffer(explorer._near["hop1"], np.int32).reshape(-1, 2)
        np.testing.assert_array_equal(hop1, [[11, 0]])
        hop2 = np.frombuffer(explorer._near["hop2"], np.int32).reshape(-1, 2)
        assert {tuple(edge) for edge in hop2} == {(0, v) for v in graph[0] if v != 11}
        assert explorer._near["facts"][:2] == ["degree 1", "homophily 100%: 1 of 1 graph neighbours share its class"]


def test_labels_come_with_the_graph():
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=150, y=torch.from_numpy(Y))
    explorer = explore(Z, graph=data)
    assert explorer._colouring.names == ["0", "1", "2"]
    explorer.focus(99)
    assert explorer._near["facts"] == ["isolated: no edge in the graph"]


# ---------------------------------------------------------------- maps, captions, colours


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


def test_probe_right_or_wrong_colours_what_is_hard():
    explorer = explore(Z, Y)
    explorer.colour_by("error")
    explorer.wait()
    assert explorer._colouring.codes.mean() < 0.1
    noise = explore(RNG.normal(size=(150, 6)), Y)
    noise.colour_by("error")
    noise.wait()
    assert noise._colouring.codes.mean() > 0.4


def test_the_probe_of_a_selection_scores_every_point_and_points_somewhere():
    explorer = explore(Z, Y)
    explorer.select(Y == 1)
    verdict = explorer.probe()
    assert verdict.auc > 0.99
    np.testing.assert_allclose(explorer._colouring.values, verdict.score)
    arrow = explorer._arrow["left"]
    plane = explorer._lenses["left"].map.plane
    assert arrow["share"] == pytest.approx(float((plane.T @ verdict.weight).norm() / verdict.weight.norm()), abs=1e-5)
    assert np.linalg.norm(arrow["direction"]) == pytest.approx(1)
    explorer.project("probe")  # no plane: no arrow
    assert explorer._arrow == {}


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


# ---------------------------------------------------------------- time


def fake_run(epochs=(0, 1, 2, 5, 9), n=120, **more):
    y = np.arange(n) % 3
    centres = RNG.normal(size=(3, 5))
    noise = RNG.normal(size=(n, 5))
    frames = {e: torch.tensor(centres[y] * e / 3 + noise, dtype=torch.float32) for e in epochs}
    loss = [5.0, 4.9, 4.8, 4.7, 2.0, 1.95, 1.9, 1.85, 1.8]
    return SimpleNamespace(snapshots=frames, history={"loss": loss}, events=[(2, "rate halved")], **more), y


def test_a_run_becomes_a_time_axis():
    run, y = fake_run()
    explorer = explore(run, y)
    assert explorer._left["frames"] == 5
    assert len(explorer._left["xy"]) == 5 * 120 * 2 * 4
    line = explorer._data["timeline"]
    assert line["epochs"] == [0, 1, 2, 5, 9]
    assert line["loss"][0] == [1, 5.0]
    assert [2, "rate halved"] in line["events"]
    assert [5, "loss falls from 4.7 to 2"] in line["events"]
    assert any(text == "eigenvalue 1 rises past half of its maximum" for _, text in line["events"])
    assert explorer._time == 4


def test_neighbours_and_caption_are_those_of_the_epoch_shown():
    run, y = fake_run()
    explorer = explore(run, y)
    explorer.focus(7)
    explorer.time(1)
    z = run.snapshots[1].numpy()
    np.testing.assert_array_equal(explorer.neighbours.rows, np.argsort(np.linalg.norm(z - z[7], axis=1))[1:16])
    np.testing.assert_array_equal(np.frombuffer(explorer._near["left"]["rows"], np.int32), explorer.neighbours.rows)
    early = explorer.wait().caption
    in_browser(explorer, _time=4.0)
    late = explorer.wait().caption
    assert "Epoch 1: moved by" in early
    assert "Epoch 9: moved by" in late
    assert early != late
    with pytest.raises(ValueError, match="no snapshot of epoch 3; there are: 0, 1, 2, 5, 9"):
        explorer.time(3)
    for between, epoch in ((0.5, 1), (1.5, 2), (1.4, 1)):  # as JavaScript rounds
        in_browser(explorer, _time=between)
        assert explorer._lenses["left"].frame == epoch


def test_alignment_can_be_chosen_and_is_named():
    run, y = fake_run()
    explorer = explore(run, y, projection="pca-aligned").wait()
    assert "aligned by orthogonal Procrustes" in explorer.caption
    assert "turned onto epoch 5" in explorer.caption


def test_an_embedding_beside_the_run_is_its_last_frame():
    run, y = fake_run()
    same = explore(run.snapshots[9], y, run=run)
    assert same._left["frames"] == 5
    more = explore(run.snapshots[9] * 2, y, run=run)
    assert more._data["timeline"]["epochs"] == [0, 1, 2, 5, 9, 10]


def test_runs_that_cannot_be_shown_are_refused():
    with pytest.raises(ValueError, match="run has no snapshots"):
        explore(SimpleNamespace(snapshots={}))
    with pytest.raises(ValueError, match="must have one shape"):
        explore(SimpleNamespace(snapshots={0: torch.zeros(4, 2), 1: torch.zeros(4, 3)}))


class Tiny(nn.Module):
    """An encoder that looks at the mean of each quarter, and a view that adds a little noise."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())

    def view(self, images):
        return images.float() / 255 + 0.01 * torch.randn(images.shape)


def test_views_of_the_clicked_image_stay_near_it():
    method = Tiny()
    images = torch.randint(0, 256, (80, 1, 8, 8), dtype=torch.uint8)
    z = method.encoder(images.float() / 255)
    run = SimpleNamespace(snapshots={3: z}, history={"loss": [1.0] * 3}, method=method)
    state = torch.get_rng_state()
    explorer = explore(run, images=images)
    explorer.focus(5)
    explorer.wait()
    assert explorer._notice == ""
    star = explorer._star
    assert star["row"] == 5
    assert "8 augmented views" in star["text"]
    assert re.search(r"nearer than \*\*(99|100)%\*\*", star["text"])
    xy = np.frombuffer(star["left"], np.float32).reshape(8, 2)
    spread = explorer.projection.std()
    assert np.linalg.norm(xy - explorer.projection[5], axis=1).max() < 0.2 * spread
    assert len(star["pixels"]) == 8 * 8 * 8
    assert torch.equal(state, torch.get_rng_state())  # the user's own randomness goes on undisturbed


# ---------------------------------------------------------------- two maps


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


# ---------------------------------------------------------------- pictures and what one leaves with


@pytest.mark.parametrize(
    ("images", "size"),
    [
        (np.zeros((150, 8, 8), np.uint8), (8, 8, 1)),
        (np.zeros((150, 3, 8, 8), np.float32), (8, 8, 3)),
        (np.zeros((150, 20, 10, 3)), (10, 20, 3)),
        (torch.zeros(150, 1, 256, 128), (32, 64, 1)),
    ],
)
def test_thumbnails_of_every_layout(images, size):
    sheet = explore(Z, images=images)._data["sheet"]
    assert (sheet["width"], sheet["height"], sheet["channels"]) == size
    assert len(sheet["pixels"]) == 150 * size[0] * size[1] * size[2]


def test_thumbnails_show_the_image_of_their_row_also_when_rows_are_left_out():
    images = np.arange(150, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    z = Z.copy()
    z[10] = np.nan
    sheet = np.frombuffer(explore(z, images=images)._data["sheet"]["pixels"], np.uint8).reshape(149, 16)
    np.testing.assert_array_equal(sheet[:, 0], np.delete(np.arange(150), 10))


def test_many_pictures_are_sent_when_asked_for(monkeypatch):
    images = RNG.integers(0, 256, (150, 3, 200, 200), dtype=np.uint8)
    explorer = explore(Z, images=images, texts=[f"item {i}" for i in range(150)])
    sent = []
    monkeypatch.setattr(explorer, "send", lambda message, buffers: sent.append((message, buffers)))
    monkeypatch.setattr("labkit.explore._pictures._SHEET", 10)
    assert "pixels" not in explorer._sources.pictures.sheet(explorer.rows)
    explorer._on_message(None, {"do": "items", "rows": [3, 9]}, [])
    (message, (pixels,)) = sent[0]
    assert message["texts"] == ["item 3", "item 9"]
    assert len(pixels) == 2 * 64 * 64 * 3


def test_the_still_picture_is_small_and_has_words(tmp_path):
    explorer = explore(Z, Y)
    bundle, metadata = explorer._repr_mimebundle_()
    assert bundle["image/png"][:4] == b"\x89PNG"
    assert len(bundle["image/png"]) < 150_000
    assert "application/vnd.jupyter.widget-view+json" in bundle
    alt = metadata["image/png"]["alt"]
    assert "Scatter of 150 points, PCA of 6 dimensions" in alt
    assert "nearest neighbours" in alt  # measured before the picture is taken
    for name in ("map.png", "map.svg"):
        explorer.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000
    assert "nearest" in (tmp_path / "map.svg").read_text()
    with pytest.raises(ValueError, match=r"must end in .png or .svg"):
        explorer.save(tmp_path / "map.gif")


def test_the_picture_of_many_points_stays_small():
    n = 60_000
    explorer = explore(RNG.normal(size=(n, 2)), np.arange(n) % 7)
    explorer.select(range(20_000))
    assert len(explorer._repr_mimebundle_()[0]["image/png"]) < 150_000


def test_to_frame_has_a_line_for_each_shown_row():
    z = Z.copy()
    z[4] = np.nan
    explorer = explore(z, Y, class_names=["a", "b", "c"], columns={"age": np.arange(150)})
    explorer.select([0, 9])
    explorer.save_selection("two")
    explorer.probe()
    frame = explorer.to_frame()
    assert len(frame) == 149
    assert 4 not in frame.index
    assert frame.loc[[0, 9], "selected"].all()
    assert frame["selected"].sum() == frame["selection: two"].sum() == 2
    assert frame.loc[7, "label"] == "b"
    assert frame.loc[7, "age"] == 7
    assert {"x", "y", "probe score"} <= set(frame.columns)


def test_to_frame_keeps_columns_that_are_named_as_its_own():
    mine = {name: np.arange(150.0) for name in ("selected", "text", "label", "x")}
    frame = explore(Z, Y, columns=mine, texts=["words"] * 150).to_frame()
    for name in mine:
        np.testing.assert_array_equal(frame[f"column: {name}"], np.arange(150))
    assert (frame["text"] == "words").all()
    assert not frame["selected"].any()
    assert frame["label"].astype(str).tolist() == [str(y) for y in Y]


def test_small_selections_of_many_points_are_compared_with_blobs_as_small():
    y = np.arange(50_000) % 10
    explorer = explore(RNG.normal(size=(50_000, 2)), y)
    explorer.select(range(4))
    explorer.wait()
    (line,) = explorer._verdict["lines"]
    middle, _, low, high = (int(share) for share in re.findall(r"(\d+) %", line)[:4])
    assert 25 <= low <= middle <= high < 100


def test_texts_beyond_those_that_travel_are_asked_for_and_are_on_the_page(tmp_path):
    n = _wiring._TEXTS + 1
    pictures, texts = np.zeros((n, 2, 2), dtype=np.uint8), [f"item {i}." for i in range(n)]
    explorer = explore(RNG.normal(size=(n, 2)), images=pictures, texts=texts)
    assert "pixels" in explorer._data["sheet"]
    assert (explorer._data["texts"], explorer._data["asks"]) == (None, True)
    explorer.to_html(tmp_path / "map.html")
    assert f"item {n - 1}." in (tmp_path / "map.html").read_text()
    assert not explore(RNG.normal(size=(n, 2)), images=pictures)._data["asks"], "all of it came along"


def test_two_dimensions_drawn_as_they_are_lose_nothing_and_one_of_them_twice_loses_much():
    explorer = explore(RNG.normal(size=(300, 2)))
    assert explorer.trust().kept.min() == 1
    assert "nothing is projected" in explorer.wait().caption
    explorer.project("raw", axes=(0, 0))
    assert "nothing is projected" not in explorer.wait().caption
    assert explorer.trust().kept.mean() < 0.9


@pytest.mark.attack("names and captions")
def test_a_page_of_its_own_holds_everything_and_no_script_of_strangers(tmp_path):
    names = ["</script><script>alert(1)</script>", "b", "c"]
    explorer = explore(Z, Y, class_names=names, images=RNG.integers(0, 256, (150, 4, 4), dtype=np.uint8)).wait()
    explorer.to_html(tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    assert page.count("</script>") == 1
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    state = json.loads(re.search(r"const packed = (\{.*\});", page).group(1))
    assert state["_data"]["standalone"]
    assert state["_colour"]["classes"][0]["name"] == names[0]
    assert set(state["_data"]["table"]) == {"left"}


# ---------------------------------------------------------------- what it opens by itself


def test_a_graph_or_an_image_set_is_opened_as_it_is():
    data = Data(x=torch.randn(40, 7), edge_index=torch.tensor([[0, 1], [1, 2]]), y=torch.arange(40) % 2)
    explorer = explore(data)
    assert explorer._lenses["left"].series.dim == 7
    assert explorer._sources.edges is not None
    images = SimpleNamespace(
        images=torch.randint(0, 256, (30, 3, 5, 5), dtype=torch.uint8),
        labels=torch.arange(30) % 3,
        class_names=("a", "b", "c"),
    )
    explorer = explore(images)
    assert explorer._lenses["left"].series.dim == 75
    assert explorer._colouring.names == ["a", "b", "c"]
    assert explorer._data["sheet"]["channels"] == 3


def test_columns_are_told_on_hover_and_counts_of_many_are_measurements():
    explorer = explore(Z, Y, columns={"age": np.arange(150), "size": np.linspace(0, 1, 150)}, texts=["t"] * 150)
    assert explorer._data["texts"][3] == "t · age: 3 · size: 0.02013"
    explorer.colour_by("age")
    assert explorer._colour["kind"] == "value"


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


def test_a_slow_map_is_measured_against_its_own_epoch_whichever_is_looked_at():
    run, y = fake_run()
    explorer = explore(run, labels=y)
    explorer.time(1)
    explorer.project("spectral")
    explorer.wait()
    assert "epoch 1" in explorer.caption
    kept = explorer.trust().kept
    explorer.time(9)
    np.testing.assert_array_equal(explorer.trust().kept, kept)
    explorer.colour_by("kept")
    explorer.wait()
    np.testing.assert_allclose(explorer._colouring.values, kept)


def test_an_exported_page_stays_at_the_epoch_that_its_neighbours_are_of(tmp_path):
    run, y = fake_run()
    explorer = explore(run=run, labels=y).wait()
    explorer.to_html(tmp_path / "map.html")
    state = json.loads(re.search(r"const packed = (\{.*\});", (tmp_path / "map.html").read_text()).group(1))
    assert explorer._data["timeline"] is not None
    assert state["_data"]["timeline"] is None


def changing(scale=30.0):
    """A run whose second dimension is wide at epoch 1 only, and whose first row is far away at epoch 1 only."""
    first = torch.tensor(RNG.normal(size=(300, 5)), dtype=torch.float32)
    second = first.clone()
    second[:, 1] *= scale
    second[0, 0] = 1e4
    return SimpleNamespace(snapshots={0: first, 1: second}, history={}, events=[])


def test_a_caption_says_of_its_own_epoch_how_much_is_shown_and_what_lies_outside():
    explorer = explore(changing(), projection="raw").wait()
    assert "100 % of the variance" in explorer.caption
    assert "1 outlying point lies beyond the first view; zoom out to see it." in explorer.caption
    explorer.time(0)
    first = explorer._lenses["left"].series.at(0).x
    share = float(first[:, :2].square().sum() / first.square().sum())
    assert f"{100 * share:.0f} % of the variance" in explorer.wait().caption
    assert "outlying" not in explorer.caption


def test_a_probe_says_of_what_and_when_and_its_arrow_stays_at_its_epoch():
    run, y = fake_run()
    explorer = explore(run, y)
    explorer.select(y == 1)
    explorer.probe()
    assert explorer._colouring.about.startswith("40 points at epoch 9 against the rest")
    assert explorer._arrow
    explorer.time(0)
    assert explorer._arrow == {}
    explorer.time(9)
    assert explorer._arrow
    explorer.select([0])
    assert explorer._colouring.about.startswith("40 points at epoch 9 against the rest")


@pytest.mark.parametrize("narrow_first", [True, False])
def test_two_embeddings_are_compared_on_either_side_of_an_unprojected_one(narrow_first):
    pair = (Z[:, :2], Z) if narrow_first else (Z, Z[:, :2])
    assert "linear CKA" in compare(*pair).wait().caption


def test_one_dimension_is_called_so():
    explorer = explore(Z[:, :1]).wait()
    assert explorer._left["names"] == [explorer._left["names"][0], ""]
    explorer.project("raw")
    assert "This is the one dimension of the embedding itself" in explorer.wait().caption


def test_names_without_spaces_are_shortened_and_not_lost_in_a_still_picture():
    from labkit.explore import _twin

    assert _twin._short("Natural_killer_cell_bright") == "Natural_killer_ce…"
    assert _twin._short("eighteen letters !") == "eighteen letters !"


def test_all_that_is_said_of_a_row_is_of_that_row_also_when_others_are_left_out(monkeypatch):
    z, seen = Z.copy(), []
    z[4] = np.nan
    pictures = np.arange(150, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    explorer = explore(z, Y, images=pictures, columns={"age": np.arange(150)})
    explorer.select([9, 20])
    explorer.save_selection("two")
    explorer.select([9])
    explorer.save_selection("one")
    assert {name: rows.tolist() for name, rows in explorer.selections.items()} == {"two": [9, 20], "one": [9]}
    explorer._on_message(None, {"do": "restore", "name": "one"}, [])
    assert explorer.selection.tolist() == [9]
    sent = []
    monkeypatch.setattr(explorer, "send", lambda message, buffers: sent.append((message, buffers)))
    explorer._on_message(None, {"do": "items", "rows": [3, 4]}, [])
    ((message, (pixels,)),) = sent
    assert message["texts"] == ["age: 3", "age: 5"]
    assert np.frombuffer(pixels, np.uint8).reshape(2, 16)[:, 0].tolist() == [3, 5]
    monkeypatch.setattr(_looking._views, "star", lambda image, *_, **__: seen.append(image) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _looking.star(explorer._sources, explorer._lenses["left"], 8)
    assert (seen[0] == 9).all()


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


def test_a_selection_is_judged_by_its_own_points():
    """Half of the points lie alike in both embeddings; a pure selection is purer than blobs, a mixed one is not."""
    other = Z.copy()
    other[75:] = RNG.normal(size=(75, 6)) + 100
    explorer = compare(Z, other, Y).wait()
    shares = []
    for rows in (range(75), range(75, 150)):
        explorer.select(rows)
        lines = _looking.verdict(explorer._sources, explorer._lenses, explorer._chosen(), explorer._k)
        shares.append(int(re.search(r"share \*\*(\d+)", lines[1]).group(1)))
    assert shares[0] > shares[1] + 15
    mixed = explore(RNG.normal(size=(300, 2)), np.arange(300) % 3).wait()
    chosen = np.arange(300) % 3 == 0
    assert "purer than **100 %**" in _looking.verdict(mixed._sources, mixed._lenses, chosen, mixed._k)[0]
    assert "purer than **0 %**" in _looking.verdict(mixed._sources, mixed._lenses, np.arange(300) < 30, mixed._k)[0]


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


@pytest.mark.parametrize("name", ["map.svg", "map.html"])
def test_a_file_waits_for_what_its_caption_speaks_of(tmp_path, name, monkeypatch):
    monkeypatch.setattr(_wiring.Wiring, "_measure", lambda *_: None)  # the computation beside it has not begun
    explorer = explore(Z, Y)
    explorer._progress, explorer._notice = {"left": {"label": "t-SNE", "share": 0.1}}, "nothing holds 'x'"
    (explorer.save if name.endswith("svg") else explorer.to_html)(tmp_path / name)
    written = (tmp_path / name).read_text()
    assert "being checked" not in written
    assert "keeps" in explorer.caption
    for stale in ('"label": "t-SNE", "share": 0.1', "nothing holds"):  # of computations that a page doesn't have
        assert stale not in written


def test_a_lone_point_has_no_neighbours():
    explorer = explore(Z[:1])
    explorer.focus(0)
    found = explorer.neighbours
    assert (found.row, len(found.rows), len(found.distances)) == (0, 0, 0)


def test_the_loss_beside_the_time_ends_with_the_last_snapshot():
    run = SimpleNamespace(snapshots={0: Z, 2: 2 * Z}, history={"loss": [3.0, 2.0, 1.0, 0.5]}, events=[])
    assert explore(run=run)._data["timeline"]["loss"] == [[1, 3.0], [2, 2.0]]


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
