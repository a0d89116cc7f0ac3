"""SPEED.md: every row of ``labkit bench`` as it was last measured, from results/bench/ and from nothing else."""

import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks._bench import ROOT

_HEAD = """# Speed

What `labkit bench` measured last, from the files in `results/bench/`; a test fails when the two differ. A row compares
labkit with a named library, with the formulation of released code, or with a limit that was asked for. The ratio is
peer / labkit. Most times were taken in turns in one process: the ratio is then the median of the pairs, with the least
and the most. A peak of memory, a limit and what a browser shows have one number and no spread. Where labkit is slower,
or less quick than was aimed at before anything was measured, the reason stands below."""
_TITLES = "what both did", "peer", "labkit", "peer", "ratio (least–most)", "aimed at"


def report(folder: Path = ROOT / "results" / "bench") -> str:
    """The page, a table for each benchmark."""
    parts = [_HEAD]
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        lines = ["| " + " | ".join(_TITLES) + " |", "|---" * len(_TITLES) + "|", *map(_line, record["rows"])]
        whys = [f"\n{row['entry']}, against {row['peer']}: {row['why']}." for row in record["rows"] if _asks_why(row)]
        parts.append("\n".join([f"## {record['what']}", "", *lines, *whys, "", _where(record)]))
    return "\n\n".join(parts) + "\n"


def _asks_why(row: dict[str, Any]) -> bool:
    """Whether a row is slower than its peer or less quick than it was to be, or says why it was so or is not there."""
    short = "missing" not in row and row["ratio"] < max(1, row["asked"] or 1)
    return short or (bool(row.get("why")) and row.get("least", 0) < 1)


def _line(row: dict[str, Any]) -> str:
    if "missing" in row:
        return f"| {row['entry']} | {row['peer']} | | | {row['missing']} | |"
    ours, theirs = (f"{statistics.median(row[side]):.3g} {row['unit']}" for side in ("ours", "theirs"))
    spread = f" ({row['least']:.2f}–{row['most']:.2f})" if len(row["ours"]) > 1 else ""
    asked = "" if row["asked"] is None else f"≥ {row['asked']:g}"
    return f"| {row['entry']} | {row['peer']} | {ours} | {theirs} | **{row['ratio']:.2f}**{spread} | {asked} |"


def _where(record: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    kept = "".join(
        f" {row['entry']}, against {row['peer']}: kept from {row['of']}." for row in record["rows"] if "of" in row
    )
    return (
        f"`labkit bench {record['name']}` at {record['commit'][:7]} on {record['date']}: {record['cores']} cores, "
        f"{record['threads']} threads, load {record['load']}, {record['device']}; {versions}.{kept}"
    )
