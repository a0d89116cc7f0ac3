"""What is changed: views of graphs and images, seeded, batched, on the device of their input."""

from labkit.views._graph import drop_edges, mask_feature_columns
from labkit.views._image import Compose
from labkit.views._image_transforms import (
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    Normalize,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomInvert,
    RandomResizedCrop,
    RandomSolarize,
    simclr,
)
from labkit.views._walks import Adjacency, random_walk, restart_walk

__all__ = [
    "Adjacency",
    "ColorJitter",
    "Compose",
    "GaussianBlur",
    "GaussianNoise",
    "Normalize",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomResizedCrop",
    "RandomSolarize",
    "drop_edges",
    "mask_feature_columns",
    "random_walk",
    "restart_walk",
    "simclr",
]
