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

from labkit._arguments import checked
from labkit._checks import require_between, require_counts

_EPS = 1e-4  # that VICReg's code adds to a variance before the root
_RANGES = {"std": (0, math.inf), "redundancy": (0, math.inf), "correlation": (-1, 1), "agreement": (-1, 1)}


@checked
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
    require_counts(items=items)
    require_between("std", std, 0, math.inf)
    require_between("correlation", correlation, -1, 1)
    require_between("agreement", agreement, 0, 1)
    shared, *own = torch.randn(3, items, 2, generator=generator, dtype=torch.float64)
    factor = torch.tensor([[1.0, correlation], [0.0, math.sqrt(1 - correlation**2)]], dtype=torch.float64)
    a, b = (std * (math.sqrt(agreement) * shared + math.sqrt(1 - agreement) * noise) @ factor for noise in own)
    return a, b


@checked
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
        std, correlation, agreement: s ≥ 0, c and r in [−1, 1]; numbers or tensors that broadcast.
        invariance, variance, covariance: λ, μ, ν ≥ 0.

    Raises:
        ValueError: an argument outside its range, or shapes that do not broadcast.
    """
    _require_weights(invariance=invariance, variance=variance, covariance=covariance)
    s, c, r = _tensors(std=std, correlation=correlation, agreement=agreement)
    hinge = (1 - (s.square() + _EPS).sqrt()).clamp(min=0)
    return invariance * (2 * s.square() * (1 - r)) + variance * hinge + covariance * (2 * c.square() * s.pow(4))


@checked
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
        agreement: r_i in [−1, 1], correlation of a dimension between the views.
        redundancy: Σ_{j≠i} ρ_ij² s_j² ≥ 0, of its correlations ρ_ij with the other dimensions in its view.
        invariance, variance, covariance: λ, μ, ν ≥ 0.

    Raises:
        ValueError: an argument outside its range, or shapes that do not broadcast.
    """
    _require_weights(invariance=invariance, variance=variance, covariance=covariance)
    r, redundancy = _tensors(agreement=agreement, redundancy=redundancy)
    pull = 4 * invariance * (1 - r) + 8 * covariance * redundancy
    return (variance / pull.clamp(min=1e-12)).clamp(max=1.0)


@checked
def barlow_twins(correlation: Tensor | float, agreement: Tensor | float, off_diagonal: float = 5e-3) -> Tensor:
    """``losses.barlow_twins`` on the model: 2(1 − r)² + λ·2r²c²; the standard deviation is divided out.

    Args:
        correlation, agreement: c and r in [−1, 1]; numbers or tensors that broadcast.
        off_diagonal: λ ≥ 0.

    Raises:
        ValueError: an argument outside its range, or shapes that do not broadcast.
    """
    _require_weights(off_diagonal=off_diagonal)
    c, r = _tensors(correlation=correlation, agreement=agreement)
    return 2 * (1 - r).square() + off_diagonal * 2 * (r * c).square()


@checked
def w_mse(agreement: Tensor | float, dim: int = 2) -> Tensor:
    """``losses.w_mse`` of many items in ``dim`` dimensions of equal agreement: 2 − 2·E cos, whatever s and c are.

    Whitened views are isotropic with the canonical correlations of the views, here all r, and two such Gaussians have
    E cos = Γ((d+1)/2)² / (Γ(d/2) Γ(d/2 + 1)) · r · ₂F₁(½, ½; d/2 + 1; r²), which tends to r as d grows.

    Args:
        agreement: r in [−1, 1]. No gradient flows back to it.
        dim: d, at least 1.

    Raises:
        ValueError: an argument outside its range.
    """
    require_counts(dim=dim)
    (r,) = _tensors(agreement=agreement)
    r = r.detach().cpu()
    scale = math.exp(2 * gammaln((dim + 1) / 2) - gammaln(dim / 2) - gammaln(dim / 2 + 1))
    return 2 - 2 * scale * r * torch.as_tensor(hyp2f1(0.5, 0.5, dim / 2 + 1, r.square().numpy()))


def _tensors(**values: Tensor | float) -> list[Tensor]:
    """As float64, within their ranges and of shapes that broadcast."""
    tensors = {name: torch.as_tensor(value, dtype=torch.float64) for name, value in values.items()}
    for name, tensor in tensors.items():
        low, high = _RANGES[name]
        for end in map(float, tensor.detach().aminmax() if tensor.numel() else ()):
            if not low - 1e-6 <= end <= high + 1e-6:  # a measured correlation of 1 comes out a little above
                require_between(name, end, low, high)
        tensors[name] = tensor.clamp(low, high)
    shapes = [tuple(tensor.shape) for tensor in tensors.values()]
    try:
        torch.broadcast_shapes(*shapes)
    except RuntimeError:
        found = " and ".join(map(str, shapes))
        raise ValueError(f"{' and '.join(tensors)} must have shapes that broadcast, not {found}") from None
    return list(tensors.values())


def _require_weights(**weights: float) -> None:
    for name, weight in weights.items():
        require_between(name, weight, 0, math.inf)
