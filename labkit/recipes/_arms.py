"""Several recipes side by side, over the same seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from labkit._arguments import checked
from labkit._checks import unknown
from labkit._default_type import in_float32
from labkit.data import load
from labkit.recipes._kept import Kept
from labkit.recipes._material import Material
from labkit.recipes._recipe import Recipe, choose_protocol, chosen_seeds
from labkit.recipes._sweep import fingerprint, train

RAW = {"raw": "raw"}


@checked(numbers=False)
@in_float32()
def over_seeds(
    arms: Mapping[str, Recipe],
    seeds: int | Sequence[int],
    path: str | Path | None = None,
    *,
    protocol: str | None = None,
    floors: Mapping[str, str] = RAW,
    looks: Sequence[int] = (),
    **changes,
) -> dict[str, list]:
    """Scores of recipes on one data set that start alike, beside what nothing trained reaches.

    Args:
        arms: recipes by name.
        seeds: trainings of each: how many (0, 1, ...) or which.
        path: JSON to which every arm is written as it is done; those that are there with these settings, of the same
            recipe, are not redone. What tells recipes apart is name, training and the untrained method with its plain
            values: two that differ only in their batches or in a plain function need another name. None: nothing is
            written.
        protocol: one that the recipes have; None: the first.
        floors: what a floor is called here -> its name among those of the material ("raw", "propagated", ...).
        looks: epochs after which to score; (): after the last one.
        changes: other arguments of ``fit``, e.g. ``epochs=20``.

    Returns:
        name -> score for each seed, of several ``looks`` a list of them for each seed; the floors, one number each; and
        "untrained", one for each seed.

    Cost: a training and its scoring for each arm and seed.

    Raises:
        ValueError: no arm, no seed, one twice, an unknown protocol or floor, an arm with a floor's name, or arms on
            different data.

    Example:
        >>> over_seeds({"τ = 0.1": colder, "τ = 0.5": warmer}, seeds=3, path="temperatures.json")
    """
    if not arms:
        raise ValueError("arms is empty: name at least one recipe, e.g. {'τ = 0.5': recipe}")
    if taken := {*floors, "untrained"} & arms.keys():
        raise ValueError(f"arms must not be named {' or '.join(sorted(taken))}, as what nothing trained reaches is")
    seeds, one = chosen_seeds(seeds), next(iter(arms.values()))
    _, chosen = choose_protocol(one, protocol)
    if looks:
        changes |= {"snapshots": sorted({0, *looks})}
    for name, recipe in arms.items():
        if (recipe.data, str(recipe.load_options)) != (one.data, str(one.load_options)):
            raise ValueError(f"arms must share one data set: {name!r} is of {recipe.data}, loaded in its own way")
    facts = {"data": one.data, "options": str(one.load_options), "looks": list(looks), "changes": changes}
    kept = Kept(path, "accuracy", seeds=seeds, protocol=str(chosen), floors=dict(floors), **facts)
    material = Material(load(one.data, **one.load_options))
    if "untrained" not in kept.found:
        reached = material.floors(chosen)
        for called, floor in floors.items():
            if floor not in reached:
                raise ValueError(unknown(f"floor of {one.data}", floor, reached))
            kept.found[called] = [reached[floor].mean]

    def score(embedding: Tensor) -> float:
        return material.score(chosen, embedding).mean

    for place, (name, recipe) in enumerate(arms.items()):
        made_of = fingerprint(recipe, material)
        start = made_of["untrained method"]
        control = place == 0 and kept.of.get("untrained", start) != start  # the first arm's; it starts otherwise now
        if name in kept.found and kept.of.get(name) == made_of and not control:
            continue
        runs = [train(recipe, material, seed, progress=False, **changes) for seed in seeds]
        if control or "untrained" not in kept.found:
            kept.found["untrained"], kept.of["untrained"] = [score(run.snapshots[0]) for run in runs], start
        if looks:
            kept.found[name] = [[score(run.snapshots[epoch]) for epoch in looks] for run in runs]
        else:
            kept.found[name] = [score(run.method.embed(material.items)) for run in runs]
        kept.of[name] = made_of
        kept.write()
    return {name: kept.found[name] for name in (*floors, "untrained", *arms)}
