"""What papers share that learn from the world's films: a solid, filmed as it turns."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from labkit.data import ImageSet, world
from labkit.evaluate import Protocol
from labkit.methods import Method, Supervised, TwoView
from labkit.models import MLP, ResNet
from labkit.recipes import Recipe
from labkit.train import Minibatches
from labkit.views import ColorJitter, Compose, RandomGrayscale, RandomHorizontalFlip, RandomResizedCrop

SIZE, FRAMES = 32, 4
SOLID = {
    "objects": (1, 1),
    "shape": world.SOLIDS,
    "x": (-0.15, 0.15),
    "y": (-0.15, 0.15),
    "scale": (0.6, 0.8),
    "velocity_x": (-0.05, 0.05),
    "velocity_y": (-0.05, 0.05),
    "turn": (20.0, 40.0),
    "texture": ["plain"],
    "background": ["plain"],
}
Films = UInt8[Tensor, "films frames 3 size size"]


def scenes_of(images: ImageSet, split: str | None = None, **factors: Any) -> world.Scenes:
    """The factors behind the pictures of a ``film_recipe``'s data set, or of a split of it."""
    scenes = world.sample(len(images), 0, **SOLID | factors)
    return scenes[images.splits[split]] if split else scenes


def films_of(images: ImageSet, times: tuple[float, ...] = tuple(range(FRAMES)), **factors: Any) -> Films:
    """The training scenes at each of these times, in frames of the world (``Scenes.after``); time 0 is the picture."""
    scenes = scenes_of(images, "train", **factors)
    return torch.stack([world.render(scenes.after(time), SIZE)["image"] for time in times], dim=1)


def film_batches(images: ImageSet, size: int = 64, **options: Any) -> Minibatches:
    """Minibatches of films; ``options`` as in :func:`films_of`."""
    films = films_of(images, **options)
    return Minibatches(films, min(size, len(films)))


def frame_batches(images: ImageSet, size: int = 64) -> Minibatches:
    """The frames of the films as pictures of their own, numbered; film i has rows FRAMES · i and on."""
    frames = films_of(images).flatten(0, 1)
    return Minibatches(frames, min(size, len(frames)), numbered=True)


def object_view(crop: float = 0.3, jitter: float = 1.0) -> Compose:
    """SimCLR's views of small pictures: a crop of at least this share of the area, flip, colour jitter, greyscale."""
    colours = ColorJitter(*(0.8 * jitter,) * 3, hue=0.2 * jitter)
    crops = RandomResizedCrop(SIZE, scale=(crop, 1.0), ratio=(1.0, 1.0) if crop == 1 else (3 / 4, 4 / 3))
    return Compose([crops, RandomHorizontalFlip(), colours, RandomGrayscale(0.5)])


def film_encoder() -> ResNet:
    """ResNet-8 for colour pictures, with a stem that halves them; 77 000 weights, ``dim`` 64."""
    return ResNet((1, 1, 1), 16, stride=2)


def film_head() -> MLP:
    """A projector with batch norm for :func:`film_encoder`."""
    return MLP(64, 128, 64, norm="batch")


class FilmViews(TwoView):
    """Two views of each film, of two of its frames or of one.

    Args:
        encoder, projector, view, loss: as in ``TwoView``.
        apart: whether the views come from different frames; else both from one, drawn anew in each step, so that the
            same frames are seen.

    A batch is films [n, frames, channels, h, w]; pictures [n, channels, h, w] are embedded.
    """

    def __init__(self, encoder, projector, view: Callable[[Tensor], Tensor], loss: Callable, apart: bool = True):
        super().__init__(encoder, projector, view, loss)
        self.apart = apart

    def viewed(self, films: Tensor) -> Tensor:
        items, frames = films.shape[:2]
        row, first = torch.arange(items, device=films.device), torch.randint(frames, (items,), device=films.device)
        step = torch.randint(1, frames, (items,), device=films.device) if self.apart else 0
        return torch.cat([self.view(films[row, first]), self.view(films[row, (first + step) % frames])])

    def check(self, films: Tensor) -> None:
        if films.dim() != 5 or films.shape[1] < 1 + self.apart:
            raise ValueError(f"films must be [n, frames, channels, h, w], frames ≥ {1 + self.apart}, "
                             f"not {list(films.shape)}")  # fmt: skip
        super().check(films[:, 0])


def film_recipe(name: str, build: Callable[[ImageSet], Method], source: str, **changes: Any) -> Recipe:
    """``build(images)`` trained on films, and scored on pictures that are their first frames, and on others.

    Its ceiling takes as many steps on the same frames, each with its label.
    """
    epochs, settings = 16, {"lr": 4e-3, "schedule": "cosine"}
    recipe = Recipe(
        name=name,
        data="world",
        build=build,
        training={"epochs": epochs, **settings},
        protocols={"knn": Protocol.public("knn", k=20)},
        source=source,
        batches=film_batches,
        load_options={"n_train": 2000, "n_test": 600, "size": SIZE, "factors": SOLID},
        smoke={"epochs": 1},
        smoke_load={"n_train": 96, "n_test": 60},
        variant="laptop",
    )
    ceiling = replace(
        recipe,
        name="supervised/films",
        build=_supervised,
        training={"epochs": epochs // FRAMES, **settings},
        batches=frame_batches,
        source="ours: encoder, views and steps of the recipes that it stands beside, films of demystifying's, labels",
    )
    return replace(recipe, ceiling=ceiling, **changes)


def _supervised(images: ImageSet) -> Supervised:
    labels = images.labels[images.splits["train"]].repeat_interleave(FRAMES)
    return Supervised(film_encoder(), object_view(), labels - labels.min())
