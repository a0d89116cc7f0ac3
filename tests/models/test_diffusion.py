"""Diffusion kernels against power series, eigenvectors and each other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.utils import to_undirected

from labkit.models import PPR, Heat, OneStep, diffuse, diffusion_matrix, propagation_matrix

KERNELS = [PPR(0.2), PPR(0.05), Heat(5.0), OneStep()]


def graph(nodes=12, edges=20, seed=0):
    edges = torch.randint(nodes, (2, edges), generator=torch.Generator().manual_seed(seed))
    return to_undirected(edges[:, edges[0] != edges[1]])


def test_ppr_is_the_limit_of_power_iteration():
    t = propagation_matrix(graph(), 12).to_dense().double()
    walk, total = torch.eye(12, dtype=torch.float64), torch.zeros(12, 12, dtype=torch.float64)
    for _ in range(400):
        total, walk = total + 0.15 * walk, 0.85 * walk @ t
    torch.testing.assert_close(diffusion_matrix(graph(), 12, PPR(0.15)), total.float())


@pytest.mark.parametrize("alpha", [0.2, 1e-4])
def test_the_matrix_is_exact_to_the_last_digit_of_float32(alpha):
    a = torch.eye(12, dtype=torch.float64)
    for source, target in graph().T.tolist():
        a[target, source] += 1
    degree = a.sum(dim=1)
    t = a / (degree[:, None] * degree).sqrt()
    exact = alpha * torch.linalg.inv(torch.eye(12, dtype=torch.float64) - (1 - alpha) * t)
    torch.testing.assert_close(diffusion_matrix(graph(), 12, PPR(alpha)).double(), exact, rtol=1e-7, atol=1e-12)


def test_heat_is_its_power_series():
    t = propagation_matrix(graph(), 12).to_dense().double()
    term, total = torch.eye(12, dtype=torch.float64), torch.zeros(12, 12, dtype=torch.float64)
    for k in range(1, 80):
        total, term = total + term, term @ t * 3.0 / k
    torch.testing.assert_close(diffusion_matrix(graph(), 12, Heat(3.0)), (total * np.exp(-3.0)).float())


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_series_and_the_eigenvectors_agree_with_the_matrix(kernel, seed):
    edges = graph(seed=seed)
    matrix = diffusion_matrix(edges, 14, kernel).double()  # nodes 12 and 13 have no edges
    x = torch.randn(14, 3, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(propagation_matrix(edges, 14).to_dense().double())
    by_spectrum = vectors @ torch.diag(torch.as_tensor(kernel(values.numpy()))) @ vectors.T
    torch.testing.assert_close(matrix, by_spectrum, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(diffuse(x.float(), edges, kernel).double(), matrix @ x, rtol=1e-4, atol=2e-5)


def test_the_series_needs_a_real_spectrum():
    cycle = torch.stack([torch.arange(12), torch.arange(1, 13) % 12])
    with pytest.raises(ValueError, match="the graph is directed: edge_index leads from node 0 to 1 and not back"):
        diffuse(torch.eye(12), cycle)
    repeated = torch.cat([cycle, cycle, cycle.flip(0)], dim=1).int()
    assert diffuse(torch.eye(12), repeated, OneStep()).isfinite().all()


def test_the_series_has_the_gradient_of_a_symmetric_product():
    edges, x = graph(), torch.randn(12, 2, requires_grad=True)
    upstream = torch.randn(12, 2)
    (diffuse(x, edges, PPR(0.3)) * upstream).sum().backward()
    torch.testing.assert_close(x.grad, diffusion_matrix(edges, 12, PPR(0.3)).T @ upstream, rtol=1e-4, atol=1e-5)


def test_what_is_refused():
    with pytest.raises(ValueError, match="alpha"):
        PPR(0.0)
    with pytest.raises(ValueError, match="time"):
        Heat(-1.0)
    with pytest.raises(ValueError, match="not smooth enough"):
        diffuse(torch.randn(12, 1), graph(), lambda eigenvalue: np.sign(eigenvalue))
    with pytest.raises(ValueError, match="tolerance"):
        diffuse(torch.randn(12, 1), graph(), PPR(), tolerance=0)


@pytest.mark.parametrize(
    "kernel", [lambda e: np.exp(-((e - 0.0475) ** 2) / (2 * 0.008**2)), lambda e: np.cos(40 * np.arccos(e.clip(-1, 1)))]
)
def test_a_kernel_that_hides_between_the_first_samples_is_found(kernel):
    edges = to_undirected(torch.randint(60, (2, 150), generator=torch.Generator().manual_seed(0)))
    x = torch.randn(60, 3, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(propagation_matrix(edges, 60, torch.ones(edges.shape[1]).double()).to_dense())
    exact = vectors @ (torch.from_numpy(kernel(values.numpy()))[:, None] * (vectors.T @ x))
    torch.testing.assert_close(diffuse(x.float(), edges, kernel).double(), exact, atol=2e-5, rtol=0)
