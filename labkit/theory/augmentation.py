"""The augmentation operator: what a set of augmentations alone decides about representations (Zhai et al. 2024).

Γ maps a function of augmented inputs to its mean over the augmentations of x, (Γg)(x) = E[g(A) | x]. Its kernel
K_X(x, x') = Σ_a p(a|x) p(a|x') / p(a) has eigenvalues 1 = λ_1 ≥ λ_2 ≥ …; the top eigenfunctions are the best encoder of
their number, and κ² = max_x K_X(x, x) says how complex the augmentation is: the smaller, the fewer labels are needed.
"""

import itertools
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_known, require_positive

FAMILIES = ("random", "block", "block + flip")


@checked
def kernel(p: Float[Tensor, "inputs augmented"]) -> Float[Tensor, "inputs inputs"]:
    """K_X = Σ_a p(a|x1) p(a|x2) / p(a), from p(a|x) as rows, all inputs being equally likely.

    Raises:
        ValueError: rows that are no probabilities.
    """
    marginal = _prior(p) @ p
    reached = marginal > 0
    scaled = p[:, reached] * marginal[reached].rsqrt()
    return scaled @ scaled.T


@checked
def complexity(p: Float[Tensor, "inputs augmented"]) -> float:
    """κ² = max_x K_X(x, x), from 1 (nothing of x is left) to the number of inputs (nothing is changed)."""
    return float(kernel(p).diagonal().max())


@checked
def spectrum(
    p: Float[Tensor, "inputs augmented"],
) -> tuple[Float[Tensor, " inputs"], Float[Tensor, "inputs inputs"]]:
    """Eigenvalues of ΓΓ*, largest (1) first, and eigenfunctions on the inputs as columns, of mean square 1."""
    root = _prior(p).sqrt()
    values, vectors = torch.linalg.eigh(root[:, None] * kernel(p) * root)
    return values.flip(0), vectors.flip(1) / root[:, None]


@checked
def top_d_bound(eigenvalues: Float[Tensor, " modes"], d: int, epsilon: float) -> float:
    """Most of ‖f*‖² that the top d eigenfunctions can miss: λ_{d+1}/(1 − λ_{d+1}) · ε/(1 − ε), or all (derived here).

    Sharp where ε ≤ 1 − λ_{d+1}; beyond that f* may lie outside of them altogether.

    f* = Γg* for a g* with ½E(g*(A) − g*(A'))² ≤ ε‖g*‖² over two augmentations of one x: soft invariance, the only
    thing that is asked of the target.

    Args:
        eigenvalues: of ΓΓ*, largest first.
        d: dimensions of the encoder.
        epsilon: in [0, 1).
    """
    if not 0 <= epsilon < 1:
        raise ValueError(f"epsilon must lie in [0, 1), not {epsilon}")
    require_counts(d=d)
    if not ((eigenvalues > -1e-6) & (eigenvalues < 1 + 1e-6)).all():
        raise ValueError(f"eigenvalues of an augmentation operator lie in [0, 1], not {eigenvalues.aminmax()}")
    following = float(eigenvalues[d]) if d < len(eigenvalues) else 0.0
    if following > 1 - 1e-12:  # more components than dimensions: one of them may be all of f*, however invariant it is
        return 1.0
    return min(1.0, following / (1 - following) * epsilon / (1 - epsilon))


@checked
def mask_family(
    kind: str, length: int, share: float
) -> tuple[Bool[Tensor, "masks length"], Float[Tensor, " masks"], float]:
    """What is kept of ``length`` tokens, how likely each mask is, and the chance that a kept ±1 token is flipped.

    "random": each token is masked with probability ``share``, all 2^length masks. "block": one window of
    round(share · length) neighbours, every place alike. "block + flip": the same, then kept tokens flipped with
    probability share / 2.
    """
    _check_masks(kind, length, share, most=16)
    if kind == "random":
        kept = torch.tensor(list(itertools.product([False, True], repeat=length)))
        count = kept.sum(dim=1).double()
        return kept, (1 - share) ** count * share ** (length - count), 0.0
    width = round(share * length)
    start = torch.arange(length - width + 1)[:, None]
    place = torch.arange(length)
    kept = (place < start) | (place >= start + width)
    return kept, torch.full((len(kept),), 1 / len(kept), dtype=torch.float64), share / 2 if "flip" in kind else 0.0


