"""InfoNCE and NT-Xent against loops, at any temperature and tile size."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.losses import info_nce, multi_view_nt_xent, nt_xent


def slow_nt_xent(a, b, temperature):
    views = [row / row.norm() for row in torch.cat([a, b])]
    n, total = len(a), 0
    for i in range(2 * n):
        similarities = {j: views[i] @ views[j] / temperature for j in range(2 * n) if j != i}
        highest = max(s.item() for s in similarities.values())
        log_sum = highest + sum((s - highest).exp() for s in similarities.values()).log()
        total = total + log_sum - similarities[(i + n) % (2 * n)]
    return total / (2 * n)


def slow_info_nce(queries, keys, temperature):
    total = 0
    for i, q in enumerate(queries):
        similarities = [q @ k / (q.norm() * k.norm()) / temperature for k in keys]
        highest = max(s.item() for s in similarities)
        total = total + highest + sum((s - highest).exp() for s in similarities).log() - similarities[i]
    return total / len(queries)


PAIRS = [(nt_xent, slow_nt_xent), (info_nce, slow_info_nce)]


def embeddings(n, dim, dtype=torch.float64):
    return [torch.randn(n, dim, dtype=dtype, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize(("loss", "slow"), PAIRS)
@pytest.mark.parametrize("temperature", [0.01, 0.07, 0.5, 1, 10.0])
@pytest.mark.parametrize("block", [None, 1, 3, 7, 1000])
def test_value_and_gradient_equal_the_loop(loss, slow, temperature, block):
    a, b = embeddings(6, 4)
    value, expected = loss(a, b, temperature, block=block), slow(a, b, temperature)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(torch.autograd.grad(value, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", [nt_xent, info_nce])
@pytest.mark.parametrize("temperature", [0.01, 0.024, 0.026, 0.5])
def test_tiles_equal_dense_in_float32(loss, temperature):
    a, b = embeddings(300, 32, torch.float32)
    dense, tiled = loss(a, b, temperature, block=10_000), loss(a, b, temperature, block=128)
    assert abs(dense.item() - tiled.item()) <= 1e-6 * abs(dense.item())
    for x, y in zip(torch.autograd.grad(dense, (a, b)), torch.autograd.grad(tiled, (a, b)), strict=True):
        assert (x - y).abs().max() <= 1e-6 * max(1.0, x.abs().max().item())


@pytest.mark.parametrize("loss", [nt_xent, info_nce])
def test_no_overflow_at_temperature_001(loss):
    """exp(100) is past float32: opposite, equal and orthogonal rows stay finite."""
    a = torch.eye(64, 32).repeat(9, 1)[:520].requires_grad_()
    b = torch.cat([-a[:260].detach(), a[260:].detach()]).requires_grad_()
    for block in (64, 10_000):
        value = loss(a, b, 0.01, block=block)
        assert math.isfinite(value.item())
        assert all(g.isfinite().all() for g in torch.autograd.grad(value, (a, b)))


@given(n=st.integers(2, 40), dim=st.integers(1, 8), block=st.integers(1, 50), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_invariants(n, dim, block, seed):
    torch.manual_seed(seed)
    a, b = (x.detach() for x in embeddings(n, dim))
    value = nt_xent(a, b, 0.2, block=block)
    order = torch.randperm(n)
    close = {"rtol": 1e-9, "atol": 1e-9}
    torch.testing.assert_close(nt_xent(b, a, 0.2, block=block), value, **close)  # views have no order
    torch.testing.assert_close(nt_xent(a[order], b[order], 0.2, block=block), value, **close)  # nor have items
    torch.testing.assert_close(nt_xent(3 * a, 0.5 * b, 0.2), value, **close)  # only directions count


def test_collapsed_views_give_the_log_of_the_number_of_others():
    a = torch.ones(8, 4)
    assert nt_xent(a, a).item() == pytest.approx(math.log(15))
    assert info_nce(a, a).item() == pytest.approx(math.log(8))


def test_rows_in_half_precision_have_a_loss_in_float32():
    a, b = (x.detach() for x in embeddings(700, 64, torch.float32))
    assert nt_xent(a.bfloat16(), b.bfloat16(), 0.5, block=128).dtype == torch.float32


@pytest.mark.parametrize("views", [2, 3, 5])
@pytest.mark.parametrize("temperature", [0.01, 0.2, 10.0])
def test_of_several_views_it_is_the_mean_over_pairs(views, temperature):
    z = [torch.randn(6, 4, dtype=torch.float64, requires_grad=True) for _ in range(views)]
    value = multi_view_nt_xent(*z, temperature=temperature)
    expected = sum(slow_nt_xent(a, b, temperature) for a, b in combinations(z, 2)) / math.comb(views, 2)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(torch.autograd.grad(value, z), torch.autograd.grad(expected, z), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_one_view_has_no_pairs():
    a = torch.randn(4, 3)
    with pytest.raises(ValueError, match="at least 2 views, not 1"):
        multi_view_nt_xent(a)
    with pytest.raises(ValueError, match="view 2 must have the same shape"):
        multi_view_nt_xent(a, a, a[:3])
    with pytest.raises(ValueError, match="view 1 must have the same shape"):
        multi_view_nt_xent(a[:3], a, a)
    with pytest.raises(ValueError, match="view 0 holds NaN"):
        multi_view_nt_xent(a * math.nan, a, a)


@pytest.mark.parametrize("loss", [nt_xent, info_nce])
def test_bad_input_is_named(loss):
    a = torch.randn(4, 3)
    for temperature in (0, -1, math.inf):
        with pytest.raises(ValueError, match="temperature must be a positive"):
            loss(a, a, temperature)
    with pytest.raises(ValueError, match="temperature must be a number, not nan"):
        loss(a, a, math.nan)
    with pytest.raises(TypeError, match="temperature must be a number, not"):  # its gradient would be lost
        loss(a, a, torch.tensor(0.5, requires_grad=True))
    with pytest.raises(ValueError, match="at least 2 items"):
        loss(a[:1], a[:1])
    with pytest.raises(ValueError, match="same shape"):
        loss(a, a[:3])
    with pytest.raises(ValueError, match="NaN or infinite values in 1 of 4 rows"):
        loss(a, a.clone().index_fill_(0, torch.tensor([2]), math.nan))
    with pytest.raises(ValueError, match=r"\[n, dim\]"):
        loss(a[0], a[0])
    with pytest.raises(ValueError, match="floating-point"):
        loss(a.long(), a.long())


@pytest.mark.gpu
@pytest.mark.parametrize("loss", [nt_xent, info_nce])
def test_same_on_cuda(loss):
    a, b = (x.detach() for x in embeddings(3000, 64, torch.float32))
    assert loss(a.cuda(), b.cuda(), 0.1).item() == pytest.approx(loss(a, b, 0.1).item(), rel=1e-5)
