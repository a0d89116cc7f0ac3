"""What a contrastive loss promises to a classifier (Arora et al. 2019), exactly, on classes of finitely many points.

Latent classes c are drawn with probability ρ_c; an item and its positive come from one class, each of k negatives from
a class drawn anew. When that is the same class again, the negative is no negative: class collision, with probability τ.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import softplus

from labkit._arguments import checked
from labkit._checks import require_counts, require_known, require_matrix, unknown

KINDS = ("logistic", "hinge")  # of losses
_BITS = 1 / 0.6931471805599453  # 1 / ln 2


@checked
def margin_loss(margins: Float[Tensor, "*items k"], kind: str = "logistic") -> Float[Tensor, "*items"]:
    """ℓ(v) of margins v = f(x)·(f(x⁺) − f(x⁻_i)), i ≤ k (section 2): 1 at v = 0 and k = 1.

    "logistic": log₂(1 + Σ_i exp(−v_i)); "hinge": max(0, 1 + max_i(−v_i)).

    Raises:
        ValueError: another kind.
    """
    if margins.dim() < 1 or not margins.shape[-1]:
        raise ValueError(f"margins must hold at least one margin an item, not {list(margins.shape)}")
    return _margin_loss(margins, kind)


def _margin_loss(margins: Tensor, kind: str) -> Tensor:
    """The same; a margin may be infinite, for a class that is not among the negatives."""
    if kind == "logistic":
        return softplus((-margins).logsumexp(dim=-1)) * _BITS
    if kind == "hinge":
        return (1 - margins.amin(dim=-1)).clamp(min=0)
    raise ValueError(unknown("loss", kind, KINDS, "kind"))


@checked
def collision_probability(rho: Float[Tensor, " classes"], negatives: int = 1) -> float:
    """τ_k = 1 − Σ_c ρ_c (1 − ρ_c)^k: one of k negatives has the item's own class. For k = 1, Σ_c ρ_c².

    Raises:
        ValueError: ρ is not a distribution over at least two classes, ``negatives`` < 1.
    """
    rho = _distribution(rho)
    require_counts(negatives=negatives)
    return (rho * -torch.expm1(negatives * torch.log1p(-rho))).sum().item()


@checked
def collision_loss(rho: Float[Tensor, " classes"], negatives: int = 1, kind: str = "logistic") -> float:
    """E[ℓ(0, ..., 0) · 1{I ≠ ∅}], I the negatives of the item's own class: what no representation can get rid of.

    τ for one negative. The part of the loss that a bound for k negatives takes off (appendix B).

    Raises:
        ValueError: as :func:`collision_probability`; another kind.
    """
    rho = _distribution(rho)
    require_counts(negatives=negatives)
    require_known("loss", kind, KINDS, "kind")
    if kind == "hinge":
        return collision_probability(rho, negatives)
    count = torch.arange(1, negatives + 1, device=rho.device).double()[:, None]
    choose = torch.lgamma(torch.tensor(negatives + 1.0).double()) - (count + 1).lgamma()
    choose = choose - (negatives - count + 1).lgamma()
    chance = (choose + count * rho.log() + (negatives - count) * torch.log1p(-rho)).exp()  # binomial
    return ((chance @ rho) @ torch.log2(1 + count)).item()


@checked
def supervised_bound(loss: float, rho: Float[Tensor, " classes"], negatives: int = 1, kind: str = "logistic") -> float:
    """The most that the mean classifier's loss can be, given the contrastive loss: (L_un − collisions) / (1 − τ_k).

    For one negative (L_un − τ) / (1 − τ), lemma 4.3. It bounds the loss on the task "the item's class against the
    classes of its negatives", drawn as in training given that none is the item's. From Jensen's inequality: for
    one negative it is an equality when classes have no spread.

    Args:
        loss: the contrastive loss, in the unit of ``kind``.
        rho: [classes] class probabilities.
        negatives: k.
        kind: "logistic" (base 2) or "hinge".

    Raises:
        ValueError: as :func:`collision_loss`.

    Example:
        >>> supervised_bound(0.6, torch.full((8,), 1 / 8))
    """
    return (loss - collision_loss(rho, negatives, kind)) / (1 - collision_probability(rho, negatives))


class Losses(NamedTuple):
    """Contrastive loss with one negative: all pairs, those of different classes, those of the same class."""

    total: float
    different: float
    same: float


@checked
def contrastive_losses(
    z: Float[Tensor, "n dim"],
    y: Int64[Tensor, " n"],
    rho: Float[Tensor, " classes"] | None = None,
    kind: str = "logistic",
) -> Losses:
    """L_un, L_un^≠ and L_un^= for one negative, over every triple there is: no sampling.

    x and x⁺ are drawn independently from a class (they can be the same point), x⁻ from a class drawn anew, each uniform
    among the points of its class. L_un = (1 − τ) L_un^≠ + τ L_un^=.

    Args:
        z: [n, dim] representations f(x), not normalised here.
        y: [n] classes 0 ... C − 1, each with at least one point.
        rho: [C] class probabilities; None: the shares in y.
        kind: "logistic" (base 2) or "hinge".

    Cost: time and memory O(n² · n_c) for n_c points a class: 8 classes of 24 points take 20 ms and 10 MB.

    Raises:
        ValueError: classes missing, NaN, another kind, ρ that is no distribution over the classes.
    """
    z, y, rho, weight = _weighted(z, y, rho)
    similarity = z @ z.T
    total = same = 0.0
    for c in range(len(rho)):
        own = (y == c).nonzero().flatten()
        positive, all_others = similarity[own][:, own], similarity[own]  # x of class c
        loss = _margin_loss((positive[:, :, None] - all_others[:, None, :])[..., None], kind)
        mean = loss.mean(dim=(0, 1)) * weight * rho[c]  # over x and x⁺; then as often as x⁻ is drawn
        total += mean.sum().item()
        same += mean[own].sum().item()
    tau = rho.square().sum().item()
    return Losses(total, (total - same) / (1 - tau), same / tau)


class Sampled(NamedTuple):
    """Contrastive loss with k negatives, the mean classifier's loss on the same tasks, share of draws that collide."""

    contrastive: float
    supervised: float
    collisions: float


