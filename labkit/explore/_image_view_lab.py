"""The view lab for images: drag the strengths of an augmentation, see two views and where they fall among others."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between, require_matrix
from labkit.explore._inputs import kinds_of, named, shades
from labkit.explore._layout import broken_line
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.views import (
    ColorJitter,
    Compose,
    GaussianBlur,
    GaussianNoise,
    RandomGrayscale,
    RandomResizedCrop,
    unit_images,
)

_MOST_IMAGES, _VIEWS = 2000, 32
_BINS = np.linspace(-1, 1, 41)


@checked(numbers=False)
def image_view_lab(
    images: Tensor,
    labels: Any = None,
    class_names: Any = None,
    embed: Callable[[Tensor], Tensor] | None = None,
) -> Playground:
    """Two views of an image as you drag the strengths of crop, colour, blur and noise, and what an encoder makes of it.

    Embeddings are taken less their mean over the images and to length one. The map shows every image once, on the first
    two principal components, and the views of the chosen image on the same plane. The numbers beside it are those of
    the whole space: for how many of 32 views is their own image the nearest, and how alike two views are beside how
    alike two images are. Where the two curves overlap, the encoder cannot tell a view of this image from another image.

    Args:
        images: [items, channels, height, width], uint8 or in [0, 1], with 1 or 3 channels; 3 to 2 000 small ones.
        labels: [items], for colours.
        class_names: names of the classes.
        embed: images -> [items, dim], e.g. ``run.method.embed``; None: the pixels, nothing trained.

    Raises:
        ValueError: fewer than 3 or more than 2 000 images, what are none, labels of another length, an ``embed`` that
            gives no finite [items, dim].

    Example:
        >>> lab = labkit.explore.image_view_lab(test.images[:500], test.labels[:500], embed=run.method.embed)
        >>> lab.set(crop=0.1, colour=1.0).values
    """
    if not 3 <= len(images) <= _MOST_IMAGES:
        raise ValueError(f"the view lab redraws at every step: 3 to {_MOST_IMAGES} images, not {len(images)}")
    sliders = {
        "crop": Slider("smallest crop", 0.3, 0.05, 1.0, 0.05),
        "colour": Slider("colour jitter", 0.5, 0.0, 1.0, 0.05),
        "grey": Slider("grey (probability)", 0.2, 0.0, 1.0, 0.1),
        "blur": Slider("blur σ (pixels)", 0.0, 0.0, 3.0, 0.25),
        "noise": Slider("noise (std)", 0.0, 0.0, 0.4, 0.02),
        "image": Slider("image", 0, 0, len(images) - 1, 1),
        "draw": Slider("draw", 0, 0, 50, 1),
    }
    return Playground(_ImageViews(images, labels, class_names, embed), sliders, "Views of an image")


class _ImageViews:
    """Sliders' values -> the three panels; what does not depend on them is computed once."""

    def __init__(self, images: Tensor, labels: Any, class_names: Any, embed: Callable | None):
        self.images = unit_images(images)
        self.embed = embed or (lambda pictures: pictures.flatten(1))
        self.centre = self._embedded(self.images).mean(dim=0)
        self.z = self._unit(self.images)
        kinds, each = kinds_of(labels, len(images))
        names = named(each, class_names)
        self.text = [f"image {row}, {name}" for row, name in enumerate(names)] if labels is not None else None
        self.colour = shades(kinds)
        self.middle = self.z.mean(dim=0)
        self.axes = torch.linalg.svd(self.z - self.middle, full_matrices=False).Vh[:2]
        self.map = self._place(self.z)
        edge = 1.08 * float(np.abs(self.map).max()) or 1.0
        self.limits = (-edge, edge)
        apart = (self.z @ self.z.T)[~torch.eye(len(self.z), dtype=torch.bool)]
        self.others, self.apart = _density(apart), float(apart.mean())

    def _unit(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return normalize(self._embedded(images) - self.centre, dim=1)

    def _embedded(self, images: Tensor) -> Float[Tensor, "items dim"]:
        z = self.embed(images)
        require_matrix("embed(images)", z)
        if len(z) != len(images):
            raise ValueError(f"embed must give a row for each of the {len(images)} images, not {len(z)}")
        if z.shape[1] < 2:
            raise ValueError(
                "embed must give two dimensions or more: the lab draws directions, and of one there are two"
            )
        return z.detach().float().cpu()

    def _place(self, z: Tensor) -> np.ndarray:
        return ((z - self.middle) @ self.axes.T).numpy()

    def __call__(self, image: int, draw: int, **strengths: float) -> list[Panel]:
        generator = torch.Generator().manual_seed(draw)
        pictures = self.images[image].expand(_VIEWS, -1, -1, -1)
        views = chosen_view(self.images.shape[2:], **strengths)(pictures, generator)
        z = self._unit(views)
        return [self._pictures(image, views), self._embedding(image, z), self._alike(z)]

    def _pictures(self, row: int, views: Tensor) -> Panel:
        sheet = _sheet(self.images[row], [views[0], views[1]])
        height, width = sheet.shape[:2]
        names = self.text[row] if self.text else f"image {row}"
        changed = (views[:2] - self.images[row]).abs().mean()
        says = f"{names}; a pixel changes by {changed:.2f} on average"
        layer = Layer("image", [0, width], [0, height], values=sheet)
        return Panel("An image and two views", [layer], x_range=(0, width), y_range=(0, height), says=says)

    def _embedding(self, row: int, z: Tensor) -> Panel:
        own = int(((z @ self.z.T).argmax(dim=1) == row).sum())
        views, here = self._place(z), self.map[row : row + 1]
        lines = broken_line(np.stack([np.repeat(here, 2, axis=0), views[:2]], axis=1))
        layers = [
            Layer("points", *self.map.T, self.colour, width=5, opacity=0.35, text=self.text),
            Layer("points", *views[2:].T, plot.FLOOR, "its views", 6),
            Layer("line", *lines, plot.INK, width=1.5),
            Layer("points", *views[:2].T, plot.INK, "the two views", 10),
            Layer("points", *here.T, plot.COLOURS[3], "the image", 12),
        ]
        says = f"the image itself is nearest for {own} of {_VIEWS} views"
        return Panel("Where they fall", layers, says=says, x_range=self.limits, y_range=self.limits)

    def _alike(self, z: Tensor) -> Panel:
        pairs = (z @ z.T)[~torch.eye(len(z), dtype=torch.bool)]
        middle = (_BINS[1:] + _BINS[:-1]) / 2
        layers = [
            Layer("line", middle, self.others, plot.FLOOR, "two images", 2, dash=True),
            Layer("line", middle, _density(pairs), plot.COLOURS[0], "two views", 2.5),
        ]
        says = f"mean cosine: views {pairs.mean():z.2f}, images {self.apart:z.2f}"
        return Panel("How alike", layers, "cosine", "share", x_range=(-1, 1), says=says)


@checked(numbers=False)
def chosen_view(size: tuple[int, int], crop: float, colour: float, grey: float, blur: float, noise: float) -> Compose:
    """The view that the sliders stand for: SimCLR's ingredients one by one, and noise.

    Args:
        size: (height, width) of images and views.
        crop: smallest share of the area, in (0, 1]; 1 leaves the picture whole.
        colour: strength of the jitter, which changes every view, in [0, 1].
        grey: probability.
        blur: largest σ in pixels, ≥ 0; the smallest is 0.05, and nothing is blurred where this is not more.
        noise: standard deviation, in [0, 10].

    Raises:
        ValueError: an argument outside its range.
    """
    if min(size) < 1:
        raise ValueError(f"size must be a height and a width of at least a pixel, not {tuple(size)}")
    for name, value, low, high in (("crop", crop, 1e-6, 1), ("colour", colour, 0, 1), ("grey", grey, 0, 1),
                                   ("blur", blur, 0, math.inf), ("noise", noise, 0, 10)):  # fmt: skip
        require_between(name, value, low, high)
    square = (1.0, 1.0) if crop == 1 else (3 / 4, 4 / 3)
    jitter = ColorJitter(*(0.8 * colour,) * 3, hue=0.2 * colour, p=1.0)
    views = [RandomResizedCrop(tuple(size), scale=(crop, 1.0), ratio=square), jitter, RandomGrayscale(grey)]
    views += [GaussianBlur((0.05, blur), p=1.0)] if blur > 0.05 else []
    return Compose([*views, GaussianNoise(noise)] if noise else views)


def _density(cosines: Tensor) -> np.ndarray:
    """Share of the cosines in each bin."""
    counts = np.histogram(cosines.clamp(-1, 1).numpy(), _BINS)[0]
    return counts / counts.sum()


def _sheet(image: Tensor, views: list[Tensor]) -> np.ndarray:
    """uint8 [height, width, 3]: the image above, two views below, two white pixels between."""
    above, *below = (picture.expand(3, -1, -1).cpu() for picture in (image, *views))
    _, height, width = above.shape
    sheet = torch.ones(3, 2 * height + 2, 2 * width + 2)
    sheet[:, :height, width // 2 + 1 : width // 2 + 1 + width] = above
    for picture, left in zip(below, (0, width + 2), strict=True):
        sheet[:, height + 2 :, left : left + width] = picture
    return sheet.mul(255).round().byte().permute(1, 2, 0).numpy()
