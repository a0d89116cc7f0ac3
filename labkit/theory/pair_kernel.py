"""Barlow Twins with a kernel, solved: the encoder at the end of training from pairs alone (Simon et al. 2023).

All 2n views are 𝒳 = x_1 … x_n, x'_1 … x'_n, K̃ = K(𝒳, 𝒳), and Z = (1/2n) [[0, I], [I, 0]] says who is whose pair. The
modes are the eigenvectors of K_Γ = K̃^(1/2) Z K̃^(1/2); each is learned at the rate of its eigenvalue, largest first.
The pair graph Z alone orders nothing (all |eigenvalues| are 1/2n): the kernel makes the order. For a K̃ of full rank
exactly n eigenvalues are positive and n negative (Sylvester), so that no more than n dimensions can be learned.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_finite, require_in_range, require_matrix, require_positive

Kernel = Callable[[Tensor, Tensor], Tensor]


@checked
def linear(x: Float[Tensor, "n dim"], y: Float[Tensor, "m dim"]) -> Float[Tensor, "n m"]:
    """x · y: with it the pair kernel is linear Barlow Twins."""
    return x @ y.T


@checked
def gaussian(bandwidth: float) -> Kernel:
    """exp(−‖x − y‖² / (2 bandwidth²)) as a function of x [n, dim] and y [m, dim]."""
    require_positive("bandwidth", bandwidth)
    differences = "donot_use_mm_for_euclid_dist"  # by products a point may lie apart from itself
    return lambda x, y: torch.exp(-torch.cdist(x, y, compute_mode=differences).square() / (2 * bandwidth**2))


@checked
def arc_cosine(x: Float[Tensor, "n dim"], y: Float[Tensor, "m dim"]) -> Float[Tensor, "n m"]:
    """E relu(w·x) relu(w·y) over w ~ N(0, I): the kernel of a wide layer of random ReLUs (Cho & Saul 2009, degree 1).

    It is the neural tangent kernel of a two-layer network whose last layer starts near zero.
    """
    length = x.norm(dim=1)[:, None] * y.norm(dim=1)
    cosine = (x @ y.T / length.clamp(min=torch.finfo(x.dtype).tiny)).clamp(-1, 1)
    angle = torch.acos(cosine)
    return length * (torch.sin(angle) + (torch.pi - angle) * cosine) / (2 * torch.pi)


@checked
def pair_kernel(gram: Float[Tensor, "views views"]) -> Float[Tensor, "views views"]:
    """K_Γ = K̃^(1/2) Z K̃^(1/2) of the kernel matrix K̃ [2n, 2n] of all views: the n x, then the n x' in the same order.

    The paper writes it (1/2n) K̃^(−1/2) (K̃_X K̃_X' + K̃_X' K̃_X) K̃^(−1/2): the same matrix, which in this form loses
    digits where K̃ is nearly singular.

    Args:
        gram: symmetric, positive semi-definite.

    Cost: time O(n³), memory O(n²).

    Raises:
        ValueError: not square or of odd size, not symmetric, NaN or infinite values.
    """
    _check_gram(gram)
    value, vector = _positive_part(gram)
    root = (vector * value.sqrt()) @ vector.T
    return _symmetric(root @ _swapped(root) / len(gram))


@dataclass(frozen=True)
class PairKernelEncoder:
    """The encoder that kernel Barlow Twins ends at, in closed form; make one with :meth:`fit`.

    Its dimensions are learned one after the other, so that the first d columns of an embedding are the encoder of
    width d. Every column has cross-view correlation 1 on the pairs it was fitted to. Of all encoders of loss 0
    it has the least squared norm in the kernel's space, Σ 1/γ_j.

    Attributes:
        gamma: [dim] eigenvalues of K_Γ, largest first; a dimension is learned at rate 8 γ.
        views: [2n, …] what it was fitted to.
        coefficients: [dim, 2n] A in f(x) = A (k(𝒳, x) − offset).
        offset: [2n] mean of the kernel over 𝒳; zeros without centring.
        kernel: as given.
    """

    gamma: Tensor
    views: Tensor
    coefficients: Tensor
    offset: Tensor
    kernel: Kernel

    @classmethod
    @checked
    def fit(
        cls,
        x: Float[Tensor, "items features"],
        x2: Float[Tensor, "items features"],
        dim: int | None = None,
        kernel: Kernel = linear,
        center: bool = True,
    ) -> "PairKernelEncoder":
        """Fit to pairs, in float64.

        Args:
            x, x2: [items, features], two views, row i of both from item i.
            dim: dimensions; None: all of positive eigenvalue, at most n.
            kernel: (x [n, features], y [m, features]) -> [n, m], positive semi-definite.
            center: take the mean off in feature space, as kernel PCA does. Without, as the paper has it, the first
                dimension of a kernel with a mean is nearly constant.

        Cost: two eigendecompositions of 2n × 2n: 15 ms at n = 150, 0.2 s at 400, memory O(n²).

        Raises:
            ValueError: other shapes, NaN or infinite values, more dimensions than have a positive eigenvalue; none has
                one where all views are alike.

        Example:
            >>> encoder = PairKernelEncoder.fit(view, other_view, dim=10, kernel=gaussian(3.0))
            >>> z = encoder.embed(images)
        """
        if 0 in x.shape:
            raise ValueError(f"x must hold at least one item of one feature, not {list(x.shape)}")
        views = torch.cat([x, x2]).double()
        gram = kernel(views, views)
        _check_gram(gram)
        offset = gram.mean(dim=0) if center else gram.new_zeros(len(gram))
        value, vector = _positive_part(_centred(gram) if center else gram, float(gram.abs().max()))
        root = vector * value.sqrt()  # [2n, rank], root rootᵀ = K̃: in its basis K_Γ loses its null space
        gamma, b = torch.linalg.eigh(_symmetric(root.T @ _swapped(root)) / len(gram))
        gamma, b = gamma.flip(0), b.flip(1)
        found = int((gamma > 1e-10 * gamma[:1].abs()).sum())
        if not found:
            raise ValueError("x and x2 share no mode: there is nothing to embed by")
        dim = found if dim is None else dim
        if not 1 <= dim <= found:
            raise ValueError(f"dim must lie between 1 and {found}, the modes that two views share; not {dim}")
        coefficients = (((vector * value.rsqrt()) @ b[:, :dim]) * gamma[:dim].rsqrt()).T
        return cls(gamma[:dim], views, coefficients, offset, kernel)

    def embed(self, x: Float[Tensor, "items features"]) -> Float[Tensor, "items dim"]:
        """f(x) = diag(γ^(−1/2)) Bᵀ K̃^(−1/2) k(𝒳, x), for items seen or new, in float64. O(items · n) kernel values."""
        require_matrix("x", x)
        return (self.kernel(x.double(), self.views) - self.offset) @ self.coefficients.T


@checked(numbers=False)
def kernel_pca(
    x: Float[Tensor, "items features"],
    queries: Float[Tensor, "queries features"],
    dim: int | None,
    kernel: Kernel = linear,
) -> Float[Tensor, "queries dim"]:
    """Kernel PCA of ``x``, whitened: what the pair kernel is to be compared with, as it is told of no pairs.

    Args:
        x: what the components are of.
        queries: what is embedded.
        dim: of the largest components; None: as many as ``x`` spans.
        kernel: of two sets of rows.

    Raises:
        ValueError: more dimensions than ``x`` spans, NaN or infinite values.
    """
    if 0 in x.shape:
        raise ValueError(f"x must hold at least one item of one feature, not {list(x.shape)}")
    x, queries = x.double(), queries.double()
    for name, rows in (("x", x), ("queries", queries)):
        require_in_range(name, rows, power=4)
    gram = kernel(x, x)
    value, vector = _positive_part(_centred(gram), float(gram.abs().max()))
    dim = len(value) if dim is None else dim
    if not 1 <= dim <= len(value):
        raise ValueError(f"dim must lie between 1 and {len(value)}, the rank of the kernel; not {dim}")
    directions = vector[:, -dim:].flip(1) / value[-dim:].flip(0) * len(x) ** 0.5
    return (kernel(queries, x) - gram.mean(dim=0)) @ directions


def _check_gram(gram: Tensor) -> None:
    if gram.dim() != 2 or gram.shape[0] != gram.shape[1] or len(gram) % 2 or not len(gram):
        raise ValueError(f"gram must be square and of even size, both views of every item; not {list(gram.shape)}")
    require_finite("gram", gram)
    if not torch.allclose(gram, gram.T, rtol=1e-6, atol=1e-9 * float(gram.abs().max())):
        raise ValueError("gram must be symmetric: it is the kernel of all views with themselves")


def _positive_part(gram: Tensor, scale: float = 0.0) -> tuple[Tensor, Tensor]:
    """Eigenvalues above rounding, rising, and their eigenvectors; ``scale``: of the numbers that ``gram`` came from."""
    value, vector = torch.linalg.eigh(_symmetric(gram))
    kept = value > len(gram) * torch.finfo(gram.dtype).eps * max(float(value[-1]), scale)
    return value[kept], vector[:, kept]


def _swapped(rows: Tensor) -> Tensor:
    """2n Z times ``rows``: each view's row goes to its pair."""
    return rows.roll(len(rows) // 2, 0)


def _symmetric(matrix: Tensor) -> Tensor:
    return (matrix + matrix.T) / 2


def _centred(gram: Tensor) -> Tensor:
    mean = gram.mean(dim=0)
    return gram - mean - mean[:, None] + mean.mean()
