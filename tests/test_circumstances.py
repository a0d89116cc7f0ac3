"""What a result says of the code that gave it."""

import subprocess

import pytest

from labkit import recipes
from labkit.recipes import _circumstances
from labkit.recipes._circumstances import code


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of its own that holds a labkit of one committed file."""
    (tmp_path / "labkit").mkdir()
    (tmp_path / "labkit" / "losses.py").write_text("temperature = 1\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        git(tmp_path, *words)
    monkeypatch.setattr(_circumstances, "CHECKOUT", tmp_path)
    return tmp_path


def git(folder, *words):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True)


def test_every_change_of_the_code_gives_another_number(checkout):
    seen = [code()]
    assert seen[0]["commit"] != "unknown"
    assert code() == seen[0]
    for name, text in (("losses.py", "temperature = 2\n"), ("losses.py", "temperature = 3\n"),
                       ("new.py", "a = 1\n"), ("new.py", "a = 2\n"), ("größe.py", "a = 'π'\n")):  # fmt: skip
        (checkout / "labkit" / name).write_text(text, encoding="utf-8")
        assert code() not in seen
        seen.append(code())
    (checkout / "labkit" / "ü.bin").write_bytes(b"\xff\xfe")
    (checkout / "labkit" / "gone").symlink_to("nowhere")
    assert code() not in seen


def test_the_commit_of_another_repository_is_none_of_ours(checkout, monkeypatch):
    assert recipes.circumstances()["commit"] == code()["commit"]
    (checkout / "labkit" / "losses.py").write_text("temperature = 2\n")
    assert recipes.circumstances()["dirty"]
    installed = checkout / "venv" / "site-packages"
    installed.mkdir(parents=True)
    monkeypatch.setattr(_circumstances, "CHECKOUT", installed)
    assert (recipes.circumstances()["commit"], recipes.circumstances()["dirty"]) == ("unknown", False)
    assert code() == {"commit": "unknown", "uncommitted code": 0}


def test_without_git_the_commit_is_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert recipes.circumstances()["commit"] == "unknown"
