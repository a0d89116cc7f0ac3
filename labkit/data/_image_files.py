"""Image sets read from files: IDX, npz, JPEG streams, PNGs in a zip."""

import gzip
import io
import itertools
import math

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from labkit._checks import require_between
from labkit.data._arrays import read_npz, read_zip
from labkit.data._catalogue import Entry, File
from labkit.data._image_set import ImageSet
from labkit.data._store import read_bytes


def read_idx(entry: Entry, n_train: int = 60_000, n_test: int = 10_000) -> ImageSet:
    """MNIST and Fashion-MNIST: 60 000 training and 10 000 test images, 28 × 28, grey, in the canonical order.

    Args:
        n_train, n_test: take only the first so many.
    """
    require_between("n_train", n_train, 1, 60_000)
    require_between("n_test", n_test, 1, 10_000)
    parts = []
    for stem, count in (("train", n_train), ("t10k", n_test)):
        files = (entry.file(f"{stem}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        parts.append([idx_tensor(read_bytes(entry, file), entry.name)[:count] for file in files])
    images, labels = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
    n = len(parts[0][1])
    splits = {"train": torch.arange(n), "test": torch.arange(n, len(labels))}
    return ImageSet(images[:, None], labels.long(), entry.class_names, splits, entry.name)


def idx_tensor(data: bytes, where: str) -> Tensor:
    """The uint8 array of a gzipped IDX file: two zero bytes, type 8, number of dimensions, big-endian sizes, values."""
    data = gzip.decompress(data)
    dims = data[3] if data[:3] == b"\0\0\x08" else 0
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i]) for i in range(dims)]
    if not dims or len(data) != 4 + 4 * dims + math.prod(shape):
        raise ValueError(f"a file of {where} is not a whole uint8 IDX file; remove it and load again")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8, offset=4 + 4 * dims).reshape(shape)


def read_cifar10_exact(entry: Entry) -> ImageSet:
    """The first 4 000 training and the first 1 000 test images of CIFAR-10, exact pixels, in the canonical order."""
    arrays = _npz(entry, entry.files[0])
    images, labels = (
        torch.from_numpy(np.concatenate([arrays[f"{kind}_train"], arrays[f"{kind}_test"]])) for kind in "xy"
    )
    n = len(arrays["y_train"])
    splits = {"train": torch.arange(n), "test": torch.arange(n, len(labels))}
    images = images.permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, labels.long(), tuple(arrays["class_names"].tolist()), splits, entry.name)


def read_cifar10_jpeg(entry: Entry, n_train: int = 50_000, n_test: int = 10_000) -> ImageSet:
    """CIFAR-10 (JPEG q75): all images, but lossy: 30.5 dB PSNR on average against the exact pixels, 23.1 at worst.

    Training images stand in the canonical order; of the test images the first 1 000 do. Say "CIFAR-10 (JPEG q75)" with
    a number from it.

    Args:
        n_train, n_test: take only the first so many.

    Cost: 0.1 ms an image for the decoding, one core.
    """
    require_between("n_train", n_train, 1, 50_000)
    require_between("n_test", n_test, 1, 10_000)
    arrays = _npz(entry, entry.files[0])
    images, labels = [], []
    for part, count in (("train", n_train), ("test", n_test)):
        joined, offsets = arrays[f"{part}_jpeg"], arrays[f"{part}_offsets"][: count + 1].tolist()
        images += [decode_image(joined[start:end].tobytes()) for start, end in itertools.pairwise(offsets)]
        labels.append(torch.from_numpy(arrays[f"{part}_labels"][:count]).long())
    splits = {"train": torch.arange(n_train), "test": torch.arange(n_train, n_train + n_test)}
    names = tuple(arrays["class_names"].tolist())
    return ImageSet(torch.stack(images), torch.cat(labels), names, splits, entry.name)


def read_omniglot(entry: Entry, part: str = "background") -> ImageSet:
    """Omniglot's two reduced sets, 105 × 105, ink 0 on paper 255, 20 drawers a character; a class is a character.

    Args:
        part: "background": 4 840 images; the splits "small1" and "small2" are the authors' two sets, which share 1 000
            images (Greek and Latin). "one-shot": the 20 runs of one-shot 20-way classification, 400 classes;
            the splits "train" (one image a class) and "test" stand run by run, 20 and 20.
    """
    if part == "background":
        sets = {f"small{i}": _pngs(entry, f"images_background_small{i}.zip") for i in (1, 2)}
        pngs = sets["small1"] | sets["small2"]
        classes = [path.rsplit("/", 1)[0] for path in pngs]
        number = {path: i for i, path in enumerate(pngs)}
        splits = {name: torch.tensor([number[path] for path in members]) for name, members in sets.items()}
    elif part == "one-shot":
        pngs, classes, splits = _one_shot(entry)
    else:
        raise ValueError(f"part must be 'background' or 'one-shot', not {part!r}")
    names, labels = np.unique(classes, return_inverse=True)
    images = torch.stack([decode_image(png) for png in pngs.values()])
    return ImageSet(images, torch.from_numpy(labels), tuple(names.tolist()), splits, entry.name)


def _pngs(entry: Entry, name: str) -> dict[str, bytes]:
    """Path inside the set ("Greek/character01/0394_01.png") -> PNG."""
    members = read_zip(read_bytes(entry, entry.file(name)), name)
    return {path.split("/", 1)[1]: data for path, data in sorted(members.items()) if path.endswith(".png")}


def _one_shot(entry: Entry) -> tuple[dict[str, bytes], list[str], dict[str, Tensor]]:
    members = read_zip(read_bytes(entry, entry.file("one_shot_all_runs.zip")), "one_shot_all_runs.zip")
    pngs, classes, splits = {}, [], {"train": [], "test": []}
    for run in range(1, 21):
        answers = members[f"run{run:02}/class_labels.txt"].decode().split()
        answers = dict(zip(answers[::2], answers[1::2], strict=True))  # test item -> training item
        for split, paths in (("train", sorted(answers.values())), ("test", sorted(answers))):
            for path in paths:
                splits[split].append(len(pngs))
                pngs[path] = members[path]
                classes.append(answers.get(path, path).replace("training/", "").removesuffix(".png"))
    return pngs, classes, {split: torch.tensor(rows) for split, rows in splits.items()}


def decode_image(data: bytes) -> UInt8[Tensor, "channels height width"]:
    """PNG or JPEG bytes -> uint8, 1 or 3 channels."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        grey = picture.mode in ("1", "L", "I;16", "LA")
        pixels = np.array(picture.convert("L" if grey else "RGB"))
    return torch.from_numpy(pixels[None] if grey else pixels.transpose(2, 0, 1).copy())


def _npz(entry: Entry, file: File) -> dict[str, np.ndarray]:
    return read_npz(read_bytes(entry, file), file.name)
