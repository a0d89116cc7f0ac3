"""BSDS500: photographs with the segmentations that several people drew."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from labkit.data._arrays import read_npz
from labkit.data._catalogue import Entry
from labkit.data._image_files import decode_image
from labkit.data._store import read_bytes


@dataclass(frozen=True, repr=False, eq=False)
class SegmentedImage:
    """One photograph: image, each annotator's regions (numbered from 1) and the boundaries between them, and its id."""

    image: UInt8[Tensor, "3 height width"]
    segmentations: UInt8[Tensor, "annotators height width"]
    boundaries: Bool[Tensor, "annotators height width"]
    id: int

    def __repr__(self) -> str:
        _, height, width = self.image.shape
        return f"SegmentedImage({self.id}: {height} × {width}, {len(self.segmentations)} annotators)"


class SegmentedImages(Sequence):
    """A sequence of ``SegmentedImage``, unpacked when asked for (sizes differ: 321 × 481 or 481 × 321)."""

    def __init__(self, arrays: dict[str, np.ndarray], name: str):
        self.name = name
        self._arrays = arrays
        area = arrays["hw"].astype(np.int64).prod(axis=1)
        drawn = arrays["n_annotators"].astype(np.int64)
        self._pixel = np.concatenate([[0], np.cumsum(area * drawn)])
        self._byte = np.concatenate([[0], np.cumsum(-(-area // 8) * drawn)])

    def __len__(self) -> int:
        return len(self._arrays["ids"])

    def __getitem__(self, index: int) -> SegmentedImage:
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} images, no number {index}")
        index %= len(self)
        arrays = self._arrays
        height, width = arrays["hw"][index].tolist()
        drawn = int(arrays["n_annotators"][index])
        regions = arrays["segmentations"][self._pixel[index] : self._pixel[index + 1]]
        packed = arrays["boundaries_packed"][self._byte[index] : self._byte[index + 1]].reshape(drawn, -1)
        edges = np.unpackbits(packed, axis=1, count=height * width).reshape(drawn, height, width)
        start, end = arrays["jpeg_offsets"][index : index + 2].tolist()
        return SegmentedImage(
            image=decode_image(arrays["jpeg"][start:end].tobytes()),
            segmentations=torch.from_numpy(regions.reshape(drawn, height, width).copy()),
            boundaries=torch.from_numpy(edges).bool(),
            id=int(arrays["ids"][index]),
        )

    def __repr__(self) -> str:
        drawn = int(self._arrays["n_annotators"].sum())
        return f"SegmentedImages({self.name}: {len(self)} photographs, {drawn} segmentations)"


def read_bsds500(entry: Entry, split: str = "train") -> SegmentedImages:
    """One part of BSDS500.

    Args:
        split: "train" (200 photographs), "val" (100) or "test" (200).

    Cost: about 200 MB of memory for "train" and "test".
    """
    if split not in ("train", "val", "test"):
        raise ValueError(f"split must be 'train', 'val' or 'test', not {split!r}")
    file = entry.file(f"bsds500_{split}.npz")
    return SegmentedImages(read_npz(read_bytes(entry, file), file.name), f"{entry.name}/{split}")
