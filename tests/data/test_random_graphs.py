"""Stochastic block models: the right numbers of edges, nothing twice, no nodes × nodes matrix."""

import numpy as np
import pytest
import torch
from torch_geometric.utils import coalesce, contains_self_loops, is_undirected

from labkit.data import stochastic_block_model
from labkit.data._random_graphs import _linked, _pair


def test_is_undirected_simple_and_labelled():
    graph = stochastic_block_model([30, 50, 20], 0.3, 0.05, seed=3)
    assert graph.y.bincount().tolist() == [30, 50, 20]
    assert graph.x.shape == (100, 16)
    assert is_undirected(graph.edge_index)
    assert not contains_self_loops(graph.edge_index)
    assert torch.equal(coalesce(graph.edge_index), graph.edge_index)  # sorted, nothing twice
    assert int(graph.edge_index.max()) < 100


def test_edges_come_as_often_as_they_should():
    """Mean count of edges for each pair of blocks over 200 graphs, within 4.5 standard errors."""
    sizes, chances = [20, 30, 10], np.array([[0.4, 0.1, 0.0], [0.1, 0.2, 0.7], [0.0, 0.7, 1.0]])
    counts = np.zeros((3, 3))
    for seed in range(200):
        graph = stochastic_block_model(sizes, probabilities=chances.tolist(), seed=seed)
        a, b = graph.y[graph.edge_index].numpy()
        np.add.at(counts, (a, b), 1)
    counts /= 200
    pairs = np.outer(sizes, sizes) - np.diag(sizes)  # ordered pairs
    error = np.sqrt(pairs * chances * (1 - chances) * 2 / 200)
    assert (np.abs(counts - pairs * chances) <= 4.5 * error).all()
    assert counts[0, 2] == 0
    assert counts[2, 2] == 90


@pytest.mark.parametrize(("rows", "columns"), [(9, None), (4, 7), (1, None), (1, 1)])
def test_with_probability_one_every_pair_appears_once(rows, columns):
    first, second = _linked(np.random.default_rng(0), 1.0, rows, columns)
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    wanted = {(i, j) for i in range(rows) for j in range(i if columns is None else columns)}
    assert found == wanted
    assert len(first) == len(wanted)


@pytest.mark.parametrize("row", [1, 2, 3, 10**4, 67_108_865, 10**8 + 1, 2 * 10**9])
def test_pairs_are_decoded_exactly_however_large(row):
    first = row * (row - 1) // 2
    rows, columns = _pair(np.array([first, first + row - 1, first + row]))
    assert rows.tolist() == [row, row, row + 1]
    assert columns.tolist() == [0, row - 1, 0]


def test_a_hundred_thousand_nodes():
    graph = stochastic_block_model([50_000, 50_000], 1e-4, 1e-5, features=2, seed=0)
    wanted = 2 * 50_000 * 49_999 / 2 * 1e-4 + 50_000**2 * 1e-5
    assert abs(graph.num_edges / 2 / wanted - 1) < 0.01
    assert graph.num_nodes == 100_000


def test_features_carry_the_signal():
    strong = stochastic_block_model([500, 500], features=8, signal=10)
    centres = torch.stack([strong.x[strong.y == block].mean(dim=0) for block in (0, 1)])
    torch.testing.assert_close(centres.norm(dim=1), torch.full((2,), 10.0), atol=0.3, rtol=0)
    assert strong.x[strong.y == 0].std(dim=0).mean().item() == pytest.approx(1, abs=0.05)
    noise = stochastic_block_model([500, 500], features=8, signal=0)
    assert noise.x[noise.y == 0].mean(dim=0).norm() < 0.3


def test_same_seed_same_bits():
    a, b, c = (stochastic_block_model([50, 50], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a.x, b.x)
    assert torch.equal(a.edge_index, b.edge_index)
    assert not torch.equal(a.edge_index, c.edge_index)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"sizes": []}, "sizes must name at least one block"),
        ({"sizes": [3, 0]}, "sizes must name at least one block of at least one node"),
        ({"sizes": [3], "p_in": 1.5}, "p_in and p_out must lie between 0 and 1"),
        ({"sizes": [3], "p_in": float("nan")}, "p_in must be a number"),
        ({"sizes": [3, 3], "p_out": -0.1}, "p_in and p_out must lie between 0 and 1"),
        ({"sizes": [3, 3], "probabilities": [[1, 0], [1, 0]]}, "probabilities must be symmetric"),
        ({"sizes": [3, 3], "probabilities": [[1, 0, 0]]}, "probabilities must be symmetric \\[2, 2\\]"),
        ({"sizes": [3, 3], "probabilities": [[0.5]]}, "probabilities must be symmetric \\[2, 2\\]"),
        ({"sizes": [3], "features": 0}, "features must be at least 1"),
        ({"sizes": [3], "seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_bad_input(arguments, says):
    with pytest.raises(ValueError, match=says):
        stochastic_block_model(**arguments)
