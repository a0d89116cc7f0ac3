"""SAS: Data-Efficient Contrastive Self-supervised Learning: Most Beneficial Examples for Supervised Learning Contribute
the Least.

Siddharth Joshi, Baharan Mirzasoleiman. ICML 2023.
https://arxiv.org/abs/2302.09195 · code: https://github.com/bigml-cs-ucla/sas-data-efficient-contrastive-learning
"""

from dataclasses import replace
from functools import partial
from statistics import fmean

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from labkit._checks import require_between, require_counts, require_known, require_matrix
from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import kmeans
from labkit.methods import Method, Supervised, TwoView
from labkit.papers.spectral._ranks import spearman
from labkit.papers.vision._digits import digits_recipe
from labkit.papers.vision._nuisance import numbered
from labkit.recipes import Material, Recipe, train
from labkit.train import Run, seeded

VARIANTS = ("paper", "released")


def expected_similarity(method: TwoView, images: Tensor, views: int = 8, seed: int = 0) -> Float[Tensor, "items items"]:
    """Cosine similarity of two images' embeddings, its mean over pairs of random views of them (definition of SAS).

    The mean over all pairs of views is the product of mean directions: O(items² · dim), whatever ``views`` is. Of an
    image with itself, the pairs of a view with itself are included.

    Args:
        method: trained, the proxy.
        images: [items, channels, h, w].
        views: drawn of each image, at least 1.
        seed: of the views.
    """
    require_counts(views=views)
    with seeded(seed):
        mean = sum(F.normalize(method.embed(method.view(images)), dim=1) for _ in range(views)) / views
    return mean @ mean.T


def pick(similarity: Tensor, variant: str = "paper") -> Int64[Tensor, " n"]:
    """All items of one latent class, the ones that contribute most first; a subset is the beginning of this order.

    "paper": greedy steps up the sum of similarities between those taken and those left, Σ_{i∈S} Σ_{j∉S} s_ij, which is
    submodular where similarities are not negative. To take item e gains Σ_j s_ej − s_ee − 2 Σ_{j∈S} s_ej; when no item
    gains any more, the one that loses least goes next. "released": by falling Σ_j max(s_ij, 0). The released code means
    to take Σ_{j∈S} s_ej away too, but sets the rows of items to zero as they are taken, so that this sum is 0 ever
    after: nothing keeps it from taking items that are alike.

    Args:
        similarity: [n, n], symmetric.
        variant: "paper" or "released".

    Cost: time O(n²), memory O(n) beside the matrix.

    Raises:
        ValueError: NaN, no square, an unknown variant.
    """
    require_matrix("similarity", similarity)
    if len(similarity) != similarity.shape[1]:
        raise ValueError(f"similarity must be square, not {list(similarity.shape)}")
    require_known("variant", variant, VARIANTS)
    if variant == "released":
        return similarity.clamp(min=0).sum(dim=1).argsort(descending=True, stable=True)
    gain, order = similarity.sum(dim=1) - similarity.diagonal(), []
    for _ in range(len(similarity)):
        best = int(gain.argmax())
        order.append(best)
        gain = gain - 2 * similarity[best]
        gain[best] = -torch.inf
    return torch.tensor(order)


def ranking(
    similarity: Float[Tensor, "n n"], latent: Int64[Tensor, " n"], variant: str = "paper"
) -> Float[Tensor, " n"]:
    """The place of every item in the order of its latent class, 0 (first) to 1: what most contributes comes first.

    A subset of a share p of all items is those below p, which is that share of every class.
    """
    place = torch.empty(len(similarity))
    for one in latent.unique():
        rows = (latent == one).nonzero().flatten()
        order = pick(similarity[rows][:, rows], variant)
        place[rows[order]] = torch.arange(len(rows)) / len(rows)
    return place


