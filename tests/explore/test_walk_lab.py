"""The walk lab: its pictures and sentences are those of the chain."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from labkit.data import load
from labkit.explore import walk_lab
from labkit.theory.walks import WalkChain


@pytest.fixture(scope="module")
def lab():
    novel = load("les-miserables")
    return walk_lab(novel, novel.node_names, start=novel.node_names.index("Marius"))


def test_it_starts_at_the_plain_walk(lab):
    lab.set(log_p=0.0, log_q=0.0)
    where, far, made_of = lab.panels
    assert where.says.startswith("72 % of 5 steps stay with Marius and neighbours (72 %")
    np.testing.assert_allclose(far.layers[0].y, far.layers[1].y)
    assert made_of.says.startswith("100 %")


def test_it_shows_what_the_chain_says(lab):
    lab.set(log_p=1.0, log_q=2.0, steps=3, start=11)
    novel = load("les-miserables")
    seen = WalkChain(novel.edge_index, 77, p=2.0, q=4.0).visits(11, 3)[1:].mean(dim=0)
    where, far, made_of = lab.panels
    assert novel.node_names[11] in where.title
    np.testing.assert_allclose(where.layers[1].width, 4 + 40 * seen.sqrt().numpy())
    assert where.layers[1].text[0] == f"Napoleon: {100 * float(seen[0]):.1f} % of the steps"
    assert far.layers[1].y[0] == 0
    assert far.layers[1].y[1] == pytest.approx(1)
    assert not made_of.says.startswith("100 %")


def test_points_take_their_sizes_along(lab):
    lab.set(log_q=0.0)
    before = np.array(lab.figure.data[1].marker.size)
    lab.figure._view_count = 1  # as if it were shown: traces are filled and not made anew
    try:
        lab.set(log_q=4.0)
    finally:
        lab.figure._view_count = 0
    after = np.array(lab.figure.data[1].marker.size)
    np.testing.assert_allclose(after, lab.panels[0].layers[1].width, rtol=1e-6)
    assert not np.allclose(before, after)
    assert len(lab.twin().axes) == 3


def test_large_q_stays_nearer(lab):
    ends = [lab.set(log_p=0.0, log_q=log_q, start=55).panels[1].layers[1].y[-1] for log_q in (-4.0, 0.0, 4.0)]
    assert ends == sorted(ends, reverse=True)


def test_parts_that_cannot_be_reached_and_names_that_are_missing():
    two = Data(edge_index=torch.tensor([[0, 1, 1, 3, 4], [1, 0, 1, 4, 3]]), num_nodes=6)
    lab = walk_lab(two)
    assert "node 0" in lab.panels[0].title
    assert all(np.isfinite(layer.y).any() for panel in lab.panels for layer in panel.layers)
    assert lab.set(start=5).panels[0].says == "no edge leads from node 5: nobody walks"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"start": 2}, "start must lie between 0 and 1, not 2"),
        ({"window": 0}, "window must be at least 1"),
        ({"names": ["one"]}, "one name for each of the 2 nodes, not 1"),
        ({"data": Data(edge_index=torch.zeros(2, 0).long(), num_nodes=3)}, "start=0 has no edge"),
        ({"data": Data(edge_index=torch.tensor([[0], [1]]), num_nodes=201)}, "up to 200 nodes, not 201"),
    ],
)
def test_refusals_are_named(changes, message):
    pair = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    with pytest.raises(ValueError, match=message):
        walk_lab(**{"data": pair} | changes)


def test_what_is_no_graph():
    with pytest.raises(TypeError, match=r"data must be a torch_geometric.data.Data, not list"):
        walk_lab([1, 2])
    with pytest.raises(TypeError, match="names must be a sequence with one name for each node, not object"):
        walk_lab(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2), names=object())


def test_a_name_that_is_no_formula_is_drawn_as_it_is():
    pair = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    lab = walk_lab(pair, names=["$x^^y$", "$\\frac$"])
    assert "$x^^y$" in lab.panels[0].title
    assert lab._repr_mimebundle_()[0]["image/png"]
