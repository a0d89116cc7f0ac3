"""A small family of convex solids, seen from any viewpoint without perspective.

The outline of a convex polyhedron is the polygon of the edges between a face that looks at the viewer and one that
looks away; its signed distance is the largest of those to the lines of these edges (exact inside; outside, a lower
bound near corners). Within it, the surface is the lowest of the planes of the faces that look at the viewer.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from labkit.data.world._factors import SOLIDS

_A = 3**-0.5
_GABLE = ((-0.48, -0.6), (0.48, -0.6), (0.48, 0.1), (0, 0.66), (-0.48, 0.1))
# Vertices in the unit ball, y upwards, z to the viewer; faces as loops of vertices. The first face is the front.
_MODELS: dict[str, tuple[list[list[float]], list[list[int]]]] = {
    "cube": (
        [[x * _A, y * _A, z * _A] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)],
        [[1, 5, 7, 3], [0, 4, 6, 2], [0, 1, 3, 2], [4, 5, 7, 6], [0, 1, 5, 4], [2, 3, 7, 6]],
    ),
    "pyramid": (
        [[0, 0.9, 0], [-0.6, -0.5, 0.6], [0.6, -0.5, 0.6], [0.6, -0.5, -0.6], [-0.6, -0.5, -0.6]],
        [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [1, 2, 3, 4]],
    ),
    "house": (
        [[x, y, z] for z in (0.62, -0.62) for x, y in _GABLE],
        [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [0, 1, 6, 5], [1, 2, 7, 6], [2, 3, 8, 7], [3, 4, 9, 8], [4, 0, 5, 9]],
    ),
    "octahedron": (
        [[0.95 * (i == k) * sign for k in range(3)] for i in range(3) for sign in (1, -1)],
        [[x, y, z] for x in (0, 1) for y in (2, 3) for z in (4, 5)],
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """All solids as tables of equal width; padding faces look nowhere and padding edges divide nothing."""

    normals: Float[Tensor, "solids faces 3"]
    offsets: Float[Tensor, "solids faces"]
    across: Float[Tensor, "solids faces 3"]
    up: Float[Tensor, "solids faces 3"]
    ends: Float[Tensor, "solids edges 2 3"]
    sides: Int64[Tensor, "solids edges 2"]
    keypoints: Float[Tensor, "solids points 3"]
    at_keypoint: Float[Tensor, "solids points faces"]


def family(like: Tensor) -> Family:
    """The tables of ``SOLIDS`` on the device and in the precision of ``like``."""
    return _family(like.device, like.dtype)


@cache
def _family(device: torch.device, dtype: torch.dtype) -> Family:
    tables: dict[str, list[Tensor]] = {name: [] for name in Family.__annotations__}
    for name in SOLIDS:
        for key, table in _tables(*_MODELS[name]).items():
            tables[key].append(table)
    padded = {name: _padded(parts).to(device) for name, parts in tables.items()}
    return Family(**{name: part.to(dtype) if part.is_floating_point() else part for name, part in padded.items()})


def _tables(vertices: list[list[float]], faces: list[list[int]]) -> dict[str, Tensor]:
    points = torch.tensor(vertices, dtype=torch.float32)
    corners = [points[face] for face in faces]
    normals = torch.stack([torch.linalg.cross(c[1] - c[0], c[2] - c[1]) for c in corners])
    offsets = torch.stack([normal @ c[0] for normal, c in zip(normals, corners, strict=True)])
    normals = normalize(normals * offsets.sign()[:, None])  # outwards: the centre is inside
    offsets = torch.stack([normal @ c[0] for normal, c in zip(normals, corners, strict=True)])
    upright = torch.tensor([0.0, 1.0, 0.0]).expand_as(normals)
    flat = normals[:, 1].abs() > 0.99
    across = torch.where(flat[:, None], torch.tensor([1.0, 0.0, 0.0]), torch.linalg.cross(upright, normals))
    across = normalize(across)
    edges: dict[tuple[int, int], list[int]] = {}
    for number, face in enumerate(faces):
        for a, b in zip(face, face[1:] + face[:1], strict=True):
            edges.setdefault((min(a, b), max(a, b)), []).append(number)
    return {
        "normals": normals,
        "offsets": offsets,
        "across": across,
        "up": torch.linalg.cross(normals, across),
        "ends": points[torch.tensor(list(edges))],
        "sides": torch.tensor(list(edges.values())),
        "keypoints": points[:4],
        "at_keypoint": torch.tensor([[float(point in face) for face in faces] for point in range(4)]),
    }


def _padded(parts: list[Tensor]) -> Tensor:
    """Stacked, with zeros up to the largest: a face without normal or keypoint, an edge with face 0 on both sides."""
    sizes = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
    stacked = parts[0].new_zeros(len(parts), *sizes)
    for row, part in zip(stacked, parts, strict=True):
        row[tuple(slice(size) for size in part.shape)] = part
    return stacked


def rotation(angle: Tensor, elevation: Tensor, azimuth: Tensor) -> Float[Tensor, "... 3 3"]:
    """From the object's axes to the viewer's (radians): about its upright axis, tipped to the viewer, in the plane."""
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    c, s = azimuth.cos(), azimuth.sin()
    about = torch.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).unflatten(-1, (3, 3))
    c, s = elevation.cos(), elevation.sin()
    tipped = torch.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).unflatten(-1, (3, 3))
    c, s = angle.cos(), angle.sin()
    plane = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).unflatten(-1, (3, 3))
    return plane @ tipped @ about


def outline(solid: Int64[Tensor, " m"], turned: Float[Tensor, "m 3 3"], x: Tensor, y: Tensor) -> Tensor:
    """Signed distance in the picture plane from (x, y), in units of the scale, to the outline of each solid."""
    shapes = family(x)
    facing = torch.einsum("mfk,mk->mf", shapes.normals[solid], turned[:, 2]) > 0
    sides = shapes.sides[solid]
    parts = facing.gather(1, sides[..., 0]) != facing.gather(1, sides[..., 1])
    ends = torch.einsum("mij,mepj->mepi", turned, shapes.ends[solid])[..., :2]
    along = ends[:, :, 1] - ends[:, :, 0]
    parts = parts & (along.norm(dim=-1) > 1e-4)  # an edge seen end on is a point, whose direction is what rounding says
    normal = normalize(torch.stack([along[..., 1], -along[..., 0]], -1), dim=-1)
    distance = (normal * ends[:, :, 0]).sum(-1)
    normal, distance = normal * distance.sign()[..., None], distance.abs()  # away from the centre, which is inside
    order = parts.int().argsort(dim=1, descending=True)
    found = None
    for place in range(int(parts.sum(1).max())):
        edge = order[:, place, None]
        nx, ny, d = (t.gather(1, edge)[..., None] for t in (normal[..., 0], normal[..., 1], distance))
        d = torch.where(parts.gather(1, edge)[..., None], d, torch.inf)
        here = nx * x + (ny * y - d)
        found = here if found is None else torch.maximum(found, here, out=found)
    return found


def surface(
    solid: Int64[Tensor, " m"], turned: Float[Tensor, "m 3 3"], light: Float[Tensor, "m 3"], x: Tensor, y: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What is seen at (x, y): height towards the viewer, number of the face, its two coordinates, n·l.

    Lengths are in units of the scale; where the solid isn't, the values mean nothing.
    """
    shapes = family(x)
    normals = torch.einsum("mij,mfj->mfi", turned, shapes.normals[solid])
    facing = normals[..., 2] > 1e-3
    order = facing.int().argsort(dim=1, descending=True)
    shade = torch.einsum("mfi,mi->mf", normals, light)
    # on a face the height is h·(x, y, 1), and so is each of its own coordinates
    plane = torch.stack([-normals[..., 0], -normals[..., 1], shapes.offsets[solid]], -1) / normals[..., 2:]
    axes = (torch.einsum("mij,mfj->mfi", turned, basis[solid]) for basis in (shapes.across, shapes.up))
    maps = [plane] + [torch.cat([a[..., :2], torch.zeros_like(a[..., :1])], -1) + a[..., 2:] * plane for a in axes]
    best = None
    for place in range(int(facing.sum(1).max())):
        face = order[:, place, None]
        valid = facing.gather(1, face)[..., None]
        height, u, v = (_affine(table.gather(1, face[..., None].expand(-1, -1, 3))[:, 0], x, y) for table in maps)
        values = [height, face[..., None].expand_as(height), u, v, shade.gather(1, face)[..., None].expand_as(height)]
        if best is None:
            best = values
            continue
        nearer = (height < best[0]) & valid
        best = [torch.where(nearer, new, old) for new, old in zip(values, best, strict=True)]
    return tuple(best)


def _affine(coefficients: Float[Tensor, "m 3"], x: Tensor, y: Tensor) -> Tensor:
    a, b, c = (column[:, None, None] for column in coefficients.unbind(1))
    return a * x + (b * y + c)
