"""SuperGAT's layer against PyG's, its loss against a plain one, and the graphs of its figure."""

import json

import pytest
import torch
from torch.nn import functional as F
from torch_geometric.nn import GATConv, SuperGATConv

from labkit.data import stochastic_block_model
from labkit.models import Neighbourhoods, SparseMatrix
from labkit.papers.graph import supergat
from labkit.papers.graph._supergat_grid import draw, grid, random_partition_graph
from labkit.papers.graph.supergat import SuperGAT, SuperGraphAttention, grid_model
from labkit.train import fit


@pytest.fixture
def data():
    graph = stochastic_block_model([20, 20], p_in=0.4, p_out=0.05, features=6, seed=0)
    parts = torch.arange(40) % 4
    graph.train_mask, graph.val_mask, graph.test_mask = parts == 0, parts == 1, parts > 1
    return graph


def peer(layer, form, dim):
    """PyG's layer with the same weights."""
    if form == "GO":
        theirs = GATConv(6, dim, heads=layer.heads, bias=False)
        theirs.att_src.data, theirs.att_dst.data = layer.to_source.data[None], layer.to_target.data[None]
    else:
        theirs = SuperGATConv(6, dim, heads=layer.heads, bias=False, attention_type=form)
        if form == "MX":
            theirs.att_l.data, theirs.att_r.data = layer.to_source.data[None], layer.to_target.data[None]
    theirs.lin.weight.data = layer.weight.data.T
    return theirs


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("form", ["GO", "SD", "MX"])
def test_the_layer_is_pygs(data, form, sparse):
    layer = SuperGraphAttention(6, 5, heads=3, form=form)
    x = SparseMatrix.from_dense(data.x) if sparse else data.x
    ours, h = layer(x, Neighbourhoods.of(data.edge_index, 40))
    theirs = peer(layer, form, 5).eval()
    torch.testing.assert_close(ours.flatten(1), theirs(data.x, data.edge_index), rtol=1e-4, atol=1e-5)
    if form != "GO":
        source, target = data.edge_index
        phi = theirs.get_attention(target, h[target], h[source], 40, return_logits=True)
        torch.testing.assert_close(layer.edge_logits(h, source, target), phi, rtol=1e-4, atol=1e-5)


def test_dot_product_attention_is_the_scaled_one_without_its_scale(data):
    h = torch.randn(40, 3, 4)
    plain, scaled = (SuperGraphAttention(6, 4, 3, form).edge_logits(h, *data.edge_index) for form in ("DP", "SD"))
    torch.testing.assert_close(plain, 2 * scaled)


def test_the_edge_loss_asks_for_edges_and_against_pairs_that_have_none(data):
    method = SuperGAT(6, 2, edge_share=1.0, negatives=3.0)
    seen = {}

    class Layer(SuperGraphAttention):
        def edge_logits(self, h, source, target):
            seen["pairs"] = torch.stack([source, target])
            seen["phi"] = torch.randn(len(source), 2, requires_grad=True)
            return seen["phi"]

    loss = method.edge_loss(Layer(6, 3, 2), torch.zeros(40, 2, 3), data)
    linked = torch.zeros(40, 40, dtype=torch.bool)
    linked[data.edge_index[0], data.edge_index[1]] = True
    linked.fill_diagonal_(True)
    truth = linked[seen["pairs"][0], seen["pairs"][1]].float()
    positives = data.edge_index.shape[1] + 40
    assert truth[:positives].all()
    assert not truth[positives:].any()
    assert 0 < len(truth) - positives <= 3 * positives
    plain = F.binary_cross_entropy(seen["phi"].mean(dim=1).sigmoid(), truth)
    torch.testing.assert_close(loss, plain)


def test_the_loss_is_the_sum_of_its_parts(data):
    method = SuperGAT(6, 2, edge_weight=0.7, dropout=0.0)
    torch.manual_seed(1)
    whole = method(data)
    torch.manual_seed(1)
    logits, _, (h1, h2) = method.layers(data)
    edges = method.edge_loss(method.first, h1, data) + method.edge_loss(method.second, h2, data)
    plain = F.cross_entropy(logits[data.train_mask], data.y[data.train_mask]) + 0.7 * edges
    torch.testing.assert_close(whole, plain)


