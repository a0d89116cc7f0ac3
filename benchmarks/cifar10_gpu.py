"""SimCLR on CIFAR-10 with ResNet-18 on one GPU: a step against the plain loop, and seconds to accuracy of 20-NN.

The set is the JPEG-coded one of 60 000 (``cifar10-jpeg``), whole on the device as uint8, where views are drawn; in
bfloat16, channels-last, the encoder compiled. The plain loop is the same network as one writes it first: in float32,
batches from the host, NT-Xent by a dense matrix, nothing compiled. Steps are timed in turn. Accuracy is of one training
(seed 0) on the test images; its seconds are those of training, without compiling and without looking.
"""

import copy
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from benchmarks._bench import Missing, Row, alternate
from benchmarks.vision_steps import PLAIN, TEMPERATURE
from labkit.data import load
from labkit.evaluate import Split, knn_probe
from labkit.models import MLP, resnet18
from labkit.papers.vision.simclr import SimCLR
from labkit.train import Minibatches, fit, seeded
from labkit.views import simclr

NAME = "CIFAR-10 on a GPU"
BATCH, EPOCHS, RATE = 512, 100, 2e-3
LOOKS = tuple(range(10, EPOCHS + 1, 10))
LIMITS = {85: 90.0, 90: 480.0}  # % of 20-NN: seconds that were set beforehand
LIMIT = "the limit asked for"
HOW = "it needs a CUDA device and cifar10-jpeg (`labkit data get cifar10-jpeg`)"


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


def method(device: str) -> SimCLR:
    with seeded(0):
        made = SimCLR(resnet18(), simclr(32), temperature=TEMPERATURE).to(device)
    if device == "cuda":
        made.encoder.compile()
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


def to_accuracy(
    images, device: str, looks: Sequence[int] = LOOKS, batch_size: int = BATCH
) -> list[tuple[float, float]]:
    """(seconds of training, accuracy of 20-NN) after each of these epochs of one training."""
    train, model = images.images[images.splits["train"]], method(device)
    untrained = copy.deepcopy(model.state_dict())
    training = {"lr": RATE, "schedule": "cosine", "weight_decay": 1e-6, "device": device, "progress": False}
    fit(
        model, Minibatches(train[: 2 * batch_size], batch_size), epochs=1, **training
    )  # compiles before the clock starts
    model.load_state_dict(untrained)
    run = fit(
        model, Minibatches(train, batch_size), epochs=max(looks), snapshots=looks, watch=images.images, **training
    )
    seconds, split = list(accumulate(run.history["seconds"])), Split.public(images)
    return [(seconds[e - 1], knn_probe(run.snapshots[e], images.labels, split, k=20).mean) for e in looks]


def times_to(found: Sequence[tuple[float, float]], card: str) -> Iterator[Row | Missing]:
    """A row for each accuracy that was asked for."""
    best, at = max((accuracy, seconds) for seconds, accuracy in found)
    for percent, limit in LIMITS.items():
        entry = f"seconds to {percent} % of 20-NN, {card}"
        reached = [seconds for seconds, accuracy in found if 100 * accuracy >= percent]
        if reached:
            yield Row(entry, LIMIT, reached[0], limit, at_least=1, why="one training; nothing was tuned for speed")
        else:
            yield Missing(entry, LIMIT, f"not reached: {100 * best:.1f} % after {at:.0f} s")


def main(repeats: int = 5) -> Iterator[Row | Missing]:
    entry, peer = f"SimCLR step of {BATCH}, ResNet-18", "the plain loop in float32"
    if not torch.cuda.is_available():
        yield Missing(entry, peer, HOW)
        yield from (Missing(f"seconds to {percent} % of 20-NN", LIMIT, HOW) for percent in LIMITS)
        return
    images, card = load("cifar10-jpeg"), torch.cuda.get_device_name()
    train = images.images[images.splits["train"]]
    ours = step(method("cuda"), train.cuda(), "cuda", bfloat16=True)
    plain = step(Plain("cuda").cuda(), train, "cuda", bfloat16=False)
    times = alternate(ours, plain, repeats)
    speed = f"{BATCH / statistics.median(times[0]):.0f} images a second"
    yield Row(f"{entry}, {card}, {speed}", peer, *times, at_least=1)
    yield from times_to(to_accuracy(images, "cuda"), card)
