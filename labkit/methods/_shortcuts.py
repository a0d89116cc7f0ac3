"""Answers without understanding: where a second patch lies, read off its border or its colour fringes alone.

Both take the pieces of a :class:`RelativePosition` question and know nothing else; chance is one in eight.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit._arguments import checked

Pairs = Float[Tensor, "asked 2 channels side side"]

# The eight places around a patch in reading order: rows down, columns right.
STEPS = torch.tensor([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)])


@checked
def read_borders(pieces: Pairs) -> Int64[Tensor, "asked"]:
    """The place where the second patch would continue the first one best: the smallest mean square step across a seam.

    At the sides that is the mean over a border, at the corners the step between two pixels. What Doersch et al. 2015
    (section 3.1) leave a gap between patches against. ``pieces``: [asked, 2, channels, side, side].
    """
    _require_inside(pieces)
    first, second = pieces.unbind(1)
    ends = {-1: (0, -1), 0: (slice(None), slice(None)), 1: (-1, 0)}  # of the first patch, and of the second
    steps = []
    for y, x in STEPS.tolist():
        mine, other = first[:, :, ends[y][0]], second[:, :, ends[y][1]]
        step = (mine[..., ends[x][0]] - other[..., ends[x][1]]).square()
        steps.append(step.flatten(1).mean(1))
    return torch.stack(steps, dim=1).argmin(1)


@checked
def read_fringes(pieces: Pairs) -> Int64[Tensor, "asked"]:
    """The place that the colour fringes of the two patches point to.

    In each patch red lies a little farther from the centre of the picture than blue; how far is in proportion to the
    distance. The shift is found by least squares, red − blue ≈ −shift · gradient, both channels at mean 0 and variance
    1 over the patch; the difference of the two shifts points from the first patch to the second. ``pieces``:
    [asked, 2, 3, side, side].
    """
    _require_inside(pieces)
    if pieces.shape[2] != 3:
        raise ValueError(f"pieces must have three channels, in which fringes are seen, not {pieces.shape[2]}")
    shift = _red_behind_blue(pieces.flatten(0, 1)).unflatten(0, pieces.shape[:2])
    towards = shift[:, 1] - shift[:, 0]
    directions = STEPS.to(towards) / STEPS.to(towards).norm(dim=1, keepdim=True)
    return (towards @ directions.T).argmax(1)


def _red_behind_blue(patches: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n 2"]:
    """How far red is moved against blue in each patch, in pixels down and right; 0 where there is no edge."""
    flat = patches[:, [0, 2]]
    flat = flat - flat.mean((2, 3), keepdim=True)
    red, blue = (flat / flat.std((2, 3), keepdim=True).clamp(min=1e-3)).unbind(1)
    mean = (red + blue) / 2
    down, right = (mean[:, 2:, 1:-1] - mean[:, :-2, 1:-1]) / 2, (mean[:, 1:-1, 2:] - mean[:, 1:-1, :-2]) / 2
    slopes = torch.stack([down, right], dim=1).flatten(2)
    change = (red - blue)[:, 1:-1, 1:-1].flatten(1)
    normal = slopes @ slopes.mT + 0.05 * torch.eye(2).to(slopes)
    return torch.linalg.solve(normal, -(slopes @ change[..., None]))[..., 0]


def _require_inside(pieces: Pairs) -> None:
    if pieces.shape[2] < 1 or pieces.shape[3] < 3:
        raise ValueError(f"pieces must have a channel and a side of 3 pixels or more, not {list(pieces.shape)}")
