"""One method trained by several processes, each on its share of every batch (``torchrun -m labkit run ...``)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from labkit._processes import processes, summed
from labkit.train._device import choose_device


@contextmanager
def joined(device: str = "auto") -> Iterator[None]:
    """Join the processes that ``torchrun`` started (nccl on CUDA, gloo on CPU); alone, nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    on_cuda = choose_device(device).type == "cuda"
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield
        dist.barrier()  # nobody leaves while another still waits for what it was sent
    finally:
        dist.destroy_process_group()


def in_parallel(method: nn.Module, device: torch.device) -> nn.Module:
    """``method`` so that its gradients are averaged over processes and its batch norms see the whole batch.

    Batch norms of ``method`` are exchanged in place; parameters become those of the first process. Alone: ``method``.
    """
    if processes() == 1:
        return method
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(method)
    else:
        _synchronise_batch_norms(method)
    own_device = [torch.cuda.current_device()] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(method, device_ids=own_device)


def _synchronise_batch_norms(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, _BatchNorm) and not isinstance(part, SynchronisedBatchNorm):
            part.__class__ = SynchronisedBatchNorm


class SynchronisedBatchNorm(_BatchNorm):
    """Batch norm whose mean and variance are over the batches of all processes, of any size each.

    torch's own ``SyncBatchNorm`` does this on CUDA only. One class for every number of dimensions, as torch's.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Of any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or processes() == 1:
            return super().forward(x)
        exact = x if x.dtype == torch.float64 else x.float()
        others = [0, *range(2, x.dim())]
        count = summed(exact.new_tensor(x.numel() // x.shape[1]))
        shape = [1, -1] + [1] * (x.dim() - 2)
        mean = summed(exact.sum(dim=others)) / count
        centred = exact - mean.view(shape)
        variance = summed(centred.square().sum(dim=others)) / count
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = self.momentum if self.momentum is not None else 1 / self.num_batches_tracked.item()
                self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
                unbiased = variance * count / (count - 1)
                self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)
        result = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(x.dtype)
