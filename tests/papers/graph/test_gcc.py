"""GCC: nets are the right subgraphs, positions are eigenvectors, padding changes nothing, both variants train."""

import networkx as nx
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch_geometric.data import Data
from torch_geometric.transforms import Constant

from labkit.data import GraphBatch, GraphSet, available, load, stochastic_block_model
from labkit.evaluate import Split
from labkit.papers.graph import gcc
from labkit.papers.graph._ego_nets import EgoNets, EgoPairs, ego_nets, whole_graphs
from labkit.train import fit, seeded
from labkit.views import Adjacency, restart_walk


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nets_are_the_subgraphs_of_what_the_walks_met():
    data = load("les-miserables")
    graph = nx.Graph(data.edge_index.T.tolist())
    adjacency, start = Adjacency(data.edge_index, 77), torch.arange(77)
    nets = ego_nets(adjacency, start, 40, 0.5, 12, generator())
    walks = restart_walk(adjacency, start, 40, 0.5, generator())
    for i, walk in enumerate(walks.tolist()):
        met = list(dict.fromkeys(walk))[:12]
        assert met[0] == i
        assert nets.real[i].tolist() == [place < len(met) for place in range(nets.real.shape[1])]
        inside = nets.links[i][: len(met), : len(met)].numpy()
        assert np.array_equal(inside, nx.to_numpy_array(graph, met, weight=None))
    assert nets.links[~nets.real].sum() == 0
    assert nets.links.mT[~nets.real].sum() == 0


def test_positions_are_the_leading_eigenvectors():
    data = load("les-miserables")
    nets = ego_nets(Adjacency(data.edge_index, 77), torch.arange(77), 60, 0.3, 20, generator())
    found = EgoNets(nets.links.double(), nets.real).positions(6)
    for links, real, ours in zip(nets.links.double(), nets.real, found, strict=True):
        n = int(real.sum())
        a = links[:n, :n]
        scale = a.sum(1).clamp(min=1).rsqrt()
        values, vectors = torch.linalg.eigh(scale[:, None] * a * scale)
        k = min(max(n - 2, 0), 6)
        assert (ours[n:] == 0).all()
        assert (ours[:, k:] == 0).all()
        if k and (k == n or values[-k] - values[-k - 1] > 1e-3):  # then the space of the leading k is one
            leading = vectors[:, -k:]
            projector = leading @ leading.T
            norm = leading.norm(dim=1)
            torch.testing.assert_close(
                (ours[:n, :k] @ ours[:n, :k].T) * norm[:, None] * norm, projector, atol=1e-6, rtol=0
            )


def test_padding_changes_nothing(monkeypatch):
    # eigenvectors of one eigenvalue may turn with the padding: the encoder is looked at with inputs that can't
    monkeypatch.setattr(
        EgoNets, "positions", lambda nets, dim: (nets.degree[:, :, None] / torch.arange(1.0, dim + 1)).double()
    )
    data = load("les-miserables")
    nets = ego_nets(Adjacency(data.edge_index, 77), torch.arange(8), 40, 0.5, 12, generator())
    wider = EgoNets(
        torch.nn.functional.pad(nets.links, (0, 5, 0, 5)).double(), torch.nn.functional.pad(nets.real, (0, 5))
    )
    with seeded(0):
        encoder = gcc.NetEncoder(positions=4).double()
    for training in (True, False):
        encoder.train(training).dropout.p = 0.0
        narrow = EgoNets(nets.links.double(), nets.real)
        torch.testing.assert_close(encoder(narrow), encoder(wider), atol=1e-6, rtol=1e-5)


def test_whole_graphs_have_their_hub_first():
    graphs = [load("karate"), load("les-miserables"), load("karate")]
    for graph in graphs:
        graph.x = graph.x[:, :1]
    nets = whole_graphs(GraphBatch.of(graphs))
    for graph, links, real in zip(graphs, nets.links, nets.real, strict=True):
        assert int(real.sum()) == graph.num_nodes
        degree = graph.edge_index[0].bincount(minlength=graph.num_nodes)
        assert links.sum(1)[0] == degree.max()
        assert sorted(links.sum(1)[real].tolist()) == sorted(degree.tolist())
        assert nx.is_isomorphic(
            nx.from_numpy_array(links[real][:, real].numpy()), nx.Graph(graph.edge_index.T.tolist())
        )


