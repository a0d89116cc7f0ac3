"""Figures of plotly that a page can draw from the first moment on."""

from functools import cache
from typing import Any


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
