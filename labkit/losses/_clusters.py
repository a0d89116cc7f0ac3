"""Losses between two distributions over clusters, one of which is the target: SwAV and DINO. Cost O(n·clusters)."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import may_look, require_counts, require_in_range, require_pair, require_positive
from labkit.losses._precision import without_autocast


@checked(numbers=False)
@torch.no_grad()
@without_autocast
def sinkhorn(
    scores: Float[Tensor, "n clusters"], epsilon: float = 0.05, iterations: int = 3
) -> Float[Tensor, "n clusters"]:
    """Shares of each item among clusters that all get equally much (Caron et al. 2020, "SwAV", equations 3 to 5).

    The maximiser of Σ q·scores + ε·entropy among q whose rows sum to 1 and whose columns sum to n / clusters, by
    alternating the two (Cuturi 2013); rows come last and sum to 1 exactly. Worked out in logarithms, so that no score
    overflows; the released code, lightly and solo-learn exponentiate, with the same value where that is finite.

    Args:
        scores: similarity of items and clusters; no gradient flows through the shares.
        epsilon: > 0; small: nearly hard assignments, and slower to equal columns.
        iterations: at least 0; 0 is a softmax over the clusters.

    Raises:
        ValueError: ``epsilon`` ≤ 0, a negative number of iterations.
    """
    require_positive("epsilon", epsilon)
    require_counts(0, iterations=iterations)
    if 0 in scores.shape:
        raise ValueError(f"scores must hold at least one item and one cluster, not {list(scores.shape)}")
    logs = _over("scores", scores, "epsilon", epsilon)
    n, clusters = logs.shape
    for _ in range(iterations):
        logs = logs - logs.logsumexp(0, keepdim=True) + math.log(n / clusters)
        logs = logs - logs.logsumexp(1, keepdim=True)
    return logs.softmax(1)


@checked(numbers=False)
@without_autocast
def swav(
    a: Tensor, b: Tensor, temperature: float = 0.1, epsilon: float = 0.05, iterations: int = 3
) -> Float[Tensor, ""]:
    """SwAV for two views: each view predicts the other's share of the clusters (Caron et al. 2020, equations 1, 2).

    The mean over items and over the two directions of the cross-entropy from ``sinkhorn(b)`` to softmax(a / τ). The
    released code, lightly and solo-learn give the same value (factor 1); equation 1 of the paper adds the two
    directions (factor 2).

    Args:
        a, b: [n, clusters] scores of the two views: unit embeddings times unit prototypes.
        temperature: τ > 0.
        epsilon, iterations: of ``sinkhorn``. 0 iterations leave nothing that keeps all items from one cluster.

    Raises:
        ValueError: other shapes, fewer than two items, NaN or infinite rows, ``temperature`` or ``epsilon`` ≤ 0.
    """
    require_pair("a", a, "b", b, items=2)
    require_positive("temperature", temperature)
    shares = [sinkhorn(scores, epsilon, iterations) for scores in (a, b)]
    a, b = (_over(name, scores, "temperature", temperature) for name, scores in (("a", a), ("b", b)))
    return (_cross_entropy(shares[1], a) + _cross_entropy(shares[0], b)) / 2


@checked(numbers=False)
@without_autocast
def dino(
    student: Tensor,
    teacher: Tensor,
    center: Float[Tensor, " clusters"] | None = None,
    student_temperature: float = 0.1,
    teacher_temperature: float = 0.04,
) -> Float[Tensor, ""]:
    """DINO: cross-entropy from the teacher's centred, sharpened softmax to the student's (Caron et al. 2021).

    Their equations 1 and 2: −Σ softmax((teacher − center) / τ_t) · log softmax(student / τ_s), mean over items; no
    gradient into the teacher. One direction: ``(dino(s1, t2) + dino(s2, t1)) / 2`` for two views, which is the value of
    the released code, lightly and solo-learn (they average over the pairs of different views).

    Args:
        student, teacher: [n, clusters] outputs of the heads.
        center: the running mean of the teacher's outputs; None: zero.
        student_temperature, teacher_temperature: τ_s and τ_t > 0.

    Raises:
        ValueError: other shapes, NaN or infinite rows, a temperature ≤ 0.
    """
    require_pair("student", student, "teacher", teacher, items=1)
    require_positive("student_temperature", student_temperature)
    require_positive("teacher_temperature", teacher_temperature)
    target = teacher.detach()
    if center is not None:
        if len(center) != teacher.shape[1]:
            raise ValueError(f"center must have one entry for each of {teacher.shape[1]} clusters, not {len(center)}")
        target = target - center
    share = _over("teacher - center", target, "teacher_temperature", teacher_temperature).softmax(1)
    return _cross_entropy(share, _over("student", student, "student_temperature", student_temperature))


def _over(name: str, scores: Tensor, divisor_name: str, divisor: float) -> Tensor:
    """Scores over a temperature: logits that are finite."""
    logits = scores / divisor
    if may_look(logits):
        require_in_range(f"{name} / {divisor_name}", logits)
    return logits


def _cross_entropy(share: Tensor, logits: Tensor) -> Tensor:
    return -(share * F.log_softmax(logits, dim=1)).sum(1).mean()
