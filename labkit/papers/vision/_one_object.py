"""What the pretext papers share: pictures of one object of the world, encoder, training, probe, and what is asked."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from labkit.claims import Evidence, Lab
from labkit.evaluate import Protocol
from labkit.methods import Method
from labkit.models import ResNet, resnet8
from labkit.papers.vision._nuisance import supervised
from labkit.recipes import Recipe
from labkit.train import seeded
from labkit.views import unit_images

# Upright, large, and lit by the viewer: no shadow and no slope of the light says where a pixel lies or what is up.
ONE_OBJECT = {"objects": (1, 1), "scale": (0.55, 0.75), "x": (-0.2, 0.2), "y": (-0.2, 0.2), "angle": (-15, 15)}
ONE_OBJECT |= {"light_height": 90.0, "shadow": 0.0}
SIDE = 40
RIGHT = "share of questions answered"
SOURCE = "ours: chosen by pretext accuracy and a probe on scenes of another seed than those of the recipe"


def world_recipe(paper: str, build: Callable[..., Method], side: int = SIDE, **changes: Any) -> Recipe:
    """``build(images)`` on 2 000 pictures of one object of 12 shapes; a linear probe; with its ceiling.

    Args:
        paper: its name.
        side: of the pictures in pixels.
        changes: of the recipe's fields.
    """
    recipe = Recipe(
        name=f"{paper}/world",
        data="world",
        build=build,
        training={"epochs": 10, "lr": 8e-3, "schedule": "cosine"},
        protocols={"linear": Protocol.public("linear", select="cross-validation"), "knn": Protocol.public("knn", k=20)},
        source=SOURCE,
        batch_size=64,
        load_options={"n_train": 2000, "n_test": 600, "size": side, "factors": ONE_OBJECT},
        smoke={"epochs": 1},
        smoke_load={"n_train": 192, "n_test": 96},
        variant="laptop",
    )
    ceiling = supervised(recipe, f"one-object-{side}", lambda images: unit_images, small_encoder)
    return replace(recipe, ceiling=ceiling, **changes)


def small_encoder(images) -> ResNet:
    """19 000 weights, 32 numbers an image."""
    return resnet8(8, images.images.shape[1])


def held_out(lab: Lab, recipe: Recipe) -> Tensor:
    """The pictures that the recipe tests on."""
    images = lab.material(recipe).dataset
    return images.images[images.splits["test"]]


def answered(lab: Lab, recipe: Recipe, images: Tensor | None = None) -> list[float]:
    """Share of right answers to the recipe's pretext question, one a seed, about held-out pictures or others."""
    images = held_out(lab, recipe) if images is None else images
    return [run.method.accuracy(images) for run in lab.runs(recipe)]


def share_read(lab: Lab, recipe: Recipe, reader: Callable[[Tensor], Tensor]) -> list[float]:
    """Share of the recipe's questions that ``reader(pieces)`` answers, which never learned anything; one a seed."""
    images, shares = held_out(lab, recipe), []
    for seed in lab.seeds:
        with seeded(seed):
            pieces, answers = recipe.build(lab.material(recipe).dataset).question(images)
        shares.append((reader(pieces) == answers).double().mean().item())
    return shares


def below(values: list[float], bound: float, name: str, bound_name: str, **words: str) -> Evidence:
    """That values stay below a bound: the bound is the treatment, so that larger means right."""
    return Evidence([bound] * len(values), values, bound_name, name, **words)
