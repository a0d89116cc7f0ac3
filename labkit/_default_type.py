"""What torch makes where no type and no device is named."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock

import torch

_lock, _inside, _outside = Lock(), 0, torch.float32  # the default type is one for all threads


@contextmanager
def in_float32() -> Iterator[None]:
    """Inside, torch makes float32 on the CPU where nothing is named, whatever defaults it was told outside.

    Data sets and recipes are the same in a notebook that works in float64, or on another default device. Several
    threads may be inside at once: the first to enter notes the default type, the last to leave brings it back. Also a
    decorator: ``@in_float32()``.
    """
    global _inside, _outside
    with _lock:
        if not _inside:
            _outside = torch.get_default_dtype()
            torch.set_default_dtype(torch.float32)
        _inside += 1
    try:
        # entered only where needed: it costs each call of torch some microseconds
        with nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu"):
            yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_default_dtype(_outside)
