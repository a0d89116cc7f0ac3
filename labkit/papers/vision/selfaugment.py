"""SelfAugment: Automatic Augmentation Policies for Self-Supervised Learning.

Colorado Reed, Sean Metzger, Aravind Srinivas, Trevor Darrell, Kurt Keutzer. CVPR 2021.
https://arxiv.org/abs/2009.07724 · code: https://github.com/cjrd/selfaugment

Here is the finding that the algorithm rests on: a probe that tells how an image was rotated needs no label, and ranks
policies as a probe with labels does. The search through policies (Fast AutoAugment with this probe's loss) is left out.
Encoders are trained on a part of Fashion-MNIST, drawn anew for each seed, so that there are no recipes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from labkit.claims import Evidence, Lab, claim
from labkit.data import ImageSet, load
from labkit.evaluate import Split, linear_probe
from labkit.methods import Method, Supervised
from labkit.papers.spectral._ranks import spearman
from labkit.papers.vision._digits import Perceptron
from labkit.papers.vision._nuisance import quarter_turns
from labkit.papers.vision.simclr import SimCLR
from labkit.recipes import Recipe
from labkit.train import Minibatches, finished, fit, seeded
from labkit.views import (
    ColorJitter,
    Compose,
    GaussianBlur,
    GaussianNoise,
    RandomHorizontalFlip,
    RandomInvert,
    RandomResizedCrop,
    RandomSolarize,
    unit_images,
)

RECIPES: list[Recipe] = []
STRENGTH = 64.0  # C of both probes, not chosen by any score

_FLIP, _BLUR, _INVERT, _SOLARIZE = RandomHorizontalFlip(), GaussianBlur(), RandomInvert(), RandomSolarize(p=0.5)
_JITTER = ColorJitter(0.4, 0.4, 0, 0, p=1.0)


def _crop(least: float) -> RandomResizedCrop:
    return RandomResizedCrop(28, scale=(least, 1.0))


# What is drawn on top of a little noise, without which two views without any other change would be the same picture.
POLICIES: dict[str, tuple] = {
    "noise": (),
    "jitter": (_JITTER,),
    "blur": (_BLUR,),
    "flip": (_FLIP,),
    "invert": (_INVERT,),
    "solarize": (_SOLARIZE,),
    "crop 0.08": (_crop(0.08),),
    "crop 0.3": (_crop(0.3),),
    "crop 0.6": (_crop(0.6),),
    "crop 0.3, flip": (_crop(0.3), _FLIP),
    "crop 0.3, jitter": (_crop(0.3), _JITTER),
    "all": (_crop(0.3), _FLIP, _JITTER, _BLUR, _INVERT, _SOLARIZE),
}


def policy(name: str) -> Compose:
    """The view of a policy by name."""
    return Compose([*POLICIES[name], GaussianNoise(0.05)])


def turning(view: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A view after which each image is turned by a random quarter: what a rotation probe cannot but hate."""

    def turned(images: Tensor) -> Tensor:
        seen = view(images)
        return quarter_turns(seen, torch.randint(4, (len(seen),), device=seen.device))

    return turned


def rotation_probe(method: Method, images: Tensor, train: Tensor, test: Tensor) -> float:
    """How often a linear probe on frozen features tells by which of four quarter turns a test image was turned.

    Needs no labels. Every image is shown in all four positions; chance is 0.25.

    Args:
        method: trained.
        images: [items, channels, side, side], all the right way up.
        train, test: rows.
    """
    rows = torch.cat([train, test])
    turns = torch.arange(4).repeat_interleave(len(rows))
    z = method.embed(quarter_turns(images[rows].repeat(4, 1, 1, 1), turns))
    where = torch.arange(len(rows)).repeat(4)
    seen, unseen = ((where < len(train)).nonzero().flatten(), (where >= len(train)).nonzero().flatten())
    return linear_probe(z, turns, Split(seen, None, unseen, "turned"), strengths=STRENGTH).mean


@dataclass(frozen=True)
class Judged:
    """What was found out about the encoder of one policy: two accuracies on test images, and the last training loss."""

    classes: float
    rotation: float
    loss: float


def clothes(seed: int, small: bool = False) -> tuple[ImageSet, Tensor, Tensor]:
    """2 000 training and 1 000 test images of Fashion-MNIST drawn by the seed, and their rows; small: 200 and 100."""
    images, generator = load("fashion-mnist"), torch.Generator().manual_seed(seed)
    sizes = (200, 100) if small else (2000, 1000)
    rows = [
        images.splits[part][torch.randperm(len(images.splits[part]), generator=generator)[:size]]
        for part, size in zip(("train", "test"), sizes, strict=True)
    ]
    return images.subset(torch.cat(rows)), torch.arange(sizes[0]), torch.arange(sizes[0], sum(sizes))


def judge(view: Callable[[Tensor], Tensor], seed: int, epochs: int = 10, small: bool = False) -> Judged:
    """Train SimCLR's perceptron with these views, then ask both probes."""
    images, train, test = clothes(seed, small)
    with seeded(seed):
        method = SimCLR(Perceptron(images), view, temperature=0.2)
    loss = _trained(method, Minibatches(images.images[train], 100), seed, epochs)
    return Judged(_class_probe(method.embed(images.images), images, train, test),
                  rotation_probe(method, images.images, train, test), loss)  # fmt: skip


