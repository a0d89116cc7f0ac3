"""Clustering by rate reduction: Image Clustering via the Principle of Rate Reduction in the Age of Pretrained Models.

Tianzhe Chu, Shengbang Tong, Tianjiao Ding, Xili Dai, Benjamin Haeffele, René Vidal, Yi Ma. ICLR 2024 ("CPP").
https://arxiv.org/abs/2306.05272 · code: https://github.com/LeslieTrue/CPP
Rate reduction itself: Yu et al. 2020, https://arxiv.org/abs/2006.08558

Here without the network that the paper trains on CLIP's features: the membership, the clusters and their number are
taken from given features, as the paper does before training. Nothing is trained, so that there are no recipes.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from labkit.claims import Evidence, Lab, claim
from labkit.data import load
from labkit.evaluate import kmeans, rand_index
from labkit.theory import rate_reduction as rates

RECIPES: list = []


def cluster(
    z: Float[Tensor, "n dim"], k: int | Sequence[int], temperature: float = 0.15, seed: int = 0
) -> dict[int, Int64[Tensor, " n"]]:
    """Spectral clustering on the doubly stochastic membership: k (or each of several) -> classes (section 3.2).

    Rows of the leading k eigenvectors of Π, scaled to length 1, go through k-means; one eigendecomposition for all k.

    Args:
        z: features; their directions count.
        k: how many clusters.
        temperature: η of the membership.
        seed: of k-means.

    Cost: time O(n² · dim + n² · max k), memory O(n²).
    """
    from scipy.sparse.linalg import eigsh

    counts = [k] if isinstance(k, int) else list(k)
    pi = rates.membership(normalize(z.double(), dim=1), temperature, iterations=200, tolerance=1e-6)
    leading = eigsh(pi.cpu().numpy(), k=max(counts), which="LA", v0=pi[0].cpu().numpy())[1]
    vectors = torch.from_numpy(leading.copy()).flip(1)
    return {count: kmeans(normalize(vectors[:, :count], dim=1), count, seed) for count in counts}


def number_of_clusters(
    z: Float[Tensor, "n dim"], counts: Sequence[int], eps2: float = 0.1, seed: int = 0
) -> tuple[int, dict[int, float]]:
    """The number of clusters with the smallest coding length, and the coding length (nats) of each (section 3.3).

    Of several with the same length it is the smallest.
    """
    z = normalize(z.double(), dim=1)
    lengths = {k: rates.coding_length(z, y, eps2) for k, y in cluster(z, counts, seed=seed).items()}
    return min(lengths, key=lambda k: (lengths[k], k)), lengths


def subspaces(
    classes: int, rank: int = 3, dim: int = 30, each: int = 60, noise: float = 0.03, seed: int = 0
) -> tuple[Float[Tensor, "n dim"], Int64[Tensor, " n"]]:
    """Unit vectors in random subspaces with noise of that standard deviation a coordinate, and whose they are."""
    generator = torch.Generator().manual_seed(seed)
    bases = torch.linalg.qr(torch.randn(classes, dim, rank, generator=generator, dtype=torch.float64))[0]
    y = torch.arange(classes).repeat_interleave(each)
    inside = normalize(torch.randn(len(y), rank, generator=generator, dtype=torch.float64), dim=1)
    z = torch.einsum("ndr,nr->nd", bases[y], inside)
    return normalize(z + noise * torch.randn(z.shape, generator=generator, dtype=z.dtype), dim=1), y


def silhouette_number(z: Float[Tensor, "n dim"], counts: Sequence[int], seed: int = 0) -> int:
    """The control: the number of k-means clusters with the largest silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    found = {k: KMeans(k, n_init=3, random_state=seed).fit_predict(z.cpu().numpy()) for k in counts}
    return max(found, key=lambda k: silhouette_score(z.cpu().numpy(), found[k]))


def _digits(lab: Lab, seed: int) -> tuple[Tensor, Tensor]:
    images = load("digits")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    rows = order[: 200 if lab.scale == "smoke" else 1000]
    x = images.images[rows].flatten(1).double() / 255
    return normalize(x - x.mean(dim=0), dim=1), images.labels[rows]