@checked
def sampled_losses(
    z: Float[Tensor, "n dim"],
    y: Int64[Tensor, " n"],
    negatives: int,
    draws: int = 20_000,
    generator: torch.Generator | None = None,
    rho: Float[Tensor, " classes"] | None = None,
    kind: str = "logistic",
) -> Sampled:
    """Both sides of the bound for k negatives, by drawing items: :func:`contrastive_losses` for more than one.

    The supervised loss is the mean classifier's on "the item's class against the classes of its negatives", over the
    draws without a collision; NaN when every draw has one.

    Args:
        z, y, rho, kind: as in :func:`contrastive_losses`.
        negatives: k.
        draws: tuples (x, x⁺, x⁻_1, ..., x⁻_k); the standard error is the spread of the loss over √draws.
        generator: of the draws, on any device.

    Cost: time and memory O(draws · (k · dim + classes)).

    Raises:
        ValueError: as :func:`contrastive_losses`; ``negatives`` or ``draws`` < 1.
    """
    z, y, rho, _ = _weighted(z, y, rho)
    require_counts(negatives=negatives, draws=draws)
    counts = y.bincount()
    order, first = y.argsort(), counts.cumsum(0) - counts
    where = z.device if generator is None else generator.device
    classes = torch.multinomial(rho.to(where), draws * (negatives + 1), replacement=True, generator=generator)
    classes = classes.unflatten(0, (draws, negatives + 1)).to(z.device)
    drawn = torch.cat([classes[:, :1], classes], dim=1)  # of x, x⁺ and the negatives
    place = torch.rand(drawn.shape, generator=generator, dtype=z.dtype, device=where).to(z.device) * counts[drawn]
    items = order[first[drawn] + place.long().minimum(counts[drawn] - 1)]
    similarity = (z[items[:, :1]] * z[items[:, 1:]]).sum(dim=-1)
    loss = _margin_loss(similarity[:, :1] - similarity[:, 1:], kind)
    own, others = classes[:, :1], classes[:, 1:]
    collides = (own == others).any(dim=1)
    logits = (z @ mean_classifier(z, y).T)[items[:, 0]]
    met = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, others, True)
    margins = (logits.gather(1, own) - logits).masked_fill(~met, torch.inf)
    supervised = _margin_loss(margins[~collides], kind).mean()
    return Sampled(loss.mean().item(), supervised.item(), collides.double().mean().item())


