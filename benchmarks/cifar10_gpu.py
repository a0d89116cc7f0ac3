"""SimCLR on CIFAR-10 with ResNet-18 on one GPU: a step against the plain loop, and seconds to accuracy of 20-NN.

The set is the JPEG-coded one of 60 000 (``cifar10-jpeg``), whole on the device as uint8, where views are drawn; in
bfloat16, channels-last, the encoder compiled. The plain loop is the same network as one writes it first: in float32,
batches from the host, NT-Xent by a dense matrix, nothing compiled. Steps are timed in turn, on two views of 32 pixels.

To accuracy: one training on the training images, in cycles whose rate falls from the same height to zero (Loshchilov
and Hutter 2017, "SGDR"); after each, 20-NN on the test images. A step sees several views of fewer images (Shidani et
al. 2024, "Poly-View Contrastive Learning"), and views are smaller than the images (Touvron et al. 2019, "Fixing the
train-test resolution discrepancy": a crop blown up to full size shows things larger than they are looked at later).
These settings were chosen on 5 000 of the training images. Seconds are those of training; compiling comes before.
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
DEVICE = "auto"
BATCH, RATE = 512, 2e-3
MODE = "reduce-overhead"  # of torch.compile
VIEWS, SIDE, ENCODED = 8, 24, 1024  # of an image; their pixels; views in a step
TRAINING = {"optimizer": "sgd", "lr": 0.2, "weight_decay": 0.0005, "schedule": "cosine"}
VIEW = {"strength": 0.5, "scale": (0.2, 1.0)}
HEAD, TAU = {"hidden": 1024, "out": 128, "layers": 2, "norm": "batch"}, 0.1
CYCLES = {85: 20, 90: 56}  # % of 20-NN: epochs of the cycle that is to reach it
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


class AtOnce(SimCLR):
    """All views of a batch drawn by one call: with small images a GPU waits for the host to start its kernels."""

    def viewed(self, images: Tensor) -> Tensor:
        return self.view(images.repeat(self.views, 1, 1, 1))


def method(device: str, view: Callable | None = None, **changes) -> SimCLR:
    with seeded(0):
        made = AtOnce(resnet18(), view or simclr(32), **{"temperature": TEMPERATURE} | changes).to(device)
    if device == "cuda":
        made.encoder.compile(dynamic=False, mode=MODE)
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
    images, device: str, cycles: Sequence[int] = tuple(CYCLES.values()), batch_size: int = ENCODED // VIEWS
) -> Iterator[tuple[float, float]]:
    """(seconds of training so far, accuracy of 20-NN) after each cycle of these epochs."""
    train, labels = images.images[images.splits["train"]].to(device), images.labels.to(device)
    with seeded(0):
        head = MLP(512, **HEAD)
    model = method(device, simclr(SIDE, **VIEW), views=VIEWS, temperature=TAU, projector=head)
    training, untrained = TRAINING | {"device": device, "progress": False}, copy.deepcopy(model.state_dict())
    fit(model, Minibatches(train[: 4 * batch_size], batch_size), epochs=1, **training)  # compiles
    model.load_state_dict(untrained)
    seconds = 0.0
    with torch.compiler.set_stance("eager_on_recompile"):  # images that are only looked at are not worth compiling for
        for cycle, epochs in enumerate(cycles):
            run = fit(model, Minibatches(train, batch_size), epochs=epochs, seed=cycle, **training)
            seconds += sum(run.history["seconds"])
            z = model.embed(images.images.to(device))
            yield seconds, knn_probe(z, labels, Split.public(images), k=20).mean


def time_to(percent: int, epochs: int, seconds: float, accuracy: float, card: str) -> Row | Missing:
    """The row of one accuracy that was asked for."""
    entry, found = f"seconds to {percent} % of 20-NN, {card}", f"{100 * accuracy:.1f} % after {epochs} epochs"
    if 100 * accuracy < percent:
        return Missing(entry, LIMIT, f"not reached: {found}, {seconds:.0f} s")
    return Row(f"{entry}: {found}", LIMIT, seconds, LIMITS[percent], at_least=1)


def main(repeats: int = 5) -> Iterator[Row | Missing]:
    entry, peer = f"SimCLR step of {BATCH}, ResNet-18", "the plain loop in float32"
    if not torch.cuda.is_available():
        yield Missing(entry, peer, HOW)
        yield from (Missing(f"seconds to {percent} % of 20-NN", LIMIT, HOW) for percent in LIMITS)
        return
    torch.backends.cudnn.benchmark = True  # for both: shapes never change
    images, card = load("cifar10-jpeg"), torch.cuda.get_device_name()
    train = images.images[images.splits["train"]]
    ours = step(method("cuda"), train.cuda(), "cuda", bfloat16=True)
    plain = step(Plain("cuda").cuda(), train, "cuda", bfloat16=False)
    times = alternate(ours, plain, repeats)
    speeds = " and ".join(f"{BATCH / statistics.median(seconds):.0f}" for seconds in times)
    yield Row(f"{entry}, {card}: {speeds} images a second", peer, *times, at_least=1)
    epochs = accumulate(CYCLES.values())
    for percent, so_far, found in zip(CYCLES, epochs, to_accuracy(images, "cuda"), strict=True):
        yield time_to(percent, so_far, *found, card)
