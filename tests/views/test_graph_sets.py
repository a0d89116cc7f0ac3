"""Views of graph sets against what they mean, graph by graph and slowly; laws, counts, determinism."""

import itertools
from collections import Counter
from functools import partial

import networkx as nx
import pytest
import torch
from draws import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from labkit.data import GraphBatch
from labkit.views import RandomChoice, drop_nodes, identity, mask_attributes, perturb_edges, subgraph

VIEWS = {
    "identity": identity,
    "drop_nodes": drop_nodes,
    "perturb_edges": perturb_edges,
    "only_drop_edges": partial(perturb_edges, add=False),
    "mask_attributes": mask_attributes,
    "noise": partial(mask_attributes, fill="noise"),
    "subgraph": subgraph,
    "one hop": partial(subgraph, keep=0.2, one_hop=True),
    "choice": RandomChoice([drop_nodes, subgraph, identity]),
}
ratios = st.floats(0, 1)


def share(ratio, n):
    """⌊ratio · n⌋ where ratio is what its decimals say."""
    return int(ratio * n + 1e-9)


def undirected(pairs, n):
    a = torch.tensor(sorted(pairs), dtype=torch.int64).reshape(-1, 2).T
    return Data(x=torch.arange(2.0 * n).reshape(n, 2), edge_index=torch.cat([a, a.flip(0)], 1))


def random_batch(sizes, seed=0):
    """Random graphs whose features say where a node came from: (graph, node)."""
    generator = seeded(seed)
    graphs = []
    for i, n in enumerate(sizes):
        pairs = [pair for pair in itertools.combinations(range(n), 2) if torch.rand((), generator=generator) < 0.4]
        graph = undirected(pairs, n)
        graph.x = torch.stack([torch.full((n,), float(i)), torch.arange(float(n))], dim=1)
        graphs.append(graph)
    return GraphBatch.of(graphs)


batches = st.builds(random_batch, st.lists(st.integers(1, 12), min_size=1, max_size=6), st.integers(0, 30))


def names(batch):
    """The (graph, node) of every node, and of both ends of every edge."""
    nodes = [tuple(row) for row in batch.x.long().tolist()]
    return nodes, [(nodes[a], nodes[b]) for a, b in batch.edge_index.T.tolist()]


def per_graph(rows, count):
    counted = Counter(graph for graph, *_ in rows)
    return [counted[i] for i in range(count)]


