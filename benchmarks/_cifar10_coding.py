"""What the JPEG coding of ``cifar10-jpeg`` costs, with labels and without, on images that are at hand in both forms.

    python -m benchmarks._cifar10_coding

The 4 000 + 1 000 images of ``cifar10-4k`` are in both sets, once exact and once as JPEG: same images, same order, same
start, same views; the coding is all that differs. Lines: 20-NN on the test images, by recipe, epochs and form.
On a processor, one thread, 2026-11-28 (spread over three trainings): the coding costs -0.2 ± 1.1 points with labels,
1.1 ± 0.6 of SimCLR's 39.4 after 8 epochs, 0.1 ± 0.9 of its 41.9 after 24.
"""

import statistics
from dataclasses import replace

import torch

from labkit import papers
from labkit.data import load
from labkit.recipes import run

SEEDS = 3
RUNS = (("supervised/cifar10-4k", 8), ("simclr/cifar10-4k", 8), ("simclr/cifar10-4k", 24))  # recipe, epochs


def main() -> None:
    exact, coded = load("cifar10-4k"), load("cifar10-jpeg")
    parts = [coded.splits[name][: len(rows)] for name, rows in exact.splits.items()]
    order = torch.cat(list(exact.splits.values()))
    images = torch.empty_like(exact.images)
    images[order] = coded.images[torch.cat(parts)]
    for name, epochs in RUNS:
        recipe = replace(papers.recipe(name), ceiling=None)
        found = []
        for form, pictures in (("exact", exact.images), ("JPEG", images)):
            result = run(recipe, SEEDS, dataset=replace(exact, images=pictures), epochs=epochs, progress=False)
            found.append(result.scores)
            percent = ", ".join(f"{100 * score:.1f}" for score in result.scores)
            raw, untrained = (100 * result.floors[floor]["mean"] for floor in ("raw", "untrained"))
            beside = f"raw pixels {raw:.1f}, untrained {untrained:.1f}"
            print(f"{name}, {epochs} epochs, {form}: {percent} % ({beside})", flush=True)
        lost = [100 * (a - b) for a, b in zip(*found, strict=True)]
        print(f"    the coding costs {statistics.mean(lost):.1f} ± {statistics.stdev(lost):.1f} points", flush=True)


if __name__ == "__main__":
    main()
