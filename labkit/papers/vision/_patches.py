"""What a code of patches finds: the most similar patches of other pictures, and objects as squares of four patches.

Doersch et al. 2015, section 4, "Nearest neighbors" and "Visual data mining". Any code of patches will do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Generator, Tensor
from torch.nn import functional as F

ADJACENT = 2  # steps of the grid from a patch to the one beside it: the grid has a patch every half side
SQUARE = torch.tensor([[-1, -1], [-1, 1], [1, -1], [1, 1]]) / 2  # rows, columns of the corners of a square of side 1


def cut(images: UInt8[Tensor, "items c h w"], size: int) -> UInt8[Tensor, "items places c size size"]:
    """Every patch on a grid with half a patch between places, in reading order."""
    grid = images.unfold(2, size, size // ADJACENT).unfold(3, size, size // ADJACENT)
    return grid.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


def corners(side: int, size: int) -> Int64[Tensor, "places 2"]:
    """Row and column of the first pixel of each patch of ``cut``."""
    line = torch.arange(0, side - size + 1, size // ADJACENT)
    return torch.cartesian_prod(line, line)


def codes(embed: Callable[[Tensor], Tensor], patches: Tensor) -> Float[Tensor, "items places dim"]:
    """``embed(patches [n, c, size, size])`` less its own mean, of length 1: products are normalised correlations."""
    z = embed(patches.flatten(0, 1)).float()
    return F.normalize(z - z.mean(1, keepdim=True), dim=1).unflatten(0, patches.shape[:2])


def best_places(
    z: Float[Tensor, "items places dim"], image: Int64[Tensor, "asked"], place: Int64[Tensor, "asked"]
) -> tuple[Float[Tensor, "asked items"], Int64[Tensor, "asked items"]]:
    """How well each picture's best patch matches the patches asked about, and where it lies; its own picture: −∞.

    Cost: time O(asked · items · places · dim), memory O(asked · items) and 128 rows of all patches.
    """
    every, found = z.flatten(0, 1).T.contiguous(), []
    for asked in z[image, place].split(128):
        found.append((asked @ every).unflatten(1, z.shape[:2]).max(2))
    similarity, where = (torch.cat(part) for part in zip(*found, strict=True))
    return similarity.scatter(1, image[:, None], -torch.inf), where


def nearest(
    z: Float[Tensor, "items places dim"], image: Int64[Tensor, "asked"], place: Int64[Tensor, "asked"], k: int = 4
) -> tuple[Int64[Tensor, "asked k"], Int64[Tensor, "asked k"]]:
    """Pictures and places of the k most similar patches, nearest first, at most one a picture: neighbours on the grid
    share half their pixels and would fill the list."""
    similarity, where = best_places(z, image, place)
    found = similarity.topk(k, dim=1).indices
    return found, where.gather(1, found)


def drawn_on(share: Float[Tensor, "items places"], generator: Generator) -> Int64[Tensor, "items"]:
    """A place in each picture, drawn among those at least half on its object (where there is none: most on it)."""
    enough = share >= share.amax(1, keepdim=True).clamp(max=0.5)
    return enough.float().multinomial(1, generator=generator)[:, 0]


@dataclass(frozen=True)
class Discovered:
    """What ``discover`` found for each constellation, the most convincing first.

    Attributes:
        image, places: where the constellation was cut; places are top left, top right, bottom left, bottom right.
        found, found_places: the pictures with the strongest matches, and where the four matches lie.
        kept: which of them lie as a square does; without the geometric check all.
    """

    image: Int64[Tensor, "n"]
    places: Int64[Tensor, "n 4"]
    found: Int64[Tensor, "n k"]
    found_places: Int64[Tensor, "n k 4"]
    kept: Bool[Tensor, "n k"]


def discover(
    z: Float[Tensor, "items places dim"], side: int, size: int, k: int, generator: Generator, check: bool = True
) -> Discovered:
    """Visual data mining: four adjacent patches at a random place of each picture, and the k pictures that match best.

    A picture's strength is the sum over the four of its best match wherever that lies. Constellations are ranked by how
    many of the k verify (``squared_error`` below 1), then by mean strength; ``check`` off: by strength alone.

    Args:
        z: codes of ``cut``.
        side, size: of the square pictures and of a patch, in pixels.
        k: at most one less than there are pictures.
        generator: draws the places.
    """
    at, image = corners(side, size), torch.arange(len(z))
    line = round(len(at) ** 0.5)
    first = torch.randint(line - ADJACENT, (len(z), 2), generator=generator)
    grid = first[:, None] + ((SQUARE + 0.5) * ADJACENT).long()
    places = line * grid[..., 0] + grid[..., 1]
    similarity, where = best_places(z, image.repeat_interleave(4), places.flatten())
    strength, found = similarity.unflatten(0, (-1, 4)).sum(1).topk(k, dim=1)
    found_places = where.unflatten(0, (-1, 4)).gather(2, found[:, None].expand(-1, 4, -1)).mT
    kept = squared_error(at[found_places], size) < 1 if check else torch.ones_like(found, dtype=torch.bool)
    rank = (kept.sum(1) + strength.mean(1) / 16).argsort(descending=True)  # strength lies in [−4, 4]: it breaks ties
    return Discovered(*(part[rank] for part in (image, places, found, found_places, kept)))


def squared_error(points: Tensor, size: float) -> Float[Tensor, "..."]:
    """Of four patches [..., 4, 2] about the best upright square, over the square of its side ("Visual data mining").

    The side, by least squares, may lie between 2/3 and 4/3 of ``size``, that of a patch.
    """
    points = points.float() - points.float().mean(-2, keepdim=True)
    side = ((points * SQUARE).sum((-2, -1)) / 2).clamp(2 / 3 * size, 4 / 3 * size)  # the error is a parabola in it
    return (points - side[..., None, None] * SQUARE).square().sum((-2, -1)) / side.square()


def purity_and_coverage(
    what: Discovered, labels: Int64[Tensor, "items"]
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """For the first 1, 2, ... constellations: of the pictures kept, the share that are of the class of the picture the
    constellation was cut from; and the share of all pictures that any of them keeps."""
    right = what.kept & (labels[what.found] == labels[what.image, None])
    purity = right.sum(1).cumsum(0) / what.kept.sum(1).cumsum(0).clamp(min=1)
    seen = torch.zeros(len(what.image), len(labels)).scatter_(1, what.found, what.kept.float())
    return purity, seen.cummax(0).values.mean(1)
