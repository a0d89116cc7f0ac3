"""The Explorer along a run: every number is of the epoch that is shown."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from explorers import Z, in_browser

from labkit.explore import explore

RNG = np.random.default_rng(0)


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


def test_the_loss_beside_the_time_ends_with_the_last_snapshot():
    run = SimpleNamespace(snapshots={0: Z, 2: 2 * Z}, history={"loss": [3.0, 2.0, 1.0, 0.5]}, events=[])
    assert explore(run=run)._data["timeline"]["loss"] == [[1, 3.0], [2, 2.0]]
