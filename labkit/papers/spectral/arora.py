"""A Theoretical Analysis of Contrastive Unsupervised Representation Learning.

Sanjeev Arora, Hrishikesh Khandeparkar, Mikhail Khodak, Orestis Plevrakis, Nikunj Saunshi. ICML 2019.
https://arxiv.org/abs/1902.09229
"""

from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import Protocol
from labkit.methods import Method, inference
from labkit.recipes import Recipe
from labkit.theory import bounds


class LatentClassContrast(Method):
    """An item, another one of its latent class, and k items drawn from all classes, whichever they are (section 2).

    The loss is ℓ({f(x)·(f(x⁺) − f(x⁻_i))}), with no temperature and no normalisation. A negative that happens to be of
    the item's own class is a class collision; nothing in the loss knows.

    Args:
        encoder: items -> [n, dim].
        negatives: k, drawn from the other pairs of the batch.
        loss: "logistic" (base 2) or "hinge".
    """

    def __init__(self, encoder: nn.Module, negatives: int = 1, loss: str = "logistic"):
        super().__init__()
        self.encoder, self.negatives, self.loss = encoder, negatives, loss

    def forward(self, pairs: Float[Tensor, "n two ..."]) -> Float[Tensor, ""]:
        z, positive = self.encoder(pairs[:, 0]), self.encoder(pairs[:, 1])
        others = torch.randint(len(z) - 1, (len(z), self.negatives), device=z.device)
        others = others + (others >= torch.arange(len(z), device=z.device)[:, None])  # not the item's own positive
        margins = (z * positive).sum(1, keepdim=True) - (z[:, None] * positive[others]).sum(2)
        margins = margins.to(torch.promote_types(margins.dtype, torch.float32))
        return bounds.margin_loss(margins, self.loss).mean()

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return self.encoder(images.float() / 255)

    def check(self, pairs: Tensor) -> None:
        if pairs.dim() < 3 or pairs.shape[1] != 2 or len(pairs) < 2:
            raise ValueError(f"a batch must hold pairs [n ≥ 2, 2, ...], not {list(pairs.shape)}")


class LatentPairs:
    """Pairs of items of one class, drawn anew in each epoch: batches [size, 2, ...] for ``fit``.

    Who the partner is comes from two random orders within each class. Labels decide nothing else.
    """

    def __init__(self, items: Tensor, y: Tensor, size: int = 256):
        self.items, self.y, self.size = items, y, min(size, len(items))

    def __len__(self) -> int:
        return len(self.items) // self.size

    def __iter__(self) -> Iterator[Tensor]:
        one, other = ((self.y + torch.rand(len(self.y))).argsort() for _ in range(2))  # by class, at random within it
        for rows in torch.randperm(len(one))[: len(self) * self.size].split(self.size):
            yield torch.stack([self.items[one[rows]], self.items[other[rows]]], dim=1)


def first_classes(images, classes: int, part: str = "train") -> Tensor:
    """Rows of a split whose class is among the first ``classes``."""
    rows = images.splits[part]
    return rows[images.labels[rows] < classes]


def _build(images, negatives: int = 1, dim: int = 4) -> LatentClassContrast:
    pixels = images.images[0].numel()
    return LatentClassContrast(nn.Sequential(nn.Flatten(), nn.Linear(pixels, dim)), negatives)


def _pairs(images, classes: int = 10) -> LatentPairs:
    rows = first_classes(images, classes)
    return LatentPairs(images.images[rows].float() / 255, images.labels[rows])


def recipe_for(classes: int, negatives: int) -> Recipe:
    """The recipe for k negatives on the first so many classes of digits."""
    return Recipe(
        name=f"arora/digits-{classes}-classes-{negatives}-negatives",
        data="digits",
        build=partial(_build, negatives=negatives),
        batches=partial(_pairs, classes=classes),
        training={"epochs": 60, "lr": 1e-2},
        protocols={"knn": Protocol.public("knn", k=20)},
        source="ours: the paper trains GRUs on Wiki-3029 and VGG-16 on CIFAR-100, k = 1 to 50",
        smoke={"epochs": 1},
        variant="laptop",
    )


RECIPES = [recipe_for(10, 1), recipe_for(10, 4)]
ONE, FOUR = RECIPES


def both_sides(z: Tensor, y: Tensor) -> tuple[float, float]:
    """(Bound, loss of the mean classifier) of a representation, one negative, over every triple of the points given."""
    loss = bounds.contrastive_losses(z, y)
    return bounds.supervised_bound(loss.total, y.bincount() / len(y)), bounds.mean_classifier_loss(z, y)


def some_of_each(images, each: int = 24) -> Tensor:
    """``each`` test images of every class: as many as an exact sum over triples is quick for."""
    rows = images.splits["test"]
    return torch.cat([rows[images.labels[rows] == c][:each] for c in range(len(images.class_names))])


