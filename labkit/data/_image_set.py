"""``ImageSet``: images of one size as one uint8 tensor, with labels and splits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_known


@checked(numbers=False)
@dataclass(frozen=True, repr=False, eq=False)
class ImageSet:
    """Images of one size, whole in memory.

    Attributes:
        images: uint8 [items, channels, height, width], 0 to 255.
        labels: int64 [items], or None.
        class_names: name of class 0, 1, ...
        splits: "train", "test", ... -> int64 indices of items.
        name: the data set's name.

    Raises:
        ValueError, TypeError: shapes, types or indices that do not fit together.

    Example:
        train = labkit.data.load("digits").subset("train")
        train.images                                        # uint8 [1257, 1, 8, 8]
    """

    images: Tensor
    labels: Tensor | None = None
    class_names: tuple[str, ...] = ()
    splits: Mapping[str, Tensor] = field(default_factory=dict)
    name: str = "images"

    def __post_init__(self):
        if self.images.dtype != torch.uint8 or self.images.dim() != 4:
            found = f"{self.images.dtype} {list(self.images.shape)}"
            raise ValueError(f"images must be a uint8 tensor [items, channels, height, width], not {found}")
        if self.labels is not None and (self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]):
            found = f"{self.labels.dtype} {list(self.labels.shape)}"
            raise ValueError(f"labels must be int64 [{len(self.images)}], one for each image, not {found}")
        if self.labels is not None and self.class_names and len(self.labels):
            low, high = (int(end) for end in self.labels.aminmax())
            if low < 0 or high >= len(self.class_names):
                raise ValueError(f"labels go from {low} to {high}, and class_names has {len(self.class_names)} names")
        for split, rows in self.splits.items():
            _require_rows(f"split {split!r}", rows, len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, indices: str | Tensor | Iterable[int]) -> "ImageSet":
        """The images of a split by name, or those at ``indices`` (int64, or a bool mask), in that order.

        The result has no splits: their indices would point to other images. Cost: a copy of the images chosen.

        Raises:
            ValueError: an unknown split or an index that no image has.
        """
        name = self.name
        if isinstance(indices, str):
            require_known("split", indices, self.splits)
            name = f"{name}/{indices}"
            rows = self.splits[indices]
        else:
            rows = torch.as_tensor(indices if isinstance(indices, Tensor) else list(indices))
            if rows.dtype == torch.bool and rows.shape == self.images.shape[:1]:
                rows = rows.nonzero().flatten()
            rows = rows.long() if rows.numel() == 0 else rows
            _require_rows("indices", rows, len(self))
        labels = None if self.labels is None else self.labels[rows]
        return ImageSet(self.images[rows], labels, self.class_names, {}, name)

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.images.shape[1:]))
        parts = [f"{len(self)} images {shape}"]
        if self.class_names:
            parts.append(f"{len(self.class_names)} classes")
        if self.splits:
            parts.append(", ".join(f"{split} {len(rows)}" for split, rows in self.splits.items()))
        return f"ImageSet({self.name}: {'; '.join(parts)})"


def _require_rows(name: str, rows: Tensor, items: int) -> None:
    if rows.dim() != 1 or rows.dtype != torch.int64:
        raise ValueError(
            f"{name} must be a one-dimensional int64 tensor of indices, not {rows.dtype} {list(rows.shape)}"
        )
    if len(rows) and not (int(rows.min()) >= -items and int(rows.max()) < items):
        worst = int(rows.max()) if int(rows.max()) >= items else int(rows.min())
        raise ValueError(f"{name} points to image {worst}, but there are {items} (0 to {items - 1})")
