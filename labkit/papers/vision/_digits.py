"""SimCLR at its cheapest: scikit-learn's 8 × 8 digits and a perceptron, seconds a training."""

from dataclasses import replace
from typing import Any

from torch import nn

from labkit.evaluate import Protocol
from labkit.models import MLP
from labkit.papers.vision._nuisance import supervised
from labkit.papers.vision.simclr import SimCLR
from labkit.recipes import Recipe
from labkit.views import ColorJitter, Compose, GaussianNoise, RandomResizedCrop


class Perceptron(nn.Sequential):
    """Pixels -> 256 -> 256 -> 64 numbers; ``dim`` is 64."""

    dim = 64

    def __init__(self, images):
        super().__init__(nn.Flatten(), MLP(images.images[0].numel(), 256, self.dim, layers=3, norm="batch"))


def digit_view(size: int = 8) -> Compose:
    """Views of a digit: cropped to 70 to 100 % of its area, brighter or darker, noisy."""
    colours = ColorJitter(brightness=0.4, contrast=0.4, saturation=0, hue=0, p=1.0)
    return Compose([RandomResizedCrop(size, scale=(0.7, 1.0)), colours, GaussianNoise(0.1)])


def view_of(images) -> Compose:
    """:func:`digit_view` for images of that size."""
    return digit_view(images.images.shape[-1])


def _build(images) -> SimCLR:
    return SimCLR(Perceptron(images), view_of(images), temperature=0.2)


def digits_recipe(name: str, **changes: Any) -> Recipe:
    """SimCLR with a perceptron on ``digits``, but for ``changes`` of the recipe's fields; with its ceiling."""
    recipe = Recipe(
        name=name,
        data="digits",
        build=_build,
        training={"epochs": 20, "lr": 4e-3, "schedule": "cosine"},
        protocols={"knn": Protocol.public("knn", k=20)},
        source="ours: crop of 0.5 and 0.7 compared by k-NN on 257 of the 1 257 training images, seed 100",
        batch_size=64,
        smoke={"epochs": 1},
        variant="laptop",
    )
    # of the training above, whatever a paper changes: a data set has one ceiling
    ceiling = supervised(recipe, "digits", view_of, Perceptron)
    return replace(recipe, ceiling=ceiling, **changes)
