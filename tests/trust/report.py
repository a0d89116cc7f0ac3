"""TRUST.md: what was done to this library to see whether it keeps its promises, and what came out.

A figure of trust is measured by a command, a module of this folder with a ``main`` that calls ``record`` once:

    python -m tests.trust.kills          measures, writes results/trust/kills.json, exits with 1 if a promise was broken
    python -m tests.trust.report         writes TRUST.md from results/trust/*.json and from nothing else

A test fails when TRUST.md and the files differ, when a file was measured with uncommitted changes, or when its command
is gone. To add a figure: a module here, ``record`` at its end, a commit, its command, the report, a commit. TRUST.md is
never edited or merged by hand: after a conflict, write it again.
"""

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit._files import write_json, write_whole
from labkit.recipes import circumstances

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "results" / "trust"
PROMISES = {
    "Repeatable": "The same seed on the same machine gives the same bits.",
    "Interrupted": "What is killed at any moment leaves nothing torn, loses nothing finished, and goes on.",
    "Misused": "Bad input gets a right answer or one clear error that names the argument.",
    "Attacked": "A crafted file, name or address is refused or inert, and nothing leaves the machine.",
    "Drifted": "The oldest and the newest versions that are allowed pass the same tests.",
    "Right": "What is computed agrees with independent references, and broken code is noticed.",
}


@dataclass(frozen=True)
class Figure:
    """One figure of trust.

    Attributes:
        name: of the module that measures it and of its file.
        promise: a key of ``PROMISES``.
        title: what the figure is, a few words.
        done: what was done, in one or two sentences.
        asked: what has to come out for the promise to be kept.
        kept: whether it came out.
        counts: name -> number; all of them are shown.
        findings: what a reader should know, above all each case where the promise was broken.
    """

    name: str
    promise: str
    title: str
    done: str
    asked: str
    kept: bool
    counts: dict[str, int | float]
    findings: Sequence[str] = ()

    def __post_init__(self):
        if self.promise not in PROMISES:
            raise ValueError(f"promise must be one of {', '.join(PROMISES)}, not {self.promise!r}")


def record(figure: Figure, started: float, folder: Path = FOLDER, write: bool = True) -> int:
    """Write a figure with where it was measured, and say it; 0, its command's exit status, if the promise was kept.

    Args:
        figure: what came out.
        started: ``time.perf_counter()`` at the beginning.
        write: False for a part of the figure, which is only said.
    """
    facts: dict[str, Any] = asdict(figure) | {"seconds": time.perf_counter() - started} | circumstances()
    facts["dirty"] = facts["dirty"] or _changed("tests", "notebooks", "pyproject.toml", "constraints.txt")
    facts["command"] = shlex.join(["python", "-m", f"tests.trust.{figure.name}", *sys.argv[1:]])
    if write:
        write_json(folder / f"{figure.name}.json", facts)
    print(f"{figure.title}: {_counts(facts)}: {_verdict(facts)}")
    for finding in figure.findings:
        print(f"  {finding}")
    return 0 if figure.kept else 1


def report(folder: Path = FOLDER) -> str:
    """TRUST.md, made from the files of ``folder`` and nothing else."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    lines = [
        "# Trust",
        "",
        "What was done to see whether labkit keeps its promises, and what came out. Made by",
        "`python -m tests.trust.report` from the files in `results/trust/`, each written by the command that measured",
        "it; a test fails when the two differ. Counts are of the commit in their row: how many recipes, claims, tests",
        "and notebooks there were then.",
    ]
    for promise, sentence in PROMISES.items():
        lines += ["", f"## {promise}", "", sentence, ""]
        mine = [row for row in rows if row["promise"] == promise]
        if not mine:
            lines.append("*Not measured yet.*")
            continue
        lines += ["| figure | came out | asked | promise | commit | s | command |", "|---|---|---|---|---|---|---|"]
        for row in mine:
            cells = [row["title"], _counts(row), row["asked"], f"**{_verdict(row)}**", row["commit"][:7]]
            lines.append("| " + " | ".join([*cells, f"{row['seconds']:.0f}", f"`{row['command']}`"]) + " |")
        for row in mine:
            lines += ["", f"**{row['title']}.** {row['done']}"]
            lines += [f"- {finding}" for finding in row["findings"]]
    return "\n".join(lines) + "\n"


def _counts(row: dict[str, Any]) -> str:
    return ", ".join(f"{_number(value)} {name}" for name, value in row["counts"].items())


def _number(value: float) -> str:
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else f"{value:.3g}"


def _verdict(row: dict[str, Any]) -> str:
    return "kept" if row["kept"] else "broken"


def _changed(*paths: str) -> bool:
    """Whether these have uncommitted changes; of a copy without its history nothing is known to have."""
    command = ["git", "status", "--porcelain", "--", *paths]
    return bool(subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip())


def main() -> int:
    write_whole(ROOT / "TRUST.md", report().encode())
    print(f"wrote {ROOT / 'TRUST.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
