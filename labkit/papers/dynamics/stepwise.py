"""On the Stepwise Nature of Self-Supervised Learning.

James B. Simon, Maksis Knutins, Liu Ziyin, Daniel Geisz, Abraham J. Fetterman, Joshua Albrecht. ICML 2023.
https://arxiv.org/abs/2303.15438 · the code it names (gitlab, ssl_dynamics) could not be read; all is from its formulas
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from scipy.stats import kendalltau
from torch import Generator, Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.data import ImageSet
from labkit.evaluate import Protocol
from labkit.losses import nt_xent, vicreg
from labkit.methods import Method, inference, scaled
from labkit.models import MLP
from labkit.papers.dynamics._flows import crossings, four_losses, pairs, train_linear
from labkit.papers.dynamics._networks import encoder_scores, linear_barlow_twins, spectra, steps, train_wide
from labkit.recipes import Recipe

VIEWS = 200  # pairs of digits that a network is trained on, the same in every step
EVERY = 10  # steps between snapshots


class Stepwise(Method):
    """Full-batch gradient descent from small weights on fixed pairs of views.

    Args:
        encoder: images [n, channels, h, w] in [0, 1] -> [n, dim], no head.
        loss: ([n, dim], [n, dim]) -> scalar.
        scale: every weight is multiplied by it at the start; below 1 the steps part.

    Shapes:
        forward: all views, the n first ones and then their n partners; ``embed(images)``: [n, dim].
    """

    def __init__(self, encoder: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], scale: float = 0.5):
        super().__init__()
        self.encoder, self.loss = encoder, loss
        with torch.no_grad():
            for weight in self.parameters():
                weight *= scale

    def forward(self, views: Float[Tensor, "views channels height width"]) -> Float[Tensor, ""]:
        return self.loss(*self.encoder(views).chunk(2))

    @inference
    def embed(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return self.encoder(scaled(images))


def views(images: ImageSet, n: int = VIEWS) -> list[Tensor]:
    """The one batch: 2n views of n training digits, each shifted by up to a pixel."""
    x, x2, _ = pairs(images, n)
    return [torch.cat([x, x2]).float().unflatten(1, images.images.shape[1:])]


def perceptron(hidden: int = 256, dim: int = 8) -> nn.Module:
    return nn.Sequential(nn.Flatten(), MLP(64, hidden, dim))


def convolutional(channels: int = 16, dim: int = 8) -> nn.Module:
    """Two convolutions and a linear layer, for 8 × 8 images."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(32 * channels, dim),
    )  # fmt: skip


LOSSES = {
    "barlow-twins": linear_barlow_twins,
    "vicreg": partial(vicreg, invariance=1.0, variance=1.0, covariance=1.0),
    "simclr": partial(nt_xent, temperature=0.5),
}


def _build(images: ImageSet, loss: str, scale: float = 0.5, encoder: Callable[[], nn.Module] = perceptron) -> Stepwise:
    return Stepwise(encoder(), LOSSES[loss], scale)


def _recipe(loss: str, lr: float, epochs: int) -> Recipe:
    return Recipe(
        name=f"stepwise/{loss}-digits",
        data="digits",
        build=partial(_build, loss=loss),
        batches=views,
        training={
            "epochs": epochs,
            "optimizer": partial(torch.optim.SGD, lr=lr),
            "precision": "float32",
            "snapshots": tuple(range(0, epochs + 1, EVERY)),
        },
        protocols={"knn": Protocol.public("knn", k=20)},
        source="ours: two layers in place of ResNet-50, digits in place of STL-10, start and rates our own",
        variant="paper",
        smoke={"epochs": 2 * EVERY, "snapshots": (0, EVERY, 2 * EVERY)},
        smoke_batches=partial(views, n=20),
    )


RECIPES = [_recipe("barlow-twins", 0.05, 2000), _recipe("vicreg", 0.15, 4000), _recipe("simclr", 0.1, 2500)]
BARLOW_TWINS, VICREG, SIMCLR = RECIPES


def with_start(recipe: Recipe, scale: float, **changes) -> Recipe:
    """The same recipe from weights ``scale`` times torch's; other arguments of its network with it."""
    return replace(recipe, build=partial(recipe.build, scale=scale, **changes))


def _linear(lab: Lab, **changes) -> list:
    """A linear encoder trained on digits for each seed, its pairs and its start from the seed."""
    images, small = lab.material(BARLOW_TWINS).dataset, {"d": 3} if lab.scale == "smoke" else {}
    return [train_linear(*pairs(images, 500, seed=s)[:2], seed=s, **changes | small) for s in lab.seeds]


