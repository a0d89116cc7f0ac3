"""Verdicts come from the numbers; the board comes from the files."""

import dataclasses
import json
import math
import re
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import ttest_rel

from labkit import claims, cli, papers, recipes
from labkit._board import THEMES, board
from labkit.claims import FAILS, HOLDS, OPEN, Claim, Evidence, Lab, arm, claim, difference, minutes, show, verify
from labkit.recipes._recipe import printed

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "results" / "recipes").glob("*.json"))


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
    assert {"commit", "dirty", "versions", "device", "precision", "threads", "seconds", "seeds"} <= record.keys()
    with pytest.raises(ValueError, match="scale must be one of"):
        Lab("galaxy")


def test_a_number_that_is_none_gives_no_verdict():
    with pytest.raises(ValueError, match=r"treatment \(with\) is nan for seed number 1, counted from 0"):
        evidence([0.9, math.nan, 0.9], [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"control \(without\) is inf for seed number 0"):
        evidence([0.9, 0.9], [math.inf, 0.5])


def test_a_record_of_more_seeds_stays(tmp_path):
    verify(two_is_more, Lab(seeds=[0, 1, 2]), tmp_path)
    (written,) = tmp_path.iterdir()
    with pytest.warns(
        UserWarning, match=r"two_is_more\.json holds 3 seeds and stays; delete it to write 1 in its place"
    ):
        assert verify(two_is_more, Lab(seeds=[0]), tmp_path)["seeds"] == [0]
    assert json.loads(written.read_text())["seeds"] == [0, 1, 2]
    verify(two_is_more, Lab(seeds=[3, 4, 5]), tmp_path)  # as many
    assert json.loads(written.read_text())["seeds"] == [3, 4, 5]
    written.write_text('{"seeds": ')
    verify(two_is_more, Lab(seeds=[0]), tmp_path)
    assert json.loads(written.read_text())["seeds"] == [0]


def test_a_record_that_cannot_be_written_is_returned(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is no folder"):
        verify(two_is_more, Lab("laptop"), tmp_path / "file")

    def full(*_):
        raise OSError(28, "the disk is full")

    monkeypatch.setattr(claims, "write_json", full)
    with pytest.warns(UserWarning, match="the disk is full; the record is returned all the same"):
        assert verify(two_is_more, Lab("laptop"), tmp_path)["verdict"] == HOLDS


def test_a_record_is_of_the_code_that_its_test_started_with(monkeypatch):
    now, real = {"commit": "before"}, recipes.circumstances
    monkeypatch.setattr(recipes, "circumstances", lambda device: real(device) | now)
    late = dataclasses.replace(two_is_more, test=lambda lab: now.update(commit="after") or evidence([1], [0]))
    assert verify(late, Lab("smoke"))["commit"] == "before"


def test_verify_all_takes_every_paper(monkeypatch, capsys):
    """What `labkit claims verify --all` runs; test_recipes.py runs the claims of each paper at smoke scale."""
    monkeypatch.setattr(papers, "claims", lambda: {"one": [two_is_more], "other": [two_is_more]})
    assert cli.main(["claims", "verify", "--all", "--scale", "smoke"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0].split()[-1] for line in lines] == ["one", "other"]


def test_some_claims_of_every_paper_are_looked_for_before_any_is_tested(monkeypatch, capsys):
    third = dataclasses.replace(two_is_more, name="third")
    monkeypatch.setattr(papers, "claims", lambda: {"one": [two_is_more], "other": [two_is_more, third]})
    every = ["claims", "verify", "--all", "--scale", "smoke", "--only"]
    assert cli.main([*every, "third"]) == 0
    assert capsys.readouterr().out.count("other: ") == 1
    assert cli.main([*every, "two_is_more", "fourth"]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert "no claim of any paper named 'fourth'" in found.err


def test_several_claims_are_chosen_by_name_and_share_a_lab(monkeypatch, capsys):
    labs = []

    def named(name):
        one = claim("It is counted.", needs="nothing", minutes=0)(lambda lab: labs.append(lab) or evidence([1], [0]))
        return dataclasses.replace(one, name=name)

    monkeypatch.setattr(papers, "claims", lambda: {"paper": [named(name) for name in ("one", "two", "three")]})
    assert cli.main(["claims", "verify", "paper", "--scale", "smoke", "--only", "three", "one"]) == 0
    assert len(labs) == 2
    assert labs[0] is labs[1]
    assert cli.main(["claims", "verify", "paper", "--scale", "smoke", "--only", "one", "tow"]) == 2
    assert len(labs) == 2  # refused before any work
    assert "no claim of paper named 'tow'; did you mean 'two'" in capsys.readouterr().err


@pytest.fixture
def one_paper(monkeypatch):
    """The suite holds one paper of two claims, and this file's claim is one of them."""
    paper = ModuleType("labkit.papers.graph.test_claims")
    paper.__doc__ = (
        "Two: On Being More\nThan One.\n\nA. Body. 2020.\nhttps://example.org/two · code: https://example.org"
    )
    paper.two_is_more, paper.RECIPES = two_is_more, []

    @claim("Nobody has looked.", needs="nothing", minutes=0)
    def nobody_looked(lab):
        raise NotImplementedError

    paper.nobody_looked = nobody_looked
    monkeypatch.setattr(papers, "modules", lambda: {"test_claims": paper})
    return paper


def test_the_board_has_a_heading_a_paper_and_a_row_a_claim(tmp_path, one_paper):
    record = verify(two_is_more, Lab("laptop"), tmp_path / "claims")
    text = board(tmp_path)
    assert "\n### [Two: On Being More Than One](https://example.org/two)\n" in text
    assert "`labkit claims verify test_claims`: 1 × holds, 1 × not run." in text
    seconds = f"{record['seconds']:.0f}"
    ours = "with: 200.0 ± 0.0<br>without: 100.0 ± 0.0"
    apart = "+100.0 ± 0.0<br>the same for every seed"
    row = f"| Two is more than one. | **holds** | {ours} | {apart} | – | 5 | {seconds} | `--only two_is_more` |"
    assert row.replace(" ± ", "\u00a0±\u00a0") in text.splitlines()  # a number stays on one line with its spread
    assert "Not run: `nobody_looked`." in text
    assert "| [graph](#graph) | 1 | 2 | 1 | 0 | 0 | 1 | 0 |" in text
    assert "| all | 1 | 2 | 1 | 0 | 0 | 1 | 0 |" in text


def test_a_row_says_what_the_paper_reports_and_how_to_run_it_again(tmp_path, one_paper):
    verify(two_is_more, Lab(seeds=[0, 1, 2]), tmp_path / "claims")
    assert board(tmp_path).count("| – | 3 |") == 1
    assert "| `--only two_is_more --seeds 3` |" in board(tmp_path)
    one_paper.two_is_more = dataclasses.replace(two_is_more, sentence="Two is more than one (ours).")
    assert board(tmp_path).count("| ours | 3 |") == 1
    one_paper.two_is_more = dataclasses.replace(two_is_more, reported="2|1, table 3")
    assert board(tmp_path).count(r"| 2\|1, table 3 | 3 |") == 1  # a bar of its own would open a column


def test_a_recipe_that_was_measured_under_two_protocols_counts_once(tmp_path, one_paper):
    record = {"recipe": "test_claims/toy", "command": "labkit run", "mean": 0.5, "std": 0.1, "over": "3 pretrainings"}
    record |= {"floors": {}, "paper": None, "seconds": 1.0}
    (tmp_path / "recipes").mkdir()
    for protocol in ("public", "paper"):
        (tmp_path / "recipes" / f"toy.{protocol}.json").write_text(json.dumps(record | {"protocol": protocol}))
    assert "| all | 1 | 2 | 0 | 0 | 0 | 2 | 1 |" in board(tmp_path)


def test_a_guess_at_the_reason_is_shown_where_a_claim_does_not_hold(tmp_path, one_paper):
    for name, values in (("holds", [1.0, 1.1]), ("fails", [-1.0, -1.1])):
        one = claim("It is more than zero.", needs="nothing", minutes=0, why_not="it may be less.")(
            lambda lab, values=values: Evidence(values, [0.0, 0.0], "it", "zero")
        )
        one = dataclasses.replace(one, name=name)
        setattr(one_paper, name, one)
        verify(one, Lab(seeds=[0, 1]), tmp_path / "claims")
    shown = {row.split("`")[1]: "<br>*Perhaps: it may be less.*" in row for row in board(tmp_path).splitlines()
             if "It is more than zero." in row}  # fmt: skip
    assert shown == {"--only holds --seeds 2": False, "--only fails --seeds 2": True}


def test_a_result_of_no_claim_has_no_place_on_the_board(tmp_path, one_paper):
    verify(two_is_more, Lab(seeds=[0, 1]), tmp_path / "claims")
    del one_paper.two_is_more
    with pytest.raises(ValueError, match=r"test_claims\.two_is_more\.json: test_claims has no claim 'two_is_more'"):
        board(tmp_path)


@pytest.mark.parametrize(
    ("unit", "shown", "ours"),
    [
        *((unit, "+10.0 ± 2.5", "ours: 80.0 ± 0.0") for unit in ("accuracy", "AUC", "F1", "share of pairs")),
        ("nats", "+0.1 ± 0.025 (nats)", "ours: 0.8 ± 0 (nats)"),
    ],
)
def test_shares_are_shown_in_percent_and_other_units_as_they_are(unit, shown, ours):
    @claim("It can be counted.", needs="nothing", minutes=0)
    def counted(lab):
        return Evidence([0.8, 0.8], [0.7, 0.7], "ours", "theirs", unit)

    record = verify(counted, Lab(seeds=[0, 1]))
    assert difference(record | {"half_width_95": 0.025}) == shown
    assert difference(record | {"half_width_95": None}) == re.sub(r" ± [\d.]+", "", shown)  # of one seed
    assert arm(record, "treatment") == ours


def test_the_list_says_how_long_a_claim_took_or_what_was_guessed(tmp_path):
    one = dataclasses.replace(two_is_more, minutes=3)
    assert minutes(one, tmp_path) == "about 3 min"
    record = verify(one, Lab(seeds=[0, 1]), tmp_path)
    (file,) = tmp_path.iterdir()
    for seconds, said in (
        (12.0, "30 s as measured"),
        (240.0, "10 min as measured"),
    ):  # of two seeds; the scale has five
        file.write_text(json.dumps(record | {"seconds": seconds}))
        assert minutes(one, tmp_path) == said


def test_every_theme_has_its_section():
    assert set(THEMES) == {module.__name__.split(".")[-2] for module in papers.modules().values()}


def test_the_board_agrees_with_the_results():
    assert (ROOT / "BOARD.md").read_text() == board(ROOT / "results"), "run `labkit claims board`"


def test_every_result_is_of_a_claim_or_recipe_that_exists():
    claims = {f"{paper}.{one.name}": one for paper, several in papers.claims().items() for one in several}
    for path in (ROOT / "results" / "claims").glob("*.json"):
        assert path.stem in claims, f"{path.name} belongs to no claim"
        assert json.loads(path.read_text())["sentence"] == claims[path.stem].sentence
    for path in (ROOT / "results" / "recipes").glob("*.json"):
        assert json.loads(path.read_text())["recipe"] in papers.recipes()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_result_is_of_its_recipe_as_it_is_now(path):
    record = json.loads(path.read_text())
    recipe, name = papers.recipe(record["recipe"]), record["protocol_name"]
    assert record["variant"] == recipe.variant
    assert record["training"] == printed(recipe.training), "run it again"
    assert record.get("batch_size", recipe.batch_size) == recipe.batch_size, "run it again"
    assert record["protocol"].endswith(str(recipe.protocols[name]).split(", ", 1)[1]), "score it again"
    paper = dataclasses.asdict(recipe.paper[name]) if name in recipe.paper else None
    assert record["paper"] == paper, "its paper's number is another"


def test_every_paper_has_a_reference_recipes_and_claims():
    for name, module in papers.modules().items():
        assert "https://" in module.__doc__, f"{name}: no link in the docstring"
        assert isinstance(module.RECIPES, list)  # empty where nothing is trained
        assert len(papers.claims()[name]) >= 2
        for one in papers.claims()[name]:
            assert one.sentence.endswith(".")
            assert one.minutes > 0


def test_unknown_recipes_are_named_with_their_neighbours():
    with pytest.raises(ValueError, match="no recipe named 'grase/cora'; did you mean 'grace/cora'"):
        papers.recipe("grase/cora")
    assert papers.recipe("grace").name == "grace/cora"


def test_a_line_ends_neither_before_a_spread_nor_before_the_number_of_seeds(tmp_path, capsys):
    verify(two_is_more, Lab(seeds=[0, 1, 2]), tmp_path / "claims")
    (file,) = (tmp_path / "claims").iterdir()
    record, seen = json.loads(file.read_text()), set()
    for length in range(1, 30):
        file.write_text(json.dumps(record | {"control_name": "without " + length * "y"}))
        show("test_claims", tmp_path)
        last = capsys.readouterr().out.split("\n\n")[0].splitlines()[-1].strip()
        assert "±" in last or last.endswith("seeds:\u00a03"), last
        assert not last.startswith("±"), last
        seen.add(last[:1])
    assert len(seen) > 1, "lines ended at several places"


def test_some_claims_are_shown_by_name_and_one_that_was_not_tested_says_so(tmp_path, capsys):
    verify(two_is_more, Lab(seeds=[0, 1]), tmp_path / "claims")
    show("test_claims", tmp_path, only=["two_is_more", "nobody_looked"])
    out = capsys.readouterr().out
    assert "Two is more than one." in out
    assert "test_claims.nobody_looked was not tested yet; run: labkit claims verify test_claims" in out
    show("test_claims", tmp_path / "elsewhere")
    assert "no claim of test_claims was tested yet" in capsys.readouterr().out
