"""Graph InfoNCE against its definition, by enumerating all graphs, and against the loss and the Laplacian."""

import itertools
import math

import pytest
import torch

from labkit.losses import nt_xent
from labkit.theory.spectral import graph_infonce, laplacian


def pair_graph(n, symmetric=False):
    pi = torch.rand(n, n, dtype=torch.float64).fill_diagonal_(0)
    if symmetric:
        for _ in range(2000):  # Sinkhorn: symmetric with rows that sum to 1
            pi = (pi + pi.T) / 2
            pi = pi / pi.sum(1, keepdim=True)
        pi = (pi + pi.T) / 2
    return pi / pi.sum(1, keepdim=True) if not symmetric else pi


def test_equals_the_cross_entropy_over_all_graphs():
    n, tau = 4, 0.7
    pi, z = pair_graph(n), torch.randn(n, 2, dtype=torch.float64)
    kernel = torch.exp(-torch.cdist(z, z).square() / (2 * tau)).fill_diagonal_(0)
    model = kernel / kernel.sum(1, keepdim=True)
    total = 0.0
    for graph in itertools.product(*[[j for j in range(n) if j != i] for i in range(n)]):
        probability = math.prod(pi[i, j].item() for i, j in enumerate(graph))
        total -= probability * sum(math.log(model[i, j].item()) for i, j in enumerate(graph))
    assert graph_infonce(pi, z, tau).item() == pytest.approx(total, abs=1e-12)


def test_equals_nt_xent_on_the_graph_that_swaps_views():
    a, b = (torch.nn.functional.normalize(torch.randn(6, 3, dtype=torch.float64), dim=1) for _ in range(2))
    swap = torch.eye(12, dtype=torch.float64).roll(6, 0)
    ours = graph_infonce(swap, torch.cat([a, b]), tau=0.3) / 12
    torch.testing.assert_close(ours, nt_xent(a, b, temperature=0.3), rtol=1e-12, atol=1e-12)


def test_equals_the_trace_of_the_laplacian_and_a_log_partition():
    pi, z, tau = pair_graph(7, symmetric=True), torch.randn(7, 3, dtype=torch.float64), 0.5
    kernel = torch.exp(-torch.cdist(z, z).square() / (2 * tau)).fill_diagonal_(0)
    expected = torch.trace(z.T @ laplacian(pi) @ z) / tau + kernel.sum(1).log().sum()
    torch.testing.assert_close(graph_infonce(pi, z, tau), expected, rtol=1e-9, atol=1e-9)


def test_laplacian_measures_differences():
    pi, f = pair_graph(5), torch.randn(5, dtype=torch.float64)
    symmetric = (pi + pi.T) / 2
    expected = sum(symmetric[i, j] * (f[i] - f[j]) ** 2 for i in range(5) for j in range(5)) / 2
    torch.testing.assert_close(f @ laplacian(pi) @ f, expected)
    torch.testing.assert_close(laplacian(pi).sum(1), torch.zeros(5, dtype=torch.float64))


def test_gradient():
    pi, z = pair_graph(4), torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: graph_infonce(pi, z, 0.4), z)


def test_bad_input_is_named():
    pi, z = pair_graph(4), torch.randn(4, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="square"):
        laplacian(torch.zeros(1, 1))
    with pytest.raises(ValueError, match="zero diagonal"):
        graph_infonce(pi + torch.eye(4), z, 1)
    with pytest.raises(ValueError, match="weights ≥ 0"):
        graph_infonce(-pi, z, 1)
    with pytest.raises(ValueError, match="a row for each of the 4"):
        graph_infonce(pi, z[:3], 1)
    with pytest.raises(ValueError, match="tau must be a positive"):
        graph_infonce(pi, z, 0)
