"""Linear Barlow Twins learns one dimension at a time (Simon et al. 2023, "On the Stepwise Nature of SSL").

With f(x) = W x and Γ the cross-view covariance, the loss ‖W Γ Wᵀ − I‖²_F under gradient flow from an aligned start
moves each singular value of W by itself: one logistic curve a mode, whose rate is the mode's eigenvalue of Γ.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._checks import require_finite


def eigenvalues(gamma: Tensor, initial: Tensor, t: Float[Tensor, " times"]) -> Float[Tensor, "times modes"]:
    """Eigenvalues of the embedding's cross-correlation over time: λ_j(t) = γ_j s_j(t)² (section 4, aligned start).

    For γ > 0 a logistic from γ s(0)² to 1 at rate 8γ; for γ = 0 nothing moves; for γ < 0 the mode dies out. In a form
    that does not overflow at any t.

    Args:
        gamma: [modes] eigenvalues γ_j of Γ, any sign.
        initial: [modes] singular values s_j(0) ≥ 0 of W at the start. For a small random start: |R_jj| of the QR
            factors of W(0) V, V the eigenvectors of Γ in descending order.
        t: [times] effective times ≥ 0, learning rate × steps.

    Raises:
        ValueError: lengths differ, a negative time or singular value, NaN or infinite values.

    Example:
        >>> eigenvalues(torch.tensor([1.0, 0.5]), torch.tensor([1e-3, 1e-3]), torch.linspace(0, 4, 100))
    """
    _check(gamma, initial)
    require_finite("t", t)
    if (t < 0).any():
        raise ValueError(f"t must hold times ≥ 0, not {t.min().item()}")
    start = gamma * initial.square()
    time = t[:, None]
    growing = torch.sigmoid(8 * gamma * time + start.log() - torch.log1p(-start))  # 0 < start < 1
    shrinking = 1 / (1 + (1 / start - 1) * torch.exp(-8 * gamma.clamp(min=0) * time))  # start ≥ 1
    decay = torch.exp(8 * gamma.clamp(max=0) * time)
    dying = gamma * decay * initial.square() / (1 + start * (decay - 1))  # gamma ≤ 0
    learned = torch.where(start < 1, growing, shrinking)
    return torch.where((gamma > 0) & (initial > 0), learned, dying)


def critical_times(gamma: Tensor, initial: Tensor) -> Float[Tensor, " modes"]:
    """When each mode is learned: τ_j = −log(γ_j s_j(0)²) / (8 γ_j), in effective time; infinite where γ ≤ 0 or s = 0.

    At τ_j a mode that started small is half learned: λ_j(τ_j) = 1 / (2 − γ_j s_j(0)²).

    Raises:
        ValueError: lengths differ, a negative singular value, NaN or infinite values.
    """
    _check(gamma, initial)
    times = -(gamma * initial.square()).log() / (8 * gamma)
    return torch.where((gamma > 0) & (initial > 0), times, torch.inf)


def _check(gamma: Tensor, initial: Tensor) -> None:
    if gamma.shape != initial.shape:
        raise ValueError(f"gamma and initial must be as long as each other, not {len(gamma)} and {len(initial)}")
    require_finite("gamma", gamma)
    require_finite("initial", initial)
    if (initial < 0).any():
        raise ValueError(f"initial must hold singular values ≥ 0, not {initial.min().item()}")
