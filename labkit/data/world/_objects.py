"""All objects of a batch of scenes as one list: where they are, and what is seen of them at each pixel."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit.data.world._factors import FLAT, OBJECT, SHAPES, Scenes
from labkit.data.world._shapes import DISTANCE
from labkit.data.world._solids import outline, rotation, surface
from labkit.data.world._textures import pattern

_SHADOW_LENGTH = 0.16  # how far a shadow falls with the light at 45 degrees, in half sides of the picture
_SHADOW_BLUR = 0.05
_AMBIENT = 0.5


def grid(size: int, like: Tensor) -> tuple[Float[Tensor, "1 1 size"], Float[Tensor, "1 size 1"]]:
    """Centres of the pixels: x to the right, y upwards, -1 to 1."""
    along = (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (2 / size) - 1
    return along.view(1, 1, -1), -along.view(1, -1, 1)


def light(scenes: Scenes) -> Float[Tensor, "items 3"]:
    """Unit vector towards the light: right, up, towards the viewer."""
    angle, height = torch.deg2rad(scenes["light_angle"]), torch.deg2rad(scenes["light_height"])
    return torch.stack([height.cos() * angle.cos(), height.cos() * angle.sin(), height.sin()], -1)


class Objects:
    """The m objects that are there, sorted by shape, so that each shape's distance function is called once.

    Attributes:
        item, place: [m] which scene an object belongs to, and how many objects are nearer to the viewer.
        flat: how many are flat shapes; they come first.
        turned: [m, 3, 3] from an object's own axes to the viewer's.
    """

    def __init__(self, scenes: Scenes):
        self.scenes = scenes
        item, place = (scenes["present"] == 1).nonzero().unbind(1)
        order = scenes["shape"][item, place].argsort(stable=True)
        self.item, self.place = item[order], place[order]
        self.counts = self["shape"].bincount(minlength=len(SHAPES)).tolist()
        self.flat = sum(self.counts[: len(FLAT)])
        self.turned = self.pose(self["angle"], self["azimuth"])

    def __getitem__(self, name: str) -> Tensor:
        """[m] a factor of each object, or of its scene."""
        values = self.scenes[name]
        return values[self.item, self.place] if name in OBJECT else values[self.item]

    def pose(self, angle: Tensor, azimuth: Tensor) -> Float[Tensor, "m 3 3"]:
        """The rotation of every object at these angles (degrees); flat shapes turn in the picture plane alone."""
        solid = (self["shape"] >= len(FLAT)).to(angle)
        return rotation(torch.deg2rad(angle), solid * torch.deg2rad(self["elevation"]), solid * torch.deg2rad(azimuth))

    def distances(
        self, x: Tensor, y: Tensor, shift: Float[Tensor, "m 2"] | None = None
    ) -> Float[Tensor, "m rows columns"]:
        """Signed distance, in half sides, from (x, y) ([1 or m, ...], broadcasting) to every object's outline.

        ``shift``: as if the objects stood there instead.
        """
        x, y = self._local(x, y) if shift is None else self._local(x - shift[:, :1, None], y - shift[:, 1:, None])
        c, s = (self.turned[:, i, 0, None, None] for i in (0, 1))
        found = x.new_empty(torch.broadcast_shapes(x.shape, y.shape))
        start = 0
        for shape, count in enumerate(self.counts[: len(FLAT)]):
            if count:
                rows = slice(start, start + count)
                u, v = c[rows] * x[rows] + s[rows] * y[rows], c[rows] * y[rows] - s[rows] * x[rows]
                found[rows] = DISTANCE[shape](u, v)
            start += count
        if start < len(found):
            rows = slice(start, None)
            found[rows] = outline(self["shape"][rows] - len(FLAT), self.turned[rows], x[rows], y[rows])
        return found.mul_(self["scale"][:, None, None])

    def shadow_shift(self) -> Float[Tensor, "m 2"]:
        """How far from an object its shadow falls on what lies behind."""
        toward = light(self.scenes)[self.item]
        return -_SHADOW_LENGTH * toward[:, :2] / toward[:, 2:]

    def back_to_front(self) -> Iterator[tuple[Int64[Tensor, " layer"], Int64[Tensor, " layer"]]]:
        """(scenes, objects) of each layer, the one furthest from the viewer first."""
        index = torch.full(self.scenes.objects.shape[:2], -1, device=self.item.device)
        index[self.item, self.place] = torch.arange(len(self.item), device=self.item.device)
        for layer in reversed(index.unbind(1)):
            rows = (layer >= 0).nonzero().flatten()
            if len(rows):
                yield rows, layer[rows]

    def _local(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates about each object's centre in units of its scale."""
        scale = self["scale"][:, None, None]
        return (x - self["x"][:, None, None]) / scale, (y - self["y"][:, None, None]) / scale


class Drawn(Objects):
    """The same, seen at every pixel of a grid; all maps are [m, size, size].

    Attributes:
        distance: to the outline, in half sides. cover: share of the pixel.
        dark: distance to the outline of the shadow. shade: share of the shadow, blurred.
        paint: share of the second tone. shading: light received; 1 for what faces the viewer.
        height: towards the viewer from the centre, in half sides, and face: its number; [solids, size, size] for the
            solids, which come last; None where there are none.
    """

    def __init__(self, scenes: Scenes, size: int):
        super().__init__(scenes)
        self.x, self.y = grid(size, scenes.objects)
        pixel = 2 / size
        self.distance = self.distances(self.x, self.y)
        self.cover = (0.5 - self.distance / pixel).clamp_(0, 1)
        self.dark = self.distances(self.x, self.y, self.shadow_shift())
        self.shade = (0.5 - self.dark / _SHADOW_BLUR).clamp_(0, 1)
        self.shading, self.paint = torch.ones_like(self.distance), torch.zeros_like(self.distance)
        self.height = self.face = None
        self._paint_flat_shapes(pixel / self["scale"])
        if self.flat < len(self.item):
            self._see_solids(pixel / self["scale"])

    def _paint_flat_shapes(self, footprint: Tensor) -> None:
        rows = (self["texture"][: self.flat] > 0).nonzero().flatten()
        if len(rows):
            x, y = (values[rows] for values in self._local(self.x, self.y))
            angle = torch.deg2rad(self["angle"] + self["texture_angle"])[rows, None, None]
            u = angle.cos() * x + (angle.sin() * y + self._shift()[rows])
            v = angle.cos() * y - angle.sin() * x
            self.paint[rows] = pattern(self["texture"][rows], u, v, self["texture_period"][rows], footprint[rows])

    def _see_solids(self, footprint: Tensor) -> None:
        rows = slice(self.flat, None)
        x, y = (values[rows] for values in self._local(self.x, self.y))
        toward = light(self.scenes)[self.item[rows]]
        height, self.face, u, v, shade = surface(self["shape"][rows] - len(FLAT), self.turned[rows], toward, x, y)
        angle = torch.deg2rad(self["texture_angle"])[rows, None, None]
        u, v = angle.cos() * u + angle.sin() * v + self._shift()[rows], angle.cos() * v - angle.sin() * u
        self.paint[rows] = pattern(self["texture"][rows], u, v, self["texture_period"][rows], footprint[rows])
        self.shading[rows] = _AMBIENT + (1 - _AMBIENT) * (shade / toward[:, 2, None, None]).clamp_(0, 1.5)
        self.height = height * self["scale"][rows, None, None]

    def _shift(self) -> Float[Tensor, "m 1 1"]:
        return (self["texture_shift"] * self["texture_period"])[:, None, None]
