"""TRUST.md comes from the files that its commands wrote; every result says where it was measured."""

import json
import time
from pathlib import Path

import pytest
from trust.report import Figure, record, report

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "results").rglob("*.json"))
WHERE = {"commit": str, "versions": dict, "device": str, "threads": int, "seconds": float, "dirty": bool}
OLDER = {"big-graphs.json": {"seconds", "seeds"}}  # it has CPU seconds at each point, and one draw
VERSIONS = {"python", "labkit", "torch", "torch-geometric", "numpy", "scikit-learn"}


def figure(**changes) -> Figure:
    facts = {"name": "toy", "promise": "Right", "title": "Sums", "done": "One and one were added.", "asked": "2"}
    return Figure(**facts | {"kept": True, "counts": {"sums": 1234, "share right": 1.0}} | changes)


def test_a_figure_becomes_a_file_and_a_row(tmp_path, capsys):
    assert record(figure(), time.perf_counter(), tmp_path) == 0
    assert record(figure(name="worse", kept=False, findings=["1 + 1 = 3"]), time.perf_counter(), tmp_path) == 1
    assert "Sums: 1 234 sums, 1 share right: kept" in capsys.readouterr().out
    text = report(tmp_path)
    assert "| Sums | 1 234 sums, 1 share right | 2 | **kept** |" in text
    assert "| **broken** |" in text
    assert "- 1 + 1 = 3" in text
    assert text.count("*Not measured yet.*") == 5
    with pytest.raises(ValueError, match=r"promise must be one of Repeatable, .* not 'Cheap'"):
        figure(promise="Cheap")


def test_trust_agrees_with_the_files():
    assert (ROOT / "TRUST.md").read_text() == report(), "run `python -m tests.trust.report`"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: str(path.relative_to(ROOT / "results")))
def test_every_result_says_where_it_was_measured(path):
    facts, older = json.loads(path.read_text()), OLDER.get(path.name, set())
    for name, kind in WHERE.items():
        assert name in older or isinstance(facts[name], kind), f"{name} is {facts.get(name)!r}"
    assert facts["versions"].keys() >= VERSIONS
    assert len(facts["commit"]) == 40
    assert not facts["dirty"], "commit first, then measure"
    if path.parent.name == "trust":
        assert (ROOT / "tests" / "trust" / f"{path.stem}.py").is_file(), "the command that measured it is gone"
        assert facts["command"].startswith(f"python -m tests.trust.{path.stem}")
        return
    if path.parent.name == "bench":  # timings, which have no seeds
        return
    assert "seeds" in older or facts["seeds"]
    assert all(isinstance(seed, int) for seed in facts.get("seeds", []))
    if path.parent.name == "recipes":
        assert facts["protocol"]
        assert facts["command"].startswith(f"labkit run {facts['recipe']}")
