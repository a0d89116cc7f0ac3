"""Every notebook executed twice at smoke scale in fresh kernels that can talk to this machine alone.

    python -m tests.trust.notebooks                  all of them; writes results/trust/notebooks.json
    python -m tests.trust.notebooks NAME ...         some, e.g. 0_start_here; only says what came out

What both print and draw must be the same to the bit, but for measured times: numbers with a unit of time, and all that
a cell with the tag "timed" shows, of which words and kinds of output must be the same.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .report import ROOT, Figure, record

SOURCES = ROOT / "notebooks" / "src"
TIMED = "timed"  # the tag of a cell that shows measured times as such
NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]\d+)?")
TIME = re.compile(NUMBER.pattern + r"(?=\s?(s|ms|min|seconds|minutes)\b)")


def stay_here(notes: Path) -> dict[str, str]:
    """An environment in which Python talks to this machine alone; who else was asked for is noted."""
    path = [str(Path(__file__).with_name("at_home")), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path)), "AT_HOME_NOTES": str(notes)}


def execute(name: str, folder: Path, notes: Path) -> list[tuple[str, bool]]:
    """For each output of a fresh kernel what is compared of it, and whether its cell shows measured times."""
    build = [sys.executable, str(SOURCES / "build.py"), name, "--scale", "smoke", "--output", str(folder)]
    done = subprocess.run(build, env=stay_here(notes), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-3000:]}")
    cells = json.loads((folder / f"{name}.ipynb").read_text())["cells"]
    marked = [
        (output, TIMED in cell["metadata"].get("tags", [])) for cell in cells for output in cell.get("outputs", [])
    ]
    return [(compared(output, timed), timed) for output, timed in marked]


def compared(output: dict, timed: bool) -> str:
    """Text and pictures without measured times; from a timed cell words and kinds, without numbers or pictures."""
    said, data = "".join(output.get("text") or ""), output.get("data") or {}
    return NUMBER.sub("…", said) + json.dumps(sorted(data)) if timed else TIME.sub("…", said + json.dumps(data))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*")
    names = parser.parse_args().name
    every = [str(path.relative_to(SOURCES).with_suffix("")) for path in SOURCES.rglob("[0-9]*.py")]
    started, outputs, findings, differing, times = time.perf_counter(), 0, [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        for name in names or sorted(every):
            first, again = (execute(name, Path(folder) / turn, notes) for turn in ("first", "again"))
            apart = [i for i, (a, b) in enumerate(zip(first, again, strict=True)) if a != b]
            outputs, differing = outputs + len(first), differing + len(apart)
            findings += [f"{name}: output {i + 1} of {len(first)} differs" for i in apart]
            timed = [i for i, (_, of_time) in enumerate(first) if of_time]
            times += len(timed)
            findings += [f"{name}: output {i + 1} of {len(first)} shows measured times" for i in timed]
            print(f"{name:50} {len(apart)} of {len(first)} outputs differ", flush=True)
        left = notes.read_text().splitlines() if notes.exists() else []
    figure = Figure(
        name="notebooks",
        promise="Repeatable",
        title="Notebooks repeated",
        done="Each notebook was executed twice, top to bottom in a fresh kernel at smoke scale; what it printed and "
        "drew was compared bit for bit, but for measured times: of outputs that show them as such the words were "
        "compared, not the numbers and the picture. Its kernel, and what that started, could open sockets to this "
        "machine alone, and addresses elsewhere were noted.",
        asked="no output differs, no request leaves",
        kept=not differing and not left,
        counts={
            "notebooks": len(names or every),
            "outputs compared": outputs,
            "of which show measured times": times,
            "that differ": differing,
            "requests that would have left": len(left),
        },
        findings=[*findings, *sorted(set(left))],
    )
    return record(figure, started, write=not names)


if __name__ == "__main__":
    sys.exit(main())
