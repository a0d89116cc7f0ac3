"""20 nearest neighbours of 2 000 among 20 000 embeddings by cosine, against scikit-learn's exact search.

And what a short code saves (Wu et al. 2018, "Instance discrimination"): the same search by 64 numbers a picture and by
the 3 072 of its pixels.
"""

import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional as F

from benchmarks._bench import Row, alternate, extra_memory
from labkit.evaluate import Split, knn_probe, neighbours

NAME = "k-NN probe"
TRAIN, TEST, DIM, CLASSES = 20_000, 2_000, 128, 10
STORED, QUERIES, CODE, PIXELS = 100_000, 500, 64, 3 * 32 * 32


def embedding():
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(CLASSES, (TRAIN + TEST,), generator=generator)
    centres = torch.randn(CLASSES, DIM, generator=generator)
    return centres[y] + 2 * torch.randn(TRAIN + TEST, DIM, generator=generator), y


def _ours():
    z, y = embedding()
    split = Split(torch.arange(TRAIN), None, torch.arange(TRAIN, TRAIN + TEST))
    return lambda: knn_probe(z, y, split, k=20, temperature=None).mean


def _theirs():
    z, y = embedding()
    unit, y = F.normalize(z).numpy(), y.numpy()

    def once():
        model = KNeighborsClassifier(20, metric="cosine", algorithm="brute").fit(unit[:TRAIN], y[:TRAIN])
        return model.score(unit[TRAIN:], y[TRAIN:])

    return once


def _retrieval(dim: int):
    rows = torch.randn(STORED, dim, generator=torch.Generator().manual_seed(0))
    return lambda: neighbours(rows, k=20, queries=rows[:QUERIES])[0].sum().item()


def main(repeats: int = 5) -> list[Row]:
    entry, peer = f"20-NN of {TEST} among {TRAIN} embeddings", "scikit-learn, brute force"
    memory = extra_memory(__name__, "_ours()"), extra_memory(__name__, "_theirs()")
    return [
        Row(entry + ", time", peer, *alternate(_ours(), _theirs(), repeats)),
        Row(entry + ", extra memory", peer, *memory, unit="MB"),
        Row(
            f"20 nearest of {QUERIES} among {STORED} pictures, by codes of {CODE} numbers",
            f"the same by {PIXELS} pixels",
            *alternate(_retrieval(CODE), _retrieval(PIXELS), repeats),
        ),
    ]
