"""Memoryless BFGS on a grid of smooth convex problems at once, each with its own end.

The BFGS update, by the last step alone, of a diagonal that is nearly the Hessian's (Shanno 1978, Mathematics of
Operations Research 3). Where the diagonal is good, remembering more steps costs more than it saves.

No loss is evaluated. Along a line a convex loss can only have risen where its slope has turned positive, so the slope
at the end of a step says whether the step was too long; in float32 it still says so when differences of losses have
long been lost to rounding. A step that is not taken still teaches its curvature.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

OVERSHOOT = 0.5  # a step may end on a slope up of at most this share of the slope down it began with
SHORTEN = 0.9  # and is tried again at this share of its length, in a direction that knows what went wrong
REFRESH = 4  # the diagonal is looked at again after this many steps; looking at each saves no step
SHRINK_AT = 0.8  # closed problems are left out once the others fill less than this share of the grid


@runtime_checkable
class Problems(Protocol):
    """A grid of problems, [rows, columns], each in a number of variables."""

    def gradient(self, w: Tensor, curvature: bool) -> tuple[Tensor, Tensor | None]:
        """At w [rows, columns, variables]: the gradient and, if asked for, about the diagonal of the Hessian, > 0."""
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
    solution, converged = start.clone(), torch.zeros(start.shape[:2], dtype=torch.bool, device=start.device)
    rows, columns = (torch.arange(size, device=start.device) for size in start.shape[:2])
    state, done = _State.at(start.clone(), problems), converged.clone()
    for step in range(1, max_steps + 1):
        accepted = state.advance(problems, step % REFRESH == 0)
        close = accepted & state.is_close(tolerance, measured)
        if step % REFRESH and (close & ~done).any():  # by the diagonal of an earlier point: ask the one here as well
            close &= _State.at(state.w, problems).is_close(tolerance, measured)
        done |= close
        keep_rows, keep_columns = ((~done.all(dim=d)).nonzero().flatten() for d in (1, 0))
        if len(keep_rows) * len(keep_columns) < SHRINK_AT * done.numel() or step == max_steps:
            solution[rows[:, None], columns], converged[rows[:, None], columns] = state.w, done
            if not len(keep_rows):
                break
            rows, columns, done = rows[keep_rows], columns[keep_columns], done[keep_rows[:, None], keep_columns]
            problems, state = problems.keep(keep_rows, keep_columns), state.keep(keep_rows, keep_columns)
    return solution, converged, step


@dataclass
class _State:
    """Where each problem is and where it goes next: [rows, columns, variables], or [rows, columns, 1].

    ``descent`` is H⁻¹ times the gradient, ``decrease`` gᵀH⁻¹g, ``length`` the share of the descent to try.
    """

    w: Tensor
    gradient: Tensor
    curvature: Tensor
    descent: Tensor
    decrease: Tensor
    length: Tensor

    @classmethod
    def at(cls, w: Tensor, problems: Problems) -> "_State":
        gradient, curvature = problems.gradient(w, curvature=True)
        descent = gradient / curvature
        return cls(w, gradient, curvature, descent, _dot(gradient, descent), w.new_ones(*w.shape[:2], 1))

    def advance(self, problems: Problems, refresh: bool) -> Bool[Tensor, "rows columns"]:
        """Try a step in every problem; say where it was taken, and find the next direction everywhere."""
        step = self.descent * -self.length
        trial = self.w + step
        gradient, curvature = problems.gradient(trial, refresh)
        change = gradient - self.gradient
        slope = self.length * self.decrease
        along = _dot(step, gradient)
        product = along + slope
        taken = along <= OVERSHOOT * slope
        if taken.all():
            self.w, self.gradient = trial, gradient
        else:
            self.w, self.gradient = torch.where(taken, trial, self.w), torch.where(taken, gradient, self.gradient)
            along = torch.where(taken, along, -slope)
        self.length = torch.where(taken, 1, self.length * SHORTEN)
        if curvature is not None:
            self.curvature = torch.where(taken, curvature, self.curvature)
        self.descent = self._newton_step(step, change, product, along)
        self.decrease = _dot(self.gradient, self.descent)
        return taken[:, :, 0]

    def _newton_step(self, step: Tensor, change: Tensor, product: Tensor, along: Tensor) -> Tensor:
        """H⁻¹g, H the BFGS update, by the last step, of the diagonal."""
        scaled = change / self.curvature
        learned = product > 0
        scale = torch.where(learned, product / _dot(change, scaled), 1)
        reciprocal = torch.where(learned, 1 / product, 0)
        share = along * reciprocal
        rest = (self.gradient / self.curvature).sub_(share * scaled).mul_(scale)
        back = share - _dot(change, rest) * reciprocal
        return rest.addcmul_(back, step)

    def is_close(self, tolerance: float, measured: Tensor) -> Bool[Tensor, "rows columns"]:
        rounding = (8 * torch.finfo(self.w.dtype).eps) ** 2
        return (self.decrease <= tolerance**2 * _dot(self.w * measured, self.curvature * self.w) + rounding)[:, :, 0]

    def keep(self, rows: Tensor, columns: Tensor) -> "_State":
        def part(v: Tensor) -> Tensor:
            v = v.index_select(1, columns)
            return v if len(rows) == len(v) else v.index_select(0, rows)

        return _State(**{name: part(tensor) for name, tensor in vars(self).items()})


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=-1, keepdim=True)  # a batch of small matrix-vector products is five times slower
