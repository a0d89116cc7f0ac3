"""What is changed: views of graphs and images, seeded, batched, on the device of their input."""

from labkit.views._chromatic import ChromaBlur, DropColours, chromatic_aberration
from labkit.views._graph import drop_edges, hide_nodes, mask_feature_columns
from labkit.views._graph_sets import RandomChoice, drop_nodes, identity, mask_attributes, perturb_edges, subgraph
from labkit.views._grid import window_grid
from labkit.views._image import Compose, unit_images
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
from labkit.views._shift import shift
from labkit.views._tiles import block_side, tiles
from labkit.views._walks import Adjacency, random_walk, restart_walk

__all__ = [
    "Adjacency",
    "ChromaBlur",
    "ColorJitter",
    "Compose",
    "DropColours",
    "GaussianBlur",
    "GaussianNoise",
    "Normalize",
    "RandomChoice",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomResizedCrop",
    "RandomSolarize",
    "block_side",
    "chromatic_aberration",
    "drop_edges",
    "drop_nodes",
    "hide_nodes",
    "identity",
    "mask_attributes",
    "mask_feature_columns",
    "perturb_edges",
    "random_walk",
    "restart_walk",
    "shift",
    "simclr",
    "subgraph",
    "tiles",
    "unit_images",
    "window_grid",
]
