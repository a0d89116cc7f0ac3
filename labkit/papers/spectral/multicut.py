"""ClusterFuG: Clustering Fully connected Graphs by Multicut.

Ahmed Abbas, Paul Swoboda. ICML 2023.
https://arxiv.org/abs/2301.12159 · code: https://github.com/aabbas90/cluster-fug

The method is :func:`labkit.theory.multicut.greedy_multicut`: nothing is trained, so that there are no recipes.
"""

import time

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from labkit.claims import Evidence, Lab, claim
from labkit.data import load
from labkit.evaluate import kmeans, rand_index
from labkit.theory.multicut import Clusters, greedy_multicut

RECIPES: list = []


def planted(
    items: int, clusters: int, dim: int = 32, spread: float = 0.1, seed: int = 0
) -> tuple[Float[Tensor, "items dim"], Int64[Tensor, " items"]]:
    """Unit vectors around random directions, and whose they are; clusters of unequal size. float32."""
    generator = torch.Generator().manual_seed(seed)
    centres = normalize(torch.randn(clusters, dim, generator=generator), dim=1)
    share = 0.2 + torch.rand(clusters, generator=generator)
    y = torch.multinomial(share, items, replacement=True, generator=generator)
    return normalize(centres[y] + spread * torch.randn(items, dim, generator=generator), dim=1), y


def explicit_multicut(features: Float[Tensor, "n dim"], a: float = 0.0) -> Clusters:
    """The same greedy merges on the complete graph itself: the control. Time O(n²), memory O(n²).

    It keeps each cluster's best partner as :func:`greedy_multicut` does, so that only the matrix is different: a merge
    adds two rows of it, and a search is a look at one.
    """
    weights = (features @ features.T - a).double()
    weights.fill_diagonal_(-torch.inf)
    best, partner = weights.max(dim=1)
    labels, gained, merges, searches = torch.arange(len(features)), 0.0, 0, 0
    while best.max() > 0:
        i = int(best.argmax())
        j = int(partner[i])
        if j < 0:  # an upper bound: look again
            best[i], partner[i] = weights[i].max(dim=0)
            searches += 1
            continue
        gained += best[i].item()
        weights[i] += weights[j]
        weights[i, [i, j]] = -torch.inf
        weights[:, i] = weights[i]
        weights[j] = weights[:, j] = best[j] = -torch.inf
        partner[(partner == i) | (partner == j)] = -1
        better = weights[i] >= best
        best, partner = torch.where(better, weights[i], best), torch.where(better, i, partner)
        best[i], partner[i] = weights[i].max(dim=0)
        labels[labels == j] = i
        merges += 1
    return Clusters(labels.unique(return_inverse=True)[1], gained, merges, searches)


@claim("Without the graph the same clusters are found as on the explicit complete graph.", needs="nothing", minutes=1)
def same_as_explicit(lab: Lab) -> Evidence:
    items = 60 if lab.scale == "smoke" else 600
    agreement, random = [], []
    for seed in lab.seeds:
        features, _ = planted(items, 12, spread=0.25, seed=seed)
        explicit = explicit_multicut(features.double(), 0.4)
        agreement.append(rand_index(explicit.labels, greedy_multicut(features.double(), 0.4).labels))
        shuffled = torch.randperm(items, generator=torch.Generator().manual_seed(seed))
        random.append(rand_index(explicit.labels, explicit.labels[shuffled]))
    return Evidence(
        agreement, random, "factorised against explicit", "shuffled against explicit", "adjusted Rand index"
    )


@claim("Without the graph it is faster than the same search on it.", needs="nothing", minutes=1)
def faster_than_explicit(lab: Lab) -> Evidence:
    items = 60 if lab.scale == "smoke" else 1000
    ratios = []
    for seed in lab.seeds:
        features = planted(items, 12, seed=seed)[0].double()
        seconds = []
        for method in (explicit_multicut, greedy_multicut):
            started = time.process_time()
            method(features, 0.4)
            seconds.append(time.process_time() - started)
        ratios.append(seconds[0] / seconds[1])
    note = f"{items} nodes, seconds of CPU. The control keeps each cluster's best partner as ours does, and n × n "
    note += "numbers; it does not shrink them as clusters go."
    return Evidence(ratios, [1.0] * len(ratios), "explicit over factorised", "as fast", "ratio of seconds", note)


@claim("It scales to 20 000 nodes, and beats k-means though nobody told it how many clusters there are.",
       needs="nothing", minutes=2)  # fmt: skip
def twenty_thousand_nodes(lab: Lab) -> Evidence:
    items = 200 if lab.scale == "smoke" else 20_000
    found, control, seconds = [], [], []
    for seed in lab.seeds:
        features, y = planted(items, 50, seed=seed)
        started = time.process_time()
        clusters = greedy_multicut(features, 0.5)
        seconds.append(time.process_time() - started)
        found.append(rand_index(y, clusters.labels))
        control.append(rand_index(y, kmeans(features, 50, seed)))
    note = f"{items} nodes, 32 dimensions, {min(seconds):.0f} to {max(seconds):.0f} s each. k-means was told the 50."
    return Evidence(found, control, "greedy multicut", "k-means, k = 50", "adjusted Rand index", note)


@claim(
    "On pixels of digits multicut beats k-means that was told the number of classes.",
    needs="digits",
    minutes=1,
    why_not="k-means was told that there are ten; multicut has to find that out.",
)
def beats_kmeans_on_digits(lab: Lab) -> Evidence:
    images = load("digits")
    x, y = images.images.flatten(1).double() / 255, images.labels
    found, control = [], []
    for seed in lab.seeds:
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[
            : 200 if lab.scale == "smoke" else 1000
        ]
        part = normalize(x[rows] - x[rows].mean(dim=0), dim=1)
        found.append(rand_index(y[rows], greedy_multicut(part, 0.3).labels))
        control.append(rand_index(y[rows], kmeans(part, 10, seed, starts=1)))  # one start here, five elsewhere
    note = "Centred pixels; a = 0.3 for all, not tuned: another a gives another number of clusters."
    return Evidence(found, control, "greedy multicut", "k-means, k = 10", "adjusted Rand index", note)
