"""GraphMAE's shortcuts against the formulation they replace."""

import pytest
import torch
from torch.nn import functional as F

from labkit.data import GraphSet, stochastic_block_model
from labkit.losses import scaled_cosine_error
from labkit.models import SparseMatrix, neighbours_and_itself
from labkit.papers.graph import graphmae
from labkit.papers.graph._graphmae_of_graphs import GraphMAEOfGraphs
from labkit.papers.graph.graphmae import GraphMAE
from labkit.train import Minibatches, fit


@pytest.fixture
def data():
    return stochastic_block_model([20, 20], features=8, seed=0)


def small(**changes) -> GraphMAE:
    torch.manual_seed(0)
    return GraphMAE(8, hidden=12, heads=2, **changes)


@pytest.mark.parametrize("gamma", [3.0, 1.0, None])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("bounded", [True, False])
def test_the_error_without_reconstructions_equals_the_one_with_them(gamma, sparse, bounded):
    method = small(gamma=gamma, bounded_gradient=bounded).double()
    method.decoder.bias.data.normal_()
    x = torch.randn(30, 8, dtype=torch.float64)
    m = torch.randn(30, 12, dtype=torch.float64, requires_grad=True)
    hidden = torch.randperm(30)[:11]
    ours = method.error(SparseMatrix.from_dense(x) if sparse else x, hidden, m)
    y = (m @ method.decoder.weight + method.decoder.bias)[hidden]
    plain = F.mse_loss(y, x[hidden]) if gamma is None else scaled_cosine_error(x[hidden], y, gamma)
    torch.testing.assert_close(ours, plain)
    parameters = [m, method.decoder.weight, method.decoder.bias]
    for a, b in zip(torch.autograd.grad(ours, parameters), torch.autograd.grad(plain, parameters), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("sparse", [True, False])
def test_a_node_whose_neighbourhood_is_hidden_leaves_the_bias_its_way(sparse):
    """Its code is 0 and so is the bias at the start: the gradient of y / |y| must not be that of a division by 0."""
    method = small(bounded_gradient=True).double()
    x, m = torch.randn(30, 8, dtype=torch.float64), torch.zeros(30, 12, dtype=torch.float64)
    x[3] = 0  # nor that of a node without features
    hidden = torch.arange(7)
    loss = method.error(SparseMatrix.from_dense(x) if sparse else x, hidden, m)
    y = (m @ method.decoder.weight + method.decoder.bias)[hidden]
    plain = scaled_cosine_error(x[hidden], y, 3.0)
    torch.testing.assert_close(loss, plain)
    method.bounded_gradient = False
    released = (1 - F.cosine_similarity(F.normalize(y), F.normalize(x[hidden]))).pow(3).mean()
    as_released = method.error(SparseMatrix.from_dense(x) if sparse else x, hidden, m)
    torch.testing.assert_close(as_released, released)
    assert torch.autograd.grad(as_released, method.decoder.bias, retain_graph=True)[0].norm() > 1e9
    bias = [torch.autograd.grad(each, method.decoder.bias)[0] for each in (loss, plain)]
    torch.testing.assert_close(*bias)
    assert 0 < bias[0].norm() < 10


def test_the_decoder_is_attention_before_its_linear_map(data):
    from labkit.models import Neighbourhoods

    method = small().eval()
    code = torch.randn(data.num_nodes, 12)
    whole = method.decoder(code, Neighbourhoods(data.edge_index, data.num_nodes))
    m = method.propagated(code, data.edge_index)
    torch.testing.assert_close(m @ method.decoder.weight + method.decoder.bias, whole)


def test_remasking_cuts_the_hidden_codes_off(data):
    """With all dropout off, a hidden node's own code reaches the loss only where it is not hidden again."""
    for remask in (True, False):
        method = small(remask=remask, dropout=0.0, attention_dropout=0.0, replace_rate=0.0)
        seen = {}
        method.propagated = lambda code, edges, seen=seen: seen.setdefault("code", code)
        torch.manual_seed(1)
        method(data)
        torch.manual_seed(1)
        hidden = torch.randperm(data.num_nodes)[: data.num_nodes // 2]
        assert (seen["code"][hidden] == 0).all() == remask
        assert seen["code"].abs().sum() > 0


def test_attention_layers_start_as_wide_as_in_the_released_code():
    torch.manual_seed(0)
    method = GraphMAE(300, hidden=256, heads=4)
    for layer in (*method.encoder.layers, method.decoder):
        rows, columns = layer.weight.shape
        heads, dim = layer.to_source.shape
        assert layer.weight.std().item() == pytest.approx(2 / (rows + columns) ** 0.5, rel=0.05)
        both = torch.cat([layer.to_source, layer.to_target]).std().item()
        assert both == pytest.approx(2 / (heads * dim + dim) ** 0.5, rel=0.15)
        assert (layer.bias == 0).all()


def test_training_lowers_the_error_and_embeds_every_node(data):
    method = small()
    run = fit(method, [data], epochs=60, lr=5e-3, progress=False)
    assert sum(run.history["loss"][-10:]) < 0.8 * sum(run.history["loss"][:10])
    assert run.method.embed(data).shape == (40, 12)


def test_what_is_refused(data):
    for wrong in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="mask_rate"):
            small(mask_rate=wrong)
    with pytest.raises(ValueError, match="gamma"):
        small(gamma=0.0)
    with pytest.raises(ValueError, match="hides none"):
        fit(small(mask_rate=0.01), [data], epochs=1, progress=False)


def test_of_whole_graphs_training_lowers_the_error_and_pools_are_those_of_the_codes():
    graphs = GraphSet(tuple(stochastic_block_model([4, 4], p_in=0.9, features=8, seed=seed) for seed in range(12)))
    torch.manual_seed(0)
    method = GraphMAEOfGraphs(8, hidden=12, layers=2, pool="mean", replace_rate=0.1)
    run = fit(method, Minibatches(graphs.packed, 6), epochs=20, lr=1e-2, progress=False)
    assert sum(run.history["loss"][-3:]) < sum(run.history["loss"][:3])
    z = method.embed(graphs.packed)
    codes = method.eval().encode(graphs.packed.x, neighbours_and_itself(graphs.packed))
    torch.testing.assert_close(z, torch.stack([part.mean(dim=0) for part in codes.split(8)]))
    with pytest.raises(ValueError, match="no pool named 'men'"):
        GraphMAEOfGraphs(8, pool="men")
    with pytest.raises(ValueError, match="GraphBatch"):
        fit(method, [graphs[0]], epochs=1, progress=False)


def test_shares_and_dropouts_reach_their_parts(data, monkeypatch):
    method = small(dropout=0.7, attention_dropout=0.6)
    assert [layer.dropout for layer in (*method.encoder.layers, method.decoder)] == [0.6] * 3
    assert (method.encoder.dropout, method.dropout) == (0.7, 0.7)
    asked, hide = [], graphmae.hide_nodes
    monkeypatch.setattr(graphmae, "hide_nodes", lambda *given: asked.append(given) or hide(*given))
    small(mask_rate=0.2, replace_rate=0.3)(data)
    assert asked[0][:3] == (40, 0.2, 0.3)


def test_visible_codes_are_dropped_out_before_they_are_decoded(data):
    for p, zeros in ((0.0, False), (0.5, True)):
        method, seen = small(dropout=p, attention_dropout=0.0, mask_rate=0.1), {}
        method.encoder.dropout = 0.0
        method.propagated = lambda code, edges, seen=seen: seen.setdefault("code", code)
        method(data)
        shown = seen["code"][seen["code"].abs().sum(dim=1) > 0]
        assert bool((shown == 0).any()) is zeros
