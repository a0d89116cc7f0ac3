"""`labkit run --json`: the result is on the disk under its own name, whatever becomes of what is printed."""

import errno
import io
import json
import os
import sys
from dataclasses import replace

import pytest
from test_recipes import small_recipe, two_groups

from labkit import cli, papers
from labkit.evaluate import Protocol
from labkit.recipes import Result, _run


@pytest.fixture
def run(monkeypatch, tmp_path):
    """`labkit run small ...` of a recipe with two protocols, in an empty folder."""
    protocols = {"linear": Protocol.random(0.3, 0.2, 0.5), "knn": Protocol.random(0.3, 0.2, 0.5, probe="knn", k=3)}
    monkeypatch.setattr(papers, "recipe", lambda name: replace(small_recipe(), protocols=protocols))
    monkeypatch.setattr(_run, "load", lambda name: two_groups())
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: cli.main(["run", "small", "--epochs", "1", *arguments])


def saved(folder):
    return {path.name: json.loads(path.read_text())["protocol_name"] for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("asked", "files"),
    [
        ([], {"x.json": "linear"}),
        (["knn"], {"x.json": "knn"}),
        (["knn", "knn"], {"x.json": "knn"}),
        (["linear", "linear", "knn"], {"x.linear.json": "linear", "x.knn.json": "knn"}),
        (["knn", "linear"], {"x.linear.json": "linear", "x.knn.json": "knn"}),
    ],
)
def test_a_result_is_saved_under_its_own_protocol_s_name(run, tmp_path, asked, files):
    named = [word for name in asked for word in ("--protocol", name)]
    assert run("--seeds", "1", *named, "--json", "x.json") == 0
    assert saved(tmp_path) == files


def test_what_is_no_result_is_not_written_over(run, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("my notes")
    assert run("--seeds", "1", "--json", "notes.txt") == 2
    assert "notes.txt is there and holds no result of a recipe" in capsys.readouterr().err
    assert (tmp_path / "notes.txt").read_text() == "my notes"
    os.mkfifo(tmp_path / "pipe")
    assert run("--seeds", "1", "--json", "pipe") == 2
    assert run("--seeds", "1", "--json", "x.json") == run("--seeds", "2", "--json", "x.json") == 0


def test_a_run_that_writes_a_file_goes_on_when_nobody_reads_what_it_prints(run, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as nobody:
        monkeypatch.setattr(sys, "stdout", nobody)
        assert run("--seeds", "3", "--json", "x.json") == 0
    assert json.loads((tmp_path / "x.json").read_text())["seeds"] == [0, 1, 2]


def test_a_terminal_that_lacks_letters_costs_no_result(run, tmp_path, monkeypatch):
    printed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", printed)
    assert run("--seeds", "2", "--json", "x.json") == 0
    printed.flush()
    assert b" ? " in printed.buffer.getvalue()  # where there was \xc2\xb1
    assert saved(tmp_path) == {"x.json": "linear"}


def test_a_terminal_that_lacks_letters_shows_the_help(monkeypatch):
    printed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", printed)
    with pytest.raises(SystemExit, match="0"):
        cli.main(["run", "--help"])
    printed.flush()
    assert b"A?X" in printed.buffer.getvalue()


def test_a_result_is_saved_before_it_is_printed(run, tmp_path, monkeypatch):
    def say(text):
        assert str(text).startswith("seed ") or (tmp_path / "x.json").exists()

    monkeypatch.setattr(cli, "_say", say)
    assert run("--seeds", "1", "--json", "x.json") == 0


def test_a_result_that_can_not_be_saved_is_printed_all_the_same(run, tmp_path, monkeypatch, capsys):
    def full(self, path):
        raise OSError(errno.ENOSPC, f"{path} was not written (No space left on device)")

    monkeypatch.setattr(Result, "save", full)
    assert run("--seeds", "1", "--json", "x.json") != 0
    told = capsys.readouterr()
    assert "floor, raw" in told.out
    assert "No space left on device" in told.err
    assert (tmp_path / "x.json.part").exists()  # the trainings, for the same command again
