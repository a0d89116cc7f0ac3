"""Memoryless BFGS: it ends where it says, says when, and its update knows what the last step taught."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from labkit.evaluate._bfgs import _State, minimise

GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


@dataclass
class Quadratics:
    """½ (w − least)ᵀ H (w − least) for each problem of a grid; the diagonal that is told is that of H times ``off``."""

    hessian: Tensor
    least: Tensor
    off: float = 1.0

    @classmethod
    def drawn(cls, rows=2, columns=3, size=6, scale=1.0, off=1.0):
        a = drawn(rows, columns, size, size)
        return cls(a @ a.mT / size + torch.eye(size, dtype=torch.float64), scale * drawn(rows, columns, size), off)

    def gradient(self, w, curvature):
        gradient = ((w - self.least)[:, :, None] @ self.hessian)[:, :, 0]
        return gradient, self.off * self.hessian.diagonal(dim1=2, dim2=3) if curvature else None

    def keep(self, rows, columns):
        return Quadratics(self.hessian[rows[:, None], columns], self.least[rows[:, None], columns], self.off)


def solved(problems, tolerance=1e-6, max_steps=500):
    start = torch.zeros_like(problems.least)
    return minimise(problems, start, torch.ones(start.shape[2], dtype=torch.float64), tolerance, max_steps)


@pytest.mark.parametrize("off", [0.3, 1.0, 5.0])
def test_every_problem_ends_at_its_minimum(off):
    problems = Quadratics.drawn(off=off)
    w, converged, steps = solved(problems)
    assert converged.all()
    assert steps < 100
    torch.testing.assert_close(w, problems.least, rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_done_is_relative(scale):
    GENERATOR.manual_seed(1)
    _, _, steps = solved(Quadratics.drawn())
    GENERATOR.manual_seed(1)
    scaled = Quadratics.drawn(scale=scale)
    w, _, as_many = solved(scaled)
    assert as_many == steps
    torch.testing.assert_close(w / scale, scaled.least / scale, rtol=0, atol=1e-4)


def test_what_is_left_at_the_end_is_below_the_tolerance_and_was_above_it_before():
    problems = Quadratics.drawn(rows=1, columns=1)

    def left(w):
        gradient, _ = problems.gradient(w, False)
        short = (gradient * torch.linalg.solve(problems.hessian, gradient[..., None])[..., 0]).sum()
        length = (w[:, :, None] @ problems.hessian @ w[..., None]).sum()
        return float((short / length).sqrt())

    _, _, steps = solved(problems, tolerance=1e-3)
    before, converged, _ = solved(problems, tolerance=1e-3, max_steps=steps - 1)
    assert not converged.any()
    assert left(solved(problems, tolerance=1e-3)[0]) < 3e-3
    assert left(before) > 3e-4


def test_the_update_takes_the_last_change_to_the_last_step():
    """The secant equation: H⁻¹ y = s."""
    curvature, step, change = drawn(2, 3, 5).exp(), drawn(2, 3, 5), drawn(2, 3, 5)
    change += step * (1 - (step * change).sum(2, keepdim=True) / step.square().sum(2, keepdim=True))  # s·y = s·s > 0
    product = (step * change).sum(2, keepdim=True)
    state = _State(step, change, curvature, step, product, torch.ones(2, 3, 1))
    torch.testing.assert_close(state._newton_step(step, change, product, product), step)


def test_the_update_is_symmetric():
    curvature, step, a, b = drawn(1, 1, 5).exp(), drawn(1, 1, 5), drawn(1, 1, 5), drawn(1, 1, 5)
    change = step + 0.3 * drawn(1, 1, 5)
    product, one = (step * change).sum(2, keepdim=True), torch.ones(1, 1, 1)

    def times(gradient):
        state = _State(step, gradient, curvature, step, product, one)
        return state._newton_step(step, change, product, (step * gradient).sum(2, keepdim=True))

    assert product.item() > 0
    assert (a * times(b)).sum().item() == pytest.approx((b * times(a)).sum().item())
    assert (a * times(a)).sum().item() > 0


def test_a_step_that_taught_nothing_is_not_used():
    curvature, gradient = drawn(1, 1, 4).exp(), drawn(1, 1, 4)
    zero = torch.zeros(1, 1, 4, dtype=torch.float64)
    state = _State(zero, gradient, curvature, zero, zero[..., :1], torch.ones(1, 1, 1))
    found = state._newton_step(drawn(1, 1, 4), drawn(1, 1, 4), -torch.ones(1, 1, 1, dtype=torch.float64), zero[..., :1])
    torch.testing.assert_close(found, gradient / curvature)