@pytest.mark.parametrize("form", supergat.FORMS)
def test_training_classifies_and_repeats(data, form):
    def once():
        torch.manual_seed(0)
        method = SuperGAT(6, 2, form, 0.5, dropout=0.0)
        return fit(method, [data], epochs=40, lr=0.02, progress=False)

    first, again = once(), once()
    assert first.history["loss"] == again.history["loss"]
    z = first.method.embed(data)
    assert (z.argmax(dim=1) == data.y).float().mean() > 0.8


def test_clouds_of_random_partition_graphs_lie_along_their_circle():
    data = random_partition_graph(0.5, 5.0, nodes_a_class=2000, seed=0)
    for kind in range(10):
        x = data.x[data.y == kind]
        long = torch.linalg.eigh(x.T.cov()).eigenvectors[:, 1]
        assert abs(long @ x.mean(0)) < 0.1 * x.mean(0).norm()


def test_random_partition_graphs_have_the_homophily_and_degree_asked_for():
    for homophily, degree in ((0.2, 4.0), (0.8, 20.0)):
        data = random_partition_graph(homophily, degree, seed=3)
        source, target = data.edge_index
        assert len(source) / data.num_nodes == pytest.approx(degree, rel=0.05)
        assert (data.y[source] == data.y[target]).float().mean() == pytest.approx(homophily, abs=0.02)
    for mask, size in ((data.train_mask, 20), (data.val_mask, 50), (data.test_mask, 100)):
        assert data.y[mask].bincount().tolist() == [size] * 10
    assert not (data.train_mask & data.val_mask | data.val_mask & data.test_mask).any()
    assert torch.equal(data.x, random_partition_graph(0.8, 20.0, seed=3).x)
    centre = torch.stack([data.x[data.y == c].mean(dim=0) for c in range(10)])
    assert (centre.norm(dim=1) > 0.8 * centre.norm(dim=1).max()).all()  # on a circle


def test_the_grid_is_written_as_it_comes_and_goes_on(tmp_path):
    path = tmp_path / "grid.json"
    small = {"degrees": (5.0,), "homophilies": (0.3, 0.9), "seeds": range(1), "nodes_a_class": 170, "epochs": 2}
    records = grid(grid_model, path, **small, progress=False)
    kept = json.loads(path.read_text())
    assert list(kept["graphs"].values()) == records
    assert kept["epochs"] == small["epochs"]
    assert set(records[0]["accuracy"]) == {"raw", "propagated", "GCN", "GAT", "SuperGAT-SD", "SuperGAT-MX"}
    before = path.stat().st_mtime_ns
    assert grid(grid_model, path, **small, progress=False) == records
    assert path.stat().st_mtime_ns == before
    assert len(draw(records).axes) >= 2
    with pytest.warns(UserWarning, match="measured with another models"):
        other = grid(grid_model, path, **small | {"models": ["GAT"]}, progress=False)
    assert [set(record["accuracy"]) for record in other] == [{"raw", "propagated", "GAT"}] * len(records)
    assert list(json.loads(path.with_name("grid.json.before").read_text())["graphs"].values()) == records


def test_what_is_refused(data):
    with pytest.raises(ValueError, match="form of attention"):
        SuperGAT(6, 2, form="XM")
    with pytest.raises(ValueError, match="edge_share"):
        SuperGAT(6, 2, edge_share=1.5)
    with pytest.raises(ValueError, match="negative"):
        SuperGAT(6, 2, edge_weight=-1.0)
    with pytest.raises(ValueError, match="nodes_a_class"):
        random_partition_graph(0.5, 5.0, nodes_a_class=100)
    with pytest.raises(ValueError, match="homophily"):
        random_partition_graph(1.5, 5.0)
    with pytest.raises(ValueError, match="model of the grid"):
        grid(grid_model, models=["GIN"])
    del data.val_mask
    with pytest.raises(ValueError, match="needs val_mask"):
        fit(SuperGAT(6, 2), [data], epochs=1, progress=False)
    fit(SuperGAT(6, 2, select="last"), [data], epochs=1, progress=False)
