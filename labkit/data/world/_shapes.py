"""Flat shapes as signed distance functions: negative inside, and the distance to the outline in the same unit.

After Inigo Quilez, "2D distance functions", https://iquilezles.org/articles/distfunctions2d/. Each takes coordinates
that broadcast, in units of the object's scale. They reach 0.86 (the disc) to 1.15 (the triangle) of it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import relu


def disc(u: Tensor, v: Tensor) -> Tensor:
    return _length(u, v) - 0.86


def square(u: Tensor, v: Tensor) -> Tensor:
    return _box(u.abs() - 0.7, v.abs() - 0.7)


def triangle(u: Tensor, v: Tensor) -> Tensor:
    k, r = math.sqrt(3), 0.95  # half a side
    v = v + 0.12 + 0 * u
    u, v = u.abs() - r, v + r / k
    beyond = u + k * v > 0
    u, v = torch.where(beyond, (u - k * v) / 2, u), torch.where(beyond, (-k * u - v) / 2, v)
    u = u - u.clamp(-2 * r, 0)
    return -_length(u, v) * v.sign()


def star(u: Tensor, v: Tensor) -> Tensor:
    c, s, inner = math.cos(math.pi / 5), math.sin(math.pi / 5), 0.5
    u, v = u.abs(), v + 0 * u
    fold = 2 * relu(c * u - s * v)
    u, v = u - c * fold, v + s * fold
    fold = 2 * relu(-c * u - s * v)
    u, v = (u + c * fold).abs(), v + s * fold - 1
    side_u, side_v = inner * s, inner * c - 1
    along = ((u * side_u + v * side_v) / (side_u**2 + side_v**2)).clamp(0, 1)
    return _length(u - side_u * along, v - side_v * along) * (v * side_u - u * side_v).sign()


def cross(u: Tensor, v: Tensor) -> Tensor:
    u, v = u.abs() + 0 * v, v.abs() + 0 * u
    u, v = torch.maximum(u, v), torch.minimum(u, v)
    long, wide = 0.92, 0.32
    far = torch.maximum(v - wide, u - long)
    inside = far <= 0
    return torch.where(inside, -_length(relu(wide - u), far), _length(relu(u - long), relu(v - wide)))


def ring(u: Tensor, v: Tensor) -> Tensor:
    return (_length(u, v) - 0.68).abs() - 0.24


def heart(u: Tensor, v: Tensor) -> Tensor:
    size = 0.62
    u, v = size * u.abs(), size * v + 0.56
    lobe = _length(u - 0.25, v - 0.75) - math.sqrt(2) / 4
    half = relu(u + v) / 2
    below = torch.minimum(_length(u, v - 1), _length(u - half, v - half)) * (u - v).sign()
    return torch.where(u + v > 1, lobe, below) / size


def moon(u: Tensor, v: Tensor) -> Tensor:
    apart, outer, inner = 0.42, 0.92, 0.72
    u, v = u + 0.2, v.abs() + 0 * u
    a = (outer**2 - inner**2 + apart**2) / (2 * apart)
    b = math.sqrt(outer**2 - a**2)
    tip = apart * (u * b - v * a) > apart**2 * relu(b - v)
    body = torch.maximum(_length(u, v) - outer, inner - _length(u - apart, v))
    return torch.where(tip, _length(u - a, v - b), body)


DISTANCE: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (disc, square, triangle, star, cross, ring, heart, moon)

# Four points of each shape, in units of its scale, that lie inside it and keep their meaning under any pose.
_SQUARE = [[0.6, 0.6], [-0.6, 0.6], [-0.6, -0.6], [0.6, -0.6]]
_RING = [[0.68, 0.0], [0.0, 0.68], [-0.68, 0.0], [0.0, -0.68]]
KEYPOINTS = torch.tensor(
    [
        _RING,
        _SQUARE,
        [[0.0, 0.82], [-0.7, -0.6], [0.7, -0.6], [0.0, 0.0]],
        [[0.0, 0.85], [-0.81, 0.26], [0.81, 0.26], [0.0, 0.0]],
        [[0.8, 0.0], [0.0, 0.8], [-0.8, 0.0], [0.0, -0.8]],
        _RING,
        [[0.0, -0.75], [-0.5, 0.45], [0.5, 0.45], [0.0, 0.0]],
        [[-0.95, 0.0], [-0.7, 0.6], [-0.7, -0.6], [-0.25, 0.82]],
    ]
)


def _length(u: Tensor, v: Tensor) -> Tensor:
    return (u.square() + v.square()).sqrt_()


def _box(u: Tensor, v: Tensor) -> Tensor:
    """Distance to a box from the coordinates less its half sides."""
    inside = torch.maximum(u, v).clamp(max=0)
    return _length(relu(u), relu(v)) + inside
