import json

import pytest

from labkit.recipes import Kept, measured


def kept(path, **changes):
    return Kept(path, "accuracy", **{"data": "cora", "seeds": [0, 1]} | changes)


@pytest.fixture
def path(tmp_path):
    first = kept(tmp_path / "one.json")
    first.found["0.1"] = [0.7, 0.8]
    first.write()
    return tmp_path / "one.json"


def test_parts_of_the_same_measurement_are_not_done_again(path):
    assert kept(path).found == {"0.1": [0.7, 0.8]}


OTHERS = [
    {"seeds": [0]},
    {"data": "citeseer"},
    {"commit": "another"},
    {"uncommitted code": 7},
    {"device": "NVIDIA H100"},
    {"versions": {"torch": "1.0"}},
    {"precision": "of another processor"},
]


@pytest.mark.parametrize("changes", OTHERS, ids=lambda changes: next(iter(changes)))
def test_parts_of_another_measurement_do_not_count_and_are_not_lost(path, changes):
    """Hours of them may be of the commit before."""
    before = json.dumps(json.loads(path.read_text()) | changes)
    for aside in ("one.json.before", "one.json.before-2"):
        path.write_text(before)
        with pytest.warns(
            UserWarning, match=rf"with another {next(iter(changes))}: nothing .* moves to one\.json\.before"
        ):
            again = kept(path)
        assert again.found == {}
        assert path.read_text() == before  # until there is something to write
        again.found["0.2"] = [0.9, 0.9]
        again.write()
        again.write()
        assert json.loads(path.read_text())["accuracy"] == {"0.2": [0.9, 0.9]}
        assert path.with_name(aside).read_text() == before
    assert len(list(path.parent.iterdir())) == 3


@pytest.mark.parametrize("changes", [{"epochs": 20}, {"changes": {"lr": 1}}])
def test_a_setting_that_the_file_does_not_know_is_another(path, changes):
    with pytest.warns(UserWarning, match=f"with another {next(iter(changes))}"):
        assert kept(path, **changes).found == {}


@pytest.mark.parametrize("text", ['{"data": ', "[]", '{"gains": {}}', '{"accuracy": 1}'])
def test_a_file_of_something_else_is_named_and_stays(path, text):
    path.write_text(text)
    with pytest.raises(ValueError, match=r"one\.json is not what an interrupted measurement of accuracy leaves"):
        kept(path)
    assert path.read_text() == text


def test_a_file_says_where_and_how_it_was_measured(path):
    facts = json.loads(path.read_text())
    assert {"data", "seeds", "device", "precision", "versions", "commit", "seconds"} <= facts.keys()


def test_seconds_add_up_over_interruptions(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 1000.0}))
    again = kept(path)
    again.write()
    assert 1000 < json.loads(path.read_text())["seconds"] < 1100


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept(None).write()
    assert not list(tmp_path.iterdir())


def test_measured_reads_the_checkout_and_is_empty_where_nothing_was_run():
    gains = measured("graphcl-gains-mutag.json", "gains")
    assert len(gains) == 15
    assert all(len(values) == 5 for values in gains.values())
    assert measured("never-run.json", "gains") == {}