@given(batch=batches, seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("name", VIEWS)
def test_a_view_is_a_batch_of_the_same_graphs_and_the_same_for_the_same_seed(name, batch, seed):
    x, edges = batch.x.clone(), batch.edge_index.clone()
    view, again = (VIEWS[name](batch, generator=seeded(seed)) for _ in range(2))
    assert torch.equal(view.x, again.x)
    assert torch.equal(view.edge_index, again.edge_index)
    assert torch.equal(batch.x, x)  # the batch itself is untouched
    assert torch.equal(batch.edge_index, edges)
    assert len(view) == len(batch)
    assert torch.equal(view.edge_batch, view.batch[view.edge_index[1]])  # no edge between graphs
    assert (view.edge_batch.diff() >= 0).all()  # edges stand graph by graph, so parts can be cut
    assert (view.sizes <= batch.sizes).all()
    if "mask" not in name and name != "noise":
        assert torch.equal(view.x[:, 0].long(), view.batch)


@given(batch=batches, ratio=ratios, seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_drop_nodes_leaves_induced_subgraphs_of_exact_size(batch, ratio, seed):
    nodes, edges = names(batch)
    kept, between = names(drop_nodes(batch, ratio, seeded(seed)))
    assert per_graph(kept, len(batch)) == [n - share(ratio, n) for n in batch.sizes.tolist()]
    assert set(kept) <= set(nodes)
    assert Counter(between) == Counter((a, b) for a, b in edges if a in set(kept) and b in set(kept))


@given(batch=batches, ratio=ratios, seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_perturb_edges_changes_exact_numbers_of_edges(batch, ratio, seed):
    _, edges = names(batch)
    counts = per_graph([a for a, _ in edges], len(batch))
    dropped = names(perturb_edges(batch, ratio, seeded(seed), add=False))[1]
    assert per_graph([a for a, _ in dropped], len(batch)) == [m - share(ratio, m) for m in counts]
    assert not Counter(dropped) - Counter(edges)
    added = names(perturb_edges(batch, ratio, seeded(seed)))[1]
    assert per_graph([a for a, _ in added], len(batch)) == counts
    assert not Counter(dropped) - Counter(added)  # the same ones go, as many others come


@given(batch=batches, ratio=ratios, seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_mask_attributes_overwrites_exact_numbers_of_nodes(batch, ratio, seed):
    masked = mask_attributes(batch, ratio, seeded(seed))
    assert torch.equal(masked.edge_index, batch.edge_index)
    for i, n in enumerate(batch.sizes.tolist()):
        before, after = batch.x[batch.batch == i], masked.x[batch.batch == i]
        mean = before.mean(dim=0)
        changed = (after != before).any(dim=1)
        torch.testing.assert_close(after[changed], mean.expand(int(changed.sum()), -1))
        at_the_mean = int((before == mean).all(dim=1).sum())  # masked or not, such a node looks the same
        assert share(ratio, n) - at_the_mean <= int(changed.sum()) <= share(ratio, n)
    noise = mask_attributes(batch, ratio, seeded(seed), fill="noise")
    assert int((noise.x != batch.x).any(dim=1).sum()) == sum(share(ratio, n) for n in batch.sizes.tolist())


@given(batch=batches, keep=ratios, seed=st.integers(0, 99), one_hop=st.booleans())
@settings(max_examples=80, deadline=None)
def test_subgraph_is_connected_as_large_as_asked_and_within_its_reach(batch, keep, seed, one_hop):
    _, edges = names(batch)
    whole = nx.Graph(edges)
    whole.add_nodes_from(names(batch)[0])
    kept, between = names(subgraph(batch, keep, seeded(seed), one_hop))
    part = nx.Graph(between)
    part.add_nodes_from(kept)
    for i, n in enumerate(batch.sizes.tolist()):
        mine = [node for node in kept if node[0] == i]
        grown = part.subgraph(mine)
        assert nx.is_connected(grown)
        reachable = nx.node_connected_component(whole, mine[0])
        if not one_hop:
            assert len(mine) == min(share(keep, n) + 1, len(reachable))
        else:
            stars = [
                min(share(keep, n) + 1, 1 + whole.degree(node)) for node in mine if grown.degree(node) == len(mine) - 1
            ]
            assert len(mine) in stars  # some node is a neighbour of all others, and has no more that could have joined
    assert Counter(between) == Counter((a, b) for a, b in edges if a in set(kept) and b in set(kept))


def grown_slowly(graph, size, generator):
    """Node by node: a uniform draw among the neighbours of all nodes so far."""
    part = {int(torch.randint(len(graph), (), generator=generator))}
    while len(part) < size:
        frontier = sorted({other for node in part for other in graph[node]} - part)
        part.add(frontier[int(torch.randint(len(frontier), (), generator=generator))])
    return frozenset(part)


def test_subgraph_has_the_law_of_growing_node_by_node():
    """A lollipop, where site and edge growth differ: frequencies of all grown sets within five standard errors."""
    lollipop = nx.lollipop_graph(4, 3)
    draws, size = 20_000, 4
    generator = seeded(1)
    slow = Counter(grown_slowly(lollipop, size, generator) for _ in range(draws))
    one = undirected(list(lollipop.edges), len(lollipop))
    one.x = torch.arange(7.0)[:, None]
    view = subgraph(GraphBatch.of([one] * draws), keep=3 / 7 + 1e-9, generator=seeded(2))
    ours = Counter(frozenset(part) for part in view.x.long().flatten().reshape(draws, size).tolist())
    for part in set(slow) | set(ours):
        p = (slow[part] + ours[part]) / (2 * draws)
        assert abs(slow[part] - ours[part]) < 5 * (2 * draws * p * (1 - p)) ** 0.5, set(part)


def test_an_edge_that_is_there_twice_makes_nothing_later():
    """A path 0 - 1 - 2 with its first edge doubled: from 0 and 2, node 1 is always next; from 1, either by half."""
    a = torch.tensor([[0, 0, 1], [1, 1, 2]])
    one = Data(x=torch.arange(3.0)[:, None], edge_index=torch.cat([a, a.flip(0)], 1))
    view = subgraph(GraphBatch.of([one] * 6000), keep=0.34, generator=seeded())
    pairs = Counter(frozenset(pair) for pair in view.x.long().reshape(-1, 2).tolist())
    assert set(pairs) == {frozenset({0, 1}), frozenset({1, 2})}
    assert abs(pairs[frozenset({0, 1})] - 3000) < 5 * (6000 / 4) ** 0.5


@pytest.mark.parametrize(("ratio", "gone"), [(0.29, 29), (0.57, 57), (0.2, 20), (0.299, 29), (1, 100)])
def test_a_share_is_that_of_its_decimals(ratio, gone):
    batch = random_batch([100])
    assert len(drop_nodes(batch, ratio, seeded()).x) == 100 - gone


def test_noise_has_the_mean_and_the_standard_deviation_that_it_says():
    here = torch.zeros(200, 100)
    batch = GraphBatch(here, torch.zeros(2, 0, dtype=torch.int64), torch.tensor([0, 200]))
    noise = mask_attributes(batch, 1.0, seeded(), fill="noise").x
    assert noise.mean().item() == pytest.approx(0.5, abs=0.02)
    assert noise.std().item() == pytest.approx(0.5, abs=0.02)


def test_every_node_is_dropped_as_often():
    one = undirected([(0, 1)], 5)
    one.x = torch.arange(5.0)[:, None]
    view = drop_nodes(GraphBatch.of([one] * 4000), 0.4, seeded())
    counts = view.x.long().flatten().bincount()
    assert (counts - 2400).abs().max() < 5 * (4000 * 0.4 * 0.6) ** 0.5


def test_a_choice_is_each_graphs_own():
    batch = random_batch([10] * 300)
    view = RandomChoice([identity, partial(drop_nodes, ratio=0.5)])(batch, generator=seeded())
    assert set(view.sizes.tolist()) == {5, 10}
    assert (view.sizes == 5).sum().item() == pytest.approx(150, abs=45)
    assert "identity" in repr(RandomChoice([identity]))
    with pytest.raises(ValueError, match="views is empty"):
        RandomChoice([])


def test_graphs_without_nodes_or_edges_pass():
    batch = random_batch([3, 2, 4])
    batch = batch.keep_nodes(batch.batch != 1)
    batch = GraphBatch(batch.x, batch.edge_index[:, batch.edge_batch != 0], batch.ptr)
    for view in VIEWS.values():
        sizes = view(batch, generator=seeded()).sizes
        assert sizes[1] == 0
        assert sizes[0] > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: drop_nodes(b, 1.5), "ratio must lie between 0 and 1"),
        (lambda b: perturb_edges(b, -0.1), "ratio must lie"),
        (lambda b: mask_attributes(b, float("nan")), "ratio must be a number"),
        (lambda b: mask_attributes(b, fill="zero"), "no fill named 'zero'"),
        (lambda b: subgraph(b, keep=2), "keep must lie"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_batch([3]))
