"""MV-MR: multi-views and multi-representations for self-supervised learning and knowledge distillation.

Vitaliy Kinakh, Mariia Drozdova, Slava Voloshynovskiy. Entropy 26(6), 2024.
https://arxiv.org/abs/2303.12130 · code: https://github.com/vkinakh/mv-mr
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_known
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.data import ImageSet
from labkit.evaluate import Protocol
from labkit.losses import distance_correlation
from labkit.methods import TwoView
from labkit.models import MLP, ResNet
from labkit.papers.vision._nuisance import against, changed, nuisance_view, supervised
from labkit.recipes import Recipe
from labkit.train import Run
from labkit.views import Compose, unit_images


def hog(images: Tensor, bins: int = 9, cell: int = 7) -> Float[Tensor, "items features"]:
    """Histograms of oriented gradients: how much of which direction each cell of a picture has.

    Central differences; each pixel's gradient votes with its length for the two bins nearest to its direction, of 180
    degrees, in proportion; votes are averaged over cells. Dalal & Triggs (2005) also normalise over blocks of cells.
    The released code gives the second bin 1 − length instead of its share.

    Args:
        images: [items, channels, height, width], uint8 or in [0, 1], sides of at least ``cell`` pixels; what is left
            over at the right and below is not used.
        bins: directions. cell: side in pixels.

    Raises:
        ValueError: no images in [0, 1], smaller than a cell, ``bins`` or ``cell`` below 1.
    """
    images = unit_images(images)
    if bins < 1 or not 1 <= cell <= min(images.shape[2:]):
        raise ValueError(f"bins must be at least 1 and cell 1 to {min(images.shape[2:])}, not {bins} and {cell}")
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    length = (across.square() + down.square()).sqrt()
    place = torch.atan2(down, across).remainder(torch.pi) / torch.pi * bins
    lower = place.floor()
    votes = length.new_zeros(*length.shape[:2], bins, *length.shape[2:])
    for number, share in ((lower, 1 - (place - lower)), (lower + 1, place - lower)):
        votes.scatter_add_(2, number.long().remainder(bins)[:, :, None], (share * length)[:, :, None])
    return F.avg_pool2d(votes.flatten(1, 2), cell).flatten(1)


def local_deviation(images: Tensor) -> Float[Tensor, "items features"]:
    """Standard deviation in the 3 × 3 pixels around each pixel, means over 2 × 2."""
    images = unit_images(images)
    mean, square = (F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False) for x in (images, images.square()))
    return F.avg_pool2d((square - mean.square()).clamp(min=0).sqrt(), 2).flatten(1)


def pixels(images: Tensor) -> Float[Tensor, "items features"]:
    """The picture itself."""
    return unit_images(images).flatten(1)


VARIANTS = ("paper", "released")


class MVMR(TwoView):
    """A view agrees with the picture and depends on it, and on what a hand-made description says of it (section 3).

    Mean squared difference, a hinge that holds each dimension's standard deviation at 1 (without it they shrink),
    1 − the distance correlation of the two projections, and 1 − that of the view's projection with each representation.

    Args:
        encoder, view: as in ``TwoView``; views are as large as the pictures.
        represent: hand-made representations, pictures -> [n, features].
        variant: "paper", or "released": there the distance correlation with representations is *added* to what is
            minimised, so that features are driven away from them.
        shuffled: the control: representations of other pictures of the batch.
        spread: the hinge; False for the control.
        dim: width of the projection.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        represent: Sequence[Callable[[Tensor], Tensor]] = (pixels, hog, local_deviation),
        variant: str = "paper",
        shuffled: bool = False,
        spread: bool = True,
        dim: int = 256,
    ):
        require_known("variant", variant, VARIANTS)
        loss = partial(agreement, spread=spread)
        super().__init__(encoder, MLP(encoder.dim, dim, dim, norm="batch"), view, loss)
        self.represent, self.variant, self.shuffled = tuple(represent), variant, shuffled

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        plain = unit_images(images)
        _, z = self.encoded(torch.cat([self.view(images), plain]))
        view, whole = map(gather, z.float().chunk(2))
        loss = self.loss(view, whole)
        described = plain.roll(1, 0) if self.shuffled else plain
        for represent in self.represent:
            dependence = distance_correlation(gather(represent(described)), view)
            loss = loss + (dependence if self.variant == "released" else 1 - dependence)
        return loss

    def check(self, images: Tensor) -> None:
        super().check(images)
        seen, whole = (list(x.shape[2:]) for x in (self.view(images[:2]), images))
        if seen != whole:
            raise ValueError(f"a view must be as large as the picture, which is encoded too: {seen} against {whole}")


