"""Images cut into a grid of tiles: what context prediction and jigsaw puzzles look at."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit.views._draws import drawn
from labkit.views._image import unit_images


@checked(numbers=False)
def tiles(
    images: Tensor,
    size: int,
    gap: int = 0,
    jitter: int = 0,
    grid: int = 3,
    *,
    yoked: bool = False,
    generator: Generator | None = None,
) -> Float[Tensor, "items places channels size size"]:
    """``grid`` × ``grid`` square tiles of each image, in reading order, the whole block at a random place.

    Neighbours are ``gap`` pixels apart, so that edges don't run on from one into the next; then each tile is moved by
    up to ``jitter`` pixels up or down and left or right (Doersch et al. 2015, section 3.1). All offsets are equally
    likely; each image has draws of its own.

    Args:
        images: [items, channels, height, width], uint8 or floats in [0, 1].
        size: side of a tile in pixels, at least 1.
        gap: pixels between neighbours before they are moved, at least 0.
        jitter: pixels, at least 0; tiles may overlap where it is more than half the gap.
        grid: tiles in a row and in a column, at least 1.
        yoked: all tiles of an image are moved by the same draw, so that a line through two of them stays one.
        generator: None: torch's default one.

    Raises:
        ValueError: a block that doesn't fit into the image, numbers below those above, or what is no batch of images.

    Example:
        >>> tiles(images, size=10, gap=3, jitter=1).shape               # of [64, 3, 40, 40]
        torch.Size([64, 9, 3, 10, 10])
    """
    images = unit_images(images)
    n, _, height, width = images.shape
    block = block_side(size, gap, jitter, grid)
    if block > min(height, width):
        raise ValueError(
            f"{grid} × {grid} tiles of {size} pixels with gap={gap} and jitter={jitter} need {block} × {block} pixels, "
            f"but images are {height} × {width}; make size, gap or jitter smaller"
        )

    def moves(most: int, *shape: int) -> Tensor:
        return drawn(partial(torch.randint, most + 1), (n, *shape), images.device, generator)

    places = torch.arange(grid, device=images.device) * (size + gap)
    corner = torch.cartesian_prod(places, places).view(-1, 2) + moves(2 * jitter, 1 if yoked else grid**2, 2)
    top = (corner[..., 0] + moves(height - block, 1))[..., None] + torch.arange(size, device=images.device)
    left = (corner[..., 1] + moves(width - block, 1))[..., None] + torch.arange(size, device=images.device)
    item = torch.arange(n, device=images.device)[:, None, None, None]
    cut = images.permute(0, 2, 3, 1)[item, top[..., :, None], left[..., None, :]]  # channels last
    return cut.permute(0, 1, 4, 2, 3)


@checked(numbers=False)
def block_side(size: int, gap: int = 0, jitter: int = 0, grid: int = 3) -> int:
    """Pixels that a block of tiles takes in each direction, wherever its tiles are moved to."""
    require_counts(size=size, grid=grid)
    require_counts(0, gap=gap, jitter=jitter)
    return grid * size + (grid - 1) * gap + 2 * jitter
