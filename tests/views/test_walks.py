"""Random walks: on edges, from a seed, and distributed as the equations say."""

import numpy as np
import pytest
import torch
from draws import seeded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from torch_geometric.data import Data

from labkit.data import load
from labkit.views import Adjacency, _walks, random_walk, restart_walk
from labkit.views._alias import AliasRows


def small(kind="plain"):
    """Seven nodes: a triangle with a tail, a hub, a leaf, and node 6 alone; two edges lead one way if "directed"."""
    pairs = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (3, 5), (3, 0)]
    edges = torch.tensor(pairs + [(b, a) for a, b in pairs]).T
    weight = torch.tensor([1.0, 2, 0.5, 3, 1, 0.25, 4] * 2)
    order = torch.randperm(14, generator=seeded())
    if kind == "directed":
        order = order[(order != 6) & (order != 7)]
    return Data(edge_index=edges[:, order], num_nodes=7, edge_weight=weight[order] if kind == "weighted" else None)


def matrix(data):
    """Dense weights [nodes, nodes]."""
    weight = torch.ones(data.num_edges) if data.get("edge_weight") is None else data.edge_weight
    return torch.zeros(data.num_nodes, data.num_nodes).index_put_(tuple(data.edge_index), weight).double().numpy()


def second_order(w, p, q):
    """P(x | t, v) of equation 2, slowly."""
    n = len(w)
    chance = np.zeros((n, n, n))
    for t in range(n):
        for v in range(n):
            for x in range(n):
                chance[t, v, x] = w[v, x] * (1 / p if x == t else 1 if w[t, x] > 0 else 1 / q)
            chance[t, v] /= max(chance[t, v].sum(), 1e-300)
    return chance


def surprise(counts, chance):
    """p-value of counts [cases, outcomes] against chances [cases, outcomes]; no count where the chance is 0."""
    assert (counts[chance == 0] == 0).all()
    expected = counts.sum(-1, keepdims=True) * chance
    seen = expected > 5
    statistic = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    freedom = (seen.sum(-1) - 1).clip(0).sum()
    return chi2.sf(statistic, freedom)


@pytest.fixture(params=["tables", "rejection"])
def way(request, monkeypatch):
    """Both ways to the same distribution."""
    monkeypatch.setattr(_walks, "TABLE", 10**9 if request.param == "tables" else -1)


@pytest.mark.parametrize("kind", ["plain", "weighted", "directed"])
@pytest.mark.parametrize(("p", "q"), [(1, 1), (0.25, 4), (4, 0.25), (1, 2), (4, 1), (50, 50)])
def test_transition_chances_are_those_of_equation_2(p, q, kind, way):
    data = small(kind)
    walks = random_walk(Adjacency.of(data), torch.arange(6).repeat(5000), 3, p, q, seeded()).numpy()
    w = matrix(data)
    first = np.zeros((7, 7))
    np.add.at(first, (walks[:, 0], walks[:, 1]), 1)
    assert surprise(first, w / w.sum(1, keepdims=True).clip(1e-300)) > 1e-3
    counts = np.zeros((7, 7, 7))
    np.add.at(counts, tuple(walks.T), 1)
    assert surprise(counts.reshape(49, 7), second_order(w, p, q).reshape(49, 7)) > 1e-3


