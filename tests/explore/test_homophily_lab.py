"""The homophily lab: its means, accuracies and AUC against plain ones."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestCentroid

from labkit.data import stochastic_block_model
from labkit.explore import homophily_lab


def draw(homophily, degree, seed):
    p = homophily * degree / 60, (1 - homophily) * degree / 120
    graph = stochastic_block_model([60, 60, 60], *p, features=2, signal=1.0, seed=seed)
    corners = 2 * torch.tensor([[0.0, 1.0], [0.87, -0.5], [-0.87, -0.5]])
    graph.x = corners[graph.y] + torch.randn(180, 2, generator=torch.Generator().manual_seed(seed))
    graph.train_mask = torch.arange(180) % 6 == 0
    graph.test_mask = ~graph.train_mask
    return graph


@pytest.fixture(scope="module")
def lab():
    return homophily_lab(draw)


def by_hand(graph, sharpness, steps):
    """A dense matrix of weights, rows scaled to sum 1; multigraphs have none here."""
    weight = torch.eye(180, dtype=torch.float64)
    for i, j in graph.edge_index.T.tolist():
        weight[j, i] = torch.exp(-0.5 * sharpness * (graph.x[i] - graph.x[j]).square().sum())
    mean = weight / weight.sum(dim=1, keepdim=True)
    return torch.linalg.matrix_power(mean, steps) @ graph.x.double()


@pytest.mark.parametrize("sharpness", [0.0, 2.5])
def test_nodes_take_the_weighed_mean_and_the_nearest_class_mean_decides(lab, sharpness):
    lab.set(homophily=0.8, degree=6.0, steps=3, sharpness=sharpness, draw=2)
    graph, (nodes, accuracies, _) = draw(0.8, 6.0, 2), lab.panels
    z = by_hand(graph, sharpness, 3)
    expected = z[graph.test_mask].numpy()
    np.testing.assert_allclose(np.stack([nodes.layers[0].x, nodes.layers[0].y], axis=1), expected, atol=1e-5)
    judge = NearestCentroid().fit(z[graph.train_mask], graph.y[graph.train_mask])
    right = 100 * judge.score(z[graph.test_mask], graph.y[graph.test_mask])
    assert accuracies.layers[2].y[3] == pytest.approx(right)
    assert nodes.says.startswith(f"{right:.0f} %")
    assert accuracies.layers[3].y == [accuracies.layers[2].y[3]]
    assert accuracies.layers[1].y[0] == accuracies.layers[2].y[0] == accuracies.layers[0].y[0]  # no step: features


def test_distances_tell_edges_within_a_class_as_well_as_it_says(lab):
    lab.set(homophily=0.5, degree=10.0, draw=1)
    graph, edges = draw(0.5, 10.0, 1), lab.panels[2]
    source, target = graph.edge_index
    apart = (graph.x[source] - graph.x[target]).square().sum(dim=1)
    same = graph.y[source] == graph.y[target]
    assert edges.says.endswith(f"AUC {roc_auc_score(same, -apart):.2f}")
    assert edges.says.startswith(f"{100 * same.double().mean():.0f} %")
    assert max(layer.y.max() for layer in edges.layers) == 1


def test_agreement_helps_and_its_lack_harms(lab):
    gain = {}
    for homophily in (0.35, 1.0):  # a third: neighbours are of any class
        lab.set(homophily=homophily, degree=20.0, steps=2, sharpness=0.0, draw=0)
        gain[homophily] = lab.panels[1].layers[1].y[2] - lab.panels[1].layers[0].y[0]
    assert gain[1.0] > 5
    assert gain[0.35] < -5
    assert lab.panels[2].says.endswith("AUC –")  # all edges stay: nothing to tell
    assert len(lab.twin().axes) == 3


def test_every_edge_is_counted_however_long():
    def far(*at):
        graph = draw(*at)
        graph.x = 5 * graph.x
        return graph

    lab = homophily_lab(far).set(homophily=0.7, degree=10.0)
    graph = far(0.7, 10.0, 0)
    a, b = graph.edge_index
    within = graph.y[a] == graph.y[b]
    areas = [layer.y.sum() for layer in lab.panels[2].layers]
    assert areas[1] / areas[0] == pytest.approx(((~within).sum() / within.sum()).item(), rel=1e-6)
    assert lab.panels[2].layers[0].x.max() > 4


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"x": torch.zeros(180, 3)}, r"x of shape \[180, 3\]"),
        ({"y": None, "test_mask": None}, "it has no y, test_mask"),
        ({"x": torch.full((180, 2), torch.nan)}, "finite features"),
        ({"train_mask": torch.zeros(180, dtype=torch.bool)}, "at least one training and one test node"),
    ],
)
def test_refusals_are_named(spoil, message):
    def spoiled(*at):
        graph = draw(*at)
        for name, value in spoil.items():
            setattr(graph, name, value)
        return graph

    with pytest.raises(ValueError, match=message):
        homophily_lab(spoiled)
