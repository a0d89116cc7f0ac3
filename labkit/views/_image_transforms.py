"""The image transforms, each a frozen dataclass that draws anew for every image; and SimCLR's recipe."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import threshold

from labkit._arguments import checked
from labkit._checks import require_between
from labkit.views._draws import drawn
from labkit.views._image import Colour, Compose, Geometric, Images, ImageView, constant, luma, separable, uniform

Number = float | int

# Chroma of NTSC's YIQ: a hue turn is a rotation of its I-Q plane, which leaves the luma and all greys alone.
_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]], dtype=torch.float64
)
_TURN = torch.linalg.inv(_YIQ) @ torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64) @ _YIQ
_QUARTER_TURN = tuple(_TURN.flatten().tolist())


def _require_range(name: str, pair: Sequence[Number]) -> None:
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] < math.inf:
        raise ValueError(f"{name} must be (low, high) with 0 < low ≤ high, not {tuple(pair)}")


@checked(numbers=False)
@dataclass(frozen=True)
class RandomResizedCrop(Geometric):
    """A random window of the image, resized to ``size``: bilinear, averaging where it shrinks.

    The window's share of the area is uniform in ``scale`` and its width/height log-uniform in ``ratio``, as in
    torchvision (ten tries for one that fits, then the largest centred one that respects ``ratio``). Two things differ
    from there: its place is uniform and not rounded to whole pixels, and its rim blends with the pixels just outside.

    Args:
        size: side of the square output in pixels, or (height, width).
        scale: range of the window's area as a fraction of the image's, within (0, 1].
        ratio: range of width/height.
    """

    size: int | Sequence[int]
    scale: Sequence[Number] = (0.2, 1.0)
    ratio: Sequence[Number] = (3 / 4, 4 / 3)

    def __post_init__(self):
        sides = self.output_size(0, 0)
        if len(sides) != 2 or min(sides) < 1:
            raise ValueError(f"size must be a positive number of pixels or (height, width), not {self.size}")
        _require_range("scale", self.scale)
        require_between("scale", self.scale[1], 0, 1)
        _require_range("ratio", self.ratio)

    def output_size(self, height: int, width: int) -> tuple[int, ...]:
        return (self.size, self.size) if isinstance(self.size, int) else tuple(self.size)

    def window(self, images: Tensor, height: int, width: int, generator: Generator | None) -> Float[Tensor, "items 4"]:
        tries = 10
        draws = uniform(images, 2 * tries + 2, generator)
        area = draws[:, :tries] * (self.scale[1] - self.scale[0]) + self.scale[0]
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = (draws[:, tries:-2] * (high - low) + low).exp() * (height / width)
        # The sides as fractions: their product is the area, their quotient the ratio.
        sides = torch.stack([(area / ratio).sqrt(), (area * ratio).sqrt()], -1)
        fits = (sides <= 1).all(-1)
        first = sides[torch.arange(len(sides), device=sides.device), fits.int().argmax(1)]
        fallback = constant(sides, min(1, width / height / self.ratio[0]), min(1, self.ratio[1] * height / width))
        side = torch.where(fits.any(1, keepdim=True), first, fallback)
        start = draws[:, -2:] * (1 - side)
        start = torch.where(fits.any(1, keepdim=True), start, (1 - side) / 2)
        return torch.stack([start, start + side], -1).flatten(1)


@checked(numbers=False)
@dataclass(frozen=True)
class RandomHorizontalFlip(Geometric):
    """Mirror left and right with probability ``p``."""

    p: Number = 0.5

    def __post_init__(self):
        require_between("p", self.p, 0, 1)

    def window(self, images: Tensor, height: int, width: int, generator: Generator | None) -> Float[Tensor, "items 4"]:
        flipped = uniform(images, 1, generator) < self.p
        left = flipped.to(images)
        return torch.cat([torch.zeros_like(left), torch.ones_like(left), left, 1 - left], 1)


@checked(numbers=False)
@dataclass(frozen=True)
class ColorJitter(Colour):
    """Change brightness, contrast, saturation and hue of an image with probability ``p``.

    Factors are drawn as torchvision's: b, k, s uniform in [1 - x, 1 + x] (not below 0) for ``brightness``,
    ``contrast``, ``saturation``, and a turn t of the colour circle uniform in [-``hue``, ``hue``]. All four are one
    affine map of the colours x of an image whose mean grey is g (L projects onto grey, Q turns chroma by 90°):

        b·k·(L + s·cos(2πt)·(1 - L) + s·sin(2πt)·Q) x + (1 - k)·b·g

    Two things differ from torchvision: hue turns in the I-Q plane of YIQ, which keeps the grey value of each pixel
    (torchvision turns HSV's hue, which keeps its largest and smallest channel), and values are clamped to [0, 1]
    once at the end, not after each step, so that no order of the steps needs to be drawn. On images with one channel
    saturation and hue do nothing.
    """

    brightness: Number = 0.4
    contrast: Number = 0.4
    saturation: Number = 0.4
    hue: Number = 0.1
    p: Number = 0.8

    def __post_init__(self):
        for name in ("brightness", "contrast", "saturation"):
            require_between(name, getattr(self, name), 0, 10)
        require_between("hue", self.hue, 0, 0.5)
        require_between("p", self.p, 0, 1)

    def colour_map(
        self, images: Tensor, mean: Float[Tensor, "items channels"], generator: Generator | None
    ) -> tuple[Float[Tensor, "items channels channels"], Float[Tensor, "items channels"]]:
        draws = uniform(images, 5, generator)
        spread = constant(images, self.brightness, self.contrast, self.saturation, 2 * math.pi * self.hue)
        changes = spread * (2 * draws[:, 1:] - 1) * (draws[:, :1] < self.p)
        b, k, s = (changes[:, :3] + 1).clamp_min_(0).unbind(1)
        turn = changes[:, 3]

        weights = luma(images)
        grey = weights.expand(len(weights), -1)
        quarter = constant(images, *_QUARTER_TURN).view(3, 3) if len(weights) == 3 else torch.zeros_like(grey)
        basis = torch.stack([grey, _identity(images) - grey, quarter])
        shares = torch.stack([b * k, b * k * s * turn.cos(), b * k * s * turn.sin()], 1)
        matrix = (shares @ basis.flatten(1)).view(-1, *grey.shape)
        return matrix, ((1 - k) * b * (mean @ weights))[:, None].expand_as(mean)


@checked(numbers=False)
@dataclass(frozen=True)
class RandomGrayscale(Colour):
    """Replace colours by their grey value (BT.601) with probability ``p``; nothing to do for one channel."""

    p: Number = 0.2

    def __post_init__(self):
        require_between("p", self.p, 0, 1)

    def colour_map(
        self, images: Tensor, mean: Float[Tensor, "items channels"], generator: Generator | None
    ) -> tuple[Float[Tensor, "items channels channels"], Float[Tensor, "items channels"]]:
        weights = luma(images)
        chosen = (uniform(images, 1, generator) < self.p)[..., None]
        grey = weights.expand(len(weights), -1)
        return torch.where(chosen, grey, _identity(images)), torch.zeros_like(mean)


@checked(numbers=False)
@dataclass(frozen=True)
class RandomInvert(Colour):
    """Turn x into 1 - x with probability ``p``: the negative of the image."""

    p: Number = 0.5

    def __post_init__(self):
        require_between("p", self.p, 0, 1)

    def colour_map(
        self, images: Tensor, mean: Float[Tensor, "items channels"], generator: Generator | None
    ) -> tuple[Float[Tensor, "items channels channels"], Float[Tensor, "items channels"]]:
        chosen = (uniform(images, 1, generator) < self.p).to(images)
        sign = _identity(images) * (1 - 2 * chosen)[..., None]
        return sign, chosen.expand_as(mean)


@checked(numbers=False)
@dataclass(frozen=True)
class RandomSolarize(ImageView):
    """Turn x into 1 - x wherever x ≥ ``threshold``, for an image with probability ``p`` (BYOL, appendix B)."""

    threshold: Number = 0.5
    p: Number = 0.2

    def __post_init__(self):
        require_between("threshold", self.threshold, 0, 1)
        require_between("p", self.p, 0, 1)

    def _transform(self, images: Tensor, generator: Generator | None) -> Tensor:
        chosen = (uniform(images, 1, generator) < self.p)[..., None, None]
        return torch.where(chosen & (images >= self.threshold), 1 - images, images)


@checked(numbers=False)
@dataclass(frozen=True)
class GaussianBlur(ImageView):
    """Blur with a Gaussian whose standard deviation in pixels is uniform in ``sigma``, with probability ``p``.

    The kernel is as wide as the image and renormalised where it meets the border. Time per image and channel grows
    with height · width · (height + width).
    """

    sigma: Sequence[Number] = (0.1, 2.0)
    p: Number = 0.5

    def __post_init__(self):
        _require_range("sigma", self.sigma)
        require_between("p", self.p, 0, 1)

    def _transform(self, images: Tensor, generator: Generator | None) -> Tensor:
        draws = uniform(images, 2, generator)
        sigma = self.sigma[0] + draws[:, 1] * (self.sigma[1] - self.sigma[0])
        sigma = torch.where(draws[:, 0] < self.p, sigma, 1e-3)  # so narrow that the kernel is exactly one pixel
        return blurred(images, sigma)


def blurred(images: Images, sigma: Float[Tensor, "items"]) -> Images:
    """Each image convolved with a Gaussian of its own standard deviation, in pixels."""
    height, width = images.shape[2:]
    return separable(images, _gaussian(height, sigma, source_dim=2), _gaussian(width, sigma, source_dim=1))


def _gaussian(size: int, sigma: Float[Tensor, "items"], source_dim: int) -> Float[Tensor, "items size size"]:
    at = torch.arange(size, device=sigma.device).to(sigma)
    exponent = ((at[:, None] - at) / sigma[:, None, None]).square_().mul_(-0.5)
    # Far tails are denormal numbers, thirty times slower to compute with, and mean nothing: they become zeros.
    kernel = threshold(exponent.clamp_min_(-30).exp_(), 1e-13, 0.0)
    return kernel.div_(kernel.sum(source_dim, keepdim=True))


@checked(numbers=False)
@dataclass(frozen=True)
class GaussianNoise(ImageView):
    """Add independent normal noise of standard deviation ``std`` to every value, then clamp to [0, 1]."""

    std: Number = 0.1

    def __post_init__(self):
        require_between("std", self.std, 0, 10)

    def _transform(self, images: Tensor, generator: Generator | None) -> Tensor:
        noise = drawn(torch.randn, images.shape, images.device, generator).to(images)
        return noise.mul_(self.std).add_(images).clamp_(0, 1)


@checked(numbers=False)
@dataclass(frozen=True)
class Normalize(ImageView):
    """Subtract ``mean`` and divide by ``std``, each one number or one per channel. The last view of a ``Compose``."""

    mean: Number | Sequence[Number]
    std: Number | Sequence[Number]

    leaves_unit_range = True

    def __post_init__(self):
        if not all(0 < value < math.inf for value in _values(self.std)):
            raise ValueError(f"std must be positive, not {self.std}")
        if not all(map(math.isfinite, _values(self.mean))):
            raise ValueError(f"mean must be finite, not {self.mean}")

    def _transform(self, images: Tensor, generator: Generator | None) -> Tensor:
        for name in ("mean", "std"):
            if len(_values(getattr(self, name))) not in (1, images.shape[1]):
                raise ValueError(
                    f"{name} must be one number or {images.shape[1]}, one per channel, not {getattr(self, name)}"
                )
        mean, std = (constant(images, *_values(v)).view(-1, 1, 1) for v in (self.mean, self.std))
        return (images - mean) / std


def _identity(images: Tensor) -> Float[Tensor, "channels channels"]:
    return torch.eye(images.shape[1], dtype=images.dtype, device=images.device)


def _values(value: Number | Sequence[Number]) -> list[Number]:
    return list(value) if isinstance(value, Sequence) else [value]


@checked(numbers=False)
def simclr(
    size: int | Sequence[int],
    strength: Number = 0.5,
    *,
    scale: Sequence[Number] = (0.08, 1.0),
    flip: Number = 0.5,
    gray: Number = 0.2,
    blur: Number = 0.0,
) -> Compose:
    """The views of SimCLR: crop, flip, colour jitter, greyscale, and blur where asked for.

    Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations", appendix A; the defaults
    are those for small images (appendix B.9, CIFAR-10: colour strength 0.5, no blur). For ImageNet: ``strength=1,
    blur=0.5``. The jitter is (0.8, 0.8, 0.8, 0.2) · ``strength`` with probability 0.8.

    Args:
        size: side of the output in pixels, or (height, width).
        strength: of the colour jitter, in [0, 2.5].
        scale: range of the crop's share of the area.
        flip, gray, blur: probabilities (set ``flip=0`` for letters and digits, which have no mirror image).

    Example:
        >>> view = simclr(32)
        >>> a, b = view(images), view(images)  # [n, 3, 32, 32] each, every image with a draw of its own
    """
    require_between("strength", strength, 0, 2.5)
    for name, chance in (("flip", flip), ("gray", gray), ("blur", blur)):
        require_between(name, chance, 0, 1)
    views = [RandomResizedCrop(size, scale=scale), RandomHorizontalFlip(flip)]
    views += [ColorJitter(*(0.8 * strength,) * 3, hue=0.2 * strength), RandomGrayscale(gray)]
    return Compose([*views, GaussianBlur(p=blur)] if blur else views)