@pytest.mark.parametrize(("p", "q"), [(0.25, 4), (4, 0.25)])
def test_rejection_and_exact_draws_agree_on_a_hub(p, q, way):
    """On a hub with many leaves the first steps are rejections; with few walks all are laid out at once."""
    leaves = torch.arange(1, 400)
    ring = torch.stack([leaves, leaves.roll(1)])
    edges = torch.cat([torch.stack([torch.zeros_like(leaves), leaves]), ring], dim=1)
    data = Data(edge_index=torch.cat([edges, edges.flip(0)], dim=1), num_nodes=400)
    adjacency = Adjacency.of(data)
    walks = random_walk(adjacency, torch.full((20_000,), 1), 3, p, q, seeded()).numpy()
    through_hub = walks[walks[:, 1] == 0][:, 2]
    back, near = (through_hub == 1).mean(), np.isin(through_hub, [2, 399]).mean()  # 2 and 399 touch 1
    total = 1 / p + 2 + 396 / q
    for share, exact in ((back, 1 / p / total), (near, 2 / total)):
        assert share == pytest.approx(exact, abs=5 * (exact / len(through_hub)) ** 0.5)
    one_by_one = [random_walk(adjacency, torch.tensor([1]), 3, p, q, seeded(s))[0] for s in range(1000)]
    seen = np.array([walk[2] for walk in one_by_one if walk[1] == 2])
    exact = (1 / p) / (1 / p + 1 + 1 / q)  # 2's neighbours: 1 (back), 0 (touches 1), 3 (does not)
    assert (seen == 1).mean() == pytest.approx(exact, abs=5 * (exact / len(seen)) ** 0.5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), p=st.floats(0.1, 10), q=st.floats(0.1, 10), length=st.integers(1, 12))
def test_walks_stay_on_edges(way, seed, p, q, length):
    generator = seeded(seed)
    n = int(torch.randint(2, 30, (), generator=generator))
    edges = torch.randint(n, (2, 2 * n), generator=generator)  # directed, with self-loops and repeats
    adjacency = Adjacency(edges, n)
    start = torch.arange(n)
    walks = random_walk(adjacency, start, length, p, q, generator)
    assert walks.shape == (n, length)
    assert torch.equal(walks[:, 0], start)
    a, b = walks[:, :-1].flatten(), walks[:, 1:].flatten()
    stuck = adjacency.degree[a] == 0
    assert adjacency.has_edge(a, b)[~stuck].all()
    assert torch.equal(a[stuck], b[stuck])


def test_the_seed_governs_and_isolated_nodes_stay(way):
    adjacency = Adjacency.of(small())
    start = torch.arange(7).repeat(50)
    one, same, other = (random_walk(adjacency, start, 10, 0.5, 2, seeded(s)) for s in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert (one[start == 6] == 6).all()
    torch.manual_seed(3)
    default = random_walk(adjacency, start, 10, 0.5, 2)
    assert torch.equal(default, random_walk(adjacency, start, 10, 0.5, 2, seeded(3)))


def test_edges_of_weight_0_are_never_taken(way):
    adjacency = Adjacency(torch.tensor([[0, 0, 1, 2], [1, 2, 0, 0]]), 3, torch.tensor([1.0, 0, 1, 0]))
    walks = random_walk(adjacency, torch.tensor([0, 2]).repeat(500), 6, 0.5, 2, seeded())
    assert (walks[::2] != 2).all()
    assert (walks[1::2] == 2).all()


def test_restart_walks_visit_as_personalised_pagerank_says():
    data = load("karate")
    walks = restart_walk(Adjacency(data.edge_index, 34), torch.full((4000,), 5), 60, 0.3, seeded())
    visits = walks[:, 20:].flatten().bincount(minlength=34) / walks[:, 20:].numel()
    w = matrix(Data(edge_index=data.edge_index, num_nodes=34))
    step = w / w.sum(1, keepdims=True)
    exact = 0.3 * np.linalg.inv(np.eye(34) - 0.7 * step)[5]
    assert abs(visits.numpy() - exact).sum() / 2 < 0.01  # total variation
    a, b = walks[:, :-1].flatten(), walks[:, 1:].flatten()
    assert (Adjacency(data.edge_index, 34).has_edge(a, b) | (b == 5)).all()
    assert (restart_walk(Adjacency(data.edge_index, 34), torch.arange(34), 5, 1.0) == torch.arange(34)[:, None]).all()


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(1, 8), spread=st.sampled_from([0.0, 1.0, 8.0]))
def test_alias_rows_hold_exactly_their_distributions(seed, rows, spread):
    """What a place keeps plus what is sent to it is its share of the row, to rounding."""
    generator = seeded(seed)
    length = torch.randint(0, 7, (rows,), generator=generator)
    weight = torch.exp(spread * torch.randn(int(length.sum()), generator=generator).double())
    weight = weight.where(torch.rand(len(weight), generator=generator) > 0.2, 0)
    table = AliasRows(weight, length)
    first = 0
    for row, n in enumerate(length.tolist()):
        part, chance, slot = (values[first : first + n] for values in (weight, table.chance, table.slot))
        first += n
        if part.sum() == 0:
            assert table.length[row] == 0
            continue
        assert ((chance >= 0) & (chance <= 1) & (slot >= 0) & (slot < n)).all()
        mass = chance.clone().index_add_(0, slot, 1 - chance) / n
        torch.testing.assert_close(mass, part / part.sum(), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("weight", [0.1, 0.7, 1 / 3, 1e-300])
def test_equal_weights_that_rounding_puts_below_their_mean(weight):
    """The mean of three times 0.1 is above 0.1; where p = q, a graph without triangles has all weights alike."""
    length = torch.arange(9)
    table = AliasRows(torch.full((36,), weight, dtype=torch.float64), length)
    row = torch.repeat_interleave(torch.arange(9), length)
    sent = table.first[row] + table.slot
    assert torch.equal(row[sent], row)
    mass = table.chance.clone().index_add_(0, sent, 1 - table.chance)
    torch.testing.assert_close(mass, torch.ones(36).double())
    square = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 0], [1, 0, 2, 1, 3, 2, 0, 3]])
    walks = random_walk(Adjacency(square, 4), torch.arange(4), 50, p=10, q=10, generator=seeded(0))
    assert (((walks[:, 1:] - walks[:, :-1]) % 2) == 1).all()


