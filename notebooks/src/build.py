"""Build notebooks one way: src/<theme>/NN_name.py (percent format) -> executed <theme>/NN_name.ipynb.

    python notebooks/src/build.py                    every notebook, at laptop scale
    python notebooks/src/build.py 1_graph_ssl/1_grace --scale smoke --output /tmp/out
    python notebooks/src/build.py --figures results/figures/notebooks       and every picture as a file, PNG and SVG
    python notebooks/src/build.py --times            builds nothing: what the last build of each took, and their sum

What is kept of the outputs is what a reader needs without a kernel: text and PNG pictures. Widget state, widget views,
progress bars and execution times are left out, so that a rebuilt notebook differs only where its results do.
"""

import argparse
import base64
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

SOURCES = Path(__file__).resolve().parent
NOTEBOOKS = SOURCES.parent
FRONT = NOTEBOOKS.parent / "results" / "figures" / "front.png"  # the README shows it
KEPT = {"text/plain", "text/html", "text/markdown", "image/png"}
KEPT_OF_CELLS = {"tags", "slideshow"}
WIDGET = "application/vnd.jupyter.widget-view+json"
LARGEST_PNG, LARGEST_NOTEBOOK = 150_000, 1_000_000
BANNER = "<!-- measured -->"
# What the kernel took: processor seconds with those of its children, and the peak of its memory (kB; on macOS bytes).
USAGE = """import resource
own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(sum(usage.ru_utime + usage.ru_stime for usage in (own, children)), own.ru_maxrss)"""


def sources() -> list[Path]:
    """Every notebook's source, in reading order."""
    return sorted(path for path in SOURCES.rglob("*.py") if re.match(r"\d", path.name))


def name(source: Path) -> str:
    """What a source is called on the command line, e.g. "1_graph_ssl/1_grace"."""
    return str(source.relative_to(SOURCES).with_suffix(""))


def target(source: Path, folder: Path = NOTEBOOKS) -> Path:
    """Where the notebook of a source goes."""
    return (folder / source.relative_to(SOURCES)).with_suffix(".ipynb")


def choose(names: list[str]) -> list[Path]:
    """The sources of these notebooks, e.g. "1_graph_ssl/1_grace"; of all, when there are no names."""
    known = {name(source): source for source in sources()}
    wanted = [str(Path(one).with_suffix("")) for one in names] or list(known)
    missing = [one for one in wanted if one not in known]
    if missing:
        sys.exit(f"no notebook {missing[0]}; there are: {', '.join(known)}")
    return [known[one] for one in wanted]


def read(source: Path) -> nbformat.NotebookNode:
    """The notebook of a source, not executed; cell ids are their positions, so that builds can be compared."""
    notebook = jupytext.read(source)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in KEPT_OF_CELLS & cell.metadata.keys()}
        )
    return notebook


