"""What the papers of this theme share: data sets, views, encoder, training, probe, ceiling."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit.claims import Evidence, Lab
from labkit.evaluate import Protocol
from labkit.methods import Method, Supervised
from labkit.models import MLP, resnet8
from labkit.papers._controls import against_floor
from labkit.papers._controls import changed as changed
from labkit.recipes import Recipe
from labkit.train import Minibatches
from labkit.views import ColorJitter, Compose, GaussianNoise, RandomInvert, RandomResizedCrop, simclr

SOURCE = (
    "ours: views and training of simclr/nuisance-mnist, which were chosen by k-NN on 800 of the 4 000 training images"
)
TRAINING = {"epochs": 18, "lr": 4e-3, "schedule": "cosine"}
FEW = {"n_train": 128, "n_test": 100}
DATA = {  # what a recipe's name ends in -> its fields; budgets are what a laptop has, not what the papers took
    "nuisance-mnist": {"data": "nuisance-mnist", "training": TRAINING, "smoke_load": FEW},
    "nuisance-mnist-small": {
        "data": "nuisance-mnist",
        "load_options": {"size": 14},
        "training": TRAINING
        | {"epochs": 16},  # SimCLR, validation images: 8 epochs 54.5 %, 16 epochs 70.6 %, raw 54.1 %
        "smoke_load": FEW,
    },
    "cifar10-4k": {"data": "cifar10-4k", "training": TRAINING | {"epochs": 8}},
}


def nuisance_view(
    crop: float = 0.4, invert: float = 0.5, jitter: float = 0.4, noise: float = 0.05, size: int = 28
) -> Compose:
    """Views that change what ``nuisance-mnist`` hides its digits under: place, polarity, contrast, background.

    Args:
        crop: smallest share of the area that a crop keeps; 1: the whole image, only scaled to ``size``.
        invert: probability of inverting black and white.
        jitter: strength of brightness and contrast changes.
        noise: standard deviation of added noise.
        size: side of the output in pixels.
    """
    ratio = {"ratio": (1.0, 1.0)} if crop == 1 else {}
    return Compose(
        [
            RandomResizedCrop(size, scale=(crop, 1.0), **ratio),
            ColorJitter(brightness=jitter, contrast=jitter, saturation=0, hue=0, p=1.0),
            RandomInvert(invert),
            GaussianNoise(noise),
        ]
    )


def view_of(images, **strengths: float) -> Compose:
    """``nuisance_view`` for grey images; for coloured ones SimCLR's, shrunk to 24 × 24, which halves the work.

    Args:
        strengths: of ``nuisance_view``, which grey images alone have.
    """
    side = images.images.shape[-1]
    return simclr(24) if images.images.shape[1] == 3 else nuisance_view(size=round(side * 28 / 36), **strengths)


def encoder_of(images):
    """The encoder that every paper of the theme trains: 77 000 weights."""
    return resnet8(16, images.images.shape[1])


def head(dim: int, out: int, hidden: int = 128) -> MLP:
    """A projector or predictor with batch norm, narrow as the encoder is."""
    return MLP(dim, hidden, out, norm="batch")


def nuisance_recipe(
    paper: str, build: Callable[..., Method], data: str = "nuisance-mnist", training: dict | None = None, **changes: Any
) -> Recipe:
    """``build(images)`` trained as SimCLR's recipe is, but for ``training`` and other fields; with its ceiling."""
    recipe = Recipe(
        name=f"{paper}/{data}",
        build=build,
        protocols={"knn": Protocol.public("knn", k=20)},
        source=SOURCE,
        batch_size=64,
        smoke={"epochs": 1},
        variant="laptop",
        **DATA[data],
    )
    return replace(recipe, ceiling=supervised(recipe, data), training=recipe.training | (training or {}), **changes)


def of_images(method: Callable[..., Method]) -> Callable[..., Method]:
    """``build`` of a method that takes (encoder, view): with the encoder and the views of the theme."""
    return partial(_built, method)


def _built(method: Callable[..., Method], images, **changes: Any) -> Method:
    return method(encoder_of(images), view_of(images), **changes)