def test_edges_of_and_has_edge_agree_with_the_matrix():
    data = small("weighted")
    adjacency, w = Adjacency.of(data), torch.from_numpy(matrix(data))
    nodes = torch.tensor([3, 6, 0, 3])
    owner, target, weight = adjacency.edges_of(nodes)
    dense = torch.zeros(4, 7).double().index_put_((owner, target), weight, accumulate=True)
    torch.testing.assert_close(dense, w[nodes])
    a, b = torch.cartesian_prod(torch.arange(7), torch.arange(7)).T
    assert torch.equal(adjacency.has_edge(a, b).reshape(7, 7), w > 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"length": 0}, "length must be at least 1"),
        ({"p": 0}, "p must be a positive"),
        ({"q": float("inf")}, "q must be a positive"),
        ({"start": torch.tensor([7])}, "start must hold nodes 0 to 6, not 7 to 7"),
    ],
)
def test_bad_arguments_are_named(changes, says):
    with pytest.raises(ValueError, match=says):
        random_walk(**{"adjacency": Adjacency.of(small()), "start": torch.tensor([0]), "length": 3} | changes)


def test_bad_graphs_are_named():
    edges = torch.tensor([[0, 1], [1, 0]])
    with pytest.raises(ValueError, match="no edge to walk on: 3 nodes"):
        Adjacency(torch.zeros(2, 0).long(), 3)
    with pytest.raises(ValueError, match="reaches node 1, but nodes are 0 to 0"):
        Adjacency(edges, 1)
    with pytest.raises(ValueError, match="edge_weight must hold one finite number"):
        Adjacency(edges, 2, torch.tensor([1.0, -1]))
    with pytest.raises(ValueError, match="restart must lie between 0 and 1"):
        restart_walk(Adjacency(edges, 2), torch.tensor([0]), 3, 1.5)


@pytest.mark.gpu
def test_walks_on_a_gpu_stay_on_edges():
    adjacency = Adjacency.of(load("karate")).to("cuda")
    walks = random_walk(adjacency, torch.arange(34, device="cuda"), 40, 0.5, 2)
    assert adjacency.has_edge(walks[:, :-1].flatten(), walks[:, 1:].flatten()).all()
