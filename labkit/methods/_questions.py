"""Questions that images answer by themselves: which way up, where a patch lay, how a puzzle was shuffled.

Each turns a batch into (pieces [asked, pieces, channels, h, w], answers [asked]) and says how many ``pieces`` there are
and how many ``answers`` are possible: what ``Pretext`` asks for. Draws come from torch's default generator.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit._arguments import checked
from labkit.views import block_side, tiles, unit_images

Asked = tuple[Float[Tensor, "asked pieces channels height width"], Int64[Tensor, "asked"]]
View = Callable[[Tensor], Tensor]


@checked(numbers=False)
@dataclass(frozen=True)
class Rotations:
    """By how many quarter turns was the image turned? Every image is asked at every turn (Gidaris et al. 2018).

    Args:
        turns: quarter turns counter-clockwise, each from 0 to 3: (0, 1, 2, 3), or (0, 2) for two rotations.

    Images must be square. The answers to n images are n zeros (the first turn), n ones, ...
    """

    turns: Sequence[int] = (0, 1, 2, 3)
    pieces = 1

    def __post_init__(self):
        if len(set(self.turns)) != len(self.turns) or not set(self.turns) <= {0, 1, 2, 3} or len(self.turns) < 2:
            raise ValueError(f"turns must be at least two different ones of 0, 1, 2, 3, not {tuple(self.turns)}")

    @property
    def answers(self) -> int:
        return len(self.turns)

    def __call__(self, images: Tensor) -> Asked:
        images = unit_images(images)
        if images.shape[2] != images.shape[3]:
            raise ValueError(f"a quarter turn needs square images, not {list(images.shape[2:])}")
        turned = torch.cat([torch.rot90(images, turn, (2, 3)) for turn in self.turns])
        return turned[:, None], torch.arange(self.answers, device=images.device).repeat_interleave(len(images))


@checked(numbers=False)
@dataclass(frozen=True)
class RelativePosition:
    """Where does the second patch lie, seen from the first? One of eight neighbours (Doersch et al. 2015, figure 2).

    Args:
        size, gap, jitter, yoked: of the patches, as in :func:`labkit.views.tiles`.
        image_view: what happens to whole images before they are cut, e.g. an aberration; None: nothing.
        patch_view: what happens to patches, each with a draw of its own, e.g. ``DropColours()``; None: nothing.

    Answer k is the k-th of the eight places around the first patch in reading order.
    """

    size: int
    gap: int = 0
    jitter: int = 0
    yoked: bool = False
    image_view: View | None = None
    patch_view: View | None = None
    pieces, answers = 2, 8

    def __post_init__(self):
        block_side(self.size, self.gap, self.jitter)

    def __call__(self, images: Tensor) -> Asked:
        cut = _cut(self, images)
        answer = torch.randint(8, (len(cut),), device=cut.device)
        place = answer + (answer >= 4)  # place 4 is the middle, where the first patch is
        pair = torch.stack([cut[:, 4], cut[torch.arange(len(cut), device=cut.device), place]], dim=1)
        return _viewed(pair, self.patch_view), answer


@checked(numbers=False)
@dataclass(frozen=True)
class Jigsaw:
    """Which permutation shuffled the nine tiles? (Noroozi & Favaro 2016, "Jigsaw puzzles".)

    Args:
        size, gap, jitter, image_view, patch_view: as in :class:`RelativePosition`.
        permutations: [answers, 9]: place k of puzzle p shows tile ``permutations[p, k]``; see
            :func:`hamming_permutations`.
    """

    size: int
    permutations: Int64[Tensor, "answers 9"]
    gap: int = 0
    jitter: int = 0
    image_view: View | None = None
    patch_view: View | None = None
    pieces, yoked = 9, False

    def __post_init__(self):
        block_side(self.size, self.gap, self.jitter)
        wanted = torch.arange(self.pieces)
        if not torch.equal(self.permutations.sort(dim=1).values, wanted.expand(len(self.permutations), -1)):
            raise ValueError("permutations must be [answers, 9], each row the numbers 0 to 8 in some order")

    @property
    def answers(self) -> int:
        return len(self.permutations)

    def __call__(self, images: Tensor) -> Asked:
        return self.shuffle(_viewed(_cut(self, images), self.patch_view))

    def shuffle(self, cut: Float[Tensor, "items 9 ..."]) -> tuple[Float[Tensor, "items 9 ..."], Int64[Tensor, "items"]]:
        """Tiles in reading order -> (shuffled, the number of the permutation)."""
        answer = torch.randint(self.answers, (len(cut),), device=cut.device)
        order = self.permutations.to(cut.device)[answer]
        return cut[torch.arange(len(cut), device=cut.device)[:, None], order], answer


@checked
def hamming_permutations(count: int, pieces: int = 9) -> Int64[Tensor, "count pieces"]:
    """Permutations that differ in as many places as possible (Noroozi & Favaro 2016, algorithm 1).

    Starts with the identity, where the paper draws one; then takes the permutation with the largest sum of Hamming
    distances to those taken, the first in lexicographic order where several are equally far. The first ``pieces`` of
    them differ in every place.

    Args:
        count: 1 to pieces!.
        pieces: 2 to 9.

    Cost: time O(count · pieces · pieces!); 64 of nine pieces take a second; the last eight asked for are kept.
    """
    return _hamming_permutations(count, pieces).clone()  # what is remembered is nobody's to change


@lru_cache(maxsize=8)
def _hamming_permutations(count: int, pieces: int) -> Int64[Tensor, "count pieces"]:
    if not 2 <= pieces <= 9:
        raise ValueError(f"pieces must lie between 2 and 9, not {pieces}")
    every = np.array(list(itertools.permutations(range(pieces))), dtype=np.uint8)
    if not 1 <= count <= len(every):
        raise ValueError(f"count must lie between 1 and {len(every)}, not {count}")
    taken, apart = [0], np.zeros(len(every), dtype=np.int32)
    while len(taken) < count:
        apart += (every != every[taken[-1]]).sum(axis=1, dtype=np.int32)
        apart[taken[-1]] = -(pieces * count)  # never again
        taken.append(int(apart.argmax()))
    return torch.from_numpy(every[taken].astype(np.int64))


def _cut(question: RelativePosition | Jigsaw, images: Tensor) -> Tensor:
    images = unit_images(images)
    images = question.image_view(images) if question.image_view else images
    return tiles(images, question.size, question.gap, question.jitter, yoked=question.yoked)


def _viewed(pieces: Tensor, view: View | None) -> Tensor:
    return pieces if view is None else view(pieces.flatten(0, 1)).unflatten(0, pieces.shape[:2])
