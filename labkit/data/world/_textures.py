"""Two-tone patterns from signed distances, so that they are sharp at any resolution and grey where too fine for it."""

import math

import torch
from torch import Tensor


def pattern(kind: Tensor, u: Tensor, v: Tensor, period: Tensor, footprint: Tensor) -> Tensor:
    """How much of the second tone each point has, 0 to 1.

    Args:
        kind: [m] number of a name in TEXTURES or BACKGROUNDS.
        u, v: [m, ...] coordinates.
        period, footprint: [m] period of the pattern and side of a pixel, in the unit of the coordinates.
    """
    share = torch.zeros_like(u)
    for number, paint in _PAINTS.items():
        rows = (kind == number).nonzero().flatten()
        if len(rows):
            column = (-1,) + (1,) * (u.dim() - 1)
            scale = (1 / period[rows]).view(column)
            sharp = (period[rows] / footprint[rows]).view(column)
            share[rows] = paint(u[rows] * scale, v[rows] * scale, sharp)
    return share


def _striped(u: Tensor, v: Tensor, sharp: Tensor) -> Tensor:
    return _covered(_wave(u), sharp)


def _checked(u: Tensor, v: Tensor, sharp: Tensor) -> Tensor:
    a, b = _wave(u), _wave(v)
    return _covered(torch.maximum(torch.minimum(a, b), -torch.maximum(a, b)), sharp)


def _dotted(u: Tensor, v: Tensor, sharp: Tensor) -> Tensor:
    radius = ((u - u.floor() - 0.5).square() + (v - v.floor() - 0.5).square()).sqrt_()
    return _covered(radius - 0.3, sharp)


def _cloudy(u: Tensor, v: Tensor, sharp: Tensor) -> Tensor:
    u, v = math.pi / 2 * u, math.pi / 2 * v
    waves = torch.sin(u + 1.3 * torch.sin(0.7 * v)) + torch.sin(0.8 * v - 1.1 * torch.sin(0.9 * u + 1))
    return waves.mul_(0.25).add_(0.5)


_PAINTS = {1: _striped, 2: _checked, 3: _dotted, 4: _cloudy}  # 0 is plain
SHARP = 4  # patterns below this number have edges


def _wave(t: Tensor) -> Tensor:
    """Signed distance to the nearest border of the stripes [n + 1/4, n + 3/4]: negative within them."""
    return (t - t.floor() - 0.5).abs_().sub_(0.25)


def _covered(distance: Tensor, sharp: Tensor) -> Tensor:
    """The share of a pixel on the inner side of a border."""
    return (0.5 - distance * sharp).clamp_(0, 1)
