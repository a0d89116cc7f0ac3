"""Verdicts come from the numbers; the board comes from the files."""

import json
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from labkit import cli, papers
from labkit.claims import FAILS, HOLDS, OPEN, Claim, Evidence, Lab, board, claim, difference, verify

ROOT = Path(__file__).parents[1]


def evidence(treatment, control):
    return Evidence(treatment, control, "with", "without")


def test_verdicts_follow_the_interval_of_the_paired_difference():
    assert evidence([0.9, 0.8, 0.7], [0.5, 0.4, 0.31]).verdict == HOLDS
    assert evidence([0.5, 0.4, 0.31], [0.9, 0.8, 0.7]).verdict == FAILS
    assert evidence([0.5, 0.9], [0.6, 0.8]).verdict == OPEN
    assert evidence([0.9], [0.1]).verdict == OPEN  # one seed decides nothing
    assert evidence([0.8, 0.8], [0.7, 0.7]).verdict == HOLDS


def test_interval_is_student_s():
    a, b = [0.81, 0.84, 0.79, 0.86], [0.80, 0.79, 0.80, 0.82]
    mean, half = evidence(a, b).difference
    interval = ttest_rel(a, b).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((interval.low, interval.high))


def test_evidence_needs_pairs():
    with pytest.raises(ValueError, match="one number a seed, not 2 and 1"):
        evidence([0.1, 0.2], [0.3])
    with pytest.raises(ValueError, match="one number a seed"):
        evidence([], [])


@claim("Two is more than one.", needs="nothing", minutes=0)
def two_is_more(lab: Lab) -> Evidence:
    return evidence([2.0 for _ in lab.seeds], [1.0 for _ in lab.seeds])


def test_verify_writes_what_it_found_but_not_at_smoke_scale(tmp_path):
    assert isinstance(two_is_more, Claim)
    assert verify(two_is_more, Lab("smoke"), tmp_path)["verdict"] == "no verdict"
    assert list(tmp_path.iterdir()) == []
    record = verify(two_is_more, Lab("laptop"), tmp_path)
    assert record["verdict"] == HOLDS
    (written,) = tmp_path.iterdir()
    assert json.loads(written.read_text()) == record
    assert {"commit", "dirty", "versions", "device", "threads", "seconds", "seeds"} <= record.keys()
    with pytest.raises(ValueError, match="scale must be one of"):
        Lab("galaxy")


def test_verify_all_takes_every_paper(monkeypatch, capsys):
    """What `labkit claims verify --all` runs; test_recipes.py runs the claims of each paper at smoke scale."""
    monkeypatch.setattr(papers, "claims", lambda: {"one": [two_is_more], "other": [two_is_more]})
    assert cli.main(["claims", "verify", "--all", "--scale", "smoke"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split()[-1] for line in lines] == ["one", "other"]


def test_board_has_a_row_for_each_file(tmp_path):
    (tmp_path / "recipes").mkdir()
    verify(two_is_more, Lab("laptop"), tmp_path / "claims")
    text = board(tmp_path)
    assert "Two is more than one." in text
    assert "**holds**" in text


@pytest.mark.parametrize(
    ("unit", "shown", "arm"),
    [("accuracy", "+10.0 ± 2.5", "ours: 80.0 ± 0.0"), ("nats", "+0.1 ± 0.025 (nats)", "ours: 0.8 ± 0 (nats)")],
)
def test_the_board_shows_shares_in_percent_and_other_units_as_they_are(tmp_path, unit, shown, arm):
    @claim("It can be counted.", needs="nothing", minutes=0)
    def counted(lab):
        return Evidence([0.8, 0.8], [0.7, 0.7], "ours", "theirs", unit)

    record = verify(counted, Lab(seeds=[0, 1]), tmp_path / "claims")
    assert difference(record | {"half_width_95": 0.025}) == shown
    assert arm in board(tmp_path)


def test_the_board_agrees_with_the_results():
    assert (ROOT / "BOARD.md").read_text() == board(ROOT / "results"), "run `labkit claims board`"


def test_every_result_is_of_a_claim_or_recipe_that_exists():
    claims = {f"{paper}.{one.name}": one for paper, several in papers.claims().items() for one in several}
    for path in (ROOT / "results" / "claims").glob("*.json"):
        assert path.stem in claims, f"{path.name} belongs to no claim"
        assert json.loads(path.read_text())["sentence"] == claims[path.stem].sentence
    for path in (ROOT / "results" / "recipes").glob("*.json"):
        assert json.loads(path.read_text())["recipe"] in papers.recipes()


def test_every_paper_has_a_reference_recipes_and_claims():
    for name, module in papers.modules().items():
        assert "https://" in module.__doc__, f"{name}: no link in the docstring"
        assert isinstance(module.RECIPES, list)  # empty where nothing is trained
        assert len(papers.claims()[name]) >= 3
        for one in papers.claims()[name]:
            assert one.sentence.endswith(".")
            assert one.minutes > 0


def test_unknown_recipes_are_named_with_their_neighbours():
    with pytest.raises(ValueError, match="no recipe named 'grase/cora'; did you mean 'grace/cora'"):
        papers.recipe("grase/cora")
    assert papers.recipe("grace").name == "grace/cora"
