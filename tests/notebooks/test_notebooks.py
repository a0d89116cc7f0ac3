"""Notebooks: built from their sources, small, without widget state, and every one runs top to bottom."""

import base64
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit import data

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("build", ROOT / "notebooks" / "src" / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)

SOURCES = build.sources()
NEEDS = {
    "1_grace": "cora",
    "2_masking": "cora",
    "3_walks": "cora",
    "4_whole_graphs": "proteins",
    "5_pretexts": "cora",
    "1_simclr": "nuisance-mnist",
}


def ids(source):
    return str(source.relative_to(build.SOURCES).with_suffix(""))


def committed(source):
    return json.loads(build.target(source).read_text())


def text(cell):
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def without_measurement(source):
    return [line.split(build.BANNER)[0] for line in source.splitlines()]


def test_every_notebook_has_a_source_and_the_other_way_round():
    built = {path for path in build.NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert built == {build.target(source) for source in SOURCES}
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_cells_equal_the_source(source):
    """`make notebooks` was run after the last edit."""
    expected, found = build.read(source).cells, committed(source)["cells"]
    assert [cell.cell_type for cell in expected] == [cell["cell_type"] for cell in found]
    for one, other in zip(expected, found, strict=True):
        assert without_measurement(one.source) == without_measurement(text(other))


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_outputs_are_static_and_small(source):
    path, notebook = build.target(source), committed(source)
    assert path.stat().st_size <= build.LARGEST_NOTEBOOK
    assert "widgets" not in notebook["metadata"]
    pictures = 0
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            assert output["output_type"] != "error"
            kinds = output.get("data", {})
            assert set(kinds) <= build.KEPT
            if "image/png" in kinds:
                pictures += 1
                assert len(base64.b64decode(kinds["image/png"])) <= build.LARGEST_PNG
    assert pictures >= 2, "a reader without a kernel sees too little"
    assert build.BANNER in text(notebook["cells"][0]) + text(notebook["cells"][1])
    assert "Last build:" in text(notebook["cells"][0]) + text(notebook["cells"][1])


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_runs_top_to_bottom_at_smoke_scale(source, tmp_path):
    needs = NEEDS.get(source.stem)
    if needs and not data.available(needs):
        pytest.skip(f"{needs} not found; set LABKIT_DATA")
    done = subprocess.run(
        [sys.executable, build.__file__, ids(source), "--scale", "smoke", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path), "IPYTHONDIR": str(tmp_path), "LABKIT_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert build.target(source, tmp_path).is_file()
