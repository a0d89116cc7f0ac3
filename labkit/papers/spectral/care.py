"""CARE: Structuring Representation Geometry with Rotationally Equivariant Contrastive Learning.

Sharut Gupta, Joshua Robinson, Derek Lim, Soledad Villar, Stefanie Jegelka. ICLR 2024.
https://arxiv.org/abs/2306.13924 · code: https://github.com/Sharut/CARE
"""

from functools import partial
from math import pi

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import Protocol
from labkit.losses import equivariance, nt_xent, uniformity
from labkit.methods import Method, in_blocks, inference, scaled
from labkit.models import MLP
from labkit.recipes import Recipe
from labkit.theory import sphere


class CARE(Method):
    """InfoNCE on views drawn for each image, and equivariance on two augmentations drawn for each chunk (section 3).

    A chunk is a part of the batch whose images all get the same augmentation: only then can one rotation explain what
    it did to them. The loss is on the sphere, and so is the embedding: there is no head.

    Args:
        encoder: images [n, channels, h, w] in [0, 1] -> [n, dim].
        augment: (images, how many draws) -> images; each draw goes to an equal part of the batch, in order.
        weight: λ of the equivariance loss; 0 is plain InfoNCE.
        chunks: into how many chunks a batch is cut (8 in the released code).
        invariance: InfoNCE; without it uniformity alone keeps the embedding from collapsing (section 3.3).
        temperature: τ of InfoNCE.
        variant: "mean", or "released", where λ means 2(m − 1) times as much for chunks of m.
    """

    def __init__(self, encoder, augment, weight=1.0, chunks=8, invariance=True, temperature=0.5, variant="mean"):
        super().__init__()
        self.encoder, self.augment, self.temperature = encoder, augment, temperature
        self.weight, self.chunks, self.invariance, self.variant = weight, chunks, invariance, variant

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        each = [self.augment(images, len(images)) for _ in range(2)]
        shared = [self.augment(images, self.chunks) for _ in range(2 if self.weight else 0)]
        z = normalize(self.encoder(torch.cat(each + shared)).float(), dim=1)  # the losses are of small angles
        a, b, *chunked = z.chunk(2 + len(shared))
        loss = nt_xent(a, b, self.temperature) if self.invariance else (uniformity(a) + uniformity(b)) / 2
        return loss + self.weight * equivariance(*chunked, self.chunks, self.variant) if chunked else loss

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return in_blocks(lambda part: normalize(self.encoder(scaled(part)), dim=1), images)

    def check(self, images: Tensor) -> None:
        if len(images) % self.chunks or len(images) < 2 * self.chunks:
            raise ValueError(f"{self.chunks} chunks do not divide a batch of {len(images)} into parts of at least 2")


def turn_hue(images: Tensor, angle: Float[Tensor, " items"]) -> Float[Tensor, "items three height width"]:
    """Every colour turned about the grey axis by ``angle`` (radians), one for each image; angles add up.

    Raises:
        ValueError: images without three channels, another number of angles than of images.
    """
    if images.dim() != 4 or images.shape[1] != 3 or angle.shape != images.shape[:1]:
        raise ValueError(
            f"images must be [n, 3, height, width] and angle [n], one for each; not {list(images.shape)} and "
            f"{list(angle.shape)}"
        )
    k = torch.arange(3, device=images.device)
    third = 2 * pi * (k[:, None] - k) / 3
    matrix = (1 + 2 * (angle[:, None, None] - third).cos()) / 3
    return torch.einsum("nkc,nchw->nkhw", matrix, scaled(images)).clamp(0, 1)


def hue(images: Tensor) -> Float[Tensor, " items"]:
    """The angle of the mean colour, in radians from −π to π."""
    colour = scaled(images).mean(dim=(2, 3)).to(torch.complex64)
    return (colour @ torch.exp(2j * pi * torch.arange(3, device=images.device) / 3)).angle()


