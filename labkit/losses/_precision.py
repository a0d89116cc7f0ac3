"""In what precision a loss is worked out."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor


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
