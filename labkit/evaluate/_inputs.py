"""What probes refuse before they start, and how they prepare embeddings."""

from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from labkit._checks import require_matrix
from labkit.evaluate._split import Split


def check_probe(
    z: Tensor, y: Tensor, split: Split, check: Callable[[Tensor, Split], None]
) -> tuple[Tensor, Tensor, Split]:
    """Embeddings, int64 labels and split, on the device of the embeddings; or an error that says why not."""
    require_matrix("z", z)
    if isinstance(y, Tensor) and y.shape != z.shape[:1]:
        raise ValueError(f"y must hold one class for each of the {len(z)} rows of z, not {list(y.shape)}")
    check(y, split)
    return z.detach(), y.to(z.device).long(), split.to(z.device)


def unit_rows(z: Tensor) -> Tensor:
    """Rows of length 1, whatever their size; rows of zeros stay."""
    return F.normalize(in_range(z, dim=1), dim=1)


def in_range(z: Tensor, dim: int | tuple[int, ...] = (0, 1)) -> Tensor:
    """``z`` over :func:`size_of` it: no digit changes, and squares do not leave the range of floats."""
    return z / size_of(z, dim)


def size_of(z: Tensor, dim: int | tuple[int, ...] = (0, 1)) -> Tensor:
    """The power of two at or below the largest entry of ``z`` along ``dim``; 1 where all are zero."""
    largest = z.abs().amax(dim=dim, keepdim=True)
    return torch.where(largest > 0, largest / (2 * largest.frexp().mantissa), 1)


def sorted_strengths(strengths: Any) -> tuple[float, ...]:
    """Values of C to choose from, or a fixed one, each once and rising; refuses what is none."""
    grid = [strengths] if isinstance(strengths, Real) else list(strengths)
    wrong = [value for value in grid if not (isinstance(value, Real) and 0 < value < float("inf"))]
    if wrong or not grid:
        found = repr(wrong[0]) if wrong else "none"
        raise ValueError(f"strengths must be one or more positive, finite values of C, not {found}")
    return tuple(sorted({float(value) for value in grid}))


def check_labels(y: Tensor, split: Split) -> None:
    """Refuse labels that are no classes, and a split that reaches past them or whose train part lacks a class."""
    if not isinstance(y, Tensor):
        raise TypeError(f"y must be a torch tensor, not {type(y).__name__}; use torch.as_tensor(y)")
    if not isinstance(split, Split):
        raise TypeError(f"split must be a Split, not {type(split).__name__}; see Split.public and Split.random")
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ValueError(f"y must hold integer classes, not {y.dtype}; use y.long()")
    if y.dim() != 1:
        raise ValueError(f"y must have shape [items], not {list(y.shape)}")
    y = y.long()  # torch compares no uint16 with other integers
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    parts = {part: rows.to(y.device) for part, rows in parts.items() if rows is not None}
    for part, rows in parts.items():
        if rows.max() >= len(y):
            raise ValueError(
                f"the {part} rows of split {split.name!r} reach item {int(rows.max())}, but there are {len(y)} items "
                f"(0 to {len(y) - 1})"
            )
    used = y[torch.cat([rows.flatten() for rows in parts.values()])]
    if used.min() < 0:
        raise ValueError(f"y holds the class {int(used.min())} in split {split.name!r}; classes start at 0")
    present = used.unique()
    if len(present) < 2:
        raise ValueError(f"y holds one class only ({int(present[0])}); a probe needs at least two to tell apart")
    for s, rows in enumerate(parts["train"]):
        lacking = present[~torch.isin(present, y[rows])]
        if len(lacking):
            raise ValueError(
                f"class {int(lacking[0])} has no train row in split {s} of {split.name!r}; use a larger train part or "
                "another seed"
            )
