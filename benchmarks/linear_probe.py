"""20 splits × 10 strengths of logistic regression on a Cora embedding, against a loop over scikit-learn's."""

import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from benchmarks._bench import Row, alternate
from labkit.data import load
from labkit.evaluate import Split, linear_probe
from labkit.models import propagation_matrix

NAME = "linear probe"
STRENGTHS = [4.0**i for i in range(-5, 5)]


def embedding():
    """128 dimensions of Cora as a trained encoder would give: the principal axes of A²X."""
    data = load("cora")
    propagate = propagation_matrix(data.edge_index, data.num_nodes)
    u, s, _ = torch.pca_lowrank(propagate @ (propagate @ data.x), 128)
    return F.normalize(u * s), data.y


def loop(z, y, split):
    """What one writes with scikit-learn, its tolerance as it comes, and enough iterations to reach it."""
    z, y = z.numpy(), y.numpy()
    scores = []
    for train, validation, test in zip(split.train, split.validation, split.test, strict=True):
        fitted = [LogisticRegression(C=c, max_iter=10_000).fit(z[train], y[train]) for c in STRENGTHS]
        best = max(fitted, key=lambda model: model.score(z[validation], y[validation]))
        scores.append(best.score(z[test], y[test]))
    return sum(scores) / len(scores)


def main(repeats: int = 5) -> list[Row]:
    torch.manual_seed(0)
    z, y = embedding()
    rows = []
    for train, validation in ((140, 500), (270, 270)):
        n = len(y)
        split = Split.random(y, train / n, validation / n, 1000 / n, repeats=20)

        def ours(split=split):
            return linear_probe(z, y, split, strengths=STRENGTHS).mean

        def theirs(split=split):
            return loop(z, y, split)

        entry = f"20 splits × 10 strengths, {train} train nodes of Cora, 128 dimensions"
        rows.append(Row(entry, "a loop of scikit-learn", *alternate(ours, theirs, repeats), at_least=10))
    return rows
