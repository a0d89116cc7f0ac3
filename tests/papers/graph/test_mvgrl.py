"""MVGRL's views, windows and loss against a dense rewrite."""

import pytest
import torch
from torch.nn import functional as F

from labkit.data import stochastic_block_model
from labkit.models import PPR, Heat, OneStep, diffusion_matrix
from labkit.papers.graph import mvgrl
from labkit.papers.graph.mvgrl import MVGRL
from labkit.train import fit


@pytest.fixture
def data():
    return stochastic_block_model([15, 15], p_in=0.3, features=6, seed=0)


def plain_loss(method, data, start, size, order):
    """The loss written out on dense matrices, a pair of views at a time."""
    total = []
    encoded = []
    for kernel, encode, activate in zip(method.kernels, method.encoders, method.activations, strict=True):
        s = diffusion_matrix(data.edge_index, data.num_nodes, kernel)[start : start + size, start : start + size]
        x = data.x[start : start + size]
        encoded.append([activate(s @ (rows @ encode.weight) + encode.bias) for rows in (x, x[order])])
    for i, j in method.views:
        summary = torch.sigmoid(encoded[j][0].mean(dim=0)).expand(size, -1)
        yes, no = (method.discriminator(h.contiguous(), summary.contiguous()).squeeze(1) for h in encoded[i])
        total.append(
            F.binary_cross_entropy_with_logits(torch.cat([yes, no]), torch.arange(2.0).flip(0).repeat_interleave(size))
        )
    return torch.stack(total).mean()


@pytest.mark.parametrize("dense_below", [4096, 0])
@pytest.mark.parametrize("kernels", [(OneStep(), PPR(0.2)), (OneStep(),), (OneStep(), PPR(0.2), Heat(2.0))])
@pytest.mark.parametrize("sample", [None, 10])
def test_the_loss_equals_the_dense_one(data, kernels, sample, dense_below, monkeypatch):
    monkeypatch.setattr(mvgrl, "DENSE_BELOW", dense_below)
    torch.manual_seed(0)
    method = MVGRL(6, dim=5, kernels=kernels, sample=sample)
    torch.manual_seed(1)
    ours = method(data)
    torch.manual_seed(1)
    size = sample or data.num_nodes
    start = int(torch.randint(data.num_nodes - size + 1, ()))
    order = torch.randperm(size)
    plain = plain_loss(method, data, start, size, order)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    parameters = list(method.parameters())
    for a, b in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(plain, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_the_discriminator_starts_as_in_the_released_code():
    torch.manual_seed(0)
    start = MVGRL(6, dim=64).discriminator
    bound = (6 / (64 * 64 + 64)) ** 0.5  # Xavier's for [1, 64, 64], which torch reads as 64 · 64 inputs and 64 outputs
    assert 0.9 * bound < start.weight.abs().max().item() <= bound
    assert start.bias.item() == 0


def test_the_views_are_those_of_the_paper():
    assert MVGRL(6).kernels == (OneStep(), PPR(0.2))


def test_the_embedding_is_the_sum_of_the_views(data):
    method = MVGRL(6, dim=5)
    parts = [
        activate(diffusion_matrix(data.edge_index, 30, kernel) @ (data.x @ encode.weight) + encode.bias)
        for kernel, encode, activate in zip(method.kernels, method.encoders, method.activations, strict=True)
    ]
    torch.testing.assert_close(method.embed(data), sum(parts), rtol=1e-4, atol=1e-5)


def test_edges_that_were_changed_in_place_are_seen(data):
    method = MVGRL(6, dim=4)
    before = method.embed(data)
    data.edge_index[:, :20] = data.edge_index[:, :20].flip(0) * 0
    fresh = data.clone()
    assert not torch.equal(method.embed(data), before)
    torch.testing.assert_close(method.embed(data), method.embed(fresh))


def test_training_tells_true_from_shuffled(data):
    run = fit(MVGRL(6, dim=16), [data], epochs=80, lr=1e-2, progress=False)
    assert run.history["loss"][0] > 0.6
    assert run.history["loss"][-1] < 0.6


def test_what_is_refused(data):
    with pytest.raises(ValueError, match="at least one view"):
        MVGRL(6, kernels=())
