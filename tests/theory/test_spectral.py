"""Graph InfoNCE against its definition, by enumerating all graphs, the losses, the Laplacian, its flow."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.losses import info_nce, nt_xent
from labkit.theory import spectral
from labkit.theory.spectral import (
    attraction,
    balanced,
    graph_infonce,
    growth_rates,
    infonce_flow,
    laplacian,
    planted_graph,
)


def pair_graph(n, symmetric=False):
    pi = torch.rand(n, n, dtype=torch.float64).fill_diagonal_(0)
    return balanced(pi + pi.T) if symmetric else pi / pi.sum(1, keepdim=True)


@pytest.mark.parametrize("n", [3, 5])
def test_equals_the_cross_entropy_over_all_graphs(n):
    tau = 0.7
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
    ours = graph_infonce(spectral.swap_graph(6), torch.cat([a, b]), tau=0.3) / 12
    torch.testing.assert_close(ours, nt_xent(a, b, temperature=0.3), rtol=1e-12, atol=1e-12)


def test_equals_clip_among_cross_modal_pairs():
    a, b = (torch.nn.functional.normalize(torch.randn(6, 3, dtype=torch.float64), dim=1) for _ in range(2))
    across = torch.block_diag(*[torch.ones(6, 6)] * 2) == 0
    ours = graph_infonce(spectral.swap_graph(6), torch.cat([a, b]), 0.3, among=across) / 12
    torch.testing.assert_close(ours, (info_nce(a, b, 0.3) + info_nce(b, a, 0.3)) / 2, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="leaves out pairs that pi draws"):
        graph_infonce(spectral.swap_graph(6), torch.cat([a, b]), 0.3, among=~across)


@pytest.mark.parametrize("symmetric", [True, False])
def test_is_the_trace_of_the_laplacian_and_a_log_partition(symmetric):
    pi, z, tau = pair_graph(7, symmetric), torch.randn(7, 3, dtype=torch.float64), 0.5
    kernel = torch.exp(-torch.cdist(z, z).square() / (2 * tau)).fill_diagonal_(0)
    parts = attraction(pi, z, tau), spectral.log_partition(pi, z, tau)
    torch.testing.assert_close(parts[0], torch.trace(z.T @ laplacian(pi) @ z) / tau, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(parts[1], kernel.sum(1).log().sum(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sum(parts), graph_infonce(pi, z, tau), rtol=1e-12, atol=1e-12)


def test_the_laplacian_of_outgoing_weights_is_right_on_the_sphere_only():
    pi, z = pair_graph(6), torch.randn(6, 3, dtype=torch.float64)
    wrong = torch.diag(pi.sum(1)) - pi
    for points, agrees in ((torch.nn.functional.normalize(z, dim=1), True), (z, False)):
        difference = (attraction(pi, points, 0.5) - torch.trace(points.T @ wrong @ points) / 0.5).abs().item()
        assert (difference < 1e-12) == agrees


def test_laplacian_measures_differences():
    pi, f = pair_graph(5), torch.randn(5, dtype=torch.float64)
    symmetric = (pi + pi.T) / 2
    expected = sum(symmetric[i, j] * (f[i] - f[j]) ** 2 for i in range(5) for j in range(5)) / 2
    torch.testing.assert_close(f @ laplacian(pi) @ f, expected)
    torch.testing.assert_close(laplacian(pi).sum(1), torch.zeros(5, dtype=torch.float64))


@settings(max_examples=20, deadline=None)
@given(n=st.integers(3, 12), seed=st.integers(0, 10**6))
def test_balanced_graphs_have_rows_of_one_and_keep_their_pattern(n, seed):
    weights = torch.rand(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).fill_diagonal_(0)
    pi = balanced(weights + weights.T)
    torch.testing.assert_close(pi.sum(1), torch.ones(n, dtype=torch.float64), rtol=0, atol=1e-9)
    ratio = pi / (weights + weights.T).fill_diagonal_(1)  # rank one off the diagonal: d_i d_j
    if n > 3:
        torch.testing.assert_close(ratio[0, 1] * ratio[2, 3], ratio[0, 3] * ratio[2, 1])


def test_jitter_is_what_the_weights_are_drawn_with():
    pi = planted_graph(5, 1, jitter=0.5, generator=torch.Generator().manual_seed(3))
    draw = 0.5 + torch.rand(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    weights = draw.triu(1) + draw.triu(1).T
    for graph in (pi, weights):  # what balancing multiplies rows and columns by drops out of such a ratio
        graph[0, 0] = graph[0, 1] * graph[2, 3] / (graph[0, 3] * graph[2, 1])
    assert pi[0, 0].item() == pytest.approx(weights[0, 0].item(), rel=1e-8)


def test_twin_blocks_are_near_and_the_other_pair_far():
    pi = spectral.nested_graph(80, near=0.5, far=0.1, generator=torch.Generator().manual_seed(0))
    block = torch.eye(4, dtype=torch.float64).repeat_interleave(20, dim=1) / 20
    mean = block @ pi @ block.T * (1 + torch.eye(4) / 19)  # over the pairs there are
    expected = torch.tensor([[1, 0.5, 0.1, 0.1], [0.5, 1, 0.1, 0.1], [0.1, 0.1, 1, 0.5], [0.1, 0.1, 0.5, 1]])
    torch.testing.assert_close(mean / mean[0, 0], expected.double(), rtol=0.1, atol=0)


@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_modes_grow_at_the_predicted_rates_from_a_small_start(tau):
    pi = planted_graph(24, 3)
    rates, vectors = growth_rates(pi, tau)
    assert (rates.diff() <= 0).all()
    torch.testing.assert_close(vectors.sum(0), torch.zeros(23, dtype=torch.float64), rtol=0, atol=1e-10)
    start = 1e-4 * torch.randn(24, 4, dtype=torch.float64)
    lr = 1e-4 * tau
    end = infonce_flow(pi, start, tau, lr, steps=200)[-1]
    measured = ((vectors.T @ end).norm(dim=1) / (vectors.T @ start).norm(dim=1)).log() / (200 * lr)
    torch.testing.assert_close(measured, rates, rtol=1e-3, atol=1e-3 / tau)


@pytest.mark.parametrize("sphere", [False, True])
def test_flow_follows_the_gradient(sphere):
    pi, z = pair_graph(6), torch.randn(6, 3, dtype=torch.float64)
    z = torch.nn.functional.normalize(z, dim=1) if sphere else z
    leaf = z.clone().requires_grad_()
    graph_infonce(pi, leaf, 0.5).backward()
    expected = z - 0.01 * leaf.grad
    expected = torch.nn.functional.normalize(expected, dim=1) if sphere else expected
    path = infonce_flow(pi, z, 0.5, 0.01, steps=4, every=1, sphere=sphere)
    torch.testing.assert_close(path[1], expected)
    assert path.shape == (5, 6, 3)
    torch.testing.assert_close(infonce_flow(pi, z, 0.5, 0.01, steps=4, sphere=sphere)[0], path[-1])


def test_a_trained_embedding_spans_the_laplacian_s_eigenvectors():
    pi = planted_graph(24, 3)
    z = infonce_flow(pi, torch.randn(24, 4, dtype=torch.float64), 1.0, 0.1, steps=400, sphere=True)[-1]
    _, vectors = growth_rates(pi, 1.0)
    assert spectral.subspace_overlap(vectors[:, :2], (z - z.mean(0)).svd().U[:, :2]) > 0.95
    assert spectral.subspace_overlap(vectors[:, :2], vectors[:, :5]) == pytest.approx(1)
    assert spectral.subspace_overlap(vectors[:, :2], vectors[:, 2:5]) == pytest.approx(0, abs=1e-12)


def test_few_negatives_lower_the_loss_as_enumerated_and_as_expanded():
    z, tau = torch.nn.functional.normalize(torch.randn(5, 3, dtype=torch.float64), dim=1), 0.5
    kernel = torch.exp(-torch.cdist(z, z).square() / (2 * tau))
    exact = []
    for i in range(5):
        others = [kernel[i, j] for j in range(5) if j != i]
        means = [torch.stack(drawn).mean().log() for drawn in itertools.product(others, repeat=3)]
        exact.append(torch.stack(means).mean() - torch.stack(others).mean().log())
    generator = torch.Generator().manual_seed(0)
    measured, _ = spectral.minibatch_gap(z, tau, 3, draws=200_000, generator=generator)
    assert measured == pytest.approx(torch.stack(exact).mean().item(), abs=3e-3)
    measured, expansion = spectral.minibatch_gap(z, tau, 64, draws=50_000, generator=generator)
    assert measured == pytest.approx(expansion, rel=0.1)
    assert measured < 0


def test_gradient_and_no_overflow():
    pi, z = pair_graph(4), torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: graph_infonce(pi, z, 0.4), z)
    assert graph_infonce(pi, 1e3 * z.detach(), 1e-3).isfinite()


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2])
def test_the_overlap_of_two_lines_is_the_squared_cosine_between_them(angle):
    line = torch.tensor([[1.0], [0.0], [0.0]])
    turned = torch.tensor([[math.cos(angle)], [math.sin(angle)], [0.0]])
    assert spectral.subspace_overlap(3 * line, -turned) == pytest.approx(math.cos(angle) ** 2, abs=1e-7)
    plane = torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]])  # holds the line, and nothing of the other direction
    assert spectral.subspace_overlap(plane, turned) == pytest.approx(math.cos(angle) ** 2, abs=1e-7)


def test_the_overlap_is_that_of_spans_whatever_their_columns():
    axes = torch.eye(5)
    assert spectral.subspace_overlap(axes[:, [0, 0, 0]], axes[:, :3]) == pytest.approx(1)  # a line inside the space
    assert spectral.subspace_overlap(axes[:, [0, 0, 0]], axes[:, 1:4]) == pytest.approx(0, abs=1e-12)
    assert spectral.subspace_overlap(torch.randn(3, 8), torch.randn(3, 5)) == pytest.approx(1)  # both are everything
    weak = torch.stack([axes[0], axes[0] + 1e-4 * axes[1]], dim=1)  # a plane, however thin
    assert spectral.subspace_overlap(weak, axes[:, :2]) == pytest.approx(1)
    assert spectral.subspace_overlap(weak, axes[:, [0, 2]]) == pytest.approx(0.5, abs=1e-3)
    for a, b, name in ((0 * axes, axes, "a"), (axes, 0 * axes, "b")):
        with pytest.raises(ValueError, match=f"{name} has rank 0"):
            spectral.subspace_overlap(a, b)


def test_bad_input_is_named():
    pi, z = pair_graph(4), torch.randn(4, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="square"):
        laplacian(torch.zeros(1, 1))
    with pytest.raises(ValueError, match="zero diagonal"):
        graph_infonce(pi + torch.eye(4), z, 1)
    with pytest.raises(ValueError, match="weights ≥ 0"):
        graph_infonce(-pi, z, 1)
    with pytest.raises(ValueError, match="the items of z must be the 4 of pi, not 3"):
        graph_infonce(pi, z[:3], 1)
    with pytest.raises(ValueError, match="tau must be a positive"):
        graph_infonce(pi, z, 0)
    with pytest.raises(ValueError, match="symmetric with rows that sum to 1"):
        growth_rates(pi, 1.0)
    with pytest.raises(ValueError, match="must be symmetric"):
        balanced(pi)
    star = torch.zeros(4, 4)
    star[0, 1:] = star[1:, 0] = 1
    with pytest.raises(ValueError, match="1 to 4 blocks"):
        planted_graph(4, 5)
    with pytest.raises(ValueError, match="between in "):
        planted_graph(6, 2, between=float("inf"))
    with pytest.raises(ValueError, match="z must have at least 2 items, an anchor and another, not 1"):
        spectral.minibatch_gap(torch.ones(1, 2), 0.5, 3)
    with pytest.raises(ValueError, match=r"lr=100 is too large for tau=0\.1"):
        infonce_flow(pi, 10 * z, 0.1, 100.0, steps=300)
    with pytest.raises(ValueError, match="zero diagonal"):
        infonce_flow(pi + torch.eye(4), z, 0.1, 0.1, steps=1)
    for call in (growth_rates, attraction):
        with pytest.raises(ValueError, match="tau must be a positive"):
            call(pair_graph(4, symmetric=True), *([] if call is growth_rates else [z]), tau=0)
    path = torch.ones(3).diag(1) + torch.ones(3).diag(-1)
    for unscaled in (star, torch.block_diag(path, 1 - torch.eye(2))):  # beside a pair, whose rows do sum to 1
        with pytest.raises(ValueError, match="no scaling"):
            balanced(unscaled)


def test_rows_that_neither_graph_uses_count_nothing():
    pi, among = torch.zeros(8, 8, dtype=torch.float64), torch.zeros(8, 8, dtype=torch.bool)
    pi[:4, 4:], among[:4, 4:] = torch.eye(4), True  # from images to texts only
    z = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(
        spectral.log_partition(pi, z, 0.5, among) + spectral.attraction(pi, z, 0.5),
        spectral.graph_infonce(pi, z, 0.5, among),
    )
    value = spectral.graph_infonce(pi, z, 0.5, among)
    distances = (z[:4, None] - z[None, 4:]).square().sum(-1)
    slow = torch.nn.functional.cross_entropy(-distances / (2 * 0.5), torch.arange(4), reduction="sum")
    assert torch.isfinite(torch.autograd.grad(value, z)[0]).all()
    assert float(value) == pytest.approx(float(slow))


def test_a_planted_graph_of_another_matrix_and_a_flow_of_no_steps_are_refused():
    with pytest.raises(ValueError, match="symmetric matrix of 4 × 4 blocks"):
        spectral.planted_graph(12, 4, between=torch.eye(3))
    with pytest.raises(ValueError, match="symmetric matrix of 2 × 2 blocks"):
        spectral.planted_graph(12, 2, between=torch.tensor([[1.0, 0.2], [0.1, 1.0]]))
    pi = spectral.planted_graph(12, 3)
    z = torch.randn(12, 2, dtype=torch.float64)
    for wrong in ({"steps": -5}, {"steps": 5, "every": -1}):
        with pytest.raises(ValueError, match="must be at least 1"):
            spectral.infonce_flow(pi, z, 0.5, 0.1, **wrong)
