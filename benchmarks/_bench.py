"""What every benchmark shares: two ways to do one thing, timed in turn in one process, and the row that says so."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def alternate(ours: Callable, theirs: Callable, repeats: int = 5) -> tuple[list[float], list[float]]:
    """Seconds of each call, after one of each to warm up; taken in turn, so that both see the same machine."""
    seconds: dict[Callable, list[float]] = {ours: [], theirs: []}
    for attempt in range(repeats + 1):
        for function, times in seconds.items():
            started = time.perf_counter()
            function()
            if attempt:
                times.append(time.perf_counter() - started)
    return seconds[ours], seconds[theirs]


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
        cells = [f"{self.entry:<58}", f"{self.peer:<38}", f"{ours:>9.4g} {self.unit:<2}", f"{theirs:>9.4g} {self.unit:<2}"]
        return " │ ".join([*cells, f"{self.ratio:6.2f}×{spread:<14}", f"{asked:<7}", self.why]).rstrip(" │")


@dataclass(frozen=True)
class Missing:
    """A row that could not be measured here, and what to do about it."""

    entry: str
    peer: str
    how: str

    @property
    def record(self) -> dict[str, Any]:
        return {"entry": self.entry, "peer": self.peer, "missing": self.how}

    def __str__(self) -> str:
        return f"{self.entry:<58} │ {self.peer:<38} │ not measured: {self.how}"


HEAD = " │ ".join(
    [f"{'what both did':<58}", f"{'peer':<38}", f"{'labkit':<12}", f"{'peer':<12}", f"{'ratio (least–most)':<21}", "asked"]
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


def extra_memory(module: str, factory: str) -> float:
    """MB by which one call of ``module.factory()`` raises the peak of a fresh, warmed-up process (Linux)."""
    script = (
        f"import importlib; once = importlib.import_module({module!r}).{factory}()\n"
        "status = lambda key: int(next(l for l in open('/proc/self/status') if l.startswith(key)).split()[1])\n"
        "open('/proc/self/clear_refs', 'w').write('5')  # the peak starts anew from what is in use now\n"
        "before = status('VmRSS'); once(); print(status('VmHWM') - before)"
    )
    return int(fresh(script)) / 1024
