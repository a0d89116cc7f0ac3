"""A newcomer's first hour: run the first notebook, select something; change one number in the next and look."""

import json
from pathlib import Path

import pytest

from labkit import data

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SMOKE = "import os\nos.environ['LABKIT_SCALE'] = 'smoke'\n"

pytestmark = pytest.mark.browser


def copy(tmp_path, name, **replaced):
    """A notebook at smoke scale, with some of its text replaced, as a user would edit it."""
    notebook = json.loads((NOTEBOOKS / name).read_text())
    first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    source = "".join(first["source"])
    for old, new in replaced.items():
        assert old in source
        source = source.replace(old, new)
    first["source"] = SMOKE + source
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    path = tmp_path / Path(name).name
    path.write_text(json.dumps(notebook))
    return path


def find(lab, text):
    """The code cell that holds ``text``."""
    sources = lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.content.widgets"
        ".map(w => [w.model.type, w.model.sharedModel.source])"
    )
    return next(k for k, (kind, source) in enumerate(sources) if kind == "code" and text in source)


def errors(lab):
    outputs = [output for cell in range(lab.cells()) for output in lab.outputs(cell)]
    return [output for output in outputs if output["output_type"] == "error"]


def test_start_here_runs_and_the_selection_comes_back(lab, tmp_path):
    lab.open(copy(tmp_path, "0_start_here.ipynb"))
    lab.run_all()
    assert not errors(lab)
    lab.page.evaluate(
        "i => window.jupyterapp.shell.currentWidget.content.scrollToItem(i)", find(lab, "explore.explore(")
    )
    canvas = lab.drawn()
    assert lab.painted() > 0.01
    box = canvas.bounding_box()
    wide, high = box["width"], box["height"]
    lab.lasso([(5, 5), (wide - 5, 5), (wide - 5, high - 5), (5, high - 5), (5, 5)])
    lab.until("len(explorer.selection) > 100")
    cell = find(lab, "rows = explorer.selection")
    lab.run(cell)
    assert "selected; classes:" in lab.outputs(cell)[0]["text"]
    assert not lab.page.get_by_text("Jupyter news").count(), "a question covers the corner"
    assert not [output for cell in range(lab.cells()) for output in lab.outputs(cell) if output.get("name") == "stderr"]
    assert not lab.outputs(cell)[0]["text"].startswith("0 selected")
    assert lab.external == []
    assert lab.errors == []


def test_changing_the_temperature_changes_the_run(lab, tmp_path):
    if not data.available("nuisance-mnist"):
        pytest.skip("nuisance-mnist not found; set LABKIT_DATA")
    said = []
    for temperature in ("0.2", "1.0"):
        name = "2_contrastive_vision/1_simclr.ipynb"
        lab.open(copy(tmp_path, name, **{"TEMPERATURE = 0.2": f"TEMPERATURE = {temperature}"}))
        lab.run_all()
        assert not errors(lab)
        said.append(lab.python("[run.history['loss'][-1], accuracy[-1]]"))
    assert said[0] != said[1]
    assert lab.external == []
