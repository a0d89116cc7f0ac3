"""What an Explorer looks at, brought to one form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.explore._colours import Colouring
from labkit.explore._graph import Edges
from labkit.explore._inputs import Items
from labkit.explore._pictures import Pictures
from labkit.explore._space import Series


@dataclass
class Sources:
    """Everything that ``explore`` was given, checked; arrays hold the shown rows.

    Attributes:
        series: embeddings by side, "left" and perhaps "right".
        view, method: draw and embed augmented views of an image.
        k: neighbours asked for; fewer are counted among few points.
    """

    items: Items
    series: dict[str, Series]
    labels: Colouring | None = None
    pictures: Pictures | None = None
    texts: np.ndarray | None = None
    edges: Edges | None = None
    timeline: dict[str, Any] | None = None
    method: Any = None
    view: Callable | None = None
    k: int = 15
    seed: int = 0
    height: int = 460

    @property
    def classes(self) -> Colouring | None:
        """The labels when they are classes; measurements can colour a map, but nothing can be counted by them."""
        return self.labels if self.labels is not None and self.labels.kind == "class" else None
