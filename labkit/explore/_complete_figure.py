"""Figures of plotly that a page can draw from the first moment on, and pictures in the form that they take."""

import base64
import io
from functools import cache
from typing import Any

import numpy as np


@cache
def complete(kind: type) -> type:
    """A figure that tells the browser of itself when all of it is there.

    plotly's own does so first and sends its traces after; a page that draws it in between leaves it blank for good.
    """

    class Complete(kind):
        _ready = False

        def __init__(self, *args: Any, **options: Any):
            super().__init__(*args, **options)
            self._ready = True
            self.open()

        def open(self) -> None:
            if self._ready:
                super().open()

    return Complete


def address(picture: np.ndarray) -> str:
    """A PNG as a data address: a hundredth of the pixels as a list. The first row is drawn lowest, so it goes last."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture[::-1])).save(stream, format="png")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
