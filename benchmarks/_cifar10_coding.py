"""What the JPEG coding of ``cifar10-jpeg`` costs a small network that is trained with labels.

    python -m benchmarks._cifar10_coding

The 4 000 + 1 000 images of ``cifar10-4k`` are in both sets, once exact and once as JPEG: same images, same order, same
start, same views; the coding is all that differs. A line a seed: accuracy on the test images of the same coding, and
on those of the other. On a processor, one thread, 2026-11-27: exact 56.5, 57.1, 58.8 %; JPEG 55.8, 57.3, 58.6 %; the
coding costs 0.2 ± 0.5 points. What it does to more images ``_cifar10_kmeans.py`` asks, without
a network.
"""

import statistics

import torch
from torch import Tensor

from labkit.data import load
from labkit.methods import Supervised
from labkit.models import resnet8
from labkit.train import Minibatches, fit, seeded
from labkit.views import Compose, RandomHorizontalFlip, RandomResizedCrop

SEEDS, EPOCHS = range(3), 30


def trained(images: Tensor, labels: Tensor, seed: int) -> Supervised:
    view = Compose([RandomResizedCrop(32, scale=(0.5, 1.0)), RandomHorizontalFlip()])
    with seeded(seed):
        method = Supervised(resnet8(16, 3), view, labels)
    batches = Minibatches(images, 128, numbered=True)
    fit(method, batches, epochs=EPOCHS, lr=4e-3, schedule="cosine", seed=seed, progress=False)
    return method


@torch.no_grad()
def accuracy(method: Supervised, images: Tensor, labels: Tensor) -> float:
    answers = method.projector(method.embed(images)).argmax(1)
    return 100 * (answers == labels).float().mean().item()


def main() -> None:
    exact, coded = load("cifar10-4k"), load("cifar10-jpeg")
    train, test = exact.splits["train"], exact.splits["test"]
    labels = exact.labels
    sets = {
        "exact": (exact.images[train], exact.images[test]),
        "JPEG": (coded.images[coded.splits["train"][: len(train)]], coded.images[coded.splits["test"][: len(test)]]),
    }
    lost = []
    for seed in SEEDS:
        methods = {name: trained(images, labels[train], seed) for name, (images, _) in sets.items()}
        on = {(a, b): accuracy(methods[a], sets[b][1], labels[test]) for a in sets for b in sets}
        lost.append(on["exact", "exact"] - on["JPEG", "JPEG"])
        print(f"seed {seed}: " + ", ".join(f"{a} on {b} {score:.1f} %" for (a, b), score in on.items()), flush=True)
    mean, spread = statistics.mean(lost), statistics.stdev(lost)
    print(f"the coding costs {mean:.1f} ± {spread:.1f} points (spread over {len(lost)} trainings)")


if __name__ == "__main__":
    main()
