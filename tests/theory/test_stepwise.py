"""The closed form against a simulation of the gradient flow it solves."""

import math

import pytest
import torch

from labkit.theory.stepwise import critical_times, effective_init, eigenvalues, final_encoder, loss

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


def test_small_starts_give_the_simple_logistic():
    gamma, initial = GAMMA[:2], INITIAL[:2] / 10
    times = torch.linspace(0, 4, 200, dtype=torch.float64)
    simple = torch.sigmoid(8 * gamma * (times[:, None] - critical_times(gamma, initial)))
    error = (eigenvalues(gamma, initial, times) - simple).abs().max(dim=0).values
    torch.testing.assert_close(error, gamma * initial**2 / 4, rtol=0.05, atol=0)


def test_a_random_small_start_behaves_like_its_effective_one():
    """The smaller the start, the better: γ a factor 2 apart, 4 of 6 modes, plain Runge-Kutta on the whole matrix."""
    gamma = 0.5 ** torch.arange(6, dtype=torch.float64)
    v = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    a = torch.randn(4, 6, dtype=torch.float64)
    errors = []
    for scale in (1e-1, 1e-3):
        initial, _ = effective_init(scale * a @ v.T, v)
        end = 1.1 * critical_times(gamma[:4], initial).max().item()
        w, worst, before = scale * a, 0.0, 0.0
        for t in torch.linspace(end / 12, end, 12, dtype=torch.float64):
            w, before = simulate(w, gamma, t.item() - before, steps=120), t.item()
            found = torch.linalg.eigvalsh(w @ torch.diag(gamma) @ w.T)
            worst = max(worst, (found - eigenvalues(gamma[:4], initial, t[None])[0].sort().values).abs().max().item())
        errors.append(worst)
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 4


def test_the_flow_ends_at_the_encoder_of_least_norm():
    gamma = torch.tensor([1.0, 0.5, 0.25, 0.1, -0.3], dtype=torch.float64)
    start = 1e-7 * torch.randn(2, 5, dtype=torch.float64)
    _, rotation = effective_init(start, torch.eye(5, dtype=torch.float64))
    w = simulate(start, gamma, 13.0, steps=3000)
    expected = final_encoder(gamma[:2], torch.eye(5, dtype=torch.float64)[:, :2], rotation)
    torch.testing.assert_close(w, expected, rtol=0, atol=5e-3)
    assert expected.square().sum().item() == pytest.approx(1 / 1.0 + 1 / 0.5)
    torch.testing.assert_close(expected @ torch.diag(gamma) @ expected.T, torch.eye(2, dtype=torch.float64))
    assert loss(torch.ones(3)).item() == 0
    assert loss(torch.tensor([[1.0, 0.5], [0.0, 0.0]])).tolist() == [0.25, 2.0]


def test_effective_init_of_an_aligned_start_is_the_start():
    rotation, v = (torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q for _ in range(2))
    found, u = effective_init(rotation @ torch.diag(INITIAL) @ v.T, v)
    torch.testing.assert_close(found, INITIAL)
    torch.testing.assert_close(u, rotation)
    assert effective_init(rotation[:3], v, d=2)[1].shape == (3, 2)


def test_steps_of_descent_are_nearer_with_their_own_rate():
    lr, w, path = 0.02, 1e-3, []
    for _ in range(400):
        path.append(w * w)
        w = w - lr * 4 * (w * w - 1) * w
    t, one = lr * torch.arange(400, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    measured = torch.tensor(path, dtype=torch.float64)
    flow = (eigenvalues(one, 1e-3 * one, t)[:, 0] - measured).abs().max()
    steps = (eigenvalues(one, 1e-3 * one, t, lr=lr)[:, 0] - measured).abs().max()
    assert steps < flow / 2.5
    with pytest.raises(ValueError, match="does not settle"):
        eigenvalues(one, one, t, lr=0.3)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="must lie between 1 and 2"):
        effective_init(torch.ones(2, 5), torch.eye(5), d=3)
    with pytest.raises(ValueError, match="gamma must be positive in every mode"):
        final_encoder(torch.tensor([1.0, -1.0]), torch.eye(2))
    with pytest.raises(ValueError, match="the modes of initial must be the 5 of gamma, not 2"):
        critical_times(GAMMA, INITIAL[:2])
    with pytest.raises(ValueError, match="t must be ≥ 0, not -1"):
        eigenvalues(GAMMA, INITIAL, torch.tensor([-1.0]))
    with pytest.raises(ValueError, match="initial must hold singular values"):
        critical_times(GAMMA, -INITIAL)
    with pytest.raises(ValueError, match="gamma holds NaN"):
        critical_times(GAMMA * math.nan, INITIAL)
