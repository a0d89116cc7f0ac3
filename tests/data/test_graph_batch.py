"""Packed graphs against PyG's Batch: index arithmetic, views of parts, pools, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from labkit.data import GraphBatch, GraphSet
from labkit.methods import in_blocks
from labkit.train import Minibatches


def random_graphs(sizes, seed=0, features=3):
    generator = torch.Generator().manual_seed(seed)
    return [
        Data(
            x=torch.rand(n, features, generator=generator),
            edge_index=torch.randint(n, (2, 2 * n if n > 1 else 0), generator=generator),
            y=torch.tensor([i % 2]),
        )
        for i, n in enumerate(sizes)
    ]


def same(ours, theirs):
    assert torch.equal(ours.x, theirs.x)
    assert torch.equal(ours.edge_index, theirs.edge_index)
    assert torch.equal(ours.ptr, theirs.ptr)
    assert torch.equal(ours.batch, theirs.batch)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), seed=st.integers(0, 50), data=st.data())
@settings(max_examples=40, deadline=None)
def test_packing_and_choosing_equal_pygs_batch(sizes, seed, data):
    graphs = random_graphs(sizes, seed)
    packed = GraphBatch.of(graphs)
    same(packed, Batch.from_data_list(graphs))
    chosen = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=10))
    same(packed[torch.tensor(chosen)], Batch.from_data_list([graphs[i] for i in chosen]))
    same(packed[torch.tensor(chosen) - len(sizes)], packed[torch.tensor(chosen)])  # counted from the end
    mask = torch.tensor([i in chosen for i in range(len(sizes))])
    same(packed[mask], packed[mask.nonzero().flatten()])
    assert [len(part) for part in packed.split(3)] == [len(graphs[i : i + 3]) for i in range(0, len(graphs), 3)]


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_keep_nodes_gives_the_induced_subgraphs(sizes, seed):
    graphs = random_graphs(sizes, seed)
    packed = GraphBatch.of(graphs)
    keep = torch.rand(len(packed.x), generator=torch.Generator().manual_seed(seed)) < 0.5
    parts = [graph.subgraph(keep[packed.batch == i]) for i, graph in enumerate(graphs)]
    same(packed.keep_nodes(keep), Batch.from_data_list(parts))


def test_pools_over_each_graph_with_an_empty_one():
    packed = GraphBatch.of(random_graphs([4, 2, 3]))
    packed = packed.keep_nodes(packed.batch != 1)
    x = packed.x - 2  # all negative: a maximum over nothing must not look like one over these
    parts = [x[packed.batch == i] for i in range(3)]
    zero = torch.zeros(3)
    for how, reduce in {"sum": lambda p: p.sum(0), "mean": lambda p: p.mean(0), "max": lambda p: p.amax(0)}.items():
        expected = torch.stack([reduce(part) if len(part) else zero for part in parts])
        torch.testing.assert_close(packed.pool(x, how), expected)


def test_minibatches_cover_each_graph_once_and_keep_the_last_part():
    graphs = GraphSet(tuple(random_graphs(range(1, 12))), "random")
    for i, graph in enumerate(graphs):
        graph.x[:] = i
    batches = Minibatches(graphs.packed, 4, drop_last=False)
    seen = [int(value) for batch in batches for value in batch.x[batch.ptr[:-1], 0]]
    assert (len(batches), sorted(seen)) == (3, list(range(11)))
    assert seen != sorted(seen)
    assert len(Minibatches(graphs.packed, 4)) == 2
    assert len(Minibatches(graphs.packed, 5, drop_last=False)) == 2  # the eleventh would be alone
    assert len(batches.to(torch.device("cpu"))) == 3


def test_in_blocks_takes_graphs():
    packed = GraphBatch.of(random_graphs([3, 1, 2, 5, 2]))
    whole = in_blocks(lambda part: part.pool(part.x), packed, block=2)
    torch.testing.assert_close(whole, packed.pool(packed.x))


def test_bad_graphs_are_named():
    good = random_graphs([3, 4])
    with pytest.raises(ValueError, match="there are no graphs"):
        GraphBatch.of([])
    with pytest.raises(ValueError, match="graph 1 has no features x"):
        GraphBatch.of([good[0], Data(edge_index=good[1].edge_index, num_nodes=4)])
    with pytest.raises(ValueError, match="graph 0 has 3, graph 2 has 5"):
        GraphBatch.of([*good, *random_graphs([2], features=5)])
    past = Data(x=torch.zeros(2, 3), edge_index=torch.tensor([[0, 1], [1, 2]]))
    with pytest.raises(ValueError, match=r"edge \[1, 2\] of graph 1 points outside its 2 nodes"):
        GraphBatch.of([good[0], past, good[1]])
    good[1].x[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        GraphBatch.of(good)


def test_a_mask_chooses_graphs_and_is_no_list_of_numbers():
    graphs = GraphSet(tuple(random_graphs([3, 1, 4, 2, 5])))
    chosen = graphs[graphs.y == 1]
    assert list(chosen) == [graphs[1], graphs[3]]
    same(chosen.packed, graphs.packed[graphs.y == 1])
    assert len(graphs[torch.zeros(5, dtype=torch.bool)]) == 0
    for rows in ([3, 0], np.array([3, 0]), torch.tensor([3, 0])):
        assert list(graphs[rows]) == [graphs[3], graphs[0]]
    assert graphs[torch.tensor(3)] is graphs[3]
    for wrong in (torch.ones(5, dtype=torch.uint8), torch.ones(5)):
        with pytest.raises(TypeError, match="chosen by int64 numbers or a bool mask, not by"):
            graphs[wrong]
    for wrong in (torch.ones(4).bool(), torch.ones(5, 1).bool()):
        with pytest.raises(ValueError, match="a mask must hold one bool for each of 5 graphs"):
            graphs[wrong]


def test_one_index_is_a_batch_of_one_and_another_pooling_is_refused():
    batch = GraphBatch(torch.arange(5.0)[:, None], torch.tensor([[0, 3], [1, 4]]), torch.tensor([0, 2, 5]))
    for one in (1, torch.tensor(1)):
        assert batch[one].x.flatten().tolist() == [2, 3, 4]
        assert batch[one].edge_index.tolist() == [[1], [2]]
    with pytest.raises(ValueError, match="no pooling named 'avg'"):
        batch.pool(batch.x, "avg")


def test_a_graph_without_edges_may_have_them_as_floats_and_none_may_have_half_a_node():
    x = torch.ones(2, 3)
    empty, pair = Data(x=x, edge_index=torch.empty(2, 0)), Data(x=x, edge_index=torch.tensor([[0, 1], [1, 0]]))
    assert GraphBatch.of([empty, pair]).edge_index.tolist() == [[2, 3], [3, 2]]
    for half in (torch.tensor([[0.5], [1.0]]), torch.tensor([[True], [False]])):
        with pytest.raises(ValueError, match="edge_index of graph 1 must hold whole numbers, not"):
            GraphBatch.of([pair, Data(x=x, edge_index=half)])
    for no_pairs in (None, torch.zeros(2, dtype=torch.int64), torch.zeros(2, 1, 2, dtype=torch.int64)):
        with pytest.raises(ValueError, match="graph 0 has no edge_index"):
            GraphBatch.of([Data(x=x, edge_index=no_pairs)])
