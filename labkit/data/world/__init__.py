"""The world: scenes from a seed whose every truth is known, drawn at any resolution from signed distance functions.

    from labkit.data import world
    scenes = world.sample(1000, seed=0)                                  # factors: a small tensor a scene
    drawn = world.render(scenes, 64, truths=["visible", "depth", "edges"])
    scenes["angle"], scenes["colour"], world.captions(scenes)            # what is in the pictures
    later = world.render(scenes.after(1))                                # the next frame; truth "flow" says what moved
    twins = world.render(scenes.change(angle=45.0, background="plain"))  # the same scenes but for these factors

Objects are flat shapes and a few solids with a viewpoint, in front of a patterned background, under one light that
casts shadows. There is no perspective. ``load("world")`` gives an ``ImageSet`` for recipes.
"""

from labkit.data.world._captions import captions
from labkit.data.world._factors import (
    BACKGROUNDS,
    COLOURS,
    FLAT,
    NAMES,
    OBJECT,
    SHAPES,
    SOLIDS,
    STAGE,
    TEXTURES,
    Scenes,
)
from labkit.data.world._render import PALETTE, render
from labkit.data.world._sample import MOST_OBJECTS, RANGES, sample
from labkit.data.world._truths import EDGES, TRUTHS, keypoints

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "EDGES",
    "FLAT",
    "MOST_OBJECTS",
    "NAMES",
    "OBJECT",
    "PALETTE",
    "RANGES",
    "SHAPES",
    "SOLIDS",
    "STAGE",
    "TEXTURES",
    "TRUTHS",
    "Scenes",
    "captions",
    "keypoints",
    "render",
    "sample",
]
