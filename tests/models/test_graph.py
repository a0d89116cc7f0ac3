"""Graph encoders and sparse matrices against dense algebra and PyG."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn import GCNConv

from labkit.models import GAT, GCN, GraphConvolution, SparseMatrix, dropout, propagation_matrix, sparse_if_faster


def random_edges(nodes, edges, seed=0):
    return torch.randint(nodes, (2, edges), generator=torch.Generator().manual_seed(seed))


def dense_propagation(edge_index, nodes, weight=None):
    """D^-1/2 (A + I) D^-1/2 entry by entry."""
    a = torch.eye(nodes, dtype=torch.float64)
    for k, (source, target) in enumerate(edge_index.T.tolist()):
        a[target, source] += 1.0 if weight is None else weight[k].item()
    degree = a.sum(dim=1)
    return a / (degree[:, None] * degree[None, :]).sqrt()


@given(nodes=st.integers(1, 12), edges=st.integers(0, 30), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_propagation_matrix_equals_the_dense_one(nodes, edges, seed):
    edge_index = random_edges(nodes, edges, seed)
    ours = propagation_matrix(edge_index, nodes).to_dense().double()
    torch.testing.assert_close(ours, dense_propagation(edge_index, nodes), rtol=1e-5, atol=1e-6)


def test_propagation_matrix_with_weights_and_without_loops():
    edge_index, weight = torch.tensor([[0, 1, 1], [1, 0, 2]]), torch.tensor([2.0, 0.5, 3.0])
    expected = dense_propagation(edge_index, 4, weight)
    ours = propagation_matrix(edge_index, 4, edge_weight=weight).to_dense().double()
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-7)
    alone = propagation_matrix(edge_index, 4, self_loops=False).to_dense()
    assert alone.isfinite().all()  # node 3 has no edge, and no division by its degree
    assert torch.equal(alone[3], torch.zeros(4))


def test_graph_convolution_equals_pyg():
    edge_index, x = random_edges(20, 60), torch.randn(20, 5)
    theirs, ours = GCNConv(5, 3), GraphConvolution(5, 3)
    ours.weight.data, ours.bias.data = theirs.lin.weight.data.T.clone(), torch.randn(3)
    theirs.bias.data = ours.bias.data.clone()
    theirs.eval()
    # PyG leaves a self-loop that is there already alone, we add one more: compare on a graph without any
    edge_index = edge_index[:, edge_index[0] != edge_index[1]]
    torch.testing.assert_close(ours(x, propagation_matrix(edge_index, 20)), theirs(x, edge_index))


def test_sparse_products_and_gradients_equal_dense():
    x = torch.randn(9, 6, dtype=torch.float64) * (torch.rand(9, 6) < 0.3)
    keep = torch.tensor([1.0, 0, 1, 1, 0, 2], dtype=torch.float64)
    weight = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    sparse = SparseMatrix.from_dense(x)
    assert torch.equal(sparse.to_dense(), x)
    assert sparse.shape == (9, 6)
    for ours, dense in ((sparse, x), (sparse.scale_columns(keep), x * keep)):
        torch.testing.assert_close(ours.to_dense(), dense)
        torch.testing.assert_close(ours @ weight, dense @ weight)
        upstream = torch.randn(9, 4, dtype=torch.float64)
        (a,) = torch.autograd.grad(ours @ weight, weight, upstream)
        torch.testing.assert_close(a, dense.T @ upstream)
    twice = sparse.scale_columns(keep).scale_columns(keep)
    torch.testing.assert_close(twice.to_dense(), x * keep**2)
    assert torch.autograd.gradcheck(lambda w: sparse @ w, weight)


def test_entries_given_twice_add_up():
    index = torch.tensor([0, 0, 1])
    matrix = SparseMatrix.from_edges(index, torch.tensor([1, 1, 0]), torch.tensor([1.0, 2.0, 5.0]), (2, 2))
    assert torch.equal(matrix @ torch.eye(2), torch.tensor([[0.0, 3.0], [5.0, 0.0]]))


def test_sparse_if_faster_decides_by_density_and_notices_changes():
    dense, bag_of_words = torch.randn(10, 8), torch.zeros(10, 8)
    bag_of_words[3, 2] = 1
    assert sparse_if_faster(dense) is dense
    first = sparse_if_faster(bag_of_words)
    assert isinstance(first, SparseMatrix)
    assert sparse_if_faster(bag_of_words) is first
    bag_of_words[0, 0] = 7
    assert sparse_if_faster(bag_of_words).to_dense()[0, 0] == 7
    assert repr(first) == "SparseMatrix(10 × 8, 1 non-zeros, 1.2 %)"


def test_gcn_sparse_equals_dense_and_keeps_isolated_nodes():
    x, edge_index = torch.rand(12, 30) * (torch.rand(12, 30) < 0.05), random_edges(8, 20)
    encoder = GCN(30, hidden=16, dim=4, activation="prelu")
    z = encoder(x, edge_index)
    assert z.shape == (12, 4)
    torch.testing.assert_close(encoder(SparseMatrix.from_dense(x), edge_index), z)
    assert repr(encoder) == "GCN(30 → 16 → 4)"
    assert encoder.dim == 4


def test_gcn_is_equivariant_to_the_order_of_nodes():
    x, edge_index = torch.randn(15, 6), random_edges(15, 40)
    encoder, order = GCN(6, 8, 3), torch.randperm(15)
    position = torch.empty_like(order)
    position[order] = torch.arange(15)
    torch.testing.assert_close(encoder(x[order], position[edge_index]), encoder(x, edge_index)[order])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="edge_index reaches node 5, but nodes are 0 to 3"):
        propagation_matrix(torch.tensor([[0], [5]]), 4)
    with pytest.raises(ValueError, match="layers must be at least 1"):
        GCN(3, 4, 5, layers=0)
    with pytest.raises(ValueError, match="'swish'"):
        GCN(3, 4, 5, activation="swish")


@pytest.mark.gpu
def test_gcn_on_cuda():
    x, edge_index = torch.rand(12, 30) * (torch.rand(12, 30) < 0.05), random_edges(12, 20)
    encoder = GCN(30, 16, 4)
    expected = encoder(x, edge_index)
    encoder.cuda()
    torch.testing.assert_close(encoder(sparse_if_faster(x.cuda()), edge_index.cuda()).cpu(), expected)


def test_half_precision_stays_dense():
    x = torch.zeros(4, 3, dtype=torch.float16)
    assert sparse_if_faster(x) is x


@pytest.mark.parametrize("p", [0.1, 0.5, 0.73])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout_keeps_the_mean_and_drops_the_share_asked_for(p, kind):
    torch.manual_seed(0)
    x = torch.ones(300, 1001, dtype=kind, requires_grad=True)
    y = dropout(x, p)
    assert y.dtype == kind
    kept = y != 0
    assert kept.double().mean() == pytest.approx(1 - p, abs=4 * (p * (1 - p) / x.numel()) ** 0.5)
    torch.testing.assert_close(
        y[kept], torch.full_like(y[kept], 1 / (1 - p)), rtol=1e-2 if kind.itemsize == 2 else 1e-4, atol=0
    )
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad, y)


def test_dropout_draws_every_entry_by_itself():
    """Four entries share the bits of one number: their draws must not."""
    torch.manual_seed(0)
    drawn = torch.stack([dropout(torch.ones(8), 0.5) != 0 for _ in range(4000)]).double()
    apart = torch.corrcoef(drawn.T) - torch.eye(8)
    assert apart.abs().max() < 0.08  # five standard deviations
    assert (drawn.mean(0) - 0.5).abs().max() < 0.04


def test_dropout_at_its_ends_and_of_what_is_sparse():
    x = torch.randn(3, 4)
    assert dropout(x, 0.0) is x
    assert dropout(x, 0.4, training=False) is x
    assert not dropout(x, 1.0).any()
    assert not dropout(x, 1 - 1e-9).any()
    assert dropout(torch.zeros(0, 3), 0.5).shape == (0, 3)
    sparse = SparseMatrix.from_dense(torch.eye(400))
    assert 120 < dropout(sparse, 0.5).to_dense().count_nonzero() < 280
    with pytest.raises(ValueError, match=r"p must lie between 0 and 1, not 1\.5"):
        dropout(x, 1.5)


def test_features_that_ask_for_a_gradient_get_one_however_sparse():
    x = torch.zeros(10, 100)
    x[:, 0] = 1
    x.requires_grad_()
    (sparse_if_faster(x) @ torch.randn(100, 3)).sum().backward()
    assert x.grad is not None
    with pytest.raises(ValueError, match="gives its entries no gradient"):
        SparseMatrix.from_dense(x)


def test_graphs_made_in_inference_mode_are_embedded():
    with torch.inference_mode():
        x, edges = torch.eye(12), torch.randint(12, (2, 30))
        assert isinstance(sparse_if_faster(x), SparseMatrix)
        for method in (GCN(12, 4, 2), GAT(12, 4, 2)):
            assert method(x, edges).shape[0] == 12


def test_an_activation_stands_behind_every_convolution_and_factors_go_along():
    edges, x = torch.tensor([[0, 1], [1, 0]]), torch.randn(2, 4)
    encoder = GCN(4, hidden=5, dim=3)
    assert encoder(x, edges).min() >= 0
    first, second = encoder.convolutions
    matrix = propagation_matrix(edges, 2)
    torch.testing.assert_close(encoder(x, edges), second(first(x, matrix).relu(), matrix).relu())
    sparse = SparseMatrix.from_dense(x).scale_columns(torch.tensor([0.0, 1, 2, 3]))
    torch.testing.assert_close(sparse.to("cpu").to_dense(), sparse.to_dense())
