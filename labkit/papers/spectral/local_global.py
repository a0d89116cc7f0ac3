"""Contrastive and Non-Contrastive Self-Supervised Learning Recover Global and Local Spectral Embedding Methods.

Randall Balestriero, Yann LeCun. NeurIPS 2022.
https://arxiv.org/abs/2205.11508 · no code was released
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.claims import Evidence, Lab, claim
from labkit.theory.factorisation import laplacian_eigenmaps
from labkit.theory.spectral import laplacian, planted_graph

RECIPES: list = []  # the embedding itself descends; VICReg in a network belongs to the theme of decorrelation


def descend(pi: Tensor, z: Float[Tensor, "n dim"], weight: float, lr: float = 0.05, steps: int = 3000) -> Tensor:
    """Gradient descent on ‖ZᵀHZ/n − I‖² + (2·weight/n)·tr ZᵀLZ over the embedding: VICReg with squared variances."""
    n, operator = len(z), laplacian(pi)
    identity = torch.eye(z.shape[1], dtype=z.dtype)
    for _ in range(steps):
        centred = z - z.mean(dim=0)
        z = z - lr * 4 * (centred @ (centred.T @ centred / n - identity) + weight * operator @ z)
    return z


def _planted(lab: Lab):
    for seed in lab.seeds:
        generator = torch.Generator().manual_seed(seed)
        pi = planted_graph(40, 4, between=0.1, generator=generator)
        yield pi, torch.randn(40, 5, dtype=torch.float64, generator=generator)


def _variances(z: Tensor) -> Tensor:
    return torch.linalg.svdvals(z - z.mean(dim=0)).square() / len(z)


def _digits(found: Tensor, truth: Tensor) -> float:
    return -math.log10(max(float((found - truth).abs().max()), 1e-16))


@claim("VICReg on a free embedding is Laplacian eigenmaps, with variances max(0, 1 − weight·λ_k).",
       needs="nothing", minutes=0.1)  # fmt: skip
def vicreg_is_laplacian_eigenmaps(lab: Lab) -> Evidence:
    closed, whitened = [], []
    for pi, start in _planted(lab):
        found = _variances(descend(pi, start, weight=0.8))
        closed.append(_digits(found, laplacian_eigenmaps(pi, 5, 0.8)[2]))
        whitened.append(_digits(found, torch.ones(5, dtype=torch.float64)))
    return Evidence(closed, whitened, "closed form", "all variances 1", "correct digits", "Weight 0.8, 5 dimensions.")


@claim("A larger weight on invariance drops dimensions: those with weight·λ_k ≥ 1.", needs="nothing", minutes=0.1)
def invariance_drops_dimensions(lab: Lab) -> Evidence:
    strong, weak = [], []
    for pi, start in _planted(lab):
        for weight, found in ((1.5, strong), (0.1, weak)):
            found.append(float((_variances(descend(pi, start, weight)) < 0.01).sum()))
    return Evidence(strong, weak, "weight 1.5", "weight 0.1", "dimensions of 5 that vanish")


@claim("The embedding serves a task as far as the pair graph knows its classes.", needs="nothing", minutes=0.1)
def graph_decides_the_task(lab: Lab) -> Evidence:
    own, shuffled = [], []
    for seed, (pi, start) in zip(lab.seeds, _planted(lab), strict=True):
        z = descend(pi, start[:, :3], weight=0.5)
        block = torch.arange(40) * 4 // 40
        order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
        for labels, found in ((block, own), (block[order], shuffled)):
            target = torch.nn.functional.one_hot(labels).double()
            target = target - target.mean(dim=0)
            basis = torch.linalg.qr(z - z.mean(dim=0)).Q
            found.append(float((basis.T @ target).square().sum() / target.square().sum()))
    return Evidence(
        own, shuffled, "classes of the graph", "the same classes, shuffled", "share of the labels explained"
    )
