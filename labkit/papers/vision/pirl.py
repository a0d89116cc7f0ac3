"""PIRL: Self-Supervised Learning of Pretext-Invariant Representations.

Ishan Misra, Laurens van der Maaten. CVPR 2020.
https://arxiv.org/abs/1912.01991 · code: https://github.com/facebookresearch/vissl
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_between
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import Protocol, alignment
from labkit.losses import without_autocast
from labkit.methods import Bank, Jigsaw, Method, Pretext, encoded, hamming_permutations, in_blocks, inference
from labkit.models import MLP
from labkit.papers._controls import against_untrained
from labkit.papers.vision._nuisance import against, changed, numbered, supervised
from labkit.papers.vision._one_object import held_out, small_encoder
from labkit.recipes import Recipe
from labkit.train import seeded
from labkit.views import ColorJitter, Compose, RandomResizedCrop, tiles, unit_images

PUZZLE = partial(Jigsaw, 8, gap=1, jitter=1)  # pixels of 28
VIEW = Compose([RandomResizedCrop(28, scale=(0.5, 1.0)), ColorJitter(0.4, 0.4, saturation=0, hue=0)])
PERMUTATIONS = 24


@without_autocast
def bank_nce(
    queries: Float[Tensor, "n dim"],
    own: Float[Tensor, "n dim"],
    others: Float[Tensor, "m dim"],
    temperature: float,
    itself: Bool[Tensor, "n m"],
) -> Float[Tensor, ""]:
    """−log h(own) − Σ_j log(1 − h(j)), h the softmax of similarity / τ over own and others (the NCE of section 3).

    Rows are scaled to length one; the bank takes no gradient. Mean over queries.

    Args:
        itself: where another row is the query's own image, drawn by chance: left out.
    """
    q, own, others = (F.normalize(rows, dim=1) for rows in (queries, own.detach(), others.detach()))
    similar = (q @ others.T).masked_fill(itself, -torch.inf)
    log_h = (torch.cat([(q * own).sum(1, keepdim=True), similar], 1) / temperature).log_softmax(1)
    missed = torch.log1p(-log_h[:, 1:].exp().clamp(max=1 - 1e-6))
    return -(log_h[:, 0] + missed.sum(1)).mean()


class PIRL(Method):
    """An image and its shuffled tiles are to be found as one entry of a memory bank (section 3).

    Loss: λ · NCE(bank entry, tiles) + (1 − λ) · NCE(bank entry, image). Tiles are
    encoded one by one, their codes put together in shuffled order; the bank follows the projections of whole images.

    Args:
        encoder: of images and of tiles.
        view: of whole images, and once more before they are cut.
        items: images in the data set.
        dim: of the projections and of the bank.
        negatives: entries of the bank drawn for each step.
        temperature: τ.
        weight: λ; 0: no tiles at all, so that nothing is said of puzzles.
        momentum: share of its old value that an entry of the bank keeps.

    A batch is (images, their rows): ``Minibatches(images, size, numbered=True)``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        items: int,
        dim: int = 32,
        negatives: int = 256,
        temperature: float = 0.1,
        weight: float = 0.5,
        momentum: float = 0.5,
    ):
        super().__init__()
        require_between("weight", weight, 0, 1)
        self.encoder, self.view = encoder, view
        self.puzzle = PUZZLE(hamming_permutations(PERMUTATIONS), image_view=view)
        self.of_image, self.of_tiles = nn.Linear(encoder.dim, dim), MLP(9 * encoder.dim, 128, dim, norm="batch")
        self.of_tiles.requires_grad_(weight > 0)
        self.bank, self.fresh = Bank(items, dim, momentum), None
        self.negatives, self.temperature, self.weight = negatives, temperature, weight

    def forward(self, batch: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
        images, rows = batch
        h = self.encoder(self.view(images))
        rows, image = gather(rows), gather(self.of_image(h))
        self.seen = {"h": (h.detach(),), "z": (image.detach(),)}
        shuffled = None  # with λ = 0 no tile passes the encoder: its batch norm would count what no gradient fits it to
        if self.weight:
            shuffled = gather(self.of_tiles(encoded(self.encoder, self.puzzle(images)[0])))
            self.seen["z"] += (shuffled.detach(),)
        drawn = torch.randint(len(self.bank.rows), (self.negatives,), device=rows.device)
        against = self.bank.rows[rows], self.bank.rows[drawn], self.temperature, rows[:, None] == drawn
        self.fresh = rows, image.detach()
        loss = (1 - self.weight) * bank_nce(image, *against)
        return loss if shuffled is None else loss + self.weight * bank_nce(shuffled, *against)

    def after_step(self) -> None:
        self.bank.update(*self.fresh)

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return in_blocks(lambda part: self.encoder(unit_images(part)).float(), images)

    def check(self, batch) -> None:
        if not isinstance(batch, tuple):
            raise ValueError("PIRL needs to know which images it sees: Minibatches(images, size, numbered=True)")
        if int(batch[1].max()) >= len(self.bank.rows):
            raise ValueError(f"the bank has {len(self.bank.rows)} rows, but a batch holds row {int(batch[1].max())}")
        self.puzzle(batch[0][:2])


def shuffled_pictures(images: Tensor, seed: int = 0) -> Float[Tensor, "items channels side side"]:
    """Each picture cut into nine tiles as large as fit, which are put back in an order drawn from ``seed``."""
    images = unit_images(images)
    size = min(images.shape[2:]) // 3
    with seeded(seed):
        cut = tiles(images[:, :, : 3 * size, : 3 * size], size)
        puzzle, _ = Jigsaw(size, hamming_permutations(PERMUTATIONS)).shuffle(cut)
    rows = puzzle.unflatten(1, (3, 3)).permute(0, 3, 1, 4, 2, 5)  # [items, channels, 3, size, 3, size]
    return rows.flatten(4, 5).flatten(2, 3)


def invariance(method: Method, images: Tensor) -> float:
    """1 less the distance² that shuffling tiles moves a picture's code, as a share of that to another picture's."""
    images = unit_images(images)
    side = 3 * (min(images.shape[2:]) // 3)
    code, moved = method.embed(images[:, :, :side, :side]), method.embed(shuffled_pictures(images))
    return 1 - alignment(code, moved) / alignment(code, code.roll(1, 0))


def _invariant(images, **changes) -> PIRL:
    return PIRL(small_encoder(images), VIEW, len(images.splits["train"]), **changes)


def _covariant(images) -> Pretext:
    return Pretext(small_encoder(images), PUZZLE(hamming_permutations(PERMUTATIONS), image_view=VIEW))


_FASHION = Recipe(
    name="pirl/fashion-mnist",
    data="fashion-mnist",
    build=_invariant,
    training={"epochs": 6, "lr": 8e-3, "schedule": "cosine"},
    protocols={"linear": Protocol.public("linear", select="cross-validation"), "knn": Protocol.public("knn", k=20)},
    source="ours: rate and schedule of the tasks on scenes of one object; the paper trains ResNet-50 on ImageNet",
    batch_size=64,
    batches=numbered,
    load_options={"n_train": 2000, "n_test": 1000},
    smoke={"epochs": 1},
    smoke_load={"n_train": 192, "n_test": 96},
    variant="laptop",
)
FASHION = replace(_FASHION, ceiling=supervised(_FASHION, "fashion-mnist-2000", lambda images: VIEW, small_encoder))
JIGSAW = replace(FASHION, name="pirl/fashion-mnist-jigsaw", build=_covariant, batches=None)
RECIPES = [FASHION, JIGSAW]
NO_TILES = changed(FASHION, weight=0.0)


@claim("Being invariant to a puzzle beats solving it: the same encoder, images and steps.",
       needs="fashion-mnist", minutes=2,
       reported="63.6 against 45.7 on ImageNet, as other papers quote both")  # fmt: skip
def invariance_beats_prediction(lab: Lab) -> Evidence:
    return against(lab, FASHION, JIGSAW, "invariant", "solves the puzzle")


@claim("PIRL's features move less when tiles are shuffled than those that solve the puzzle.", needs="fashion-mnist",
       minutes=2)  # fmt: skip
def moves_less(lab: Lab) -> Evidence:
    ours, theirs = ([invariance(run.method, held_out(lab, recipe)) for run in lab.runs(recipe)]
                    for recipe in (FASHION, JIGSAW))  # fmt: skip
    return Evidence(ours, theirs, "invariant", "solves the puzzle", "1 less distance as a share of that between images")


@claim("PIRL learns classes: a linear probe beats that of the untrained encoder.", needs="fashion-mnist", minutes=1)
def beats_untrained(lab: Lab) -> Evidence:
    return against_untrained(lab, FASHION, "PIRL")


@claim("The puzzle is what teaches: without tiles, images found in the bank alone, the representation is worse.",
       needs="fashion-mnist", minutes=2)  # fmt: skip
def tiles_matter(lab: Lab) -> Evidence:
    return against(lab, FASHION, NO_TILES, "images and tiles", "images alone")
