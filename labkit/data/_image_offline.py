"""Image sets that come inside scikit-learn and scikit-image: no download."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from labkit._checks import require_between
from labkit.data._catalogue import Entry
from labkit.data._image_files import decode_image
from labkit.data._image_set import ImageSet


def read_digits(entry: Entry, test_share: float = 0.3, seed: int = 0) -> ImageSet:
    """scikit-learn's 1 797 handwritten digits, 8 × 8, grey values 0 to 16 stretched to 0 to 255.

    Args:
        test_share: share of each class that goes into the split "test", drawn from ``seed``.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie between 0 and 1, not {test_share}")
    require_between("seed", seed, 0, 2**32 - 1)  # what NumPy takes
    digits = load_digits()
    images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(digits.target).long()
    parts = train_test_split(np.arange(len(labels)), test_size=test_share, stratify=labels, random_state=seed)
    splits = {name: torch.from_numpy(part).sort().values for name, part in zip(("train", "test"), parts, strict=True)}
    return ImageSet(images, labels, tuple("0123456789"), splits, entry.name)


PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png",
    "page.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip


def read_photographs(entry: Entry) -> dict[str, Tensor]:
    """The 18 photographs that scikit-image installs with itself: name -> uint8 [channels, height, width].

    Sizes differ, so that this is no ``ImageSet``: from 102 × 102 to 1411 × 1411, 1 or 3 channels.
    """
    return {name.rsplit(".", 1)[0]: _from_scikit_image(name) for name in PHOTOGRAPHS}


def read_faces(entry: Entry) -> ImageSet:
    """scikit-image's ``lfw_subset``: 100 faces (class 1) and 100 patches without one (class 0), 25 × 25, grey."""
    faces = torch.from_numpy(np.load(_inside_scikit_image("lfw_subset.npy"), allow_pickle=False))
    labels = torch.cat([torch.ones(100), torch.zeros(100)]).long()
    return ImageSet(faces.mul(255).round().to(torch.uint8)[:, None], labels, ("no face", "face"), {}, entry.name)


def read_stereo(entry: Entry) -> dict[str, Tensor]:
    """A motorcycle from two places: "left" and "right" uint8 [3, 500, 741], "disparity" float32 [500, 741].

    A point of the left picture stands ``disparity`` pixels further left in the right one; unknown where infinite.
    """
    with np.load(_inside_scikit_image("motorcycle_disp.npz"), allow_pickle=False) as arrays:
        disparity = torch.from_numpy(arrays["arr_0"])
    left, right = (_from_scikit_image(f"motorcycle_{side}.png") for side in ("left", "right"))
    return {"left": left, "right": right, "disparity": disparity}


def _from_scikit_image(name: str) -> Tensor:
    return decode_image(_inside_scikit_image(name).read_bytes())


def _inside_scikit_image(name: str) -> Path:
    # not skimage.data.camera() and its like: those go to the network when a file is missing
    from importlib.util import find_spec

    path = Path(find_spec("skimage").submodule_search_locations[0], "data", name)
    if not path.is_file():
        raise FileNotFoundError(
            f"this scikit-image was installed without {name}; reinstall it: pip install scikit-image"
        )
    return path
