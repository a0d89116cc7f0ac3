"""Matrix factorisations: identities, minima against descent, bounds that are never crossed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.theory import factorisation
from labkit.theory.spectral import laplacian


def graph(n, seed=0):
    pi = torch.rand(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).pow(4).fill_diagonal_(0)
    return (pi + pi.T) / (pi + pi.T).sum()


def test_spectral_contrastive_is_a_factorisation_of_the_normalised_adjacency():
    pi, f = graph(9), torch.randn(9, 3, dtype=torch.float64)
    weight = pi.sum(1)
    one_way = pi + (pi.tril() - pi.triu()) / 2  # of which only the symmetric part counts
    slowly = sum(
        -2 * pi[i, j] * (f[i] @ f[j]) + weight[i] * weight[j] * (f[i] @ f[j]) ** 2 for i in range(9) for j in range(9)
    )
    value = factorisation.spectral_contrastive(pi, f)
    torch.testing.assert_close(value, slowly, rtol=1e-12, atol=1e-12)
    a, big = factorisation.normalised_adjacency(pi), weight.sqrt()[:, None] * f
    identity = (a - big @ big.T).square().sum() - a.square().sum()
    torch.testing.assert_close(value, identity, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(factorisation.spectral_contrastive(3 * one_way, f), value)  # nor need it sum to 1
    torch.testing.assert_close(factorisation.normalised_adjacency(one_way), a)


@pytest.mark.parametrize("dim", [1, 3, 9])
def test_its_minimum_is_reached_and_not_passed(dim):
    pi = graph(9)
    least, best = factorisation.spectral_contrastive_minimum(pi, dim)
    torch.testing.assert_close(factorisation.spectral_contrastive(pi, best), least, rtol=1e-12, atol=1e-12)
    f = torch.randn(9, dim, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([f], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def loss():
        optimizer.zero_grad()
        value = factorisation.spectral_contrastive(pi, f)
        value.backward()
        return value

    optimizer.step(loss)
    assert loss().item() == pytest.approx(least.item(), abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), dim=st.integers(1, 8), classes=st.integers(2, 4))
def test_the_probe_s_bound_holds(seed, dim, classes):
    pi = graph(12, seed)
    labels = torch.randint(classes, (12,), generator=torch.Generator().manual_seed(seed))
    residual, bound = factorisation.probe_residual(pi, labels, dim)
    assert residual <= bound + 1e-12
    weight = pi.sum(1).sqrt()[:, None]  # the residual is that of weighted least squares on the minimiser
    _, vectors = torch.linalg.eigh(factorisation.normalised_adjacency(pi))
    x, y = vectors.flip(1)[:, :dim], weight * torch.nn.functional.one_hot(labels, classes).double()
    solved = torch.linalg.lstsq(x, y).solution
    torch.testing.assert_close((y - x @ solved).square().sum(), residual)


@pytest.mark.parametrize("weight", [0.0, 0.5, 3.0])
def test_laplacian_eigenmaps_minimise_vicreg_on_a_free_embedding(weight):
    pi, n, dim = graph(10) * 10, 10, 3
    value, best, variance = factorisation.laplacian_eigenmaps(pi, dim, weight)
    lap = laplacian(pi)
    away = torch.eye(n, dtype=torch.float64) - 1 / n

    def objective(z):
        gram = z.T @ away @ z / n - torch.eye(dim, dtype=torch.float64)
        return gram.square().sum() + 2 * weight / n * torch.trace(z.T @ lap @ z)

    torch.testing.assert_close(objective(best), value, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close((best - best.mean(0)).square().mean(0), variance)
    z = torch.randn(n, dim, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([z], max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-11)

    def loss():
        optimizer.zero_grad()
        now = objective(z)
        now.backward()
        return now

    optimizer.step(loss)
    assert loss().item() == pytest.approx(value.item(), abs=1e-7)


def test_plateaus_are_where_the_expanded_loss_is_flat():
    signal, noise = torch.tensor([1.0, 1.0, 0.3]).double(), torch.tensor([0.5, 2.0, 0.0]).double()
    u = factorisation.infonce_plateaus(signal, noise, 0.1).requires_grad_()
    (-(u * signal).sum() / 0.1 + (u * (signal + noise)).square().sum() / (2 * 0.01)).backward()
    torch.testing.assert_close(u.grad, torch.zeros(3).double(), rtol=0, atol=1e-12)


def test_a_direction_without_signal_or_noise_has_its_plateau_too():
    found = factorisation.infonce_plateaus(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), 0.5)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5]))


def test_an_embedding_may_have_one_dimension_less_than_there_are_objects():
    factorisation.laplacian_eigenmaps(graph(5), 4, 0.5)
    for dim in (0, 5):
        with pytest.raises(ValueError, match=f"dim must lie between 1 and 4, one less .* not {dim}"):
            factorisation.laplacian_eigenmaps(graph(5), dim, 0.5)


def test_bad_input_is_named():
    lonely = torch.zeros(3, 3)
    lonely[0, 1] = 1
    with pytest.raises(ValueError, match="1 objects without any pair"):
        factorisation.normalised_adjacency(lonely)
    for call in (factorisation.normalised_adjacency, lambda pi: factorisation.spectral_contrastive(pi, pi)):
        with pytest.raises(ValueError, match="weights ≥ 0"):
            call(graph(9) - 1)
    for dim in (0, 10):
        with pytest.raises(ValueError, match="between 1 and the 9 objects"):
            factorisation.spectral_contrastive_minimum(graph(9), dim)
        with pytest.raises(ValueError, match="between 1 and the 9 objects"):
            factorisation.probe_residual(graph(9), torch.arange(9), dim)
    with pytest.raises(ValueError, match="tau must be a positive"):
        factorisation.infonce_plateaus(torch.ones(2), torch.ones(2), 0)
    with pytest.raises(ValueError, match="labels must be classes from 0 on, not -1"):
        factorisation.probe_residual(graph(3), torch.tensor([0, -1, 1]), 1)
    with pytest.raises(ValueError, match="weight must lie between 0"):
        factorisation.laplacian_eigenmaps(graph(9), 2, -1)
    for below in (torch.tensor([1.0, -1.0]), torch.tensor([-1.0, 1.0])):
        with pytest.raises(ValueError, match="variances ≥ 0"):
            factorisation.infonce_plateaus(torch.ones(2), below, 0.1)
        with pytest.raises(ValueError, match="variances ≥ 0"):
            factorisation.infonce_plateaus(below, torch.ones(2), 0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_more_components_than_dimensions_have_no_bound_in_any_precision(dtype):
    block = torch.ones(3, 3) - torch.eye(3)
    pi, labels = torch.block_diag(block, block).to(dtype), torch.tensor([0, 0, 0, 1, 1, 1])
    residual, bound = factorisation.probe_residual(pi, labels, 1)
    assert residual == pytest.approx(0.5)
    assert bound == float("inf")
    assert factorisation.probe_residual(pi, labels, 2)[0] == pytest.approx(0, abs=1e-12)


def test_a_graph_without_any_pair_is_counted_whole():
    with pytest.raises(ValueError, match="pi has 4 objects without any pair"):
        factorisation.normalised_adjacency(torch.zeros(4, 4))
