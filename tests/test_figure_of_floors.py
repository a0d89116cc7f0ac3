"""The picture of scores beside floors says what the numbers say."""

import pytest
from matplotlib.markers import MarkerStyle

from labkit.recipes import Result, beside_floors, recorded
from labkit.recipes._circumstances import CHECKOUT

FLOORS = {name: {"mean": mean, "std": 0.0, "over": ""} for name, mean in
          {"raw": 0.60, "untrained": 0.75, "propagated": 0.80}.items()}  # fmt: skip
PAPER = {"mean": 83.5, "std": 0.4, "where": "paper"}


def result(name: str = "mvgrl/cora", mean: float = 0.82, paper=PAPER) -> Result:
    return Result(
        recipe=name, variant="released", protocol="public 140/500/1000", protocol_name="public", seeds=[0, 1],
        scores=[mean, mean], mean=mean, std=0.01, over="2 pretrainings", floors=FLOORS, paper=paper, seconds=1.0,
        device="cpu", threads=1, versions={}, commit="", dirty=False, training={"epochs": "2"},
        command=f"labkit run {name} --seeds 2 --protocol paper --protocol public",
    )  # fmt: skip


def test_each_score_lies_as_far_from_the_best_floor_as_it_is_above_it():
    (axis,) = beside_floors([result(), result("grace/cora", mean=0.79, paper=None)]).axes
    scores = [container.lines[0].get_xydata()[0].tolist() for container in axis.containers]
    assert scores == [pytest.approx([2.0, 1]), pytest.approx([-1.0, 0])]
    marks = [tuple(points.get_offsets()[0].tolist()) for points in axis.collections if len(points.get_offsets())]
    assert (pytest.approx(-5.0), 1) in marks  # the untrained encoder
    assert (pytest.approx(-12.0), 1) in marks  # raw features, 20 points down, at the edge
    assert (pytest.approx(3.5), 1) in marks  # the paper's number
    assert (pytest.approx(3.5), 0) not in marks
    names = [tick.get_text() for tick in axis.get_yticklabels()]
    assert names == ["mvgrl/cora · public, 2 seeds", "grace/cora · public, 2 seeds"]
    assert [text.get_text() for text in axis.texts] == ["82.0 ± 1.0", "79.0 ± 1.0"]


def test_a_score_far_below_its_floors_stands_at_the_edge_in_outline():
    (axis,) = beside_floors([result(), result("node2vec/cora", mean=0.6)]).axes
    (far,) = (line for line in axis.lines if line.get_markerfacecolor() == "white")
    assert far.get_xydata().tolist() == [[-12.0, 0.0]]
    assert len(axis.containers) == 1
    assert axis.texts[1].get_text() == "60.0 ± 1.0"


def test_results_come_back_as_they_were_saved(tmp_path):
    for name in ("grace/cora", "mvgrl/cora"):
        result(name).save(tmp_path / f"{name.replace('/', '-')}.json")
    assert recorded(folder=tmp_path) == [result("grace/cora"), result("mvgrl/cora")]
    assert [one.recipe for one in recorded({"mvgrl"}, tmp_path)] == ["mvgrl/cora"]
    with pytest.raises(ValueError, match="holds no result of bandana"):
        recorded({"bandana"}, tmp_path)
    with pytest.raises(ValueError, match="results is empty"):
        beside_floors([])


def test_every_result_of_the_checkout_is_read_older_ones_too():
    files = list((CHECKOUT / "results" / "recipes").glob("*.json"))
    assert len(recorded()) == len(files) > 100


def test_a_paper_s_number_far_below_the_floors_stands_at_the_edge_too():
    for mean, place, path in ((70.0, -10.0, "x"), (50.0, -12.0, "<")):
        (axis,) = beside_floors([result(paper=PAPER | {"mean": mean})]).axes
        (paper,) = (
            points for points in axis.collections if points.get_zorder() in (3, 5) and len(points.get_offsets())
        )
        assert paper.get_offsets().tolist() == [[pytest.approx(place), 0.0]]
        assert axis.get_xlim()[0] < place
        marker = MarkerStyle(path)
        expected = marker.get_path().transformed(marker.get_transform()).vertices
        assert paper.get_paths()[0].vertices.tolist() == expected.tolist()