def stars(sizes):
    """Graphs of a hub, its leaves and one edge between two of those."""
    hubs = [torch.tensor([[0] * (n - 1) + [1], [*range(1, n), 2]]) for n in sizes]
    return GraphBatch.of([Data(x=torch.ones(n, 1), edge_index=torch.cat([hub, hub.flip(0)], 1))
                          for n, hub in zip(sizes, hubs, strict=True)])  # fmt: skip


def test_graphs_that_do_not_fit_together_are_embedded_by_size_and_come_back_in_order(monkeypatch):
    monkeypatch.setattr(EgoNets, "positions", lambda nets, dim: nets.degree[:, :, None] / torch.arange(1.0, dim + 1))
    sizes, seen = [5, 90, 4, 6, 80, 5, 7], []
    graphs = stars(sizes)
    monkeypatch.setattr(gcc, "whole_graphs", lambda batch: seen.append(batch.sizes.tolist()) or whole_graphs(batch))
    with seeded(0):
        method = gcc.GCC(None, positions=4)
    together = method.embed(graphs)
    assert seen == [sizes]  # what fits stays together, in its own order: recorded numbers hang on it
    seen.clear()
    monkeypatch.setattr(gcc, "ENTRIES", 300)
    torch.testing.assert_close(method.embed(graphs), together)
    assert sorted(size for part in seen for size in part) == sorted(sizes)
    assert all(len(part) == 1 or len(part) * max(part) ** 2 <= 300 for part in seen)
    assert len(seen) < len(sizes)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_graphs_without_nodes_are_embedded_alone_as_among_others():
    empty = GraphBatch(torch.ones(0, 1), torch.zeros(2, 0).long(), torch.zeros(3).long())
    method = gcc.GCC(None, positions=4)
    alone = method.embed(empty)
    torch.testing.assert_close(alone, method.embed(GraphBatch.cat([stars([4]), empty]))[1:])
    assert alone.isfinite().all()


def matched(method, data):
    """How much nearer a node's two nets are to each other than to the nets of other nodes, in cosine."""
    adjacency, every = Adjacency(data.edge_index, data.num_nodes), torch.arange(data.num_nodes)
    method.eval()
    with torch.no_grad():
        a, b = (method.encoder(ego_nets(adjacency, every, 30, 0.8, 12, generator(seed))) for seed in (1, 2))
    cosine = a @ b.T
    return ((cosine.diag() - cosine.mean()) / cosine.std()).mean().item()


@pytest.mark.parametrize("queue", [128, None])
def test_both_variants_learn_to_find_the_other_net(queue):
    data = [stochastic_block_model([20, 20], 0.3, 0.02, seed=1), load("les-miserables")]
    pairs = EgoPairs(data, size=12, batch=32, steps=10, length=30)
    assert len(list(pairs)) == len(pairs) == 10
    losses = []
    for _ in range(2):
        with seeded(0):
            method = gcc.GCC(queue, momentum=0.9, positions=8)
        losses.append(fit(method, pairs, epochs=30, lr=5e-3, seed=0, progress=False).history["loss"])
    assert losses[0] == losses[1]
    if queue is None:  # a queue starts with random keys, easily told apart, and the loss rises as it fills
        assert losses[0][-1] < losses[0][0]
    with seeded(0):
        untrained = gcc.GCC(queue, momentum=0.9, positions=8)
    assert matched(method, data[1]) > matched(untrained, data[1])
    z = method.embed(data[1])
    assert z.shape == (77, 64)
    assert torch.equal(z, method.embed(data[1]))
    packed = GraphBatch.of([Data(x=torch.ones(graph.num_nodes, 1), edge_index=graph.edge_index) for graph in data])
    assert method.embed(packed).shape == (2, 64)


def test_the_queue_holds_the_latest_keys_and_the_slow_encoder_follows():
    pairs = EgoPairs([load("les-miserables")], size=8, batch=6, steps=1, length=20)
    method = gcc.GCC(queue=8, momentum=0.5, positions=4)
    before = [p.clone() for p in method.slow.parameters()]
    with torch.no_grad():
        method.encoder.degree.weight.add_(1)
    kept = method.keys.rows.clone()
    method(next(iter(pairs)))
    method.after_step()
    assert torch.equal(method.keys.rows[:6], F.normalize(method.fresh, dim=1))
    assert torch.equal(method.keys.rows[6:], kept[6:])
    for old, new, quick in zip(before, method.slow.parameters(), method.encoder.parameters(), strict=True):
        torch.testing.assert_close(new, (old + quick) / 2)
    method(next(iter(pairs)))
    method.after_step()
    latest = torch.cat([method.keys.rows[6:], method.keys.rows[:4]])
    assert torch.equal(latest, F.normalize(method.fresh, dim=1))
    assert not any(p.requires_grad for p in method.slow.parameters())


