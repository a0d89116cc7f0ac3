"""Small pictures of the items, sent all at once when they are few and on demand when they are many."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

_SIDE = 64  # pixels of a thumbnail at most
_SHEET = 3_000_000  # bytes that travel with the map


class Pictures:
    """Images of all input rows: [n, h, w], [n, channels, h, w] or [n, h, w, channels], or anything with ``.images``."""

    def __init__(self, images: Any, total: int):
        images = getattr(images, "images", images)
        images = images.detach().cpu() if isinstance(images, Tensor) else _one_array(images)
        if images.ndim == 0:
            raise ValueError(f"images must hold a picture for each row, not {images!r}")
        if len(images) != total:
            raise ValueError(
                f"images holds {len(images):,} pictures for the {total:,} rows of the embedding; give one for each row"
            )
        shape = tuple(images.shape)
        if len(shape) == 3:
            self.order = "hw"
        elif len(shape) == 4 and shape[1] in (1, 3, 4):
            self.order = "chw"
        elif len(shape) == 4 and shape[3] in (1, 3, 4):
            self.order = "hwc"
        else:
            raise ValueError(
                f"images must have shape [n, h, w], [n, channels, h, w] or [n, h, w, channels], not {list(shape)}"
            )
        self.images = images
        sample = self._rows(np.linspace(0, total - 1, min(total, 256)).astype(np.int64))
        if sample.dtype == torch.uint8:
            self.low, self.high = 0.0, 255.0
        else:
            finite = sample[torch.isfinite(sample.float())].float()
            self.low = min(0.0, float(finite.min())) if len(finite) else 0.0
            self.high = max(self.low + 1e-12, float(finite.max())) if len(finite) else 1.0
            if self.low == 0.0 and 0.5 < self.high <= 1.0:
                self.high = 1.0
        _, channels, height, width = sample.shape
        shrink = min(1.0, _SIDE / max(height, width))
        self.height, self.width = max(1, round(height * shrink)), max(1, round(width * shrink))
        self.channels = 1 if channels == 1 else 3

    @property
    def size(self) -> dict[str, int]:
        return {"width": self.width, "height": self.height, "channels": self.channels}

    def original(self, row: int) -> Tensor:
        """[1, channels, h, w] as it came, for a method's views."""
        return self._rows(np.array([row]))

    def thumbnails(self, rows: np.ndarray) -> np.ndarray:
        """uint8 [rows, height, width, channels]."""
        return self.shrink(self._rows(rows), self.low, self.high)

    def shrink(self, images: Tensor, low: float, high: float) -> np.ndarray:
        """Images [m, channels, h, w] as thumbnails, ``low`` black and ``high`` white."""
        images = images[:, : self.channels].float().nan_to_num()
        if images.shape[-2:] != (self.height, self.width):
            size = (self.height, self.width)
            images = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
        shades = (images - low) / (high - low)
        return (shades.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()

    def sheet(self, rows: np.ndarray) -> dict[str, Any]:
        """What travels with the map: the format, and the pixels of all items when they are small enough."""
        small = len(rows) * self.width * self.height * self.channels <= _SHEET
        return {**self.size, "pixels": self.thumbnails(rows).tobytes()} if small else self.size

    def _rows(self, rows: np.ndarray) -> Tensor:
        part = (
            self.images[torch.from_numpy(rows)]
            if isinstance(self.images, Tensor)
            else torch.from_numpy(np.array(self.images[rows]))
        )
        if self.order == "hw":
            return part[:, None]
        return part.permute(0, 3, 1, 2) if self.order == "hwc" else part


def _one_array(images: Any) -> np.ndarray:
    try:
        return np.asarray(images)
    except ValueError as error:
        shapes = sorted({np.shape(image) for image in images})
        raise ValueError(
            f"images must all have one shape, not {len(shapes)}, {list(shapes[0])} and {list(shapes[-1])} among them; "
            "resize or crop them first"
        ) from error