@checked
def masking_complexity(kind: str, length: int, share: float) -> float:
    """κ² of masking ``length`` uniform ±1 tokens, in closed form; ``share`` α is what is masked.

    "random": (2 − α)^length. "block": 2^kept, kept = length − round(α · length) whole tokens as in :func:`mask_family`.
    "block + flip": (α² − 2α + 2)^kept.
    """
    _check_masks(kind, length, share)
    if kind == "random":
        return (2 - share) ** length
    return (2.0 if kind == "block" else share**2 - 2 * share + 2) ** (length - round(share * length))


@checked
def masking_spectrum(kind: str, length: int, share: float) -> tuple[Tensor, Tensor]:
    """Eigenvalues of ΓΓ* for masked uniform ±1 tokens, one for each set S of tokens, and the sizes |S|.

    The eigenfunctions are the parities Π_{j∈S} x_j, whatever the mask: λ_S = P(S is kept)·(1 − 2·flip)^{2|S|}; for
    random masks (1 − α)^|S|. Masking orders functions by how many tokens they join.

    Returns:
        [2^length] eigenvalues and degrees |S|, largest eigenvalue first. Cost: O(2^length), for blocks times masks.
    """
    if kind == "random":
        _check_masks(kind, length, share, most=16)
        degree = _sizes(length)
        values = (1 - share) ** degree
    else:
        kept, probability, flip = mask_family(kind, length, share)
        bits = 2 ** torch.arange(length)
        sets, open_ = torch.arange(2**length), (kept * bits).sum(dim=1)
        inside = (sets[:, None] & ~open_) == 0
        degree = _sizes(length)
        values = inside.double() @ probability * (1 - 2 * flip) ** (2 * degree)
    order = values.argsort(descending=True, stable=True)
    return values[order], degree[order]


@checked
def ridge_risk(
    eigenvalues: Float[Tensor, " modes"],
    target: Float[Tensor, " modes"],
    labels: int,
    noise: float = 0.0,
    ridge: float = 1e-3,
) -> tuple[float, float]:
    """Expected test error of kernel ridge regression on a kernel with this spectrum: (bias, variance).

    A prediction where the paper has a bound: the eigenlearning equations (Simon et al. 2023, TMLR, "The Eigenlearning
    Framework", section 4.1). With c such that Σ_i λ_i/(λ_i + c) + ridge/c = labels, mode i is learnt to the share
    L_i = λ_i/(λ_i + c); the error is E₀·(Σ (1 − L_i)² v_i² + noise), E₀ = labels / (labels − Σ L_i²).

    Args:
        eigenvalues: of the kernel under P_X, ≥ 0.
        target: coefficients v_i of the target in the eigenfunctions.
        labels: labelled examples n ≥ 1.
        noise: variance of the labels' noise.
        ridge: added to the kernel's diagonal, > 0.

    Returns:
        Σ (1 − L_i)² v_i², what the mean fit misses, and the rest, by which fits differ and noise is fitted; both on
        noisy test labels (subtract ``noise`` for clean ones).
    """
    require_positive("ridge", ridge)
    require_between("noise", noise, 0, 1e30)
    if labels < 1 or (eigenvalues < 0).any():
        raise ValueError(f"labels must be at least 1 and eigenvalues ≥ 0, not {labels} and {eigenvalues.min().item()}")
    distinct, where = eigenvalues.double().unique(return_inverse=True)
    count = torch.bincount(where, minlength=len(distinct)).double()
    low, high = math.log(ridge / labels), math.log((float(eigenvalues.double().sum()) + ridge) / labels)
    for _ in range(60):  # the left side falls as c grows
        c = math.exp((low + high) / 2)
        total = float((count * distinct / (distinct + c)).sum()) + ridge / c
        low, high = ((low + high) / 2, high) if total > labels else (low, (low + high) / 2)
    learnt = eigenvalues.double() / (eigenvalues.double() + c)
    missed = float(((1 - learnt).square() * target.double().square()).sum())
    inflation = labels / (labels - float(learnt.square().sum()))
    return missed, inflation * (missed + noise) - missed


