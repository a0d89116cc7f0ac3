"""What the papers of this theme share on ``nuisance-mnist``: views, encoder, training, probe."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from labkit.claims import Evidence, Lab
from labkit.evaluate import Protocol
from labkit.methods import Method, Supervised
from labkit.models import MLP, resnet8
from labkit.recipes import Recipe
from labkit.train import Minibatches, Run
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
    """``build(images)`` trained as SimCLR's recipe is, but for ``changes`` of the recipe's fields; with its ceiling."""
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
    return replace(recipe, ceiling=supervised(recipe, nuisance_view()), **changes)


def supervised(recipe: Recipe, view: Callable, encoder: Callable = encoder_of) -> Recipe:
    """The ceiling of ``recipe``: the same encoder on the same images and for the same training, with labels.

    Args:
        recipe: of the default training, so that a data set has one ceiling and not one a paper.
        view: the recipe's.
        encoder: data set -> encoder, as the recipe builds it.
    """
    return replace(
        recipe,
        name=f"supervised/{recipe.data}",
        build=partial(_with_labels, encoder, view),
        batches=partial(numbered, size=recipe.batch_size),
        source="ours: encoder, views and training of the recipes that it stands beside, and the labels",
    )


def _with_labels(encoder: Callable, view: Callable, images) -> Supervised:
    return Supervised(encoder(images), view, images.labels[images.splits["train"]])


def numbered(images, size: int = 64) -> Minibatches:
    """Batches of the training images with their rows among them."""
    train = images.images[images.splits["train"]]
    return Minibatches(train, min(size, len(train)), numbered=True)


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
