"""Context prediction: Unsupervised Visual Representation Learning by Context Prediction.

Carl Doersch, Abhinav Gupta, Alexei A. Efros. ICCV 2015.
https://arxiv.org/abs/1505.05192 · code: https://github.com/cdoersch/deepcontext
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.methods import Pretext, RelativePosition, read_borders, read_fringes
from labkit.papers._controls import against_untrained
from labkit.papers.vision._nuisance import against, changed
from labkit.papers.vision._one_object import (
    RIGHT,
    answered,
    below,
    share_read,
    small_encoder,
    world_recipe,
)
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
