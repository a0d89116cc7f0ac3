"""Seconds of SimCLR on CIFAR-10 (JPEG-coded), ResNet-18 on one GPU, to accuracies of 20-NN.

One training on the 50 000 training images, in cycles whose rate falls from the same height to zero (Loshchilov and
Hutter 2017, "SGDR"); after each, 20-NN on the test images. A step sees several views of fewer images (Shidani et al.
2024, "Poly-View Contrastive Learning"), and views are smaller than the images (Touvron et al. 2019, "Fixing the
train-test resolution discrepancy": a crop blown up to full size shows things larger than they are looked at later).
These settings were chosen on 5 000 of the training images, by trainings of 1 000 steps. A cycle takes as many epochs as
its seconds have room for at the pace of the first steps. Seconds are those of training; compiling comes before.

Not reached so far. Suspected: 8 views leave 128 images a step to be told apart, which is soon done (the loss of the
last epoch was 0.23), and trainings of 1 000 steps are too short to show it. To be tried: fewer views of more images.
"""

import copy
from collections.abc import Iterator, Sequence

import torch

from benchmarks._bench import Missing, Row
from benchmarks.cifar10_gpu_step import HOW, method
from labkit.data import load
from labkit.evaluate import Split, knn_probe
from labkit.models import MLP
from labkit.train import Minibatches, fit, seeded
from labkit.views import simclr

NAME = "accuracy on a GPU"
DEVICE = "auto"
VIEWS, SIDE, ENCODED = 8, 24, 1024  # of an image; their pixels; views in a step
TRAINING = {"optimizer": "sgd", "lr": 0.2, "weight_decay": 5e-4, "schedule": "cosine"}
VIEW = {"strength": 0.5, "scale": (0.2, 1.0)}
HEAD, TAU = {"hidden": 1024, "out": 128, "layers": 2, "norm": "batch"}, 0.1
CYCLES = {85: 83.0, 90: 140.0}  # % of 20-NN: seconds of the cycle that is to reach it (the card was lent for no longer)
LIMITS = {85: 90.0, 90: 480.0}  # % of 20-NN: seconds that were set beforehand
LIMIT, PACE = "the limit asked for", 100  # steps


def to_accuracy(
    images, device: str, cycles: Sequence[float] = tuple(CYCLES.values()), batch_size: int = ENCODED // VIEWS
) -> Iterator[tuple[int, float, float]]:
    """(epochs so far, seconds of training so far, accuracy of 20-NN) after each cycle of about these seconds."""
    pixels, labels = images.images.to(device), images.labels.to(device)
    train = pixels[images.splits["train"]]
    with seeded(0):
        head = MLP(512, **HEAD)
    model = method(device, simclr(SIDE, **VIEW), views=VIEWS, temperature=TAU, projector=head)
    training, untrained = TRAINING | {"device": device, "progress": False}, copy.deepcopy(model.state_dict())
    few = Minibatches(train[: PACE * batch_size], batch_size)
    fit(model, few, epochs=1, **training)  # compiles
    a_step = fit(model, few, epochs=1, **training).history["seconds"][0] / len(few)
    model.load_state_dict(untrained)
    batches, epochs, seconds = Minibatches(train, batch_size), 0, 0.0
    with torch.compiler.set_stance("eager_on_recompile"):  # images that are only looked at are not worth compiling for
        for number, budget in enumerate(cycles):
            room = max(1, int(budget / (a_step * len(batches))))
            run = fit(model, batches, epochs=room, seed=number, **training)
            epochs, seconds = epochs + room, seconds + sum(run.history["seconds"])
            z = model.embed(pixels)
            yield epochs, seconds, knn_probe(z, labels, Split.public(images), k=20).mean


def time_to(percent: int, epochs: int, seconds: float, accuracy: float, card: str) -> Row | Missing:
    """The row of one accuracy that was asked for."""
    entry, found = f"seconds to {percent} % of 20-NN, {card}", f"{100 * accuracy:.1f} % after {epochs} epochs"
    if 100 * accuracy < percent:
        return Missing(entry, LIMIT, f"not reached: {found}, {seconds:.0f} s")
    return Row(f"{entry}: {found}", LIMIT, seconds, LIMITS[percent], at_least=1)


def main(repeats: int = 5) -> Iterator[Row | Missing]:
    """``repeats`` is not used: one training."""
    if not torch.cuda.is_available():
        yield from (Missing(f"seconds to {percent} % of 20-NN", LIMIT, HOW) for percent in LIMITS)
        return
    torch.backends.cudnn.benchmark = True
    images, card = load("cifar10-jpeg"), torch.cuda.get_device_name()
    for percent, found in zip(CYCLES, to_accuracy(images, "cuda"), strict=True):
        yield time_to(percent, *found, card)
