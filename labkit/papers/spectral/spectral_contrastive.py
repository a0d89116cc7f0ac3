"""Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss.

Jeff Z. HaoChen, Colin Wei, Adrien Gaidon, Tengyu Ma. NeurIPS 2021.
https://arxiv.org/abs/2106.04156 · code: https://github.com/jhaochenz96/spectral_contrastive_learning

The loss is :func:`labkit.losses.spectral_contrastive`; what it does on a known augmentation graph is here.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.claims import Evidence, Lab, claim
from labkit.theory import factorisation
from labkit.theory.spectral import planted_graph, subspace_overlap

RECIPES: list = []  # the embedding itself is what descends here; the loss in a network is TwoView's affair


def descend(pi: Tensor, f: Float[Tensor, "n dim"], lr: float = 0.05, steps: int = 2000) -> Float[Tensor, "n dim"]:
    """Gradient descent on the population loss over F = D^(1/2) f: F ← F + 4·lr·(Ā − FFᵀ) F."""
    adjacency = factorisation.normalised_adjacency(pi)
    root = pi.sum(dim=1, keepdim=True).div(pi.sum()).sqrt()
    big = root * f
    for _ in range(steps):
        big = big + 4 * lr * (adjacency @ big - big @ (big.T @ big))
    return big / root


def _planted(lab: Lab):
    for seed in lab.seeds:
        generator = torch.Generator().manual_seed(seed)
        pi = planted_graph(40, 4, generator=generator)
        uneven = 0.5 + torch.rand(40, dtype=torch.float64, generator=generator)
        yield uneven[:, None] * pi * uneven, generator


@claim("The spectral contrastive loss is ‖Ā − FFᵀ‖² less a constant, F = D^(1/2) f (lemma 3.2).",
       needs="nothing", minutes=0.1)  # fmt: skip
def loss_is_a_factorisation(lab: Lab) -> Evidence:
    scaled, plain = [], []
    for pi, generator in _planted(lab):
        f = torch.randn(40, 4, dtype=torch.float64, generator=generator)
        loss, a = factorisation.spectral_contrastive(pi, f), factorisation.normalised_adjacency(pi)
        for root, found in ((pi.sum(dim=1, keepdim=True).div(pi.sum()).sqrt(), scaled), (40**-0.5, plain)):
            big = root * f
            value = (a - big @ big.T).square().sum() - a.square().sum()
            found.append(-float((value / loss - 1).abs().clamp(min=1e-16).log10()))
    return Evidence(scaled, plain, "F = D^(1/2) f", "every object weighted alike", "correct digits")


@claim("Gradient descent on the loss finds the top eigenvectors of Ā.", needs="nothing", minutes=0.1)
def descent_finds_the_eigenvectors(lab: Lab) -> Evidence:
    top, next_ones = [], []
    for pi, generator in _planted(lab):
        f = descend(pi, 0.1 * torch.randn(40, 4, dtype=torch.float64, generator=generator))
        big = pi.sum(dim=1, keepdim=True).sqrt() * f
        vectors = torch.linalg.eigh(factorisation.normalised_adjacency(pi)).eigenvectors.flip(1)
        top.append(subspace_overlap(big, vectors[:, :4]))
        next_ones.append(subspace_overlap(big, vectors[:, 4:8]))
    return Evidence(top, next_ones, "the first four", "the next four", "overlap of four dimensions")


@claim("A linear probe on the top d eigenvectors of Ā misses at most φ/(1 − λ_{d+1}) of the labels, φ how often a pair "
       "has two.", needs="nothing", minutes=0.1)  # fmt: skip
def probe_bound_holds(lab: Lab) -> Evidence:
    room, by_half = [], []
    for pi, generator in _planted(lab):
        label_sets = [torch.arange(40) * 4 // 40, torch.randint(4, (40,), generator=generator)]
        results = [factorisation.probe_residual(pi, y, dim) for y in label_sets for dim in range(1, 40)]
        room.append(float(all(residual <= bound for residual, bound in results)))
        by_half.append(float(all(residual <= bound / 2 for residual, bound in results)))
    return Evidence(room, by_half, "below the bound at every d", "below half the bound", "yes = 1",
                    "Planted and random labels of 40 objects, d from 1 to 39.")  # fmt: skip
