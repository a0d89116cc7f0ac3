"""GraphCL: its loss by hand, its two variants, and the gain matrix with its file."""

import json
import math

import pytest
import torch

from labkit.data import GraphBatch
from labkit.evaluate import Score
from labkit.papers.graph import graphcl
from labkit.papers.graph.graphcl import GraphCL, build, contrast, gains, loops_but_the_last
from labkit.train import Run, seeded


def equation_3(a, b, temperature):
    total = 0.0
    for i in range(len(a)):
        cosine = [float(a[i] @ b[j] / (a[i].norm() * b[j].norm())) for j in range(len(b))]
        others = sum(math.exp(cosine[j] / temperature) for j in range(len(b)) if j != i)
        total -= math.log(math.exp(cosine[i] / temperature) / others)
    return total / len(a)


def test_the_loss_is_equation_3():
    a, b = torch.randn(2, 7, 5, dtype=torch.float64)
    assert contrast(a, b, 0.2).item() == pytest.approx(equation_3(a, b, 0.2), rel=1e-12)
    a.requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: contrast(rows, b, 0.5), (a,))
    assert contrast(a.detach(), a.detach(), 0.05) < 0  # the positive is not in the denominator


def test_self_loops_of_the_released_code_miss_each_last_node(ring):
    batch = GraphBatch.of([ring(3), ring(5)])
    looped = loops_but_the_last(batch)
    loops = looped.edge_index[0, looped.edge_index[0] == looped.edge_index[1]]
    assert sorted(loops.tolist()) == [0, 1, 3, 4, 5, 6]
    assert looped.edge_index.shape[1] == batch.edge_index.shape[1] + 6
    assert (looped.edge_batch.diff() >= 0).all()


def test_the_paper_augments_both_views_and_the_release_one(graphs):
    batch = graphs.packed
    first, second = build(graphs).views
    assert len(first(batch).x) < len(batch.x)
    assert len(second(batch).x) < len(batch.x)
    released = build(graphs, variant="released")
    first, second = released.views
    assert torch.equal(first(batch).edge_index, loops_but_the_last(batch).edge_index)
    assert len(second(batch).x) < len(batch.x)
    assert not torch.equal(released.embed(batch), released.encoder(batch))  # embedded with its self-loops
    biases = {
        variant: [
            layer.bias for layer in build(graphs, variant=variant).modules() if isinstance(layer, torch.nn.Linear)
        ]
        for variant in ("paper", "released")
    }
    assert all((bias == 0).all() for bias in biases["released"])
    assert all((bias != 0).any() for bias in biases["paper"])


def test_how_much_each_augmentation_takes(ring):
    """Section 4.1 of the paper, and aug.py of the released code, which drops edges and stays next to its first node."""
    batch = GraphBatch.of([ring(100)])
    views = {"paper": graphcl.AUGMENTATIONS, "released": graphcl.RELEASED}
    seen = {variant: {name: view(batch) for name, view in known.items()} for variant, known in views.items()}
    assert {variant: len(of["drop nodes"].x) for variant, of in seen.items()} == {"paper": 80, "released": 90}
    assert len(seen["paper"]["subgraph"].x) == 81
    assert len(seen["released"]["subgraph"].x) <= 3  # a node of a ring has two neighbours
    assert (seen["paper"]["perturb edges"].edge_index != batch.edge_index).any(dim=0).sum() == 40
    left = set(map(tuple, seen["released"]["perturb edges"].edge_index.T.tolist()))
    assert len(left) == seen["released"]["perturb edges"].edge_index.shape[1] == 180
    assert left < set(map(tuple, batch.edge_index.T.tolist()))
    for variant, masked in (("paper", 20), ("released", 10)):
        assert (seen[variant]["mask attributes"].x != batch.x).any(dim=1).sum() == masked


def test_a_graph_embeds_the_same_in_any_company(graphs):
    method = build(graphs).double()
    batch = graphs.packed
    batch = GraphBatch(batch.x.double(), batch.edge_index, batch.ptr)
    order = torch.randperm(len(batch))
    torch.testing.assert_close(method.embed(batch[order]), method.embed(batch)[order])
    torch.testing.assert_close(method.embed(batch[order[:1]]), method.embed(batch)[order[:1]])


