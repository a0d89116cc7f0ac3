"""Stepwise: simulated flows against closed forms on digits, networks, measures of steps; the notes' tolerances."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labkit.data import load
from labkit.papers.dynamics import _flows, _networks, stepwise
from labkit.theory import modes
from labkit.theory.pair_kernel import PairKernelEncoder
from labkit.theory.stepwise import effective_init, eigenvalues


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_from_an_aligned_start_closed_form_and_flow_agree(digits):
    """Error below 1e-7 on the spectrum of digits, for all 12 modes, in the basis of the pixels."""
    x, x2, _ = _flows.pairs(digits, 300)
    gamma_matrix = modes.cross_covariance(x, x2)
    gamma, v = _flows.leading(gamma_matrix)
    initial = torch.logspace(-3, -2, 12, dtype=torch.float64)
    u = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64)).Q
    times = torch.linspace(0, 40, 30, dtype=torch.float64)
    gradient = _flows.gradients(gamma_matrix, gamma_matrix)["Barlow Twins"]
    path = _flows.flow(gradient, u @ torch.diag(initial) @ v[:, :12].T, times)
    found = (u.T @ path @ gamma_matrix @ path.mT @ u).diagonal(dim1=1, dim2=2)
    assert (found - eigenvalues(gamma[:12], initial, times)).abs().max() < 1e-7
    assert found[-1, 0] > 0.99


def test_median_step_time_error_from_random_starts_is_below_a_percent(digits):
    errors = []
    for seed in range(3):
        run = _flows.train_linear(*_flows.pairs(digits, 500, seed=seed)[:2], seed=seed)
        errors.append(run.error(run.times_predicted))
        assert run.error(run.times_of_variance) > 0.3
        assert run.subspace > 0.85
        assert (run.times_measured.diff() >= 0).all()
    assert np.median(errors) < 0.01


def test_more_dimensions_than_modes_are_refused(digits):
    x, x2, _ = _flows.pairs(digits, 100)
    shared = int((torch.linalg.eigvalsh(modes.cross_covariance(x, x2)) > 1e-10).sum())
    assert 30 < shared < 40
    assert len(_flows.train_linear(x, x2, 30).times_measured) == 30
    for d in (0, shared + 1):
        with pytest.raises(ValueError, match=f"d must lie between 1 and {shared}, the modes that two views share"):
            _flows.train_linear(x, x2, d)


@pytest.mark.parametrize("name", ["Barlow Twins", "spectral contrastive", "VICReg", "InfoNCE"])
def test_gradients_are_those_of_the_losses(name):
    x = torch.randn(50, 4, dtype=torch.float64)
    x2 = x + torch.randn(50, 4, dtype=torch.float64)
    both = torch.cat([x, x2])
    sigma, gamma = modes.cross_covariance(both, both), modes.cross_covariance(x, x2)
    x, x2 = x - both.mean(0), x2 - both.mean(0)

    def loss(w):
        z, z2 = x @ w.T, x2 @ w.T
        second, crossed = (z.T @ z + z2.T @ z2) / 100, (z.T @ z2 + z2.T @ z) / 100
        identity = torch.eye(3, dtype=torch.float64)
        return {
            "Barlow Twins": (crossed - identity).square().sum(),
            "spectral contrastive": -2 * (z * z2).sum(1).mean() + second.square().sum(),
            "VICReg": (second - identity).square().sum() + 1.7 * (z - z2).square().sum(1).mean(),
            "InfoNCE": -(z * z2).sum(1).mean() / 0.6 + second.square().sum() / (2 * 0.6**2),
        }[name]

    w = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(loss(w), w)[0]
    found = _flows.gradients(sigma, gamma, beta=1.7, tau=0.6)[name](w.detach().numpy())
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-10, atol=1e-10)


def test_crossings_by_hand():
    times = torch.tensor([0.0, 1.0, 2.0, 4.0])
    values = torch.tensor([[0.6, 0.0, 0.0], [0.7, 0.4, 0.1], [0.8, 0.6, 0.2], [0.9, 0.6, 0.3]])
    assert _flows.crossings(times, values, 0.5).tolist() == pytest.approx([0.0, 1.5, float("inf")])


def test_overlap_of_subspaces():
    a = torch.randn(10, 3)
    assert _flows.overlap(a, a @ torch.randn(3, 3)) == pytest.approx(1, abs=1e-6)
    assert _flows.overlap(torch.eye(10)[:, :2], torch.eye(10)[:, 1:3]) == pytest.approx(0.5)


def test_steps_leave_out_what_did_not_grow():
    times = torch.linspace(0, 10, 1001)
    values = torch.stack([2 * torch.sigmoid(4 * (times - 4)), torch.sigmoid(2 * (times - 7)), 0.005 * times], dim=1)
    found = stepwise.steps(times, values)
    torch.testing.assert_close(found.half, torch.tensor([4.0, 7.0]), atol=0.02, rtol=0)
    rises = 4.394 / 4, 4.394 / 2  # ln 81 / slope
    assert found.sharpness == pytest.approx((4 / rises[0] + 7 / rises[1]) / 2, rel=0.02)  # midway between the two
    assert stepwise.steps(times, torch.ones(1001, 2)).sharpness == 0
    values[:, 1] += 0.2 * (1 - values[:, 1])  # now above a tenth from the start on: it has no time to wait
    assert len(stepwise.steps(times, values).half) == 2
    found = stepwise.steps(times, values, from_below=True).half
    torch.testing.assert_close(found, torch.tensor([4.0]), atol=0.02, rtol=0)


def test_on_the_sphere_lengths_have_no_spectrum():
    z, length = torch.randn(40, 3), torch.rand(40, 1) + 0.5
    short, long = (SimpleNamespace(snapshots={0: z, 10: factor * z}) for factor in (1, length))
    torch.testing.assert_close(_networks.spectra(short, sphere=True), _networks.spectra(long, sphere=True))
    assert not torch.allclose(_networks.spectra(long)[1][0], _networks.spectra(long)[1][1])
    unit = torch.nn.functional.normalize(z.double(), dim=1)
    expected = torch.linalg.eigvalsh(unit.T.cov(correction=0)).flip(0)
    torch.testing.assert_close(_networks.spectra(long, sphere=True)[1][1], expected, rtol=1e-5, atol=1e-6)


def test_linear_barlow_twins_by_a_loop():
    a, b = torch.randn(6, 2, dtype=torch.float64), torch.randn(6, 2, dtype=torch.float64)
    mean = torch.cat([a, b]).mean(0)
    c = sum(torch.outer(p - mean, q - mean) + torch.outer(q - mean, p - mean) for p, q in zip(a, b)) / 12
    expected = (c - torch.eye(2, dtype=torch.float64)).square().sum()
    torch.testing.assert_close(_networks.linear_barlow_twins(a, b), expected)


def test_a_network_is_scaled_at_the_start_and_trains(digits):
    from labkit.recipes import Material
    from labkit.recipes import train as train_recipe

    recipe = stepwise.with_start(stepwise.BARLOW_TWINS, 0.5, encoder=lambda: stepwise.perceptron(32, 3))
    torch.manual_seed(0)
    small = recipe.build(digits)
    torch.manual_seed(0)
    whole = stepwise.perceptron(32, 3)
    for ours, full in zip(small.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, full / 2)
    run = train_recipe(recipe, Material(digits), 0, epochs=60, snapshots=(0, 60), progress=False, device="cpu")
    assert run.history["loss"][-1] < run.history["loss"][0]
    times, values = stepwise.spectra(run)
    assert times.tolist() == [0, 60]
    assert (values[1] > values[0]).all()
    assert stepwise.convolutional()(torch.zeros(2, 1, 8, 8)).shape == (2, 8)


def test_wide_networks_stop_when_they_have_learned(digits):
    run = _networks.train_wide(digits, 128, n=40, d=2)
    assert run.eigenvalues[-1].min() > 0.9
    assert 0.3 < run.kernel <= 1
    again = _networks.train_wide(digits, 128, n=40, d=2)
    assert torch.equal(run.eigenvalues, again.eigenvalues)


def test_a_function_s_start_is_that_of_its_weights():
    x = torch.randn(30, 4, dtype=torch.float64)
    x2 = x + 0.3 * torch.randn(30, 4, dtype=torch.float64)
    weight = torch.randn(3, 4, dtype=torch.float64)
    closed = PairKernelEncoder.fit(x, x2, 3)
    v = _flows.leading(modes.cross_covariance(x, x2))[1]
    found = _networks._effective_init(closed.views @ weight.T, closed)
    torch.testing.assert_close(found, effective_init(weight, v, 3)[0])


def test_simulated_flows_begin_where_they_are_told():
    sigma, start = torch.tensor([1.0, 0.5]).double(), torch.tensor([0.04, 0.25]).double()
    for path in _flows.four_losses(sigma, sigma / 2, start, torch.linspace(0, 1, 3, dtype=torch.float64)).values():
        torch.testing.assert_close(path[0], start)


def test_encoders_are_scored_on_test_images_and_shuffled_pairs_teach_less(digits):
    true, shuffled = (_networks.encoder_scores(digits, (5,), n=150, shuffled=one) for one in (False, True))
    assert true["pairs"][0] > shuffled["pairs"][0] + 0.03
    assert true["views"] == shuffled["views"]
    wrong = digits.labels.clone()
    wrong[digits.splits["test"]] = (wrong[digits.splits["test"]] + 1) % 10
    assert _networks.encoder_scores(replace(digits, labels=wrong), (5,), n=150)["pairs"][0] < 0.3


def test_equal_views_make_the_closed_form_kernel_pca(digits):
    scores = _networks.encoder_scores(digits, (2, 5), n=100, pixels=0, displaced=False)
    assert scores["pairs"] == pytest.approx(scores["views"])
    assert scores["views"] == pytest.approx(scores["originals"])


def test_the_error_of_an_even_number_of_modes_is_midway_between_the_middle_two():
    times = torch.arange(1.0, 4.0)
    run = _flows.LinearRun(times, torch.eye(3)[:, :2], times, times, times, 1.0, 0.0)  # half is reached at 1 and at 1.5
    assert run.times_measured.tolist() == [1.0, 1.5]
    assert run.error(torch.tensor([1.1, 2.1])) == pytest.approx((0.1 + 0.4) / 2)
