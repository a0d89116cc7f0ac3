"""L-BFGS on a grid of smooth convex problems at once, each with its own memory and its own end.

No loss is evaluated. Along a line a convex loss can only have risen where its slope has turned positive, so the slope
at the end of a step says whether the step was too long; in float32 it still says so when differences of losses have
long been lost to rounding. A step that is not taken leaves what it learned of the curvature in the memory.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MEMORY = 4  # pairs of (step, change of gradient); more save few steps and cost time in each
OVERSHOOT = 0.5  # a step may end on a slope up of at most this share of the slope down it began with
SHORTEN = 0.9  # and is tried again at this share of its length, in a direction that knows what went wrong
SHRINK_AT = 0.8  # closed problems are left out once the others fill less than this share of the grid


@runtime_checkable
class Problems(Protocol):
    """A grid of problems, [rows, columns], each in a number of variables."""

    def gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """At w [rows, columns, variables]: the gradient, and a positive estimate of the diagonal of the Hessian."""
        ...

    def keep(self, rows: Tensor, columns: Tensor) -> "Problems":
        """The part of the grid in these rows and columns (numbers)."""
        ...


def minimise(
    problems: Problems,
    start: Float[Tensor, "rows columns variables"],
    measured: Float[Tensor, " variables"],
    tolerance: float,
    max_steps: int,
) -> tuple[Float[Tensor, "rows columns variables"], Bool[Tensor, "rows columns"], int]:
    """Minimise every problem of the grid from ``start``.

    Args:
        problems: what to minimise.
        start: first variables.
        measured: 1 for variables that ``tolerance`` is relative to, 0 for others (intercepts).
        tolerance: a problem is done when the length that is left, gᵀH⁻¹g, is below tolerance² times the length of its
            measured variables, wᵀHw. Relative, so that it means the same at every scale and at a loss of almost zero;
            or when it is what rounding leaves, for problems whose measured variables end at zero.
        max_steps: gradient evaluations after which open problems are returned as they are.

    Returns:
        variables, which problems are done, and the number of gradient evaluations.
    """
    solution, done = start.clone(), torch.zeros(start.shape[:2], dtype=torch.bool, device=start.device)
    rows, columns = (torch.arange(size, device=start.device) for size in start.shape[:2])
    state = _State.at(start.clone(), problems)
    for step in range(1, max_steps + 1):
        accepted = state.advance(problems)
        done[rows[:, None], columns] |= accepted & state.is_close(tolerance, measured)
        still_open = ~done[rows[:, None], columns]
        keep_rows, keep_columns = (still_open.any(dim=d).nonzero().flatten() for d in (1, 0))
        if len(keep_rows) * len(keep_columns) < SHRINK_AT * still_open.numel():
            solution[rows[:, None], columns] = state.w
            if not len(keep_rows):
                return solution, done, step
            rows, columns = rows[keep_rows], columns[keep_columns]
            problems, state = problems.keep(keep_rows, keep_columns), state.keep(keep_rows, keep_columns)
    solution[rows[:, None], columns] = state.w
    return solution, done, max_steps


@dataclass
class _State:
    """Where each problem is and where it goes next: [rows, columns, variables]; memory has a dimension before the last.

    ``length`` is the share of the direction to try, ``next`` the place in the memory that is written next.
    """

    w: Tensor
    gradient: Tensor
    curvature: Tensor
    direction: Tensor
    length: Tensor
    steps: Tensor
    changes: Tensor
    next: int = 0

    @classmethod
    def at(cls, w: Tensor, problems: Problems) -> "_State":
        gradient, curvature = problems.gradient(w)
        memory = w.new_zeros(*w.shape[:2], MEMORY, w.shape[2])
        length = w.new_ones(*w.shape[:2], 1)
        return cls(w, gradient, curvature.contiguous(), -gradient / curvature, length, memory, memory.clone())

    def advance(self, problems: Problems) -> Bool[Tensor, "rows columns"]:
        """Try a step in every problem; say where it was taken, and find the next direction everywhere."""
        trial = torch.addcmul(self.w, self.length, self.direction)
        gradient, curvature = problems.gradient(trial)
        before, after = _dot(self.gradient, self.direction), _dot(gradient, self.direction)
        taken = after <= -OVERSHOOT * before
        torch.sub(trial, self.w, out=self.steps[:, :, self.next])
        torch.sub(gradient, self.gradient, out=self.changes[:, :, self.next])
        self.next = (self.next + 1) % MEMORY
        found = (trial, gradient, curvature)
        if not taken.all():
            kept = (self.w, self.gradient, self.curvature)
            found = [torch.where(taken, new, old) for new, old in zip(found, kept, strict=True)]
        self.w, self.gradient, self.curvature = found
        self.length = torch.where(taken, 1, self.length * SHORTEN)
        self.direction = self._newton_direction()
        return taken[:, :, 0]

    def _newton_direction(self) -> Tensor:
        """−H⁻¹g in the compact form of L-BFGS (Byrd, Nocedal & Schnabel 1994, equation 3.13), begun from diagonal H."""
        products = (self.steps @ self.changes.mT).roll((-self.next, -self.next), (2, 3))  # oldest first
        own = products.diagonal(dim1=2, dim2=3).clamp(min=0)
        empty = own == 0
        triangle = products.triu(1) + torch.diag_embed(own + empty)
        newest = self.changes[:, :, self.next - 1]
        scale = own[:, :, -1:] / _dot(newest, newest / self.curvature)
        scale = torch.where(empty[:, :, -1:], 1, scale)
        along = _dot(self.steps, self.gradient[:, :, None]).roll(-self.next, 2)
        a = torch.linalg.solve_triangular(triangle, along, upper=True)
        q = self.gradient - (a.roll(self.next, 2).mT @ self.changes)[:, :, 0]
        q *= scale / self.curvature
        b = own[..., None] * a - _dot(self.changes, q[:, :, None]).roll(-self.next, 2)
        c = torch.linalg.solve_triangular(triangle.mT, b, upper=False)
        return torch.sub(-q, (c.roll(self.next, 2).mT @ self.steps)[:, :, 0])

    def is_close(self, tolerance: float, measured: Tensor) -> Bool[Tensor, "rows columns"]:
        left = -_dot(self.gradient, self.direction)
        rounding = (8 * torch.finfo(left.dtype).eps) ** 2
        return (left <= tolerance**2 * _dot(self.w * measured, self.curvature * self.w) + rounding)[:, :, 0]

    def keep(self, rows: Tensor, columns: Tensor) -> "_State":
        def part(v: Tensor) -> Tensor:
            v = v.index_select(1, columns)
            return v if len(rows) == len(v) else v.index_select(0, rows)

        tensors = {n: part(v) for n, v in vars(self).items() if isinstance(v, Tensor)}
        return _State(**tensors, next=self.next)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=-1, keepdim=True)  # a batch of small matrix-vector products is five times slower
