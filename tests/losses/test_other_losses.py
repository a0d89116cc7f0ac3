"""Decorrelation, cosine and spectral losses against loops at float64, value and gradient."""

import math

import pytest
import torch

from labkit.losses import barlow_twins, byol, scaled_cosine_error, spectral_contrastive, vicreg, w_mse


def slow_barlow_twins(a, b, weight=5e-3):
    n, dim = a.shape

    def standardise(x):
        mean = sum(x) / n
        return (x - mean) / (sum((row - mean) ** 2 for row in x) / n).sqrt()

    a, b, total = standardise(a), standardise(b), 0
    for i in range(dim):
        for j in range(dim):
            c = sum(a[k, i] * b[k, j] for k in range(n)) / n
            total = total + ((1 - c) ** 2 if i == j else weight * c**2)
    return total


def slow_vicreg(a, b):
    n, dim = a.shape
    invariance = sum((a[i, j] - b[i, j]) ** 2 for i in range(n) for j in range(dim)) / (n * dim)
    hinge = redundancy = 0
    for x in (a, b):
        x = x - sum(x) / n
        covariance = sum(row[:, None] * row[None, :] for row in x) / (n - 1)
        hinge = hinge + sum(torch.clamp(1 - (covariance[j, j] + 1e-4).sqrt(), min=0) for j in range(dim)) / dim / 2
        redundancy = redundancy + sum(covariance[i, j] ** 2 for i in range(dim) for j in range(dim) if i != j) / dim
    return 25 * invariance + 25 * hinge + redundancy


def slow_w_mse(a, b):
    def whiten(x):
        x = x - x.mean(0)
        return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (len(x) - 1))).T

    a, b = whiten(a), whiten(b)
    return sum(((u / u.norm() - v / v.norm()) ** 2).sum() for u, v in zip(a, b, strict=True)) / len(a)


def slow_spectral(a, b):
    n = len(a)
    positive = sum(a[i] @ b[i] for i in range(n)) / n
    return -2 * positive + sum((a[i] @ b[j]) ** 2 for i in range(n) for j in range(n) if i != j) / (n * (n - 1))


def slow_sce(x, y):
    return sum((1 - u @ v / (u.norm() * v.norm())) ** 3 for u, v in zip(x, y, strict=True)) / len(x)


CASES = [
    (barlow_twins, slow_barlow_twins),
    (vicreg, slow_vicreg),
    (w_mse, slow_w_mse),
    (spectral_contrastive, slow_spectral),
    (scaled_cosine_error, slow_sce),
]


@pytest.mark.parametrize(("loss", "slow"), CASES, ids=lambda f: f.__name__)
def test_value_and_gradient_equal_the_loop(loss, slow):
    a, b = (0.4 * torch.randn(9, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    value, expected = loss(a, b), slow(a, b)
    torch.testing.assert_close(value, expected, rtol=1e-11, atol=1e-11)
    for ours, theirs in zip(torch.autograd.grad(value, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-11)


def test_byol_value_and_stopped_gradient():
    p, z = (torch.randn(5, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    expected = sum(((u / u.norm() - v / v.norm()) ** 2).sum() for u, v in zip(p, z, strict=True)) / 5
    torch.testing.assert_close(byol(p, z), expected)
    for loss in (byol, scaled_cosine_error):
        torch.testing.assert_close(loss(p[:1], p[:1]), loss(p[:1], 2 * p[:1]))  # one item will do
    assert torch.autograd.grad(byol(p, z), z, allow_unused=True)[0] is None


def test_w_mse_whitens_sub_batches_that_both_views_share():
    a, b = torch.randn(24, 3, dtype=torch.float64), torch.randn(24, 3, dtype=torch.float64)
    parts = torch.randperm(24, generator=torch.Generator().manual_seed(1)).split(8)
    expected = sum(slow_w_mse(a[part], b[part]) for part in parts) / 3
    torch.testing.assert_close(w_mse(a, b, size=8, generator=torch.Generator().manual_seed(1)), expected)


def test_collapse_is_the_worst_for_losses_that_prevent_it():
    a = torch.randn(64, 4)
    collapsed = torch.ones(64, 4)
    assert vicreg(collapsed, collapsed) > vicreg(a, a)
    assert spectral_contrastive(torch.zeros(64, 4), torch.zeros(64, 4)) > spectral_contrastive(a / 4, a / 4)
    with pytest.raises(ValueError, match="singular"):
        w_mse(collapsed, collapsed)


@pytest.mark.parametrize("loss", [barlow_twins, vicreg])
def test_a_dimension_that_died_leaves_a_gradient_for_the_others(loss):
    a, b = torch.randn(2, 6, 3)
    a[:, 0] = 0
    a.requires_grad_()
    loss(a, b).backward()
    assert a.grad.isfinite().all()
    assert a.grad[:, 1:].abs().sum() > 0


def test_bad_input_is_named():
    a = torch.randn(6, 3)
    for loss in (barlow_twins, vicreg, w_mse, spectral_contrastive, byol, scaled_cosine_error):
        with pytest.raises(ValueError, match="same shape"):
            loss(a, a[:4])
        with pytest.raises(ValueError, match="NaN"):
            loss(a, a * math.nan)
    for loss in (barlow_twins, vicreg, w_mse, spectral_contrastive):
        with pytest.raises(ValueError, match="at least 2 items"):
            loss(a[:1], a[:1])
    with pytest.raises(ValueError, match="size > 3"):
        w_mse(a, a, size=3)
    with pytest.raises(ValueError, match="divide"):
        w_mse(a, a, size=4)
    with pytest.raises(ValueError, match="off_diagonal"):
        barlow_twins(a, a, off_diagonal=-1)
    with pytest.raises(ValueError, match="covariance"):
        vicreg(a, a, covariance=-1)
    with pytest.raises(ValueError, match="gamma"):
        scaled_cosine_error(a, a, gamma=0)


@pytest.mark.parametrize("loss", [byol, scaled_cosine_error])
def test_a_row_of_zeros_in_half_precision_is_at_right_angles_to_all(loss):
    a = torch.zeros(3, 4, dtype=torch.float16)
    assert loss(a, torch.ones(3, 4)) == loss(a.float(), torch.ones(3, 4))
