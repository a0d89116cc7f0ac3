"""The exercise track: the notebooks without their answers, and with them.

    python notebooks/src/exercises.py student            build/student/<theme>/NN_name.ipynb, nothing executed
    python notebooks/src/exercises.py solutions          build/solutions/..., as committed, solutions unfolded
    python notebooks/src/exercises.py tested             build/tested/..., executed at smoke scale, every answer wrong
                                                         once before it is right

An answer is one line, ``name = value  # your answer here`` or ``return value  # your answer here``; a solution is a
``<details>`` block whose summary is "Solution". Both stand in the sources, so that every answer is run by the build and
by the tests.
"""

import argparse
import ast
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
from build import BANNER, SOURCES, build, choose, name, read, target

OUTPUT = SOURCES.parents[1] / "build"
ANSWER = re.compile(
    r"^(?P<before>\w+ = |\s*return )(?P<value>.+?)(?P<mark>  # .*\byour answer here)$", re.MULTILINE
)
MARK = "your answer here"
LINK = re.compile(
    r"(?<=\]\()(?![a-z]+:|[#/])[^()\s#]+"
)  # of Markdown, to a file beside the notebook
SOLUTION = re.compile(r"\n?<details><summary>Solution</summary>.*?</details>", re.DOTALL)
# what a test puts in place of an answer: of the same kind, and wrong for every exercise there is
WRONG = "(lambda v: ~v if 'bool' in str(getattr(v, 'dtype', '')) else tuple(2 * x + 1 for x in v) if isinstance(v, tuple) else 2 * v + 1)"


def student(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with ``...`` for answers, without solutions and outputs; hints stay.

    Raises:
        ValueError: an answer that is not one line: it would be handed out.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            answers = [found["value"] for found in ANSWER.finditer(cell.source)]
            if len(answers) != cell.source.count(MARK) or not all(map(_is_whole, answers)):
                raise ValueError(
                    f"an answer must be one line, `name = value  # {MARK}` or `return value  # {MARK}`, or it can't be "
                    f"taken out; one in this cell is not:\n{cell.source}"
                )
            cell.source, cell.outputs = _answered(cell.source, lambda value: "..."), []
        else:
            cell.source = SOLUTION.sub("", cell.source)
    return notebook


def _is_whole(value: str) -> bool:
    """Whether the line holds all of the value: no bracket or string goes on in the next one."""
    try:
        ast.parse(value, mode="eval")
    except SyntaxError:
        return False
    return True


def solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with its solutions unfolded."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(
                "<details><summary>Solution", "<details open><summary>Solution"
            )
    return notebook


def written(notebook: nbformat.NotebookNode) -> list[str]:
    """What its author wrote: every cell, without what a build measured."""
    return [re.sub(f"({BANNER}).*", r"\1", cell.source) for cell in notebook.cells]


def linked(
    notebook: nbformat.NotebookNode, source: Path, path: Path, kept: set[Path]
) -> nbformat.NotebookNode:
    """The notebook with relative links that lead to the same files from ``path``; those to ``kept`` stay as they are."""

    def from_there(link: re.Match) -> str:
        file = (target(source).parent / link[0]).resolve()
        return link[0] if file in kept else Path(os.path.relpath(file, path.parent)).as_posix()

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(from_there, cell.source)
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
    chosen = choose(options.notebook)
    beside = {target(source).resolve() for source in chosen}  # they are written here, too
    for source in chosen:
        folder = options.output / options.track
        path = target(source, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        if options.track == "tested":
            build(source, "smoke", folder, prepare=with_wrong_answers)
        elif options.track == "student":
            try:
                notebook = student(read(source))
            except ValueError as error:
                sys.exit(f"{name(source)}: {error}")
            nbformat.write(linked(notebook, source, path, beside), path)
        else:
            notebook = nbformat.read(target(source), 4)
            if written(notebook) != written(read(source)):
                sys.exit(
                    f"{name(source)} was edited since it was built; run `make notebooks NOTEBOOK={name(source)}` first"
                )
            nbformat.write(linked(solutions(notebook), source, path, beside), path)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
