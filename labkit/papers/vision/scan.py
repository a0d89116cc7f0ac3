"""SCAN: Learning to Classify Images without Labels.

Wouter Van Gansbeke, Simon Vandenhende, Stamatios Georgoulis, Marc Proesmans, Luc Van Gool. ECCV 2020.
https://arxiv.org/abs/2005.12320 · code: https://github.com/wvangansbeke/Unsupervised-Classification
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_between, require_counts, require_pair
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import clustering_accuracy, kmeans, neighbours
from labkit.methods import Method, TwoView, in_blocks, inference
from labkit.papers.vision import simclr
from labkit.papers.vision._digits import digits_recipe
from labkit.papers.vision._neighbour_pairs import NeighbourPairs
from labkit.recipes import Recipe
from labkit.train import Minibatches, Run, finished, fit, seeded
from labkit.views import unit_images


def scan_loss(anchors: Tensor, near: Tensor, entropy_weight: float = 5.0) -> Float[Tensor, ""]:
    """An item and its neighbour go to one cluster, and all clusters are used (equation 2).

    −mean log⟨p_i, q_i⟩ − λ·H(mean p): p and q are the softmax of the two logits, H the entropy in nats of the anchors'
    mean, as in the released code. That code stops the first term at 100; here it is worked out in logarithms.

    Args:
        anchors, near: [n, clusters] logits of the items and of a neighbour of each.
        entropy_weight: λ ≥ 0; at 0 one cluster for everything is a perfect solution.

    Raises:
        ValueError: other shapes, NaN or infinite logits, a negative weight.
    """
    require_pair("anchors", anchors, "near", near, items=1)
    require_between("entropy_weight", entropy_weight, 0, float("inf"))
    p, q = anchors.log_softmax(dim=1), near.log_softmax(dim=1)
    mean = p.exp().mean(dim=0)
    return -(p + q).logsumexp(dim=1).mean() - entropy_weight * torch.special.entr(mean).sum()


def self_labels(logits: Float[Tensor, "n clusters"], threshold: float = 0.99) -> tuple[Tensor, Tensor]:
    """Which items are surer of their cluster than ``threshold``, and the clusters of all."""
    sure, cluster = logits.softmax(dim=1).max(dim=1)
    return sure > threshold, cluster


def self_label_loss(weak: Tensor, strong: Tensor, threshold: float = 0.99) -> Float[Tensor, ""]:
    """Strong views are to say what the item itself is sure of; all clusters weigh alike (section 2.3).

    The cross-entropy of the sure items, each weighted by 1 / (the size of its cluster among them), weights adding up to
    1. Zero where none is sure; the released code stops there.

    Args:
        weak, strong: [n, clusters] logits of the items and of a view of each; no gradient into ``weak``.
        threshold: probability above which a label is taken, 0 to 1.

    Raises:
        ValueError: other shapes, NaN or infinite logits, ``threshold`` out of range.
    """
    require_pair("weak", weak, "strong", strong, items=1)
    require_between("threshold", threshold, 0, 1)
    sure, cluster = self_labels(weak.detach(), threshold)
    if not sure.any():
        return 0.0 * strong.sum()
    size = cluster[sure].bincount(minlength=weak.shape[1])
    return F.cross_entropy(strong[sure], cluster[sure], weight=1.0 / size.clamp(min=1).to(strong))


class SCAN(Method):
    """A linear head on a pretrained encoder; both learn to put an image where its neighbours are (section 2.2).

    A batch is (images, a neighbour of each): ``NeighbourPairs``. ``embed`` gives the logits of the clusters.

    Args:
        encoder: pretrained, images [n, channels, h, w] in [0, 1] -> [n, dim], with an attribute ``dim``.
        view: images -> images, drawn anew at each call; images and neighbours both go through it.
        clusters: how many; as in the paper the number of classes is known.
        entropy_weight: λ of :func:`scan_loss`.
        heads: that learn side by side, their losses added up; in the end :meth:`keep_best` keeps one. The released code
            has one for CIFAR-10 and ten for ImageNet.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        clusters: int = 10,
        entropy_weight: float = 5.0,
        heads: int = 1,
    ):
        super().__init__()
        require_counts(clusters=clusters, heads=heads)
        self.encoder, self.view, self.entropy_weight = encoder, view, entropy_weight
        self.heads = nn.ModuleList(nn.Linear(encoder.dim, clusters) for _ in range(heads))

    def forward(self, pair: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
        h = self.encoder(torch.cat([self.view(images) for images in pair]))
        self.seen = {"h": h.detach().chunk(2)}
        return sum(self.losses(torch.cat([gather(part) for part in h.chunk(2)])))

    def losses(self, h: Float[Tensor, "items dim"]) -> list[Tensor]:
        """The loss of each head on the features of items and, after them, of a neighbour of each."""
        return [scan_loss(*head(h).float().chunk(2), self.entropy_weight) for head in self.heads]

    @inference
    def keep_best(self, images: Tensor, near: Tensor) -> None:
        """Of several heads keep the one with the lowest loss on these images and neighbours: no label is asked."""
        pair = torch.cat([unit_images(images), unit_images(near)])
        losses = torch.stack(self.losses(in_blocks(self.encoder, pair)))
        self.heads = nn.ModuleList([self.heads[int(losses.argmin())]])

    def logits(self, images: Tensor) -> Float[Tensor, "items clusters"]:
        return self.heads[0](self.encoder(images)).float()

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items clusters"]:
        return in_blocks(lambda part: self.logits(unit_images(part)), images)


class SelfLabelling(SCAN):
    """Goes on from :class:`SCAN` with the labels that it is sure of (section 2.3). A batch is images.

    Views of the pretext task learn from those labels; the paper's are stronger (RandAugment, Cutout).
    """

    def __init__(self, clustered: SCAN, threshold: float = 0.99):
        super().__init__(deepcopy(clustered.encoder), clustered.view, clustered.heads[0].out_features)
        self.heads.load_state_dict(clustered.heads[:1].state_dict())
        self.threshold = threshold

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        with torch.no_grad():
            weak = self.logits(unit_images(images))
        h = self.encoder(self.view(images))
        self.seen = {"h": (h.detach(),)}
        return self_label_loss(gather(weak), gather(self.heads[0](h).float()), self.threshold)


def cluster(
    pretext: TwoView,
    images: Tensor,
    k: int = 10,
    near: Int64[Tensor, "items near"] | None = None,
    epochs: int = 15,
    lr: float = 3e-3,
    batch: int = 128,
    seed: int = 0,
    **changes,
) -> SCAN:
    """The second step: clusters from a pretext method and images without labels.

    The rate (of 1e-3 and 3e-3) and k (of 5 and 10; the paper has 20) had the lowest loss on 1 000 training images of
    ``digits``, seed 100.

    Args:
        pretext: trained; its encoder is copied, its view is used.
        images: uint8 [n, channels, h, w].
        k: neighbours by cosine similarity of ``pretext.embed(images)``.
        near: rows to take in their place.
        epochs, lr, batch, seed: of ``fit`` with Adam, as in the paper.
        changes: arguments of :class:`SCAN`.

    Raises:
        ValueError: ``k`` or ``near`` out of range.

    Example:
        >>> clusters = cluster(run.method, images).embed(images).argmax(dim=1)
    """
    near = neighbours(pretext.embed(images), k)[0] if near is None else near
    batches = NeighbourPairs(images, near, min(batch, len(images)))
    with seeded(seed):
        method = SCAN(deepcopy(pretext.encoder), pretext.view, **changes)
    finished(fit(method, batches, epochs=epochs, lr=lr, seed=seed, progress=False))
    if len(method.heads) > 1:
        method.keep_best(images, images[near[:, 0]])
    return method


def self_label(
    clustered: SCAN, images: Tensor, threshold: float = 0.99, epochs: int = 10, lr: float = 1e-3, batch: int = 250,
    seed: int = 0,
) -> SelfLabelling:  # fmt: skip
    """The third step: a copy of the clustered network goes on with the labels that it is sure of."""
    method = SelfLabelling(clustered, threshold)
    batches = Minibatches(images, min(batch, len(images)))
    return finished(fit(method, batches, epochs=epochs, lr=lr, seed=seed, progress=False)).method


RECIPES = [digits_recipe("scan/digits-pretext")]
PRETEXT = RECIPES[0]


def _changes(arm: str, items: int, seed: int) -> dict[str, Any]:
    """What differs from SCAN."""
    if arm == "no entropy":
        return {"entropy_weight": 0.0}
    if arm == "random neighbours":
        return {"near": torch.randint(items, (items, 10), generator=torch.Generator().manual_seed(seed))}
    if arm == "ten heads":
        return {"heads": 10}
    return {"near": torch.arange(items)[:, None]} if arm == "its own views" else {}


def clustered(lab: Lab, arm: str = "SCAN", recipe: Recipe = PRETEXT) -> list[SCAN]:
    """SCAN on each pretext run of the recipe, or a control; claims of a lab share them."""
    images = lab.material(recipe).dataset
    train, small = images.images[images.splits["train"]], {"epochs": 1} if lab.scale == "smoke" else {}

    def make(run: Run) -> SCAN:
        return cluster(run.method, train, seed=run.seed, **_changes(arm, len(train), run.seed), **small)

    return [lab.once((arm, recipe, run.seed), partial(make, run)) for run in lab.runs(recipe)]


def labelled(lab: Lab, recipe: Recipe = PRETEXT) -> list[SelfLabelling]:
    """Self-labelling after SCAN."""
    images = lab.material(recipe).dataset
    train, small = images.images[images.splits["train"]], {"epochs": 1} if lab.scale == "smoke" else {}
    before = zip(lab.seeds, clustered(lab, recipe=recipe), strict=True)
    return [self_label(method, train, seed=seed, **small) for seed, method in before]


def found(lab: Lab, methods: list[SCAN], recipe: Recipe = PRETEXT) -> list[Tensor]:
    """The clusters of the test images."""
    images = lab.material(recipe).dataset
    test = images.images[images.splits["test"]]
    return [method.embed(test).argmax(dim=1) for method in methods]


def accuracy(lab: Lab, clusters: list[Tensor], recipe: Recipe = PRETEXT) -> list[float]:
    """Of clusters of the test images, matched with the classes there (Hungarian method), as the paper scores."""
    images = lab.material(recipe).dataset
    return [clustering_accuracy(images.labels[images.splits["test"]], one) for one in clusters]


def kmeans_of_features(lab: Lab, recipe: Recipe = PRETEXT) -> list[Tensor]:
    """k-means with ten starts on the directions of the pretext features, from which neighbours are taken too."""
    images = lab.material(recipe).dataset
    test, seen = images.splits["test"], {"starts": 10, "fit_on": images.splits["train"]}
    z = [F.normalize(run.method.embed(images.images), dim=1) for run in lab.runs(recipe)]
    return [kmeans(one, 10, seed, **seen)[test] for seed, one in zip(lab.seeds, z, strict=True)]


def purity(z: Tensor, y: Tensor, k: int = 10) -> float:
    """Share of an item's k nearest neighbours by cosine similarity that are of its class."""
    return (y[neighbours(z, k)[0]] == y[:, None]).float().mean().item()


def _against(lab: Lab, control: str, note: str = "") -> Evidence:
    pair = [accuracy(lab, found(lab, clustered(lab, arm))) for arm in ("SCAN", control)]
    return Evidence(*pair, "SCAN", control, note=note)


def _against_kmeans(lab: Lab, recipe: Recipe) -> Evidence:
    images = lab.material(recipe).dataset
    train = images.splits["train"]
    of = [purity(run.method.embed(images.images[train]), images.labels[train]) for run in lab.runs(recipe)]
    raw = purity(images.images[train].flatten(1).float(), images.labels[train])
    ours = accuracy(lab, found(lab, clustered(lab, recipe=recipe), recipe), recipe)
    control = accuracy(lab, kmeans_of_features(lab, recipe), recipe)
    note = f"Of the ten neighbours {100 * fmean(of):.1f} % are of the image's class, by raw pixels {100 * raw:.1f} %."
    return Evidence(ours, control, "SCAN", "k-means on the same features", note=note)


@claim("Clusters learned from neighbours are nearer to the classes than k-means on the same features.",
       needs="digits", minutes=1)  # fmt: skip
def beats_kmeans(lab: Lab) -> Evidence:
    return _against_kmeans(lab, PRETEXT)


@claim("Of ten heads the one with the lowest loss is nearer to the classes than the best of ten starts of k-means.",
       needs="digits", minutes=1)  # fmt: skip
def ten_heads_beat_kmeans(lab: Lab) -> Evidence:
    ours = accuracy(lab, found(lab, clustered(lab, "ten heads")))
    return Evidence(ours, accuracy(lab, kmeans_of_features(lab)), "SCAN, ten heads", "k-means, ten starts")


@claim("Ten heads, of which the lowest loss picks one, are better than one.", needs="digits", minutes=1)
def ten_heads_help(lab: Lab) -> Evidence:
    pair = [accuracy(lab, found(lab, clustered(lab, arm))) for arm in ("ten heads", "SCAN")]
    return Evidence(*pair, "ten heads", "one head")


@claim(
    "SCAN's clusters are nearer to the classes than k-means' also where these hide under nuisances.",
    needs="nuisance-mnist",
    minutes=6,
)
def beats_kmeans_on_nuisances(lab: Lab) -> Evidence:
    return _against_kmeans(lab, simclr.RECIPES[1])


@claim("Going on with its own confident labels makes the clusters better (section 2.3).",
       needs="digits", minutes=1, reported="88.3 against 81.6 on CIFAR-10, README")  # fmt: skip
def self_labelling_helps(lab: Lab) -> Evidence:
    pair = [accuracy(lab, found(lab, methods)) for methods in (labelled(lab), clustered(lab))]
    return Evidence(*pair, "after self-labelling", "SCAN")


@claim("Without the entropy term the clusters collapse.", needs="digits", minutes=1)
def entropy_prevents_collapse(lab: Lab) -> Evidence:
    def in_use(arm: str) -> list[float]:
        shares = [one.bincount(minlength=10) / len(one) for one in found(lab, clustered(lab, arm))]
        return [torch.special.entr(share).sum().exp().item() for share in shares]

    note = "exp of the entropy of the clusters' sizes: 10 when all are equal, 1 when one holds everything."
    return Evidence(in_use("SCAN"), in_use("no entropy"), "λ = 5", "λ = 0", "clusters in use", note)


@claim("The neighbours have to be neighbours: random ones give far fewer classes right.", needs="digits", minutes=1)
def neighbours_are_needed(lab: Lab) -> Evidence:
    return _against(lab, "random neighbours")


@claim("Neighbours teach more than other views of the image itself.", needs="digits", minutes=1)
def neighbours_beat_own_views(lab: Lab) -> Evidence:
    return _against(lab, "its own views")
