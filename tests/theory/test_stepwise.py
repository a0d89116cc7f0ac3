"""The closed form against a simulation of the gradient flow it solves."""

import math

import pytest
import torch

from labkit.theory.stepwise import critical_times, eigenvalues

GAMMA = torch.tensor([1.3, 0.7, 0.25, 0.0, -0.4], dtype=torch.float64)
INITIAL = torch.tensor([1e-2, 3e-2, 0.4, 0.5, 0.6], dtype=torch.float64)


def simulate(w, gamma, t, steps=20_000):
    """dW/dt = −4 (W Γ Wᵀ − I) W Γ by fourth-order Runge-Kutta; singular values squared times γ at time t."""
    g, identity, h = torch.diag(gamma), torch.eye(len(w), dtype=w.dtype), t / steps

    def flow(w):
        return -4 * (w @ g @ w.T - identity) @ w @ g

    for _ in range(steps):
        a = flow(w)
        b = flow(w + h / 2 * a)
        c = flow(w + h / 2 * b)
        w = w + h / 6 * (a + 2 * b + 2 * c + flow(w + h * c))
    return w


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_closed_form_equals_the_simulated_flow(t):
    w = simulate(torch.diag(INITIAL), GAMMA, t, steps=2000)
    found = eigenvalues(GAMMA, INITIAL, torch.tensor([0.0, t], dtype=torch.float64))
    torch.testing.assert_close(found[0], GAMMA * INITIAL**2)
    torch.testing.assert_close(found[1], (w @ torch.diag(GAMMA) @ w.T).diagonal(), rtol=1e-7, atol=1e-9)


def test_rotation_of_an_aligned_start_changes_nothing():
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    w = simulate(rotation @ torch.diag(INITIAL), GAMMA, 1.0, steps=2000)
    found = torch.linalg.eigvalsh(w @ torch.diag(GAMMA) @ w.T)
    expected = eigenvalues(GAMMA, INITIAL, torch.tensor([1.0], dtype=torch.float64))[0].sort().values
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


def test_no_overflow_at_late_times_and_from_large_starts():
    late = eigenvalues(GAMMA, INITIAL, torch.tensor([1e4], dtype=torch.float64))[0]
    torch.testing.assert_close(late, torch.tensor([1.0, 1, 1, 0, 0], dtype=torch.float64))
    large = eigenvalues(
        GAMMA[:1], torch.tensor([5.0], dtype=torch.float64), torch.tensor([0.0, 9.0], dtype=torch.float64)
    )
    assert large[0, 0] == pytest.approx(1.3 * 25)
    assert large[1, 0] == pytest.approx(1)
    nothing = eigenvalues(GAMMA, torch.zeros(5, dtype=torch.float64), torch.tensor([3.0], dtype=torch.float64))
    assert torch.equal(nothing, torch.zeros_like(nothing))


def test_critical_times_are_where_a_mode_is_half_learned():
    times = critical_times(GAMMA, INITIAL)
    assert times[3:].tolist() == [math.inf, math.inf]
    for j in range(3):
        half = eigenvalues(GAMMA, INITIAL, times[j : j + 1])[0, j]
        assert half.item() == pytest.approx(1 / (2 - (GAMMA[j] * INITIAL[j] ** 2).item()), rel=1e-9)
    assert times[0] < times[1]  # equal small starts are learned in the order of their eigenvalues


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="as long as each other, not 5 and 2"):
        critical_times(GAMMA, INITIAL[:2])
    with pytest.raises(ValueError, match="t must hold times"):
        eigenvalues(GAMMA, INITIAL, torch.tensor([-1.0]))
    with pytest.raises(ValueError, match="initial must hold singular values"):
        critical_times(GAMMA, -INITIAL)
    with pytest.raises(ValueError, match="gamma holds NaN"):
        critical_times(GAMMA * math.nan, INITIAL)
