"""The whole-graph lab: what it draws and counts is what the views left."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from labkit.data import GraphBatch
from labkit.explore import whole_graph_lab

STILL = {"drop_nodes": 0.0, "perturb_edges": 0.0, "subgraph": 1.0, "mask_attributes": 0.0}


def rings_and_stars(each: int = 6) -> tuple[GraphBatch, torch.Tensor]:
    """Rings and stars of 6 to 11 nodes; one-hot: first node or other."""
    graphs = []
    for size in range(6, 6 + each):
        nodes = torch.arange(size)
        x = torch.nn.functional.one_hot((nodes > 0).long(), 2).float()
        for edges in (torch.stack([nodes, (nodes + 1) % size]), torch.stack([torch.zeros(size - 1).long(), nodes[1:]])):
            graphs.append(Data(x=x, edge_index=torch.cat([edges, edges.flip(0)], dim=1)))
    return GraphBatch.of(graphs), torch.arange(2 * each) % 2


@pytest.fixture(scope="module")
def lab():
    return whole_graph_lab(*rings_and_stars(), ["ring", "star"])


def test_untouched_graphs_are_their_own_neighbours(lab):
    graph, cloud, shares = lab.set(**STILL, graph=4).panels
    assert graph.says == "8 of 8 nodes and 16 of 16 directed edges are kept"
    assert cloud.says == "24 of 24 views are nearest to it"
    assert shares.layers[0].y[0] == 100
    np.testing.assert_allclose(shares.layers[0].y, shares.layers[1].y[[0, 3]])
    assert "graph 4, ring" in cloud.layers[0].text


def test_what_a_view_leaves_is_drawn(lab):
    graph = lab.set(**STILL | {"drop_nodes": 0.5}, graph=4).panels[0]
    assert graph.says.startswith("4 of 8 nodes")
    assert (graph.layers[-1].width == 12).sum() == 4
    assert sum(text.endswith(", dropped") for text in graph.layers[-1].text) == 4
    graph = lab.set(**STILL | {"subgraph": 0.25}, graph=5).panels[0]
    assert graph.says == "3 of 8 nodes and 4 of 14 directed edges are kept"
    graph = lab.set(**STILL | {"mask_attributes": 0.5}, graph=4).panels[0]
    assert graph.layers[-1].colour.count("#bbbbbb") == 4


def test_each_direction_of_an_edge_is_drawn_as_it_is(lab):
    """Edges are replaced one direction at a time: gone, one way, kept and new add up to what is there."""
    for draw in range(5):
        graph = lab.set(**STILL | {"perturb_edges": 0.3}, graph=10, draw=draw).panels[0]
        gone, one_way, kept, new = (int(np.isnan(layer.x).sum()) for layer in graph.layers[:4])  # lines end in NaN
        left = int(graph.says.split(" and ")[1].split(" ")[0])
        assert gone + left == 22
        assert one_way + kept == left
        assert 0 < new <= 6
    # of an edge with one direction left, the other is among those that are gone
    assert gone >= one_way


def test_an_encoder_of_ones_own_is_asked(lab):
    graphs, _ = rings_and_stars()
    counts = whole_graph_lab(graphs, encoder=lambda batch: batch.sizes[:, None].double())
    assert counts.set(**STILL | {"mask_attributes": 0.9}).panels[2].layers[0].y == (100,)  # sizes stay
    assert counts.set(**STILL | {"drop_nodes": 0.5}).panels[2].says.endswith(" %")
    assert len(counts.panels[2].x_ticks) == 1  # no classes to compare with
    assert len(lab.twin().axes) == 3


def test_graphs_without_nodes_and_an_encoder_that_tells_nothing():
    graphs, labels = rings_and_stars()
    empty = GraphBatch(graphs.x, graphs.edge_index, torch.cat([graphs.ptr, graphs.ptr[-1:]]))
    assert whole_graph_lab(empty, graph=12).panels[0].says == "0 of 0 nodes and 0 of 0 directed edges are kept"
    same = whole_graph_lab(graphs, labels, encoder=lambda batch: torch.ones(len(batch), 3))
    assert same.panels[2].says.startswith("own graph 100 %")  # all are equally near
    assert np.isfinite(same.panels[1].layers[0].x).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"graph": 12}, "graph must lie between 0 and 11, not 12"),
        ({"labels": torch.zeros(3).long()}, r"one class for each of the 12 items, not shape \[3\]"),
        ({"class_names": ["ring"]}, "class_names has 1 names"),
        ({"encoder": lambda batch: batch.x}, "one finite row for each of 12 graphs"),
        ({"encoder": lambda batch: torch.full((len(batch), 2), torch.nan)}, "one finite row for each of 12 graphs"),
        ({"graphs": rings_and_stars()[0][:1], "labels": None}, "takes 2 to 300 .* not 1 with 6"),
        ({"graphs": rings_and_stars()[0][torch.zeros(301).long()], "labels": None}, "not 301 with 1,806"),
    ],
)
def test_refusals_are_named(changes, message):
    graphs, labels = rings_and_stars()
    with pytest.raises(ValueError, match=message):
        whole_graph_lab(**{"graphs": graphs, "labels": labels} | changes)
