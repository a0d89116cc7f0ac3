"""The exercise track: the notebooks without their answers, and with them.

    python notebooks/src/exercises.py student            build/student/<theme>/NN_name.ipynb, nothing executed
    python notebooks/src/exercises.py solutions          build/solutions/..., as committed, solutions unfolded
    python notebooks/src/exercises.py tested             build/tested/..., executed at smoke scale, every answer wrong
                                                         once before it is right

An answer is an assignment or a return whose line ends in ``your answer here``; a solution is a ``<details>`` block whose summary is
"Solution". Both stand in the sources, so that every answer is run by the build and by the tests.
"""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
from build import SOURCES, build, choose, read, target

OUTPUT = SOURCES.parents[1] / "build"
ANSWER = re.compile(
    r"^(?P<before>\w+ = |\s*return )(?P<value>.+?)(?P<mark>  # .*\byour answer here)$", re.MULTILINE
)
SOLUTION = re.compile(r"\n?<details><summary>Solution</summary>.*?</details>", re.DOTALL)
# what a test puts in place of an answer: of the same kind, and wrong for every exercise there is
WRONG = "(lambda v: ~v if 'bool' in str(getattr(v, 'dtype', '')) else tuple(2 * x + 1 for x in v) if isinstance(v, tuple) else 2 * v + 1)"


def student(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with ``...`` for answers, without solutions and outputs; hints stay."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source, cell.outputs = _answered(cell.source, lambda value: "..."), []
        else:
            cell.source = SOLUTION.sub("", cell.source)
    return notebook


def solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its solutions unfolded."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(
                "<details><summary>Solution", "<details open><summary>Solution"
            )
    return notebook


def with_wrong_answers(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Before each cell that holds an answer, the same cell with a wrong one; it may raise."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and ANSWER.search(cell.source):
            wrong = nbformat.v4.new_code_cell(
                _answered(cell.source, lambda value: f"{WRONG}({value})")
            )
            wrong.id, wrong.metadata.tags = f"{cell.id}-wrong", ["raises-exception"]
            cells.append(wrong)
        cells.append(cell)
    notebook.cells = cells
    return notebook


def _answered(source: str, other: Callable[[str], str]) -> str:
    return ANSWER.sub(
        lambda found: f"{found['before']}{other(found['value'])}{found['mark']}", source
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("track", choices=["student", "solutions", "tested"])
    parser.add_argument("notebook", nargs="*", help="e.g. 1_graph_ssl/1_grace (default: all)")
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="folder to write to (default: build/)"
    )
    options = parser.parse_args()
    for source in choose(options.notebook):
        folder = options.output / options.track
        path = target(source, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        if options.track == "tested":
            build(source, "smoke", folder, prepare=with_wrong_answers)
        elif options.track == "student":
            nbformat.write(student(read(source)), path)
        else:
            nbformat.write(solutions(nbformat.read(target(source), 4)), path)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
