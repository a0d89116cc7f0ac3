"""Understanding Dimensional Collapse in Contrastive Self-supervised Learning.

Li Jing, Pascal Vincent, Yann LeCun, Yuandong Tian. ICLR 2022.
https://arxiv.org/abs/2110.09348 · code: https://github.com/facebookresearch/directclr
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from labkit.claims import Evidence, Lab, claim
from labkit.theory.factorisation import infonce_plateaus

RECIPES: list = []  # linear toys on Gaussian data

DIM, BATCH, TAU = 16, 128, 0.1  # of the released toys; their temperature is written as dot / 0.1


@lru_cache(maxsize=8)
def train_toy(
    noises: tuple[float, ...], seeds: tuple[int, ...], layers: int = 1, steps: int = 8000, lr: float = 1e-3
) -> Float[Tensor, "noises seeds dim dim"]:
    """Linear encoders after InfoNCE on x ~ N(0, I_16), x' = x + noise on the second half of the coordinates.

    Dot product without normalisation, one direction, fresh batches of 128, SGD: the released toys (their CUDA taken
    out and their random numbers seeded). All noises and seeds are trained at once, with the same x for each noise; a
    seed's numbers do not depend on the others.

    Args:
        noises: standard deviations of the augmentation.
        layers: 1 for W (section 4), 2 for W₂W₁ (section 5).

    Returns:
        the product of the layers.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(*shape: int) -> Tensor:
        return torch.stack([torch.randn(*shape, generator=generator) for generator in generators], dim=-3)

    runs = (len(noises), len(seeds))
    scale = (3 * DIM) ** -0.5  # the spread of nn.Linear's first weights
    first = [scale * draw(DIM, DIM) for _ in range(layers)]
    weights = [weight.expand(*runs, -1, -1) for weight in first]
    strength = torch.tensor(noises)[:, None, None, None] * (torch.arange(DIM) >= DIM // 2)
    mean = torch.eye(BATCH) / BATCH
    for _ in range(steps):
        x, n1, n2 = draw(3, BATCH, DIM)
        a, b = x + strength * n1, x + strength * n2
        whole = weights[0] if layers == 1 else weights[1] @ weights[0]
        za, zb = a @ whole.mT, b @ whole.mT
        residue = (za @ zb.mT / TAU).softmax(dim=-1) / BATCH - mean  # derivative by the similarities, times τ
        gradient = ((residue @ zb).mT @ a + (residue.mT @ za).mT @ b) / TAU
        if layers == 1:
            weights[0] = whole - lr * gradient
        else:
            first, second = weights
            weights = [first - lr * second.mT @ gradient, second - lr * gradient @ first.mT]
    return weights[0] if layers == 1 else weights[1] @ weights[0]


def clean_share(w: Float[Tensor, "*runs dim dim"]) -> Float[Tensor, "*runs"]:
    """Share of ‖W‖² in the columns that the augmentation leaves alone."""
    energy = w.square().sum(dim=-2)
    return energy[..., : DIM // 2].sum(dim=-1) / energy.sum(dim=-1)


def effective_rank(w: Float[Tensor, "*runs dim dim"]) -> Float[Tensor, "*runs"]:
    """exp of the entropy of the singular values' shares (Roy and Vetterli 2007), of the embedding W x."""
    share = torch.linalg.svdvals(w)
    share = share / share.sum(dim=-1, keepdim=True)
    return torch.special.entr(share).sum(dim=-1).exp()


def _toy(lab: Lab, noises: Sequence[float], layers: int = 1) -> Tensor:
    steps = 100 if lab.scale == "smoke" else 8000
    return train_toy(tuple(noises), tuple(lab.seeds), layers, steps)


@claim("Strong augmentation along some directions takes weight away from them (section 4).", needs="nothing", minutes=1)
def strong_augmentation_collapses(lab: Lab) -> Evidence:
    weak, strong = clean_share(_toy(lab, (0.01, 1.5)))
    return Evidence(strong.tolist(), weak.tolist(), "noise 1.5", "noise 0.01", "share of ‖W‖² in the clean half")


@claim("The augmented directions level off at ‖w_j‖² = τγ/σ² (ours).", needs="nothing", minutes=1)
def plateau_is_as_predicted(lab: Lab) -> Evidence:
    w = _toy(lab, (0.01, 1.5))[1]
    measured = w.square().sum(dim=-2)[..., DIM // 2 :].mean(dim=-1)
    right, wrong = infonce_plateaus(torch.ones(2), torch.tensor([1.5**2, 0.0]), TAU)
    errors = [[float((measured[i] / value).log().abs()) for i in range(len(measured))] for value in (right, wrong)]
    return Evidence([-e for e in errors[0]], [-e for e in errors[1]], "with the noise's variance",
                    "as if there were no augmentation", "minus the log error")  # fmt: skip


@claim("A second linear layer slows the growth of the embedding's rank without any strong augmentation (section 5).",
       needs="nothing", minutes=1)  # fmt: skip
def depth_slows_the_rank(lab: Lab) -> Evidence:
    still, ranks = [], []
    for layers in (2, 1):
        start = effective_rank(train_toy((0.1,), tuple(lab.seeds), layers, steps=0))[0]
        end = effective_rank(_toy(lab, (0.1,), layers))[0]
        still.append(((DIM - end) / (DIM - start)).tolist())
        ranks.append(f"{start.mean():.1f} and {end.mean():.1f}")
    note = f"Effective rank at the start and after 8 000 steps: {ranks[0]} for W₂W₁, {ranks[1]} for W, of 16. Training "
    note += "lowers neither; three times as many steps bring W₂W₁ most of the rest."
    return Evidence(*still, "W₂W₁", "W", "share of the dimensions short of 16 at the start that are so still", note)
