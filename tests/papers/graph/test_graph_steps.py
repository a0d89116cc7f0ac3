"""One training step of each method on graphs, written out: what it sees, what judges it, what its options reach."""

from functools import partial

import torch
from torch.nn import functional as F
from torch_geometric.data import Data

from labkit.data import load, stochastic_block_model
from labkit.evaluate import Split
from labkit.losses import info_nce_queue, nt_xent, scaled_cosine_error
from labkit.methods import WalkBatches
from labkit.models import Neighbourhoods, neighbours_and_itself
from labkit.papers.graph import _pretexts as p
from labkit.papers.graph import _supergat_grid, bandana, gcc, graphcl
from labkit.papers.graph._ego_nets import EgoPairs, whole_graphs
from labkit.papers.graph._graphmae_of_graphs import GraphMAEOfGraphs
from labkit.papers.graph._links import link_split
from labkit.papers.graph.grace import GRACE
from labkit.papers.graph.graphmae import GraphMAE
from labkit.papers.graph.selftask import SelfTask
from labkit.papers.graph.supergat import grid_model
from labkit.views import Adjacency, drop_edges, hide_nodes, mask_feature_columns


def small_graph():
    data = stochastic_block_model([20, 20], p_in=0.3, p_out=0.05, features=8, signal=1.0, seed=0)
    part = torch.arange(40) % 4
    data.train_mask, data.val_mask, data.test_mask = part == 0, part == 1, part > 1
    return data


def test_nothing_trained_or_chosen_sees_the_links_that_are_scored(monkeypatch):
    data = stochastic_block_model([20, 20], p_in=0.7, p_out=0.02, features=8, signal=3.0, seed=0)
    train, validation, test = link_split(data)
    left = set(map(tuple, train.edge_index.T.tolist()))
    for part in (validation, test):
        held = part.edge_label_index[:, part.edge_label == 1].T.tolist()
        assert held
        assert not any((a, b) in left or (b, a) in left for a, b in held)
    trained, judged, fit, rank = [], [], bandana.fit, bandana.rank_links
    monkeypatch.setattr(bandana, "fit", lambda m, batches, **o: trained.extend(batches) or fit(m, batches, **o))
    monkeypatch.setattr(bandana, "rank_links", lambda z, part: judged.append(part) or rank(z, part))
    bandana.predict_links(data, epochs=20, hidden=8, seed=1)
    assert torch.equal(trained[0].edge_index, train.edge_index)
    assert [torch.equal(one.edge_label_index, test.edge_label_index) for one in judged] == [False, False, True]


def test_grace_contrasts_two_views_each_with_its_own_corruptions():
    method = GRACE(8, 6, 4, edge_drop=(0.1, 0.6), feature_mask=(0.5, 0.2), temperature=0.3)
    data, views = small_graph(), []
    torch.manual_seed(1)
    loss = method(data)
    torch.manual_seed(1)
    for edges, columns in ((0.1, 0.5), (0.6, 0.2)):
        x = mask_feature_columns(data.x, columns)
        views.append(method.projector(method.encoder(x, drop_edges(data.edge_index, edges))))
    torch.testing.assert_close(loss, nt_xent(*views, 0.3))


def test_graphcl_s_second_view_is_the_second_augmentation(graphs):
    method = graphcl.build(graphs, ("drop nodes",), second=("subgraph",))
    torch.manual_seed(1)
    loss = method(graphs.packed)
    torch.manual_seed(1)
    views = [graphcl.AUGMENTATIONS[name](graphs.packed) for name in ("drop nodes", "subgraph")]
    a, b = (method.projector(method.encoder(view)) for view in views)
    torch.testing.assert_close(loss, graphcl.contrast(a, b, 0.2))


def test_graphmae_sees_what_is_not_hidden_and_is_judged_on_what_is():
    data = small_graph()
    method = GraphMAE(8, hidden=12, heads=2, dropout=0.0, attention_dropout=0.0, replace_rate=0.3)
    method.token.data.normal_()
    torch.manual_seed(1)
    ours = method(data)
    torch.manual_seed(1)
    _, hidden, tokens, source = hide_nodes(40, 0.5, 0.3)
    x = data.x[source].index_put((tokens,), method.token.expand(len(tokens), -1))
    code = method.to_decoder(method.encoder(x, data.edge_index)).index_fill(0, hidden, 0.0)
    y = method.decoder(code, Neighbourhoods.of(data.edge_index, 40))
    torch.testing.assert_close(
        ours, scaled_cosine_error(data.x[hidden], y[hidden].flatten(1), 3.0), rtol=1e-4, atol=1e-5
    )


