"""Fisher embeddings against loops over nodes and components, k-means against a step written out."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from labkit.data import stochastic_block_model
from labkit.models import SparseMatrix
from labkit.papers.graph import _fisher_network as network
from labkit.papers.graph import fisher
from labkit.papers.graph._fisher_network import FisherLayer, KernelMap
from labkit.papers.graph.fisher import FIE, Lloyd, SupervisedFIE
from labkit.train import Subgraphs, fit


@pytest.fixture
def data():
    graph = stochastic_block_model([20, 20], p_in=0.3, p_out=0.03, features=6, signal=2.0, seed=0)
    parts = torch.arange(40) % 4
    graph.train_mask, graph.val_mask, graph.test_mask = parts == 0, parts == 1, parts > 1
    return fisher.unit_rows(graph)


@pytest.mark.parametrize("attention", ["em", "released"])
def test_a_layer_is_one_em_step_of_every_neighbourhood(data, attention):
    h = torch.randn(40, 5)
    layer = FisherLayer(h, 3, attention, temperature=0.3)
    ours = layer(h, network._with_self(data))
    plain = torch.zeros(40, 3, 5)
    for node in range(40):
        around = [node, *data.edge_index[0, data.edge_index[1] == node].tolist()]
        belongs = torch.stack([(F.normalize(h[j], dim=0) @ layer.anchors.T / 0.3).softmax(dim=0) for j in around])
        share = belongs.softmax(dim=0) if attention == "released" else belongs / belongs.sum(dim=0)
        for k in range(3):
            mean = sum(share[position, k] * h[j] for position, j in enumerate(around))
            plain[node, k] = mean - layer.anchors[k]
    torch.testing.assert_close(ours, plain.flatten(1), rtol=1e-4, atol=1e-5)


def test_the_default_temperature_is_nearly_a_plain_mean(data):
    """What the docstring says of the released code."""
    h, neighbours = torch.randn(40, 128), network._with_self(data)
    layer = FisherLayer(h, 4, "em", None)
    means = layer(h, neighbours).unflatten(1, (4, -1)) + layer.anchors
    plain = (neighbours @ h / (neighbours @ torch.ones(40, 1)))[:, None].expand_as(means)
    assert (means - plain).norm() < 0.02 * plain.norm()


@pytest.mark.parametrize("sparse", [True, False])
def test_the_kernel_map_gives_the_kernel_at_its_anchors(sparse):
    x = torch.randn(30, 6).double()
    method = KernelMap(x, 12, sigma=0.7).double()
    method.anchors.data = F.normalize(x[:12], dim=1)
    z = method(SparseMatrix.from_dense(x) if sparse else x)
    length = x.norm(dim=1)
    cosine = (x @ x.T) / length / length[:, None]
    kernel = length[:, None] * length * ((cosine - 1) / 0.49).exp()
    torch.testing.assert_close((z @ z.T)[:12, :12], kernel[:12, :12], rtol=0.1, atol=0.05)  # 0.01 is added to its root
    assert (method(torch.zeros(2, 6).double()) == 0).all()


def test_the_inverse_root_and_its_gradient():
    half = torch.randn(5, 5, dtype=torch.float64)
    matrix = (half @ half.T + torch.eye(5)).requires_grad_()
    root = network._InverseRoot.apply(matrix)
    inverse = torch.linalg.inv(root) - 0.01 * torch.eye(5)
    torch.testing.assert_close(inverse @ inverse, matrix)
    symmetric = lambda m: network._InverseRoot.apply((m + m.T) / 2)  # noqa: E731
    assert torch.autograd.gradcheck(symmetric, (matrix,))
    same = torch.eye(4, dtype=torch.float64).requires_grad_()  # all eigenvalues are equal
    network._InverseRoot.apply(same).sum().backward()
    assert torch.isfinite(same.grad).all()


def test_an_epoch_is_a_step_of_spherical_k_means(data):
    method = FIE(data, hidden=4, mixtures=2, layers=1)
    part, x, _ = next(iter(method.network.states(data)))
    anchors = part.anchors.detach().clone()
    nearest = (x @ anchors.T).argmax(dim=1)
    expected = torch.stack([
        F.normalize(x[nearest == k].sum(dim=0), dim=0) if (nearest == k).any() else anchors[k] for k in range(4)
    ])  # fmt: skip
    fit(method, [data], epochs=1, optimizer=Lloyd, progress=False)
    torch.testing.assert_close(part.anchors.detach(), expected)


def test_k_means_lowers_its_objective_and_repeats(data):
    def once():
        torch.manual_seed(0)
        method = FIE(data, hidden=8, mixtures=3, layers=2)
        return fit(method, [data], epochs=30, optimizer=Lloyd, progress=False, snapshots=[0])

    first, again = once(), once()
    assert first.history["loss"] == again.history["loss"]
    assert first.history["loss"][-1] < first.history["loss"][0]
    assert first.history["loss"][-1] == pytest.approx(first.history["loss"][-2], rel=1e-5)  # it has settled
    z = first.method.embed(data)
    assert z.shape == (40, 8 * 2 + 8 * 3)
    assert torch.isfinite(z).all()


def test_on_subgraphs_the_anchors_are_means_of_more_than_the_last(data):
    """Two steps of momentum m: the second's anchors are the sums of the second and m times those of the first."""
    anchors = torch.nn.Parameter(F.normalize(torch.randn(3, 5), dim=1))
    optimizer, sums = Lloyd([anchors], momentum=0.5), [torch.randn(3, 5), torch.randn(3, 5)]
    sums[0][2] = sums[1][2] = 0  # no row is nearest to this one
    start = anchors.detach().clone()
    for step in sums:
        anchors.grad = -step
        optimizer.step()
    expected = F.normalize(sums[1] + 0.5 * sums[0], dim=1)
    torch.testing.assert_close(anchors.detach(), torch.cat([expected[:2], start[2:]]))
    torch.manual_seed(0)
    method = FIE(data, hidden=8, mixtures=3, layers=2)
    kmeans = partial(Lloyd, momentum=0.98)
    run = fit(method, Subgraphs(data, size=20), epochs=20, optimizer=kmeans, watch=data, snapshots=[0], progress=False)
    with torch.no_grad():
        after = method(data)
        torch.manual_seed(0)
        before = FIE(data, hidden=8, mixtures=3, layers=2)(data)
    assert after < before  # on all nodes, of which a step saw half at most
    assert run.method.embed(data).shape == run.snapshots[0].shape == (40, 8 * 2 + 8 * 3)