def _representations(lab: Lab, seed: int, scales=(0.3, 1.0, 3.0)) -> tuple[list[Tensor], Tensor]:
    """Of the same test images: pixels and two trained encoders, each at several lengths."""
    images = lab.material(ONE).dataset
    rows = some_of_each(images, 8 if lab.scale == "smoke" else 24)
    place = list(lab.seeds).index(seed)
    found = [run.method.embed(images.images[rows]) for recipe in (ONE, FOUR) for run in [lab.runs(recipe)[place]]]
    found.append(images.images[rows].flatten(1) / 255)
    return [scale * z for z in found for scale in scales], images.labels[rows]


@claim("The bound on the mean classifier's loss is never violated (lemma 4.3).", needs="digits", minutes=1)
def bound_is_never_violated(lab: Lab) -> Evidence:
    sides = []
    for seed in lab.seeds:
        representations, y = _representations(lab, seed)
        sides.append(min((both_sides(z, y) for z in representations), key=lambda side: side[0] - side[1]))
    note = "Of 9 representations the one that comes closest: pixels and two trained encoders, at three lengths each."
    return Evidence(*zip(*sides, strict=True), "bound", "loss of the mean classifier", "bits", note)


@claim("The bound needs its 1/(1 − τ): without it, it is violated where classes have no spread.",
       needs="digits", minutes=1)  # fmt: skip
def collisions_must_be_paid_for(lab: Lab) -> Evidence:
    violated, without = [], []
    for seed in lab.seeds:
        representations, y = _representations(lab, seed, scales=(1.0,))
        z = bounds.mean_classifier(representations[0], y)[y]  # every item at the mean of its class
        violated.append(bounds.mean_classifier_loss(z, y))
        without.append(bounds.contrastive_losses(z, y).total - bounds.collision_probability(y.bincount() / len(y)))
    return Evidence(violated, without, "loss of the mean classifier", "L_un − τ", "bits")


@claim("What the bound gives away is the spread within classes: with half of it, it is tighter.",
       needs="digits", minutes=1)  # fmt: skip
def slack_is_spread(lab: Lab) -> Evidence:
    slack, halved = [], []
    for seed in lab.seeds:
        representations, y = _representations(lab, seed, scales=(1.0,))
        z = representations[0].double()
        nearer = (z + bounds.mean_classifier(z, y)[y]) / 2
        for values, points in ((slack, z), (halved, nearer)):
            bound, loss = both_sides(points, y)
            values.append(bound - loss)
    return Evidence(slack, halved, "bound less loss", "the same, half the spread", "bits")


LENGTH = 2.0  # mean ‖f(x)‖ of training images at which encoders are compared: near what training leaves


def mean_classifier_on_test(method: LatentClassContrast, images, classes: int) -> tuple[float, float]:
    """(Loss in bits, accuracy) on test images of the mean classifier of training images, at one length.

    Nothing normalises f, and the longer the vectors are, the less a classifier that is mostly right loses. So f is
    scaled to a mean length of 2 on the training images first; what is compared is where vectors point.
    """
    (z, y), (new, truth) = (
        (method.embed(images.images[rows]).double(), images.labels[rows])
        for rows in (first_classes(images, classes, part) for part in ("train", "test"))
    )
    scale = LENGTH / z.norm(dim=1).mean()
    means = bounds.mean_classifier(scale * z, y)
    right = (scale * new @ means.T).argmax(dim=1) == truth
    return bounds.mean_classifier_loss(scale * new, truth, classifier=means), right.double().mean().item()


def downstream(lab: Lab, classes: int, negatives: int) -> list[float]:
    """The mean classifier's loss on test images, one a seed, after training with k negatives on so many classes."""
    recipe = recipe_for(classes, negatives)
    images = lab.material(recipe).dataset
    return [mean_classifier_on_test(run.method, images, classes)[0] for run in lab.runs(recipe)]


COMPARED = "Loss of training images' mean classifier on test images, vectors scaled to one mean length."


@claim("A few negatives do better than one when there are ten classes (section 6.1).", needs="digits", minutes=1)
def few_negatives_help(lab: Lab) -> Evidence:
    note = f"τ = .10 for one negative, .34 for four. {COMPARED}"
    return Evidence(downstream(lab, 10, 1), downstream(lab, 10, 4), "one negative", "four", "bits", note)


@claim("More negatives are not always better: with five classes, 64 do worse than one (section 6.1).",
       needs="digits", minutes=1,
       why_not="collisions push all classes alike, and five digits leave four linear features room for that: vectors "
       "get shorter, not worse.")  # fmt: skip
def collisions_hurt(lab: Lab) -> Evidence:
    note = f"Nearly every draw of 64 has a collision. {COMPARED}"
    many, one = 16 if lab.scale == "smoke" else 64, downstream(lab, 5, 1)
    return Evidence(downstream(lab, 5, many), one, "64 negatives", "one", "bits", note)
