"""Kernel-InfoNCE against loops over its definition, value and gradient, and against NT-Xent."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.losses import kernel_nt_xent, nt_xent

SUM = ((2.0, 0.7), (1.0, 0.4))


def views(n=5, dim=6):
    return [torch.randn(n, dim, dtype=torch.float64, requires_grad=True) for _ in range(2)]


def slowly(a, b, kernels, mixture, weights):
    """The definition, a pair at a time."""
    z, n = torch.cat([a, b]), len(a)
    share = [w / sum(weights) for w in weights]

    def k(m, i, j):
        x, y = z[i], z[j]
        gamma, tau = kernels[m]
        if mixture != "concatenation":
            x, y = x / x.norm(), y / y.norm()
        if mixture.startswith("concatenation"):
            part = slice(m * len(x) // len(kernels), (m + 1) * len(x) // len(kernels))
            x, y = x[part], y[part]
        if mixture == "concatenation":
            x, y = x / x.norm(), y / y.norm()
        return torch.exp(-((x - y).norm() ** gamma) / tau)

    def loss(kernel):
        terms = []
        for i in range(2 * n):
            others = sum(kernel(i, j) for j in range(2 * n) if j != i)
            terms.append(-torch.log(kernel(i, (i + n) % (2 * n)) / others))
        return torch.stack(terms).mean()

    if mixture == "losses (as released)":
        return sum(w * loss(lambda i, j, m=m: k(m, i, j)) for m, w in enumerate(share))
    return loss(lambda i, j: sum(w * k(m, i, j) for m, w in enumerate(share)))


@pytest.mark.parametrize("mixture", ["sum", "concatenation", "concatenation (as released)", "losses (as released)"])
@pytest.mark.parametrize("kernels", [((2.0, 0.7),), ((0.5, 0.9),), SUM])
@pytest.mark.parametrize("weights", [None, (1.0, 3.0)])
def test_equals_its_definition_value_and_gradient(mixture, kernels, weights):
    weights = weights and weights[: len(kernels)]
    a, b = views()
    expected = slowly(a, b, kernels, mixture, weights or [1.0] * len(kernels))
    found = kernel_nt_xent(a, b, kernels, mixture, weights)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for one, other in zip(torch.autograd.grad(found, (a, b)), torch.autograd.grad(expected, (a, b)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("temperature", [0.02, 0.1, 0.5, 2.0])
def test_gaussian_kernel_at_2t_is_nt_xent_at_t(temperature):
    a, b = views(8, 4)
    ours, theirs = kernel_nt_xent(a, b, ((2, 2 * temperature),)), nt_xent(a, b, temperature)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(*(torch.autograd.grad(loss, a)[0] for loss in (ours, theirs)), rtol=1e-8, atol=1e-9)


def test_the_released_sum_is_another_loss():
    a, b = views()
    assert abs(kernel_nt_xent(a, b, SUM) - kernel_nt_xent(a, b, SUM, "losses (as released)")) > 1e-3


@settings(max_examples=30, deadline=None)
@given(gamma=st.floats(0.1, 2), tau=st.floats(0.01, 10), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 10**6))
def test_scale_order_and_rotation_of_the_embedding_do_not_matter(gamma, tau, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b, q = (torch.randn(6, 6, dtype=torch.float64, generator=generator) for _ in range(3))
    loss, order, q = kernel_nt_xent(a, b, ((gamma, tau),)), torch.randperm(6, generator=generator), torch.linalg.qr(q).Q
    torch.testing.assert_close(kernel_nt_xent(scale * b[order] @ q, scale * a[order] @ q, ((gamma, tau),)), loss)
    assert loss >= 0


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coinciding_views_have_a_finite_gradient(gamma, dtype):
    a = torch.randn(4, 6, dtype=dtype, requires_grad=True)
    loss = kernel_nt_xent(a, a, ((gamma, 0.05),))
    assert torch.autograd.grad(loss, a)[0].isfinite().all()
    collapsed = torch.ones(4, 6, dtype=dtype)
    assert kernel_nt_xent(collapsed, collapsed, ((gamma, 0.5),)).item() == pytest.approx(math.log(7), abs=1e-6)


def test_bad_input_is_named():
    a, b = torch.randn(4, 5), torch.randn(4, 5)
    for arguments, message in (
        ({"kernels": ()}, "kernels is empty"),
        ({"kernels": ((3, 1.0),)}, r"gamma must lie in \(0, 2\]"),
        ({"kernels": ((2, 0.0),)}, "tau must be a positive"),
        ({"mixture": "summ"}, "no mixture named 'summ'; did you mean 'sum'"),
        ({"kernels": SUM, "mixture": "concatenation"}, "a dim that 2 divides, not 5"),
        ({"weights": (1.0, 2.0)}, "weights must hold 1 numbers"),
        ({"weights": (0.0,)}, "weights must hold 1 numbers > 0"),
        ({"weights": (math.inf,)}, "weights must hold 1 numbers > 0"),
    ):
        with pytest.raises(ValueError, match=message):
            kernel_nt_xent(a, b, **arguments)
    with pytest.raises(ValueError, match="a must hold at least 2"):
        kernel_nt_xent(a[:1], b[:1])