def test_anchors_of_sparse_features_are_rows_of_them():
    x = torch.rand(30, 50) * (torch.rand(30, 50) < 0.05)
    rows = network._some_rows(SparseMatrix.from_dense(x), 10)
    assert ((rows[:, None] - F.normalize(x, dim=1)).abs().amax(dim=2).amin(dim=1) < 1e-6).all()


def test_supervised_training_classifies_and_keeps_anchors_at_length_one(data):
    torch.manual_seed(0)
    method = SupervisedFIE(data, hidden=8, mixtures=2, layers=2)
    run = fit(method, [data], epochs=40, lr=0.02, progress=False)
    assert (run.method.embed(data).argmax(dim=1) == data.y).float().mean() > 0.8
    for part in method.network.parts:
        torch.testing.assert_close(part.anchors.norm(dim=1), torch.ones(len(part.anchors)))


def test_features_are_prepared_as_they_say(data):
    assert torch.allclose(data.x.norm(dim=1), torch.ones(40))
    x = data.x.clone()
    scaled = fisher.standardised(data).x
    plain = F.normalize((x - x.mean(dim=0)) / x.std(dim=0, correction=0), dim=1)
    torch.testing.assert_close(scaled, plain)


def test_nodes_without_features_or_neighbours_stay_finite(data):
    data.x[3] = 0
    data.edge_index = data.edge_index[:, (data.edge_index != 5).all(dim=0)]
    run = fit(FIE(data, hidden=6, mixtures=2, layers=2), [data], epochs=3, optimizer=Lloyd, progress=False)
    assert torch.isfinite(run.method.embed(data)).all()


def test_what_is_refused(data):
    with pytest.raises(ValueError, match="attention"):
        FIE(data, hidden=8, attention="softmax")
    with pytest.raises(ValueError, match="the 40 nodes"):
        FIE(data, hidden=41)
    with pytest.raises(ValueError, match="momentum"):
        Lloyd([torch.nn.Parameter(torch.zeros(2, 2))], momentum=1.5)
    with pytest.raises(ValueError, match="sigma"):
        FIE(data, hidden=8, sigma=0.0)
    with pytest.raises(ValueError, match="temperature"):
        FIE(data, hidden=8, temperature=0.0)
