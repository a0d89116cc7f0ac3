"""Alignment, uniformity, equivariance: against slow sums at float64, value and gradient; what must not matter."""

import pytest
import torch
from torch.nn.functional import normalize

from labkit import evaluate
from labkit.losses import alignment, equivariance, uniformity


def drawn(seed, n=12, d=4):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same_with_gradient(ours, slow, *inputs):
    inputs = [z.clone().requires_grad_() for z in inputs]
    one, other = ours(*inputs), slow(*inputs)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    for a, b in zip(torch.autograd.grad(one, inputs), torch.autograd.grad(other, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("alpha", [1, 2, 3.5])
def test_alignment_is_the_mean_distance(alpha):
    def slow(a, b):
        return sum((x / x.norm() - y / y.norm()).norm() ** alpha for x, y in zip(a, b, strict=True)) / len(a)

    same_with_gradient(lambda a, b: alignment(a, b, alpha), slow, drawn(0), drawn(1))
    assert alignment(drawn(0), drawn(1), alpha).item() == pytest.approx(evaluate.alignment(drawn(0), drawn(1), alpha))


@pytest.mark.parametrize("t", [0.5, 2, 8])
def test_uniformity_is_the_log_of_the_mean_over_pairs(t):
    def slow(z):
        z = [row / row.norm() for row in z]
        pairs = [torch.exp(-t * (z[i] - z[j]).square().sum()) for i in range(len(z)) for j in range(i)]
        return (sum(pairs) / len(pairs)).log()

    same_with_gradient(lambda z: uniformity(z, t), slow, drawn(0))
    assert uniformity(drawn(0), t).item() == pytest.approx(evaluate.uniformity(drawn(0), t))
    assert uniformity(torch.eye(2), 400).isfinite()  # exp(−800) is 0 in every precision


@pytest.mark.parametrize("chunks", [1, 3, 6])
def test_equivariance_is_the_mean_square_of_what_inner_products_change_by(chunks):
    def slow(a, b):
        a, b, terms, size = normalize(a), normalize(b), [], len(a) // chunks
        for start in range(0, len(a), size):
            for i in range(start, start + size):
                terms += [(a[i] @ a[j] - b[i] @ b[j]) ** 2 for j in range(start, start + size) if j != i]
        return sum(terms) / len(terms)

    same_with_gradient(lambda a, b: equivariance(a, b, chunks), slow, drawn(0), drawn(1))


def test_what_is_not_said_is_as_in_the_measures():
    assert alignment(drawn(0), drawn(1)).item() == pytest.approx(evaluate.alignment(drawn(0), drawn(1)))
    assert uniformity(drawn(0)).item() == pytest.approx(evaluate.uniformity(drawn(0)))


def test_equivariance_is_zero_for_a_rotation_a_chunk_and_not_for_one_over_two():
    first, second = (torch.linalg.qr(drawn(seed, 4, 4))[0] for seed in (2, 3))
    z = drawn(0)
    turned = torch.cat([z[:6] @ first.T, z[6:] @ second.T])
    assert equivariance(z, turned, chunks=2) < 1e-20
    assert equivariance(z, turned, chunks=1) > 1e-3


@pytest.mark.parametrize(("size", "factor"), [(16, 30), (32, 62)])
def test_the_released_code_weighs_by_the_size_of_a_chunk(size, factor):
    def released(out_1, out_2, num_chunks):  # as utils.py of Sharut/CARE computes it, in our words
        total = 0
        for one, two in zip(out_1.chunk(num_chunks), out_2.chunk(num_chunks), strict=True):
            rows = (one @ one.T - two @ two.T).fill_diagonal_(0).norm(dim=1).square()
            total += 2 * rows.mean()
        return total / num_chunks

    a, b = normalize(drawn(0, 4 * size)), normalize(drawn(1, 4 * size))
    mean, theirs = equivariance(a, b, 4), equivariance(a, b, 4, "released")
    assert theirs.item() == pytest.approx(released(a, b, 4).item(), rel=1e-12)
    assert (theirs / mean).item() == pytest.approx(factor, rel=1e-12)


def test_what_cannot_be_used_is_refused():
    z = drawn(0)
    with pytest.raises(ValueError, match="chunks must divide the 12 items"):
        equivariance(z, z, 5)
    with pytest.raises(ValueError, match="parts of at least 2, not 12"):
        equivariance(z, z, 12)
    with pytest.raises(ValueError, match="parts of at least 2, not 0"):
        equivariance(z, z, 0)
    with pytest.raises(ValueError, match="no variant named 'relesed'; did you mean 'released'"):
        equivariance(z, z, 1, "relesed")
    with pytest.raises(ValueError, match="t must be a positive"):
        uniformity(z, 0)
    with pytest.raises(ValueError, match="at least 2 items"):
        uniformity(z[:1])
    with pytest.raises(ValueError, match="alpha must be a positive"):
        alignment(z, z, -1)
    with pytest.raises(ValueError, match="same shape"):
        alignment(z, z[:5])
