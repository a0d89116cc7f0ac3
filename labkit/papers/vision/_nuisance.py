"""What the papers of this theme share on ``nuisance-mnist``: views, encoder, training, probe."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from labkit.claims import Evidence, Lab
from labkit.evaluate import Protocol
from labkit.methods import Method
from labkit.models import MLP, resnet8
from labkit.recipes import Recipe
from labkit.train import Run
from labkit.views import ColorJitter, Compose, GaussianNoise, RandomInvert, RandomResizedCrop

SOURCE = (
    "ours: views and training of simclr/nuisance-mnist, which were chosen by k-NN on 800 of the 4 000 training images"
)


def nuisance_view(
    crop: float = 0.4, invert: float = 0.5, jitter: float = 0.4, noise: float = 0.05, size: int = 28
) -> Compose:
    """Views that change what ``nuisance-mnist`` hides its digits under: place, polarity, contrast, background.

    Args:
        crop: smallest share of the area that a crop keeps.
        invert: probability of inverting black and white.
        jitter: strength of brightness and contrast changes.
        noise: standard deviation of added noise.
        size: side of the output in pixels.
    """
    return Compose(
        [
            RandomResizedCrop(size, scale=(crop, 1.0)),
            ColorJitter(brightness=jitter, contrast=jitter, saturation=0, hue=0, p=1.0),
            RandomInvert(invert),
            GaussianNoise(noise),
        ]
    )


def encoder_of(images):
    """The encoder that every paper of the theme trains: 77 000 weights."""
    return resnet8(16, images.images.shape[1])


def head(dim: int, out: int, hidden: int = 128, layers: int = 2) -> MLP:
    """A projector or predictor with batch norm, narrow as the encoder is."""
    return MLP(dim, hidden, out, layers=layers, norm="batch")


def nuisance_recipe(paper: str, build: Callable[..., Method], **changes: Any) -> Recipe:
    """``build(images)`` trained as SimCLR's recipe is, but for ``changes`` of the recipe's fields."""
    recipe = Recipe(
        name=f"{paper}/nuisance-mnist",
        data="nuisance-mnist",
        build=build,
        training={"epochs": 18, "lr": 4e-3, "schedule": "cosine"},
        protocols={"knn": Protocol.public("knn", k=20)},
        source=SOURCE,
        batch_size=64,
        smoke={"epochs": 1},
        smoke_load={"n_train": 128, "n_test": 100},
        variant="laptop",
    )
    return replace(recipe, **changes)


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with other arguments of its ``build``: a control."""
    return replace(recipe, build=partial(recipe.build, **changes))


def against(lab: Lab, recipe: Recipe, control: Recipe, with_name: str, without_name: str, **words: str) -> Evidence:
    """k-NN accuracy of a recipe against that of its control, seed by seed."""
    return Evidence(lab.scores(recipe), lab.scores(control), with_name, without_name, **words)


def against_raw(lab: Lab, recipe: Recipe, name: str) -> Evidence:
    """k-NN accuracy of a recipe against that of raw pixels."""
    trained = lab.scores(recipe)
    return Evidence(trained, [lab.floors(recipe)["raw"].mean] * len(trained), name, "raw pixels")


def last(runs: list[Run], fact: str) -> list[float]:
    """The last value of a fact in the history of each run."""
    return [run.history[fact][-1] for run in runs]


def spread(runs: list[Run]) -> list[float]:
    """How far the directions of what the loss sees lie apart at the end: 0 (one point) to 1."""
    return [run.spectra["z"][-1].sum().item() for run in runs]
