"""Linear Barlow Twins learns one dimension at a time (Simon et al. 2023, "On the Stepwise Nature of SSL").

With f(x) = W x and Γ the cross-view covariance, the loss ‖W Γ Wᵀ − I‖²_F under gradient flow from an aligned start
moves each singular value of W by itself: one logistic curve a mode, whose rate is the mode's eigenvalue of Γ. The
same for three other losses: :mod:`labkit.theory.modes`. With a kernel: :mod:`labkit.theory.pair_kernel`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit.theory.modes import barlow_twins, discrete_rate, logistic_modes


@checked
def eigenvalues(
    gamma: Float[Tensor, " modes"],
    initial: Float[Tensor, " modes"],
    t: Float[Tensor, " times"],
    lr: float | None = None,
) -> Float[Tensor, "times modes"]:
    """Eigenvalues of the embedding's cross-correlation over time: λ_j(t) = γ_j s_j(t)² (section 4, aligned start).

    For γ > 0 a logistic from γ s(0)² to 1 at rate 8γ; for γ = 0 nothing moves; for γ < 0 the mode dies out. In a form
    that does not overflow at any t.

    Args:
        gamma: [modes] eigenvalues γ_j of Γ, any sign.
        initial: [modes] singular values s_j(0) ≥ 0 of W at the start; for a small random one :func:`effective_init`.
        t: [times] effective times ≥ 0, learning rate × steps.
        lr: None for gradient flow; the learning rate for gradient descent in steps of that size, see
            :func:`labkit.theory.modes.discrete_rate`.

    Raises:
        ValueError: lengths differ, a negative time or singular value, NaN or infinite values; ``lr`` ≥ 1/(4 γ_1).

    Example:
        >>> eigenvalues(torch.tensor([1.0, 0.5]), torch.tensor([1e-3, 1e-3]), torch.linspace(0, 4, 100))
    """
    _check_start(initial)
    rate, plateau = barlow_twins(gamma)
    rate = rate if lr is None else discrete_rate(rate, lr)
    return gamma * logistic_modes(rate, plateau, initial.square(), t)


@checked
def loss(eigenvalues: Float[Tensor, "*times modes"]) -> Float[Tensor, "*times"]:
    """‖W Γ Wᵀ − I‖²_F = Σ_j (1 − λ_j)²: the staircase, one step down of height 1 for each mode that is learned."""
    return (1 - eigenvalues).square().sum(dim=-1)


@checked
def critical_times(gamma: Float[Tensor, " modes"], initial: Float[Tensor, " modes"]) -> Float[Tensor, " modes"]:
    """When each mode is learned: τ_j = −log(γ_j s_j(0)²) / (8 γ_j), in effective time; infinite where γ ≤ 0 or s = 0.

    At τ_j a mode that started small is half learned: λ_j(τ_j) = 1 / (2 − γ_j s_j(0)²). As the start shrinks, τ_j/τ_k
    goes to γ_k/γ_j; at a finite start the order of two close modes can be the other one.

    Raises:
        ValueError: lengths differ, a negative singular value, NaN or infinite values.
    """
    _check_start(initial)
    times = -(gamma * initial.square()).log() / (8 * gamma)
    return torch.where((gamma > 0) & (initial > 0), times, torch.inf)


@checked
def effective_init(
    weight: Float[Tensor, "out dim"], modes: Float[Tensor, "dim modes"], d: int | None = None
) -> tuple[Float[Tensor, " d"], Float[Tensor, "out d"]]:
    """The aligned start that a small random one behaves like: s_j(0) = |R_jj| with W(0) V = Q R.

    What a mode starts from is the part of its column of W(0) V that earlier modes do not span: when they have
    saturated, nothing grows in their directions any more. When mode j saturates, the next one has grown
    from the scale α of the start to α^(1 − γ_{j+1}/γ_j) and mixes in by as much; eigenvalues are off by the square of
    that. Both vanish as α shrinks, slowly where two eigenvalues are close.

    Args:
        weight: [out, dim], W(0).
        modes: [dim, modes], V, eigenvectors of Γ in columns, largest eigenvalue first.
        d: how many modes; None: as many as W has rows.

    Returns:
        s(0) [d], and U [out, d], orthonormal columns: the direction in which each mode appears in the embedding.

    Raises:
        ValueError: shapes that do not fit, more modes than W has rows, NaN or infinite values.
    """
    d = min(len(weight), modes.shape[1]) if d is None else d
    if not 1 <= d <= min(len(weight), modes.shape[1]):
        raise ValueError(f"d must lie between 1 and {min(len(weight), modes.shape[1])}, not {d}")
    q, r = torch.linalg.qr(weight @ modes[:, :d])
    diagonal = r.diagonal()
    return diagonal.abs(), q * torch.where(diagonal < 0, -1.0, 1.0).to(q)


@checked
def final_encoder(
    gamma: Float[Tensor, " d"], modes: Float[Tensor, "dim d"], rotation: Float[Tensor, "out d"] | None = None
) -> Float[Tensor, "out dim"]:
    """Where training ends: W = U diag(γ^(−1/2)) Vᵀ, of all encoders with loss 0 the one of least ‖W‖²_F = Σ 1/γ_j.

    Args:
        gamma, modes: [d] and [dim, d], the d largest eigenvalues of Γ, all positive, and their eigenvectors.
        rotation: U of :func:`effective_init`; None: the identity.

    Raises:
        ValueError: an eigenvalue ≤ 0 (a mode that training never learns), shapes that do not fit.
    """
    if not (gamma > 0).all():
        raise ValueError(f"gamma must be positive in every mode that is learned, not {gamma.min().item()}; use fewer")
    weight = gamma.rsqrt()[:, None] * modes.T
    return weight if rotation is None else rotation @ weight


def _check_start(initial: Tensor) -> None:
    if (initial < 0).any():
        raise ValueError(f"initial must hold singular values ≥ 0, not {initial.min().item()}")
