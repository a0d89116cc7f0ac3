"""Contrastive learning is spectral clustering on the pair graph (Tan et al. 2024).

π says how often two objects are drawn as a pair, z where they are put. The loss is the cross-entropy of two random
graphs, and up to a log-partition it is the trace that spectral clustering minimises.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_finite, require_in_range, require_positive


@checked
def laplacian(pi: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """D − (π + πᵀ)/2 for π [n, n], the Laplacian of the pair graph; D holds the row sums of the symmetric part.

    Raises:
        ValueError: π is not square, has negative, NaN or infinite entries.
    """
    check_graph(pi)
    symmetric = (pi + pi.T) / 2
    return torch.diag(symmetric.sum(dim=1)) - symmetric


@checked
def graph_infonce(
    pi: Float[Tensor, "items items"],
    z: Float[Tensor, "items dim"],
    tau: float,
    among: Bool[Tensor, "items items"] | None = None,
) -> Float[Tensor, ""]:
    """Cross-entropy of two random graphs: pairs drawn from π against the kernel graph of z (theorem 3.1).

    H = −Σ_ij π_ij log(k_ij / Σ_{l≠i} k_il), k_ij = exp(−‖z_i − z_j‖² / 2τ), a sum over rows. On the unit sphere k is
    the kernel of InfoNCE with cosine similarity at temperature τ, and on :func:`swap_graph` H / 2n is NT-Xent.
    H = :func:`attraction` + :func:`log_partition`, for any π.

    Args:
        pi: [n, n], π ≥ 0, zero diagonal: how often j is drawn as the positive of i.
        z: [n, dim] embeddings, normalised or not.
        tau: τ > 0.
        among: the pairs that the kernel graph may draw (None: all but the diagonal). With images and texts only the
            cross-modal ones: H / 2n is then CLIP's loss (theorem 4.2).

    Cost: time O(n²·dim), memory O(n²).

    Raises:
        ValueError: π not square, negative or with a diagonal, z of another length, ``tau`` ≤ 0, NaN or infinite values;
            ``among`` leaves out a pair that π draws.
    """
    log_kernel = _checked_log_kernel(pi, z, tau, among)
    asks = pi.any(dim=1)  # ``among`` may leave nothing to the others, whose sum is that of no numbers
    pi, log_kernel = pi[asks], log_kernel[asks]
    log_sum = log_kernel.logsumexp(dim=1)
    return (pi * (log_sum[:, None] - log_kernel.masked_fill(pi == 0, 0))).sum()


@checked
def attraction(pi: Float[Tensor, "items items"], z: Float[Tensor, "items dim"], tau: float) -> Float[Tensor, ""]:
    """tr(Zᵀ L Z) / τ, L of the symmetric part of π: what spectral clustering minimises.

    The paper's L is D − π. For an asymmetric π that is right on the unit sphere only.
    """
    _checked_log_kernel(pi, z, tau)
    return (z * (laplacian(pi) @ z)).sum() / tau


@checked
def log_partition(
    pi: Float[Tensor, "items items"],
    z: Float[Tensor, "items dim"],
    tau: float,
    among: Bool[Tensor, "items items"] | None = None,
) -> Float[Tensor, ""]:
    """Σ_i r_i log Σ_{l≠i} k_il, r_i the row sums of π (1 in the paper): what keeps the embedding from collapsing."""
    asks = pi.any(dim=1)
    log_kernel = _checked_log_kernel(pi, z, tau, among)[asks]
    return (pi[asks].sum(dim=1) * log_kernel.logsumexp(dim=1)).sum()


@checked
def swap_graph(items: int) -> Float[Tensor, "views views"]:
    """π of one batch: 2n views, those of an item i are i and i + n, and each is the other's only positive. Float64."""
    require_counts(items=items)
    return torch.eye(2 * items, dtype=torch.float64).roll(items, 0)


