"""MVGRL on whole graphs: its diffusion, its loss and its two variants against slow rewrites, graph by graph."""

import math

import pytest
import torch
from torch_geometric.data import Data

from labkit.data import GraphBatch
from labkit.models import PPR, Heat, OneStep, diffusion_matrix
from labkit.papers.graph._mvgrl_of_graphs import MVGRLOfGraphs, node_to_graph, spread_within_graphs
from labkit.train import Minibatches, fit, seeded


def ring(n: int) -> Data:
    a = torch.arange(n)
    edges = torch.stack([a, (a + 1) % n])
    return Data(x=torch.rand(n, 3), edge_index=torch.cat([edges, edges.flip(0)], 1))


@pytest.fixture
def batch():
    """Rings of 3 to 19 nodes, a graph of one node, and one without edges."""
    with seeded(0):
        alone = [Data(x=torch.rand(n, 3), edge_index=torch.empty(2, 0, dtype=torch.long)) for n in (1, 4)]
        return GraphBatch.of([ring(n) for n in (5, 19, 3, 8)] + alone)


@pytest.mark.parametrize("kernel", [PPR(0.2), Heat(2.0), OneStep()])
def test_each_graph_diffuses_as_if_alone(batch, kernel):
    blocks = [diffusion_matrix(batch[i : i + 1].edge_index, int(batch.sizes[i]), kernel) for i in range(len(batch))]
    torch.testing.assert_close(spread_within_graphs(batch, kernel).to_dense(), torch.block_diag(*blocks))


def test_graphs_that_lost_all_nodes_are_passed_over(batch):
    keep = batch.batch != 1
    left = batch.keep_nodes(keep)
    whole = spread_within_graphs(batch, PPR(0.2)).to_dense()[keep][:, keep]
    torch.testing.assert_close(spread_within_graphs(left, PPR(0.2)).to_dense(), whole)


def test_a_size_class_of_graphs_without_nodes_is_no_class():
    empty = Data(x=torch.empty(0, 3), edge_index=torch.empty(2, 0, dtype=torch.long))
    batch = GraphBatch.of([ring(5), empty, ring(7)])
    assert torch.isfinite(MVGRLOfGraphs(3, 4, 1)(batch))
    torch.testing.assert_close(
        spread_within_graphs(batch, PPR(0.2)).to_dense(),
        spread_within_graphs(batch[torch.tensor([0, 2])], PPR(0.2)).to_dense(),
    )


def test_the_loss_is_the_jensen_shannon_estimator():
    nodes, graphs = torch.randn(7, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    owner = torch.tensor([0, 0, 1, 1, 1, 2, 2])
    own = other = 0.0
    for i in range(7):
        for j in range(3):
            score = float(nodes[i] @ graphs[j])
            if owner[i] == j:
                own += (math.log(2) - math.log1p(math.exp(-score))) / 7
            else:
                other += (math.log1p(math.exp(score)) - math.log(2)) / (7 * 2)
    assert node_to_graph(nodes, graphs, owner).item() == pytest.approx(other - own, rel=1e-12)
    assert node_to_graph(0 * nodes, graphs, owner).item() == pytest.approx(0, abs=1e-12)
    nodes.requires_grad_(), graphs.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: node_to_graph(a, b, owner), (nodes, graphs))


def test_a_forward_pass_written_out_graph_by_graph(batch):
    torch.manual_seed(0)
    method = MVGRLOfGraphs(3, hidden=5, layers=2).double()
    batch = GraphBatch(batch.x.double(), batch.edge_index, batch.ptr)
    nodes, graphs = [[], []], [[], []]
    for i in range(len(batch)):
        one = batch[i : i + 1]
        for view, (kernel, encoder) in enumerate(zip(method.kernels, method.encoders, strict=True)):
            s, h, sums = diffusion_matrix(one.edge_index, len(one.x), kernel).double(), one.x, []
            for convolve, activate in zip(encoder.convolutions, encoder.activations, strict=True):
                h = activate(s @ (h @ convolve.weight) + convolve.bias)
                sums.append(h.sum(dim=0))
            nodes[view].append(method.of_nodes(h))
            graphs[view].append(method.of_graphs(torch.cat(sums)))
    nodes, graphs = [torch.cat(part) for part in nodes], [torch.stack(part) for part in graphs]
    expected = node_to_graph(nodes[0], graphs[1], batch.batch) + node_to_graph(nodes[1], graphs[0], batch.batch)
    torch.testing.assert_close(method(batch), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(method.embed(batch), graphs[0] + graphs[1], rtol=1e-5, atol=1e-6)


def test_the_release_trains_heads_only_and_the_paper_everything(batch):
    for variant, trained in (("paper", True), ("released", False)):
        torch.manual_seed(0)
        method = MVGRLOfGraphs(3, hidden=6, layers=2, variant=variant)
        before = {name: value.clone() for name, value in method.state_dict().items()}
        run = fit(method, Minibatches(batch, 6), epochs=20, lr=1e-2, progress=False)
        moved = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
        assert any(name.startswith("encoders") for name in moved) == trained
        assert any(name.startswith("of_graphs") for name in moved)
        assert run.history["loss"][-1] < run.history["loss"][0]


def test_a_graph_embeds_the_same_in_any_company_and_a_seed_repeats(batch):
    methods = []
    for _ in range(2):
        torch.manual_seed(3)
        methods.append(MVGRLOfGraphs(3, hidden=5, layers=2))
    one, other = methods
    assert torch.equal(one.embed(batch), other.embed(batch))
    torch.testing.assert_close(one.embed(batch[2:4]), one.embed(batch)[2:4])


def test_what_is_refused(batch):
    with pytest.raises(ValueError, match="did you mean 'released'"):
        MVGRLOfGraphs(3, variant="release")
    with pytest.raises(ValueError, match="at least two views"):
        MVGRLOfGraphs(3, kernels=(OneStep(),))
    with pytest.raises(ValueError, match="GraphBatch"):
        MVGRLOfGraphs(3).check(ring(4))
    with pytest.raises(ValueError, match="at least 2 graphs"):
        MVGRLOfGraphs(3).check(batch[:1])
