"""Rates and plateaus against simulations of the gradient flows of the four losses, each written from its definition."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from labkit.theory import modes

SIGMA = torch.tensor([1.5, 1.2, 1.0, 0.7, 0.4], dtype=torch.float64)
RHO = torch.tensor([0.9, 0.5, 0.7, 0.3, 0.95], dtype=torch.float64)
GAMMA = SIGMA * RHO
START = torch.tensor([1e-4, 3e-4, 1e-3, 2e-3, 1e-2], dtype=torch.float64)
EYE = torch.eye(5, dtype=torch.float64)


def barlow_twins(w, sigma, gamma):
    return (w @ gamma @ w.T - EYE).square().sum()


def spectral(w, sigma, gamma):
    c = w @ sigma @ w.T
    return -2 * torch.trace(w @ gamma @ w.T) + torch.trace(c @ c)


def vicreg(w, sigma, gamma, beta=1.6):
    moved = 2 * torch.trace(w @ (sigma - gamma) @ w.T)  # E‖W(x − x')‖²
    return (w @ sigma @ w.T - EYE).square().sum() + beta * moved


def info_nce(w, sigma, gamma, tau=0.5):
    c = w @ sigma @ w.T
    return -torch.trace(w @ gamma @ w.T) / tau + torch.trace(c @ c) / (2 * tau**2)


CASES = {
    "barlow_twins": (barlow_twins, modes.barlow_twins(GAMMA)),
    "spectral": (spectral, modes.spectral_contrastive(GAMMA, SIGMA)),
    "vicreg": (vicreg, modes.vicreg(GAMMA, SIGMA, beta=1.6)),
    "info_nce": (info_nce, modes.info_nce(GAMMA, SIGMA, tau=0.5)),
}


@pytest.mark.parametrize("name", CASES)
def test_curves_are_those_of_the_simulated_flow(name):
    """From an aligned start, in a rotated basis, by autograd of the loss and a stiff-safe integrator."""
    loss, (rate, plateau) = CASES[name]
    left, right = (torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q for _ in range(2))
    sigma, gamma = (right @ torch.diag(values) @ right.T for values in (SIGMA, GAMMA))

    def flow(_, flat):
        w = torch.from_numpy(flat).reshape(5, 5).requires_grad_()
        return -torch.autograd.grad(loss(w, sigma, gamma), w)[0].flatten().numpy()

    times = np.linspace(0, 3, 7)
    w = left @ torch.diag(START.sqrt()) @ right.T
    path = solve_ivp(flow, (0, 3), w.flatten().numpy(), t_eval=times, rtol=1e-9, atol=1e-11, method="DOP853").y
    values = torch.tensor(path.T).reshape(-1, 5, 5) @ right
    measured = (left.T @ values).diagonal(dim1=1, dim2=2).square()
    expected = modes.logistic_modes(rate, plateau, START, torch.from_numpy(times))
    torch.testing.assert_close(measured, expected, rtol=0, atol=1e-7)


def test_order_of_four_losses():
    assert torch.equal(modes.barlow_twins(GAMMA).rate, modes.spectral_contrastive(GAMMA, SIGMA).rate)
    torch.testing.assert_close(modes.vicreg(GAMMA, SIGMA, beta=1).rate, modes.barlow_twins(GAMMA).rate)
    torch.testing.assert_close(modes.vicreg(GAMMA, SIGMA, beta=0).rate, 8 * SIGMA)
    dropped = modes.vicreg(GAMMA, SIGMA, beta=1.6).rate <= 0
    assert dropped.tolist() == (RHO <= 1 - 1 / 1.6).tolist() == [False, False, False, True, False]
    torch.testing.assert_close(SIGMA * modes.barlow_twins(GAMMA).plateau, 1 / RHO)
    torch.testing.assert_close(SIGMA * modes.spectral_contrastive(GAMMA, SIGMA).plateau, RHO)
    torch.testing.assert_close(SIGMA * modes.vicreg(GAMMA, SIGMA, 1.6).plateau, 1 - 1.6 * (1 - RHO))
    torch.testing.assert_close(SIGMA * modes.info_nce(GAMMA, SIGMA, 0.5).plateau, 0.5 * RHO)


@pytest.mark.parametrize(("scale", "most"), [(0.1, 2e-4), (0.01, 2e-8)])
def test_info_nce_of_a_small_encoder_is_its_two_terms(scale, most):
    """The population loss −E z·z'/τ + E log E exp(z·z'₋/τ) less its expansion, relative to the expansion."""
    n, tau = 400, 0.7
    signal, noise = torch.randn(n, 3, dtype=torch.float64), torch.randn(2, n, 3, dtype=torch.float64)
    x, x2 = signal + 0.5 * noise[0], signal + 0.5 * noise[1]
    x, x2 = x - x.mean(0), x2 - x2.mean(0)
    w = scale * torch.randn(2, 3, dtype=torch.float64)
    z, z2 = x @ w.T, x2 @ w.T
    exact = -(z * z2).sum(1).mean() / tau + (z @ z2.T / tau).logsumexp(1).mean() - math.log(n)
    quartic = torch.trace(w @ (x.T @ x / n) @ w.T @ w @ (x2.T @ x2 / n) @ w.T)
    expansion = -torch.trace(w @ modes.cross_covariance(x, x2) @ w.T) / tau + quartic / (2 * tau**2)
    assert abs((exact - expansion) / expansion) < most


def test_where_info_nce_ends_for_gaussian_and_for_two_valued_data():
    """Population loss of z = w a: −ρw²/τ + log E exp(w² a b/τ); Gaussian by quadrature, ±1 as a cosh."""
    rho, tau = torch.tensor([0.9], dtype=torch.float64), 0.5
    node, weight = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(60))
    weight = weight / weight.sum()
    power = torch.linspace(0.3, 0.9, 601, dtype=torch.float64)  # w²
    inner = (torch.exp(power[:, None, None] * torch.outer(node, node) / tau) @ weight).log()  # over b, for each a
    gaussian = -rho * power / tau + inner @ weight
    binary = -rho * power / tau + torch.cosh(power / tau).log()
    plateau = modes.info_nce(rho, torch.ones(1, dtype=torch.float64), tau).plateau.item()
    assert power[gaussian.argmin()].item() == pytest.approx(plateau, abs=2e-3)
    assert power[binary.argmin()].item() == pytest.approx(tau * math.atanh(0.9), abs=2e-3)


@settings(max_examples=80, deadline=None)
@given(st.floats(-5, 5), st.floats(1e-3, 10), st.floats(0, 20), st.floats(0, 50))
def test_logistic_modes_solve_their_equation(rate, plateau, start, t):
    plateau = math.copysign(plateau, rate) if rate else plateau
    values = [torch.tensor([v], dtype=torch.float64) for v in (rate, plateau, start)]
    time = torch.tensor([t], dtype=torch.float64, requires_grad=True)
    now = modes.logistic_modes(*values, time)[0, 0]
    (slope,) = torch.autograd.grad(now, time)
    expected = rate * now.item() * (1 - now.item() / plateau)
    assert slope.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert modes.logistic_modes(*values, torch.zeros(1, dtype=torch.float64)).item() == pytest.approx(start)


def test_no_overflow_and_nothing_from_nothing():
    rate, plateau = torch.tensor([5.0, -5.0, 0.0, 5.0]), torch.tensor([2.0, -2.0, 0.0, 2.0])
    late = modes.logistic_modes(rate, plateau, torch.tensor([1e-6, 1.0, 0.3, 0.0]), torch.tensor([0.0, 1e6]))
    torch.testing.assert_close(late[1], torch.tensor([2.0, 0.0, 0.3, 0.0]))


def test_half_times_are_where_half_the_plateau_is():
    rate, plateau = modes.spectral_contrastive(GAMMA, SIGMA)
    times = modes.half_times(rate, plateau, START)
    reached = modes.logistic_modes(rate, plateau, START, times).diagonal()
    torch.testing.assert_close(reached, plateau / 2)
    never = modes.half_times(torch.tensor([-1.0, 1.0, 1.0]), torch.tensor([-1.0, 1, 1]), torch.tensor([0.1, 0, 0.9]))
    assert never.tolist() == [math.inf, math.inf, 0]


@pytest.mark.parametrize(
    ("rate", "plateau", "start", "message"),
    [
        (1.0, -1.0, 0.1, "one sign"),
        (1.0, 0.0, 0.1, "plateau above 0"),
        (1.0, 1.0, -0.1, "start must be ≥ 0"),
        (1.0, math.nan, 0.1, "plateau"),
    ],
)
def test_half_times_refuse_what_the_curves_refuse(rate, plateau, start, message):
    numbers = [torch.tensor([value]) for value in (rate, plateau, start)]
    with pytest.raises(ValueError, match=message):
        modes.half_times(*numbers)
    with pytest.raises(ValueError, match=message):
        modes.logistic_modes(*numbers, torch.ones(1))


def test_discrete_rate_is_nearer_to_descent_than_the_flow():
    gamma, w, lr = 1.0, 1e-3, 0.02
    path = [w]
    for _ in range(400):
        w = w - lr * 4 * (w * gamma * w - 1) * w * gamma
        path.append(w)
    measured = torch.tensor(path, dtype=torch.float64).square()[:, None]
    g, t = torch.tensor([gamma], dtype=torch.float64), lr * torch.arange(401, dtype=torch.float64)
    start = measured[0]
    rate, plateau = modes.barlow_twins(g)
    of_flow = (modes.logistic_modes(rate, plateau, start, t) - measured).abs().max()
    corrected = (modes.logistic_modes(modes.discrete_rate(rate, lr), plateau, start, t) - measured).abs().max()
    assert corrected < 2 * lr * gamma
    assert of_flow > 2.5 * corrected


def test_cross_covariance_by_a_loop():
    x, x2 = torch.randn(2, 30, 4, dtype=torch.float64) + 3
    for center in (True, False):
        mean = torch.cat([x, x2]).mean(0) if center else torch.zeros(4, dtype=torch.float64)
        expected = sum(torch.outer(a - mean, b - mean) + torch.outer(b - mean, a - mean) for a, b in zip(x, x2)) / 60
        torch.testing.assert_close(modes.cross_covariance(x, x2, center), expected)


def test_bad_input_is_named():
    one = torch.ones(2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"lr < 0\.25"):
        modes.discrete_rate(8 * one, 0.26)
    with pytest.raises(ValueError, match="lr must be a positive"):
        modes.discrete_rate(one, 0)
    for gamma, sigma in ((2 * one, one), (-2 * one, one), (0 * one, 0 * one)):
        for loss in (modes.spectral_contrastive, modes.vicreg, modes.info_nce):
            with pytest.raises(ValueError, match="correlation lies within"):
                loss(gamma, sigma)
    with pytest.raises(ValueError, match="beta must lie between 0"):
        modes.vicreg(one, one, -1)
    with pytest.raises(ValueError, match="tau must be a positive"):
        modes.info_nce(one, one, 0)
    with pytest.raises(ValueError, match="the modes of start must be the 2 of rate, not 1"):
        modes.logistic_modes(one, one, one[:1], one)
    with pytest.raises(ValueError, match="one sign"):
        modes.logistic_modes(one, -one, one, one)
    with pytest.raises(ValueError, match="start must be ≥ 0"):
        modes.logistic_modes(one, one, -one, one)
    with pytest.raises(ValueError, match="the items of x2 must be the 3 of x, not 2"):
        modes.cross_covariance(torch.ones(3, 2), torch.ones(2, 2))


@pytest.mark.parametrize("rate", [-3.9, -2.5, -2.0, -1.0, -1e-4, 1e-4, 1.9])
def test_a_small_mode_of_any_rate_changes_a_step_as_in_descent(rate):
    found = modes.discrete_rate(torch.tensor([rate], dtype=torch.float64), 1.0).exp()
    assert found.item() == pytest.approx((1 + rate / 2) ** 2, rel=1e-9, abs=1e-300)
    with pytest.raises(ValueError, match="lets a mode of rate -4 grow"):
        modes.discrete_rate(torch.tensor([-4.0]), 1.0)


def test_a_mode_without_covariance_has_a_gradient():
    gamma = torch.tensor([0.5, 0.0, -0.2], dtype=torch.float64, requires_grad=True)
    start = torch.full((3,), 1e-3, dtype=torch.float64, requires_grad=True)
    t, ones = torch.linspace(0, 3, 5, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for of in (modes.barlow_twins(gamma), modes.spectral_contrastive(gamma, ones), modes.info_nce(gamma, ones)):
        u = modes.logistic_modes(*of, start, t)
        by_gamma, by_start = torch.autograd.grad(u.sum(), (gamma, start))
        assert torch.isfinite(by_gamma).all()
        assert by_start[1] == 5  # it stays as it is
        assert by_gamma[1] == pytest.approx((1e-3 * t * of.rate[0] / gamma[0]).sum().item())  # u(0) exp(r t) nearby
    assert modes.barlow_twins(gamma).plateau[1] == torch.inf
