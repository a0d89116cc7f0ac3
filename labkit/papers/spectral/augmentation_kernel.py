"""Understanding Augmentation-based Self-Supervised Representation Learning via RKHS Approximation and Regression.

Runtian Zhai, Bingbin Liu, Andrej Risteski, Zico Kolter, Pradeep Ravikumar. ICLR 2024.
https://arxiv.org/abs/2306.00788 · no code was released
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from labkit.claims import Evidence, Lab, claim
from labkit.data import load
from labkit.evaluate import Split, linear_probe
from labkit.papers.spectral._ranks import spearman
from labkit.theory import augmentation
from labkit.theory.augmentation import FAMILIES, mask_family, masking_complexity

RECIPES: list = []  # nothing is trained by gradient descent: the encoder is an eigenproblem

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
MASKINGS = [(kind, share) for kind in FAMILIES for share in SHARES]


def enumerated_masks(kind: str, length: int, share: float) -> Float[Tensor, "inputs augmented"]:
    """p(a|x) of a mask family for all 2^length inputs of ±1 tokens and all augmentations.

    A masked token is written as a fair coin. That splits each augmentation into equal copies, which changes neither
    K_X nor its eigenvalues, and makes all blocks of columns alike.
    """
    kept, chance, flip = mask_family(kind, length, share)
    tokens = torch.cartesian_prod(*[torch.tensor([-1, 1])] * length).view(-1, length)
    same = tokens[:, None] == tokens
    seen = same * (1 - 2 * torch.tensor(flip, dtype=torch.float64)) + flip
    per_mask = torch.where(kept[:, None, None], seen, seen.new_tensor(0.5)).prod(dim=-1)
    return (chance[:, None, None] * per_mask).permute(1, 0, 2).flatten(1)


def draw_masks(
    kind: str, share: float, shape: tuple[int, int], generator: torch.Generator
) -> tuple[Bool[Tensor, "items length"], Float[Tensor, "items length"]]:
    """What is kept of each item (one draw each), and the signs of its tokens: −1 where "block + flip" flips."""
    items, length = shape
    if kind == "random":
        return torch.rand(shape, generator=generator) >= share, torch.ones(shape)
    width, place = round(share * length), torch.arange(length)
    start = torch.randint(length - width + 1, (items, 1), generator=generator)
    flip = share / 2 if kind == "block + flip" else 0.0
    return (place < start) | (place >= start + width), 1 - 2.0 * (torch.rand(shape, generator=generator) < flip)


def top_d_encoder(
    x: Float[Tensor, "items dim"],
    train: Tensor,
    kind: str,
    share: float,
    d: int = 16,
    features: int = 256,
    views: int = 8,
    seed: int = 0,
) -> tuple[Float[Tensor, "items d"], Float[Tensor, " d"]]:
    """The top-d eigenfunctions of the augmentation operator among functions of random Fourier features.

    Of all g in the class, those with the largest E[g(A) g(A')] for two augmentations of one x, at E[g(A)²] = 1: a
    generalised eigenproblem, no gradient descent. An item's embedding is √λ_i · E[g_i(A) | x], averaged over ``views``
    draws. Bandwidth: the median distance of two inputs.

    Args:
        x: inputs with mean 0; a masked coordinate becomes 0.
        train: rows that the encoder may see.

    Cost: time O(views · items · features² + features³): 0.1 s for 1 797 digits.
    """
    generator = torch.Generator().manual_seed(seed)
    some = x[train[:500]]
    weight = torch.randn(x.shape[1], features, generator=generator) / torch.pdist(some).median()
    phase = 2 * math.pi * torch.rand(features, generator=generator)
    draws = []
    for _ in range(views):
        kept, sign = draw_masks(kind, share, tuple(x.shape), generator)
        draws.append(torch.cos((x * kept * sign) @ weight + phase))
    seen = torch.stack(draws)
    seen = seen - seen[:, train].mean(dim=(0, 1))
    mine = seen[:, train].double()
    second = torch.einsum("vnf,vng->fg", mine, mine) / (views * len(train))
    total = mine.sum(dim=0)
    across = (total.T @ total / len(train) - views * second) / (views * (views - 1))
    second = second + 1e-4 * second.diagonal().mean() * torch.eye(features)
    root = torch.linalg.inv(torch.linalg.cholesky(second))
    values, vectors = torch.linalg.eigh(root @ across @ root.T)
    values, vectors = values.flip(0)[:d].clamp(min=0), vectors.flip(1)[:, :d]
    return (seen.mean(dim=0).double() @ (root.T @ vectors) * values.sqrt()).float(), values


def token_errors(
    shares: Tensor, length: int = 10, degree: int = 2, labels: int = 100, noise: float = 0.1, seed: int = 0
) -> Float[Tensor, " shares"]:
    """Test error of ridge regression on K_X of random masks, for a random target that joins ``degree`` ±1 tokens.

    The target is a sum of all parities of that degree with random coefficients and norm 1, its labels have noise of
    that variance. K_X(x, x') = Π_j (1 + (1 − α) x_j x'_j); the same draws for every share. What
    :func:`labkit.theory.augmentation.ridge_risk` predicts, less the noise.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * length)
    joined = torch.combinations(torch.arange(length), degree)
    v = torch.randn(len(joined), dtype=torch.float64, generator=generator)
    y = tokens[:, joined].prod(dim=2) @ (v / v.norm())
    rows = torch.randint(len(tokens), (labels,), generator=generator)
    said = y[rows] + noise**0.5 * torch.randn(labels, dtype=torch.float64, generator=generator)
    errors = []
    for share in shares.tolist():
        k = (1 + (1 - share) * tokens[:, None] * tokens[rows]).prod(dim=2)
        fit = torch.linalg.solve(k[rows] + 1e-3 * torch.eye(labels, dtype=torch.float64), said)
        errors.append((k @ fit - y).square().mean())
    return torch.stack(errors)


@lru_cache(maxsize=32)
def digit_maskings(
    seed: int, labels: int = 100, items: int | None = None, **encoder
) -> dict[tuple[str, float], dict[str, float]]:
    """(family, share) -> log2 κ², test accuracy, and train minus test accuracy of a probe on 8 × 8 digits.

    The encoder is :func:`top_d_encoder` on the training images; the probe learns from ``labels`` of them, as many of
    each class, its strength by 5-fold cross-validation on these. κ² is the closed form for 64 uniform ±1 tokens, which
    digits are not: it orders augmentations without looking at the data. ("none", 0.0) is the same without any mask.
    """
    digits = load("digits")
    train, test = (digits.splits[part][:items] for part in ("train", "test"))
    x = digits.images.flatten(1).float() / 255
    x = x - x[train].mean(dim=0)
    shuffled = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))]
    each = [shuffled[digits.labels[shuffled] == digit][: labels // 10] for digit in range(10)]
    chosen = torch.cat(each)
    split, found = Split(chosen, None, test, name=f"{labels} digits"), {}
    for kind, share in [("none", 0.0), *MASKINGS]:
        z, _ = top_d_encoder(x, train, "random" if kind == "none" else kind, share, seed=seed, **encoder)
        score = linear_probe(z, digits.labels, split, select="cross-validation", strengths=(1.0, 16.0, 256.0))
        right = (score.details["predictions"][0] == digits.labels).float()
        complexity = 64.0 if kind == "none" else math.log2(masking_complexity(kind, 64, share))
        gap = float(right[chosen].mean() - right[test].mean())
        found[kind, share] = {"log2_complexity": complexity, "accuracy": score.mean, "gap": gap}
    return found


def _maskings(lab: Lab) -> list[dict]:
    small = {"labels": 50, "items": 200, "features": 48, "views": 2} if lab.scale == "smoke" else {}
    return [digit_maskings(seed, **small) for seed in lab.seeds]


def rank_correlation(found: dict, of: str) -> float:
    """Spearman's, between log κ² and ``of`` over the maskings."""
    rows = [row for (kind, _), row in found.items() if kind != "none"]
    return spearman([row["log2_complexity"] for row in rows], [row[of] for row in rows])


@claim("Masking has κ² = (2−α)^m at random, 2^((1−α)m) in blocks, (α²−2α+2)^((1−α)m) with flips.",
       needs="nothing", minutes=0.1)  # fmt: skip
def complexity_of_masks(lab: Lab) -> Evidence:
    formula, other = [], []
    for seed in lab.seeds:
        share = (1 + seed % 5) / 6
        measured = {kind: augmentation.complexity(enumerated_masks(kind, 6, share)) for kind in FAMILIES}
        digits = [_digits(masking_complexity(kind, 6, share), value) for kind, value in measured.items()]
        formula.append(min(digits))
        other.append(_digits(masking_complexity("random", 6, share), measured["block"]))
    return Evidence(formula, other, "each family's formula", "the random formula for blocks", "correct digits",
                    "All inputs and masks of 6 tokens enumerated, a mask share a seed.")  # fmt: skip


def _digits(found: float, truth: float) -> float:
    return -math.log10(max(abs(found / truth - 1), 1e-16))


@claim("What the top d eigenfunctions miss of a softly invariant target stays below λ_{d+1}/(1−λ_{d+1})·ε/(1−ε).",
       needs="nothing", minutes=0.1)  # fmt: skip
def approximation_bound_holds(lab: Lab) -> Evidence:
    below, below_less = [], []
    for seed in lab.seeds:
        generator = torch.Generator().manual_seed(seed)
        p = torch.rand(12, 20, dtype=torch.float64, generator=generator).pow(4)
        p = p / p.sum(dim=1, keepdim=True)
        marginal = p.mean(dim=0)
        values, functions = augmentation.spectrum(p)
        reaches_it = p.T @ functions[:, 3:4] / marginal[:, None]  # E[φ_4 | a]: the first function that is left out
        g = torch.cat([torch.randn(20, 2000, dtype=torch.float64, generator=generator), reaches_it], dim=1)
        f = p @ g
        epsilon = 1 - f.square().mean(dim=0) / (marginal[:, None] * g.square()).sum(dim=0)
        rest = f - functions[:, :3] @ (functions[:, :3].T @ f / 12)
        missed = rest.square().mean(dim=0) / f.square().mean(dim=0)
        bound = torch.tensor([augmentation.top_d_bound(values, 3, float(e)) for e in epsilon], dtype=torch.float64)
        below.append(float((missed <= bound * (1 + 1e-9)).all()))
        below_less.append(float((missed <= 0.99 * bound).all()))
    return Evidence(below, below_less, "all 2 001 targets below the bound", "... below the bound less 1 %", "yes = 1",
                    "12 inputs, 20 augmentations, d = 3; the control fails since the bound is sharp.")  # fmt: skip


@claim(
    "Augmentations with a smaller κ² give a smaller gap between training and test accuracy.",
    needs="digits",
    minutes=0.5,
    why_not="κ² bounds the worst target; here the gap goes with the error.",
)
def complexity_orders_the_gap(lab: Lab) -> Evidence:
    found = [rank_correlation(one, "gap") for one in _maskings(lab)]
    return Evidence(found, [0.0] * len(found), "rank correlation of κ² and gap", "none", "rank correlation",
                    "15 maskings of 8 × 8 digits, 100 labels, closed-form encoder of 16 dimensions.")  # fmt: skip


@claim("Augmentations with a smaller κ² give a smaller probe error.", needs="digits", minutes=0.5)
def complexity_orders_the_error(lab: Lab) -> Evidence:
    found = [-rank_correlation(one, "accuracy") for one in _maskings(lab)]
    return Evidence(found, [0.0] * len(found), "rank correlation of κ² and error", "none", "rank correlation",
                    "The bound has a second term, how invariant the target is, which κ² knows nothing of.")  # fmt: skip


@claim("An intermediate mask share is better than none and than most of the input.", needs="digits", minutes=0.5)
def interior_share_is_best(lab: Lab) -> Evidence:
    found = _maskings(lab)
    ends = [max(one["none", 0.0]["accuracy"], one["random", 0.9]["accuracy"]) for one in found]
    middle = [one["random", 0.25]["accuracy"] for one in found]
    return Evidence(middle, ends, "a quarter masked", "the better of none and nine tenths", note="Random masks.")


@claim(
    "At the same share, block masks with flips (small κ²) beat random masks (large κ²).",
    needs="digits",
    minutes=0.5,
    why_not=(
        "the bound's second term: half of a digit in one block is a digit lost, so that the target is less invariant."
    ),
)
def smaller_family_is_better(lab: Lab) -> Evidence:
    found = _maskings(lab)
    return Evidence(*([one[kind, 0.5]["accuracy"] for one in found] for kind in ("block + flip", "random")),
                    "block + flip", "random", note="Half of the pixels masked.")  # fmt: skip


@claim("For a target that joins three of ten tokens, masking half is better than almost none or nine tenths (ours).",
       needs="nothing", minutes=0.1)  # fmt: skip
def interior_share_on_tokens(lab: Lab) -> Evidence:
    errors = torch.stack([token_errors(torch.tensor([0.05, 0.5, 0.9]), degree=3, seed=seed) for seed in lab.seeds])
    middle, ends = -errors[:, 1], -errors[:, [0, 2]].amin(dim=1)
    note = "100 noisy labels, ridge regression on K_X."
    return Evidence(middle.tolist(), ends.tolist(), "share 0.5", "the better end", "minus the squared error", note)
