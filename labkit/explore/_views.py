"""The star: augmented views of one item, embedded by the encoder, and how near they stay."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from labkit.explore._space import Space
from labkit.methods import inference
from labkit.train import seeded

_COUNT = 8  # views of an item


@dataclass(frozen=True)
class Star:
    """Augmented views of one item.

    Attributes:
        images: [views, channels, h, w] as the encoder saw them.
        z: [views, dim] embeddings.
        distance: median distance between the item and its views.
        nearer: share of random pairs of items that are further apart than that.
    """

    images: Tensor
    z: Tensor
    distance: float
    nearer: float

    def __str__(self) -> str:
        return (
            f"{len(self.z)} augmented views: median distance **{self.distance:.3g}**, nearer than "
            f"**{self.nearer:.0%}** of random pairs"
        )


def star(image: Tensor, view: Callable[[Tensor], Tensor], method: Any, space: Space, row: int, seed: int) -> Star:
    """Draw ``_COUNT`` views of ``image`` [1, channels, h, w] and embed them.

    ``method.embed`` takes the views, as it took the images that the map shows; else ``method.encoder`` does.
    """
    with seeded(seed + row):  # the same point shows the same star; the user's own stream goes on undisturbed
        images = view(image.expand(_COUNT, -1, -1, -1).contiguous())
    z = _encode(method, images).cpu().float()
    if z.shape[1] != space.dim:
        raise ValueError(f"the method embeds into {z.shape[1]} dimensions, but this map shows {space.dim}")
    distance = float((space.bring(z) - space.x[row]).norm(dim=1).median())
    a, b = np.random.default_rng(seed).integers(len(space), size=(2, 2000))
    pairs = (space.x[a[a != b]] - space.x[b[a != b]]).norm(dim=1)
    return Star(images.detach().cpu(), z, distance, float((pairs > distance).float().mean()))


def _encode(method: Any, images: Tensor) -> Tensor:
    if hasattr(method, "embed"):
        return method.embed(images)
    return inference(lambda module, batch: module.encoder(batch))(method, images)
