"""A full disk, a read-only folder, no home: one clear sentence, and nothing half-written that looks good.

Those of the network stand in tests/data/test_store.py; `python -m tests.trust.misfortunes` counts all of them.
"""

import os
import resource
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from data.test_store import CONTENT, Server, entry_of
from test_recipes import small_recipe, two_groups

from labkit import cli, data, explore, papers, recipes
from labkit.claims import Evidence, Lab, claim, verify
from labkit.data import _store
from labkit.methods import Method
from labkit.train import Run

NOBODY = 65534


@contextmanager
def full_disk(_=None):
    """The kernel lets no file of this process grow beyond 100 bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path):
    """Nothing can be written to a folder; root, whom no permission binds, is somebody else in the meantime."""
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.setresuid(NOBODY, NOBODY, 0)  # the way back stays open
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)


@pytest.fixture
def folder():
    """A folder that everybody can reach, unlike pytest's own."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


class Nothing(Method):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(100))


@claim("One is more than none.", needs="nothing", minutes=0)
def one_is_more(lab: Lab) -> Evidence:
    return Evidence([1.0] * len(lab.seeds), [0.0] * len(lab.seeds), "one", "none")


@cache
def explorer():
    return explore.explore(np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)).wait()


def verified(path: Path) -> None:
    """What a claim's record says in a warning, since the minutes of its test are not to be lost."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            verify(one_is_more, Lab(), path.parent)
        except UserWarning as warning:
            raise OSError(str(warning)) from warning


WRITERS = {
    "graph.npz": lambda path: data.save_graph(two_groups(), path),
    "graph.safetensors": lambda path: data.save_graph(two_groups(), path),
    "run.safetensors": lambda path: Run(Nothing()).save(path),
    f"{one_is_more.paper}.one_is_more.json": verified,
    "map.png": lambda path: explorer().save(path),
    "map.svg": lambda path: explorer().save(path),
    "map.html": lambda path: explorer().to_html(path),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("misfortune", "reason"),
    [(full_disk, "File too large"), (read_only, "Permission denied")],
    ids=["full", "read-only"],
)
@pytest.mark.misfortune("full disk or read-only folder")
def test_what_cannot_be_written_leaves_what_was_there(name, misfortune, reason, folder):
    path = folder / name
    WRITERS[name](path)
    path.write_bytes(b"older, and good")
    sentence = rf"{name} was not written \({reason}\); what was there before"
    with misfortune(folder), pytest.raises(OSError, match=sentence):
        WRITERS[name](path)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == {name: b"older, and good"}


@pytest.mark.misfortune("full disk or read-only folder")
def test_a_sweep_goes_on_when_its_seeds_cannot_be_kept(tmp_path):
    with full_disk(), pytest.warns(UserWarning, match="was not written .* the sweep goes on"):
        result = recipes.run(small_recipe(), 2, dataset=two_groups(), progress=False, keep=tmp_path / "part")
    assert result.scores == recipes.run(small_recipe(), 2, dataset=two_groups(), progress=False).scores
    assert list(tmp_path.iterdir()) == []
    with full_disk(), pytest.raises(OSError, match="was not written"):
        result.save(tmp_path / "result.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.misfortune("full disk or read-only folder")
def test_a_result_that_could_not_be_kept_is_refused_before_training(folder, capsys):
    papers.recipe("grace")  # somebody else may not be let in to what is imported late
    with read_only(folder):
        assert cli.main(["run", "grace", "--json", str(folder / "result.json")]) == 2
    out, err = capsys.readouterr()
    assert err == f"labkit: --json: nothing can be written to {folder}; choose another folder\n"
    assert out == ""


@pytest.mark.parametrize(("misfortune", "reason"), [(full_disk, "File too large"), (read_only, "Permission denied")])
@pytest.mark.misfortune("full disk or read-only folder")
def test_a_download_that_cannot_be_kept(misfortune, reason, folder, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", "")
    monkeypatch.setattr(_store, "_own_folders", lambda: [folder])
    sentence = rf"'toy' could not be written to .*{reason}"
    with Server(CONTENT) as server, misfortune(folder), pytest.raises(OSError, match=sentence):
        _store.read_bytes(entry_of(server.url), entry_of(server.url).files[0])
    assert [one for one in folder.rglob("*") if one.is_file()] == []


@pytest.mark.misfortune("no home directory")
def test_without_a_home_nothing_is_left_in_the_current_folder(tmp_path, monkeypatch):
    def nobody(_):
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LABKIT_DATA", "~/data")
    monkeypatch.setattr(_store, "CHECKOUT", tmp_path)
    monkeypatch.chdir(tmp_path)
    with Server(CONTENT) as server, pytest.raises(FileNotFoundError, match=r"'toy' needs .* no home directory to keep"):
        _store.read_bytes(entry_of(server.url), entry_of(server.url).files[0])
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Server(CONTENT) as server:
        assert _store.read_bytes(entry_of(server.url), entry_of(server.url).files[0]) == CONTENT


@pytest.mark.misfortune("no home directory")
def test_the_command_line_works_without_a_home(monkeypatch, capsys):
    monkeypatch.setenv("HOME", "/nowhere/at/all")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cli.main(["data", "list"]) == 0
    assert "karate" in capsys.readouterr().out
