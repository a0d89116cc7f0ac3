"""The order in which a GPU would have drawn: what a released program chose at random on CUDA, on any machine."""

import math

import numpy as np
import torch
from jaxtyping import Int64
from numpy.typing import NDArray
from torch import Tensor

WORD = 2**32 - 1


def cuda_permutation(n: int, seed: int) -> Int64[Tensor, " n"]:
    """What ``torch.randperm(n, device="cuda")`` gives first after ``torch.manual_seed(seed)``.

    Entries are sorted by random keys, the first word of a Philox block each (its counter holds the entry's number),
    of which the lowest bits count: as many as make equal keys rare. Where two agree nevertheless, in one of ten
    permutations, CUDA may swap their entries. Up to 20 000 entries; for more of them CUDA draws keys of 64 bits, and
    this gives another permutation.

    Args:
        n: entries.
        seed: 0 to 2^64 − 1.
    """
    counter = np.zeros((4, n), dtype=np.uint64)
    counter[2] = np.arange(n)
    keys = philox(counter, np.array([seed & WORD, seed >> 32], dtype=np.uint64))[0] % np.uint64(WORD)
    bits = math.ceil(math.log2(n - (6.0 * n * n + 1) / (12 * math.log(0.9)))) if n else 0
    keys &= np.uint64(2 ** min(bits, 31) - 1)
    return torch.from_numpy(np.argsort(keys, kind="stable"))


def philox(counter: NDArray[np.uint64], key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Philox4x32-10 (Salmon et al. 2011, section 3.3), cuRAND's generator: 32-bit words [4, n] and [2] -> [4, n]."""
    a, b, c, d = counter
    low, high = key
    for _ in range(10):
        first, second = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        a, b, c, d = (
            second >> np.uint64(32) ^ b ^ low,
            second & np.uint64(WORD),
            first >> np.uint64(32) ^ d ^ high,
            first & np.uint64(WORD),
        )
        low, high = low + np.uint64(0x9E3779B9) & np.uint64(WORD), high + np.uint64(0xBB67AE85) & np.uint64(WORD)
    return np.stack([a, b, c, d])
