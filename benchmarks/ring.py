"""NT-Xent over two processes (gloo): keys that go round a ring, against keys gathered in every process."""

import statistics
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn import functional as F

from benchmarks._bench import Row, raised_by
from labkit._processes import gather, summed
from labkit.losses import nt_xent

NAME = "NT-Xent round a ring"
PROCESSES, PAIRS, DIM, TEMPERATURE = 2, 8192, 128, 0.5


def round_a_ring(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return nt_xent(a, b, TEMPERATURE, ring=True)


def gathered(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """One's own rows against all keys, as lightly's NTXentLoss(gather_distributed=True) goes about it."""
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    keys = torch.cat([gather(a), gather(b)])
    own = len(a) * dist.get_rank() + torch.arange(len(a))
    logits = torch.cat([a, b]) @ keys.T / TEMPERATURE
    rows = torch.arange(2 * len(a))
    itself = torch.cat([own, own + PAIRS])
    logits = logits.index_put((rows, itself), torch.tensor(-torch.inf))
    return summed(F.cross_entropy(logits, torch.cat([own + PAIRS, own]))) / PROCESSES


WAYS = {"ring": round_a_ring, "gathered": gathered}


def step(way: str) -> float:
    """Forward and backward of this process's share; the loss of the whole batch."""
    torch.manual_seed(dist.get_rank())
    a, b = (torch.randn(PAIRS // PROCESSES, DIM, requires_grad=True) for _ in range(2))
    loss = WAYS[way](a, b)
    loss.backward()
    return loss.item()


def work(rank: int, meeting: str, repeats: int, way: str | None, folder: str) -> None:
    """One process: seconds of both ways in turns, or for one ``way`` the MB by which it raises the peak."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", timedelta(minutes=5), PROCESSES, rank)
    if way is None:
        torch.testing.assert_close(*map(step, WAYS))  # warms up, too
        found = []
        for name in list(WAYS) * repeats:
            dist.barrier()
            started = time.perf_counter()
            step(name)
            dist.barrier()
            found.append(time.perf_counter() - started)
    else:
        dist.barrier()
        found = [raised_by(partial(step, way))]
    if rank == 0:
        torch.save(found, Path(folder) / "found")
    dist.destroy_process_group()


def together(repeats: int, way: str | None = None) -> list[float]:
    """What the first of ``PROCESSES`` processes found."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = (f"{folder}/meeting", repeats, way, folder)
        torch.multiprocessing.spawn(work, arguments, PROCESSES)
        return torch.load(Path(folder) / "found")


def main(repeats: int = 5) -> list[Row]:
    what, peer = f"NT-Xent of {PAIRS} pairs over {PROCESSES} processes", "keys gathered, dense rows"
    seconds = together(repeats)
    memory = [statistics.fmean(together(1, way)) for way in WAYS]
    return [
        Row(f"{what}, time", peer, seconds[::2], seconds[1::2]),
        Row(f"{what}, extra memory of each", peer, *memory, unit="MB"),
    ]