@claim("From a small random start the closed form says when each dimension of a linear encoder is learned.",
       needs="digits", minutes=0.1)  # fmt: skip
def closed_form_tells_the_times(lab: Lab) -> Evidence:
    runs = _linear(lab)
    told = [1 - run.error(run.times_predicted) for run in runs]
    control = [1 - run.error(run.times_of_variance) for run in runs]
    return Evidence(told, control, "from Γ, across views", "the same from Σ, the inputs' variance",
                    "share of a step's time told (median)",
                    note="10 dimensions, start 1e-3, 500 pairs of digits.")  # fmt: skip


@claim("The smaller the start, the nearer are the eigenvalues to their closed form.", needs="digits", minutes=0.1)
def small_starts_fit(lab: Lab) -> Evidence:
    fits = {scale: [1 - (run.eigenvalues - run.predicted.sort(dim=1, descending=True).values).abs().mean().item()
                    for run in _linear(lab, scale=scale)] for scale in (1e-4, 0.1)}  # fmt: skip
    return Evidence(fits[1e-4], fits[0.1], "start 0.0001", "start 0.1", "share: 1 − mean error of an eigenvalue")


@claim("The final encoder spans the leading modes of the cross-view covariance.", needs="digits", minutes=0.1)
def final_subspace_is_gammas(lab: Lab) -> Evidence:
    runs = _linear(lab)
    control = [run.subspace_of_variance for run in runs]
    return Evidence([run.subspace for run in runs], control, "modes of Γ", "principal components of the inputs",
                    "share of the subspace")  # fmt: skip


def _sharper(lab: Lab, recipe: Recipe, sphere: bool = False) -> Evidence:
    found = [
        [steps(*spectra(run, sphere), from_below=sphere) for run in lab.runs(with_start(recipe, scale))]
        for scale in (0.5, 2.0)
    ]
    sharpness = [[run.sharpness for run in runs] for runs in found]
    note = "Median over dimensions; a perceptron on 200 pairs of digits, full batch."
    if sphere:
        counts = " and ".join(f"{sum(len(run.half) for run in runs) / len(runs):.1f}" for runs in found)
        note += f" Embeddings at length 1; of 8 dimensions the {counts} that start below a tenth of their end."
    return Evidence(*sharpness, "weights × 0.5", "weights × 2", "waiting time / rise time", note)


@claim("In a network, a small start makes Barlow Twins' steps sharper.", needs="digits", minutes=1)
def barlow_twins_steps(lab: Lab) -> Evidence:
    return _sharper(lab, BARLOW_TWINS)


@claim("In a network, a small start makes VICReg's steps sharper.", needs="digits", minutes=4)
def vicreg_steps(lab: Lab) -> Evidence:
    return _sharper(lab, VICREG)


@claim("In a network, a small start makes SimCLR's steps sharper.", needs="digits", minutes=5)
def simclr_steps(lab: Lab) -> Evidence:
    return _sharper(lab, SIMCLR, sphere=True)


def _wide(lab: Lab, width: int) -> list:
    images, small = lab.material(BARLOW_TWINS).dataset, {"n": 30, "most": 10} if lab.scale == "smoke" else {}
    return [train_wide(images, width, seed, **small) for seed in lab.seeds]


@claim("The wider a network, the nearer is what it learns to its kernel's closed form.", needs="digits", minutes=0.5)
def width_helps(lab: Lab) -> Evidence:
    wide, narrow = ([run.kernel for run in _wide(lab, width)] for width in (1024, 64))
    return Evidence(wide, narrow, "width 1024", "width 64", "share of the subspace")


@claim("A wide network learns the modes of the pair kernel, not the principal components of the kernel.",
       needs="digits", minutes=0.5)  # fmt: skip
def pair_kernel_is_learned(lab: Lab) -> Evidence:
    runs = _wide(lab, 1024)
    return Evidence([run.kernel for run in runs], [run.variance for run in runs], "pair kernel", "kernel PCA",
                    "share of the subspace", note="Width 1024.")  # fmt: skip


def _encoders(lab: Lab, dim: int, **changes) -> dict[str, list[float]]:
    images = lab.material(BARLOW_TWINS).dataset
    found = [encoder_scores(images, (dim,), seed=seed, **changes) for seed in lab.seeds]
    return {name: [scores[name][0] for scores in found] for name in found[0]}


SAME_VIEWS = "200 images and their classes; 5 nearest neighbours on test digits, shifted as the views are."


