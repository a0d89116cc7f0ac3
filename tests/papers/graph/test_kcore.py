"""k-core embedding: core numbers against networkx, propagation against loops, schedules, the two methods."""

from types import SimpleNamespace

import networkx as nx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from labkit.claims import Lab
from labkit.data import available, load, stochastic_block_model
from labkit.papers.graph import kcore
from labkit.train import Run, fit


def random_graph(seed, n, density):
    graph = nx.gnp_random_graph(n, density, seed=seed)
    edges = torch.tensor(list(graph.edges), dtype=torch.int64).reshape(-1, 2).T
    return graph, torch.cat([edges, edges.flip(0)], dim=1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 40), density=st.floats(0, 0.6))
def test_core_numbers_are_networkx_s(seed, n, density):
    graph, edges = random_graph(seed, n, density)
    core = kcore.core_number(edges, n)
    assert core.tolist() == [nx.core_number(graph)[node] for node in range(n)]


def test_core_numbers_of_known_graphs():
    data = load("karate")
    expected = nx.core_number(nx.karate_club_graph())
    assert kcore.core_number(data.edge_index, 34).tolist() == [expected[node] for node in range(34)]
    loops = torch.cat([data.edge_index, torch.arange(34).repeat(2, 1), data.edge_index], dim=1)
    assert kcore.core_number(loops, 34).tolist() == [expected[node] for node in range(34)]  # loops, repeats
    path = torch.stack([torch.arange(9), torch.arange(1, 10)])
    assert kcore.core_number(torch.cat([path, path.flip(0)], 1), 11).tolist() == [1] * 10 + [0]


def slowly(z, known, edges, n, sweeps):
    """Algorithm 2 of Salha et al., a node at a time; None for a node that is not embedded yet."""
    near = [[] for _ in range(n)]
    for a, b in edges.T.tolist():
        near[b].append(a)
    whole = {node: z[i] for i, node in enumerate(known.tolist())}
    while True:
        layer = [v for v in range(n) if v not in whole and any(u in whole for u in near[v])]
        if not layer:
            break
        new = {v: torch.zeros_like(z[0]) for v in layer}
        counted = {v: [u for u in near[v] if u in whole or u in new] for v in layer}
        for _ in range(sweeps):
            state = whole | new
            new = {v: sum(state[u] for u in counted[v]) / len(counted[v]) for v in layer}
        whole |= new
    return torch.stack([whole.get(v, z.mean(0)) for v in range(n)])


@pytest.mark.parametrize("seed", range(4))
def test_propagation_is_the_mean_of_the_neighbours_layer_by_layer(seed):
    _, edges = random_graph(seed, 25, 0.1)
    known = torch.tensor([3, 4, 11])
    z = torch.randn(3, 5).double()
    ours = kcore.propagate(z, known, edges, 25)
    torch.testing.assert_close(ours, slowly(z, known, edges, 25, kcore.SWEEPS))
    torch.testing.assert_close(ours[known], z)


def test_schedules_give_fewer_walks_to_the_outside():
    data = load("karate")
    core = kcore.core_number(data.edge_index, 34)
    for schedule in kcore.SCHEDULES:
        starts = torch.cat(list(kcore.batches(data, schedule=schedule)))[:, 0].bincount(minlength=34)
        if schedule == "constant":
            assert (starts == 15).all()
        if schedule == "linear":  # equation 1: max(⌊15 · core / degeneracy⌋, 1)
            assert starts.tolist() == [max(int(15 * k / 4), 1) for k in core.tolist()]
        assert (starts[core == 4] >= starts[core == 1].max()).all()
        assert starts.min() >= 1


@pytest.mark.skipif(not available("cora"), reason="cora not found; set LABKIT_DATA")
def test_corewalk_takes_as_many_walks_on_cora_as_the_released_run():
    """output/cora_cw.csv of the released code says 22392; DeepWalk's 15 a node are 40620."""
    cora = load("cora")
    assert int(kcore.batches(cora, schedule="linear").count.sum()) == 22392
    assert int(kcore.batches(cora).count.sum()) == 40620


