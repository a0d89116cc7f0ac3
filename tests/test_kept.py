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


@pytest.mark.parametrize("changes", [{"seeds": [0]}, {"data": "citeseer"}, {"epochs": 20}, {"changes": {"lr": 1}}])
def test_parts_under_other_settings_do_not_count(path, changes):
    assert kept(path, **changes).found == {}


def test_parts_of_another_commit_do_not_count(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": "another"}))
    assert kept(path).found == {}


def test_a_file_says_where_and_how_it_was_measured(path):
    facts = json.loads(path.read_text())
    assert {"data", "seeds", "device", "versions", "commit", "seconds"} <= facts.keys()


def test_seconds_add_up_over_interruptions(path):
    before = json.loads(path.read_text())["seconds"]
    again = kept(path)
    again.write()
    assert json.loads(path.read_text())["seconds"] > before


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept(None).write()
    assert not list(tmp_path.iterdir())


def test_measured_reads_the_checkout_and_is_empty_where_nothing_was_run():
    gains = measured("graphcl-gains-mutag.json", "gains")
    assert len(gains) == 15
    assert all(len(values) == 5 for values in gains.values())
    assert measured("never-run.json", "gains") == {}