def subset(place: Float[Tensor, " n"], share: float, how: str = "SAS", seed: int = 0) -> Int64[Tensor, " taken"]:
    """Rows of the share of all items that contributes most ("SAS"), or least ("hardest"), or "random" ones.

    Raises:
        ValueError: a share outside (0, 1], an unknown way.
    """
    require_between("share", share, 1 / len(place), 1)
    require_known("way to take a subset", how, ("SAS", "hardest", "random"))
    if how == "random":
        place = torch.rand(len(place), generator=torch.Generator().manual_seed(seed))
    order = place.argsort(stable=True, descending=how == "hardest")
    return order[: round(share * len(place))]


def taken(lab: Lab, run: Run, share: float, how: str, variant: str = "paper") -> Int64[Tensor, " taken"]:
    """Rows of the training images, by the run as proxy; latent classes are k-means clusters of its features."""
    return subset(places(lab, run, variant), share, how, run.seed)


def places(lab: Lab, run: Run, variant: str = "paper") -> Float[Tensor, " items"]:
    """:func:`ranking` of the training images by the run as proxy."""
    images = _train(lab)[0]

    def make():
        latent = kmeans(F.normalize(run.method.embed(images), dim=1), 10, run.seed)
        return ranking(expected_similarity(run.method, images, seed=run.seed), latent, variant)

    return lab.once(("places", variant, run.seed), make)


RECIPES = [digits_recipe("sas/digits")]
ALL = RECIPES[0]
HARDNESS = replace(ALL.ceiling.with_training(epochs=4), name="sas/digits-hardness")  # early, as Paul et al. advise


def error_norm(method: Supervised, images: Tensor, y: Tensor) -> Float[Tensor, " items"]:
    """EL2N (Paul et al. 2021): ‖softmax − one-hot‖, large for what a classifier finds hard, 0 to √2."""
    wrong = method.projected(images).softmax(dim=1) - F.one_hot(y, method.projector.out_features)
    return wrong.norm(dim=1)


def _train(lab: Lab) -> tuple[Tensor, Tensor]:
    images = lab.material(ALL).dataset
    return images.images[images.splits["train"]], images.labels[images.splits["train"]]


