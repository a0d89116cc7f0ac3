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
from labkit.theory.spectral import laplacian, planted_graph, subspace_overlap

RECIPES: list = []  # the embedding itself descends; VICReg in a network belongs to the theme of decorrelation


def descend(
    pi: Tensor, z: Float[Tensor, "n dim"], weight: float, lr: float = 0.05, steps: int = 3000, still: float = 0.0
) -> Tensor:
    """Gradient descent on ‖ZᵀHZ/n − I‖² + (2·weight/n)·tr ZᵀLZ over the embedding: VICReg with squared variances.

    Stops before ``steps`` once the gradient is nowhere larger than ``still``.
    """
    n, operator = len(z), laplacian(pi)
    identity = torch.eye(z.shape[1], dtype=z.dtype)
    for _ in range(steps):
        centred = z - z.mean(dim=0)
        slope = 4 * (centred @ (centred.T @ centred / n - identity) + weight * operator @ z)
        if slope.abs().max() <= still:
            break
        z = z - lr * slope
    return z


def _planted(lab: Lab):
    for seed in lab.seeds:
        generator = torch.Generator().manual_seed(seed)
        pi = planted_graph(40, 4, between=0.1, generator=generator)
        yield pi, torch.randn(40, 5, dtype=torch.float64, generator=generator)


def _variances(z: Tensor) -> Tensor:
    return torch.linalg.svdvals(z - z.mean(dim=0)).square() / len(z)


def gram_digits(found: Float[Tensor, "n dim"], truth: Float[Tensor, "n dim"]) -> float:
    """−log10 of the relative error of the inner products, centred: what two embeddings share up to a rotation."""
    found, truth = ((z - z.mean(dim=0)) @ (z - z.mean(dim=0)).T for z in (found, truth))
    return -math.log10(max(float((found - truth).norm() / truth.norm()), 1e-16))


@claim("VICReg on a free embedding is Laplacian eigenmaps, with variances max(0, 1 − weight·λ_k).",
       needs="nothing", minutes=0.5)  # fmt: skip
def vicreg_is_laplacian_eigenmaps(lab: Lab) -> Evidence:
    closed, whitened, overlaps = [], [], []
    for pi, start in _planted(lab):
        found = descend(pi, start, weight=0.8, steps=100 if lab.scale == "smoke" else 200_000, still=1e-9)
        _, z, variance = laplacian_eigenmaps(pi, 5, 0.8)
        closed.append(gram_digits(found, z))
        whitened.append(gram_digits(found, z / variance.sqrt()))
        overlaps.append(subspace_overlap(found - found.mean(dim=0), z))
    note = "Of all inner products, so of directions and variances. Weight 0.8, 5 dimensions, descent until it stands "
    note += f"still; the subspaces overlap up to {max(1 - min(overlaps), 1e-16):.0e}."
    return Evidence(closed, whitened, "closed form", "same directions, all variances 1", "correct digits", note)


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
