"""What the closed forms are compared with: pairs of digits, and trainings that know no closed form."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import solve_ivp
from torch import Generator, Tensor

from labkit.data import ImageSet
from labkit.theory import stepwise
from labkit.theory.modes import barlow_twins, cross_covariance, half_times
from labkit.theory.spectral import subspace_overlap as overlap
from labkit.views import shift


def pairs(
    images: ImageSet, n: int = 500, pixels: int = 1, seed: int = 0
) -> tuple[Float[Tensor, "n pixels"], Float[Tensor, "n pixels"], Tensor]:
    """Two shifted views of n training images, each drawn from ``seed``: x, x' in float64 and the images' rows."""
    generator = Generator().manual_seed(seed)
    train = images.splits["train"]
    rows = train[torch.randperm(len(train), generator=generator)[:n]]
    picture = images.images[rows].double() / 255
    views = (shift(picture, pixels, generator).flatten(1) for _ in range(2))
    return *views, rows


def leading(matrix: Float[Tensor, "n n"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n n"]]:
    """Eigenvalues of a symmetric matrix, largest first, and the eigenvectors in columns."""
    value, vector = torch.linalg.eigh(matrix)
    return value.flip(0), vector.flip(1)


def flow(
    gradient: Callable[[np.ndarray], np.ndarray],
    weight: Float[Tensor, "out dim"],
    times: Float[Tensor, " times"],
    tolerance: float = 1e-10,
) -> Float[Tensor, "times out dim"]:
    """Gradient flow dW/dt = −gradient(W) by an eighth-order Runge-Kutta method (scipy's DOP853)."""
    shape = tuple(weight.shape)
    path = solve_ivp(
        lambda _, w: -gradient(w.reshape(shape)).ravel(), (0, float(times[-1])), weight.double().numpy().ravel(),
        t_eval=times.numpy(), method="DOP853", rtol=tolerance, atol=tolerance / 100,
    )  # fmt: skip
    return torch.from_numpy(path.y.T).reshape(-1, *shape)


def gradients(
    sigma: Float[Tensor, "dim dim"], gamma: Float[Tensor, "dim dim"], beta: float = 1.0, tau: float = 1.0
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The gradients in W of the four losses of :mod:`labkit.theory.modes`, by name."""
    s, g = sigma.double().numpy(), gamma.double().numpy()

    def barlow_twins(w):
        wg = w @ g
        return 4 * (wg @ w.T - np.eye(len(w))) @ wg

    def spectral_contrastive(w):
        ws = w @ s
        return -4 * w @ g + 4 * (ws @ w.T) @ ws

    def vicreg(w):
        ws = w @ s
        return 4 * (ws @ w.T - np.eye(len(w))) @ ws + 4 * beta * (ws - w @ g)

    def info_nce(w):
        ws = w @ s
        return -2 * w @ g / tau + 2 * (ws @ w.T) @ ws / tau**2

    return {
        "Barlow Twins": barlow_twins,
        "spectral contrastive": spectral_contrastive,
        "VICReg": vicreg,
        "InfoNCE": info_nce,
    }


def four_losses(
    sigma: Float[Tensor, " modes"], gamma: Float[Tensor, " modes"], start: Float[Tensor, " modes"],
    times: Float[Tensor, " times"], beta: float = 1.0, tau: float = 1.0, names: Sequence[str] | None = None,
) -> dict[str, Float[Tensor, "times modes"]]:  # fmt: skip
    """Squared singular values of a linear encoder along gradient flows of the four losses, simulated, by name.

    The encoder has a random rotation in front, so that the simulation knows nothing of modes; ``start`` is aligned.
    """
    rotation = torch.linalg.qr(torch.randn(len(sigma), len(sigma), generator=Generator().manual_seed(0)).double()).Q
    weight = rotation @ torch.diag(start.sqrt())
    found = {}
    for name, gradient in gradients(torch.diag(sigma), torch.diag(gamma), beta, tau).items():
        if names is None or name in names:
            path = flow(gradient, weight, times)
            found[name] = (rotation.T @ path).diagonal(dim1=1, dim2=2).square()
    return found


class LinearRun(NamedTuple):
    """A simulated training of a linear encoder beside what was predicted before it began.

    Attributes:
        times, eigenvalues: [times], [times, d]: of W Γ Wᵀ along the simulated flow, largest first.
        predicted: [times, d], closed form from Γ and the start, in the order of the modes.
        times_predicted, times_of_variance: [d] when eigenvalues reach 1/2, rising: closed form; and the same formula
            told of the covariance Σ of the inputs in the place of Γ, the control.
        subspace, subspace_of_variance: share of the final encoder's row space inside the d leading modes of Γ, of Σ.
    """

    times: Tensor
    eigenvalues: Tensor
    predicted: Tensor
    times_predicted: Tensor
    times_of_variance: Tensor
    subspace: float
    subspace_of_variance: float

    @property
    def times_measured(self) -> Float[Tensor, " d"]:
        """When each eigenvalue first reached 1/2, interpolated."""
        return crossings(self.times, self.eigenvalues, 0.5)

    def error(self, predicted: Tensor) -> float:
        """Median over modes of |predicted − measured| / measured."""
        return float(((predicted - self.times_measured).abs() / self.times_measured).quantile(0.5))


def crossings(
    times: Float[Tensor, " times"], values: Float[Tensor, "times modes"], level: float | Tensor
) -> Float[Tensor, " modes"]:
    """When each column first passes ``level`` (one, or one a column), linear between samples; inf where never."""
    above = values >= level
    at = above.int().argmax(dim=0)
    before, column = (at - 1).clamp(min=0), torch.arange(values.shape[1])
    low, high = values[before, column], values[at, column]
    share = ((level - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
    return torch.where(above.any(dim=0), times[before] + share * (times[at] - times[before]), torch.inf)


def train_linear(
    x: Float[Tensor, "n dim"], x2: Float[Tensor, "n dim"], d: int = 10, scale: float = 1e-3, seed: int = 0
) -> LinearRun:
    """Linear Barlow Twins on pairs from a random start of standard deviation ``scale``, and its prediction.

    Cost: 0.1 s for 64 dimensions and d = 10.

    Raises:
        ValueError: more dimensions than there are modes of positive eigenvalue: the others are never learned.
    """
    both = torch.cat([x, x2])
    gamma, modes = leading(cross_covariance(x, x2))
    shared = int((gamma > 1e-10 * gamma[0]).sum())
    if not 1 <= d <= shared:
        raise ValueError(f"d must lie between 1 and {shared}, the modes that two views share; not {d}")
    variance, axes = leading(cross_covariance(both, both))
    weight = scale * torch.randn(d, x.shape[1], generator=Generator().manual_seed(seed), dtype=torch.float64)
    initial, _ = stepwise.effective_init(weight, modes, d)
    times = torch.linspace(0, 1.3 * float(stepwise.critical_times(gamma[:d], initial).max()), 600, dtype=torch.float64)
    spread = torch.diag(gamma)  # the flow in the basis of Γ's modes, where it is cheapest
    path = flow(gradients(spread, spread)["Barlow Twins"], weight @ modes, times, tolerance=1e-8)
    found = torch.linalg.eigvalsh((path * gamma) @ path.mT).flip(1)
    rows = torch.linalg.qr((path[-1] @ modes.T).T).Q
    started = stepwise.effective_init(weight, axes, d)[0]
    return LinearRun(
        times,
        found,
        stepwise.eigenvalues(gamma[:d], initial, times),
        half_times(*barlow_twins(gamma[:d]), initial.square()).sort().values,
        half_times(*barlow_twins(variance[:d]), started.square()).sort().values,
        overlap(rows, modes[:, :d]),
        overlap(rows, axes[:, :d]),
    )
