"""What every benchmark shares: two ways to do one thing, timed in turn in one process, and the row that says so."""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from labkit._files import write_json
from labkit.recipes import circumstances

ROOT = Path(__file__).resolve().parents[1]
PAUSE = 0.2  # seconds; OpenBLAS and OpenMP threads have gone to sleep by then
TURN = 0.1


def alternate(ours: Callable, theirs: Callable, repeats: int = 5) -> tuple[list[float], list[float]]:
    """Seconds a call, in turns, so that both see the same machine; one turn of each to warm up does not count.

    Before each turn a pause: threads that one library leaves spinning for work would slow the other down. A turn goes
    on for a tenth of a second, so that what takes milliseconds is timed at its steady pace, as ``timeit`` does.
    """
    seconds: dict[Callable, list[float]] = {ours: [], theirs: []}
    for attempt in range(repeats + 1):
        for function, times in seconds.items():
            time.sleep(PAUSE)
            started, calls = time.perf_counter(), 0
            while not calls or time.perf_counter() - started < TURN:
                function()
                calls += 1
            if attempt:
                times.append((time.perf_counter() - started) / calls)
    return seconds[ours], seconds[theirs]


def training_step(method: torch.nn.Module, batch: Any, optimizer: torch.optim.Optimizer, bfloat16: bool = False):
    """One step of training on the batch as a function, on a processor, its forward pass in bfloat16 if asked."""

    def once() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = method(batch)
        loss.backward()
        optimizer.step()

    return once


@dataclass(frozen=True)
class Row:
    """One comparison; less is better.

    Attributes:
        entry: what both did.
        peer: who did it the other way.
        ours, theirs: measurements in ``unit``, in the order they were taken in turn; one number where it has no spread.
        at_least: the ratio theirs / ours that was asked for.
        why: where we are slower, the reason.
    """

    entry: str
    peer: str
    ours: Sequence[float] | float
    theirs: Sequence[float] | float
    at_least: float | None = None
    unit: str = "s"
    why: str = ""

    @property
    def ratios(self) -> list[float]:
        """theirs / ours, pair by pair."""
        pairs = zip(_several(self.ours), _several(self.theirs), strict=True)
        return [theirs / ours for ours, theirs in pairs]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def record(self) -> dict[str, Any]:
        """As JSON can hold it."""
        numbers = {"ours": _several(self.ours), "theirs": _several(self.theirs), "unit": self.unit}
        ratios = {"ratio": self.ratio, "least": min(self.ratios), "most": max(self.ratios), "asked": self.at_least}
        return {"entry": self.entry, "peer": self.peer} | numbers | ratios | {"why": self.why}

    def __str__(self) -> str:
        ours, theirs = (statistics.median(_several(x)) for x in (self.ours, self.theirs))
        spread = f" ({min(self.ratios):.2f}–{max(self.ratios):.2f})" if len(self.ratios) > 1 else ""
        asked = "" if self.at_least is None else f" ≥ {self.at_least:g}"
        why = f" │ {self.why}" if self.why and self.ratio < 1 else ""
        numbers = [f"{ours:>9.4g} {self.unit:<2}", f"{theirs:>9.4g} {self.unit:<2}", f"{self.ratio:6.2f}×{spread:<15}"]
        return " │ ".join([f"{self.entry:<58}", f"{self.peer:<38}", *numbers, f"{asked:<7}"]) + why


@dataclass(frozen=True)
class Missing:
    """A row without a ratio, and why: it could not be measured here, or what was asked for was not reached."""

    entry: str
    peer: str
    how: str
    why: str = ""

    @property
    def record(self) -> dict[str, Any]:
        return {"entry": self.entry, "peer": self.peer, "missing": self.how} | ({"why": self.why} if self.why else {})

    def __str__(self) -> str:
        return f"{self.entry:<58} │ {self.peer:<38} │ {self.how}"


_TITLES = "what both did", "peer", "labkit", "peer", "ratio (least–most)", "asked"
HEAD = " │ ".join(f"{title:<{width}}" for title, width in zip(_TITLES, (58, 38, 12, 12, 22, 7), strict=True)).rstrip()


def measure(name: str, repeats: int, folder: Path) -> None:
    """Run one benchmark, print its rows as they come, and leave them in ``folder``/``name``.json.

    A row that could not be measured here keeps what was measured before; where none could, the file stays as it is.
    """
    module = importlib.import_module(f"benchmarks.{name}")
    file, rows, started = folder / f"{name}.json", [], time.perf_counter()
    before = json.loads(file.read_text()) if file.exists() else {"rows": []}
    for row in module.main(repeats=repeats):
        print(row, flush=True)
        rows.append(row.record)
        if isinstance(row, Missing) and (kept := _measured(row, before)):
            print(f"  what was measured at {kept['of']} stays", flush=True)
            rows[-1] = kept
    if before["rows"] and not any("ratio" in row and "of" not in row for row in rows):
        print(f"{name}: nothing was measured; {file} stays as it is", flush=True)
        return
    record = {"name": name, "what": module.__doc__.splitlines()[0], "rows": rows, "date": str(date.today())}
    record |= {"seconds": time.perf_counter() - started, "cores": os.cpu_count()}
    record |= {"load": round(os.getloadavg()[0], 1)} | circumstances(getattr(module, "DEVICE", "cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(file, record)


def _measured(missing: Missing, before: dict[str, Any]) -> dict[str, Any] | None:
    """The row of an earlier run that ``missing`` stands for, with the commit and day it is of."""
    for row in before["rows"]:
        if row["peer"] == missing.peer and row["entry"].startswith(missing.entry) and "ratio" in row:
            return {"of": f"{before['commit'][:7]} on {before['date']}"} | row
    return None


def machine() -> str:
    """What the numbers of a table depend on."""
    facts = circumstances("cpu")
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{os.cpu_count()} cores, {facts['threads']} threads, load {os.getloadavg()[0]:.1f}, {facts['device']}; "
        f"{versions}; commit {facts['commit'][:7]}{' with changes' if facts['dirty'] else ''}; "
        "ratio: peer / labkit, the median of pairs taken in turn"
    )


def _several(values: Sequence[float] | float) -> list[float]:
    return [float(values)] if isinstance(values, int | float) else list(values)


def fresh(script: str, *arguments: Any) -> str:
    """What ``script`` prints last in a process of its own, started in the checkout.

    Large blocks go back to the system when they are freed, so that a peak of memory is what was in use then.
    """
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "500000", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"a benchmark's process failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def memory_gb(what: str = "VmHWM") -> float:
    """Of this process: "VmRSS", in use now; "VmHWM", the most since it began or since :func:`raised_by` (Linux).

    ``getrusage`` has a peak, too, but counts in what the process held that started this one.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 2**20


def raised_by(once: Callable[[], Any]) -> float:
    """MB by which one call raises the peak of this process above what is in use now (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory_gb("VmRSS")
    once()
    return 1024 * (memory_gb("VmHWM") - before)


def extra_memory(module: str, made: str) -> float:
    """MB by which calling what ``module.made`` gives, e.g. "step(512)", raises the peak of a fresh process (Linux)."""
    script = (
        "import importlib; from benchmarks._bench import raised_by\n"
        f"print(raised_by(importlib.import_module({module!r}).{made}))"
    )
    return float(fresh(script))