def family(paper: str, build: Callable[..., Method], **changes: Any) -> list[Recipe]:
    """The recipe on each of ``DATA``, in that order: ``nuisance-mnist``, a small one for claims, CIFAR-10."""
    return [nuisance_recipe(paper, build, data, **changes) for data in DATA]


def patient(epochs: int) -> dict[str, Any]:
    """Fields of a recipe that SimCLR's training leaves below raw pixels: SGD, as SimSiam's paper has it, and time.

    ``epochs`` are the first of 48 and 150 after which a training with seed 0 beats raw pixels (54.1 %; the untrained
    encoder has 31.8) by k-NN on 800 of the training images. Each recipe says what it had on these images.
    """
    return {
        "training": {"optimizer": "sgd", "lr": 0.1, "weight_decay": 5e-4, "epochs": epochs},
        "source": "ours: views of simclr/nuisance-mnist; optimiser, rate and epochs by k-NN on the same images",
    }


def supervised(recipe: Recipe, name: str, view: Callable = view_of, encoder: Callable = encoder_of) -> Recipe:
    """The ceiling of ``recipe``: the same encoder on the same images and for the same training, with labels.

    Recipes that are given more epochs than the usual ones stand beside it, too, and may pass it; the board names both.

    Args:
        recipe: of the default training, so that a data set has one ceiling and not one a paper.
        name: of the data set, in the name of the ceiling.
        view, encoder: data set -> view and encoder, as the recipe builds them.
    """
    return replace(
        recipe,
        name=f"supervised/{name}",
        build=partial(_with_labels, encoder, view),
        batches=partial(numbered, size=recipe.batch_size),
        source="ours: encoder and views of the recipes that it stands beside, their usual training, and the labels",
        ceiling=None,
    )


def _with_labels(encoder: Callable, view: Callable, images) -> Supervised:
    return Supervised(encoder(images), view(images), images.labels[images.splits["train"]])


def numbered(images, size: int = 64) -> Minibatches:
    """Batches of the training images with their rows among them."""
    train = images.images[images.splits["train"]]
    return Minibatches(train, min(size, len(train)), numbered=True)


def quarter_turns(images: Tensor, turns: Int64[Tensor, " items"]) -> Tensor:
    """Each image turned by so many quarters of a circle (0 to 3), counter-clockwise.

    Raises:
        ValueError: images that are not square.
    """
    if images.shape[-1] != images.shape[-2]:
        raise ValueError(f"a quarter turn needs square images, not {list(images.shape[-2:])}")
    all_four = torch.stack([images.rot90(k, (2, 3)) for k in range(4)])
    return all_four[turns, torch.arange(len(images), device=turns.device)]


def against(lab: Lab, recipe: Recipe, control: Recipe, with_name: str, without_name: str, **words: str) -> Evidence:
    """Accuracy of a recipe's probe against that of its control, seed by seed."""
    words = {"note": f"On {recipe.name.split('/')[1]}."} | words
    return Evidence(lab.scores(recipe), lab.scores(control), with_name, without_name, **words)


def against_raw(lab: Lab, recipe: Recipe, name: str) -> Evidence:
    """Accuracy of a recipe's probe against that of raw pixels."""
    return against_floor(lab, recipe, name, "raw", "raw pixels", f"On {recipe.name.split('/')[1]}.")


def against_spread(lab: Lab, recipe: Recipe, control: Recipe, *names: str) -> Evidence:
    """How far the directions of what the loss sees lie apart at the end, 0 (one point) to 1; and those of a control."""
    ours, without = ([run.spectra["z"][-1].sum().item() for run in lab.runs(one)] for one in (recipe, control))
    return Evidence(ours, without, *names, "spread of directions, 0 to 1")


def against_rank(lab: Lab, recipe: Recipe, control: Recipe, *names: str) -> Evidence:
    """Effective rank of what the loss sees at the end; and that of a control."""
    ours, without = ([run.history["z.effective_rank"][-1] for run in lab.runs(one)] for one in (recipe, control))
    return Evidence(ours, without, *names, "effective rank")