def test_the_core_is_trained_and_the_rest_follows():
    data = stochastic_block_model([40, 40], 0.2, 0.01, seed=0)
    core = kcore.core_number(data.edge_index, 80)
    k = int(core.max())
    method = kcore.KCoreEmbedding(data, k, dim=8)
    walks = kcore.batches(data, k)
    assert walks.adjacency.num_nodes == int((core == k).sum()) == len(method.table.weight)
    fit(method, walks, epochs=2, lr=0.02, progress=False)
    z = method.embed(data)
    assert z.shape == (80, 8)
    assert torch.equal(z[core == k], method.table.weight)
    nodes = kcore.random_part(data, k, 0)
    assert len(nodes.unique()) == len(nodes) == int((core >= k).sum())
    part = kcore.embed_part(data, nodes, epochs=1, dim=8)
    assert part.shape == (80, 8)
    assert part.isfinite().all()


def test_a_core_that_is_not_there_is_named():
    data = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
    with pytest.raises(ValueError, match="k=2 leaves 0 nodes; the graph's largest core is k=1"):
        kcore.KCoreEmbedding(data, 2)
    with pytest.raises(ValueError, match="no schedule named 'linea'"):
        kcore.batches(data, schedule="linea")


def test_a_part_that_no_walk_meets_is_propagated_to_like_the_rest():
    """Two triangles joined by a node that is drawn without its neighbours: its start must not pass for an embedding."""
    edges = torch.tensor([[0, 1], [1, 2], [0, 2], [2, 3], [3, 4], [4, 5], [5, 6], [4, 6]]).T
    data = Data(edge_index=torch.cat([edges, edges.flip(0)], dim=1), num_nodes=7)
    part = torch.tensor([0, 1, 2, 4, 5, 6])
    lonely = torch.tensor([0, 1, 2, 5, 6])
    whole = kcore.embed_part(data, part, epochs=1, dim=4)
    torch.testing.assert_close(whole[3], (whole[2] + whole[4]) / 2)
    data.edge_index = data.edge_index[:, ~((data.edge_index == 5) & (data.edge_index.flip(0) == 6)).any(dim=0)]
    whole = kcore.embed_part(data, lonely, epochs=1, dim=4)  # 5 and 6 have no neighbour among these
    assert whole[[5, 6]].norm() > 0.5 * whole[[0, 1, 2]].norm(dim=1).min()


def test_schedule_window_and_seed_reach_what_they_are_of(monkeypatch):
    data, trained = load("karate"), []
    monkeypatch.setattr(kcore, "fit", lambda method, walks, **_: trained.append(walks) or Run(method))
    kcore.embed(data, schedule="linear", dim=4)
    assert torch.equal(trained[0].count, kcore.batches(data, schedule="linear").count)
    assert kcore.KCoreEmbedding(data, dim=4, window=3).window == 3
    counts = {recipe.name: int(recipe.batches(data).count.sum()) for recipe in kcore.RECIPES}
    assert counts["kcore/corewalk-cora"] < counts["kcore/deepwalk-cora"] == 34 * 15
    assert not torch.equal(kcore.random_part(data, 3, 0), kcore.random_part(data, 3, 1))


def test_the_control_of_propagation_leaves_the_rest_at_the_mean_of_the_core(monkeypatch):
    data, seen = load("karate"), []
    lab, method = Lab("smoke", [0], progress=False), kcore.KCoreEmbedding(load("karate"), 3, dim=4)
    lab.material = lambda recipe: SimpleNamespace(dataset=data)
    lab.scores = lambda recipe, embed=None: seen.append(embed and embed(Run(method))) or [0.0]
    kcore.propagation_helps.test(lab)
    known, whole = method.table.weight.detach(), seen[1]
    assert seen[0] is None
    assert torch.equal(whole[method.core], known)
    rest = torch.ones(34, dtype=torch.bool).index_fill(0, method.core, False)
    torch.testing.assert_close(whole[rest], known.mean(dim=0).expand(int(rest.sum()), 4))
