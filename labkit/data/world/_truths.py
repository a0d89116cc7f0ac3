"""What is known of each pixel, at its centre; and where the same points of each object are."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from labkit._checks import require_positive
from labkit.data.world._factors import FLAT, Scenes
from labkit.data.world._objects import Drawn, Objects
from labkit.data.world._shapes import KEYPOINTS
from labkit.data.world._solids import family
from labkit.data.world._textures import SHARP

EDGES = ("occlusion", "crease", "texture", "shadow")
TRUTHS = {
    "albedo": "float [items, 3, size, size]: colour; albedo · light, cut at 1, is the picture before shortcuts",
    "light": "float [items, size, size]: light received, 1 for what faces the viewer in the middle of the picture",
    "segments": "uint8 [items, size, size]: 0 for the background, 1 + k for object k",
    "visible": "bool [items, objects, size, size]: what can be seen of each object",
    "full": "bool [items, objects, size, size]: the whole object, also where a nearer one hides it",
    "depth": "float [items, size, size]: distance from the viewer in half sides; object k about 2k + 2, background 14",
    "shadow": "bool [items, size, size]: in the shadow that another object casts",
    "edges": "bool [items, 4, size, size]: what differs from the pixel to the right or below, by cause (world.EDGES)",
    "flow": "float [items, 2, size, size]: where what is seen here will be in the next frame, pixels right and down",
}
_BACKGROUND_DEPTH = 14.0


# which maps of the nearest surface each truth is made from
_NEEDS = {
    "segments": ("segments",),
    "visible": ("segments",),
    "full": (),
    "depth": ("depth",),
    "shadow": ("shadow",),
    "edges": ("segments", "face", "second", "shadow"),
    "flow": ("flow",),
}


def draw(objects: Drawn, share: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """The truths of these names, of all but "albedo" and "light"; ``share``: second tone of the background."""
    seen = _nearest(objects, share, {part for name in names for part in _NEEDS[name]})
    number = torch.arange(1, objects.scenes.objects.shape[1] + 1, device=share.device).view(1, -1, 1, 1)
    made = {
        "visible": lambda: seen["segments"][:, None] == number,
        "full": lambda: _full(objects),
        "edges": lambda: _edges(*(seen[part] for part in _NEEDS["edges"])),
    }
    return {name: made[name]() if name in made else seen[name] for name in names}


def _nearest(objects: Drawn, share: Tensor, parts: set[str]) -> dict[str, Tensor]:
    """Maps of what is nearest to the viewer at each pixel's centre, painted over from back to front."""
    sharp = (objects.scenes["background"] < SHARP)[:, None, None]
    nothing = torch.zeros_like(share, dtype=torch.uint8)
    number = (objects.place + 1)[:, None, None]
    background = {
        "segments": lambda: nothing.clone(),
        "face": lambda: nothing.clone(),
        "second": lambda: (share > 0.5) & sharp,
        "shadow": lambda: nothing.bool(),
        "depth": lambda: torch.full_like(share, _BACKGROUND_DEPTH),
        "flow": lambda: _pan(objects.scenes, share.shape[-1]),
    }
    of_objects = {
        "segments": lambda: number.to(torch.uint8),
        "face": lambda: _of_all(objects, objects.face).to(torch.uint8),
        "second": lambda: objects.paint > 0.5,
        "shadow": lambda: torch.zeros_like(objects.dark, dtype=torch.bool),  # a shadow falls on what lies behind
        "depth": lambda: 2 * number - _of_all(objects, objects.height),
        "flow": lambda: _motion(objects, share.shape[-1]),
    }
    seen, values = ({part: made[part]() for part in parts} for made in (background, of_objects))
    inside, dark = objects.distance < 0, objects.dark < 0
    for rows, ours in objects.back_to_front():
        if "shadow" in parts:
            seen["shadow"][rows] |= dark[ours]
        for part, whole in seen.items():
            covered = inside[ours] if whole.dim() == 3 else inside[ours][:, None]
            whole[rows] = torch.where(covered, values[part][ours], whole[rows])
    return seen


def _full(objects: Drawn) -> Tensor:
    size = objects.distance.shape[-1]
    full = torch.zeros(*objects.scenes.objects.shape[:2], size, size, dtype=torch.bool, device=objects.item.device)
    full[objects.item, objects.place] = objects.distance < 0
    return full


def _of_all(objects: Drawn, values: Tensor | None) -> Tensor:
    """A map of the solids as one of all objects, 0 for the flat ones."""
    whole = torch.zeros_like(objects.distance)
    if values is not None:
        whole[objects.flat :] = values
    return whole


