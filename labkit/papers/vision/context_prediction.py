"""Context prediction: Unsupervised Visual Representation Learning by Context Prediction.

Carl Doersch, Abhinav Gupta, Alexei A. Efros. ICCV 2015.
https://arxiv.org/abs/1505.05192 · code: https://github.com/cdoersch/deepcontext
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn import functional as F

from labkit.claims import Evidence, Lab, claim
from labkit.data import world
from labkit.methods import Pretext, RelativePosition, read_borders, read_fringes
from labkit.papers._controls import against_untrained, untrained
from labkit.papers.vision._nuisance import against, changed
from labkit.papers.vision._one_object import (
    RIGHT,
    answered,
    below,
    held_out,
    share_read,
    small_encoder,
    world_recipe,
)
from labkit.papers.vision._patches import codes, cut, discover, drawn_on, nearest, purity_and_coverage
from labkit.recipes import choose_protocol
from labkit.views import DropColours, chromatic_aberration, unit_images

SIZE, GAP, JITTER = 8, 3, 1  # pixels of 40; the paper's patches of 96 are about 48 apart and moved by up to 7
ABERRATION = 0.08


class ContextPrediction(Pretext):
    """Tell where a second patch lies around the first: one network for both, a head on the pair (section 3).

    The paper pairs two copies of AlexNet's lower layers and keeps what they say of a patch; here the network is small
    and also says it of whole images.

    Args:
        encoder: of patches and of images.
        gap, jitter: pixels, against answers by continued lines and borders (section 3.1).
        yoked: both patches are moved by the same jitter.
        aberration: of the lens that took all pictures, those of the probe too: a shortcut, planted.
        patch_view: what each patch goes through; None: nothing. The paper's: ``DropColours()`` (section 3.1).
    """

    def __init__(
        self,
        encoder: nn.Module,
        gap: int = GAP,
        jitter: int = JITTER,
        yoked: bool = False,
        aberration: float = 0.0,
        patch_view: Callable[[Tensor], Tensor] | None = None,
    ):
        lens = partial(chromatic_aberration, strength=aberration)
        question = RelativePosition(SIZE, gap, jitter, yoked, image_view=lens, patch_view=patch_view)
        super().__init__(encoder, question, evaluation_view=lens)


def build(images, **changes) -> ContextPrediction:
    return ContextPrediction(small_encoder(images), **changes)


RECIPES = [world_recipe("context_prediction", build)]
WORLD = RECIPES[0]
TOUCHING = changed(WORLD, gap=0, jitter=0)
LENS = changed(WORLD, aberration=ABERRATION)
DROPPED = changed(LENS, patch_view=DropColours())
ALL_COLOURS = "Probed on whole pictures in all their colours, which the network with colours dropped has never seen."
CHANCE = 1 / 8
# Sizes of "visual data mining", chosen by the paper's proportions before any was run: its 100 pictures are a sixth of
# what a class of Pascal has (11 540 in 20 classes), ours a fifth (600 in 12); a constellation is cut from each picture.
NEAREST, TOP, FIRST = 4, 10, 60  # neighbours of a patch; pictures of a constellation; constellations scored: a tenth


def object_masks(options: dict, rows: Tensor) -> Bool[Tensor, "items side side"]:
    """Which pixels of the pictures ``rows`` of ``load("world", **options)`` are the object's."""
    scenes = world.sample(options["n_train"] + options["n_test"], options.get("seed", 0), **options["factors"])
    return world.render(scenes[rows], options["size"], truths="segments")["segments"] > 0


