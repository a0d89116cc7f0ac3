"""In what precision a loss is worked out."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def without_autocast(loss: Callable) -> Callable:
    """Products of a loss in the precision of its inputs, float32 at least, also under ``torch.autocast``.

    Covariances, pairwise distances and sums of exponentials lose too much in bfloat16, and are a small part of a step.
    """

    @functools.wraps(loss)
    def in_full_precision(*tensors, **options):
        device = next(value.device.type for value in tensors if isinstance(value, Tensor))
        tensors = [at_least_float32(x) if isinstance(x, Tensor) and x.is_floating_point() else x for x in tensors]
        with torch.autocast(device, enabled=False):
            return loss(*tensors, **options)

    return in_full_precision