@checked
def balanced(weights: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """D W D with every row sum 1, for a symmetric W ≥ 0: a pair graph π (symmetric Sinkhorn scaling). Float64.

    Raises:
        ValueError: W is not symmetric, or its pattern allows no such scaling (a star's centre can't share with all).
    """
    check_graph(weights, "weights")
    weights = weights.double()
    if not torch.allclose(weights, weights.T):
        raise ValueError("weights must be symmetric; hand in (weights + weights.T) / 2")
    scale = weights.sum(dim=1).rsqrt()
    for _ in range(10_000):
        sums = scale * (weights @ scale)
        if (sums - 1).abs().max() < 1e-13:
            break
        scale = scale / sums.sqrt()
    if not (sums - 1).abs().max() < 1e-9:
        raise ValueError(
            "weights have no scaling to row sums of 1: does a node have no neighbour, or are there leaves?"
        )
    return scale[:, None] * weights * scale


@checked
def planted_graph(
    items: int,
    blocks: int,
    between: float | Float[Tensor, "blocks blocks"] = 0.05,
    jitter: float = 0.3,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "items items"]:
    """A pair graph π with planted clusters: weight 1 within a block and ``between`` across, balanced to rows of 1.

    Blocks are runs of items as equal as they can be; a matrix ``between`` (symmetric) holds the weight of each pair of
    blocks. Each weight is multiplied by a draw from 1 ± ``jitter``, so that no two eigenvalues are the same.
    """
    if isinstance(between, Tensor) and (between.shape != (blocks, blocks) or not torch.equal(between, between.T)):
        raise ValueError(f"between must be a symmetric matrix of {blocks} × {blocks} blocks, not {between}")
    across = torch.as_tensor(between, dtype=torch.float64).expand(max(blocks, 1), max(blocks, 1)).clone()
    if not isinstance(between, Tensor):
        across.fill_diagonal_(1)
    apart = bool(((across >= 0) & (across <= 1e30)).all())
    if not 1 <= blocks <= items or items < 3 or not apart or not 0 <= jitter < 1:
        raise ValueError(
            f"a planted graph needs 3 items or more, 1 to {items} blocks, between in [0, 1e30], jitter in [0, 1); "
            f"not items={items}, blocks={blocks}, between={between}, jitter={jitter}"
        )
    block = torch.arange(items) * blocks // items
    weights = across[block[:, None], block]
    draw = 1 + jitter * (2 * torch.rand(items, items, dtype=torch.float64, generator=generator) - 1)
    half = (weights * draw).triu(1)
    return balanced(half + half.T)


@checked
def nested_graph(
    items: int = 48, near: float = 0.25, far: float = 0.04, generator: torch.Generator | None = None
) -> Float[Tensor, "items items"]:
    """:func:`planted_graph` of two pairs of blocks: weight ``near`` to the twin block, ``far`` to the other pair."""
    require_between("near", near, 0, 1e30)
    require_between("far", far, 0, 1e30)
    within = torch.tensor([[1.0, near], [near, 1.0]], dtype=torch.float64)
    apart = torch.full((2, 2), far, dtype=torch.float64)
    between = torch.cat([torch.cat([within, apart], dim=1), torch.cat([apart, within], dim=1)])
    return planted_graph(items, 4, between, generator=generator)


@checked
def growth_rates(pi: Float[Tensor, "n n"], tau: float) -> tuple[Float[Tensor, " modes"], Float[Tensor, "n modes"]]:
    """How fast each eigenvector of π grows when a small embedding follows the gradient of :func:`graph_infonce`.

    Along v_k (not the constant one), with π v_k = p_k v_k, the amplitude v_kᵀZ grows as exp(rate·t), rate =
    (2/τ)(p_k + 1/(n − 1)): the log-partition lifts all modes alike, the Laplacian orders them. Derived here from the
    second order of the loss at Z = 0; the paper has no dynamics.

    Args:
        pi: symmetric, rows sum to 1 (:func:`balanced` makes one), zero diagonal.

    Returns:
        rates, largest first, and the eigenvectors as columns.

    Raises:
        ValueError: π asymmetric or rows that don't sum to 1.
    """
    check_graph(pi)
    require_positive("tau", tau)
    n = len(pi)
    if not (torch.allclose(pi, pi.T) and torch.allclose(pi.sum(dim=1), pi.new_ones(n), atol=1e-6)):
        raise ValueError("pi must be symmetric with rows that sum to 1; theory.spectral.balanced(weights) makes one")
    values, vectors = torch.linalg.eigh(pi - 3 / n)  # sends the constant vector, whose eigenvalue is 1, to the end
    values, vectors = values[1:].flip(0), vectors[:, 1:].flip(1)
    return 2 / tau * (values + 1 / (n - 1)), vectors


@checked
def infonce_flow(
    pi: Float[Tensor, "items items"],
    z: Float[Tensor, "items dim"],
    tau: float,
    lr: float,
    steps: int,
    every: int | None = None,
    sphere: bool = False,
) -> Float[Tensor, "records items dim"]:
    """Gradient descent on :func:`graph_infonce` over the embedding itself: no network, only the graph.

    Args:
        z: where it starts.
        lr: step size; effective time is lr · steps. Stable below about τ / 4 off the sphere.
        every: steps between records; None: the end only. With a number, record r is the state after r · every steps.
        sphere: rows are put back onto the unit sphere after each step.

    Cost: time O(steps · n² · dim); 50 steps of n = 200 take 10 ms.
    """
    _checked_log_kernel(pi, z, tau)
    require_positive("lr", lr)
    require_counts(steps=steps, every=1 if every is None else every)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    sums, pulls = pi.sum(dim=1, keepdim=True), pi + pi.T
    z = torch.nn.functional.normalize(z, dim=1) if sphere else z
    kept = [z]
    for step in range(1, steps + 1):
        square = z.square().sum(dim=1)
        logits = ((z @ z.T) - (square + square[:, None]) / 2) / tau
        draw = sums * logits.masked_fill_(itself, -torch.inf).softmax(dim=1)
        force = pulls - draw - draw.T  # minus the derivative by the log-kernel, both ways round
        z = z - lr / tau * (force.sum(dim=1, keepdim=True) * z - force @ z)
        z = torch.nn.functional.normalize(z, dim=1) if sphere else z
        if every and step % every == 0:
            kept.append(z)
    if not z.isfinite().all():
        raise ValueError(f"lr={lr:g} is too large for tau={tau:g}: the flow left the range of floats; use lr < tau / 4")
    return torch.stack(kept if every else [z])


@checked(numbers=False)
def subspace_overlap(a: Float[Tensor, "n a"], b: Float[Tensor, "n b"]) -> float:
    """‖Q_aᵀ Q_b‖² / min(ranks), Q orthonormal bases: 1 where one span of columns holds the other, 0 if orthogonal.

    A rank counts the singular values above rounding: max(n, columns) · eps times the largest, eps of the precision of
    a or b (float32 at least).

    Raises:
        ValueError: no column, NaN or infinite values, rank 0: zeros span nothing.
    """
    if 0 in a.shape or 0 in b.shape:
        raise ValueError(f"a and b must have at least one column each, not {list(a.shape)} and {list(b.shape)}")
    qa, qb = _basis("a", a), _basis("b", b)
    return float((qa.T @ qb).square().sum() / min(qa.shape[1], qb.shape[1]))


@checked
def minibatch_gap(
    z: Float[Tensor, "items dim"],
    tau: float,
    negatives: int,
    draws: int = 5000,
    generator: torch.Generator | None = None,
) -> tuple[float, float]:
    """How far InfoNCE with few negatives lies below the loss of the whole graph: (Monte Carlo mean, second-order form).

    E log((1/B) Σ_{b≤B} k_{i,l_b}) − log E k_{i,l}, averaged over anchors i, with B negatives l drawn from the other
    objects with replacement; the positive cancels. By Jensen ≤ 0, and −Var(k) / (2B·E(k)²) for large B.

    Args:
        negatives: B ≥ 1.
        draws: how many sets of negatives, each for a random anchor.

    Cost: time O(n²·dim + draws·B).
    """
    require_positive("tau", tau)
    require_counts(negatives=negatives, draws=draws)
    n = len(z)
    if n < 2:
        raise ValueError(f"z must have at least 2 items, an anchor and another, not {n}")
    log_kernel = _log_kernel(z.double(), tau)
    log_mean = log_kernel.logsumexp(dim=1) - math.log(n - 1)
    log_second = (2 * log_kernel).logsumexp(dim=1) - math.log(n - 1)
    expansion = -(((log_second - 2 * log_mean).exp() - 1) / (2 * negatives)).mean()
    anchor = torch.randint(n, (draws,), generator=generator)
    other = torch.randint(n - 1, (draws, negatives), generator=generator)
    other = other + (other >= anchor[:, None])
    drawn = log_kernel[anchor[:, None], other].logsumexp(dim=1) - math.log(negatives)
    return float((drawn - log_mean[anchor]).mean()), float(expansion)


@checked
def check_graph(pi: Tensor, name: str = "pi") -> None:
    """Refuse anything but a square matrix, at least 2 × 2, of finite weights ≥ 0."""
    if pi.dim() != 2 or pi.shape[0] != pi.shape[1] or len(pi) < 2:
        raise ValueError(f"{name} must be square, at least 2 × 2, not {list(pi.shape)}")
    require_finite(name, pi)
    if (pi < 0).any():
        raise ValueError(f"{name} must hold probabilities or weights ≥ 0, not {pi.min().item()}")


def _basis(name: str, columns: Tensor) -> Float[Tensor, "n rank"]:
    """Orthonormal columns, in float64, that span those given."""
    require_in_range(name, columns, power=4)
    u, singular, _ = torch.linalg.svd(columns.double(), full_matrices=False)
    eps = torch.finfo(torch.promote_types(columns.dtype, torch.float32)).eps
    kept = singular > max(columns.shape) * eps * singular[0]
    if not kept.any():
        raise ValueError(f"{name} has rank 0, and so spans no subspace that could overlap")
    return u[:, kept]


def _log_kernel(z: Tensor, tau: float, among: Tensor | None = None) -> Tensor:
    logs = -torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist").square() / (2 * tau)
    if among is None:
        among = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    return logs.masked_fill(~among, -torch.inf)


def _checked_log_kernel(pi: Tensor, z: Tensor, tau: float, among: Tensor | None = None) -> Tensor:
    check_graph(pi)
    require_positive("tau", tau)
    if pi.diagonal().any():
        raise ValueError("pi must have a zero diagonal: an object is not its own pair")
    if among is not None and (pi.bool() & ~among).any():
        raise ValueError("among leaves out pairs that pi draws: their cross-entropy would be infinite")
    return _log_kernel(z, tau, among)