def trained_on(lab: Lab, recipe: Recipe, rows: Tensor, seed: int) -> Method:
    """The recipe's method trained on these training images alone, for as many steps as on all of them.

    To within one pass over the subset.
    """
    images = lab.material(recipe).dataset
    part = replace(images, splits={"train": images.splits["train"][rows], "test": images.splits["test"]})
    size = min(recipe.batch_size, len(rows))
    steps = recipe.training["epochs"] * (len(images.splits["train"]) // recipe.batch_size)
    epochs = 1 if lab.scale == "smoke" else round(steps / (len(rows) // size))
    changed = replace(recipe, batch_size=size, training=recipe.training | {"epochs": epochs, "snapshots": []})
    if recipe.batches:
        changed = replace(changed, batches=partial(numbered, size=size))
    return train(changed, Material(part), seed, progress=False, device="cpu").method


def scores(lab: Lab, share: float, how: str, variant: str = "paper") -> list[float]:
    """Accuracy of 20 neighbours among all training images after training on a subset; claims of a lab share it."""

    def make(run: Run) -> float:
        rows = taken(lab, run, share, how, variant)
        material = lab.material(ALL)
        return material.score(ALL.protocols["knn"], trained_on(lab, ALL, rows, run.seed).embed(material.items)).mean

    key = (share, how, variant)
    return [lab.once((*key, run.seed), partial(make, run)) for run in lab.runs(ALL)]


WHY_NOT = "of so few images, those that are like many of their class may leave its rims unseen."


def _against(lab: Lab, share: float, control: str) -> Evidence:
    names = [f"{100 * share:g} % by SAS", f"{control} {100 * share:g} %"]
    note = f"As many steps as on all images, which reach {100 * fmean(lab.scores(ALL)):.1f}."
    return Evidence(scores(lab, share, "SAS"), scores(lab, share, control), *names, note=note)


@claim("A fifth of the images, taken by SAS, teaches contrastive learning more than a random fifth.",
       needs="digits", minutes=2, reported="over 3 points in general, abstract", why_not=WHY_NOT)  # fmt: skip
def beats_random_at_20(lab: Lab) -> Evidence:
    return _against(lab, 0.2, "random")


@claim("Two fifths by SAS teach more than random ones.",
       needs="digits", minutes=2, reported="over 3 points in general, abstract", why_not=WHY_NOT)  # fmt: skip
def beats_random_at_40(lab: Lab) -> Evidence:
    return _against(lab, 0.4, "random")


@claim("Three fifths by SAS teach more than random ones.",
       needs="digits", minutes=2, reported="over 3 points in general, abstract")  # fmt: skip
def beats_random_at_60(lab: Lab) -> Evidence:
    return _against(lab, 0.6, "random")


@claim("The fifth that contributes most teaches more than the fifth that contributes least.",
       needs="digits", minutes=2)  # fmt: skip
def beats_hardest_at_20(lab: Lab) -> Evidence:
    return _against(lab, 0.2, "hardest")


@claim("Two fifths that contribute most teach more than those that contribute least.",
       needs="digits", minutes=2, why_not=WHY_NOT)  # fmt: skip
def beats_hardest_at_40(lab: Lab) -> Evidence:
    return _against(lab, 0.4, "hardest")


@claim("Three fifths that contribute most teach more than those that contribute least.", needs="digits", minutes=2)
def beats_hardest_at_60(lab: Lab) -> Evidence:
    return _against(lab, 0.6, "hardest")


def _within_one_point(lab: Lab, share: float) -> Evidence:
    less = [score - 0.01 for score in lab.scores(ALL)]
    mean, half = Evidence(scores(lab, share, "random"), less, "random", "all, less one point").difference
    note = f"As many at random against the same line: {100 * mean:+.1f} ± {100 * half:.1f}."
    return Evidence(scores(lab, share, "SAS"), less, f"{100 * share:g} % by SAS", "all, less one point", note=note)


@claim("Two fifths of the images can be left out: SAS's three fifths stay within one point of all.",
       needs="digits", minutes=2, reported="no loss on STL10 and TinyImageNet, abstract")  # fmt: skip
def two_fifths_can_go(lab: Lab) -> Evidence:
    return _within_one_point(lab, 0.6)


@claim("A fifth of the images can be left out: SAS's four fifths stay within one point of all.",
       needs="digits", minutes=1, reported="20 % excluded from CIFAR100, abstract")  # fmt: skip
def a_fifth_can_go(lab: Lab) -> Evidence:
    return _within_one_point(lab, 0.8)


@claim("It matters that those taken are not alike: the paper's objective beats the released code's order.",
       needs="digits", minutes=2)  # fmt: skip
def objective_beats_release(lab: Lab) -> Evidence:
    pair = [scores(lab, 0.2, "SAS", variant) for variant in VARIANTS]
    return Evidence(*pair, "20 % by the objective", "20 % by the released order")


@claim("What contributes most to contrast is what a classifier finds easy.", needs="digits", minutes=1)
def contributes_little_with_labels(lab: Lab) -> Evidence:
    images, y = _train(lab)
    ours, control = [], []
    for run, judge in zip(lab.runs(ALL), lab.runs(HARDNESS), strict=True):
        hard = error_norm(judge.method, images, y)
        ours.append(spearman(places(lab, run), hard))
        control.append(spearman(torch.rand(len(y), generator=torch.Generator().manual_seed(run.seed)), hard))
    note = "EL2N after four epochs with labels. Positive: what SAS takes first has the smallest error."
    names = ("place in SAS's order", "random order", "rank correlation with the error norm")
    return Evidence(ours, control, *names, note)


@claim("With labels a random fifth teaches more than the fifth by SAS.", needs="digits", minutes=1)
def random_is_better_with_labels(lab: Lab) -> Evidence:
    images = lab.material(ALL).dataset
    test, found = images.splits["test"], {"random": [], "SAS": []}
    for run in lab.runs(ALL):
        for how, values in found.items():
            method = trained_on(lab, ALL.ceiling, taken(lab, run, 0.2, how), run.seed)
            right = method.projected(images.images[test]).argmax(dim=1) == images.labels[test]
            values.append(right.float().mean().item())
    return Evidence(*found.values(), "random 20 %", "20 % by SAS", note="Accuracy of the classifier itself.")
