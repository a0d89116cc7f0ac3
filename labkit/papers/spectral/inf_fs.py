"""Infinite Feature Selection: A Graph-based Feature Filtering Approach.

Giorgio Roffo, Simone Melzi, Umberto Castellani, Alessandro Vinciarelli, Marco Cristani. TPAMI 2020 (ICCV 2015).
https://arxiv.org/abs/2006.08184 · code: https://github.com/giorgioroffo/Infinite-Feature-Selection

The method is :mod:`labkit.theory.feature_selection`: nothing is trained, so that there are no recipes.
"""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit._checks import require_known
from labkit.claims import Evidence, Lab, claim
from labkit.data import load
from labkit.evaluate import Protocol, Split
from labkit.papers.spectral._ranks import spearman
from labkit.theory.feature_selection import feature_graph, infinite_scores, path_share, truncated_scores

RECIPES: list = []
KEPT = 16  # pixels of 64
RANKINGS = ("paper", "released", "degree", "spread", "random")


def ranking(x: Float[Tensor, "items features"], by: str, seed: int = 0) -> Int64[Tensor, " ranked"]:
    """Features, best first; constant ones left out.

    "paper", "released": the sum over all paths, see ``infinite_scores``. "degree": row sums of the graph, paths of one
    step. "spread": standard deviation. "random": the control, from ``seed``.

    Raises:
        ValueError: another name; no feature that varies; what ``feature_graph`` refuses.
    """
    varied = (x.double().std(dim=0) > 0).nonzero().flatten()
    if not len(varied):
        raise ValueError(f"x has no feature that varies among its {len(x)} items, and so nothing to rank")
    x = x[:, varied].double()
    if by == "random":
        return varied[torch.randperm(len(varied), generator=torch.Generator().manual_seed(seed))]
    if by == "spread":
        return varied[x.std(dim=0).argsort(descending=True)]
    require_known("ranking", by, RANKINGS)
    graph = feature_graph(x)
    score = graph.sum(dim=1) if by == "degree" else infinite_scores(graph, variant=by)
    return varied[score.argsort(descending=True)]


def _samples(lab: Lab) -> list[Tensor]:
    """Pixels of half of the training digits, another half for each seed."""
    images = load("digits")
    x = images.images[images.splits["train"]].flatten(1).double()
    count = 100 if lab.scale == "smoke" else len(x) // 2
    return [x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:count]] for seed in lab.seeds]


def _graphs(lab: Lab) -> list[Tensor]:
    return [feature_graph(x[:, x.std(dim=0) > 0]) for x in _samples(lab)]


@claim("The sum over paths of every length has a closed form: (I − rA)⁻¹ (equation 9).", needs="digits", minutes=0.1)
def closed_form_is_the_series(lab: Lab) -> Evidence:
    digits = []
    for graph in _graphs(lab):
        closed = infinite_scores(graph)
        error = ((truncated_scores(graph, 400) - closed).norm() / closed.norm()).item()
        digits.append(-math.log10(max(error, 1e-17)))
    return Evidence(digits, [10.0] * len(digits), "400 steps against closed form", "10", "equal decimal digits")


@claim("The released code's second rescaling leaves its ranking that of the degree.", needs="digits", minutes=0.1)
def released_code_ranks_by_degree(lab: Lab) -> Evidence:
    released, paper = [], []
    for graph in _graphs(lab):
        degree = graph.sum(dim=1)
        for variant, values in (("released", released), ("paper", paper)):
            values.append(spearman(infinite_scores(graph, variant=variant), degree))
    shares = [path_share(graph, variant=variant) for graph in _graphs(lab)[:1] for variant in ("released", "paper")]
    note = f"Weight of paths longer than one step: {shares[0]:.3f} released, {shares[1]:.2f} in the paper's form."
    return Evidence(released, paper, "released", "r = 0.9 / ρ(A)", "rank correlation with the degree", note)


def _accuracy(lab: Lab, by: str) -> list[float]:
    """Test accuracy of 5 neighbours on the KEPT best pixels, ranked on half of the training digits."""
    images = load("digits")
    x, y = images.images.flatten(1).float(), images.labels
    protocol, split = Protocol.public("knn", k=5), Split.public(images)
    return [
        protocol.score(x[:, ranking(sample, by, seed)[:KEPT]], y, split).mean
        for seed, sample in zip(lab.seeds, _samples(lab), strict=True)
    ]


@claim("Selected features are better than as many at random.", needs="digits", minutes=0.2)
def beats_random_features(lab: Lab) -> Evidence:
    return Evidence(_accuracy(lab, "paper"), _accuracy(lab, "random"), "Inf-FS, 16 of 64 pixels", "16 random pixels")


@claim("The graph is worth it: selected features are better than those of the largest spread.",
       needs="digits", minutes=0.2)  # fmt: skip
def beats_spread(lab: Lab) -> Evidence:
    return Evidence(_accuracy(lab, "paper"), _accuracy(lab, "spread"), "Inf-FS, 16 of 64 pixels", "largest spread")


@claim("Longer paths are worth it: the sum over all of them selects better than the degree.",
       needs="digits", minutes=0.2)  # fmt: skip
def longer_paths_help(lab: Lab) -> Evidence:
    return Evidence(_accuracy(lab, "paper"), _accuracy(lab, "degree"), "all paths", "one step: the degree")
