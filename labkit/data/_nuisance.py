"""Digits whose class hides under four nuisances, so that raw pixels do badly: place, contrast, polarity, background."""

from math import pi

import torch
from jaxtyping import UInt8
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d, pad

from labkit._checks import require_between
from labkit.data._catalogue import Entry
from labkit.data._image_files import read_idx
from labkit.data._image_offline import read_digits
from labkit.data._image_set import ImageSet

CANVAS = 36  # pixels: a 28 × 28 digit has 9 × 9 places on it
DIGIT = 28  # pixels: side of a digit of MNIST
SMALL_CANVAS = 14  # an 8 × 8 digit has 7 × 7 places on it
_BLOCK = 4096  # images rendered at once: 21 MB of floats


def read_nuisance_mnist(
    entry: Entry, n_train: int = 4000, n_test: int = 2000, seed: int = 0, size: int = DIGIT
) -> ImageSet:
    """MNIST digits at a random place, contrast, polarity and background on a 36 × 36 canvas.

    Training digits are drawn from MNIST's training part, test digits from its test part, without repetition. The same
    arguments give the same bits. 20 nearest neighbours by cosine on the raw pixels find the class of about half of the
    test images: here learning an invariance pays.

    Args:
        n_train: 1 to 60 000.
        n_test: 1 to 10 000.
        seed: draws the digits and their nuisances.
        size: 14: each 2 × 2 pixels of a digit become one, and the canvas is 18 × 18. A quarter of the work, and
            still the classes of MNIST.

    Cost: O(images); 0.1 ms an image on one core.
    """
    require_between("n_train", n_train, 1, 60_000)
    require_between("n_test", n_test, 1, 10_000)
    if size not in (DIGIT, DIGIT // 2):
        raise ValueError(f"size must be {DIGIT} or {DIGIT // 2} pixels, not {size}")
    mnist = read_idx(entry)
    generator = Generator().manual_seed(seed)
    rows = torch.cat(
        [
            mnist.splits[part][torch.randperm(len(mnist.splits[part]), generator=generator)[:count]]
            for part, count in (("train", n_train), ("test", n_test))
        ]
    )
    digits = mnist.images[rows, 0]
    if size < DIGIT:
        digits = avg_pool2d(digits.float(), 2).round_().to(torch.uint8)
    images = add_nuisances(digits, CANVAS * size // DIGIT, generator)
    splits = {"train": torch.arange(n_train), "test": torch.arange(n_train, n_train + n_test)}
    return ImageSet(images[:, None], mnist.labels[rows], tuple("0123456789"), splits, entry.name)


def read_nuisance_digits(entry: Entry, seed: int = 0) -> ImageSet:
    """scikit-learn's 8 × 8 digits under the nuisances of ``nuisance-mnist``, on a 14 × 14 canvas: needs no download.

    Args:
        seed: draws the nuisances and the split.
    """
    digits = read_digits(entry, seed=seed)
    images = add_nuisances(digits.images[:, 0], SMALL_CANVAS, Generator().manual_seed(seed))
    return ImageSet(images[:, None], digits.labels, digits.class_names, digits.splits, entry.name)


def read_coloured_digits(entry: Entry, seed: int = 0) -> ImageSet:
    """scikit-learn's 8 × 8 digits on black, each in a hue drawn from the whole circle: needs no download.

    Hue h has the colour (1 + cos(h − 2πk/3)) / 2 in channel k = 0, 1, 2 (red, green, blue), so that its complex mean
    over the channels, weighted with e^(2πik/3), has the angle h.
    """
    digits = read_digits(entry, seed=seed)
    hue = 2 * pi * torch.rand(len(digits), 1, 1, 1, generator=Generator().manual_seed(seed))
    colour = (1 + (hue - 2 * pi * torch.arange(3)[:, None, None] / 3).cos()) / 2
    images = (digits.images * colour).round_().to(torch.uint8)
    return ImageSet(images, digits.labels, digits.class_names, digits.splits, entry.name)


def add_nuisances(
    digits: UInt8[Tensor, "items size size"], canvas: int, generator: Generator
) -> UInt8[Tensor, "items {canvas} {canvas}"]:
    """Each digit at its own place, contrast (0.3 to 1), polarity and background (a grey level, a slope)."""
    n = len(digits)
    place = torch.randint(canvas - digits.shape[1] + 1, (n, 2), generator=generator)
    contrast, level, slope, angle, flip = torch.rand(5, n, 1, 1, generator=generator)
    contrast = 0.3 + 0.7 * contrast
    level, slope, angle, flip = (1 - contrast) * level, 0.1 * slope, 2 * pi * angle, flip < 0.5
    across = torch.linspace(-1, 1, canvas)
    blocks = []
    for start in range(0, n, _BLOCK):
        part = slice(start, start + _BLOCK)
        ink = _placed(digits[part], place[part], canvas).float() / 255
        ink = torch.where(flip[part], 1 - ink, ink)
        shade = angle[part].cos() * across[:, None] + angle[part].sin() * across
        image = level[part] + contrast[part] * ink + slope[part] * shade
        blocks.append(image.clamp_(0, 1).mul_(255).round_().to(torch.uint8))
    return torch.cat(blocks)


def _placed(digits: Tensor, place: Tensor, canvas: int) -> Tensor:
    """The digits with their upper left corner at ``place`` (row, column) of an empty canvas."""
    margin = canvas - digits.shape[1]
    padded = pad(digits, (margin,) * 4)
    across = torch.arange(canvas) + margin
    rows, columns = across - place[:, :1], across - place[:, 1:]
    return padded[torch.arange(len(digits))[:, None, None], rows[:, :, None], columns[:, None, :]]
