"""SAS: Data-Efficient Contrastive Self-supervised Learning: Most Beneficial Examples for Supervised Learning Contribute
the Least.

Siddharth Joshi, Baharan Mirzasoleiman. ICML 2023.
https://arxiv.org/abs/2302.09195 · code: https://github.com/bigml-cs-ucla/sas-data-efficient-contrastive-learning
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from labkit import recipes
from labkit._checks import require_between, require_matrix, unknown
from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import Protocol, kmeans
from labkit.methods import Method, TwoView, inference
from labkit.models import MLP
from labkit.papers.vision._digits import Perceptron, digits_recipe
from labkit.recipes import Recipe
from labkit.train import Minibatches, Run, fit, seeded
from labkit.views import unit_images

VARIANTS = ("paper", "released")


def expected_similarity(
    method: TwoView, images: Tensor, views: int = 8, seed: int = 0
) -> Float[Tensor, "items items"]:
    """Cosine similarity of two images' embeddings, its mean over pairs of random views of them (definition of SAS).

    The mean over all pairs of views is the product of mean directions: O(items² · dim), whatever ``views`` is. Of an
    image with itself, the pairs of a view with itself are included.

    Args:
        method: trained, the proxy.
        images: [items, channels, h, w].
        views: drawn of each image, at least 1.
        seed: of the views.
    """
    if views < 1:
        raise ValueError(f"views must be at least 1, not {views}")
    with seeded(seed):
        mean = sum(F.normalize(method.embed(method.view(images)), dim=1) for _ in range(views)) / views
    return mean @ mean.T


def pick(similarity: Float[Tensor, "n n"], variant: str = "paper") -> Int64[Tensor, " n"]:
    """All items of one latent class, the ones that contribute most first; a subset is the beginning of this order.

    "paper": greedy steps up the sum of similarities between those taken and those left, Σ_{i∈S} Σ_{j∉S} s_ij, which is
    submodular where similarities are not negative. To take item e gains Σ_j s_ej − s_ee − 2 Σ_{j∈S} s_ej; when no item
    gains any more, the one that loses least goes next. "released": by falling Σ_j max(s_ij, 0). The released code means
    to take Σ_{j∈S} s_ej away too, but sets the rows of items to zero as they are taken, so that this sum is 0 ever
    after: nothing keeps it from taking items that are alike.

    Args:
        similarity: symmetric.
        variant: "paper" or "released".

    Cost: time O(n²), memory O(n) beside the matrix.

    Raises:
        ValueError: NaN, no square, an unknown variant.
    """
    require_matrix("similarity", similarity)
    if len(similarity) != similarity.shape[1]:
        raise ValueError(f"similarity must be square, not {list(similarity.shape)}")
    if variant not in VARIANTS:
        raise ValueError(unknown("variant", variant, VARIANTS))
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
    if how not in ("SAS", "hardest", "random"):
        raise ValueError(unknown("way to take a subset", how, ("SAS", "hardest", "random")))
    if how == "random":
        place = torch.rand(len(place), generator=torch.Generator().manual_seed(seed))
    order = place.argsort(stable=True, descending=how == "hardest")
    return order[: round(share * len(place))]


class Labelled(Method):
    """The same perceptron trained with labels: the ceiling, and the judge of what is hard with labels.

    ``error_norm`` is EL2N (Paul et al. 2021): ‖softmax − one-hot‖, large for what a classifier finds hard.
    """

    def __init__(self, images, classes: int = 10):
        super().__init__()
        self.encoder = Perceptron(images)
        self.head = MLP(self.encoder.dim, 1, classes, layers=1)

    def forward(self, batch: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
        images, labels = batch
        return F.cross_entropy(self.head(self.encoder(images)).float(), labels)

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items classes"]:
        return self.head(self.encoder(unit_images(images))).float()
