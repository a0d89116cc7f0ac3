"""Many logistic regressions in one solve: all splits, folds and regularisation strengths.

The strengths of one split share its data, so strengths × classes are the rows of one matrix product. The centred data
is rotated once into its principal axes. There the Hessian is close to diagonal, C κ σ_j² + 1 for axis j and a class
whose mean p (1 − p) is κ, and BFGS that starts from this diagonal needs few steps at every strength.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from labkit.evaluate._bfgs import minimise

LINKS = {"softmax": "logistic regression", "one_vs_rest": "one-vs-rest logistic regression"}


@dataclass(frozen=True)
class Logistic:
    """Fitted weights in the coordinates of the data.

    Attributes:
        weight: [problems, strengths, classes, dim]
        bias: [problems, strengths, classes]
        converged: [problems, strengths]
        steps: gradient evaluations until the last one had.
    """

    weight: Float[Tensor, "problems strengths classes dim"]
    bias: Float[Tensor, "problems strengths classes"]
    converged: Bool[Tensor, "problems strengths"]
    steps: int

    def predict(self, x: Float[Tensor, "problems rows dim"]) -> Int64[Tensor, "problems rows strengths"]:
        """The class of each row of a problem by each of its strengths."""
        logits = torch.baddbmm(self.bias.flatten(1)[:, None], x, self.weight.flatten(1, 2).mT)
        return logits.unflatten(2, self.bias.shape[1:]).argmax(dim=3)

    def only(self, strength: Int64[Tensor, " problems"]) -> "Logistic":
        """One strength of each problem, as if these were the strengths of one problem."""
        problem = torch.arange(len(strength), device=strength.device)
        one = (tensor[problem, strength][None] for tensor in (self.weight, self.bias, self.converged))
        return Logistic(*one, self.steps)


def fit_logistic(
    x: Float[Tensor, "problems rows dim"],
    target: Float[Tensor, "problems rows classes"],
    strengths: Float[Tensor, "problems strengths"],
    link: str = "softmax",
    taking_part: Bool[Tensor, "problems rows"] | None = None,
    tolerance: float = 5e-4,
    max_steps: int = 1000,
) -> Logistic:
    """Minimise C · Σ_rows loss + ½ ‖w‖² for every problem and strength (scikit-learn's LogisticRegression).

    Args:
        x: features of the problems.
        target: one-hot classes.
        strengths: C > 0 of the problems. The intercept is not penalised.
        link: "softmax" (multinomial), or "one_vs_rest" (a sigmoid for each class).
        taking_part: False for rows that a problem leaves out (a fold that is held out). None: all take part.
        tolerance: see :func:`minimise`; about the error of the logits relative to their size.
        max_steps: gradient evaluations after which open problems are returned as they are.

    Cost: time O(steps · problems · rows · min(dim, rows) · strengths · classes), and one eigendecomposition of order
    min(dim, rows) a problem; memory O(problems · (rows + min(dim, rows)) · strengths · classes).
    """
    part = x.new_ones(x.shape[:2]) if taking_part is None else taking_part.to(x.dtype)
    axes, basis, centre, scale = _principal_axes(x, part)
    # the scale is made up for in C; beyond these bounds a weight is zero, or not held back, to the last digit
    problems = _Logistic.of(axes, target, part, strengths * scale[:, None].clamp(1e-15, 1e15).square(), link)
    shape = target.shape[2], axes.shape[2] + 1
    start = x.new_zeros(*strengths.shape, shape[0] * shape[1])
    measured = x.new_ones(shape)
    measured[:, -1] = 0
    solution, converged, steps = minimise(problems, start, measured.flatten(), tolerance, max_steps)
    solution = solution.unflatten(2, shape)
    weight = torch.einsum("pdr,pskr->pskd", basis / scale[:, None, None], solution[..., :-1])
    bias = solution[..., -1] - torch.einsum("pd,pskd->psk", centre, weight)
    return Logistic(weight, bias, converged, steps)


def _principal_axes(x: Tensor, part: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centred over the rows that take part, rotated, of mean square length 1: [p, rows, axes]; basis [p, dim, axes],
    centre [p, dim] and the scale [p] that was taken off, so that pixels and unit vectors look alike to the solver.

    Scaled before anything is squared: neither huge values nor those of a collapsed embedding leave the range of floats.
    """
    x, basis, rows = x * part[:, :, None], None, part.sum(dim=1)[:, None, None]
    peak = x.abs().amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)
    x = x / peak
    centre = x.sum(dim=1, keepdim=True) / rows
    x = (x - centre) * part[:, :, None]
    length = (x.square().sum(dim=(1, 2), keepdim=True) / rows).sqrt()
    same = length < 8 * torch.finfo(x.dtype).eps  # all rows, but for rounding: one point
    x = torch.where(same, 0, x / length.masked_fill_(same, 1))
    if x.shape[2] > x.shape[1]:  # the weights lie in the span of the rows
        basis, triangle = torch.linalg.qr(x.mT)
        x = triangle.mT
    rotation = _eigenvectors(x.mT @ x)
    basis = rotation if basis is None else basis @ rotation
    return x @ rotation, basis, (centre * peak)[:, 0], (peak * length).flatten()


