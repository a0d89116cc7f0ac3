"""Whitening: mean zero, covariance the identity, and what cannot be whitened."""

import pytest
import torch

from labkit.losses import byol, w_mse, whiten


def test_each_batch_is_white_and_lower_triangular_in_what_it_was():
    x = torch.randn(3, 40, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64) + 7
    white = whiten(x)
    for before, after in zip(x, white):
        torch.testing.assert_close(after.mean(0), torch.zeros(5, dtype=torch.float64))
        torch.testing.assert_close(torch.cov(after.T), torch.eye(5, dtype=torch.float64))
        factor = torch.linalg.cholesky(torch.cov(before.T))
        torch.testing.assert_close(after, (torch.linalg.inv(factor) @ (before - before.mean(0)).T).T)


def test_it_does_not_see_a_change_of_scale_or_of_place():
    x = torch.randn(30, 4, dtype=torch.float64)
    scale = torch.tensor([0.1, 3.0, 20.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(whiten(x * scale + 5), whiten(x))


def test_what_cannot_be_whitened_is_refused():
    x = torch.randn(30, 4)
    with pytest.raises(ValueError, match="4 items has no full-rank covariance in 4 dimensions; use size > 4"):
        whiten(x[:4])
    with pytest.raises(ValueError, match="singular"):
        whiten(x * torch.tensor([1.0, 1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="NaN or infinite values in 1 of 30 rows"):
        whiten(x.index_fill(0, torch.tensor([7]), torch.nan))
    with pytest.raises(ValueError, match="eps must lie between 0 and 1"):
        whiten(x, eps=2.0)


def test_a_shrunk_covariance_takes_the_place_of_the_own_one():
    x = torch.randn(30, 4, dtype=torch.float64) * torch.tensor([1.0, 1.0, 0.0, 1.0])
    factor = torch.linalg.cholesky(0.7 * torch.cov(x.T) + 0.3 * torch.eye(4))
    white = whiten(x, eps=0.3)
    torch.testing.assert_close(white, (torch.linalg.inv(factor) @ (x - x.mean(0)).T).T)
    other = whiten(x[:, [1, 0, 2, 3]], eps=0.3)
    torch.testing.assert_close(w_mse(x, x[:, [1, 0, 2, 3]], eps=0.3), byol(white, other))


def test_a_whitened_view_at_the_mean_is_unlike_every_other_not_opposite():
    a = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1], [0, 0]], dtype=torch.float64)
    white = whiten(a)
    torch.testing.assert_close(w_mse(a, a), byol(white, white))
