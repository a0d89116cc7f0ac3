"""One symmetric operator, then one logistic curve a mode: how four losses train a linear encoder.

For f(x) = W x with rows of W along a mode of the data, u = s² (the squared singular value of W on that mode) obeys
du/dt = r u (1 − u/u*) under gradient flow. The losses differ in the rate r and the plateau u* alone, which follow from
two numbers of the mode: its variance σ and its covariance across the two views γ, with ρ = γ/σ their correlation.

| loss                                              | rate r           | plateau u*        | variance at the end σu* |
|---------------------------------------------------|------------------|-------------------|-------------------------|
| Barlow Twins, linear: ‖W Γ Wᵀ − I‖²               | 8 γ              | 1 / γ             | 1 / ρ                   |
| spectral contrastive: −2 tr W Γ Wᵀ + tr (W Σ Wᵀ)² | 8 γ              | γ / σ²            | ρ                       |
| VICReg, quadratic: ‖W Σ Wᵀ − I‖² + β E‖W(x − x')‖²| 8 σ (1 − β(1−ρ)) | (1 − β(1−ρ)) / σ  | 1 − β(1 − ρ)            |
| InfoNCE, dot product, second order in W           | 4 γ / τ          | τ γ / σ²          | τ ρ                     |

Exact where Σ and Γ commute and W starts aligned; elsewhere the same formulas with matrices in the place of σ and γ
(8 Γ, 8 Γ, 8 ((1 − β) Σ + β Γ), 4 Γ/τ) are what a small W grows by. A mode with r ≤ 0 is dropped.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_finite, require_positive


class Modes(NamedTuple):
    """Rate r (an inverse time) and plateau u* (a squared singular value) of each mode; both ≤ 0 where it is dropped."""

    rate: Float[Tensor, " modes"]
    plateau: Float[Tensor, " modes"]


@checked
def cross_covariance(
    x: Float[Tensor, "items dim"], x2: Float[Tensor, "items dim"], center: bool = True
) -> Float[Tensor, "dim dim"]:
    """Γ = (1/2n) Σ (x_i x'_iᵀ + x'_i x_iᵀ), the symmetric covariance across views (Simon et al. 2023, section 4).

    ``cross_covariance(x, x)`` of both views stacked is their covariance Σ.

    Args:
        x, x2: [items, dim], the two views, row i of both from item i.
        center: take the mean of all 2n rows off first. The paper's linear loss does not; on data with a mean, its
            first mode is then nearly a constant function. Practical losses centre by batch norm.

    Raises:
        ValueError: other shapes, NaN or infinite values.
    """
    if 0 in x.shape:
        raise ValueError(f"x must hold at least one item of one dimension, not {list(x.shape)}")
    if center:
        mean = (x.mean(dim=0) + x2.mean(dim=0)) / 2
        x, x2 = x - mean, x2 - mean
    product = x.T @ x2 / len(x)
    return (product + product.T) / 2


@checked(numbers=False)
def logistic_modes(
    rate: Float[Tensor, " modes"],
    plateau: Float[Tensor, " modes"],
    start: Float[Tensor, " modes"],
    t: Float[Tensor, " times"],
) -> Float[Tensor, "times modes"]:
    """u(t) of du/dt = r u (1 − u/u*), u(0) = ``start``: for r > 0 u* · expit(r t + logit(u(0)/u*)).

    In a form without overflow at any t and with no special case for starts above the plateau. Where r < 0, u* < 0 as
    the losses here give it: u dies out. Where r = 0 u stays as it is (a plateau of 0 as well would let it fall like
    1/t, by less than start² · t · r/u*).

    Args:
        rate, plateau: [modes], of one sign in each.
        start: [modes] squared singular values u(0) ≥ 0.
        t: times ≥ 0, learning rate × steps.

    Raises:
        ValueError: lengths differ, signs of rate and plateau differ, negative start or time, NaN or infinite values.
    """
    _check_modes(rate, plateau, start)
    require_finite("t", t)
    if (t < 0).any():
        raise ValueError(f"t must be ≥ 0, not {t.min().item()}")
    # a branch that is not taken would still put its 0/0 into gradients
    share = torch.where(rate == 0, 0.0, start / torch.where(rate == 0, 1.0, plateau))  # u(0)/u*
    exponent = torch.where(rate < 0, -rate, rate) * t[:, None]  # not abs, whose gradient at 0 is 0
    fallen, gone = torch.exp(-exponent), -torch.expm1(-exponent)
    # one fraction for both, for the same reason
    top = torch.where(rate >= 0, 1.0, fallen)
    bottom = torch.where(rate >= 0, fallen + share * gone, 1 - share * gone)
    return start * top / torch.where(start == 0, 1.0, bottom)


@checked(numbers=False)
def half_times(
    rate: Float[Tensor, " modes"], plateau: Float[Tensor, " modes"], start: Float[Tensor, " modes"]
) -> Float[Tensor, " modes"]:
    """When each mode reaches half its plateau: log(u*/u(0) − 1) / r.

    Infinite where it never does (r ≤ 0 or u(0) = 0), 0 where it is already there.

    Raises:
        ValueError: NaN, a negative start, a rate and a plateau of two signs, a mode that grows to 0.
    """
    _check_modes(rate, plateau, start)
    left = torch.log((plateau / start - 1).clamp(min=1))
    return torch.where((rate > 0) & (start > 0), left / rate, torch.inf)


@checked
def discrete_rate(rate: Float[Tensor, " modes"], lr: float) -> Float[Tensor, " modes"]:
    """The rate of gradient descent with steps of ``lr`` in the place of that of the flow: 2 log |1 + lr r/2| / lr.

    A small u is multiplied by (1 + lr r/2)² a step; at lr r = −2 it is gone after one, which here is a very
    negative rate. With it the curves of Barlow Twins are off by about 1.6 · lr · γ
    instead of 5.9 · lr · γ at lr · γ ≪ 1.

    Raises:
        ValueError: ``lr`` ≤ 0; lr · r ≥ 2, beyond which descent no longer settles (lr < 1/(4 γ) for Barlow Twins);
            lr · r ≤ −4, where a mode that dies in the flow grows.
    """
    require_positive("lr", lr)
    if len(rate) and lr * float(rate.max()) >= 2:
        raise ValueError(
            f"gradient descent with lr={lr:g} does not settle on a mode of rate {float(rate.max()):g}; "
            f"use lr < {2 / float(rate.max()):g}"
        )
    if len(rate) and lr * float(rate.min()) <= -4:
        raise ValueError(
            f"gradient descent with lr={lr:g} lets a mode of rate {float(rate.min()):g} grow, which dies in the flow; "
            f"use lr < {-4 / float(rate.min()):g}"
        )
    change, least = lr * rate / 2, torch.finfo(rate.dtype).tiny
    exact, far = torch.log1p(change.clamp(min=-0.5)), (1 + change).abs().clamp(min=least).log()
    return 2 * torch.where(change > -0.5, exact, far) / lr


@checked
def barlow_twins(gamma: Float[Tensor, " modes"]) -> Modes:
    """‖W Γ Wᵀ − I‖²_F: every mode that is learned ends at cross-correlation 1, whitened."""
    plateau = torch.where(gamma == 0, torch.inf, 1 / torch.where(gamma == 0, 1.0, gamma))  # 1/0 with a gradient of 0
    return Modes(8 * gamma, plateau)


@checked
def spectral_contrastive(gamma: Float[Tensor, " modes"], sigma: Float[Tensor, " modes"]) -> Modes:
    """−2 tr W Γ Wᵀ + tr (W Σ Wᵀ)²: the rates of Barlow Twins, but modes end at variance ρ instead of 1/ρ."""
    _check(gamma, sigma)
    return Modes(8 * gamma, gamma / sigma.square())


@checked
def vicreg(gamma: Float[Tensor, " modes"], sigma: Float[Tensor, " modes"], beta: float = 1.0) -> Modes:
    """‖W Σ Wᵀ − I‖² + β E‖W (x − x')‖², VICReg with squares for hinges.

    The order depends on β: principal components at β = 0, Barlow Twins' rates at β = 1. Modes with ρ ≤ 1 − 1/β are
    dropped, though their γ be positive.
    """
    _check(gamma, sigma)
    require_between("beta", beta, 0, 1e30)
    gain = 1 - beta * (1 - gamma / sigma)
    return Modes(8 * sigma * gain, gain / sigma)


@checked
def info_nce(gamma: Float[Tensor, " modes"], sigma: Float[Tensor, " modes"], tau: float = 1.0) -> Modes:
    """InfoNCE of dot products at temperature τ, up to fourth order in W: half the spectral loss, slowed by 1/τ.

    −tr W Γ Wᵀ/τ + tr (W Σ Wᵀ)²/(2 τ²) for centred data and many negatives. Rates hold for any small W. These two
    terms are all there is for Gaussian data; elsewhere higher cumulants move the plateau of modes with ρ ≳ 0.5, e.g. to
    τ artanh(ρ)/σ for data of ±√σ.
    """
    _check(gamma, sigma)
    require_positive("tau", tau)
    return Modes(4 * gamma / tau, tau * gamma / sigma.square())


def _check(gamma: Float[Tensor, " modes"], sigma: Float[Tensor, " modes"]) -> None:
    if not (sigma > 0).all() or (gamma.abs() > sigma * (1 + 1e-6)).any():
        raise ValueError("sigma must be positive and at least |gamma| in every mode: a correlation lies within ±1")


def _check_modes(rate: Tensor, plateau: Tensor, start: Tensor) -> None:
    require_finite("rate", rate)
    require_finite("start", start)
    if (start < 0).any():
        raise ValueError(f"start must be ≥ 0, not {start.min().item()}")
    if (rate * plateau < 0).any() or plateau.isnan().any():
        raise ValueError("rate and plateau of a mode must have one sign: a mode that grows ends above zero")
    if ((rate > 0) & (plateau == 0)).any():
        raise ValueError("a mode that grows must have a plateau above 0")
