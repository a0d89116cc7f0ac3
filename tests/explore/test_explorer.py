"""The Explorer's state as Python sees it: selections, clicks, what it opens. The browser is in tests/browser."""

import re
import signal
import time
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
import torch
from explorers import Y, Z, in_browser
from torch_geometric.data import Data

from labkit.explore import _looking, compare, explore

RNG = np.random.default_rng(0)


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


def test_small_selections_of_many_points_are_compared_with_blobs_as_small():
    y = np.arange(50_000) % 10
    explorer = explore(RNG.normal(size=(50_000, 2)), y)
    explorer.select(range(4))
    explorer.wait()
    (line,) = explorer._verdict["lines"]
    middle, _, low, high = (int(share) for share in re.findall(r"(\d+) %", line)[:4])
    assert 25 <= low <= middle <= high < 100


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


def test_python_hears_of_every_selection_until_it_no_longer_wants_to():
    heard = []
    explorer = explore(Z, Y)
    explorer.on_select(lambda rows: heard.append(("first", rows.tolist())))
    explorer.on_select(lambda rows: heard.append(("second", rows.tolist())))
    in_browser(explorer, _selection=memoryview(bytes([0b101]) + bytes(18)))
    explorer.select([])
    explorer.on_select(None)
    explorer.select([4])
    assert heard == [("second", [0, 2]), ("second", [])]
    explorer.on_select(lambda rows: 1 / 0)
    explorer.select([5])
    assert explorer._notice == "ZeroDivisionError: division by zero"
    assert explorer.selection.tolist() == [5]


def test_around_a_hub_as_many_edges_are_sent_as_can_be_told_apart():
    star = np.stack([np.zeros(3500, dtype=int), np.arange(1, 3501)])
    explorer = explore(RNG.normal(size=(3501, 2)), graph=star)
    explorer.focus(0)
    assert len(explorer._near["hop1"]) == 3000 * 2 * 4
    assert "degree 3500" in explorer._near["facts"]


def test_a_closed_explorer_computes_no_more():
    explorer = explore(RNG.normal(size=(400, 8)))
    explorer.project("tsne")
    end = time.monotonic() + 60
    while (job := explorer._lenses["left"].job) is None or job.process is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    explorer.close()
    assert job.process.wait(20) != 0
    explorer.wait(20)


def test_an_interrupted_cell_leaves_a_slow_map_alone():
    explorer = explore(RNG.normal(size=(300, 8)))
    explorer.project("tsne")
    end = time.monotonic() + 60
    while (job := explorer._lenses["left"].job) is None or not explorer._progress.get("left", {}).get("share", -1) > 0:
        assert time.monotonic() < end
        time.sleep(0.002)
    job.process.send_signal(signal.SIGINT)
    explorer.wait(120)
    assert (explorer._notice, explorer._left["map"]) == ("", "tsne")