def recolour(images: Tensor, draws: int, span: float = pi, shift: int = 1) -> Tensor:
    """The hue turned by up to ± ``span``, the picture moved by up to ``shift`` pixels: ``draws`` augmentations.

    Each draw goes to an equal part of the images, in order: as many draws as images for one each, 1 for one for all.

    Raises:
        ValueError: draws that do not divide the images into equal parts; images without three channels.
    """
    n, _, height, width = images.shape
    if draws < 1 or n % draws:
        raise ValueError(f"draws must divide the {n} images into equal parts, not {draws}")
    place = torch.randint(2 * shift + 1, (draws, 2), device=images.device).repeat_interleave(n // draws, dim=0)
    angle = span * (2 * torch.rand(draws, device=images.device) - 1)
    padded = pad(turn_hue(images, angle.repeat_interleave(n // draws)), (shift,) * 4)
    rows = (place[:, :1] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (place[:, 1:] + torch.arange(width, device=images.device))[:, None, None, :]
    return padded[torch.arange(n)[:, None, None, None], torch.arange(3)[None, :, None, None], rows, columns]


def _build(images, dim: int = 16, **changes) -> CARE:
    pixels = images.images[0].numel()
    return CARE(nn.Sequential(nn.Flatten(), MLP(pixels, 256, dim, layers=3)), recolour, **changes)


def _recipe(name: str, **changes) -> Recipe:
    return Recipe(
        name=f"care/{name}",
        data="coloured-digits",
        build=partial(_build, **changes),
        training={"epochs": 40, "lr": 2e-3, "schedule": "cosine"},
        protocols={"knn": Protocol.public("knn", k=20)},
        source="ours: the paper trains ResNets on CIFAR and STL-10 for 400 epochs, batch 256, 8 chunks, τ = 0.5; "
        "λ = 10 of 1, 10 and 100: the largest that stays within two points of InfoNCE's k-NN accuracy, on a fifth of "
        "the training images with seeds 100 and 101 (83 against 84 %, 74 at λ = 100)",
        batch_size=256,
        smoke={"epochs": 1},
        variant="laptop",
    )


RECIPES = [
    _recipe("coloured-digits", weight=10.0),
    _recipe("coloured-digits-infonce", weight=0.0),
    _recipe("coloured-digits-no-invariance", weight=10.0, invariance=False),
    _recipe("coloured-digits-uniformity", weight=0.0, invariance=False),
]
BOTH, INFONCE, EQUIVARIANT, UNIFORM = RECIPES


def colour_kept(z: Float[Tensor, "items dim"], images) -> float:
    """R² of the hue (cosine and sine) by ridge regression on an embedding, on test images; 0: the mean, 1: exact."""
    angle = hue(images.images)
    target = torch.stack([angle.cos(), angle.sin()], dim=1).double()
    z = torch.cat([z.double(), z.new_ones(len(z), 1).double()], dim=1)
    train, test = images.splits["train"], images.splits["test"]
    penalty = 1e-3 * torch.eye(z.shape[1], dtype=z.dtype)
    weights = torch.linalg.solve(z[train].T @ z[train] + penalty, z[train].T @ target[train])
    spread = (target[test] - target[train].mean(dim=0)).square().sum()
    return (1 - (target[test] - z[test] @ weights).square().sum() / spread).item()


def embed_turned(method: CARE, images, angle: float) -> Float[Tensor, "items dim"]:
    """Every image with its hue turned by the same angle (radians), embedded."""
    return method.embed(turn_hue(images.images, torch.full((len(images),), angle)))


def explained_by_rotation(method: CARE, images, angle: float = 1.0) -> float:
    """Of what turning the hue moves, the share that one rotation explains: fitted on training, taken on test images."""
    before, after = method.embed(images.images), embed_turned(method, images, angle)
    rotation = sphere.wahba(before[images.splits["train"]], after[images.splits["train"]])
    before, after = (z[images.splits["test"]] for z in (before, after))
    return (1 - (after - before @ rotation.T).square().sum() / (after - before).square().sum()).item()


def _kept(lab: Lab, recipe: Recipe) -> list[float]:
    images = lab.material(recipe).dataset
    return [colour_kept(run.method.embed(images.images), images) for run in lab.runs(recipe)]


@claim("With the equivariance loss InfoNCE keeps more of a digit's colour, which its views change.",
       needs="coloured-digits", minutes=1)  # fmt: skip
def colour_is_retained(lab: Lab) -> Evidence:
    return Evidence(_kept(lab, BOTH), _kept(lab, INFONCE), "InfoNCE and equivariance", "InfoNCE", "R² of the hue")


@claim("Equivariance with nothing but a term against collapse keeps the digit within three points of InfoNCE.",
       needs="coloured-digits", minutes=1)  # fmt: skip
def no_invariance_is_needed(lab: Lab) -> Evidence:
    loss = [score - 0.03 for score in lab.scores(INFONCE)]
    kept = ", ".join(f"{value:.2f}" for value in _kept(lab, EQUIVARIANT))
    note = f"R² of the hue without invariance: {kept}"
    return Evidence(lab.scores(EQUIVARIANT), loss, "uniformity and equivariance", "InfoNCE less 3 points", note=note)


def _rotated(lab: Lab, recipes: tuple[Recipe, Recipe], names: tuple[str, str], note: str = "") -> Evidence:
    images = lab.material(recipes[0]).dataset
    share = [[explained_by_rotation(run.method, images) for run in lab.runs(recipe)] for recipe in recipes]
    how = "Rotation (reflections count) fitted on training images, share taken on test images."
    return Evidence(*share, *names, "share of the movement", f"{how} {note}".strip())


@claim("Without InfoNCE, equivariance makes a change of colour act on the embedding as a rotation (section 5.1).",
       needs="coloured-digits", minutes=1)  # fmt: skip
def augmentation_is_a_rotation(lab: Lab) -> Evidence:
    return _rotated(lab, (EQUIVARIANT, UNIFORM), ("uniformity and equivariance", "uniformity alone"))


@claim("Beside InfoNCE, as the paper has it, equivariance brings a change of colour nearer to a rotation.",
       needs="coloured-digits", minutes=1)  # fmt: skip
def rotation_with_infonce(lab: Lab) -> Evidence:
    note = "By a hundredth of the movement only: at this weight InfoNCE wins."
    return _rotated(lab, (BOTH, INFONCE), ("InfoNCE and equivariance", "InfoNCE"), note)


@claim("Without InfoNCE, rotations multiply as augmentations do: R_ab = R_a R_b.", needs="coloured-digits", minutes=1)
def rotations_multiply(lab: Lab) -> Evidence:
    images = lab.material(EQUIVARIANT).dataset
    right, wrong = [], []
    for run in lab.runs(EQUIVARIANT):
        z, a, b, ab, other = (embed_turned(run.method, images, angle) for angle in (0.0, 1.0, 0.7, 1.7, -0.7))
        right.append(sphere.composition(z, a, b, ab).error)
        wrong.append(sphere.composition(z, a, other, ab).error)
    note = "Turned by 1 and 0.7 radians. 1: as far apart as two unrelated rotations."
    return Evidence(wrong, right, "error with b the wrong way round", "error", "of unrelated rotations' distance", note)


@claim("The equivariance loss costs InfoNCE at most two points of accuracy.", needs="coloured-digits", minutes=1)
def accuracy_is_kept(lab: Lab) -> Evidence:
    less = [score - 0.02 for score in lab.scores(INFONCE)]
    return Evidence(lab.scores(BOTH), less, "InfoNCE and equivariance", "InfoNCE less 2 points")


@claim("The released code's weight grows with the chunk: the same λ is twice as much for chunks twice as large.",
       needs="coloured-digits", minutes=1)  # fmt: skip
def weight_depends_on_chunks(lab: Lab) -> Evidence:
    images = scaled(lab.material(INFONCE).dataset.images[:256])
    ratios: dict[str, list[float]] = {"released": [], "mean": []}
    for run in lab.runs(INFONCE):
        for variant, values in ratios.items():
            large, small = (_equivariance_at(run, images, chunks, variant) for chunks in (8, 16))
            values.append(large / small)
    note = "Chunks of 32 against chunks of 16, the same images under the same two augmentations."
    return Evidence(ratios["released"], ratios["mean"], "released", "mean over pairs", "ratio of the losses", note)


def _equivariance_at(run, images: Tensor, chunks: int, variant: str) -> float:
    a, b = (run.method.embed(turn_hue(images, torch.full((len(images),), angle))) for angle in (0.0, 2.0))
    return equivariance(a, b, chunks, variant).item()
