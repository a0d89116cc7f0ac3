"""What a playground shows: panels side by side, each with layers. Drawn live by plotly, still by matplotlib."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit import plot


@dataclass(frozen=True)
class Layer:
    """One thing drawn: a line (broken where x is NaN), points, bars, a heat-map, or a picture.

    Attributes:
        kind: "line", "points", "bars", "heat" or "image".
        x, y: [n] coordinates; of a heat-map's columns and rows; a picture's edges, [0, width] and [0, height].
        colour: one colour, or one for each point.
        name: in the legend; "" stays out of it.
        width: of a line, or of a point, in pixels; of points also [n], one for each.
        opacity: in [0, 1].
        dash: a dashed line.
        text: [n], shown when the mouse is over a point.
        values: [rows, columns] of a heat-map, 0 (light) to 1 (dark); uint8 [height, width, 3] of a picture.
    """

    kind: str
    x: Any
    y: Any
    colour: Any = plot.COLOURS[0]
    name: str = ""
    width: Any = 2.0
    opacity: float = 1.0
    dash: bool = False
    text: Sequence[str] | None = None
    values: Any = None


@dataclass(frozen=True)
class Panel:
    """Axes with layers; ``says`` is one line of numbers under its title. Without axis names, axes are not drawn.

    ``x_ticks``: names for 0, 1, ... on the x axis, in place of numbers.
    """

    title: str
    layers: Sequence[Layer]
    x_name: str = ""
    y_name: str = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    says: str = ""
    x_ticks: Sequence[str] = ()

    @property
    def is_map(self) -> bool:
        return not (self.x_name or self.y_name)
