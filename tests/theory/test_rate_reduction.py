"""Rates against log-determinants written out and closed forms; the doubly stochastic membership; bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from labkit.theory import rate_reduction as rates


def drawn(seed, n=20, d=5):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blocks(classes, rank, dim, copies=3, seed=0):
    """Isotropic unit vectors in orthogonal subspaces, turned at random."""
    basis = torch.linalg.qr(drawn(seed, dim, dim))[0]
    z = torch.cat([basis[c * rank : (c + 1) * rank] for c in range(classes) for _ in range(copies)])
    return z, torch.arange(classes).repeat_interleave(rank * copies)


@pytest.mark.parametrize("shape", [(20, 5), (5, 20)])
@pytest.mark.parametrize("eps2", [0.1, 0.5, 1e-6])
def test_rate_is_the_log_determinant(shape, eps2):
    z = drawn(0, *shape)
    n, d = shape
    expected = 0.5 * torch.logdet(torch.eye(d) + d / (n * eps2) * z.T @ z)
    assert rates.coding_rate(z, eps2).item() == pytest.approx(expected.item(), rel=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 6), st.sampled_from([0.01, 0.1, 0.5, 2.0]))
def test_orthogonal_blocks_have_their_closed_form(classes, rank, more, eps2):
    dim = classes * rank + more
    z, y = blocks(classes, rank, dim)
    closed = rates.orthogonal_rate_reduction(classes, rank, dim, eps2)
    assert rates.rate_reduction(z, y, eps2).item() == pytest.approx(closed, abs=1e-12)


def test_reduction_is_what_parts_save_with_its_gradient():
    y = torch.arange(20) % 3

    def slow(z):
        def rate(part):
            return 0.5 * torch.logdet(torch.eye(5) + 5 / (len(part) * 0.5) * part.T @ part)

        return rate(z) - sum((y == c).sum().item() / 20 * rate(z[y == c]) for c in range(3))

    z = drawn(0).requires_grad_()
    ours, theirs = rates.rate_reduction(z, y), slow(z)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(*(torch.autograd.grad(v, z)[0] for v in (ours, theirs)), rtol=1e-8, atol=1e-10)
    assert ours > 0
    assert rates.rate_reduction(z, torch.zeros(20).long()).item() == pytest.approx(0, abs=1e-12)


def test_coding_length_is_bits_of_vectors_and_of_their_classes():
    z, y = drawn(1), torch.arange(20) // 7
    expected = 0.0
    for c in range(3):
        part = z[y == c]
        n = len(part)
        expected += (n + 5) / 2 * torch.logdet(torch.eye(5) + 5 / (n * 0.1) * part.T @ part) + n * math.log(20 / n)
    assert rates.coding_length(z, y) == pytest.approx(float(expected), rel=1e-10)
    turned = z @ torch.linalg.qr(drawn(3, 5, 5))[0]
    assert rates.coding_length(turned, y) == pytest.approx(rates.coding_length(z, y), rel=1e-10)


def test_coding_length_is_smallest_at_the_classes_there_are():
    z, y = blocks(4, 2, 10, copies=30)
    halves = y * 2 + torch.arange(len(y)) // 2 % 2  # each half spans the same plane
    lengths = {2: rates.coding_length(z, y // 2), 4: rates.coding_length(z, y), 8: rates.coding_length(z, halves)}
    assert min(lengths, key=lengths.get) == 4


@pytest.mark.parametrize("temperature", [0.02, 0.15, 5])
def test_membership_is_doubly_stochastic_and_symmetric(temperature):
    z = normalize(drawn(0))
    pi = rates.membership(z, temperature)
    torch.testing.assert_close(pi.sum(1), torch.ones(20).double(), rtol=0, atol=1e-9)
    assert torch.equal(pi, pi.T)
    kernel = torch.exp((z @ z.T).abs() / temperature)
    scaled = pi / kernel  # rank one: u_i u_j
    torch.testing.assert_close(scaled, torch.outer(scaled[0], scaled[:, 0]) / scaled[0, 0], rtol=1e-6, atol=0)
    assert rates.membership(1e3 * z, temperature).isfinite().all()


def test_membership_puts_orthogonal_blocks_apart():
    z, y = blocks(3, 2, 6)
    pi = rates.membership(z, 0.05)
    assert pi[y[:, None] == y].sum() / pi.sum() > 0.999


def test_what_cannot_be_used_is_refused():
    z = drawn(0)
    with pytest.raises(ValueError, match="eps2 must be a positive"):
        rates.coding_rate(z, 0)
    with pytest.raises(ValueError, match="the n of y must be the 20 of z, not 3"):
        rates.rate_reduction(z, torch.zeros(3).long())
    with pytest.raises(ValueError, match="do not fit"):
        rates.orthogonal_rate_reduction(3, 2, 5)
    with pytest.raises(ValueError, match="temperature must be a positive"):
        rates.membership(z, -1)


@pytest.mark.parametrize("size", [30, 1e4, 1e5])
def test_values_that_hide_the_identity_are_met_in_float32_too(size):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((200, 2), (2, 50)))
    z = left @ right * size
    for dtype in (torch.float32, torch.float64):
        given = z.to(dtype)
        exact = torch.log1p(50 / (200 * 0.5) * torch.linalg.svdvals(given.double()).square()).sum() / 2
        assert float(rates.coding_rate(given)) == pytest.approx(float(exact), rel=1e-3)


def test_a_membership_needs_an_iteration():
    for iterations in (0, -1):
        with pytest.raises(ValueError, match="iterations must be at least 1"):
            rates.membership(torch.eye(4), iterations=iterations)