def _motion(objects: Drawn, size: int) -> Float[Tensor, "m 2 size size"]:
    """A point p of a rigid object goes to D (p − centre) + centre + velocity, in three dimensions."""
    later = objects.pose(objects["angle"] + objects["spin"], objects["azimuth"] + objects["turn"])
    change = later @ objects.turned.mT - torch.eye(3, device=later.device, dtype=later.dtype)
    x, y = (at - objects[name][:, None, None] for at, name in ((objects.x, "x"), (objects.y, "y")))
    z = _of_all(objects, objects.height)
    moved = []
    for i, velocity in enumerate(("velocity_x", "velocity_y")):
        a, b, c = change[:, i, :, None, None].unbind(1)
        moved.append(a * x + b * y + (c * z + objects[velocity][:, None, None]))
    return torch.stack([moved[0], -moved[1]], 1).mul_(size / 2)


def _pan(scenes: Scenes, size: int) -> Float[Tensor, "items 2 size size"]:
    pan = torch.stack([scenes["pan_x"], -scenes["pan_y"]], 1) * (size / 2)
    return pan[..., None, None].repeat(1, 1, size, size)


def _edges(segments: Tensor, face: Tensor, second: Tensor, shadow: Tensor) -> Tensor:
    """Each border has one cause: another thing; else another of its faces; else light; else paint."""
    found = torch.zeros(len(segments), len(EDGES), *segments.shape[1:], dtype=torch.bool, device=segments.device)
    for axis in (1, 2):
        here = slice(0, segments.shape[axis] - 1)
        inner = (slice(None), here) if axis == 1 else (slice(None), slice(None), here)
        causes = dict(zip(EDGES, (segments, face, second, shadow), strict=True))
        known = None
        for name in ("occlusion", "crease", "shadow", "texture"):
            differs = causes[name].narrow(axis, 1, here.stop) != causes[name].narrow(axis, 0, here.stop)
            new = differs if known is None else differs & ~known
            known = differs if known is None else known | differs
            found[:, EDGES.index(name)][inner] |= new
    return found


def keypoints(
    scenes: Scenes, size: int = 64
) -> tuple[Float[Tensor, "items objects 4 2"], Bool[Tensor, "items objects 4"]]:
    """Where four points of each object are, and which of them can be seen.

    A shape's points keep their meaning under every pose: a corner of a square, the tip of a pyramid. They lie a little
    inside the outline. On a disc and a ring nothing but the texture tells them apart.

    Args:
        size: side of the picture in pixels.

    Returns:
        (x, y) in pixels from the upper left corner, to the right and down (the first pixel's centre is at 0.5, 0.5),
        and whether the point is in the picture, on a face that looks at the viewer, and behind no nearer object. Empty
        places hold zeros and False.
    """
    require_positive("size", size)
    objects = Objects(scenes)
    own = scenes.objects.new_zeros(len(objects.item), 4, 3)
    solids = family(own)
    faced = torch.ones(len(own), 4, dtype=torch.bool, device=own.device)
    kind = objects["shape"]
    own[: objects.flat, :, :2] = KEYPOINTS.to(own)[kind[: objects.flat]]
    if objects.flat < len(own):
        solid, turned = kind[objects.flat :] - len(FLAT), objects.turned[objects.flat :]
        own[objects.flat :] = 0.96 * solids.keypoints[solid]
        facing = (torch.einsum("mfk,mk->mf", solids.normals[solid], turned[:, 2]) > 0).to(own)
        faced[objects.flat :] = torch.einsum("mpf,mf->mp", solids.at_keypoint[solid], facing) > 0
    centre = torch.stack([objects["x"], objects["y"]], -1)[:, None]
    point = centre + objects["scale"][:, None, None] * torch.einsum("mij,mpj->mpi", objects.turned[:, :2], own)

    items, places = scenes.objects.shape[:2]
    where = point.new_zeros(items, places, 4, 2)
    where[objects.item, objects.place] = point
    x, y = (axis.flatten(1)[objects.item][:, None] for axis in where.unbind(-1))
    covers = (objects.distances(x, y) < 0).view(-1, places, 4)
    covers &= (torch.arange(places, device=own.device) > objects.place[:, None])[..., None]
    hidden = torch.zeros(items, places, 4, device=own.device).index_add_(0, objects.item, covers.float()) > 0
    seen = torch.zeros_like(hidden)
    seen[objects.item, objects.place] = faced
    seen &= ~hidden & (where.abs() < 1).all(-1)
    pixels = torch.stack([where[..., 0] + 1, 1 - where[..., 1]], -1) * (size / 2)
    return pixels * (scenes["present"] == 1)[..., None, None], seen
