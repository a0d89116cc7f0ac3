"""A recipe over its seeds: in turn, in worker processes, or on a cluster; an interrupted sweep goes on."""

import json
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit._checksum import checksum
from labkit._default_type import in_float32
from labkit._files import write_json
from labkit.evaluate import CrossValidation, Protocol, Score
from labkit.recipes._circumstances import circumstances, code
from labkit.recipes._material import Material
from labkit.recipes._recipe import Recipe, chosen_seeds, printed
from labkit.train import Run, finished, fit, seeded, to_device

_in_turn = threading.Lock()  # workers that are threads of one process share its random numbers: one trains at a time


@dataclass(frozen=True)
class Trained:
    """What one seed gave.

    Attributes:
        seed: the seed.
        scores: of the trained method's embedding, by protocol.
        untrained: the same before its first step.
        seconds: of training.
        restored: it was trained before an interruption, not now.
    """

    seed: int
    scores: dict[str, Score]
    untrained: dict[str, Score]
    seconds: float
    restored: bool = False

    @classmethod
    def read(cls, record: dict[str, Any]) -> "Trained":
        kinds = ({name: Score.of(**one) for name, one in record[kind].items()} for kind in ("scores", "untrained"))
        return cls(record["seed"], *kinds, seconds=record["seconds"], restored=True)

    @property
    def record(self) -> dict[str, Any]:
        """As JSON can hold it."""
        kept = ("values", "over", "protocol")
        kinds = {
            kind: {name: {key: getattr(score, key) for key in kept} for name, score in getattr(self, kind).items()}
            for kind in ("scores", "untrained")
        }
        return {"seed": self.seed, "seconds": self.seconds} | kinds


@checked(numbers=False)
@in_float32()
def train(recipe: Recipe, material: Material, seed: int, **changes) -> Run:
    """Build the recipe's method from ``seed`` and train it; the snapshot at epoch 0 is the untrained encoder.

    Raises:
        KeyboardInterrupt: ctrl-C, which ``fit`` alone takes for an early end: half a training is no measurement.
    """
    with seeded(seed):
        method = recipe.build(material.dataset)
    arguments = recipe.training | changes
    looks = {0, *(arguments.get("snapshots") or ())}
    if "epochs" in changes and "snapshots" not in changes:  # the recipe's own looks, as far as they are reached
        looks = {epoch for epoch in looks if epoch <= changes["epochs"]}
    arguments["snapshots"] = sorted(looks)
    batches = recipe.batches(material.dataset) if recipe.batches else material.batches(recipe.batch_size)
    return finished(fit(method, batches, seed=seed, watch=material.items, **arguments))


@checked(numbers=False)
def sweep(
    recipe: Recipe,
    material: Material,
    seeds: Sequence[int],
    protocols: Mapping[str, Protocol | CrossValidation],
    *,
    jobs: int = 1,
    backend: str | None = None,
    keep: Path | None = None,
    on_seed: Callable[[Trained], None] | None = None,
    **training,
) -> list[Trained]:
    """Train the recipe once for each seed and score each training under every protocol; in the order of ``seeds``.

    Args:
        protocols: by name.
        jobs: worker processes (joblib); each gets its share of the cores.
        backend: a joblib backend, e.g. "dask" while a ``distributed.Client`` is connected, to train on its cluster.
        keep: a JSON file that gets every seed as it ends. Seeds in it are not trained again. A write that fails (full
            disk) warns, and the sweep goes on.
        on_seed: called as each seed ends, those of ``keep`` first.

    Raises:
        ValueError: ``jobs`` < 1, a seed twice, an unknown backend, or ``keep`` comes from other settings, other data or
            another commit.
    """
    require_counts(jobs=jobs)
    seeds = chosen_seeds(seeds)
    settings = _settings(recipe, material, protocols, training) if keep else {}
    done = {trained.seed: trained for trained in _read(keep, settings)}  # also of seeds that are not asked for now
    for seed in seeds:
        if on_seed and seed in done:
            on_seed(done[seed])
    missing = [seed for seed in seeds if seed not in done]
    for trained in _each(recipe, material, missing, protocols, jobs, backend, training):
        done[trained.seed] = trained
        if keep:
            _keep(keep, settings, done.values())
        if on_seed:
            on_seed(trained)
    return [done[seed] for seed in seeds]


