"""20 nearest neighbours of 2 000 among 20 000 embeddings by cosine, against scikit-learn's exact search."""

import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional as F

from benchmarks._bench import Row, alternate, extra_memory
from labkit.evaluate import Split, knn_probe

NAME = "k-NN probe"
TRAIN, TEST, DIM, CLASSES = 20_000, 2_000, 128, 10


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


def main(repeats: int = 5) -> list[Row]:
    entry, peer = f"20-NN of {TEST} among {TRAIN} embeddings", "scikit-learn, brute force"
    memory = extra_memory(__name__, "_ours()"), extra_memory(__name__, "_theirs()")
    return [
        Row(entry + ", time", peer, *alternate(_ours(), _theirs(), repeats)),
        Row(entry + ", extra memory", peer, *memory, unit="MB"),
    ]
