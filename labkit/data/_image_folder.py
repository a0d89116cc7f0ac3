"""A folder of pictures as an ``ImageSet``."""

from pathlib import Path

import numpy as np
import torch

from labkit._arguments import checked
from labkit._checks import require_between, require_counts
from labkit.data._image_set import ImageSet

_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MODES = {1: "L", 3: "RGB"}


@checked(numbers=False)
def read_images(folder: str | Path, size: int = 32, channels: int = 3, test: float = 0.2, seed: int = 0) -> ImageSet:
    """Read a folder of pictures: one subfolder a class, or pictures side by side, which then have no labels.

    The order is that of sorted paths, the classes are the sorted names of the subfolders. Each picture is turned as its
    EXIF says, scaled so that its shorter side is ``size``, and cut to a square around its middle. Of an animation the
    first frame is taken; what is transparent shows white. Files that are no pictures (by their suffix) and hidden files
    and folders are passed over.

    Args:
        folder: where the pictures, or the subfolders, are.
        size: side of every image, in pixels.
        channels: 3 for colour, 1 for grey.
        test: share of each class (or of all pictures) that goes into the split "test"; 0: all are "train".
        seed: of the split.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no pictures; pictures beside subfolders of pictures; subfolders that are called like parts of a
            split; a class with a single picture while ``test`` is not 0; a file that cannot be read (it is named);
            ``size`` < 1, ``channels`` not 1 or 3, ``test`` not in [0, 1).

    Example:
        >>> images = labkit.data.read_images("photographs/", size=64)
        >>> run = labkit.fit(method, Minibatches(images.subset("train").images, 64), epochs=20, watch=images.images)
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}")
    if channels not in MODES:
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {channels}")
    require_between("test", test, 0, 1 - 1e-9)
    require_counts(0, seed=seed)
    loose = _pictures(folder, "*")
    subfolders = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    whole = folder.resolve()  # a link to it is no class: all pictures would count twice
    subfolders = [path for path in subfolders if not whole.is_relative_to(path.resolve())]
    in_class = {path.name: found for path in subfolders if (found := _pictures(path, "**/*"))}
    if loose and in_class:
        raise ValueError(
            f"{folder} holds pictures ({loose[0].name}, ...) and subfolders of pictures ({next(iter(in_class))}, ...): "
            "put every picture into the subfolder of its class, or all into one folder"
        )
    if in_class and {name.lower() for name in in_class} <= _SPLITS:
        raise ValueError(
            f"{folder} is split already ({', '.join(in_class)}), and these are no classes; read one part, "
            f"{folder / next(iter(in_class))}, or put the classes' folders side by side and let ``test`` split them"
        )
    paths = loose or [path for found in in_class.values() for path in found]
    if not paths:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}), nor do its subfolders")
    groups = np.repeat(np.arange(len(in_class) or 1), [len(found) for found in in_class.values()] or [len(loose)])
    splits = _split(groups, list(in_class) or [folder.name], test, seed)
    images = torch.stack([_read(path, size, channels) for path in paths])
    labels = torch.from_numpy(groups).long() if in_class else None
    return ImageSet(images, labels, tuple(in_class), splits, whole.name)


def _pictures(folder: Path, pattern: str) -> list[Path]:
    """Without hidden files, nor any in hidden folders: Jupyter keeps copies in .ipynb_checkpoints.

    With links that lead nowhere, which are named when they are read: what git-annex or DVC did not fetch is missing.
    """
    found = (path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES)
    found = (path for path in found if path.is_file() or not path.exists())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _read(path: Path, size: int, channels: int) -> torch.Tensor:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            if picture.mode == "F" or picture.mode.startswith("I"):
                raise ValueError(f"mode {picture.mode}: more than 8 bits a channel, which would be cut off; convert it")
            upright = ImageOps.exif_transpose(picture)
            if upright.has_transparency_data:
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright.convert("RGBA"))
            square = ImageOps.fit(upright.convert(MODES[channels]), (size, size), Image.Resampling.LANCZOS)
    except Exception as error:  # of any kind: struct.error, TypeError and others where the EXIF part is odd
        raise ValueError(f"{path} cannot be read as a picture ({error}); repair or remove it") from error
    return torch.from_numpy(np.array(square)).reshape(size, size, channels).movedim(2, 0)


def _split(groups: np.ndarray, names: list[str], test: float, seed: int) -> dict[str, torch.Tensor]:
    """At least one picture of each class on each side."""
    if test == 0:
        return {"train": torch.arange(len(groups))}
    random, held_out = np.random.default_rng(seed), []
    for group, name in enumerate(names):
        rows = np.flatnonzero(groups == group)
        if len(rows) < 2:
            raise ValueError(f"{name} holds one picture; a split needs two of each class, or test=0")
        held_out.append(random.permutation(rows)[: min(max(round(test * len(rows)), 1), len(rows) - 1)])
    mask = np.isin(np.arange(len(groups)), np.concatenate(held_out))
    return {"train": torch.from_numpy(np.flatnonzero(~mask)), "test": torch.from_numpy(np.flatnonzero(mask))}
