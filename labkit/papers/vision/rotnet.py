"""RotNet: Unsupervised Representation Learning by Predicting Image Rotations.

Spyros Gidaris, Praveer Singh, Nikos Komodakis. ICLR 2018.
https://arxiv.org/abs/1803.07728 · code: https://github.com/gidariss/FeatureLearningRotNet
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.claims import Evidence, Lab, claim
from labkit.data.world import SHAPES
from labkit.methods import Pretext, Rotations, inference
from labkit.models import ResNet
from labkit.papers._controls import against_untrained
from labkit.papers.vision._nuisance import against, changed
from labkit.papers.vision._one_object import (
    ONE_OBJECT,
    RIGHT,
    answered,
    below,
    small_encoder,
    world_recipe,
)
from labkit.recipes import Recipe, choose_protocol
from labkit.views import unit_images

SYMMETRIC = ("disc", "square", "cross", "ring")  # a quarter turn leaves them as they are
UPRIGHT = ("triangle", "heart", "moon", "pyramid", "house")  # and these it does not


class RotNet(Pretext):
    """Turn each image by 0, 90, 180 and 270 degrees and tell by how much (section 2.1).

    All turns of an image are in one batch, as in the paper. Its encoders are Network in Network and AlexNet, whose
    middle layers are probed; here it is the output of a small ResNet.

    Args:
        encoder: of square images.
        turns: quarter turns to tell apart: the paper compares 8, 4 and 2 rotations (table 2).
    """

    def __init__(self, encoder: nn.Module, turns: tuple[int, ...] = (0, 1, 2, 3)):
        super().__init__(encoder, Rotations(turns))


def _build(images, **changes) -> RotNet:
    return RotNet(small_encoder(images), **changes)


def _recipe(name: str, **factors) -> Recipe:
    plain = ONE_OBJECT | {"texture": ["plain"], "background": ["plain", "cloudy"]} | factors
    recipe = world_recipe("rotnet", _build, side=24).with_training(epochs=6)
    options = recipe.load_options | {"n_train": 1500, "factors": plain}
    ceiling = replace(recipe.ceiling, name=f"supervised/plain-object{name}", load_options=options)
    return replace(recipe, name=f"rotnet/world{name}", load_options=options, ceiling=ceiling)


WORLD, LIT = _recipe(""), _recipe("-lit", light_angle=(80, 100), light_height=(30, 40), shadow=(0.4, 0.6))
RECIPES = [WORLD, LIT]
TWO = changed(WORLD, turns=(0, 2))
MIDDLE, LAST = 1, 2  # of the three stages; said before any was probed
CELLS = (6, 4, 3)  # a side: of widths 8, 16 and 32 that makes 288, 256 and 288 numbers


def _share_right(lab: Lab, recipe: Recipe, shapes: tuple[str, ...]) -> list[float]:
    """Share of right turns of held-out pictures of these shapes, one a seed."""
    return answered(lab, recipe, _pictures(lab, recipe, shapes))


def _pictures(lab: Lab, recipe: Recipe, shapes: tuple[str, ...]) -> Tensor:
    data = lab.material(recipe).dataset
    rows = data.splits["test"]
    return data.images[rows[torch.isin(data.labels[rows], _numbers(shapes))]]


def _numbers(shapes: tuple[str, ...]) -> Tensor:
    return torch.tensor([SHAPES.index(shape) for shape in shapes])


def _recall(lab: Lab, recipe: Recipe, shapes: tuple[str, ...], untrained: bool = False) -> list[float]:
    """Share of held-out pictures of these shapes that the probe names rightly, one a seed."""
    material, (_, protocol) = lab.material(recipe), choose_protocol(recipe, None)
    rows = material.dataset.splits["test"]
    rows = rows[torch.isin(material.labels[rows], _numbers(shapes))]
    shares = []
    for run in lab.runs(recipe):
        z = run.snapshots[0] if untrained else run.method.embed(material.items)
        said = material.score(protocol, z).details["predictions"][0]
        shares.append((said[rows] == material.labels[rows]).double().mean().item())
    return shares


@inference
def stage_codes(
    encoder: ResNet, images: Tensor, cells: tuple[int, ...] | None = None
) -> tuple[Float[Tensor, "items numbers"], ...]:
    """What each stage says of images: the mean over its map, ``width`` numbers; or its map, ``width · cells²``.

    The later a stage, the wider. So that none has more numbers to tell classes with, the paper shrinks maps by
    max-pooling until they are about equally large (its tables of layers on ImageNet): ``cells``, one a stage, does so.
    """

    def walk(x: Tensor) -> list[Tensor]:
        x, said = encoder.stem(unit_images(x).contiguous(memory_format=encoder.memory_format)), []
        for stage, side in zip(encoder.stages, cells or (None,) * len(encoder.stages), strict=True):
            x = stage(x)
            said.append((x.mean((2, 3)) if side is None else F.adaptive_max_pool2d(x, side).flatten(1)).float())
        return said

    return tuple(torch.cat(parts) for parts in zip(*map(walk, images.split(256)), strict=True))


def _of_stage(lab: Lab, recipe: Recipe, stage: int, cells: tuple[int, ...] | None = None) -> list[float]:
    """Accuracy of k-NN on what a stage says, one a seed."""
    items = lab.material(recipe).items
    return lab.scores(recipe, lambda run: stage_codes(run.method.encoder, items, cells)[stage], "knn")


def _middle_against_last(lab: Lab, cells: tuple[int, ...] | None, note: str) -> Evidence:
    sides = (_of_stage(lab, WORLD, stage, cells) for stage in (MIDDLE, LAST))
    return Evidence(*sides, "second of three stages", "last stage", note=f"20-NN; {note}.")


@claim("Telling rotations learns shapes: a linear probe beats that of the untrained encoder.", needs="world", minutes=1)
def beats_untrained(lab: Lab) -> Evidence:
    return against_untrained(lab, WORLD, "RotNet")


@claim("What looks the same after a quarter turn can't be told: on discs, squares, crosses and rings the network stays "
       "within five points of chance.", needs="world", minutes=1)  # fmt: skip
def symmetric_shapes_stay_at_chance(lab: Lab) -> Evidence:
    return below(_share_right(lab, WORLD, SYMMETRIC), 0.30, "symmetric shapes", "chance and five points", unit=RIGHT)


@claim("Shapes with an upright pose are told: their rotations are answered more often than those of symmetric shapes.",
       needs="world", minutes=1)  # fmt: skip
def upright_shapes_are_told(lab: Lab) -> Evidence:
    return Evidence(_share_right(lab, WORLD, UPRIGHT), _share_right(lab, WORLD, SYMMETRIC), "upright shapes",
                    "symmetric shapes", RIGHT)  # fmt: skip


@claim("What can't be told teaches less: the probe gains more on upright shapes than on symmetric ones.", needs="world",
       minutes=2)  # fmt: skip
def upright_shapes_gain_more(lab: Lab) -> Evidence:
    gains = [[after - before for after, before in zip(_recall(lab, WORLD, shapes), _recall(lab, WORLD, shapes, True))]
             for shapes in (UPRIGHT, SYMMETRIC)]  # fmt: skip
    return Evidence(*gains, "upright shapes", "symmetric shapes", "share named after less before training")


@claim("Four rotations teach more than two (table 2).",
       needs="world", minutes=2, reported="four better than two and than eight, table 2")  # fmt: skip
def four_beat_two(lab: Lab) -> Evidence:
    return against(lab, WORLD, TWO, "four rotations", "0 and 180 degrees")


@claim("A lamp above gives the answer away: with shading and shadows the rotations of symmetric shapes are told.",
       needs="world", minutes=2)  # fmt: skip
def light_is_a_shortcut(lab: Lab) -> Evidence:
    return Evidence(_share_right(lab, LIT, SYMMETRIC), _share_right(lab, WORLD, SYMMETRIC), "lit from above",
                    "no light from anywhere", RIGHT)  # fmt: skip


@claim("A middle stage knows the class better than the last (table 1): the means over their maps.", needs="world",
       minutes=1, reported="the second of 3, 4 and 5 blocks best, the last one worst, table 1",
       why_not="of means the last stage has twice as many; see the next claim.")  # fmt: skip
def middle_stage_knows_more(lab: Lab) -> Evidence:
    return _middle_against_last(lab, None, "16 numbers against 32")


@claim("A middle stage knows the class better than the last: their maps, shrunk to about as many numbers.",
       needs="world", minutes=1)  # fmt: skip
def middle_map_knows_more(lab: Lab) -> Evidence:
    return _middle_against_last(lab, CELLS, "256 numbers against 288")


@claim("The last stage is about the question: over the middle one it gains more when trained with labels than with "
       "rotations (ours).", needs="world", minutes=2)  # fmt: skip
def labels_gain_more_at_the_end(lab: Lab) -> Evidence:
    gains = [[last - middle for last, middle in zip(*(_of_stage(lab, one, stage) for stage in (LAST, MIDDLE)))]
             for one in (WORLD.ceiling, WORLD)]  # fmt: skip
    return Evidence(*gains, "with labels", "with rotations", "share named by 20-NN more than from the middle")