def agreement(a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"], spread: bool = True) -> Float[Tensor, ""]:
    """Mean squared difference and 1 − distance correlation, and a hinge that holds each standard deviation at 1."""
    loss = F.mse_loss(a, b) + 1 - distance_correlation(a, b)
    return loss + sum((1 - x.std(dim=0)).relu().mean() for x in (a, b)) if spread else loss


SOURCE = "ours: the paper trains ResNet-50 for 1 000 epochs on STL-10 with a head of 8192-8192-8192 and ScatNet besides"


def _encoder(images: ImageSet) -> ResNet:
    return ResNet((1, 1, 1), 16, images.images.shape[1], stride=2)


def _view(images: ImageSet) -> Compose:
    return nuisance_view(invert=0.0)


def _build(images: ImageSet, **changes) -> MVMR:
    return MVMR(_encoder(images), _view(images), **changes)


_BASE = Recipe(
    name="mv_mr/fashion-mnist",
    data="fashion-mnist",
    build=_build,
    training={"epochs": 8, "lr": 2e-3, "schedule": "cosine"},
    protocols={"knn": Protocol.public("knn", k=20), "linear": Protocol.public("linear", select="cross-validation")},
    source=SOURCE,
    batch_size=128,
    load_options={"n_train": 4000, "n_test": 2000},
    smoke={"epochs": 1},
    smoke_load={"n_train": 400, "n_test": 200},
    variant="laptop",
)
BASE = replace(_BASE, ceiling=supervised(_BASE, "fashion-mnist-4000", _view, _encoder))
NO_FEATURES = replace(changed(BASE, represent=()), name="mv_mr/fashion-mnist-views-alone")
SHUFFLED = replace(changed(BASE, shuffled=True), name="mv_mr/fashion-mnist-shuffled")
RELEASED = replace(changed(BASE, variant="released"), name="mv_mr/fashion-mnist-released", variant="released, laptop")
NO_HINGE = changed(NO_FEATURES, spread=False)
RECIPES = [BASE, NO_FEATURES, SHUFFLED, RELEASED]


@claim(
    "Dependence on hand-made features helps: without it nearest neighbours find less.", needs="fashion-mnist", minutes=3
)
def features_help(lab: Lab) -> Evidence:
    return against(lab, BASE, NO_FEATURES, "with hand-made features", "views alone", note=_floors(lab))


@claim("It is what the features say of the picture that helps: those of other pictures do not.",
       needs="fashion-mnist", minutes=3)  # fmt: skip
def true_features_beat_shuffled_ones(lab: Lab) -> Evidence:
    return against(lab, BASE, SHUFFLED, "features of the picture", "of another picture")


@claim("The sign matters: the paper maximises the dependence on features, the released code minimises it.",
       needs="fashion-mnist", minutes=3)  # fmt: skip
def maximising_beats_the_released_sign(lab: Lab) -> Evidence:
    return against(lab, BASE, RELEASED, "as described", "as released")


@claim("Trained with them the projection depends more on HOG, also of pictures that were not seen.",
       needs="fashion-mnist", minutes=3)  # fmt: skip
def test_pictures_depend_on_features(lab: Lab) -> Evidence:
    ours, without = ([_dependence(lab, run) for run in lab.runs(recipe)] for recipe in (BASE, NO_FEATURES))
    return Evidence(ours, without, "with hand-made features", "views alone", "distance correlation with HOG")


@claim("Without the hinge on standard deviations nothing holds the projection open: it shrinks.",
       needs="fashion-mnist", minutes=3)  # fmt: skip
def hinge_prevents_collapse(lab: Lab) -> Evidence:
    ours, without = ([_size(lab, run) for run in lab.runs(recipe)] for recipe in (NO_FEATURES, NO_HINGE))
    return Evidence(ours, without, "with the hinge", "without", "standard deviation", "Views alone.")


def _test_images(lab: Lab) -> Tensor:
    return lab.material(BASE).dataset.subset("test").images[:1000]


def _dependence(lab: Lab, run: Run) -> float:
    images = _test_images(lab)
    return distance_correlation(run.method.projected(images), hog(images)).item()


def _size(lab: Lab, run: Run) -> float:
    return run.method.projected(_test_images(lab)).std(dim=0).mean().item()


def _floors(lab: Lab) -> str:
    images, protocol = lab.material(BASE).dataset, BASE.protocols["knn"]
    described = protocol.score(hog(images.images), images.labels, images).mean
    untrained = statistics.fmean(protocol.score(run.snapshots[0], images.labels, images).mean for run in lab.runs(BASE))
    raw = lab.floors(BASE)["raw"].mean
    return (
        f"The same probe: raw pixels {100 * raw:.1f}, HOG itself {100 * described:.1f}, untrained {100 * untrained:.1f}"
    )
