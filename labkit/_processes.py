"""Several processes that train one method: who this one is, and gathering what each of them computed.

Without ``torchrun`` there is one process, and everything here gives back what it was handed.
"""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable


def processes() -> int:
    """How many processes train together; 1 without ``torchrun``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def gather(rows: Shaped[Tensor, "share ..."]) -> Shaped[Tensor, "items ..."]:
    """The rows of all processes, in the order of their ranks, with the gradient that they have in one process.

    Every process computes the loss of the whole batch from them. Backward sums over the processes what each of them
    says about these rows, which is ``processes()`` times the gradient; ``DistributedDataParallel`` then takes the mean.
    Without that sum (lightly until #1528, solo-learn's Barlow Twins) rows would be told about their own negatives only.
    Each process must hold equally many rows.
    """
    return _Gather.apply(rows) if processes() > 1 else rows


def summed(values: Tensor) -> Tensor:
    """The sum over processes; its gradient is summed over processes too."""
    return _Sum.apply(values) if processes() > 1 else values


def mean_over_processes(values: Tensor, ring: bool = True) -> Tensor:
    """The mean over processes, for a loss that each knows its share of; without ``ring`` (or alone) ``values``."""
    return summed(values) / processes() if ring else values


def passed_on(values: Tensor) -> Tensor:
    """What the process before this one holds, while ``values`` go to the next: one step round the ring.

    Each process must hold the same shape. No gradient flows back.
    """
    values, received = values.contiguous(), torch.empty_like(values, memory_format=torch.contiguous_format)
    here, all_of_them = rank(), processes()
    send = dist.P2POp(dist.isend, values, (here + 1) % all_of_them)
    receive = dist.P2POp(dist.irecv, received, (here - 1) % all_of_them)
    for work in dist.batch_isend_irecv([send, receive]):
        work.wait()
    return received


def from_first(values: Tensor) -> Tensor:
    """What the first process has, in every process; changes ``values`` in place."""
    if processes() > 1:
        dist.broadcast(values, 0)
    return values


def agreed(value: Any) -> Any:
    """The value of the first process, whatever it is, in every process."""
    return everyone(value)[0]


def everyone(value: Any) -> list[Any]:
    """The values of all processes, in the order of their ranks."""
    values = [value] * processes()
    if processes() > 1:
        dist.all_gather_object(values, value)
    return values


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        everyone = [torch.empty_like(rows) for _ in range(processes())]
        dist.all_gather(everyone, rows)
        return torch.cat(everyone)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor) -> Tensor:
        upstream = upstream.clone(memory_format=torch.contiguous_format)  # it may serve another branch, too
        dist.all_reduce(upstream)
        return upstream.chunk(processes())[rank()]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        values = values.contiguous().clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor) -> Tensor:
        return _Sum.forward(ctx, upstream)
