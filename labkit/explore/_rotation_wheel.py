"""The rotation wheel: turn the input, and see whether the embedding turns with it."""

import math
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between, require_counts
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory import sphere

_PLANES = 3


@checked(numbers=False)
def circle_embedding(angle: float, bend: float = 0.0, items: int = 60, seed: int = 0) -> Float[Tensor, "items six"]:
    """Points of a circle, turned by ``angle`` (radians), embedded in six dimensions: planes that turn 1, 2 and 3 times.

    With ``bend`` = 0 turning the input by a is a rotation by a, 2a and 3a, exactly. Larger values add a part that no
    rotation of the embedding can follow.
    """
    require_between("angle", angle, -1e6, 1e6)
    require_between("bend", bend, -1e6, 1e6)
    require_counts(items=items)
    at = 2 * math.pi * torch.arange(items, dtype=torch.float64) / items + angle
    z = torch.cat([torch.stack([(k * at).cos(), (k * at).sin()], dim=1) / k for k in range(1, _PLANES + 1)], dim=1)
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(2 * _PLANES, 2 * _PLANES, generator=generator, dtype=torch.float64)
    return normalize(z + bend * torch.tanh(2 * z @ mix + 1), dim=1)


@checked(numbers=False)
def rotation_wheel(embed: Callable[[float], Tensor] | None = None) -> Playground:
    """Rotations R_a, R_b and R_ab recovered from embeddings (Wahba), their angles, and R_a R_b against R_ab.

    Args:
        embed: input turned by an angle (radians) -> embeddings [items, dim] of the same items, dim ≤ 64: a trained
            encoder. None: :func:`circle_embedding`, with a slider for what is no rotation.

    The numbers: ``theory.sphere.composition``, ``wahba_error``, ``rotation_angles``, ``relative_equivariance``.

    Raises:
        ValueError: ``embed`` gives something else.

    Example:
        >>> labkit.explore.rotation_wheel(lambda angle: care.embed_turned(method, images, angle))
    """
    sliders = {
        "a": Slider("input turned by a (rad)", 0.8, -3.1, 3.1, 0.1),
        "b": Slider("and by b (rad)", 0.5, -3.1, 3.1, 0.1),
    }
    if embed is None:
        sliders["bend"] = Slider("part that is no rotation", 0.0, 0.0, 1.0, 0.05)
        return Playground(
            lambda a, b, bend: _panels(lambda angle: circle_embedding(angle, bend), a, b), sliders, _TITLE
        )
    shape = getattr(embed(0.0), "shape", ())
    if len(shape) != 2 or shape[0] < 2 or not 2 <= shape[1] <= 64:
        raise ValueError(
            f"embed must give a tensor [items, dim] of 2 items or more, dim from 2 to 64, not {list(shape)}"
        )
    return Playground(lambda a, b: _panels(embed, a, b), sliders, _TITLE)


_TITLE = "The rotation wheel"


def _panels(embed: Callable[[float], Tensor], a: float, b: float) -> list[Panel]:
    origin, first, second, both = (embed(angle).detach().double().cpu() for angle in (0.0, a, b, a + b))
    found = sphere.composition(origin, first, second, both)
    left, moved = sphere.wahba_error(origin, first).item(), (first - origin).square().sum(dim=1).mean().item()
    # the plane in which the embedding varies most, for looking
    plane = torch.linalg.svd(origin - origin.mean(dim=0), full_matrices=False)[2][:2].T
    seen = [(z @ plane).numpy().T for z in (origin, first, origin @ found.first.T)]
    product = found.first @ found.second
    wheel = [sphere.rotation_angles(r).numpy() for r in (found.first, product, found.both)]
    round_ = np.linspace(0, 2 * np.pi, 120)
    rim = [Layer("line", r * np.cos(round_), r * np.sin(round_), "#dddddd", width=1) for r in (1.0, 0.8, 0.6)]
    names = ("R_a", "R_a R_b", "R_ab")
    spokes = [
        Layer("points", r * np.cos(angle), r * np.sin(angle), plot.COLOURS[i], names[i], width=9)
        for i, (r, angle) in enumerate(zip((1.0, 0.8, 0.6), wheel, strict=True))
    ]
    angles = ", ".join(f"{value:.2f}" for value in wheel[0][::-1][:3])
    return [
        Panel("Embeddings, in their widest plane", [
            Layer("points", *seen[0], plot.FLOOR, "before", width=6, opacity=0.6),
            Layer("points", *seen[1], plot.COLOURS[0], "input turned by a", width=9, opacity=0.7),
            Layer("points", *seen[2], plot.COLOURS[1], "R_a times before", width=4),
        ], says=f"moved {moved:.3f}, left after one rotation {left:.4f}"),
        Panel("Angles of the rotations", [*rim, *spokes], says=f"largest angles of R_a: {angles} rad"),
        Panel("Do they multiply?", [
            Layer("line", [-1, 1], [-1, 1], plot.FLOOR, "equal", width=1.5),
            Layer("points", found.both.flatten().numpy(), product.flatten().numpy(), plot.COLOURS[0], width=6),
        ], "entry of R_ab", "entry of R_a R_b", x_range=(-1.05, 1.05), y_range=(-1.05, 1.05),
            says=f"distance {found.error:.3f} (1: unrelated rotations)"),
    ]  # fmt: skip
