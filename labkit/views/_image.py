"""What an image view is: a random transform that draws once for each image, for a whole batch, on its device.

Transforms that move pixels (crop, flip) say where in the image each output looks, and transforms that change
colours say which affine map of the colours they are. Neighbours of one kind in a ``Compose`` become one window
or one map, so a crop, a flip, a jitter and a greyscale cost one resampling and one small matrix product.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from labkit._arguments import checked
from labkit.views._draws import drawn

Images = Float[Tensor, "items channels height width"]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what PIL and torchvision call grey


@checked(numbers=False)
def unit_images(images: Tensor) -> Images:
    """The batch as floats in [0, 1] (uint8 is divided by 255); refuses anything that is no batch of images."""
    if images.dim() != 4:
        hint = "; use images[None] for a single one" if images.dim() == 3 else ""
        raise ValueError(f"images must have shape [items, channels, height, width], not {list(images.shape)}{hint}")
    if 0 in images.shape:
        raise ValueError(f"images is empty: shape {list(images.shape)}; at least one image of one pixel is needed")
    if images.dtype == torch.uint8:
        return images.float().div_(255)
    if not images.is_floating_point():
        raise ValueError(f"images must be uint8 in 0..255 or floating point in [0, 1], not {images.dtype}")
    if not torch.compiler.is_compiling():  # a compiled step can't ask what the numbers are
        _require_unit(images)
    return images if images.dtype == torch.float64 else images.float()


def _require_unit(images: Tensor) -> None:
    low, high = (float(end) for end in images.aminmax())
    if not (low >= 0 and high <= 1):
        found = "NaN" if low != low else f"values from {low:.4g} to {high:.4g}"
        raise ValueError(f"images must lie in [0, 1], but hold {found}; hand in uint8, or rescale them first")


def constant(like: Tensor, *values: float) -> Float[Tensor, "values"]:
    """``values`` in the type of ``like`` and on its device, where they are copied once.

    A copy to a GPU makes the host wait until the GPU is done with all it was given before; and what is compiled can
    only become a CUDA graph where nothing is copied from the host, so there they are filled in.
    """
    if torch.compiler.is_compiling():
        return torch.stack([like.new_full((), value) for value in values])
    return _constant(values, like.dtype, like.device)


@lru_cache(maxsize=256)
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # for whoever asks next may want a gradient
        return torch.tensor(values, dtype=dtype, device=device)


def luma(images: Tensor) -> Float[Tensor, "channels"]:
    """The weights with which the channels add up to grey: BT.601 for three channels, 1 for one."""
    channels = images.shape[1]
    if channels not in (1, 3):
        raise ValueError(f"colour transforms need images with 1 or 3 channels, not {channels}")
    return constant(images, *(_LUMA if channels == 3 else (1.0,)))


def uniform(images: Tensor, draws: int, generator: Generator | None) -> Float[Tensor, "items draws"]:
    """``draws`` numbers in [0, 1) for each image, drawn where the generator lives, handed over where the images do."""
    return drawn(torch.rand, (len(images), draws), images.device, generator).to(images)


def _hat(near: Tensor, far: Tensor, source: int, target: int, source_dim: int) -> Float[Tensor, "items rows columns"]:
    """Weights that resample a line of ``source`` pixels to ``target``, read from ``near`` to ``far`` (fractions)."""
    step = (far - near) * (source / target)
    support = step.abs().clamp_min(1)[:, None]
    in_source, in_target = (torch.arange(size, device=near.device).to(near) + 0.5 for size in (source, target))
    pixels, centres = in_source / support, (near[:, None] * source + in_target * step[:, None]) / support
    minus_weights = (pixels.unsqueeze(3 - source_dim) - centres.unsqueeze(source_dim)).abs_().sub_(1).clamp_max_(0)
    return minus_weights.div_(minus_weights.sum(source_dim, keepdim=True))


def separable(
    images: Images, rows: Float[Tensor, "items new_h height"], columns: Float[Tensor, "items width new_w"]
) -> Float[Tensor, "items channels new_h new_w"]:
    """rows · image · columns, kept in [0, 1], for every image and channel: O(height · width · (new_h + new_w)) each."""
    items, channels, height, width = images.shape
    # bmm on contiguous operands: broadcasting matmul, or a transposed operand, is several times slower here
    images = torch.bmm(images.reshape(items, channels * height, width), columns)
    images = torch.bmm(rows.repeat_interleave(channels, 0), images.view(items * channels, height, -1))
    return images.view(items, channels, rows.shape[1], columns.shape[2]).clamp_(0, 1)  # rounding may pass 1


def resample(
    images: Images, window: Float[Tensor, "items 4"], size: tuple[int, int]
) -> Float[Tensor, "items channels new_h new_w"]:
    """Each image read through its window (top, bottom, left, right as fractions; left > right mirrors).

    Bilinear, and averaging over what falls into one output pixel when it shrinks: what
    ``torch.nn.functional.interpolate(..., mode="bilinear", antialias=True)`` does, for a window per image.
    """
    top, bottom, left, right = window.to(images).unbind(1)
    height, width = images.shape[2:]
    rows = _hat(top, bottom, height, size[0], source_dim=2)
    return separable(images, rows, _hat(left, right, width, size[1], source_dim=1))


class ImageView(ABC):
    """``view(images, generator=None)``: every image transformed by a draw of its own.

    ``images`` is uint8 in 0..255 or floating point in [0, 1], shape ``[items, channels, height, width]``, any device
    and any strides; the result is a new float tensor in [0, 1] on the same device (float64 stays, all else becomes
    float32). Draws come from ``generator`` (None: torch's default one); a CPU generator gives the same draws
    whatever the device of the images. Raises ValueError for a wrong shape or type of numbers, an empty batch, or values
    outside [0, 1] (NaN too), and TypeError for what is no tensor.
    """

    def __call__(self, images, generator: Generator | None = None) -> Images:
        images = unit_images(images)
        with torch.autocast(images.device.type, enabled=False):  # half-precision products would shift pixels
            return self._transform(images, generator)

    @abstractmethod
    def _transform(self, images: Images, generator: Generator | None) -> Tensor:
        """The same, on images that are floats in [0, 1] already."""


class Geometric(ImageView):
    """A view that says where each output looks."""

    def _transform(self, images: Images, generator: Generator | None) -> Tensor:
        return _move([self], images, generator)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        return height, width

    @abstractmethod
    def window(self, images: Tensor, height: int, width: int, generator: Generator | None) -> Float[Tensor, "items 4"]:
        """The window of each image, in fractions of the height × width that this view sees (see ``resample``).

        ``images`` only tells how many there are and where they live: views before this one are not carried out yet.
        """


class Colour(ImageView):
    """A view that is an affine map of each image's colours, given the image's mean colour."""

    def _transform(self, images: Images, generator: Generator | None) -> Tensor:
        return _recolour([self], images, generator)

    @abstractmethod
    def colour_map(
        self, images: Tensor, mean: Float[Tensor, "items channels"], generator: Generator | None
    ) -> tuple[Float[Tensor, "items channels channels"], Float[Tensor, "items channels"]]:
        """(matrix, offset) for each image, given its mean colour as this view sees it; ``images`` as for a window."""


def _move(views: Sequence[Geometric], images: Tensor, generator: Generator | None) -> Tensor:
    height, width = images.shape[2:]
    window = views[0].window(images, height, width, generator)
    size = views[0].output_size(height, width)
    for view in views[1:]:
        inner = view.window(images, *size, generator).view(-1, 2, 2)
        start, end = window[:, 0::2, None], window[:, 1::2, None]
        window = (start + (end - start) * inner).flatten(1)
        size = view.output_size(*size)
    return resample(images, window, size)


def _recolour(views: Sequence[Colour], images: Tensor, generator: Generator | None) -> Tensor:
    mean = images.mean((2, 3))
    matrix, offset = views[0].colour_map(images, mean, generator)
    for view in views[1:]:
        seen = torch.einsum("nij,nj->ni", matrix, mean) + offset  # the mean colour after the views so far
        by, plus = view.colour_map(images, seen, generator)
        matrix, offset = by @ matrix, torch.einsum("nij,nj->ni", by, offset) + plus
    return torch.baddbmm(offset[..., None], matrix, images.flatten(2)).clamp_(0, 1).view(images.shape)


def _kind(view: Callable) -> type | None:
    return next((kind for kind in (Geometric, Colour) if isinstance(view, kind)), None)


@checked(numbers=False)
class Compose(ImageView):
    """One view after the other; ``Compose([crop, flip, jitter])``.

    Neighbouring crops and flips are one resampling and neighbouring colour changes one affine map, clamped to
    [0, 1] once. Any callable ``(images, generator) -> images`` may stand among them. ``Normalize`` comes last.
    """

    def __init__(self, views: Sequence[Callable]):
        flat: list[Callable] = []
        for view in views:
            flat.extend(view.views if isinstance(view, Compose) else [view])
        if not flat:
            raise ValueError("views is empty; hand in at least one view")
        early = [view for view in flat[:-1] if getattr(view, "leaves_unit_range", False)]
        if early:
            raise ValueError(f"{early[0]!r} must come last: every other view works on values in [0, 1]")
        self.views = tuple(flat)
        self._runs = [(kind, list(run)) for kind, run in groupby(flat, key=_kind)]

    def _transform(self, images: Images, generator: Generator | None) -> Tensor:
        for kind, run in self._runs:
            if kind is not None:
                images = (_move if kind is Geometric else _recolour)(run, images, generator)
                continue
            for view in run:
                images = (view._transform if isinstance(view, ImageView) else view)(images, generator)
        return images

    def __repr__(self) -> str:
        return "Compose([\n" + "".join(f"    {view!r},\n" for view in self.views) + "])"
