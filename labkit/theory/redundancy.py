"""Losses of second moments in closed form: what std, correlation and agreement of dimensions cost.

The model: two dimensions of equal standard deviation s. Within a view they have the correlation c; each has the
correlation r, the *agreement*, with itself in the other view (and r·c with the other dimension there). Everything is
Gaussian with mean zero. :func:`gaussian_views` draws from it; the functions below are the losses' values for very many
items.
"""

import math

import torch
from jaxtyping import Float
from scipy.special import gammaln, hyp2f1
from torch import Tensor

from labkit._checks import require_between

_EPS = 1e-4  # that VICReg's code adds to a variance before the root


def gaussian_views(
    items: int,
    std: float,
    correlation: float,
    agreement: float,
    generator: torch.Generator | None = None,
) -> tuple[Float[Tensor, "items 2"], Float[Tensor, "items 2"]]:
    """Two views drawn from the model, float64.

    Args:
        items: at least 1.
        std: s ≥ 0.
        correlation: c in [−1, 1].
        agreement: r in [0, 1].

    Raises:
        ValueError: an argument outside its range.
    """
    _check(std, correlation, agreement)
    shared, *own = torch.randn(3, items, 2, generator=generator, dtype=torch.float64)
    factor = torch.tensor([[1.0, correlation], [0.0, math.sqrt(1 - correlation**2)]], dtype=torch.float64)
    a, b = (std * (math.sqrt(agreement) * shared + math.sqrt(1 - agreement) * noise) @ factor for noise in own)
    return a, b


def vicreg(
    std: Tensor | float,
    correlation: Tensor | float,
    agreement: Tensor | float,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """``losses.vicreg`` on the model: λ·2s²(1 − r) + μ·max(0, 1 − √(s² + 1e-4)) + ν·2c²s⁴.

    Args:
        std, correlation, agreement: s, c and r; numbers or tensors that broadcast.
        invariance, variance, covariance: λ, μ, ν.
    """
    s, c, r = _tensors(std, correlation, agreement)
    hinge = (1 - (s.square() + _EPS).sqrt()).clamp(min=0)
    return invariance * 2 * s.square() * (1 - r) + variance * hinge + covariance * 2 * c.square() * s.pow(4)


def vicreg_std(
    agreement: Tensor | float,
    redundancy: Tensor | float = 0.0,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> Tensor:
    """The standard deviation at which VICReg's terms balance, for a dimension that can still be rescaled.

    Where the gradient of the loss with respect to the scale of dimension i vanishes,
    s_i = μ / (4λ(1 − r_i) + 8ν Σ_{j≠i} ρ_ij² s_j²), at most 1, where the hinge ends. It holds for any number of
    dimensions: all but the hinge are means, or sums divided by their number. With λ = μ and no redundancy the variance
    of one is held down to an agreement of 3/4, and lost below.

    Args:
        agreement: r_i, correlation of a dimension between the views.
        redundancy: Σ_{j≠i} ρ_ij² s_j² ≥ 0, of its correlations ρ_ij with the other dimensions in its view.
        invariance, variance, covariance: λ, μ, ν.
    """
    r, redundancy = _tensors(agreement, redundancy)
    pull = 4 * invariance * (1 - r) + 8 * covariance * redundancy
    return (variance / pull.clamp(min=1e-12)).clamp(max=1.0)


def barlow_twins(correlation: Tensor | float, agreement: Tensor | float, off_diagonal: float = 5e-3) -> Tensor:
    """``losses.barlow_twins`` on the model: 2(1 − r)² + λ·2r²c²; the standard deviation is divided out."""
    c, r = _tensors(correlation, agreement)
    return 2 * (1 - r).square() + off_diagonal * 2 * (r * c).square()


def w_mse(agreement: Tensor | float, dim: int = 2) -> Tensor:
    """``losses.w_mse`` of many items in ``dim`` dimensions of equal agreement: 2 − 2·E cos, whatever s and c are.

    Whitened views are isotropic with the canonical correlations of the views, here all r, and two such Gaussians have
    E cos = Γ((d+1)/2)² / (Γ(d/2) Γ(d/2 + 1)) · r · ₂F₁(½, ½; d/2 + 1; r²), which tends to r as d grows.

    Args:
        agreement: r in [−1, 1].
        dim: d, at least 1.
    """
    if dim < 1:
        raise ValueError(f"dim must be at least 1, not {dim}")
    (r,) = _tensors(agreement)
    scale = math.exp(2 * gammaln((dim + 1) / 2) - gammaln(dim / 2) - gammaln(dim / 2 + 1))
    return 2 - 2 * scale * r * torch.as_tensor(hyp2f1(0.5, 0.5, dim / 2 + 1, r.square().numpy()))


def _tensors(*values: Tensor | float) -> list[Tensor]:
    return [torch.as_tensor(value, dtype=torch.float64) for value in values]


def _check(std: float, correlation: float, agreement: float) -> None:
    require_between("std", std, 0, math.inf)
    require_between("correlation", correlation, -1, 1)
    require_between("agreement", agreement, 0, 1)
