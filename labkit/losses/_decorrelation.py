"""No negatives: the batch's covariance keeps the embedding from collapsing. Cost O(n·dim²) time, O(dim²) memory."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import may_look, require_between, require_counts, require_in_range, require_pair
from labkit._processes import from_first
from labkit.losses._precision import unit_rows, without_autocast


@checked(numbers=False)
@without_autocast
def barlow_twins(a: Tensor, b: Tensor, off_diagonal: float = 5e-3) -> Float[Tensor, ""]:
    """Barlow Twins (Zbontar et al. 2021, equations 1 and 2): the views' cross-correlation is pulled to the identity.

    Σ_i (1 − C_ii)² + ``off_diagonal`` · Σ_{i≠j} C_ij² with C = Âᵀ B̂ / n. Standard deviations are over n, as in the
    paper's code (a batch norm without affine part), so that C_ii = 1 for equal views. lightly gives the same value
    since its #1806 (2025; before, both views shared one mean and deviation); solo-learn multiplies by ``scale_loss``
    (0.025 by default); stable-pretraining divides by the n − 1 deviation before the mean over n, which shrinks C by
    (n − 1)/n.

    Args:
        a, b: [n, dim], n ≥ 2, not normalised.
        off_diagonal: λ ≥ 0, weight of the redundancy term.

    Raises:
        ValueError: other shapes, one item, NaN or infinite rows, ``off_diagonal`` < 0.
    """
    require_pair("a", a, "b", b, items=2)
    require_between("off_diagonal", off_diagonal, 0, float("inf"))
    correlation = _standardised(a).T @ _standardised(b) / len(a)
    squared = correlation.square()
    diagonal = correlation.diagonal()
    return (1 - diagonal).square().sum() + off_diagonal * (squared.sum() - diagonal.square().sum())


@checked(numbers=False)
@without_autocast
def vicreg(
    a: Tensor,
    b: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Float[Tensor, ""]:
    """VICReg (Bardes et al. 2022, equations 1 to 6): invariance, variance and covariance terms.

    Conventions of the paper's code: the invariance term is the mean over items and dimensions; the hinge
    max(0, 1 − √(var + 1e-4)) is averaged over dimensions and over the two views; the squared off-diagonal covariances
    are summed over both views and divided by dim; variances and covariances over n − 1. lightly and stable-pretraining
    give the same value; solo-learn adds the two variance halves without averaging: ``variance=50`` here gives its 25.

    Args:
        a, b: [n, dim], n ≥ 2, not normalised.
        invariance, variance, covariance: weights ≥ 0 of the three terms.

    Raises:
        ValueError: other shapes, one item, NaN or infinite rows, a negative weight.
    """
    require_pair("a", a, "b", b, items=2, power=4)
    for name, weight in (("invariance", invariance), ("variance", variance), ("covariance", covariance)):
        require_between(name, weight, 0, float("inf"))
    hinge = sum(F.relu(1 - (view.var(dim=0) + 1e-4).sqrt()).mean() for view in (a, b)) / 2
    redundancy = sum(_off_diagonal_squares(_covariance(view)) for view in (a, b)) / a.shape[1]
    return invariance * F.mse_loss(a, b) + variance * hinge + covariance * redundancy


@checked(numbers=False)
@without_autocast
def w_mse(
    *views: Tensor, size: int | None = None, eps: float = 0.0, generator: torch.Generator | None = None
) -> Float[Tensor, ""]:
    """W-MSE (Ermolov et al. 2021, equations 3 to 6): each view is whitened, then pulled to the others by cosine.

    Whitening is by the Cholesky factor of the covariance (over n − 1), in random sub-batches of ``size`` that all views
    share; the value is the mean of 2 − 2·cos over items and pairs of views. The authors' code is the same with
    ``w_iter=1``; solo-learn's default detaches the second view; stable-pretraining whitens by an eigendecomposition
    (eps 1e-3), another rotation of the same whitened items.

    Args:
        views: two or more, each [n, dim].
        size: items that are whitened together; a divisor of n, larger than dim. None: the whole batch.
        eps: the covariance is shrunk to (1 − eps)·Σ + eps·I. Above 0 the loss also falls where an encoder shrinks its
            output until eps·I is all there is.
        generator: draws the sub-batches; of several processes that of the first.

    Cost: time O(d·n·dim² + d²·n·dim + d·(n / size)·dim³) for d views.

    Raises:
        ValueError: one view, other shapes, ``size`` not larger than dim or not a divisor of n, NaN or infinite rows, a
            singular covariance.
    """
    if len(views) < 2:
        raise ValueError(f"w_mse compares at least 2 views, not {len(views)}; hand them in one by one: w_mse(a, b, c)")
    for number, view in enumerate(views[1:], start=1):
        require_pair("view 0", views[0], f"view {number}", view, items=2)
    require_between("eps", eps, 0, 1)
    n = len(views[0])
    size = n if size is None else size
    require_counts(size=size)
    if n % size:
        raise ValueError(f"size must divide the batch: {n} items do not split into sub-batches of {size}")
    stacked = torch.stack(views)
    if size < n:
        order = torch.randperm(n, generator=generator).to(stacked.device)
        stacked = stacked[:, from_first(order)]  # processes that hold the whole batch whiten the same items together
    white = unit_rows(whiten(stacked.unflatten(1, (-1, size)), eps))
    # the sum of cosines over pairs of views is (|sum of views|² − |each view|²) / 2; a view at the mean has length 0
    d = len(views)
    cosines = (white.sum(0).square().sum(-1) - white.square().sum(-1).sum(0).round()) / (d * (d - 1))
    return 2 - 2 * cosines.mean()


@checked(numbers=False)
@without_autocast
def whiten(x: Float[Tensor, "... items dim"], eps: float = 0.0) -> Float[Tensor, "... items dim"]:
    """Items of mean zero whose covariance (over n − 1) is the identity: W-MSE's whitening (Ermolov et al. 2021, eq. 6).

    By the inverse Cholesky factor of the covariance. Leading dimensions are batches, each whitened for itself.

    Args:
        x: [..., n, dim], n > dim.
        eps: the covariance is shrunk to (1 − eps)·Σ + eps·I first; with eps > 0 the result is white up to that, and no
            longer whatever the scale of x is.

    Cost: time O(n·dim² + dim³) a batch.
    Precision: float64 inside. In training variances come to lie 10^7 apart, which is singular in float32.

    Raises:
        ValueError: n ≤ dim, ``eps`` outside [0, 1], NaN or infinite items, a singular covariance.
    """
    require_between("eps", eps, 0, 1)
    n, dim = x.shape[-2:]
    if n <= dim:
        raise ValueError(
            f"x must hold more items than dimensions: a whitened sub-batch of {n} items has no full-rank covariance in "
            f"{dim} dimensions; use size > {dim} or a narrower projector"
        )
    if may_look(x):
        require_in_range("x", x)
    centred = x.double()
    centred = centred - centred.mean(dim=-2, keepdim=True)
    covariance = centred.mT @ centred / (n - 1)
    shrunk = (1 - eps) * covariance + eps * torch.eye(dim, dtype=centred.dtype, device=x.device)
    factor, failed = torch.linalg.cholesky_ex(shrunk)
    if failed.any().item():
        raise ValueError("the covariance of a whitened sub-batch is singular: the embedding has collapsed onto fewer "
                         "dimensions than it has; lower the learning rate, or whiten more items")  # fmt: skip
    return torch.linalg.solve_triangular(factor, centred.mT, upper=False).mT.to(x.dtype)


def _standardised(x: Tensor) -> Tensor:
    x = x - x.mean(dim=0)
    return x / x.square().mean(dim=0).clamp(min=1e-10).sqrt()  # clamped before the root: that of 0 has no gradient


def _covariance(x: Tensor) -> Tensor:
    x = x - x.mean(dim=0)
    return x.T @ x / (len(x) - 1)


def _off_diagonal_squares(matrix: Tensor) -> Tensor:
    return matrix.square().sum() - matrix.diagonal().square().sum()
