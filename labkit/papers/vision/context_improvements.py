"""Context prediction, improved: Improvements to context based self-supervised learning.

T. Nathan Mundhenk, Daniel Ho, Barry Y. Chen. CVPR 2018.
https://arxiv.org/abs/1711.06379

Three of the paper's tools: chroma blurring (chromatic aberration), yoked jitter (spatial skew), rotation with
classification. Extra patches and random apertures are left out.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.methods import Pretext, RelativePosition, read_fringes
from labkit.papers.vision._nuisance import against, changed, quarter_turns
from labkit.papers.vision._one_object import answered, share_read, small_encoder, world_recipe
from labkit.papers.vision.context_prediction import ALL_COLOURS, DROPPED, GAP, JITTER, LENS, SIZE, WORLD
from labkit.recipes import Recipe
from labkit.views import ChromaBlur

BLUR = ChromaBlur(2.0)


@dataclass(frozen=True)
class TurnedPosition(RelativePosition):
    """Where does the second patch lie, and how far was the picture turned? 8 places × 4 quarter turns.

    Rotation with classification, as we read the paper: each picture is turned as a whole, the two answers are one
    class, 4 · place + turn. Images must be square.
    """

    answers = 32

    def __call__(self, images: Tensor):
        turn = torch.randint(4, (len(images),), device=images.device)
        pieces, place = super().__call__(quarter_turns(images, turn))
        return pieces, 4 * place + turn


class TurnedContext(Pretext):
    """Context prediction with yoked jitter on pictures turned by a quarter, whose turn is to be told too."""

    def __init__(self, encoder: nn.Module):
        super().__init__(encoder, TurnedPosition(SIZE, GAP, JITTER, yoked=True))


def _turned(images) -> TurnedContext:
    return TurnedContext(small_encoder(images))


BLURRED = changed(LENS, patch_view=BLUR)
YOKED = changed(WORLD, yoked=True)
TURNED = world_recipe("context_improvements", _turned)
RECIPES: list[Recipe] = [TURNED]


@claim("Chroma blurring takes from the fringes what they tell.", needs="world", minutes=1)
def blurring_hides_fringes(lab: Lab) -> Evidence:
    plain, blurred = (share_read(lab, recipe, read_fringes) for recipe in (LENS, BLURRED))
    return Evidence([1 - x for x in blurred], [1 - x for x in plain], "blurred", "aberration as it is",
                    "share not read off fringes")  # fmt: skip


@claim("Blurring colour keeps more of what a probe needs than dropping it.", needs="world", minutes=3)
def blurring_beats_dropping(lab: Lab) -> Evidence:
    return against(lab, BLURRED, DROPPED, "colour blurred", "colours dropped", note=ALL_COLOURS)


@claim("Blurring colour makes better features where there is aberration.", needs="world", minutes=3)
def blurring_helps(lab: Lab) -> Evidence:
    return against(lab, BLURRED, LENS, "colour blurred", "aberration as it is")


@claim("Yoked jitter, which keeps two patches' places exact, makes better features than a jitter for each.",
       needs="world", minutes=3)  # fmt: skip
def yoked_jitter_helps(lab: Lab) -> Evidence:
    return against(lab, YOKED, WORLD, "yoked jitter", "a jitter for each")


@claim("Turning pictures, and asking by how much, makes better features than context alone.", needs="world", minutes=3)
def turning_helps(lab: Lab) -> Evidence:
    return against(lab, TURNED, YOKED, "places and turns", "places")


@claim("Blurring colour leaves fewer questions answered where there is aberration.", needs="world", minutes=3)
def blurring_takes_answers(lab: Lab) -> Evidence:
    plain, blurred = answered(lab, LENS), answered(lab, BLURRED)
    return Evidence([1 - x for x in blurred], [1 - x for x in plain], "blurred", "aberration as it is",
                    "share of questions missed")  # fmt: skip
