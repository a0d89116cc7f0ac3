"""Damaged jigsaw: Learning Image Representations by Completing Damaged Jigsaw Puzzles.

Dahun Kim, Donghyeon Cho, Donggeun Yoo, In So Kweon. WACV 2018.
https://arxiv.org/abs/1802.01880
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.methods import Jigsaw, Pretext, hamming_permutations
from labkit.papers._controls import against_untrained
from labkit.papers.vision._nuisance import against, changed
from labkit.papers.vision._one_object import small_encoder, world_recipe
from labkit.views import RandomGrayscale

SIZE, GAP, JITTER, COARSE = 8, 3, 1, 4  # pixels; what is painted is a fourth of a tile's pixels


@dataclass(frozen=True)
class DamagedPuzzle(Jigsaw):
    """A jigsaw whose tiles have lost their colour and one of which is missing.

    Args:
        size, permutations, gap, jitter, image_view, patch_view: as in ``Jigsaw``; views come before the damage.
        missing: one place, drawn for each puzzle, is mid-grey.
        grey: all tiles are. Images must have three channels.
        dealt: a control: each puzzle gets the answer of another.
    """

    missing: bool = True
    grey: bool = True
    dealt: bool = False

    def __call__(self, images: Tensor):
        puzzle, answers, _, _ = self.damaged(images)
        return puzzle, answers

    def damaged(self, images: Tensor):
        """(the damaged puzzle, its answers, the whole puzzle, the place that is missing [items])."""
        if images.shape[1] != 3:
            raise ValueError(f"a tile that lost its colour needs images of three channels, not {images.shape[1]}")
        whole, answers = super().__call__(images)
        lost = torch.randint(9, (len(whole),), device=whole.device)
        puzzle = RandomGrayscale(1.0)(whole.flatten(0, 1)).reshape(whole.shape) if self.grey else whole.clone()
        if self.missing:
            puzzle[torch.arange(len(whole), device=whole.device), lost] = 0.5
        if self.dealt:
            answers = answers[torch.randperm(len(answers), device=answers.device)]
        return puzzle, answers, whole, lost


class DamagedJigsaw(Pretext):
    """Tell the permutation, paint the missing tile, colour the others, from one code of each tile.

    The paper paints at full size with deconvolutions and classifies colours; here both are linear, 4 × 4 a tile, with
    the share of variance left unexplained as loss: 1 for a constant. Loss: the sum of the three, by their weights.

    Args:
        encoder: of tiles and of images.
        permutations: how many, as far apart as possible; the paper has 1 000.
        missing, grey, dealt: of the puzzles, see :class:`DamagedPuzzle`.
        jigsaw, inpainting, colourisation: weights; a term of weight 0 is off.
    """

    def __init__(
        self,
        encoder: nn.Module,
        permutations: int = 24,
        missing: bool = True,
        grey: bool = True,
        dealt: bool = False,
        jigsaw: float = 1.0,
        inpainting: float = 1.0,
        colourisation: float = 1.0,
    ):
        sets = hamming_permutations(permutations)
        puzzle = DamagedPuzzle(SIZE, sets, GAP, JITTER, missing=missing, grey=grey, dealt=dealt)
        super().__init__(encoder, puzzle)
        if (inpainting and not missing) or (colourisation and not grey):
            raise ValueError("there is nothing to paint where nothing is missing, nor to colour where nothing is grey: "
                             "set inpainting=0 with missing=False and colourisation=0 with grey=False")  # fmt: skip
        self.weights = {"jigsaw": jigsaw, "inpainting": inpainting, "colourisation": colourisation}
        self.painter = nn.Linear(9 * encoder.dim, 3 * COARSE**2)
        self.colourist = nn.Linear(encoder.dim, 3 * COARSE**2)
        for part, weight in ((self.head, jigsaw), (self.painter, inpainting), (self.colourist, colourisation)):
            part.requires_grad_(weight != 0)

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        terms = self.terms(images)
        return sum(weight * terms[name] for name, weight in self.weights.items() if weight)

    def terms(self, images: Tensor) -> dict[str, Float[Tensor, ""]]:
        """The three losses, each by its name."""
        puzzle, answers, whole, lost = self.question.damaged(images)
        codes, item = self.codes(puzzle), torch.arange(len(puzzle), device=puzzle.device)
        small = F.adaptive_avg_pool2d(whole.flatten(0, 1), COARSE)
        grey = RandomGrayscale(1.0)(small)
        chroma, small = (x.reshape(len(whole), 9, -1) for x in (small - grey, small))
        seen = torch.ones(chroma.shape[:2], dtype=torch.bool, device=puzzle.device)
        if self.question.missing:
            seen[item, lost] = False
        of_tiles = codes.unflatten(1, (9, -1))
        return {
            "jigsaw": F.cross_entropy(self.head(codes).float(), answers),
            "inpainting": unexplained(self.painter(codes).float(), small[item, lost]),
            "colourisation": unexplained(self.colourist(of_tiles)[seen].float(), chroma[seen]),
        }


def unexplained(said: Float[Tensor, "n dim"], target: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
    """Mean square error over the variance of the target around its mean over the batch: 1 for saying that mean."""
    said, target = gather(said), gather(target)
    spread = (target - target.mean(0)).square().mean()
    return (said - target).square().mean() / spread.clamp(min=1e-8)


def _build(images, **changes) -> DamagedJigsaw:
    return DamagedJigsaw(small_encoder(images), **changes)


RECIPES = [world_recipe("damaged_jigsaw", _build).with_training(epochs=6)]
WORLD = RECIPES[0]
PLAIN = changed(WORLD, missing=False, grey=False, inpainting=0.0, colourisation=0.0)
DAMAGED = changed(WORLD, inpainting=0.0, colourisation=0.0)
NO_JIGSAW, NO_PAINT = changed(WORLD, jigsaw=0.0), changed(WORLD, inpainting=0.0)
NO_COLOUR = changed(WORLD, colourisation=0.0)


@claim("Completing damaged puzzles learns shapes: a linear probe beats that of the untrained encoder.", needs="world",
       minutes=2)  # fmt: skip
def beats_untrained(lab: Lab) -> Evidence:
    return against_untrained(lab, WORLD, "damaged jigsaw")


@claim("Completing damaged puzzles beats solving whole, coloured ones.", needs="world", minutes=3,
       why_not="damage costs accuracy by itself (the next claim).")  # fmt: skip
def completing_beats_solving(lab: Lab) -> Evidence:
    return against(lab, WORLD, PLAIN, "solved, painted, coloured", "whole puzzles solved")


@claim("Damage alone, nothing painted, makes jigsaw a better task.", needs="world", minutes=3,
       why_not="a puzzle that lacks a piece, in grey, is learned less far in six epochs; not tested.")  # fmt: skip
def damage_helps(lab: Lab) -> Evidence:
    return against(lab, DAMAGED, PLAIN, "damaged puzzles solved", "whole puzzles solved")


@claim("Without the jigsaw term the representation is worse.", needs="world", minutes=3)
def jigsaw_helps(lab: Lab) -> Evidence:
    return against(lab, WORLD, NO_JIGSAW, "all three", "painting and colouring")


@claim("Without inpainting the representation is worse.", needs="world", minutes=3)
def inpainting_helps(lab: Lab) -> Evidence:
    return against(lab, WORLD, NO_PAINT, "all three", "puzzle and colouring")


@claim("Without colourisation the representation is worse.", needs="world", minutes=3,
       why_not="colours of these scenes say nothing of the shape that is asked for; not tested.")  # fmt: skip
def colourisation_helps(lab: Lab) -> Evidence:
    return against(lab, WORLD, NO_COLOUR, "all three", "puzzle and painting")


@claim("The puzzle teaches by its answers: dealt out to other puzzles they teach less.", needs="world", minutes=3)
def answers_matter(lab: Lab) -> Evidence:
    return against(lab, DAMAGED, changed(DAMAGED, dealt=True), "its own answers", "answers of others")


@claim("It is the choice among permutations that teaches: with a set of one there is nothing to tell.", needs="world",
       minutes=3)  # fmt: skip
def permutations_matter(lab: Lab) -> Evidence:
    return against(lab, DAMAGED, changed(DAMAGED, permutations=1), "24 permutations", "one")
