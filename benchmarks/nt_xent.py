"""NT-Xent forward and backward at 8 192 pairs of 128 dimensions: tiles against the dense matrix."""

import torch

from benchmarks._bench import Row, alternate, extra_memory
from labkit.losses import nt_xent

NAME = "NT-Xent"
PAIRS, DIM = 8192, 128


def _loss(block):
    """With the choice of ``nt_xent`` (tiles) where ``block`` is None, dense where it is all views."""

    def once():
        torch.manual_seed(0)
        a, b = (torch.randn(PAIRS, DIM, requires_grad=True) for _ in range(2))
        nt_xent(a, b, temperature=0.5, block=block).backward()

    return once


def main(repeats: int = 5) -> list[Row]:
    what, peer = f"NT-Xent of {PAIRS} pairs, forward and backward", "the dense form"
    memory = [extra_memory(__name__, f"_loss({block})") for block in (None, 2 * PAIRS)]
    return [
        Row(what + ", time", peer, *alternate(_loss(None), _loss(2 * PAIRS), repeats), at_least=2),
        Row(what + ", extra memory", peer, *memory, at_least=25, unit="MB"),
    ]
