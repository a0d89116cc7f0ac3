"""A step of SimCLR on CIFAR-10 with ResNet-18 on one GPU: two views of 32 pixels of 512 images.

The set is the JPEG-coded one of 60 000 (``cifar10-jpeg``), whole on the device as uint8, where views are drawn; in
bfloat16, channels-last, compiled with its views and loss. The plain loop is the same network as one writes it first:
in float32, batches from the host, NT-Xent by a dense matrix, nothing compiled.
"""

import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks._bench import Missing, Row, alternate
from benchmarks.vision_steps import PLAIN, TEMPERATURE
from labkit.data import load
from labkit.models import MLP, resnet18
from labkit.papers.vision.simclr import SimCLR
from labkit.train import seeded
from labkit.views import simclr

NAME = "a step on a GPU"
DEVICE = "auto"
BATCH, RATE = 512, 2e-3
HOW = "not measured: it needs a CUDA device and cifar10-jpeg (`labkit data get cifar10-jpeg`)"


class Plain(nn.Module):
    """SimCLR as one writes it first; batches come from the host."""

    def __init__(self, device: str):
        super().__init__()
        encoder = resnet18().to(memory_format=torch.contiguous_format)
        pool, head = nn.AdaptiveAvgPool2d(1), MLP(encoder.dim, 2 * encoder.dim, encoder.dim)
        self.network = nn.Sequential(encoder.stem, encoder.stages, pool, nn.Flatten(), head)
        self.view, self.device = simclr(32), device

    def forward(self, images: Tensor) -> Tensor:
        images = images.to(self.device)
        z = self.network(torch.cat([self.view(images), self.view(images)]))
        return PLAIN["SimCLR"](*z.chunk(2))


class AtOnce(SimCLR):
    """All views of a batch drawn by one call: with small images a GPU waits for the host to start its kernels."""

    def viewed(self, images: Tensor) -> Tensor:
        return self.view(images.repeat(self.views, 1, 1, 1))


def method(device: str, view: Callable | None = None, **changes) -> SimCLR:
    with seeded(0):
        made = AtOnce(resnet18(), view or simclr(32), **{"temperature": TEMPERATURE} | changes).to(device)
    if device == "cuda":
        made.compile(dynamic=False, mode="reduce-overhead")  # all of it, views and loss: the host has little to start
    return made


def step(model: nn.Module, images: Tensor, device: str, bfloat16: bool, batch_size: int = BATCH) -> Callable[[], float]:
    """One step on random images of the set, which lies where ``images`` does."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=bfloat16)

    def once() -> float:
        batch = images[torch.randint(len(images), (batch_size,), device=images.device)]
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            loss = model(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for the device

    return once


def main(repeats: int = 5) -> Iterator[Row | Missing]:
    entry, peer = f"SimCLR step of {BATCH}, ResNet-18", "the plain loop in float32"
    if not torch.cuda.is_available():
        yield Missing(entry, peer, HOW)
        return
    torch.backends.cudnn.benchmark = True  # for both: shapes never change
    images, card = load("cifar10-jpeg"), torch.cuda.get_device_name()
    train = images.images[images.splits["train"]]
    ours = step(method("cuda"), train.cuda(), "cuda", bfloat16=True)
    plain = step(Plain("cuda").cuda(), train, "cuda", bfloat16=False)
    for _ in range(5):  # compiled, and its CUDA graphs recorded
        ours()
    times = alternate(ours, plain, repeats)
    speeds = " and ".join(f"{BATCH / statistics.median(seconds):.0f}" for seconds in times)
    yield Row(f"{entry}, {card}: {speeds} images a second", peer, *times, at_least=1)
