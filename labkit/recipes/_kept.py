"""Measurements of many parts, written to a file part by part."""

import json
import time
from pathlib import Path
from typing import Any

from labkit.recipes._circumstances import circumstances, code
from labkit.train import choose_device, write_whole


class Kept:
    """What was found so far, and the file it is in, so that an interrupted measurement goes on where it stopped.

    Attributes:
        found: part -> what was found; of an earlier file where its settings and the code are these.

    Args:
        path: JSON file; None: nothing is written.
        name: of ``found`` in the file.
        settings: what must be equal for parts of an earlier file to count.
    """

    def __init__(self, path: str | Path | None, name: str, **settings: Any):
        self.path, self.name = Path(path) if path else None, name
        settings |= code()
        self.facts = settings | circumstances(choose_device("auto"))
        done = json.loads(self.path.read_text()) if self.path and self.path.is_file() else {}
        same = all(done.get(key) == value for key, value in settings.items())
        self.found: dict[str, Any] = done.get(name, {}) if same else {}
        self._started = time.perf_counter() - (done.get("seconds", 0) if same else 0)

    def write(self) -> None:
        """Write all that was found, with its settings, where it was measured and the seconds it took."""
        if self.path:
            whole = self.facts | {"seconds": time.perf_counter() - self._started, self.name: self.found}
            write_whole(self.path, (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())


def measured(file: str, name: str) -> dict[str, Any]:
    """The parts that :class:`Kept` left as ``name`` in a file of the checkout's ``results/figures``; {} if not run.

    Example:
        >>> labkit.recipes.measured("graphcl-gains-mutag.json", "gains")["identity + identity"]    # one gain a seed
    """
    path = Path(__file__).parents[2] / "results" / "figures" / file
    return json.loads(path.read_text())[name] if path.is_file() else {}
