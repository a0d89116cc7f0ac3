"""Slow maps, computed beside the notebook and brought into the orientation of the map they follow."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from labkit.explore._maps import SLOW, Map, pick, procrustes
from labkit.explore._space import Space


class Job:
    """One slow map on its way. ``run`` blocks until it is there and is meant for a thread; ``stop`` ends it."""

    def __init__(self, kind: str, space: Space, seed: int):
        self.kind, self.space, self.seed = kind, space, seed
        self.process: subprocess.Popen | None = None
        self.stopped = False

    def run(self, progress: Callable[[float, str], None]) -> tuple[np.ndarray, str]:
        """Raw result of the worker and the words that describe it.

        Raises:
            RuntimeError: the worker failed, with the last line it wrote; or it was stopped.
        """
        with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
            source, target, errors = (Path(folder) / name for name in ("x.npy", "xy.npy", "errors.txt"))
            np.save(source, self.space.x.numpy())
            command = [sys.executable, str(Path(__file__).with_name("_worker.py")), self.kind]
            with open(errors, "w", encoding="utf-8") as log:
                self.process = subprocess.Popen(
                    [*command, str(source), str(target), str(self.seed)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    encoding="utf-8",
                    env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
                )
                if self.stopped:  # before there was a process to end
                    self.process.kill()
                note = ""
                for line in self.process.stdout:
                    if line.startswith("{"):
                        said = json.loads(line)
                        note = said["note"]
                        progress(said["share"], note)
                code = self.process.wait()
                self.process.stdin.close()
                self.process.stdout.close()
            if self.stopped:
                raise RuntimeError(f"{SLOW[self.kind]} was stopped")
            if code:
                last = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or [
                    f"exit status {code}"
                ]
                raise RuntimeError(f"{SLOW[self.kind]} failed: {last[0]}")
            return np.load(target), note

    def stop(self) -> None:
        self.stopped = True
        if self.process and self.process.poll() is None:
            self.process.kill()


def finish(
    kind: str, result: np.ndarray, note: str, axes: tuple[int, int] | None, toward: np.ndarray, frame: int | None
) -> Map:
    """The map that a worker's result is. UMAP and t-SNE know no up: they are turned towards the map shown before."""
    if kind == "spectral":
        values, vectors = result[0], result[1:]
        i, j = pick(axes, vectors.shape[1], "eigenvectors")
        choices = [f"eigenvector {c + 1} (λ {value:.3g})" for c, value in enumerate(values)]
        label = f"spectral map ({note})"
        spread = np.diff(values[[min(i, j), max(i, j)]])[0]
        twins = i != j and spread < 0.02 * max(values[max(i, j)], 1e-12)
        claims = ["has almost equal eigenvalues, so its **axes are arbitrary**"] if twins else []
        return Map(
            kind,
            label,
            vectors[None][:, :, [i, j]].copy(),
            (i, j),
            (choices[i], choices[j]),
            choices,
            frame=frame,
            claims=claims,
        )
    centred = (result - result.mean(axis=0)).astype(np.float64)
    toward = (toward - toward.mean(axis=0)).astype(np.float64)
    turned = procrustes(centred, toward)[0].astype(np.float32)
    return Map(kind, note, turned[None], names=("", ""), frame=frame)