def build(
    source: Path,
    scale: str,
    folder: Path = NOTEBOOKS,
    timeout: int = 600,
    prepare: Callable[[nbformat.NotebookNode], nbformat.NotebookNode] = lambda notebook: notebook,
    figures: Path | None = None,
) -> float:
    """Execute a source in a fresh kernel and write its notebook; the processor seconds it took.

    ``prepare`` may change the notebook before it is executed. ``figures`` is a folder that gets its pictures as files.

    Raises:
        CellExecutionError: a cell failed; nothing is written.
        ValueError: a picture or the notebook is too large.
    """
    notebook = prepare(read(source))
    out = target(source, folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    environment = {"LABKIT_SCALE": scale, "PYTHONWARNINGS": "default", "OMP_WAIT_POLICY": "PASSIVE"}
    client = NotebookClient(
        notebook,
        timeout=timeout,
        store_widget_state=False,
        kernel_name="python3",
        resources={"metadata": {"path": str(out.parent)}},
    )
    if figures is not None:
        notebook.cells.insert(
            0, nbformat.v4.new_code_cell("%config InlineBackend.figure_formats = ['png', 'svg']")
        )
    notebook.cells.append(nbformat.v4.new_code_cell(USAGE))
    client.execute(env=os.environ | environment)
    seconds, peak = map(
        float, "".join(output.text for output in notebook.cells.pop().outputs).split()
    )
    if figures is not None:
        del notebook.cells[0]
        save_pictures(notebook, target(source, figures).with_suffix(""))
    clean(notebook, measurement(seconds, peak))
    text = nbformat.writes(notebook)
    if len(text) > LARGEST_NOTEBOOK:
        raise ValueError(f"{out.name} would be {len(text) / 1e6:.1f} MB; at most 1 MB is committed")
    beside = out.with_suffix(".part")
    beside.write_text(text)
    os.replace(beside, out)
    return seconds


def save_pictures(notebook: nbformat.NotebookNode, stem: Path) -> None:
    """Write every picture to ``stem``-1.png, -1.svg, ...; widgets have a PNG only."""
    shown = [
        output.data
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    stem.parent.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate((data for data in shown if "image/png" in data), start=1):
        Path(f"{stem}-{number}.png").write_bytes(base64.b64decode(data["image/png"]))
        if "image/svg+xml" in data:
            Path(f"{stem}-{number}.svg").write_text(data["image/svg+xml"])


def clean(notebook: nbformat.NotebookNode, measured: str) -> None:
    """Leave text and pictures only, and write what was measured into the banner.

    The banner starts with a comment, so that its line is HTML to every reader of Markdown: asterisks would be shown.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(BANNER, f"{BANNER} <p><em>{measured}</em></p>")
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        cell.outputs = _joined(output for output in map(_kept, cell.outputs) if output is not None)


def front(notebook: Path) -> tuple[bytes, str]:
    """The Explorer's picture in a built notebook, and its words."""
    cells = nbformat.read(notebook, as_version=4).cells
    shown = [
        output.data for cell in cells for output in cell.get("outputs", []) if "data" in output
    ]
    data = next(data for data in shown if data["text/plain"].startswith("Explorer("))
    return base64.b64decode(data["image/png"]), data["text/plain"]


def measurement(seconds: float, peak: float) -> str:
    """What a build took, in words; ``peak`` as the system counts it. Processor time does not depend on what else the
    machine did; on two cores a reader waits for between half of it and all of it."""
    minutes = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
    memory = peak / (2**30 if sys.platform == "darwin" else 2**20)
    return f"Last build: {minutes} of processor time from top to bottom, {memory:.1f} GB of memory at most."


def last_seconds(notebook: Path) -> float | None:
    """What the banner of a built notebook says that it took; None where there is no banner."""
    text = notebook.read_text() if notebook.is_file() else ""
    found = re.search(
        rf"{re.escape(BANNER)} <p><em>Last build: ([\d.]+) (s|min) of processor time", text
    )
    return float(found[1]) * {"s": 1, "min": 60}[found[2]] if found else None


def _kept(output):
    if output.output_type == "stream":
        return output if output.name == "stdout" else None
    if output.output_type in ("display_data", "execute_result"):
        if WIDGET in output.data and "image/png" not in output.data:
            return None  # a slider: without a kernel only its repr would be left
        output.data = nbformat.from_dict(
            {kind: value for kind, value in output.data.items() if kind in KEPT}
        )
        output.metadata = nbformat.from_dict({})
        if len(output.data.get("image/png", "")) * 3 / 4 > LARGEST_PNG:
            raise ValueError(
                f"a picture of {len(output.data['image/png']) * 3 // 4000} kB; at most 150 kB are committed"
            )
        if "execution_count" in output:
            output.execution_count = None
        return output if output.data else None
    return output


def _joined(outputs: Iterable[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Text that follows on text is one output, as JupyterLab shows it: where a kernel cuts it is a matter of time."""
    joined = []
    for output in outputs:
        if joined and output.output_type == joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", nargs="*", help="e.g. 1_graph_ssl/1_grace (default: all)")
    parser.add_argument("--scale", default="laptop", choices=["smoke", "laptop"])
    parser.add_argument(
        "--output", type=Path, default=NOTEBOOKS, help="another folder for the notebooks"
    )
    parser.add_argument("--figures", type=Path, help="a folder for every picture as PNG and SVG")
    parser.add_argument(
        "--times", action="store_true", help="what the last builds took, and their sum"
    )
    options = parser.parse_args()
    if options.times:
        notebooks = [target(source, options.output) for source in choose(options.notebook)]
        found = {notebook: last_seconds(notebook) for notebook in notebooks}
        for notebook, seconds in found.items():
            print(f"{'not measured' if seconds is None else f'{seconds:.0f} s':>12}  {notebook}")
        print(f"{sum(filter(None, found.values())) / 60:8.1f} min  in all")
        return 0
    for source in choose(options.notebook):
        seconds = build(source, options.scale, options.output, figures=options.figures)
        print(f"{seconds:6.0f} s  {target(source, options.output)}", flush=True)
        if options.output == NOTEBOOKS and name(source) == "0_start_here":
            FRONT.write_bytes(front(target(source))[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
