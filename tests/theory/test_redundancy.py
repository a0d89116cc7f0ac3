"""Closed forms of the losses of second moments, against the losses on many items drawn from the model."""

import math

import pytest
import torch

from labkit import losses
from labkit.theory import redundancy

ITEMS = 200_000


def views(**model):
    return redundancy.gaussian_views(ITEMS, **model, generator=torch.Generator().manual_seed(0))


def test_the_model_has_the_moments_it_says():
    a, b = views(std=0.7, correlation=-0.4, agreement=0.6)
    joint = torch.cov(torch.cat([a, b], dim=1).T)
    expected = 0.49 * torch.tensor(
        [[1, -0.4, 0.6, -0.24], [-0.4, 1, -0.24, 0.6], [0.6, -0.24, 1, -0.4], [-0.24, 0.6, -0.4, 1]]
    )
    torch.testing.assert_close(joint, expected.double(), atol=0.006, rtol=0)


@pytest.mark.parametrize(("std", "correlation", "agreement"), [(0.3, 0.8, 0.9), (1.4, 0.2, 0.1), (0.8, 0.0, 1.0)])
def test_the_losses_are_those_of_the_library(std, correlation, agreement):
    a, b = views(std=std, correlation=correlation, agreement=agreement)
    weights = {"invariance": 10.0, "variance": 20.0, "covariance": 30.0}
    found = losses.vicreg(a, b, **weights)
    torch.testing.assert_close(found, redundancy.vicreg(std, correlation, agreement, **weights), rtol=0.02, atol=0.05)
    torch.testing.assert_close(
        losses.vicreg(a, b), redundancy.vicreg(std, correlation, agreement), rtol=0.02, atol=0.05
    )
    found = losses.barlow_twins(a, b, off_diagonal=0.5)
    torch.testing.assert_close(found, redundancy.barlow_twins(correlation, agreement, 0.5), rtol=0.03, atol=0.01)
    found = losses.w_mse(a, b)
    torch.testing.assert_close(found, redundancy.w_mse(agreement), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("dim", [1, 5, 40])
def test_w_mse_in_other_dimensions(dim):
    generator = torch.Generator().manual_seed(0)
    shared, *own = torch.randn(3, 40_000, dim, generator=generator, dtype=torch.float64)
    a, b = (0.7**0.5 * shared + 0.3**0.5 * noise for noise in own)
    torch.testing.assert_close(losses.w_mse(a, b), redundancy.w_mse(0.7, dim), rtol=0.02, atol=0.01)


def test_where_vicreg_settles_its_gradient_by_the_scale_vanishes():
    for agreement, correlation, covariance in ((0.2, 0.5, 3.0), (0.6, 0.0, 1.0), (0.7, 0.9, 20.0)):
        std = torch.tensor(0.5, dtype=torch.float64)
        for _ in range(200):  # its own redundancy depends on it: the fixed point
            std = (std + redundancy.vicreg_std(agreement, (correlation * std) ** 2, 25.0, 25.0, covariance)) / 2
        assert std < 1
        std.requires_grad_()
        (slope,) = torch.autograd.grad(redundancy.vicreg(std, correlation, agreement, 25.0, 25.0, covariance), std)
        # the two dimensions are scaled together here, and the root's 1e-4 is left out of the formula
        assert abs(slope.item()) < 0.02
    assert redundancy.vicreg_std(0.75) == 1
    assert redundancy.vicreg_std(0.74) < 1
    assert redundancy.vicreg_std(0.2, variance=0.0) == 0  # nothing holds it
    assert redundancy.vicreg_std(1.0) == 1


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="agreement must lie between 0 and 1"):
        redundancy.gaussian_views(5, 1.0, 0.0, 1.2)
    with pytest.raises(ValueError, match="std must lie between 0 and inf"):
        redundancy.gaussian_views(5, -1.0, 0.0, 0.5)
    with pytest.raises(ValueError, match="correlation must lie between -1 and 1"):
        redundancy.gaussian_views(5, 1.0, 1.5, 0.5)
    with pytest.raises(ValueError, match="dim must be at least 1"):
        redundancy.w_mse(0.5, dim=0)
    with pytest.raises(ValueError, match="items must be at least 1"):
        redundancy.gaussian_views(0, 1.0, 0.0, 0.5)
    with pytest.raises(TypeError, match="agreement must be a number, not"):
        redundancy.gaussian_views(5, 1.0, 0.0, torch.ones(3))
    with pytest.raises(ValueError, match=r"agreement must lie between -1 and 1, not 1\.5"):
        redundancy.w_mse(torch.tensor([0.5, 1.5]))
    with pytest.raises(ValueError, match="std must lie between 0 and inf, not -1"):
        redundancy.vicreg(-1.0, 0.0, 0.5)
    with pytest.raises(ValueError, match="covariance must lie between 0 and inf, not -1"):
        redundancy.vicreg_std(0.5, covariance=-1.0)
    with pytest.raises(ValueError, match="off_diagonal must be a number"):
        redundancy.barlow_twins(0.5, 0.5, math.nan)
    with pytest.raises(ValueError, match="on the meta device"):
        redundancy.barlow_twins(torch.ones(3, device="meta"), 0.5)
    with pytest.raises(ValueError, match=r"correlation and agreement must have shapes that broadcast, not \(3,\)"):
        redundancy.barlow_twins(torch.ones(3), torch.ones(2))


def test_a_correlation_that_rounding_moved_past_one_is_one():
    past = 1 + 1e-7
    assert redundancy.w_mse(past) == redundancy.w_mse(1.0)
    assert redundancy.w_mse(1.0) == pytest.approx(0, abs=1e-12)
    assert redundancy.vicreg(1.0, 0.0, past) == 0


@pytest.mark.parametrize(("past", "taken"), [(0.8e-6, True), (1.5e-6, False)])
def test_rounding_may_move_a_correlation_past_its_end_by_a_millionth(past, taken):
    for agreement in (1 + past, -1 - past):
        if taken:
            redundancy.w_mse(agreement)
        else:
            with pytest.raises(ValueError, match="agreement must lie between -1 and 1"):
                redundancy.w_mse(agreement)
