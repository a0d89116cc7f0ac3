"""CONTRIBUTING.md: its template is a paper that runs."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from labkit import data
from labkit.claims import Claim, Lab, verify
from labkit.recipes import run

PAGE = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


@pytest.mark.skipif(not data.available("nuisance-mnist"), reason="MNIST not found; set LABKIT_DATA")
def test_the_template_runs(monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    paper = ModuleType("labkit.papers.vision.my_paper")
    monkeypatch.setitem(sys.modules, paper.__name__, paper)
    exec(compile(code, "CONTRIBUTING.md", "exec"), vars(paper))
    (recipe,) = paper.RECIPES
    small = {"device": "cpu", "progress": False, **recipe.smoke}
    found = run(recipe, [0], dataset=data.load(recipe.data, **recipe.smoke_load), **small)
    assert 0 <= found.mean <= 1
    assert f"results/recipes/{recipe.name.replace('/', '-')}.{found.protocol_name}.json" in PAGE
    assert set(found.floors) == {"raw", "untrained"}
    lab = Lab("smoke", device="cpu", progress=False)
    verdicts = [verify(one, lab) for one in vars(paper).values() if isinstance(one, Claim)]
    assert [one["claim"] for one in verdicts] == ["beats_raw_pixels", "ingredient_helps"]
    assert {one["paper"] for one in verdicts} == {"my_paper"}


def test_the_template_passes_the_linter(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "my_paper.py"
    file.write_text(code)
    settings = ["--config", str(Path(__file__).parents[2] / "pyproject.toml"), "--no-cache"]
    for command in (["check", *settings], ["format", "--check", *settings]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_fits_on_a_screen():
    assert len(PAGE.splitlines()) <= 75
