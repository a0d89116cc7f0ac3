"""The world as a data set of the catalogue."""

from typing import Any

import torch

from labkit.data._catalogue import Entry
from labkit.data._image_set import ImageSet
from labkit.data.world._factors import SHAPES
from labkit.data.world._render import render
from labkit.data.world._sample import sample


def read_world(
    entry: Entry,
    n_train: int = 4000,
    n_test: int = 1000,
    size: int = 32,
    seed: int = 0,
    factors: dict[str, Any] | None = None,
) -> ImageSet:
    """Pictures of the world with the shape of the nearest object as their class: needs no download.

    The truths behind the pictures come from ``world.sample(n_train + n_test, seed, **factors)``, whose scene i is
    image i.

    Args:
        n_train, n_test: at least 1.
        size: side in pixels.
        seed: draws the scenes.
        factors: arguments of ``world.sample``, e.g. {"objects": (1, 1), "watermark": 0.9}; a shortcut is planted in
            the training images alone, and spells a random class in the others.

    Cost: O(images · size²); 0.2 ms an image of 32 × 32 on one core.
    """
    for name, count in (("n_train", n_train), ("n_test", n_test)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"{name} must be a whole number, at least 1, not {count!r}")
    factors = factors or {}
    honest = factors | {name: 0.0 for name in ("watermark", "cast") if factors.get(name) is not None}
    items = n_train + n_test
    train, test = sample(items, seed, **factors)[:n_train], sample(items, seed, **honest)[n_train:]
    images = torch.cat([render(part, size)["image"] for part in (train, test)])
    splits = {"train": torch.arange(n_train), "test": torch.arange(n_train, items)}
    labels = torch.cat([train.labels, test.labels])
    return ImageSet(images, labels, SHAPES, splits, entry.name)
