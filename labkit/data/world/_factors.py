"""What a scene is: a small tensor of factors, one column each, that can be read, changed and moved on in time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labkit._checks import require_known

FLAT = ("disc", "square", "triangle", "star", "cross", "ring", "heart", "moon")
SOLIDS = ("cube", "pyramid", "house", "octahedron")
SHAPES = FLAT + SOLIDS
COLOURS = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")
TEXTURES = ("plain", "striped", "checked", "dotted")
BACKGROUNDS = ("plain", "striped", "checked", "dotted", "cloudy")

NAMES = {  # factors that are a choice among names; a tensor holds the number of the name
    "shape": SHAPES,
    "colour": COLOURS,
    "texture": TEXTURES,
    "background": BACKGROUNDS,
    "background_colour": COLOURS,
}

# Lengths are in half sides of the picture, which reaches from -1 (left, bottom) to 1; angles in degrees.
OBJECT = {
    "present": "1, or 0 for an empty place",
    "shape": "number of a name in SHAPES",
    "colour": "number of a name in COLOURS",
    "tone": "-1 (darker) to 1 (lighter) than the named colour",
    "texture": "number of a name in TEXTURES",
    "texture_period": "length, as a share of the object's scale",
    "texture_angle": "degrees, against the object",
    "texture_shift": "0 to 1, a share of the period",
    "x": "of the centre, to the right",
    "y": "of the centre, upwards",
    "scale": "about the radius of the object, at most 1; a triangle reaches 1.15 times as far",
    "angle": "in-plane pose, degrees counter-clockwise",
    "azimuth": "viewpoint of a solid: turned about its own upright axis, degrees",
    "elevation": "viewpoint of a solid: seen from so many degrees above",
    "velocity_x": "length a frame",
    "velocity_y": "length a frame",
    "spin": "change of angle, degrees a frame",
    "turn": "change of azimuth, degrees a frame",
}
# A light at the horizon has shadows without end, a pattern without a period no lines.
LIMITS = {
    "scale": (1e-3, 1.0),
    "texture_period": (0.01, 100.0),
    "background_period": (0.01, 100.0),
    "light_height": (1.0, 90.0),
    "shadow": (0.0, 1.0),
}
STAGE = {
    "background": "number of a name in BACKGROUNDS",
    "background_colour": "number of a name in COLOURS",
    "background_tone": "-1 (darker) to 1 (lighter)",
    "background_period": "length",
    "background_angle": "degrees",
    "background_x": "shift of the pattern",
    "background_y": "shift of the pattern",
    "pan_x": "motion of the background, length a frame",
    "pan_y": "motion of the background, length a frame",
    "light_angle": "where in the picture plane the light comes from, degrees",
    "light_height": "degrees above the picture plane",
    "shadow": "how much of the light a cast shadow takes, 0 to 1",
    "watermark": "class that the mark in the corner spells, -1: no mark",
    "cast": "class that the tint of the whole picture gives away, -1: no tint",
}
_COLUMN = {name: ("objects", i) for i, name in enumerate(OBJECT)} | {name: ("stage", i) for i, name in enumerate(STAGE)}
_WHOLE = {  # factors that are whole numbers: the lowest and the highest
    "present": (0, 1),
    "watermark": (-1, len(SHAPES) - 1),
    "cast": (-1, len(SHAPES) - 1),
    **{name: (0, len(names) - 1) for name, names in NAMES.items()},
}


@dataclass(frozen=True, eq=False)
class Scenes:
    """Scenes as factors; ``render`` draws them, at any resolution.

    Attributes:
        objects: [items, objects, 18], columns ``world.OBJECT``. Object 0 is nearest to the viewer and hides the others;
            the last one is furthest away.
        stage: [items, 14], columns ``world.STAGE``.

    Example:
        >>> scenes = world.sample(100, seed=0)
        >>> scenes["angle"].shape, scenes["background"].shape       # a factor by its name
        (torch.Size([100, 3]), torch.Size([100]))
        >>> scenes[:8].change(colour="red", angle=torch.linspace(0, 90, 8)[:, None])    # the same but for this
    """

    objects: Tensor
    stage: Tensor

    def __post_init__(self):
        if self.objects.dim() != 3 or self.objects.shape[2] != len(OBJECT) or not self.objects.shape[1]:
            raise ValueError(f"objects must be [items, objects, {len(OBJECT)}], not {list(self.objects.shape)}")
        if self.stage.shape != (len(self.objects), len(STAGE)):
            raise ValueError(f"stage must be [{len(self.objects)}, {len(STAGE)}], not {list(self.stage.shape)}")

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, what: str | slice | Sequence[int] | Tensor) -> "Tensor | Scenes":
        """A factor by its name ([items, objects] or [items]; int64 where it counts or chooses), or some of the scenes.

        Raises:
            ValueError: there is no factor of this name.
        """
        if not isinstance(what, str):
            return Scenes(self.objects[what], self.stage[what])
        require_known("factor", what, _COLUMN)
        table, column = _COLUMN[what]
        values = getattr(self, table)[..., column]
        return values.round().long() if what in _WHOLE else values

    @property
    def labels(self) -> Tensor:
        """[items] the shape of the nearest object: the class of the picture (``world.SHAPES``)."""
        return self["shape"].gather(1, self.nearest).squeeze(1)

    @property
    def nearest(self) -> Tensor:
        """[items, 1] the place of the nearest object; 0 where there is none."""
        return (self["present"] > 0).int().argmax(dim=1, keepdim=True)

    def change(self, **factors: float | str | Tensor) -> "Scenes":
        """The same scenes with some factors set: a number, a name, or a tensor that broadcasts to the factor's shape.

        Raises:
            ValueError: an unknown factor or name, a shape that doesn't fit, a number that isn't finite or that chooses
                no name.
        """
        tables = {"objects": self.objects.clone(), "stage": self.stage.clone()}
        for name, value in factors.items():
            require_known("factor", name, _COLUMN)
            table, column = _COLUMN[name]
            target = tables[table][..., column]
            target.copy_(self._fitting(name, value, target))
        return Scenes(**tables)

    def _fitting(self, name: str, value: float | str | Tensor, target: Tensor) -> Tensor:
        if isinstance(value, str):
            require_known(name, value, NAMES.get(name, ()))
            value = NAMES[name].index(value)
        value = torch.as_tensor(value, dtype=target.dtype, device=target.device)
        try:
            value = value.expand_as(target)
        except RuntimeError:
            raise ValueError(f"{name} must fit into {list(target.shape)}, not {list(value.shape)}") from None
        if not value.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinite values")
        if name in _WHOLE:
            low, high = _WHOLE[name]
            if not ((value >= low) & (value <= high) & (value == value.round())).all():
                known = f": {', '.join(NAMES[name])}" if name in NAMES else ""
                raise ValueError(f"{name} must be a whole number from {low} to {high}{known}")
        require_drawable(name, float(value.min()), float(value.max()))
        return value

    def after(self, frames: float = 1.0) -> "Scenes":
        """The scenes so many frames later: objects moved, spun and turned, the background panned."""
        moves = {"x": "velocity_x", "y": "velocity_y", "angle": "spin", "azimuth": "turn"}
        moves |= {"background_x": "pan_x", "background_y": "pan_y"}
        return self.change(**{name: self[name] + frames * self[rate] for name, rate in moves.items()})

    def to(self, device: str | torch.device) -> "Scenes":
        """The scenes on another device; that is where ``render`` draws them."""
        return replace(self, objects=self.objects.to(device), stage=self.stage.to(device))

    def __repr__(self) -> str:
        return f"Scenes({len(self)} items, up to {self.objects.shape[1]} objects, {self.objects.device})"


def require_drawable(name: str, low: float, high: float) -> None:
    """Refuse values of a factor that no picture can be drawn of."""
    least, most = LIMITS.get(name, (-math.inf, math.inf))
    if not (least <= low <= high <= most and math.isfinite(low) and math.isfinite(high)):
        limits = f"lie between {least:g} and {most:g}" if name in LIMITS else "be finite, the lowest first"
        raise ValueError(f"{name} must {limits}, not {low:g} to {high:g}")