def test_graphmae_of_graphs_hides_again_before_it_decodes(graphs):
    batch = graphs.packed
    method = GraphMAEOfGraphs(3, hidden=5, layers=2, gamma=2.0, dropout=0.0, replace_rate=0.3)
    method.token.data.normal_()
    torch.manual_seed(1)
    ours = method(batch)
    torch.manual_seed(1)
    _, hidden, tokens, source = hide_nodes(len(batch.x), 0.5, 0.3)
    x, gather = batch.x[source].index_put((tokens,), method.token.expand(len(tokens), -1)), neighbours_and_itself(batch)
    for layer in method.layers:
        x = layer(gather @ x)
    rebuilt = method.decoder(gather @ method.to_decoder(x).index_fill(0, hidden, 0.0))
    torch.testing.assert_close(ours, scaled_cosine_error(batch.x[hidden], rebuilt[hidden], 2.0))


def test_selftask_trains_on_what_the_pretext_left_and_weighs_it():
    data = small_graph()
    method = SelfTask(data, partial(p.EdgeMask, share=0.5), 7.0, hidden=8, dropout=0.0)
    logits, hidden = method.classify(data.x, method.pretext.left)
    plain = F.cross_entropy(logits[data.train_mask], data.y[data.train_mask]) + 7 * method.pretext(hidden)
    torch.testing.assert_close(method(data), plain)


def test_context_labels_come_from_propagated_labels():
    a = torch.arange(5)
    path = torch.cat([torch.stack([a, a + 1]), torch.stack([a + 1, a])], 1)  # 0 - 1 - 2 - 3 - 4 - 5, labels at the ends
    mask = torch.tensor([1, 0, 0, 0, 0, 1]).bool()
    data = Data(x=torch.eye(6), edge_index=path, y=torch.tensor([0, 0, 0, 1, 1, 1]), train_mask=mask)
    task = p.ContextLabel(data, 4)
    assert task.free.tolist() == [1, 2, 3, 4]
    near = torch.tensor([[2 / 3, 1 / 3], [1 / 2, 1 / 2], [1 / 2, 1 / 2], [1 / 3, 2 / 3]])
    torch.testing.assert_close(task.truth, near)


def test_the_grid_chooses_its_weight_by_validation(monkeypatch):
    runs = {0.1: (0.9, 0.2, 0.1), 1.0: (0.5, 0.8, 1.0)}  # validation, test, λ
    monkeypatch.setattr(_supergat_grid, "_train", lambda build, model, weight, *_: runs[weight])
    (one,) = _supergat_grid.grid(
        grid_model,
        models=["SuperGAT-SD"],
        degrees=[5.0],
        homophilies=[0.5],
        seeds=[0],
        nodes_a_class=170,
        progress=False,
    )
    assert (one["accuracy"]["SuperGAT-SD"], one["edge_weight"]["SuperGAT-SD"]) == (0.2, 0.1)


def test_the_grid_s_test_accuracy_is_that_of_the_test_nodes():
    data = small_graph()
    data.y = torch.where(data.test_mask, 1 - data.y, data.y)
    validation, test, _ = _supergat_grid._train(grid_model, "GCN", 0.0, data, seed=0, epochs=30)
    assert validation > 0.8
    assert test < 0.2


def test_p_and_q_reach_the_walks():
    batches = WalkBatches(Adjacency(load("karate").edge_index, 34), length=6, p=1e-9, q=1.0)
    for one in (batches, batches.to(torch.device("cpu"))):
        walks = torch.cat(list(one))
        assert torch.equal(walks[:, 2:], walks[:, :-2])


def test_gcc_looks_for_the_same_net_in_its_queue():
    nets = next(iter(EgoPairs([load("les-miserables")], size=8, batch=6, steps=1, length=20)))
    method = gcc.GCC(queue=8, positions=4)
    torch.manual_seed(1)
    loss = method(nets)
    torch.manual_seed(1)
    a, b = method.encoder(nets[0]), method.slow(nets[1])
    torch.testing.assert_close(loss, info_nce_queue(a, b, method.keys.rows, 0.07))


def test_gcc_from_scratch_is_scored_on_the_test_graphs(graphs, monkeypatch):
    seen, split = [], Split.random(graphs.y, 0.6, None, 0.4)
    monkeypatch.setattr(gcc, "whole_graphs", lambda batch: seen.append(batch) or whole_graphs(batch))
    gcc.from_scratch(graphs, split, seed=0, epochs=1)
    assert torch.equal(seen[-1].x, graphs.packed[split.test[0]].x)
