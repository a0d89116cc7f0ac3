"""What torch makes where no type is named."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def in_float32() -> Iterator[None]:
    """Inside, torch makes float32 where no type is named, whatever ``torch.set_default_dtype`` was told outside.

    Data sets and recipes are the same in a notebook that works in float64. Also a decorator: ``@in_float32()``.
    """
    outside = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(outside)
