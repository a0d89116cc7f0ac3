"""Images moved by whole pixels: the view that has one parameter and needs no resampling."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from labkit._arguments import checked
from labkit.views._draws import drawn
from labkit.views._image import unit_images


@checked(numbers=False)
def shift(
    images: Tensor, pixels: int, generator: Generator | None = None
) -> Float[Tensor, "items channels height width"]:
    """Each image moved by up to ``pixels`` up or down and left or right, all offsets equally likely, black coming in.

    Args:
        images: [items, channels, height, width], uint8 or floats in [0, 1].
        pixels: largest offset, ≥ 0.
        generator: draws the offsets, one for each image.

    Raises:
        ValueError: ``pixels`` < 0, or what is no batch of images.
    """
    images = unit_images(images)
    if pixels < 0:
        raise ValueError(f"pixels must be a whole number ≥ 0, not {pixels}")
    n, (height, width) = len(images), images.shape[-2:]
    offset = drawn(partial(torch.randint, 2 * pixels + 1), (2, n, 1), images.device, generator)
    down, right = (o + torch.arange(size, device=images.device) for o, size in zip(offset, (height, width)))
    around = torch.nn.functional.pad(images, (pixels,) * 4).permute(0, 2, 3, 1)
    item = torch.arange(n, device=images.device)[:, None, None]
    return around[item, down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)
