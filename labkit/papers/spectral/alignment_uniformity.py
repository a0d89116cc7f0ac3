"""Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere.

Tongzhou Wang, Phillip Isola. ICML 2020.
https://arxiv.org/abs/2005.10242 · code: https://github.com/ssnl/align_uniform
Patches in place of images: Moon et al., BMVC 2022, https://arxiv.org/abs/2210.08819 (in ``_dense.py``).
"""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from labkit import evaluate, losses
from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import Protocol, Split
from labkit.methods import TwoView
from labkit.models import MLP
from labkit.papers.spectral._dense import DensePairs, patch_grids
from labkit.papers.spectral._ranks import spearman
from labkit.recipes import Recipe
from labkit.train import Minibatches, finished, fit, seeded
from labkit.views import Compose, GaussianNoise, RandomResizedCrop


class AlignUniform(TwoView):
    """Two views near each other, all images far apart, and nothing else (section 4.2, figure 5).

    Args:
        encoder: images -> [n, dim]; the loss and the representation are on the sphere, there is no head.
        view: images -> images, drawn anew for each image at each call.
        align, uniform: weights of the two losses; the released code has 1 and 1.
        alpha: power of the distance of two views.
        t: of the Gaussian potential.
    """

    def __init__(self, encoder, view, align=1.0, uniform=1.0, alpha=2.0, t=2.0):
        def loss(a: Tensor, b: Tensor) -> Float[Tensor, ""]:
            apart = (losses.uniformity(a, t) + losses.uniformity(b, t)) / 2
            return align * losses.alignment(a, b, alpha) + uniform * apart

        super().__init__(encoder, nn.Identity(), view, loss)

    def embed(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return normalize(super().embed(images), dim=1)


VIEW = Compose([RandomResizedCrop(8, scale=(0.5, 1.0)), GaussianNoise(0.1)])
WEIGHTS = ((0.02, 1.0), (0.2, 1.0), (1.0, 1.0), (1.0, 0.2), (1.0, 0.02))
SHAPES = ((2.0, 2.0), (1.0, 2.0), (2.0, 0.5), (2.0, 8.0), (1.0, 8.0))  # alpha, t


def _build(images, dim: int = 16, **changes) -> AlignUniform:
    return AlignUniform(nn.Sequential(nn.Flatten(), MLP(images.images[0].numel(), 128, dim)), VIEW, **changes)


def _recipe(align: float, uniform: float, alpha: float = 2.0, t: float = 2.0) -> Recipe:
    return Recipe(
        name=f"alignment_uniformity/digits-{align:g}-{uniform:g}-alpha{alpha:g}-t{t:g}",
        data="digits",
        build=partial(_build, align=align, uniform=uniform, alpha=alpha, t=t),
        training={"epochs": 30, "lr": 3e-3},
        protocols={"knn": Protocol.public("knn", k=20)},
        source="ours: the paper trains 304 encoders on STL-10 (batch 768, SGD, lr 0.36, 200 epochs) and others",
        batch_size=256,
        smoke={"epochs": 1},
        variant="laptop",
    )


GRID = [_recipe(*weights, *shape) for shape in SHAPES for weights in WEIGHTS]
EQUAL = GRID[2]  # weights 1 and 1, alpha = t = 2, as released
ALIGN_ONLY, UNIFORM_ONLY = _recipe(1.0, 0.0), _recipe(0.0, 1.0)
RECIPES = [EQUAL, *(one for one in GRID if one is not EQUAL), ALIGN_ONLY, UNIFORM_ONLY]


def measure(method, images, seed: int = 0) -> tuple[float, float]:
    """(L_align, L_unif) at alpha = t = 2 on two views of the test images, whatever the encoder was trained on."""
    test = images.images[images.splits["test"]]
    with seeded(seed):
        a, b = (method.embed(method.view(test)) for _ in range(2))
    return evaluate.alignment(a, b), (evaluate.uniformity(a) + evaluate.uniformity(b)) / 2


def scatter(lab: Lab) -> Float[Tensor, "seeds encoders three"]:
    """L_align, L_unif and accuracy of every encoder of the grid (at smoke scale: of three)."""
    chosen = GRID[:3] if lab.scale == "smoke" else GRID
    images = lab.material(EQUAL).dataset
    rows = [
        [(*measure(run.method, images), score) for run, score in zip(lab.runs(one), lab.scores(one), strict=True)]
        for one in chosen
    ]
    return torch.tensor(rows).movedim(1, 0)


def _correlations(lab: Lab) -> tuple[list[float], list[float], list[float]]:
    """Of accuracy with −(L_align + L_unif), −L_align and −L_unif, one a seed."""
    cloud = scatter(lab)
    of = [(-seed[:, 0] - seed[:, 1], -seed[:, 0], -seed[:, 1], seed[:, 2]) for seed in cloud]
    return tuple([spearman(row[i], row[3]) for row in of] for i in range(3))


@claim("Encoders that are more aligned and more uniform classify better (figure 5).", needs="digits", minutes=5)
def both_predict_accuracy(lab: Lab) -> Evidence:
    together = _correlations(lab)[0]
    note = f"{3 if lab.scale == 'smoke' else len(GRID)} encoders a seed: loss weights, t and alpha."
    names = ("−(L_align + L_unif) with accuracy", "no relation", "rank correlation")
    return Evidence(together, [0.0] * len(together), *names, note)


COLLAPSED = -0.1  # L_unif above it: hardly any distance is left between images


@claim("It is not the collapsed encoders alone that make it so: among the others the order is the same.",
       needs="digits", minutes=5)  # fmt: skip
def predicts_without_collapse(lab: Lab) -> Evidence:
    found, others = [], []
    for seed in scatter(lab):
        standing = seed[seed[:, 1] < COLLAPSED] if lab.scale != "smoke" else seed
        others.append(len(standing))
        found.append(spearman(-standing[:, 0] - standing[:, 1], standing[:, 2]))
    note = f"Not collapsed: {others} of the encoders."
    names = ("−(L_align + L_unif) with accuracy", "no relation", "rank correlation")
    return Evidence(found, [0.0] * len(found), *names, note)


@claim("Alignment and uniformity together tell more than uniformity alone.", needs="digits", minutes=5)
def more_than_uniformity(lab: Lab) -> Evidence:
    together, _, uniform = _correlations(lab)
    return Evidence(together, uniform, "−(L_align + L_unif)", "−L_unif", "rank correlation with accuracy")


@claim("Alignment and uniformity together tell more than alignment alone.", needs="digits", minutes=5)
def more_than_alignment(lab: Lab) -> Evidence:
    together, align, _ = _correlations(lab)
    return Evidence(together, align, "−(L_align + L_unif)", "−L_align", "rank correlation with accuracy")


@claim("Both losses are needed: either one alone learns less than both (figure 7).", needs="digits", minutes=1)
def both_are_needed(lab: Lab) -> Evidence:
    alone = [max(pair) for pair in zip(lab.scores(ALIGN_ONLY), lab.scores(UNIFORM_ONLY), strict=True)]
    return Evidence(lab.scores(EQUAL), alone, "both", "the better one alone")


@claim("No encoder is more uniform than the floor for so many points (proposition 1).", needs="digits", minutes=5)
def floor_is_never_crossed(lab: Lab) -> Evidence:
    images = lab.material(EQUAL).dataset
    lowest = scatter(lab)[:, :, 1].amin(dim=1).tolist()
    floor = evaluate.uniformity_floor(16, items=len(images.splits["test"]))
    note = "The most uniform encoder of each seed; 16 dimensions, t = 2."
    return Evidence(lowest, [floor] * len(lowest), "lowest L_unif", "floor", "nats", note)


def dense_accuracy(radius: int, seed: int = 0, scenes: int = 96, epochs: int = 40) -> float:
    """Accuracy of 20 neighbours on the object of a patch, in new scenes, after training with pairs of that radius.

    With ``epochs=0`` that of the untrained encoder.
    """
    grids, y, split = _dense_task(seed, scenes)
    with seeded(seed):
        method = DensePairs(radius=radius)
    if epochs:
        batches = Minibatches(patch_grids(scenes, seed=2 * seed + 1)[0], scenes // 3)
        finished(fit(method, batches, epochs=epochs, lr=5e-3, seed=seed, device="cpu", progress=False))
    return evaluate.knn_probe(method.embed(grids), y, split, k=20).mean


def raw_patch_accuracy(seed: int = 0, scenes: int = 96) -> float:
    """The same of the patches themselves: the floor of :func:`dense_accuracy`."""
    grids, y, split = _dense_task(seed, scenes)
    return evaluate.knn_probe(grids.movedim(1, -1).flatten(0, 2), y, split, k=20).mean


def _dense_task(seed: int, scenes: int) -> tuple[Tensor, Tensor, Split]:
    """A quarter of the training scenes and as many new ones, the object of each patch, and who is tested on whom."""
    train, test = patch_grids(scenes, seed=2 * seed + 1), patch_grids(scenes // 4, seed=2 * seed + 2)
    y = torch.cat([train[1][: scenes // 4].flatten(), test[1].flatten()])
    half = len(y) // 2
    split = Split(torch.arange(half), None, torch.arange(half, 2 * half), "new scenes")
    return torch.cat([train[0][: scenes // 4], test[0]]), y, split


@claim("Among patches, pairs from a middling neighbourhood teach more than the same place and than anywhere.",
       needs="nothing", minutes=1)  # fmt: skip
def middling_neighbourhood(lab: Lab) -> Evidence:
    small = {"scenes": 32, "epochs": 1} if lab.scale == "smoke" else {}
    middle = [dense_accuracy(3, seed, **small) for seed in lab.seeds]
    ends = [max(dense_accuracy(radius, seed, **small) for radius in (0, 13)) for seed in lab.seeds]
    floors = [f"{100 * sum(values) / len(values):.0f} %" for values in (
        [raw_patch_accuracy(seed, small.get("scenes", 96)) for seed in lab.seeds],
        [dense_accuracy(3, seed, **small | {"epochs": 0}) for seed in lab.seeds],
    )]  # fmt: skip
    note = "Synthetic 14 × 14 scenes of two objects; radius 3 against the better of 0 and 13. Floors: "
    note += f"{floors[0]} of patches as they are, {floors[1]} of the untrained encoder."
    return Evidence(middle, ends, "within 3 patches", "same place or anywhere", note=note)