@claim("Orthogonal isotropic subspaces reach the rate reduction that its closed form says.",
       needs="nothing", minutes=0.1)  # fmt: skip
def closed_form(lab: Lab) -> Evidence:
    digits = []
    for seed in lab.seeds:
        generator = torch.Generator().manual_seed(seed)
        basis = torch.linalg.qr(torch.randn(24, 24, generator=generator, dtype=torch.float64))[0][: 5 * 4]
        z, y = basis.repeat(3, 1), torch.arange(5).repeat_interleave(4).repeat(3)
        error = abs(rates.rate_reduction(z, y).item() - rates.orthogonal_rate_reduction(5, 4, 24))
        digits.append(-math.log10(max(error, 1e-17)))
    return Evidence(digits, [12.0] * len(digits), "formula against determinants", "12", "equal decimal digits")


@claim("Classes in subspaces that are turned towards each other have less rate reduction than orthogonal ones.",
       needs="nothing", minutes=0.1)  # fmt: skip
def orthogonal_is_best(lab: Lab) -> Evidence:
    turned, best = [], rates.orthogonal_rate_reduction(5, 4, 24)
    for seed in lab.seeds:
        z, y = subspaces(5, 4, 24, noise=0.0, seed=seed)
        turned.append(rates.rate_reduction(z, y).item())
    return Evidence([best] * len(turned), turned, "orthogonal", "random subspaces", "nats a vector")


@claim("On a union of subspaces the membership finds the classes better than k-means, told the same number.",
       needs="nothing", minutes=0.2)  # fmt: skip
def finds_subspaces(lab: Lab) -> Evidence:
    found, control = [], []
    for seed in lab.seeds:
        z, y = subspaces(6, each=20 if lab.scale == "smoke" else 60, seed=seed)
        found.append(rand_index(y, cluster(z, 6, seed=seed)[6]))
        control.append(rand_index(y, kmeans(z, 6, seed)))
    note = "A subspace has no mean: k-means has nothing to find."
    return Evidence(found, control, "spectral clustering on Π", "k-means", "adjusted Rand index", note)


@claim("The smallest coding length tells how many subspaces there are (section 3.3).", needs="nothing", minutes=0.5)
def number_of_subspaces(lab: Lab) -> Evidence:
    ours, control, counts = [], [], range(2, 13)
    for seed in lab.seeds:
        true = 4 + seed % 5
        z, _ = subspaces(true, each=20 if lab.scale == "smoke" else 60, seed=seed)
        ours.append(-abs(number_of_clusters(z, counts, eps2=0.1, seed=seed)[0] - true))
        control.append(-abs(silhouette_number(z, counts, seed) - true))
    note = "4 to 8 subspaces of rank 3 in 30 dimensions; numbers from 2 to 12. 0: right."
    return Evidence(ours, control, "coding length", "silhouette of k-means", "− |found − true|", note)


@claim("The smallest coding length tells that there are ten digits.", needs="digits", minutes=1)
def number_of_digits(lab: Lab) -> Evidence:
    ours, control, found = [], [], []
    counts = range(6, 12) if lab.scale == "smoke" else range(4, 21)
    for seed in lab.seeds:
        z, _ = _digits(lab, seed)
        found.append(number_of_clusters(z, counts, seed=seed)[0])
        ours.append(-abs(found[-1] - 10))
        control.append(-abs(silhouette_number(z, counts, seed) - 10))
    note = f"Centred pixels, ε² = 0.1 as in the released code; numbers from 4 to 20. Found: {found}"
    return Evidence(ours, control, "coding length", "silhouette of k-means", "− |found − 10|", note)


@claim(
    "On digits' pixels the membership finds the classes better than k-means, told the same number.",
    needs="digits",
    minutes=0.5,
    why_not="digits lie on curved surfaces, not in the subspaces that the membership is made for.",
)
def finds_digits(lab: Lab) -> Evidence:
    found, control = [], []
    for seed in lab.seeds:
        z, y = _digits(lab, seed)
        found.append(rand_index(y, cluster(z, 10, seed=seed)[10]))
        control.append(rand_index(y, kmeans(z, 10, seed)))
    return Evidence(found, control, "spectral clustering on Π", "k-means", "adjusted Rand index")
