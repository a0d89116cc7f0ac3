"""Diagnostics of collapse against closed cases and the functions they are named after."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from labkit.evaluate import alignment, collapse, effective_rank, uniformity, uniformity_floor


def test_facts_are_those_of_the_functions_and_the_spectrum_that_of_numpys_covariance():
    a, b = torch.randn(40, 5, dtype=torch.float64), torch.randn(40, 5, dtype=torch.float64)
    facts, spectrum = collapse(a, b)
    both = normalize(torch.cat([a, b]), dim=1)
    assert facts["alignment"] == pytest.approx(alignment(a, b))
    assert facts["uniformity"] == pytest.approx((uniformity(a) + uniformity(b)) / 2)
    assert facts["uniformity_floor"] == uniformity_floor(5, items=40) <= facts["uniformity"]
    assert facts["effective_rank"] == pytest.approx(effective_rank(both))
    slow = torch.linalg.eigvalsh(torch.cov(both.T, correction=0)).flip(0)
    torch.testing.assert_close(spectrum.double(), slow, atol=1e-6, rtol=1e-5)
    assert spectrum.sum() == pytest.approx(1 - both.mean(0).square().sum().item(), abs=1e-6)


def test_complete_and_dimensional_collapse_look_as_they_should():
    facts, spectrum = collapse(torch.ones(9, 4), 2 * torch.ones(9, 4))
    assert facts["alignment"] == pytest.approx(0)
    assert facts["effective_rank"] == pytest.approx(1)
    assert spectrum.sum() == pytest.approx(0, abs=1e-6)
    line = torch.randn(50, 1) * torch.tensor([[1.0, 2.0, 0.0]])
    facts, spectrum = collapse(line, line)
    assert (spectrum[1:] < 1e-6).all()
    assert spectrum[0] > 0.5


def test_items_without_direction_are_left_out():
    a = torch.randn(6, 3)
    facts, spectrum = collapse(torch.cat([a, torch.zeros(1, 3)]), torch.cat([a, torch.ones(1, 3)]))
    assert facts == collapse(a, a)[0]
    facts, spectrum = collapse(torch.zeros(4, 3), torch.zeros(4, 3))
    assert all(math.isnan(value) for value in facts.values())
    assert spectrum.isnan().all()
    with pytest.raises(ValueError, match="same shape"):
        collapse(a, a[:4])
