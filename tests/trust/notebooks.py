"""Every notebook executed twice at smoke scale in fresh kernels that can talk to this machine alone.

    python -m tests.trust.notebooks                  all of them; writes results/trust/notebooks.json
    python -m tests.trust.notebooks NAME ...         some, e.g. 0_start_here; only says what came out

What both print and draw must be the same to the bit, but for measured times.
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
TIME = re.compile(r"\d+(\.\d+)?(?=\s?(s|ms|min|seconds|minutes)\b)")


def stay_here(notes: Path) -> dict[str, str]:
    """An environment in which Python talks to this machine alone; who else was asked for is noted."""
    path = [str(Path(__file__).with_name("at_home")), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path)), "AT_HOME_NOTES": str(notes)}


def execute(name: str, folder: Path, notes: Path) -> list[str]:
    """What a fresh kernel prints and draws, an entry for each output, with measured times left out."""
    build = [sys.executable, str(SOURCES / "build.py"), name, "--scale", "smoke", "--output", str(folder)]
    done = subprocess.run(build, env=stay_here(notes), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-3000:]}")
    cells = json.loads((folder / f"{name}.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [TIME.sub("…", _text(output.get("text")) + json.dumps(output.get("data"))) for output in outputs]


def _text(lines) -> str:
    return "".join(lines or "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*")
    names = parser.parse_args().name
    every = [str(path.relative_to(SOURCES).with_suffix("")) for path in SOURCES.rglob("[0-9]*.py")]
    started, compared, findings, differing = time.perf_counter(), 0, [], 0
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        for name in names or sorted(every):
            first, again = (execute(name, Path(folder) / turn, notes) for turn in ("first", "again"))
            apart = [i for i, (a, b) in enumerate(zip(first, again, strict=True)) if a != b]
            compared, differing = compared + len(first), differing + len(apart)
            findings += [f"{name}: output {i + 1} of {len(first)} differs" for i in apart]
            print(f"{name:50} {len(apart)} of {len(first)} outputs differ", flush=True)
        left = notes.read_text().splitlines() if notes.exists() else []
    figure = Figure(
        name="notebooks",
        promise="Repeatable",
        title="Notebooks repeated",
        done="Each notebook was executed twice, top to bottom in a fresh kernel at smoke scale; what it printed and "
        "drew was compared bit for bit, but for measured times. Its kernel, and what that started, could open "
        "sockets to this machine alone, and addresses elsewhere were noted.",
        asked="no output differs, no request leaves",
        kept=not differing and not left,
        counts={
            "notebooks": len(names or every),
            "outputs compared": compared,
            "that differ": differing,
            "requests that would have left": len(left),
        },
        findings=[*findings, *sorted(set(left))],
    )
    return record(figure, started, write=not names)


if __name__ == "__main__":
    sys.exit(main())
