"""Arguments that no graph method can use are refused when it is made, and a pretext that has nothing to ask says so."""

import numpy
import pytest
import torch

from labkit.data import GraphBatch, stochastic_block_model
from labkit.methods import GCNClassifier
from labkit.models import Heat, OneStep
from labkit.papers.graph import _pretexts as tasks
from labkit.papers.graph import kcore
from labkit.papers.graph._ego_nets import EgoPairs
from labkit.papers.graph._graphmae_of_graphs import GraphMAEOfGraphs
from labkit.papers.graph._mvgrl_of_graphs import MVGRLOfGraphs
from labkit.papers.graph.bandana import Bandana
from labkit.papers.graph.fisher import FIE, SupervisedFIE
from labkit.papers.graph.gcc import GCC
from labkit.papers.graph.grace import GRACE
from labkit.papers.graph.graphcl import GraphCL
from labkit.papers.graph.graphmae import GraphMAE
from labkit.papers.graph.mvgrl import MVGRL
from labkit.papers.graph.supergat import SuperGAT
from labkit.train import fit

VIEWS = (torch.nn.Identity(), torch.nn.Identity())


@pytest.fixture
def data():
    graph = stochastic_block_model([10, 10], p_in=0.5, p_out=0.1, features=4, seed=0)
    graph.train_mask = graph.val_mask = torch.arange(20) % 2 == 0
    return graph


@pytest.mark.parametrize(("make", "said"), [
    (lambda _: GraphCL(3, VIEWS, temperature=-0.2), "temperature"),
    (lambda _: GCC(temperature=-0.07), "temperature"),
    (lambda _: GCC(momentum=3.0), "momentum"),
    (lambda _: GCC(restart=-0.1), "restart"),
    (lambda _: MVGRL(4, sample=0), "sample"),
    (lambda _: MVGRLOfGraphs(4, layers=0), "layers"),
    (lambda _: GraphMAEOfGraphs(4, hidden=0), "hidden"),
    (lambda _: GraphMAEOfGraphs(4, gamma=-1.0), "gamma"),
    (lambda _: GraphMAEOfGraphs(4, replace_rate=2.0), "replace_rate"),
    (lambda _: GraphMAEOfGraphs(4, dropout=2.0), "dropout"),
    (lambda _: SuperGAT(4, 2, heads=0), "heads"),
    (lambda data: EgoPairs([data], size=1), "size"),
    (lambda data: EgoPairs([data], batch=0), "batch"),
    (lambda data: tasks.EdgeMask(data, 3, share=2.0), "share"),
    (lambda data: tasks.AttributeMask(data, 3, share=-0.5), "share"),
    (lambda data: tasks.EdgeMask(data, 3, share=0.0), "EdgeMask finds nothing to ask"),
    (lambda data: tasks.AttributeMask(data, 3, share=0.0), "AttributeMask finds nothing to ask"),
    (lambda data: tasks.PairwiseDistance(data, 3, pairs=0), "pairs"),
    (lambda data: tasks.DistanceCluster(data, 3, clusters=0), "clusters"),
    (lambda data: tasks.PairwiseAttrSim(data, 3, k=0), "k must be at least 1"),
    (lambda data: kcore.batches(data, walks_per_node=0), "walks_per_node"),
])  # fmt: skip
def test_arguments_are_refused_by_name(data, make, said):
    with pytest.raises(ValueError, match=said):
        make(data)


@pytest.mark.parametrize("schedule", kcore.SCHEDULES)
def test_a_graph_without_edges_has_no_walks(data, schedule):
    data.edge_index = data.edge_index[:, :0]
    with pytest.raises(ValueError, match="no edge to walk on"):
        kcore.batches(data, 0, schedule)


def test_where_every_label_is_known_there_is_nothing_to_ask(data):
    data.train_mask = torch.ones(20, dtype=torch.bool)
    for task in (tasks.Distance2Labeled, tasks.ContextLabel):
        with pytest.raises(ValueError, match=f"{task.__name__} finds nothing to ask"):
            task(data, 3)


def test_features_in_double_precision_are_refused_before_the_first_step(data):
    data.x = data.x.double()
    with pytest.raises(ValueError, match=r"use data.x = data.x.float\(\)"):
        fit(GCNClassifier(4, 2), [data], epochs=1, progress=False)


@pytest.mark.parametrize("method", [GRACE(5), MVGRL(5), GraphMAE(5, 8, heads=2), Bandana(5, 8), GCNClassifier(5, 2)])
def test_features_of_another_width_are_named(method, data):
    data.y = torch.arange(20) % 2
    with pytest.raises(ValueError, match="x has 4 features a node, and the method was built for 5"):
        fit(method, [data], epochs=1)


@pytest.mark.parametrize("make", [
    lambda data: SuperGAT(4, 2), lambda data: FIE(data, hidden=4), lambda data: SupervisedFIE(data, hidden=4),
])  # fmt: skip
def test_graphs_of_other_features_and_classes_are_refused(data, make):
    method, wide, many = make(data), data.clone(), data.clone()
    wide.x = torch.rand(20, 7)
    with pytest.raises(ValueError, match="x has 7 features a node, and the method was built for 4"):
        fit(method, [wide], epochs=1, progress=False)
    if isinstance(method, FIE):
        return
    many.y = 2 * data.y
    with pytest.raises(ValueError, match="there are 2 classes, from 0, but train_mask marks a node of class 2"):
        fit(method, [many], epochs=1, progress=False)


def test_directed_graphs_are_refused_where_both_directions_are_counted_on(data):
    one_way = data.clone()
    one_way.edge_index = data.edge_index[:, data.edge_index[0] < data.edge_index[1]]
    for ask in (
        lambda: kcore.KCoreEmbedding(one_way, 1),
        lambda: kcore.batches(one_way),
        lambda: EgoPairs([data, one_way]),
        lambda: GCC(positions=4).embed(one_way),
        lambda: GCC(positions=4).embed(GraphBatch.of([data, one_way])),
        lambda: MVGRL(4, kernels=(OneStep(), lambda eigenvalue: eigenvalue**2)).embed(one_way),
    ):
        with pytest.raises(ValueError, match=r"is directed.* use torch_geometric\.transforms\.ToUndirected\(\)"):
            ask()


def test_a_core_s_rows_are_not_those_of_another_graph(data):
    method = kcore.KCoreEmbedding(data, 1, dim=4)
    assert method.embed(data).shape == (20, 4)
    with pytest.raises(ValueError, match="of the 20 nodes it was trained on; a graph of 30 nodes"):
        method.embed(stochastic_block_model([10, 20], p_in=0.5, p_out=0.1, seed=0))


def test_a_kernel_that_is_a_plain_function_spreads_by_its_series(data):
    plain = MVGRL(4, dim=8, kernels=(OneStep(), lambda eigenvalue: numpy.exp(5 * (eigenvalue - 1))))
    named = MVGRL(4, dim=8, kernels=(OneStep(), Heat(5)))
    named.load_state_dict(plain.state_dict())
    torch.testing.assert_close(plain.embed(data), named.embed(data), rtol=1e-4, atol=1e-5)


def test_a_subgraph_without_edges_is_named_where_edges_are_all_there_is(data):
    data.edge_index = data.edge_index[:, :0]
    with pytest.raises(ValueError, match="learns from edges alone, and these 20 nodes have none"):
        Bandana(4, 8)(data)
