"""Self-supervised losses that are matrix factorisations: spectral contrastive, Laplacian eigenmaps, linear InfoNCE.

HaoChen et al. 2021 ("Provable Guarantees for Self-Supervised Deep Learning with Spectral Contrastive Loss"),
Balestriero and LeCun 2022 ("Contrastive and Non-Contrastive Self-Supervised Learning Recover Global and Local Spectral
Embedding Methods"), Jing et al. 2022 ("Understanding Dimensional Collapse in Contrastive Self-supervised Learning").
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_positive
from labkit.theory.spectral import check_graph, laplacian


@checked
def normalised_adjacency(pi: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """D^(−1/2) A D^(−1/2), A the symmetric part of π and D its row sums; largest eigenvalue 1.

    Raises:
        ValueError: π not square, negative entries, an object without any pair.
    """
    weights, degree = _joint(pi)
    return weights * degree.rsqrt() * degree.rsqrt()[:, None]


@checked
def spectral_contrastive(pi: Float[Tensor, "n n"], f: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
    """−2·E[f(x)·f(x⁺)] + E[(f(x)·f(x⁻))²] with pairs from π and independent negatives (HaoChen et al., equation 6).

    Equal to ‖Ā − FFᵀ‖² − ‖Ā‖² with Ā = :func:`normalised_adjacency` and F = D^(1/2) f (their lemma 3.2): a
    factorisation of the augmentation graph. :func:`labkit.losses.spectral_contrastive` estimates it from a batch.
    """
    weights, degree = _joint(pi)
    second_moment = f.T @ (degree[:, None] * f)
    return -2 * (f * (weights @ f)).sum() + second_moment.square().sum()


@checked
def spectral_contrastive_minimum(
    pi: Float[Tensor, "n n"], dim: int
) -> tuple[Float[Tensor, ""], Float[Tensor, "n dim"]]:
    """The least :func:`spectral_contrastive` of ``dim`` dimensions, −Σ (λ_i)₊², and an f that reaches it."""
    _check_dim(pi, dim)
    values, vectors = torch.linalg.eigh(normalised_adjacency(pi))
    values, vectors = values.flip(0)[:dim].clamp(min=0), vectors.flip(1)[:, :dim]
    return -values.square().sum(), vectors * values.sqrt() / _joint(pi)[1].sqrt()[:, None]


@checked
def probe_residual(
    pi: Float[Tensor, "n n"], labels: Int64[Tensor, " n"], dim: int
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What a linear probe on the ``dim`` top eigenvectors leaves of the one-hot labels, and a bound on it.

    Residual: the mean squared error, over x ~ w, of the best linear map from these eigenvectors to the labels; they
    span the minimiser of :func:`spectral_contrastive` while all ``dim`` eigenvalues are positive. Bound: φ / λ_{dim+1},
    φ the probability that a pair has two labels and λ_{dim+1} the eigenvalue of the normalised Laplacian that comes
    next (in the manner of HaoChen et al., with its constants worked out here). Infinite where λ_{dim+1} = 0: more
    components than dimensions. Both in float64.
    """
    _check_dim(pi, dim)
    pi = pi.double()  # in float32 the rounding of eigenvalues, over φ, would be a bound
    if labels.min() < 0:
        raise ValueError(f"labels must be classes from 0 on, not {int(labels.min())}")
    weights, degree = _joint(pi)
    values, vectors = torch.linalg.eigh(normalised_adjacency(pi))
    target = torch.nn.functional.one_hot(labels).to(pi) * degree.sqrt()[:, None]
    rest = vectors.flip(1)[:, dim:]
    differ = (weights * (labels[:, None] != labels)).sum()
    gap = 1 - values.flip(0)[dim] if dim < len(pi) else values.new_tensor(torch.inf)
    bound = differ / gap if gap > 1e-12 else torch.full_like(differ, torch.inf)
    return (rest.T @ target).square().sum(), bound


@checked
def laplacian_eigenmaps(
    pi: Float[Tensor, "n n"], dim: int, weight: float
) -> tuple[Float[Tensor, ""], Float[Tensor, "n dim"], Float[Tensor, " dim"]]:
    """min over Z [n, dim] of ‖ZᵀHZ/n − I‖² + (2·weight/n)·tr ZᵀLZ, H = I − 11ᵀ/n: VICReg on a free embedding.

    Balestriero and LeCun 2022: Z are the Laplacian's eigenvectors of smallest non-constant eigenvalue, each
    with variance s_k² = max(0, 1 − weight·λ_k). A mode with weight·λ_k ≥ 1 is dropped: collapse by invariance.

    Returns:
        the minimum, a minimiser, and the variances s_k².

    Raises:
        ValueError: no graph; fewer dimensions than one or more than eigenvectors beside the constant one.
    """
    check_graph(pi)
    if not 1 <= dim < len(pi):
        raise ValueError(f"dim must lie between 1 and {len(pi) - 1}, one less than the objects of pi, not {dim}")
    require_between("weight", weight, 0, 1e30)
    operator = laplacian(pi)
    top = operator.diagonal().sum() + 1  # above every eigenvalue: the constant vector goes to the end
    values, vectors = torch.linalg.eigh(operator + top / len(pi))
    values, vectors = values[:dim], vectors[:, :dim]
    variance = (1 - weight * values).clamp(min=0)
    value = ((variance - 1).square() + 2 * weight * values * variance).sum()
    return value, vectors * (len(pi) * variance).sqrt(), variance


@checked
def infonce_plateaus(
    signal: Float[Tensor, " directions"], noise: Float[Tensor, " directions"], tau: float
) -> Float[Tensor, " directions"]:
    """Where linear InfoNCE leaves ‖w_j‖²: τ γ_j / σ_j², γ the variance that views share, σ = γ + augmentation noise.

    Dot product, no normalisation, y = Wx with x' = x + noise (the toy of Jing et al., section 4). Directions that the
    augmentation disturbs end lower; none goes to zero. For Gaussian data and many negatives. In batches, where the
    positive is a part of the denominator, directions without noise end higher: by 20 to 50 % in batches of 128.

    Args:
        signal: [directions] variances γ_j ≥ 0.
        noise: [directions] variances of the augmentation ≥ 0.
    """
    require_positive("tau", tau)
    if (signal < 0).any() or (noise < 0).any():
        raise ValueError("signal and noise must be variances ≥ 0")
    return tau * signal / (signal + noise).square()


def _joint(pi: Tensor) -> tuple[Tensor, Tensor]:
    """The symmetric part of π scaled to a sum of 1, and its row sums."""
    check_graph(pi)
    weights = (pi + pi.T) / 2
    weights = weights / weights.sum()
    degree = weights.sum(dim=1)
    if not (degree > 0).all():
        raise ValueError(f"pi has {int((~(degree > 0)).sum())} objects without any pair; leave them out")
    return weights, degree


def _check_dim(pi: Tensor, dim: int) -> None:
    check_graph(pi)
    if not 1 <= dim <= len(pi):
        raise ValueError(f"dim must lie between 1 and the {len(pi)} objects of pi, not {dim}")
