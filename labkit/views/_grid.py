"""All views at once, in place of random ones: what an expectation over a crop needs."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from labkit._arguments import checked
from labkit._checks import require_between
from labkit.views._image import resample, unit_images


@checked(numbers=False)
def window_grid(
    images: Tensor, shift: float = 1.0, crop: float = 1.0
) -> Float[Tensor, "windows items channels height width"]:
    """Nine views of each image: windows of side ``crop`` at 3 × 3 places, up to ``shift`` pixels over the edge.

    The places are the corners, the middles of the sides and the centre of where a random crop of that size would fall;
    beyond the edge is black. Each window is scaled back to the size of the images (:class:`RandomResizedCrop` draws at
    random what is listed here).

    Args:
        images: [items, channels, height, width], uint8 or in [0, 1].
        shift: pixels, 0 up to the side of the images.
        crop: side of the window as a share of the image's, from one pixel to 1.

    Raises:
        ValueError: as above, or images that are none.
    """
    images = unit_images(images)
    height, width = images.shape[2:]
    require_between("shift", shift, 0, min(height, width))
    require_between("crop", crop, 1 / min(height, width), 1)
    margin = math.ceil(shift) + 1
    centre, side = torch.tensor([0.0, -1.0, 1.0]), torch.tensor([height, width])
    reach = shift + (1 - crop) / 2 * side
    middle = torch.cartesian_prod(centre, centre) * reach + side / 2 + margin  # in pixels of the padded images
    low, high = ((middle + sign * crop / 2 * side) / (side + 2 * margin) for sign in (-1, 1))
    windows = torch.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], dim=1).to(images)
    padded = pad(images, (margin,) * 4)
    views = resample(
        padded.repeat(len(windows), 1, 1, 1), windows.repeat_interleave(len(images), dim=0), (height, width)
    )
    return views.unflatten(0, (len(windows), len(images)))
