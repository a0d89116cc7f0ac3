"""What a paper's recipe is compared with: itself with one thing changed, itself untrained, and floors of its probe."""

from dataclasses import replace
from functools import partial
from typing import Any

from labkit.claims import Evidence, Lab
from labkit.methods import Method
from labkit.recipes import Recipe
from labkit.train import seeded


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with other arguments of its ``build``: a control."""
    return replace(recipe, build=partial(recipe.build, **changes))


def untrained(lab: Lab, recipe: Recipe) -> list[Method]:
    """The recipe's methods before their first step, one a seed."""
    methods = []
    for seed in lab.seeds:
        with seeded(seed):
            methods.append(recipe.build(lab.material(recipe).dataset))
    return methods


def against_untrained(lab: Lab, recipe: Recipe, name: str, untrained: str = "untrained", note: str = "") -> Evidence:
    """A recipe's scores against those of the same encoders before their first step."""
    before = lab.scores(recipe, embed=lambda run: run.snapshots[0])
    return Evidence(lab.scores(recipe), before, name, untrained, note=note)


def against_floor(lab: Lab, recipe: Recipe, name: str, floor: str, floor_name: str, note: str = "") -> Evidence:
    """A recipe's scores against one of ``lab.floors`` ("raw", "propagated", "random GIN", ...)."""
    scores = lab.scores(recipe)
    return Evidence(scores, [lab.floors(recipe)[floor].mean] * len(scores), name, floor_name, note=note)


def against_propagation(lab: Lab, recipe: Recipe, name: str, note: str = "") -> Evidence:
    """A recipe's scores against A²X, features sent twice along the edges, which the papers' tables leave out."""
    said = "; ".join(filter(None, ["A floor that the paper does not report", note.rstrip(".")])) + "."
    return against_floor(lab, recipe, name, "propagated", "A²X", said)