def object_shares(masks: Tensor, size: int = SIZE) -> Tensor:
    """[items, side, side] -> the share of each patch of ``cut`` that is the object's, [items, places]."""
    return F.avg_pool2d(masks[:, None].float(), size, size // 2).flatten(1)


def _coded(lab: Lab, way: str) -> list[Tensor]:
    """Codes of all patches of the held-out pictures, one a seed: as training left them, before it, or pixels."""

    def make() -> list[Tensor]:
        patches = cut(held_out(lab, WORLD), SIZE)
        if way == "raw pixels":
            return [codes(lambda one: one.flatten(1) / 255, patches)] * len(lab.seeds)
        methods = [run.method for run in lab.runs(WORLD)] if way == "trained" else untrained(lab, WORLD)
        return [codes(method.embed, patches) for method in methods]

    return lab.once(("patches", way), make)


def _held_out_labels(lab: Lab) -> Tensor:
    images = lab.material(WORLD).dataset
    return images.labels[images.splits["test"]]


def _same_class(lab: Lab, way: str) -> tuple[list[float], float]:
    """Share of the nearest patches that lie at least half on an object of the class of the patch asked about, one a
    seed; and the mean share that lie so on any object: what only tells objects from backgrounds has the second."""
    images = lab.material(WORLD)
    labels, rows = _held_out_labels(lab), images.dataset.splits["test"]
    small = WORLD.smoke_load if lab.scale == "smoke" else {}
    share, image = object_shares(object_masks(WORLD.load_options | small, rows)), torch.arange(len(rows))
    shares, on = [], 0.0
    for seed, z in zip(lab.seeds, _coded(lab, way), strict=True):
        place = drawn_on(share, torch.Generator().manual_seed(seed))
        found, where = nearest(z, image, place, NEAREST)
        there = share[found, where] >= 0.5
        shares.append(((labels[found] == labels[:, None]) & there).double().mean().item())
        on += there.double().mean().item() / len(lab.seeds)
    return shares, on


def _purity(lab: Lab, way: str, check: bool = True) -> tuple[list[float], float]:
    """Purity of the pictures of the first constellations, one a seed; and the mean share of pictures they cover."""
    found = []
    for seed, z in zip(lab.seeds, _coded(lab, way), strict=True):
        what = discover(z, WORLD.load_options["size"], SIZE, TOP, torch.Generator().manual_seed(seed), check)
        curves = purity_and_coverage(what, _held_out_labels(lab))
        found.append([curve[:FIRST][-1].item() for curve in curves])
    purity, covered = zip(*found, strict=True)
    return list(purity), sum(covered) / len(covered)


def _patches_against(lab: Lab, control: str) -> Evidence:
    (ours, on), (theirs, also) = (_same_class(lab, way) for way in ("trained", control))
    note = f"A patch a picture, {NEAREST} nearest; {100 * on:.0f} % and {100 * also:.0f} % of them lie on an object,"
    note += " of which a twelfth is right by chance."
    return Evidence(ours, theirs, "trained", control, "share of nearest patches of the same class", note)


def _discovery_against(lab: Lab, control: str, check: bool = True) -> Evidence:
    (ours, covered), (theirs, also) = _purity(lab, "trained"), _purity(lab, control, check)
    note = f"First {FIRST} constellations, chance 8.3 %; they keep {100 * covered:.0f} % of all pictures"
    note += f" and {100 * also:.0f} %."
    names = ("trained", control) if check else ("geometric check", "without")
    return Evidence(ours, theirs, *names, "share of pictures of the same class", note)


@claim("Predicting context learns shapes: a linear probe beats that of the untrained encoder.", needs="world",
       minutes=1)  # fmt: skip
def beats_untrained(lab: Lab) -> Evidence:
    return against_untrained(lab, WORLD, "context prediction")


@claim("Patches that touch give the answer away by their borders alone; a gap and jitter take most of it back "
       "(section 3.1).", needs="world", minutes=1)  # fmt: skip
def borders_are_a_shortcut(lab: Lab) -> Evidence:
    return Evidence(share_read(lab, TOUCHING, read_borders), share_read(lab, WORLD, read_borders),
                    "touching", "gap and jitter", "share read off borders")  # fmt: skip


@claim("Gap and jitter make better features than patches that touch.", needs="world", minutes=2)
def gap_helps(lab: Lab) -> Evidence:
    return against(lab, WORLD, TOUCHING, "gap and jitter", "touching")


@claim("Chromatic aberration gives the answer away by colour fringes alone (section 3.1).", needs="world", minutes=1)
def fringes_are_a_shortcut(lab: Lab) -> Evidence:
    return Evidence(share_read(lab, LENS, read_fringes), share_read(lab, WORLD, read_fringes),
                    "with aberration", "without", "share read off fringes")  # fmt: skip


@claim("With aberration in the pictures the network answers more questions.", needs="world", minutes=2)
def aberration_is_taken(lab: Lab) -> Evidence:
    return Evidence(answered(lab, LENS), answered(lab, WORLD), "with aberration", "without", RIGHT)


@claim("Trained and probed without aberration, features tell shapes better than with it.", needs="world", minutes=2)
def aberration_costs_shapes(lab: Lab) -> Evidence:
    material, protocol = lab.material(LENS), choose_protocol(LENS, None)[1]
    seen = chromatic_aberration(unit_images(material.items), ABERRATION).flatten(1)
    plain, lens = (100 * lab.floors(WORLD)["raw"].mean, 100 * material.score(protocol, seen).mean)
    note = f"Each on pictures like those it was trained on. Raw pixels {plain:.1f} without, {lens:.1f} with."
    return against(lab, WORLD, LENS, "without aberration", "with", note=note)


@claim("Dropping colours mends it: fringes tell within two points of chance (section 3.1).", needs="world", minutes=1)
def dropping_colours_mends(lab: Lab) -> Evidence:
    return below(share_read(lab, DROPPED, read_fringes), CHANCE + 0.02, "fringes, colours dropped",
                 "chance and two points", unit="share read off fringes")  # fmt: skip


@claim("Dropping colours makes better features where there is aberration.", needs="world", minutes=2,
       why_not="two of three channels are noise in training, the probe shows all three; not tested.")  # fmt: skip
def dropping_colours_helps(lab: Lab) -> Evidence:
    return against(lab, DROPPED, LENS, "colours dropped", "aberration as it is", note=ALL_COLOURS)


@claim("Nearest patches show the same class of object more often by the trained network than by the untrained one "
       "(\"Nearest neighbors\").", needs="world", minutes=2)  # fmt: skip
def patches_beat_untrained(lab: Lab) -> Evidence:
    return _patches_against(lab, "untrained")


@claim("Nearest patches show the same class of object more often by the trained network than by raw pixels.",
       needs="world", minutes=2)  # fmt: skip
def patches_beat_pixels(lab: Lab) -> Evidence:
    return _patches_against(lab, "raw pixels")


@claim("Objects are discovered: pictures found by four patches are more often of one class than by the untrained "
       "network (\"Visual data mining\").", needs="world", minutes=2)  # fmt: skip
def discovery_beats_untrained(lab: Lab) -> Evidence:
    return _discovery_against(lab, "untrained")


@claim("Pictures found by four patches are more often of one class by the trained network than by raw pixels.",
       needs="world", minutes=2)  # fmt: skip
def discovery_beats_pixels(lab: Lab) -> Evidence:
    return _discovery_against(lab, "raw pixels")


@claim("The geometric check helps: constellations ranked and filtered by it are purer than by strength alone.",
       needs="world", minutes=2)  # fmt: skip
def geometry_helps(lab: Lab) -> Evidence:
    return _discovery_against(lab, "trained", check=False)
