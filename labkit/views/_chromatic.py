"""Chromatic aberration, a shortcut that lenses plant in photographs, and what takes it away."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_positive
from labkit.views._draws import drawn
from labkit.views._image import ImageView, constant, luma, resample, uniform, unit_images
from labkit.views._image_transforms import blurred


@checked(numbers=False)
def chromatic_aberration(images: Tensor, strength: float) -> Float[Tensor, "items 3 height width"]:
    """Red magnified by 1 + 2 · ``strength`` about the centre of the image and green by 1 + ``strength``; blue stays.

    So a dark edge has a coloured fringe that points away from the centre, and the wider the farther out it lies: each
    patch tells where it was (Doersch et al. 2015, section 3.1). At a distance of r pixels from the centre the channels
    lie about r · ``strength`` pixels apart.

    Args:
        images: [items, 3, height, width], uint8 or in [0, 1].
        strength: 0 (a perfect lens) to 0.5; some 0.001 to 0.01 in photographs, more in pictures as small as ours.

    Raises:
        ValueError: another strength, images without three channels.
    """
    images = unit_images(images)
    require_between("strength", strength, 0, 0.5)
    if images.shape[1] != 3:
        raise ValueError(f"chromatic aberration needs images with 3 channels, not {images.shape[1]}")
    if strength == 0:
        return images
    seen = []
    for channel, more in zip(images.split(1, dim=1), (2, 1, 0)):
        half = 0.5 / (1 + more * strength)
        window = constant(images, *(0.5 - half, 0.5 + half) * 2).expand(len(images), 4)
        seen.append(resample(channel, window, images.shape[2:]))
    return torch.cat(seen, dim=1)


@dataclass(frozen=True)
class DropColours(ImageView):
    """Keep one channel, drawn for each image; the others become mid-grey with a little noise.

    Colour dropping (Doersch et al. 2015, section 3.1): what is left can't be compared with another channel, so that the
    fringe of chromatic aberration is gone, and with it all colour. The noise has a hundredth of the standard deviation
    of the channel that is kept.
    """

    def _transform(self, images: Tensor, generator: Generator | None) -> Tensor:
        channels = images.shape[1]
        kept = (uniform(images, 1, generator) * channels).long()[..., None, None]
        kept = torch.arange(channels, device=images.device).view(1, -1, 1, 1) == kept
        spread = (images * kept).sum(1, keepdim=True).std((2, 3), keepdim=True, unbiased=False)
        noise = drawn(torch.randn, images.shape, images.device, generator).to(images)
        return torch.where(kept, images, 0.5 + spread / 100 * noise).clamp_(0, 1)


@checked(numbers=False)
@dataclass(frozen=True)
class ChromaBlur(ImageView):
    """Blur what an image has of colour and leave its grey values alone.

    Chroma blurring (Mundhenk et al. 2018): a fringe is narrow, an object's colour is not. Colour is here the difference
    to the grey value (BT.601), where the paper blurs channels a and b of Lab.

    Args:
        sigma: standard deviation of the Gaussian in pixels; the kernel is renormalised at the border.
    """

    sigma: float = 2.0

    def __post_init__(self):
        require_positive("sigma", self.sigma)

    def _transform(self, images: Tensor, generator: Generator | None) -> Tensor:
        grey = torch.einsum("nchw,c->nhw", images, luma(images))[:, None]
        sigma = images.new_full((len(images),), self.sigma)
        return (grey + blurred(images, sigma) - blurred(grey, sigma)).clamp_(0, 1)
