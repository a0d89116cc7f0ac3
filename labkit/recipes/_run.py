"""Run a recipe over seeds, with its floors."""

import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labkit._arguments import checked
from labkit._default_type import in_float32
from labkit.data import load
from labkit.evaluate import Score
from labkit.recipes._circumstances import circumstances
from labkit.recipes._material import Material
from labkit.recipes._recipe import Recipe, Result, choose_protocol, chosen_seeds, printed
from labkit.recipes._sweep import Trained, sweep
from labkit.train import choose_device


@checked(numbers=False)
def run(
    recipe: Recipe, seeds: int | Sequence[int] = 5, *, protocol: str | None = None, dataset=None, **options
) -> Result:
    """Train and score a recipe once for each seed, with its floors and, where it has one, its ceiling.

    Args:
        recipe: what to run.
        seeds: how many (0, 1, ...) or which.
        protocol: one of ``recipe.protocols``; None: the first.
        dataset: in place of ``load(recipe.data)``.
        options: as :func:`run_protocols` has them.

    Raises:
        ValueError: an unknown protocol, no seeds, or what ``fit``, the protocol and the sweep refuse.
    """
    return run_protocols(recipe, seeds, [protocol], dataset=dataset, **options)[0]


@checked(numbers=False)
@in_float32()
def run_protocols(
    recipe: Recipe,
    seeds: int | Sequence[int] = 5,
    protocols: Sequence[str | None] = (None,),
    *,
    dataset=None,
    device: str = "auto",
    progress: bool = True,
    on_seed: Callable[[Trained], None] | None = None,
    jobs: int = 1,
    backend: str | None = None,
    keep: Path | None = None,
    results: Path | None = None,
    **training,
) -> list[Result]:
    """Train a recipe once for each seed and score the same trainings under several protocols: a result each.

    Args:
        recipe, seeds, dataset: as in :func:`run`.
        protocols: of ``recipe.protocols``; None stands for the first.
        device, progress: as in ``fit``.
        on_seed: called with what a seed gave, as it ends.
        jobs: worker processes that share the seeds.
        backend: a joblib backend by name, to spread the seeds over its cluster: "dask" while a ``distributed.Client``
            is connected, "ray" after ``ray.util.joblib.register_ray()``.
        keep: a file that gets every seed as it ends, so that the same call goes on where it was interrupted; the
            ceiling's go to one beside it, NAME.ceiling.
        results: a folder of saved results. A ceiling of these seeds that is there is not trained again; it keeps the
            commit that it was measured at.
        training: changes to the recipe's ``fit`` arguments, e.g. ``epochs=20``; to its ceiling's too.
    """
    chosen = dict(choose_protocol(recipe, name) for name in protocols)
    seeds = chosen_seeds(seeds)
    device = choose_device(device)
    started, where = time.perf_counter(), circumstances(device)
    of_another = dataset is not None or training  # than what was measured before
    saved = saved_results(results) if recipe.ceiling and results and not of_another else []
    material = Material(load(recipe.data, **recipe.load_options) if dataset is None else dataset)
    for protocol in chosen.values():
        protocol.check(material.labels, material.dataset)
    floors = {name: material.floors(protocol) for name, protocol in chosen.items()}

    options = {"device": device, "progress": progress, "jobs": jobs, "backend": backend} | training
    found = sweep(recipe, material, seeds, chosen, keep=keep, on_seed=on_seed, **options)
    pooled = {name: Score.pool(one.scores[name] for one in found) for name in chosen}
    options["keep"] = of_ceiling(keep)
    ceilings = _ceilings(recipe, material, seeds, chosen, pooled, saved, options, where["commit"])

    seconds = time.perf_counter() - started + sum(one.seconds for one in found if one.restored)
    given = []
    for name, score in pooled.items():
        facts = {floor: _facts(value) for floor, value in floors[name].items()}
        facts["untrained"] = _facts(Score.pool(one.untrained[name] for one in found))
        paper, ceiling = recipe.paper.get(name), ceilings.get(name)
        result = Result(
            recipe=recipe.name,
            variant=recipe.variant,
            protocol=score.protocol,
            protocol_name=name,
            seeds=seeds,
            scores=list(score.values),
            mean=score.mean,
            std=score.std,
            over=score.over,
            floors=facts,
            paper=asdict(paper) if paper else None,
            seconds=seconds,
            command=_command(recipe, seeds, chosen, dataset, training, jobs),
            training=printed(recipe.training | training),
            batch_size=recipe.batch_size,
            ceiling=ceiling,
            **where,
        )
        given.append(result)
    return given


