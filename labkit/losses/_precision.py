"""In what precision a loss is worked out; rows of length one."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from labkit._checks import at_least_float32


def without_autocast(loss: Callable) -> Callable:
    """Products of a loss in the precision of its inputs, float32 at least, also under ``torch.autocast``.

    Covariances, pairwise distances and sums of exponentials lose too much in bfloat16, and are a small part of a step.
    """

    @functools.wraps(loss)
    def in_full_precision(*tensors, **options):
        given = [x for x in (*tensors, *options.values()) if isinstance(x, Tensor)]
        widest = torch.float64 if any(x.dtype == torch.float64 for x in given) else torch.float32

        def full(value):
            return value.to(widest) if isinstance(value, Tensor) and value.is_floating_point() else value

        with torch.autocast(given[0].device.type if given else "cpu", enabled=False):
            return loss(*map(full, tensors), **{name: full(value) for name, value in options.items()})

    return in_full_precision


def unit_rows(rows: Tensor) -> Tensor:
    """Rows (the last axis) of length one, at least in float32: half precision is for products, never for the sums.

    A row of zeros stays one. Its gradient is as large as that of a row of length one: any direction is as near to it.
    ``torch.nn.functional.normalize`` gives 1e12 times that, enough for one dead row to end a training.
    """
    rows = at_least_float32(rows)
    length = rows.norm(dim=-1, keepdim=True)
    return rows / length.clamp_min(1e-12).where(length > 0, 1.0)