def _eigenvectors(symmetric: Float[Tensor, "problems axes axes"]) -> Float[Tensor, "problems axes axes"]:
    """On one thread: LAPACK's eigensolver gains nothing from a second one and loses up to five times its own time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return torch.linalg.eigh(symmetric).eigenvectors
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class _Logistic:
    """Losses over C times the rows, in principal axes with an intercept as the last one.

    Tensors: data [p, axes, rows]; the same over the number of rows, [p, rows, axes], zero where a row takes no part;
    one-hot classes and 1 less these [p, 1, classes, rows]; mean squares of the axes [p, 1, 1, axes]; penalty
    [p, strengths, 1, axes].
    """

    data: Tensor
    mean_data: Tensor
    target: Tensor
    other: Tensor
    square: Tensor
    penalty: Tensor
    link: str

    @classmethod
    def of(cls, axes: Tensor, target: Tensor, part: Tensor, strengths: Tensor, link: str) -> "_Logistic":
        data = torch.cat([axes, torch.ones_like(axes[:, :, :1])], dim=2)
        rows = part.sum(dim=1)[:, None, None]
        mean_data = data * part[:, :, None] / rows
        penalty = (1 / (strengths[:, :, None, None] * rows[..., None])).repeat(1, 1, 1, data.shape[2])
        penalty[..., -1] = 0
        square = (data * mean_data).sum(dim=1)[:, None, None]
        target = target.mT[:, None].contiguous()
        return cls(data.mT.contiguous(), mean_data, target, 1 - target, square, penalty, link)

    def gradient(self, w: Tensor, curvature: bool) -> tuple[Tensor, Tensor | None]:
        """At w [p, strengths, classes · axes]: the gradient and, when asked for, nearly the diagonal of the Hessian."""
        w = w.unflatten(2, (self.target.shape[2], self.data.shape[1]))
        logits = torch.bmm(w.flatten(1, 2), self.data).unflatten(1, w.shape[1:3])
        # p − target without the difference, which float32 would round to 0 for rows that are well separated
        if self.link == "softmax":
            others = logits.softmax(dim=2).mul_(self.other)
            residual = torch.addcmul(others, self.target, others.sum(dim=2, keepdim=True), value=-1)
        else:
            sign = self.other - self.target
            residual = (logits * sign).sigmoid_().mul_(sign)
        gradient = torch.bmm(residual.flatten(1, 2), self.mean_data).view_as(w).addcmul_(self.penalty, w)
        if not curvature:
            return gradient.flatten(2), None
        spread = torch.addcmul(residual.abs(), residual, residual, value=-1)  # p (1 − p)
        spread = spread.mul_(self.mean_data[:, None, None, :, -1]).sum(dim=3, keepdim=True)
        return gradient.flatten(2), torch.addcmul(self.penalty, spread.clamp_(min=1e-12), self.square).flatten(2)

    def keep(self, rows: Tensor, columns: Tensor) -> "_Logistic":
        shared = [self.data, self.mean_data, self.target, self.other, self.square]
        if len(rows) < len(self.data):
            shared = [tensor[rows] for tensor in shared]
        return _Logistic(*shared, self.penalty[rows[:, None], columns], self.link)
