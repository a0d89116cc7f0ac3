"""Graph attention against PyG's GATConv, and rows that are masked without a copy."""

import pytest
import torch
from torch_geometric.nn import GATConv

from labkit.models import GAT, GCN, GraphAttention, MaskedRows, Neighbourhoods, SparseMatrix, sparse_if_faster
from labkit.models._sparse import _both_ways


def random_graph(nodes=30, edges=90, seed=0):
    generator = torch.Generator().manual_seed(seed)
    edge_index = torch.randint(nodes - 2, (2, edges), generator=generator)  # the last two nodes have no edges
    return edge_index.unique(dim=1)


def pair(dim_in=7, dim=3, heads=2):
    theirs, ours = GATConv(dim_in, dim, heads).double(), GraphAttention(dim_in, dim, heads).double()
    ours.weight.data = theirs.lin.weight.data.T.clone()
    ours.to_source.data, ours.to_target.data = theirs.att_src.data[0].clone(), theirs.att_dst.data[0].clone()
    theirs.bias.data = torch.randn_like(theirs.bias)
    ours.bias.data = theirs.bias.data.clone()
    return ours, theirs


def test_attention_and_all_gradients_equal_pyg():
    edge_index = random_graph()
    ours, theirs = pair()
    x = torch.randn(30, 7, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    a, b = ours(x, Neighbourhoods(edge_index, 30)), theirs(y, edge_index)
    torch.testing.assert_close(a, b)
    weight = torch.randn_like(a)
    (a * weight).sum().backward()
    (b * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.lin.weight.grad.T)
    torch.testing.assert_close(ours.to_source.grad, theirs.att_src.grad[0])
    torch.testing.assert_close(ours.to_target.grad, theirs.att_dst.grad[0])


def test_sparse_features_give_the_same():
    edge_index, (ours, _) = random_graph(), pair()
    x = torch.randn(30, 7, dtype=torch.float64) * (torch.rand(30, 7) < 0.3)
    edges = Neighbourhoods.of(edge_index, 30)
    torch.testing.assert_close(ours(SparseMatrix.from_dense(x), edges), ours(x, edges))


def test_weights_add_up_to_one_and_a_lonely_node_looks_at_itself():
    edges = Neighbourhoods(random_graph(), 30)
    weight = edges.softmax(torch.randn(len(edges.source), 2) * 50)
    total = torch.zeros(30, 2).index_add(0, edges.target, weight)
    torch.testing.assert_close(total, torch.ones(30, 2))
    assert (edges.source[edges.target == 29] == 29).all()


def test_neighbourhoods_are_remembered_until_the_edges_change():
    edge_index = random_graph()
    first = Neighbourhoods.of(edge_index, 30)
    assert Neighbourhoods.of(edge_index, 30) is first
    assert Neighbourhoods.of(edge_index, 31) is not first
    again = Neighbourhoods.of(edge_index, 30)
    edge_index[0, 0] = 5
    assert Neighbourhoods.of(edge_index, 30) is not again


def test_without_a_sampled_product_the_gradient_is_the_same(monkeypatch):
    edges, weight = Neighbourhoods(random_graph(), 30), None
    h = torch.randn(30, 2, 3, dtype=torch.float64)
    weight = torch.rand(len(edges.source), 2, dtype=torch.float64, requires_grad=True)
    (edges.sum(weight, h) ** 2).sum().backward()
    fast, weight.grad = weight.grad, None
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    (edges.sum(weight, h) ** 2).sum().backward()
    torch.testing.assert_close(weight.grad, fast)


@pytest.mark.parametrize("dense", [True, False])
def test_masked_rows_equal_the_written_out_matrix(dense):
    x, token = torch.randn(6, 4, dtype=torch.float64).relu(), torch.randn(1, 4, dtype=torch.float64)
    source, hidden = torch.tensor([0, 1, 5, 3, 4, 5]), torch.tensor([1, 4])
    written = x[source]
    written[hidden] = token
    weight = torch.randn(4, 3, dtype=torch.float64)
    masked = MaskedRows(x if dense else SparseMatrix.from_dense(x), source, hidden, token)
    assert masked.shape == (6, 4)
    torch.testing.assert_close(masked @ weight, written @ weight)


def test_the_token_is_dropped_out_anew_for_different_places():
    torch.manual_seed(0)
    x, token = torch.zeros(100, 500), torch.ones(1, 500)
    masked = MaskedRows(x, torch.arange(100), torch.arange(40), token).dropout(0.25)
    rows = masked @ torch.eye(500)
    assert rows[:40].unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (rows[40:] == 0).all()
    assert rows[:40].mean().item() == pytest.approx(1, abs=0.02)
    agree = (rows[0] > 0).eq(rows[1] > 0).double().mean().item()
    assert agree == pytest.approx(0.75**2 + 0.25**2, abs=0.06)


def test_sparse_dropout_keeps_the_mean_and_both_directions_agree():
    torch.manual_seed(0)
    x = SparseMatrix.from_dense((torch.rand(40, 50) < 0.4).double())
    dropped = x.dropout(0.25)
    torch.testing.assert_close(dropped.transpose.to_dense(), dropped.matrix.to_dense().T)
    values = dropped.matrix.values()
    assert set(values.unique().tolist()) == {0.0, 1 / 0.75}
    assert values.mean().item() == pytest.approx(1, abs=0.1)
    assert x.dropout(0) is x
    with pytest.raises(ValueError, match="p must lie between 0 and 1"):
        x.dropout(1.5)


def tangled():
    """Entries in no order, one of them three times, one twice."""
    row, column = torch.tensor([[3, 0, 2, 0, 3, 1, 3, 0], [1, 4, 0, 2, 1, 3, 1, 4]])
    return row, column, torch.arange(1.0, 9), (4, 5)


def test_off_the_cpu_a_matrix_is_built_as_on_it():
    here, there = SparseMatrix.from_edges(*tangled()), SparseMatrix(*_both_ways(*tangled()))
    for ours, other in ((there.matrix, here.matrix), (there.transpose, here.transpose)):
        assert torch.equal(ours.crow_indices(), other.crow_indices().long())
        assert torch.equal(ours.col_indices(), other.col_indices().long())
        assert torch.equal(ours.values(), other.values())
    dropped = there.dropout(0.5)
    assert torch.equal(dropped.transpose.to_dense(), dropped.matrix.to_dense().T)
    row, column, value, shape = tangled()
    assert torch.equal(_both_ways(row.int(), column.int(), value, shape)[0].to_dense(), here.to_dense())


@pytest.mark.gpu
def test_dropout_on_cuda_is_the_same_in_both_directions():
    row, column, value, shape = tangled()
    dropped = SparseMatrix.from_edges(row.cuda(), column.cuda(), value.cuda(), shape).dropout(0.5)
    assert torch.equal(dropped.transpose.to_dense(), dropped.matrix.to_dense().T)


def test_squared_rows():
    x = torch.randn(9, 6) * (torch.rand(9, 6) < 0.5)
    factor = torch.rand(6)
    sparse = SparseMatrix.from_dense(x)
    torch.testing.assert_close(sparse.squared_rows(), x.square().sum(1))
    torch.testing.assert_close(sparse.scale_columns(factor).squared_rows(), (x * factor).square().sum(1))


def test_gat_says_what_it_is_and_refuses_what_it_cannot_be():
    assert repr(GAT(10, 8, heads=2)) == "GAT(10 → 8 → 8, 2 heads)"
    assert GAT(10, 8, heads=2)(torch.randn(30, 10), random_graph()).shape == (30, 8)
    with pytest.raises(ValueError, match="3 heads"):
        GAT(10, 8, heads=3)
    with pytest.raises(ValueError, match="activation"):
        GAT(10, 8, activation="sofplus")


def test_under_bfloat16_autocast_values_and_gradients_stay_near():
    """Sparse products have no half precision; the dense ones around them do."""
    x = torch.randn(30, 40) * (torch.rand(30, 40) < 0.05)
    edge_index = random_graph()
    for encoder in (GAT(40, 8, heads=2), GCN(40, 8, 8)):
        exact = encoder(sparse_if_faster(x), edge_index)
        with torch.autocast("cpu", torch.bfloat16):
            rough = encoder(sparse_if_faster(x), edge_index)
        torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)
        parameters = list(encoder.parameters())
        grads = [torch.autograd.grad(z.float().square().sum(), parameters) for z in (exact, rough)]
        for a, b in zip(*grads, strict=True):
            assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.98


def test_attention_does_not_mind_an_exponential_that_autocast_widens(monkeypatch):
    """On CUDA ``exp`` of bfloat16 is float32 under autocast; here the CPU's is made so."""
    exp = torch.Tensor.exp
    monkeypatch.setattr(torch.Tensor, "exp", lambda x: exp(x.float() if x.dtype == torch.bfloat16 else x))
    edges, attend, x = Neighbourhoods(random_graph(), 30), GraphAttention(7, 3, heads=2), torch.randn(30, 7)
    exact = attend(x, edges)
    with torch.autocast("cpu", torch.bfloat16):
        rough = attend(x, edges)
        weight = attend.attention(x, edges)
    torch.testing.assert_close(rough, exact, rtol=0.05, atol=0.05)
    assert weight.dtype == torch.float32


def test_dropouts_of_a_gat_reach_its_layers_and_are_off_in_evaluation():
    edges, x = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), torch.randn(3, 6)
    for options in ({"dropout": 0.6}, {"attention_dropout": 0.6}):
        method = GAT(6, 8, heads=2, **options)
        assert not torch.equal(method(x, edges), method(x, edges))
        method.eval()
        assert torch.equal(method(x, edges), method(x, edges))