def test_the_same_seed_gives_the_same_loss_and_a_gradient_everywhere(graphs):
    losses = []
    for _ in range(2):
        with seeded(3):
            method = build(graphs)
            loss = method(graphs.packed)
            losses.append(loss.item())
    loss.backward()
    assert losses[0] == losses[1]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in method.parameters())


def test_the_gain_matrix_is_written_pair_by_pair_and_taken_up_again(graphs, tmp_path, monkeypatch):
    monkeypatch.setattr(graphcl, "load", lambda name, **_: graphs)
    monkeypatch.setattr(
        graphcl, "AUGMENTATIONS", {name: graphcl.AUGMENTATIONS[name] for name in ("identity", "subgraph")}
    )
    monkeypatch.setitem(graphcl.PROTOCOLS, "svm", graphcl.CrossValidation(folds=3, strengths=1.0))
    path = tmp_path / "gains.json"
    found = gains("mutag", seeds=[0, 1], path=path, epochs=1)
    assert list(found) == ["identity + identity", "identity + subgraph", "subgraph + subgraph"]
    assert all(len(values) == 2 and min(values) >= -1 and max(values) <= 1 for values in found.values())
    assert json.loads(path.read_text())["gains"] == found
    short = json.loads(path.read_text())
    del short["gains"]["subgraph + subgraph"]
    path.write_text(json.dumps(short))
    trained, real = [], graphcl.train
    monkeypatch.setattr(
        graphcl, "train", lambda recipe, *rest, **more: trained.append(recipe) or real(recipe, *rest, **more)
    )
    assert gains("mutag", seeds=[0, 1], path=path, epochs=1) == found  # the same numbers, from one pair's trainings
    assert len(trained) == 2
    with pytest.warns(UserWarning, match="with another seeds: nothing of it is used"):
        gains("mutag", seeds=[0], path=path, epochs=1)
    assert len(trained) == 5


def test_what_cannot_work_is_named(graphs):
    with pytest.raises(ValueError, match="did you mean 'drop nodes'"):
        build(graphs, augmentations=("drop node",))
    with pytest.raises(ValueError, match="no variant named 'realeased'"):
        build(graphs, variant="realeased")
    with pytest.raises(ValueError, match="no set with a recipe of GraphCL named 'nci1'"):
        gains("nci1")
    method = build(graphs)
    with pytest.raises(ValueError, match=r"must be a labkit\.data\.GraphBatch.*not Data"):
        method.check(graphs[0])
    with pytest.raises(ValueError, match="at least 2 graphs"):
        method.check(graphs.packed[:1])
    assert isinstance(method, GraphCL)


def test_options_reach_the_encoder_and_the_loss(graphs):
    same = (graphcl.identity, graphcl.identity)
    method = GraphCL(3, same, hidden=6, layers=2, temperature=0.7)
    assert method.encoder.dim == 12
    assert len(method.encoder.updates) == 2
    z = method.projector(method.encoder(graphs.packed))
    torch.testing.assert_close(method(graphs.packed), contrast(z, z, 0.7))


def test_a_gain_is_what_training_adds_to_the_untrained_encoder(graphs, monkeypatch):
    monkeypatch.setattr(graphcl, "load", lambda name, **_: graphs)
    monkeypatch.setattr(graphcl, "AUGMENTATIONS", {"identity": graphcl.identity})
    method = torch.nn.Identity()
    method.embed = lambda items: torch.ones(1)
    monkeypatch.setattr(graphcl, "train", lambda *_, **__: Run(method, snapshots={0: torch.zeros(1)}))
    monkeypatch.setattr(graphcl.Material, "score", lambda self, _, z: Score.of([0.6 + 0.25 * float(z)], "one", "none"))
    assert gains("mutag", seeds=[0])["identity + identity"] == pytest.approx([0.25])
