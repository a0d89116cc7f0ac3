"""One embedding as it is being looked at: its current map, epoch and what was measured about them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from labkit._checks import require_known
from labkit.evaluate import effective_rank
from labkit.explore import _maps, _trust, _words
from labkit.explore._colours import Colouring
from labkit.explore._maps import SLOW, Map
from labkit.explore._slow import Job, finish
from labkit.explore._space import Series, Space


class Lens:
    """Computes and keeps the maps of one embedding.

    Attributes:
        side: "left" or "right".
        series: the embedding at one or more epochs.
        map: what is shown.
        frame: which epoch is looked at.
    """

    def __init__(self, side: str, series: Series, classes: Colouring | None, k: int, seed: int):
        self.side, self.series, self.classes, self.k, self.seed = side, series, classes, k, seed
        self.frame = len(series) - 1
        self.job: Job | None = None
        self._results: dict[tuple[str, int], tuple[np.ndarray, str]] = {}
        self._full: dict[int, float | None] = {}
        # Two dimensions need no projection; everything else starts with the one that is there at once.
        self.map = self.compute("raw" if series.dim == 2 else "pca", None)

    @property
    def space(self) -> Space:
        return self.series.at(self.frame)

    @property
    def mapped(self) -> Space:
        """What the map is of: a slow one stays that of its epoch while another is looked at."""
        return self.series.at(self._epoch())

    @property
    def xy(self) -> np.ndarray:
        """[n, 2] positions at the epoch looked at."""
        return self.map.at(self.frame)

    @property
    def coordinates(self) -> np.ndarray:
        """[n, 2] positions for the user: on a map of raw dimensions, those of the embedding, which is drawn centred."""
        if self.map.kind != "raw":
            return self.xy
        rows = self.series.frames[self.frame]
        rows = normalize(rows, dim=1) if self.series.metric == "cosine" else rows
        return (rows @ self.map.plane).numpy()

    def kinds(self) -> list[dict[str, str]]:
        """The menu of maps."""
        several = len(self.series) > 1
        at_once = [("pca", "PCA, one for all epochs" if several else "PCA")]
        at_once += [("pca-aligned", "PCA of each epoch, aligned")] if several else []
        at_once += [("raw", "raw dimensions")]
        at_once += [("probe", "probe directions")] if self.classes and 2 <= len(self.classes.names) <= 100 else []
        later = list(SLOW.items()) if len(self.space) >= 4 else []
        groups = (("at once", at_once), ("takes a while", later))
        return [{"id": kind, "label": label, "group": group} for group, list_ in groups for kind, label in list_]

    def check(self, kind: str) -> None:
        known = [entry["id"] for entry in self.kinds()]
        require_known("map", kind, known)

    def is_ready(self, kind: str) -> bool:
        return kind not in SLOW or (kind, self.frame) in self._results

    def compute(self, kind: str, axes: Sequence[int] | None) -> Map:
        """A map that is there at once, or a slow one whose result has come."""
        if kind in SLOW:
            result, note = self._results[kind, self.frame]
            axes = tuple(axes) if axes else None
            note += f", epoch {self.series.epochs[self.frame]}" if len(self.series) > 1 else ""
            return finish(kind, result, note, axes, self.xy, self.frame if len(self.series) > 1 else None)
        if kind == "probe":
            return _maps.probe(self.series, self.classes.codes, self.classes.names, axes)
        return {"pca": _maps.pca, "pca-aligned": _maps.pca_aligned, "raw": _maps.raw}[kind](self.series, axes)

    def prepare(self, kind: str) -> Callable[[Callable[[float, str], None]], None]:
        """Work for a thread, which computes a slow map and reports its progress; ``stop`` ends it from now on."""
        job, frame = Job(kind, self.space, self.seed), self.frame
        self.job = job

        def work(progress: Callable[[float, str], None]) -> None:
            try:
                self._results[kind, frame] = job.run(progress)
            finally:
                if self.job is job:
                    self.job = None

        return work

    def stop(self) -> None:
        if self.job:
            self.job.stop()

    def payload(self) -> dict[str, Any]:
        """The map as it travels to the browser."""
        m = self.map
        xy = np.ascontiguousarray(m.xy, dtype=np.float32)
        return {
            "map": m.kind, "label": m.label, "space": self.series.name, "axes": list(m.axes), "names": list(m.names),
            "choices": m.choices if len(m.choices) <= 300 else [], "notes": m.notes, "n": xy.shape[1],
            "frames": len(xy), "view": m.view, "xy": xy.tobytes(),
        }  # fmt: skip

    def found(self) -> _words.Findings | None:
        """What is known about the current map at the current epoch, without computing anything."""
        return self.map.found.get(self._epoch())

    def measure(self) -> _words.Findings:
        """Measure the current map at its epoch against the original space; kept once measured."""
        shown, frame = self.map, self.frame  # once: this runs in a thread, and both may change meanwhile
        epoch = frame if shown.frame is None else shown.frame
        if epoch not in shown.found:
            shown.found[epoch] = self._measure(self.series.at(epoch), shown.at(frame), epoch)
        return shown.found[epoch]

    def _epoch(self) -> int:
        return self.frame if self.map.frame is None else self.map.frame

    def _measure(self, space: Space, xy: np.ndarray, frame: int) -> _words.Findings:
        if len(space) < 3 or space.variance == 0:
            return _words.Findings()
        most = 3000 if len(space) <= 3000 else 1000 if len(space) <= 100_000 else 300
        rows = _trust.some(len(space), most, self.seed)
        trust = _trust.measure(space, np.asarray(xy, dtype=np.float64), self.k, rows)
        sample = space.x[:: max(1, len(space) // 3000)]
        rank = effective_rank(sample) if 2 < space.dim <= 2048 else None
        if self.classes is None:
            return _words.Findings(trust, rank=rank)
        full, flat = self._probe_full(space, frame), None
        if full is not None:
            flat = _trust.probe_accuracy(torch.from_numpy(np.array(xy)), self.classes.codes, self.seed)
        return _words.Findings(trust, full, flat, rank)

    def _probe_full(self, space: Space, frame: int) -> float | None:
        if frame not in self._full:
            self._full[frame] = _trust.probe_accuracy(space.x, self.classes.codes, self.seed)
        return self._full[frame]