@claim("On shifted digits, 5 dimensions of the closed-form encoder beat 5 of kernel PCA on the same views.",
       needs="digits", minutes=0.1)  # fmt: skip
def pairs_beat_kernel_pca_at_5(lab: Lab) -> Evidence:
    found = _encoders(lab, 5)
    return Evidence(found["pairs"], found["views"], "closed form, told the pairs", "kernel PCA", note=SAME_VIEWS)


@claim("On shifted digits, 50 dimensions of the closed-form encoder beat 50 of kernel PCA on the same views.",
       needs="digits", minutes=0.1)  # fmt: skip
def pairs_beat_kernel_pca_at_50(lab: Lab) -> Evidence:
    found = _encoders(lab, 50)
    return Evidence(found["pairs"], found["views"], "closed form, told the pairs", "kernel PCA", note=SAME_VIEWS)


@claim("The closed-form encoder gains over kernel PCA by who is paired with whom: shuffled pairs gain less.",
       needs="digits", minutes=0.1)  # fmt: skip
def the_gain_needs_true_pairs(lab: Lab) -> Evidence:
    gains = []
    for shuffled in (False, True):
        found = _encoders(lab, 5, shuffled=shuffled)
        gains.append([a - b for a, b in zip(found["pairs"], found["views"], strict=True)])
    note = "At 5 dimensions, the same views. With two equal views there is no gain, by algebra."
    return Evidence(*gains, "gain with pairs", "gain with shuffled pairs", note=note)


@claim("On digits that lie centred, 5 dimensions of the closed-form encoder beat kernel PCA of the images as they are.",
       needs="digits", minutes=0.1)  # fmt: skip
def pairs_beat_kernel_pca_of_originals(lab: Lab) -> Evidence:
    found = _encoders(lab, 5, displaced=False)
    note = "The control never sees a shifted image: here the invariance that the pairs teach is of no use."
    return Evidence(found["pairs"], found["originals"], "closed form, told the pairs", "kernel PCA", note=note)


BETA = 2.0  # weight of invariance in the quadratic VICReg of the two claims below


def _random_modes(lab: Lab) -> list[tuple[dict[str, Tensor], Tensor, Tensor, Tensor]]:
    """For each seed 8 modes, correlations 0.3 to 0.95 dealt to random variances: simulated paths, times, ρ, σ."""
    found = []
    for seed in lab.seeds:
        generator = Generator().manual_seed(seed)
        sigma = 0.5 + torch.rand(8, generator=generator, dtype=torch.float64)
        rho = torch.linspace(0.3, 0.95, 8, dtype=torch.float64)[torch.randperm(8, generator=generator)]
        times = torch.linspace(0, 12, 400, dtype=torch.float64)
        start = torch.full_like(sigma, 1e-4)
        names = ["Barlow Twins", "spectral contrastive", "VICReg"]
        found.append((four_losses(sigma, sigma * rho, start, times, BETA, names=names), times, rho, sigma))
    return found


@claim("The spectral contrastive loss is nearer to the order in which Barlow Twins learns modes than VICReg is.",
       needs="nothing", minutes=0.1)  # fmt: skip
def spectral_contrastive_is_nearer(lab: Lab) -> Evidence:
    agreement: dict[str, list[float]] = {"spectral contrastive": [], "VICReg": []}
    for paths, times, *_ in _random_modes(lab):
        reached = {name: crossings(times, path, path[-1] / 2 + 1e-3) for name, path in paths.items()}
        reached = {name: time.nan_to_num(posinf=2 * float(times[-1])) for name, time in reached.items()}
        for name, values in agreement.items():
            values.append(float(kendalltau(reached["Barlow Twins"], reached[name]).statistic))
    return Evidence(*agreement.values(), *agreement, "Kendall's τ with Barlow Twins' order",
                    note=f"8 random modes, simulated flows; quadratic VICReg with β = {BETA}.")  # fmt: skip


@claim("Quadratic VICReg drops modes that both views share (0 < ρ < 1 − 1/β); Barlow Twins learns them.",
       needs="nothing", minutes=0.1)  # fmt: skip
def vicreg_drops_modes(lab: Lab) -> Evidence:
    dropped: dict[str, list[float]] = {"VICReg": [], "Barlow Twins": []}
    for paths, _, rho, sigma in _random_modes(lab):
        weak = rho < 1 - 1 / BETA
        for name, values in dropped.items():
            values.append(float((sigma * paths[name][-1] < 1e-3)[weak].double().mean()))
    return Evidence(
        *dropped.values(), *dropped, "share of such modes not learned", note="8 modes, simulated flows; β = 2."
    )