def _each(recipe, material, seeds, protocols, jobs, backend, training) -> Iterator[Trained]:
    """Each seed as it ends."""
    if jobs == 1 and backend is None:
        for seed in seeds:
            yield _one(recipe, material, seed, protocols, training)
        return
    from joblib import Parallel, delayed, parallel_config
    from joblib.parallel import get_active_backend

    quiet = training | {"progress": False}  # bars of several processes would write over each other
    tasks = (delayed(_one)(recipe, material, seed, protocols, quiet) for seed in seeds)
    try:
        context = parallel_config(backend=backend or _workers(), n_jobs=jobs)
    except (ValueError, ImportError) as error:
        raise ValueError(f"joblib has no backend {backend!r} here: {error}") from error
    with context:
        if get_active_backend()[0].supports_return_generator:
            yield from Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
        else:  # Ray, multiprocessing: in rounds, so that what has ended is kept
            while some := list(islice(tasks, jobs)):
                yield from Parallel(n_jobs=jobs)(some)


def _workers():
    """joblib's processes on this machine, each of which watches this one from its start, before it has a seed."""
    from joblib.parallel import LokyBackend

    class Workers(LokyBackend):
        def configure(self, *arguments, **options):  # joblib 1.4 takes an initializer here and nowhere else
            return super().configure(*arguments, initializer=_end_with, initargs=(os.getpid(),), **options)

    return Workers()


def _end_with(parent: int) -> None:
    """End this worker when its parent was killed, rather than train on, or wait for minutes, for nobody."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _one(recipe: Recipe, material: Material, seed: int, protocols, training: dict[str, Any]) -> Trained:
    with _in_turn:
        run = train(recipe, material, seed, **training)
    device = next(run.method.parameters()).device

    def scores(z: Tensor) -> dict[str, Score]:
        # predictions of every item stay where they were made: a sweep needs the scores alone
        return {name: replace(material.score(one, z), details={}) for name, one in protocols.items()}

    trained = scores(run.method.embed(to_device(material.items, device)))
    return Trained(seed, trained, scores(run.snapshots[0]), run.seconds)


def _settings(recipe: Recipe, material: Material, protocols: Mapping[str, Any], training: dict[str, Any]) -> dict:
    """What must be equal for seeds of an earlier sweep to count in this one.

    Of the data every tensor.

    Cost: that of :func:`fingerprint`, and a checksum at some GB/s.
    """
    where = circumstances(training.get("device") or "auto")
    return (
        fingerprint(recipe, material, **training)
        | {
            "data": [str(material.dataset), checksum(material.dataset)],
            "protocol": {name: repr(protocol) for name, protocol in protocols.items()},
            "device": str(training.get("device")),
            **{name: where[name] for name in ("versions", "precision")},
        }
        | code()
    )


def fingerprint(recipe: Recipe, material: Material, **training) -> dict[str, Any]:
    """What a recipe is, as a file can hold it: of ``build``, which is code of anybody's, what it gives for one seed.

    Cost: one method.
    """
    with seeded(0):
        method = recipe.build(material.dataset)
    return {
        "recipe": recipe.name,
        "variant": recipe.variant,
        "untrained method": checksum(method),
        "training": printed(recipe.training | training),
        "batch size": recipe.batch_size,
    }


def _keep(keep: Path, settings: dict[str, Any], done: Iterable[Trained]) -> None:
    try:
        write_json(keep, {"settings": settings, "done": [one.record for one in done]})
    except OSError as error:
        goes_on = "the sweep goes on; seeds that are missing there are trained again if it is interrupted"
        warnings.warn(f"{error.strerror}; {goes_on}", stacklevel=4)


def forget(keep: Path, seeds: Iterable[int]) -> None:
    """Take from the file what :func:`sweep` kept of these seeds; with the last of them the file goes."""
    if keep.is_file():
        record = json.loads(keep.read_text(encoding="utf-8"))
        record["done"] = [one for one in record["done"] if one["seed"] not in seeds]
        if record["done"]:
            write_json(keep, record)
        else:
            keep.unlink()


def _read(keep: Path | None, settings: dict[str, Any]) -> list[Trained]:
    if keep is None or not keep.is_file():
        return []
    try:
        record = json.loads(keep.read_text(encoding="utf-8"))
        before, done = dict(record["settings"]), [Trained.read(one) for one in record["done"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{keep} is not what an interrupted sweep leaves ({error}); delete it to start anew"
        ) from error
    other = [name for name, value in settings.items() if before.get(name) != value]
    if other:
        raise ValueError(f"{keep} is from a sweep with another {' and '.join(other)}; delete it to start anew")
    return done