def beside(seed: int, epochs: int = 10, small: bool = False) -> dict[str, float]:
    """The class probe on raw pixels, on the untrained perceptron, and on one trained with the classes, as many epochs.

    That one sees images under no change but a little noise.
    """
    images, train, test = clothes(seed, small)
    with seeded(seed):
        method = Supervised(Perceptron(images), policy("noise"), images.labels[train])
    of = {"raw": unit_images(images.images).flatten(1), "untrained": method.embed(images.images)}
    _trained(method, Minibatches(images.images[train], 100, numbered=True), seed, epochs)
    of["labels"] = method.embed(images.images)
    return {name: _class_probe(z, images, train, test) for name, z in of.items()}


def _trained(method: Method, batches: Minibatches, seed: int, epochs: int) -> float:
    """The loss of the last epoch."""
    training = {"epochs": epochs, "lr": 2e-3, "schedule": "cosine", "seed": seed}
    return finished(fit(method, batches, **training, device="cpu", progress=False)).history["loss"][-1]


def _class_probe(z: Tensor, images: ImageSet, train: Tensor, test: Tensor) -> float:
    return linear_probe(z, images.labels, Split(train, None, test, "drawn"), strengths=STRENGTH).mean


def judged(lab: Lab) -> list[list[Judged]]:
    """Every policy's encoder, a list a seed in the order of :data:`POLICIES`; claims of a lab share them."""
    small, names = lab.scale == "smoke", list(POLICIES)[: 4 if lab.scale == "smoke" else None]

    def make(name: str, seed: int) -> Judged:
        return judge(policy(name), seed, epochs=1 if small else 10, small=small)

    return [[lab.once((name, seed), lambda n=name, s=seed: make(n, s)) for name in names] for seed in lab.seeds]


def _correlations(lab: Lab, by: Callable[[Judged], float]) -> list[float]:
    """Spearman's, of a ranking with the accuracy of the class probe, one a seed."""
    return [spearman([by(one) for one in row], [one.classes for one in row]) for row in judged(lab)]


def _chosen(lab: Lab, by: Callable[[Judged], float]) -> list[float]:
    """Accuracy of the class probe for the policy that a ranking puts first."""
    return [max(row, key=by).classes for row in judged(lab)]


def _rotation(one: Judged) -> float:
    return one.rotation


def _low_loss(one: Judged) -> float:
    return -one.loss


UNIT = "rank correlation with the class probe"


@claim("The ranking of policies by a probe for rotation, without labels, has something of that by a probe with labels.",
       needs="fashion-mnist", minutes=4, reported="rank correlation above 0.94, abstract")  # fmt: skip
def rotation_ranks_policies(lab: Lab) -> Evidence:
    small = lab.scale == "smoke"
    values = [beside(seed, 1 if small else 10, small) for seed in lab.seeds]
    raw, untrained, told = (100 * fmean(one[name] for one in values) for name in ("raw", "untrained", "labels"))
    spread = [
        100 * value for row in judged(lab) for value in (min(o.classes for o in row), max(o.classes for o in row))
    ]
    note = f"{len(POLICIES)} policies, class probe {min(spread):.0f} to {max(spread):.0f} %; "
    note += f"raw pixels {raw:.1f}, untrained {untrained:.1f}, trained with labels {told:.1f}."
    found = _correlations(lab, _rotation)
    return Evidence(found, [0.0] * len(found), "rotation probe", "none, as a random order has", UNIT, note)


@claim(
    "The correlation is above 0.9 (the abstract says 0.94).",
    needs="fashion-mnist",
    minutes=4,
    reported="rank correlation above 0.94, abstract",
    why_not="a dozen policies in place of hundreds; not tested.",
)
def correlation_is_above_09(lab: Lab) -> Evidence:
    found = _correlations(lab, _rotation)
    return Evidence(found, [0.9] * len(found), "rotation probe", "0.9", UNIT)


@claim("It ranks better than the contrastive loss itself.", needs="fashion-mnist", minutes=4)
def beats_the_loss(lab: Lab) -> Evidence:
    note = "A policy that makes the task harder has a higher loss; to rank by high loss turns the sign."
    pair = _correlations(lab, _rotation), _correlations(lab, _low_loss)
    return Evidence(*pair, "rotation probe", "low InfoNCE", UNIT, note)


@claim("The policy that the rotation probe picks is better than one drawn at random.",
       needs="fashion-mnist", minutes=4)  # fmt: skip
def pick_beats_random(lab: Lab) -> Evidence:
    mean = [sum(one.classes for one in row) / len(row) for row in judged(lab)]
    return Evidence(_chosen(lab, _rotation), mean, "picked by rotation", "mean of all policies")


@claim("The policy that the rotation probe picks is within two points of the best.", needs="fashion-mnist", minutes=4)
def pick_is_near_the_best(lab: Lab) -> Evidence:
    less = [max(one.classes for one in row) - 0.02 for row in judged(lab)]
    return Evidence(_chosen(lab, _rotation), less, "picked by rotation", "the best, less two points")


@claim("Of a policy that turns images the rotation probe thinks worse than the class probe does (ours).",
       needs="fashion-mnist", minutes=5)  # fmt: skip
def turning_is_misjudged(lab: Lab) -> Evidence:
    small, found = lab.scale == "smoke", {"classes": [], "rotation": []}
    for seed, row in zip(lab.seeds, judged(lab), strict=True):
        turned = judge(turning(policy("crop 0.3")), seed, epochs=1 if small else 10, small=small)
        for what, shares in found.items():
            shares.append(_share_below(getattr(turned, what), [getattr(one, what) for one in row]))
    note = "Crop 0.3 and a random quarter turn, among the other policies."
    return Evidence(*found.values(), "by the class probe", "by the rotation probe", "share of policies below it", note)


def _share_below(value: float, others: Sequence[float]) -> float:
    return sum(other < value for other in others) / len(others)
