"""What every benchmark shares: two ways to do one thing, timed in turn in one process, and the row that says so."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def alternate(ours: Callable, theirs: Callable, repeats: int = 5) -> tuple[float, float]:
    """Median seconds of each, after one call of each to warm up; taken in turn, so that both see the same machine."""
    seconds: dict[Callable, list[float]] = {ours: [], theirs: []}
    for attempt in range(repeats + 1):
        for function, times in seconds.items():
            started = time.perf_counter()
            function()
            if attempt:
                times.append(time.perf_counter() - started)
    return statistics.median(seconds[ours]), statistics.median(seconds[theirs])


@dataclass(frozen=True)
class Row:
    """One comparison: ``ours`` and ``theirs`` in ``unit`` (less is better), and the ratio theirs / ours asked for."""

    entry: str
    peer: str
    ours: float
    theirs: float
    at_least: float | None = None
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours

    def __str__(self) -> str:
        asked = "" if self.at_least is None else f" (asked: ≥ {self.at_least:g}×)"
        numbers = f"{self.ours:.4g} {self.unit} against {self.theirs:.4g} {self.unit}"
        return f"{self.entry}, against {self.peer}: {numbers}, {self.ratio:.2f}×{asked}"


def extra_memory(module: str, factory: str) -> float:
    """MB by which one call of ``module.factory()`` raises the peak of a fresh, warmed-up process (Linux)."""
    script = (
        f"import importlib; once = importlib.import_module({module!r}).{factory}()\n"
        "status = lambda key: int(next(l for l in open('/proc/self/status') if l.startswith(key)).split()[1])\n"
        "open('/proc/self/clear_refs', 'w').write('5')  # the peak starts anew from what is in use now\n"
        "before = status('VmRSS'); once(); print(status('VmHWM') - before)"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024