def _command(recipe: Recipe, seeds, protocols: Iterable[str], dataset, training: dict[str, Any], jobs: int) -> str:
    """What gives the same result: a command where one can, else a call; data in memory has no name."""
    if dataset is None and training.keys() <= {"epochs"} and seeds == list(range(len(seeds))):
        words = ["labkit", "run", recipe.name, "--seeds", len(seeds)]
        for name in protocols:
            words += ["--protocol", name]
        if "epochs" in training:
            words += ["--epochs", training["epochs"]]
        if jobs > 1:
            words += ["--jobs", jobs]
        return " ".join(map(str, words))
    options = {} if dataset is None else {"dataset": "..."}
    options |= {name: repr(value) for name, value in training.items()} | ({"jobs": jobs} if jobs > 1 else {})
    more = "".join(f", {name}={value}" for name, value in options.items())
    return f"recipes.run_protocols(papers.recipe({recipe.name!r}), {seeds}, {list(protocols)}{more})"


def of_ceiling(keep: Path | None) -> Path | None:
    """Where the seeds of a ceiling are kept, beside those of its recipe."""
    return keep and keep.with_name(f"{keep.name}.ceiling")


def _ceilings(recipe, material, seeds, chosen, pooled, saved, options, commit: str) -> dict[str, dict[str, Any]]:
    """The ceiling by protocol: as it was measured before, or trained now."""
    if not recipe.ceiling:
        return {}
    known = {name: _measured(recipe.ceiling, pooled[name], seeds, saved) for name in chosen}
    missing = {name: protocol for name, protocol in chosen.items() if not known[name]}
    trained = sweep(recipe.ceiling, material, seeds, missing, **options) if missing else []
    known |= {name: (Score.pool(one.scores[name] for one in trained), commit) for name in missing}
    return {
        name: {"recipe": recipe.ceiling.name, "commit": commit} | _facts(score)
        for name, (score, commit) in known.items()
    }


def saved_results(results: Path) -> list[dict[str, Any]]:
    """The results that were saved in a folder; JSON of anything else is passed over.

    Raises:
        ValueError: a file is torn. It is said before anything is trained.
    """
    wanted = {"recipe", "protocol", "seeds", "scores", "commit"}
    records = []
    for path in sorted(results.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no whole JSON file ({error}); remove it, or run it again") from error
        if isinstance(record, dict) and wanted <= record.keys():
            records.append(record)
    return records


def _measured(recipe: Recipe, like: Score, seeds: list[int], saved: list[dict[str, Any]]) -> tuple[Score, str] | None:
    """The recipe's scores of these seeds under the protocol of ``like``, if a saved result holds them all; its commit.

    What ``build`` is no file can say: that is what the commit is for.
    """
    wanted = (recipe.name, printed(recipe.training), recipe.batch_size, like.protocol)
    for record in saved:
        batch_size = record.get("batch_size", recipe.batch_size)  # older results did not say
        if (record["recipe"], record.get("training"), batch_size, record["protocol"]) == wanted:
            scores = dict(zip(record["seeds"], record["scores"], strict=True))
            if scores.keys() >= set(seeds):
                return Score.of([scores[seed] for seed in seeds], like.over, like.protocol), record["commit"]
    return None


@checked
def spread(values: Sequence[float]) -> float:
    """Standard deviation (n − 1); 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _facts(score: Score) -> dict[str, Any]:
    return {"mean": score.mean, "std": score.std, "over": score.over}
