"""From factors to pictures, with every truth that is asked for."""

from collections.abc import Sequence

import torch
from torch import Tensor

from labkit._checks import require_counts, require_known
from labkit._default_type import in_float32
from labkit.data.world import _truths
from labkit.data.world._factors import SHAPES, Scenes
from labkit.data.world._objects import Drawn, light
from labkit.data.world._textures import pattern

PALETTE = torch.tensor(
    [
        [0.86, 0.20, 0.18],
        [0.95, 0.53, 0.12],
        [0.97, 0.83, 0.22],
        [0.25, 0.65, 0.30],
        [0.20, 0.72, 0.74],
        [0.16, 0.40, 0.82],
        [0.50, 0.27, 0.70],
        [0.95, 0.52, 0.72],
    ]
)
_LUMA = torch.tensor([0.299, 0.587, 0.114])
_PIXELS = 2**19  # drawn at once on a CPU: a few maps of 2 MB each stay in the cache
_SLOPE = 0.12  # of the light across the picture
_BITS = 4  # of the watermark: 12 shapes


@in_float32()
def render(
    scenes: Scenes,
    size: int = 64,
    truths: Sequence[str] = (),
    *,
    dtype: torch.dtype = torch.uint8,
    block: int | None = None,
) -> dict[str, Tensor]:
    """Draw scenes, and whatever else is known about each pixel.

    Args:
        scenes: what to draw, on the device where it is to be drawn.
        size: side of the pictures in pixels. The scene doesn't depend on it: outlines and patterns are distances, and a
            pixel on a border gets its share of both sides.
        truths: names of ``world.TRUTHS``, or one.
        dtype: of the picture: uint8 (0 to 255) or a floating-point type (0 to 1).
        block: scenes drawn at once; None: as many as stay in a CPU's cache, or 2^25 pixels on a GPU.

    Returns:
        "image" [items, 3, size, size] and one entry for each truth (``world.TRUTHS`` says of what shape). Rows run
        downwards; masks and numbers are those of the centre of a pixel, pictures are anti-aliased.

    Cost: time O(items · size² · objects), memory that of the results and of one block.

    Raises:
        ValueError: no scenes, a size below 4, an unknown truth, another type.

    Example:
        >>> drawn = world.render(world.sample(16), 128, truths=["visible", "depth"])
        >>> drawn["image"].shape, drawn["visible"].shape
        (torch.Size([16, 3, 128, 128]), torch.Size([16, 3, 128, 128]))
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 4:
        raise ValueError(f"size must be a whole number of pixels, at least 4, not {size!r}")
    if not len(scenes):
        raise ValueError("there are no scenes to draw")
    truths = [truths] if isinstance(truths, str) else list(truths)
    for name in truths:
        require_known("truth", name, _truths.TRUTHS)
    if dtype != torch.uint8 and not dtype.is_floating_point:
        raise ValueError(f"dtype must be torch.uint8 or a floating-point type, not {dtype}")
    if block is not None:
        require_counts(block=block)
    most = _PIXELS if scenes.objects.device.type == "cpu" else 2**25
    block = block or max(1, most // size**2)
    whole: dict[str, Tensor] = {}
    for start in range(0, len(scenes), block):
        for name, part in _draw(scenes[start : start + block], size, truths, dtype).items():
            if name not in whole:
                whole[name] = part.new_empty(len(scenes), *part.shape[1:])
            whole[name][start : start + block] = part
    return whole


def _draw(scenes: Scenes, size: int, truths: list[str], dtype: torch.dtype) -> dict[str, Tensor]:
    objects = Drawn(scenes, size)
    canvas, share = _background(scenes, objects)  # [n, 4, size, size]: albedo and light
    first, second = _tones(PALETTE.to(canvas)[objects["colour"]], objects["tone"][:, None])
    first, difference = first[..., None, None], (second - first)[..., None, None]
    strength = objects["shadow"][:, None, None]
    for rows, ours in objects.back_to_front():
        behind = canvas[rows]
        behind[:, 3] *= 1 - strength[ours] * objects.shade[ours]  # a layer dims what lies behind it, then covers it
        layer = torch.empty_like(behind)
        torch.addcmul(first[ours], difference[ours], objects.paint[ours][:, None], out=layer[:, :3])
        layer[:, 3] = objects.shading[ours]
        canvas[rows] = behind.lerp_(layer, objects.cover[ours][:, None])
    toward = light(scenes)[..., None, None]
    canvas[:, 3] *= 1 + _SLOPE * (toward[:, 0] * objects.x + toward[:, 1] * objects.y)
    image = _shortcuts(scenes, canvas[:, :3] * canvas[:, 3:], objects.x, objects.y).clamp_(0, 1)
    known = {"albedo": canvas[:, :3], "light": canvas[:, 3]}
    found = {"image": image.mul_(255).round_().to(torch.uint8) if dtype == torch.uint8 else image.to(dtype)}
    found |= {name: known[name] for name in truths if name in known}
    rest = [name for name in truths if name not in known]
    return found | (_truths.draw(objects, share, rest) if rest else {})


def _background(scenes: Scenes, objects: Drawn) -> tuple[Tensor, Tensor]:
    """(albedo in its tones and light 1 [items, 4, size, size], share of the second tone)."""
    angle = torch.deg2rad(scenes["background_angle"])[:, None, None]
    across, upwards = (scenes[name][:, None, None] for name in ("background_x", "background_y"))
    across, upwards = objects.x - across, objects.y - upwards
    u = angle.cos() * across + angle.sin() * upwards
    v = angle.cos() * upwards - angle.sin() * across
    footprint = torch.full_like(scenes["background_period"], 2 / u.shape[-1])
    share = pattern(scenes["background"], u, v, scenes["background_period"], footprint)
    colour = torch.lerp(PALETTE.to(u)[scenes["background_colour"]], u.new_tensor(0.66), 0.62)
    tone = scenes["background_tone"][:, None]
    first = torch.where(tone > 0, torch.lerp(colour, torch.ones_like(colour), 0.45 * tone), colour * (1 + 0.45 * tone))
    canvas = u.new_ones(len(scenes), 4, *u.shape[1:])
    torch.mul(first[..., None, None], (1 - 0.16 * share)[:, None], out=canvas[:, :3])
    return canvas, share


def _tones(colour: Tensor, tone: Tensor) -> tuple[Tensor, Tensor]:
    """A colour in its tone, and the second tone of its patterns: lighter than a dark one, darker than a light one."""
    white = torch.ones_like(colour)
    first = torch.where(tone > 0, torch.lerp(colour, white, 0.22 * tone), colour * (1 + 0.25 * tone))
    dark = (first @ _LUMA.to(first))[:, None] < 0.5
    return first, torch.where(dark, torch.lerp(first, white, 0.7), 0.45 * first)


def _shortcuts(scenes: Scenes, image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The tint and the mark in the corner that give away a class."""
    cast = scenes["cast"]
    if (cast >= 0).any():
        turn = cast[:, None] / len(SHAPES) - torch.arange(3, device=cast.device) / 3
        tint = 1 + 0.22 * torch.cos(2 * torch.pi * turn)
        image = image * torch.where(cast[:, None] >= 0, tint, 1)[..., None, None]
    mark = scenes["watermark"]
    if (mark >= 0).any():
        side, pixel = 0.11, float(x[0, 0, 1] - x[0, 0, 0])

        def band(at: Tensor, low: float, high: float) -> Tensor:
            return (torch.minimum(at - low, high - at) / pixel + 0.5).clamp(0, 1)

        left, low = 0.94 - _BITS * side, -0.94
        shown = (mark >= 0)[:, None, None]
        plate = shown * 0.75 * band(x, left, 0.94) * band(y, low, low + side)
        image = image * (1 - plate)[:, None]
        for bit in range(_BITS):
            inner = band(x, left + (bit + 0.15) * side, left + (bit + 0.85) * side)
            on = shown & ((mark >> bit) & 1).bool()[:, None, None]
            lit = on * inner * band(y, low + 0.15 * side, low + 0.85 * side)
            image = torch.lerp(image, torch.ones_like(image), lit[:, None])
    return image
