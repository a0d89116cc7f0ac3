"""Measurements of many parts, written to a file part by part."""

import json
import time
import warnings
from pathlib import Path
from typing import Any

from labkit._files import put_aside, write_json
from labkit.recipes._circumstances import CHECKOUT, circumstances, code
from labkit.train import choose_device


class Kept:
    """What was found so far, and the file it is in, so that an interrupted measurement goes on where it stopped.

    A file of other settings, code, versions or another device does not count. It is not written over either: before the
    first write it moves aside, to NAME.before.

    Attributes:
        found: part -> what was found; of an earlier file where all of the above are these.
        of: part -> what else it depends on, where parts differ in that; for the caller to compare.

    Args:
        path: JSON file; None: nothing is written.
        name: of ``found`` in the file.
        settings: what must be equal for parts of an earlier file to count.

    Raises:
        ValueError: the file is torn, or holds something else.
    """

    def __init__(self, path: str | Path | None, name: str, **settings: Any):
        self.path, self.name = Path(path) if path else None, name
        where, now = circumstances(choose_device("auto")), code()
        self.facts = _as_in_a_file(settings) | now | where
        must_agree = {key: self.facts[key] for key in (*settings, *now, "versions", "device", "precision")}
        before = _read(self.path, name) if self.path and self.path.exists() else {}
        self._others = [key for key, value in must_agree.items() if before.get(key) != value] if before else []
        if self._others:
            warnings.warn(
                f"{self.path} was measured with another {' and '.join(self._others)}: nothing of it is used, and it "
                f"moves to {self.path.name}.before when there is something new to write",
                stacklevel=3,
            )
            before = {}
        self.found: dict[str, Any] = before.get(name, {})
        self.of: dict[str, Any] = before.get("of", {})
        self._started = time.perf_counter() - before.get("seconds", 0)

    def write(self) -> None:
        """Write all that was found, with its settings, where it was measured and the seconds it took."""
        if self.path:
            if self._others:
                put_aside(self.path, "before")
                self._others = []
            whole = self.facts | {"seconds": time.perf_counter() - self._started, self.name: self.found}
            whole |= {"of": self.of} if self.of else {}
            write_json(self.path, _as_in_a_file(whole))


def _as_in_a_file(facts: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back: NumPy's numbers as plain ones, devices and the like by name."""
    return json.loads(json.dumps(facts, default=lambda value: value.item() if hasattr(value, "item") else str(value)))


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record[name], dict):
            raise TypeError(f"{name} is a {type(record[name]).__name__}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{path} is not what an interrupted measurement of {name} leaves ({error!r}); remove it to start anew"
        ) from error
    return record


def measured(file: str, name: str) -> dict[str, Any]:
    """The parts that :class:`Kept` left as ``name`` in a file of the checkout's ``results/figures``; {} if not run.

    Example:
        >>> labkit.recipes.measured("graphcl-gains-mutag.json", "gains")["identity + identity"]    # one gain a seed
    """
    path = CHECKOUT / "results" / "figures" / file
    return json.loads(path.read_text(encoding="utf-8"))[name] if path.is_file() else {}