@checked
def complexity_bound(eigenvalues: Float[Tensor, " modes"], target: Float[Tensor, " modes"], labels: int) -> float:
    """κ·‖f*‖_H / √n: the Rademacher complexity of the ball that holds the target (Bartlett and Mendelson 2002).

    The form in which κ² enters the paper's generalisation bounds (their constants are left out), for kernels with the
    same K(x, x) = Σ λ_i = κ² everywhere, as masks have. ‖f*‖²_H = Σ v_i² / λ_i: a small κ² is worth little where it
    is bought with eigenvalues that the target needs. Infinite where one of these is 0.
    """
    require_counts(labels=labels)
    needed = target != 0
    if (eigenvalues < 0).any():
        raise ValueError(f"eigenvalues must be ≥ 0, not {eigenvalues.min().item()}")
    if (eigenvalues[needed] == 0).any():
        return math.inf
    norm = (target[needed].square() / eigenvalues[needed]).sum()
    return float((eigenvalues.sum() * norm / labels).sqrt())


@checked
def overlap_graph(views: Float[Tensor, "views items dim"], noise: float) -> Float[Tensor, "items items"]:
    """How much the augmentations of two items overlap: A_ij = ∫ p(a|x_i) p(a|x_j) da, scaled to a largest entry of 1.

    An augmentation draws one of the given views and adds Gaussian noise of standard deviation ``noise`` to every
    coordinate, so that the integral is a mean of exp(−‖v_i − w_j‖² / 4·noise²) over all pairs of views: the population
    augmentation graph of HaoChen et al. 2021, with no sampling.

    Cost: time O(views² · items² · dim), memory O(views · items²).
    Precision: float32 is wrong by about 1e-7 · (largest distance from the mean / noise)² of an entry.
    """
    require_positive("noise", noise)
    if 0 in views.shape:
        raise ValueError(f"views must hold at least one view of one item, not {list(views.shape)}")
    count, items, _ = views.shape
    flat = views.flatten(0, 1)
    flat = (flat - flat.mean(dim=0)) / (2 * noise)
    half = flat.square().sum(dim=1)
    total = flat.new_zeros(items, items)
    parts = list(zip(flat.split(items), half.split(items), strict=True))
    for first, (v, square_v) in enumerate(parts):  # a pair of views counts once for each order
        rest, square = flat[first * items :], half[first * items :]
        logs = torch.addmm(-(square_v[:, None] + square), v, rest.T, alpha=2)
        block = logs.clamp_(max=0).exp_().view(items, count - first, items)
        total += block[:, 0] + (block[:, 1:].sum(dim=1) + block[:, 1:].sum(dim=1).T if count - first > 1 else 0)
    total = (total + total.T) / 2
    return total / total.max()


def _check_masks(kind: str, length: int, share: float, most: int | None = None) -> None:
    require_known("mask family", kind, FAMILIES, "kind")
    require_between("share", share, 0, 1)
    if length < 1 or (most and length > most):
        raise ValueError(f"length must be at least 1 token{f', at most {most}' if most else ''}, not {length}")


def _sizes(length: int) -> Tensor:
    sets = torch.arange(2**length)
    return sum(((sets >> j) & 1 for j in range(length)), torch.zeros_like(sets)).double()


def _prior(p: Tensor) -> Tensor:
    """P_X, uniform over the rows of ``p``, once they are seen to be probabilities."""
    if 0 in p.shape:
        raise ValueError(f"p must hold at least one input and one augmented one, not {list(p.shape)}")
    if (p < 0).any() or not torch.allclose(p.sum(dim=1), p.new_ones(len(p)), atol=1e-6):
        raise ValueError("p must hold probabilities p(a|x): rows ≥ 0 that sum to 1")
    return p.new_full((len(p),), 1 / len(p))