@checked
def mean_classifier(z: Float[Tensor, "n dim"], y: Int64[Tensor, " n"]) -> Float[Tensor, "classes dim"]:
    """W, whose row c is the mean representation of class c: E_{x ~ D_c} f(x).

    Raises:
        ValueError: a class without a point, NaN.
    """
    z, y, rho, _ = _weighted(z, y, None)
    return z.new_zeros(len(rho), z.shape[1]).index_add_(0, y, z) / y.bincount()[:, None]


@checked
def mean_classifier_loss(
    z: Float[Tensor, "n dim"],
    y: Int64[Tensor, " n"],
    rho: Float[Tensor, " classes"] | None = None,
    kind: str = "logistic",
    classifier: Float[Tensor, "classes dim"] | None = None,
) -> float:
    """L^μ_sup: the mean classifier's loss on two classes, averaged over pairs drawn as ρ draws them, given they differ.

    Args:
        z, y, rho, kind: as in :func:`contrastive_losses`.
        classifier: W, a row a class, e.g. :func:`mean_classifier` of training points; None: that of z and y themselves,
            as the theory has it, so that the points are classified by means that they are part of.

    Raises: as :func:`contrastive_losses`. Cost: time O(n · classes).
    """
    z, y, rho, weight = _weighted(z, y, rho)
    if classifier is not None and len(classifier) != len(rho):
        raise ValueError(f"classifier must hold a row for each of the {len(rho)} classes of y, not {len(classifier)}")
    logits = z @ (mean_classifier(z, y) if classifier is None else classifier.to(z)).T
    loss = _margin_loss((logits.gather(1, y[:, None]) - logits)[..., None], kind)
    loss = loss.scatter(1, y[:, None], 0)  # the own class is no task
    return (weight * (loss @ rho)).sum().item() / (1 - rho.square().sum().item())


@checked
def intraclass_deviation(
    z: Float[Tensor, "n dim"], y: Int64[Tensor, " n"], rho: Float[Tensor, " classes"] | None = None
) -> float:
    """s(f) = E_c[√‖Σ_c‖₂ · E_{x ~ D_c}‖f(x)‖]: the spread within classes that the refined bound pays for.

    Theorem 4.5: L^μ_sup ≤ L_un^≠ + β s(f) + η Gen, β = c' τ / (1 − τ), η = 1 / (1 − τ), c' a constant that the paper
    leaves open. ‖Σ_c‖₂ is the largest eigenvalue of the covariance within class c.

    Args, Raises: as :func:`contrastive_losses`.
    """
    z, y, rho, _ = _weighted(z, y, rho)
    total = 0.0
    for c in range(len(rho)):
        own = z[y == c]
        spread = torch.linalg.svdvals(own - own.mean(dim=0))[0] / len(own) ** 0.5
        total += (rho[c] * spread * own.norm(dim=1).mean()).item()
    return total


def _weighted(z: Tensor, y: Int64[Tensor, " n"], rho: Tensor | None):
    """Checked float64 z, y, ρ, and the probability with which each point is drawn."""
    require_matrix("z", z, rows=2)
    if len(y) and y.min() < 0:
        raise ValueError(f"y must hold classes from 0 on, not {int(y.min())}")
    counts = y.bincount()
    if len(counts) < 2 or (counts == 0).any():
        raise ValueError(f"y must use every class from 0 to the highest, at least two; it has {counts.tolist()}")
    rho = counts / len(y) if rho is None else rho
    rho = _distribution(rho.to(z.device))
    if len(rho) != len(counts):
        raise ValueError(f"rho must hold a probability for each of the {len(counts)} classes of y, not {len(rho)}")
    return z.detach().double(), y, rho, (rho / counts)[y]


def _distribution(rho: Tensor) -> Tensor:
    rho = rho.double()
    if len(rho) < 2 or (rho <= 0).any() or abs(rho.sum().item() - 1) > 1e-6:
        raise ValueError(f"rho must hold positive probabilities of at least two classes that add up to 1, not {rho}")
    return rho / rho.sum()
