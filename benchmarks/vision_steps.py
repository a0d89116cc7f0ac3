"""A training step of SimCLR, Barlow Twins and VICReg, views included: 256 images of 32 × 32, ResNet-8 of width 16.

Against lightly's losses and views around the same network (each image by PIL, in the main process: a loader's workers
would take the same cores), and against the loss as one writes it around the same network and our views. Peers are in
float32 as their examples are; ours is as ``fit`` runs it, bfloat16 where the processor has it, and in float32.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks._bench import Missing, Row, alternate, training_step
from benchmarks._lightly import GET, have_lightly
from labkit import losses
from labkit.methods import TwoView
from labkit.models import MLP, resnet8
from labkit.train import has_bfloat16, memory_kept
from labkit.views import simclr

NAME = "vision steps"
THEIRS = "lightly's views and loss, float32"
ITEMS, SIDE, TEMPERATURE = 256, 32, 0.5
OURS = {
    "SimCLR": partial(losses.nt_xent, temperature=TEMPERATURE),
    "Barlow Twins": losses.barlow_twins,
    "VICReg": losses.vicreg,
}


def nt_xent(a: Tensor, b: Tensor) -> Tensor:
    z = F.normalize(torch.cat([a, b]))
    logits = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z), device=z.device).roll(len(a)))


def barlow_twins(a: Tensor, b: Tensor) -> Tensor:
    a, b = ((z - z.mean(0)) / z.std(0, unbiased=False) for z in (a, b))
    correlation = a.T @ b / len(a)
    diagonal = correlation.diagonal()
    return (diagonal - 1).square().sum() + 5e-3 * (correlation.square().sum() - diagonal.square().sum())


def vicreg(a: Tensor, b: Tensor) -> Tensor:
    variance = covariance = 0
    for z in (a, b):
        variance = variance + torch.relu(1 - (z.var(0) + 1e-4).sqrt()).mean() / 2
        matrix = torch.cov(z.T)
        covariance = covariance + (matrix.square().sum() - matrix.diagonal().square().sum()) / z.shape[1]
    return 25 * F.mse_loss(a, b) + 25 * variance + covariance


PLAIN = {"SimCLR": nt_xent, "Barlow Twins": barlow_twins, "VICReg": vicreg}


def step(view: Callable, loss: Callable, bfloat16: bool = False) -> Callable:
    """One step of the same network under a view and a loss."""
    torch.manual_seed(0)
    method = TwoView(resnet8(16, 3), MLP(64, 128, 64), view, loss)
    optimizer = torch.optim.Adam(method.parameters(), fused=True)
    images = torch.randint(0, 256, (ITEMS, 3, SIDE, SIDE), dtype=torch.uint8)
    return training_step(method, images, optimizer, bfloat16)


def lightly_view() -> Callable[[Tensor], Tensor]:
    """lightly's SimCLR views with the settings of ``views.simclr(32)``; one view of each image a call."""
    from lightly.transforms import SimCLRTransform
    from torchvision.transforms.functional import to_pil_image

    transform = SimCLRTransform(input_size=SIDE, cj_strength=0.5, gaussian_blur=0.0).transforms[0]
    return lambda images: torch.stack([transform(to_pil_image(image)) for image in images])


def lightly_losses() -> dict[str, Callable]:
    from lightly import loss

    theirs = {"SimCLR": loss.NTXentLoss(TEMPERATURE), "Barlow Twins": loss.BarlowTwinsLoss()}
    return theirs | {"VICReg": loss.VICRegLoss()}


def main(repeats: int = 5) -> Iterator[Row | Missing]:
    bfloat16 = has_bfloat16(torch.device("cpu"))
    peers = lightly_losses() if have_lightly() else {}
    for name, loss in OURS.items():
        ours = {"float32": step(simclr(SIDE), loss)}
        if bfloat16:
            ours["as in fit, bfloat16"] = step(simclr(SIDE), loss, bfloat16=True)
        for precision, once in ours.items():
            entry, asked = f"{name} step, views included, {precision}", 2 if name == "SimCLR" else None
            why = "the same network is nearly all of it" if precision == "float32" else ""
            with memory_kept():  # as in fit
                if peers:
                    theirs = step(lightly_view(), peers[name])
                    times = alternate(once, theirs, repeats)
                    yield Row(entry, THEIRS, *times, at_least=asked, why=why)
                else:
                    yield Missing(entry, THEIRS, GET)
                plain = step(simclr(SIDE), PLAIN[name])
                yield Row(entry, "the plain loss, our views", *alternate(once, plain, repeats), why=why)