@pytest.mark.skipif(not available("imdb-binary"), reason="imdb-binary not found; set LABKIT_DATA")
def test_from_scratch_learns_from_labels():
    few = load("imdb-binary", transform=Constant(), per_class=50)
    split = Split.random(few.y, 0.6, None, 0.4)
    assert gcc.from_scratch(few, split, seed=0, epochs=5) > 0.5


def test_no_set_that_is_scored_is_trained_on(monkeypatch):
    read = []
    monkeypatch.setattr(gcc, "load", lambda name: read.append(name) or load("karate"))
    gcc.pretraining()
    assert read
    assert not set(read) & {recipe.data for recipe in gcc.RECIPES}


def test_bad_input_is_named():
    pairs = EgoPairs([load("karate")], batch=4, steps=1)
    with pytest.raises(ValueError, match="pairs of nets: use EgoPairs"):
        fit(gcc.GCC(), [load("karate")], epochs=1)
    with pytest.raises(ValueError, match="queue=2 must hold at least one batch, 4 keys"):
        fit(gcc.GCC(queue=2), pairs, epochs=1)
    with pytest.raises(ValueError, match="at least 2 pairs"):
        fit(gcc.GCC(), EgoPairs([load("karate")], batch=1, steps=1), epochs=1)
    with pytest.raises(ValueError, match="no edge to walk on"):
        EgoPairs([Data(edge_index=torch.zeros(2, 0).long(), num_nodes=3)])


def test_options_reach_the_loss_and_the_nets_that_are_embedded(monkeypatch):
    nets = next(iter(EgoPairs([load("les-miserables")], size=8, batch=6, steps=1, length=20)))
    losses = []
    for temperature in (0.07, 0.7):
        with seeded(0):
            method = gcc.GCC(queue=8, temperature=temperature, positions=4).eval()
        logits = torch.cat([(method.encoder(nets[0]) * method.slow(nets[1])).sum(1, keepdim=True),
                            method.encoder(nets[0]) @ method.keys.rows.T], dim=1)  # fmt: skip
        torch.testing.assert_close(method(nets), F.cross_entropy(logits / temperature, torch.zeros(6).long()))
        losses.append(method(nets).item())
    assert losses[0] != losses[1]
    seen, cut = [], gcc.ego_nets
    monkeypatch.setattr(gcc, "ego_nets", lambda *given, **how: seen.append(how) or cut(*given, **how))
    gcc.GCC(queue=None, length=30, restart=0.3, size=9, positions=4).embed(load("karate"))
    assert {name: seen[0][name] for name in ("length", "restart", "size")} == {"length": 30, "restart": 0.3, "size": 9}


def test_the_slow_encoder_drops_nothing_out_and_the_quick_one_does():
    nets = next(iter(EgoPairs([load("les-miserables")], size=8, batch=6, steps=1, length=20)))[0]
    method = gcc.GCC(queue=8, positions=4)
    assert torch.equal(method.slow(nets), method.slow(nets))
    assert not torch.equal(method.encoder(nets), method.encoder(nets))


def test_from_scratch_is_trained_on_the_train_graphs_alone(monkeypatch):
    graph = load("karate")
    graphs = [
        Data(x=torch.full((34, 1), float(i)), edge_index=graph.edge_index, y=torch.tensor([i % 2])) for i in range(8)
    ]
    few, split, seen = GraphSet(tuple(graphs)), Split(torch.tensor([0, 1, 5]), None, torch.tensor([2, 3])), []
    monkeypatch.setattr(
        gcc, "whole_graphs", lambda batch: seen.append(batch.x.unique().tolist()) or whole_graphs(batch)
    )
    gcc.from_scratch(few, split, seed=0, epochs=1)
    assert sorted(seen[0]) == [0, 1, 5]
    assert seen[-1] == [2, 3]
