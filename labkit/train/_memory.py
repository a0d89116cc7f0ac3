"""Large arrays on the CPU are handed back to the system and asked for again in each step; here they are kept."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# mallopt(3): parameters of glibc's allocator, from <malloc.h>
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


@contextmanager
def memory_kept() -> Iterator[None]:
    """While inside, memory that tensors free on the CPU stays with the process; at the end it goes back.

    By default glibc returns every freed block over 32 MB to the system at once, and the next step pays for fresh,
    zeroed pages: a third of the time of a small ResNet's training step (``benchmarks/vision_encoders.py``). Does
    nothing where the C library is not glibc (macOS, Windows, Alpine). Results don't change. The process holds what it
    needed at its peak, so that a little more memory is in use than without.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    if not libc.mallopt(_MMAP_THRESHOLD, 1 << 30):  # older ones take 32 MB at most (half of their HEAP_MAX_SIZE)
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # or the next line would leave it at 128 KB for good
    libc.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_THRESHOLD, 32 << 20)  # where glibc's own adjustment ends up
        libc.mallopt(_TRIM_THRESHOLD, 64 << 20)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
