"""Skip-gram over walks: its loss against loops, its batches, what it refuses."""

import pytest
import torch
from torch.nn import functional as F
from torch_geometric.data import Data

from labkit.data import load, stochastic_block_model
from labkit.methods import SkipGram, WalkBatches
from labkit.train import fit
from labkit.views import Adjacency


def reference(method, walks, noise):
    """Equation 4 of Mikolov et al. over every pair of places, noise averaged over the walk's own draws."""
    total, count = 0.0, 0.0
    table, context = method.table.weight, method.context.weight
    linear = method.distance_weight[0] != method.distance_weight[-1]
    for walk, drawn in zip(walks.tolist(), noise.tolist(), strict=True):
        for i, node in enumerate(walk):
            for j, other in enumerate(walk):
                k = abs(i - j)
                if not 1 <= k <= method.window:
                    continue
                weight = (method.window - k + 1) / method.window if linear else 1.0
                pair = -F.logsigmoid(table[node] @ context[other])
                for n in drawn:
                    pair = pair - method.negatives / len(drawn) * F.logsigmoid(-(table[node] @ context[n]))
                total, count = total + weight * pair, count + weight
    return total / count


@pytest.mark.parametrize("window_weights", ["uniform", "linear"])
@pytest.mark.parametrize(("window", "length"), [(3, 7), (10, 4)])
def test_the_loss_is_skip_gram_with_negative_sampling(window_weights, window, length, monkeypatch):
    method = SkipGram(9, 5, window, negatives=4, window_weights=window_weights, shared=6).double()
    torch.nn.init.normal_(method.table.weight)
    torch.nn.init.normal_(method.context.weight)
    walks, noise = torch.randint(9, (3, length)), torch.randint(9, (3, 6))
    monkeypatch.setattr(method, "draw_noise", lambda walks: noise)
    parameters = list(method.parameters())
    ours, slow = method(walks), reference(method, walks, noise)
    torch.testing.assert_close(ours, slow)
    for one, other in zip(*(torch.autograd.grad(loss, parameters) for loss in (ours, slow)), strict=True):
        torch.testing.assert_close(one, other)


def test_sparse_gradients_are_the_rows_a_step_touched(monkeypatch):
    walks, noise = torch.randint(6, (3, 7)), torch.randint(4, (3, 6))
    dense, sparse = (SkipGram(50, 5, shared=6, sparse=sparse) for sparse in (False, True))
    torch.nn.init.normal_(dense.context.weight)
    sparse.load_state_dict(dense.state_dict())
    for method in (dense, sparse):
        monkeypatch.setattr(method, "draw_noise", lambda walks: noise)
        method(walks).backward()
    for one, other in zip(dense.parameters(), sparse.parameters(), strict=True):
        assert other.grad.is_sparse
        assert other.grad.coalesce().indices().max() < 6
        torch.testing.assert_close(one.grad, other.grad.to_dense())


def test_sparse_gradients_train_and_leave_other_rows():
    data = load("karate")
    method = SkipGram(40, 8, sparse=True)  # six rows that no walk reaches
    before = method.table.weight.detach().clone()
    batches = WalkBatches(Adjacency(data.edge_index, 40), length=10, size=34)
    run = fit(method, batches, epochs=20, optimizer=lambda p: torch.optim.SparseAdam(list(p), lr=0.01), progress=False)
    assert run.history["loss"][-1] < 0.9 * run.history["loss"][0]
    moved = (method.table.weight != before).all(dim=1)
    assert moved.tolist() == [True] * 34 + [False] * 6
    with pytest.raises(RuntimeError, match="SparseAdam"):
        fit(method, batches, epochs=1, progress=False)


def test_noise_follows_its_weights():
    noise = torch.tensor([0.0, 1, 2, 0, 5])
    drawn = SkipGram(5, noise=noise, shared=50).draw_noise(400).flatten().bincount(minlength=5)
    expected = 20_000 * noise / 8
    assert ((drawn - expected).abs() <= 5 * expected.sqrt()).all()


def test_every_node_with_edges_starts_its_walks():
    data = load("karate")
    adjacency = Adjacency(data.edge_index, 36)  # two more without edges
    batches = WalkBatches(adjacency, length=5, walks_per_node=3, size=10)
    walks = torch.cat(list(batches))
    assert [len(batch) for batch in batches] == [10] * 10 + [2]
    assert len(batches) == 11
    assert walks[:, 0].bincount(minlength=36).tolist() == [3] * 34 + [0, 0]
    count = torch.arange(36)
    assert torch.equal(
        torch.cat(list(WalkBatches(adjacency, 5, count)))[:, 0].bincount(minlength=36), count * (count < 34)
    )


def test_training_finds_the_blocks_and_the_seed_governs_it():
    data = stochastic_block_model([30, 30], 0.3, 0.02, seed=1)
    batches = WalkBatches(Adjacency.of(data), length=10, walks_per_node=5, size=50)
    runs = []
    for seed in (0, 0, 1):
        torch.manual_seed(7)
        method = SkipGram(60, 8, window=3)
        runs.append(fit(method, batches, epochs=12, lr=0.03, seed=seed, watch=data, snapshots=[0, 12], progress=False))
    assert runs[0].history["loss"][-1] < runs[0].history["loss"][0]
    assert torch.equal(runs[0].snapshots[12], runs[1].snapshots[12])
    assert not torch.equal(runs[0].snapshots[12], runs[2].snapshots[12])
    z = F.normalize(runs[0].snapshots[12])
    same = data.y[:, None] == data.y
    assert (z @ z.T)[same].mean() > (z @ z.T)[~same].mean() + 0.2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda a: SkipGram(0), "must be at least 1"),
        (lambda a: SkipGram(5, window_weights="lineal"), "did you mean 'linear'"),
        (lambda a: SkipGram(5, noise=torch.zeros(5)), "noise must hold one weight"),
        (lambda a: SkipGram(5, noise=torch.ones(4)), "noise must hold one weight"),
        (lambda a: WalkBatches(a, walks_per_node=0), "walks_per_node must be at least 0"),
        (lambda a: WalkBatches(a, size=0), "size at least 1"),
        (lambda a: WalkBatches(a, p=0), "p must be a positive"),
        (lambda a: SkipGram(34).check(load("karate")), "trains on walks, .* not Data"),
        (lambda a: SkipGram(34).check(torch.zeros(3, 1).long()), "length of at least 2"),
        (lambda a: SkipGram(5).check(torch.full((2, 2), 5)), "walks reach from node 5 to 5, but num_nodes is 5"),
        (lambda a: SkipGram(5).check(torch.full((2, 2), -1)), "walks reach from node -1 to -1, but num_nodes is 5"),
        (lambda a: SkipGram(5).embed(Data(num_nodes=6)), "a graph of 6 nodes needs a training of its own"),
    ],
)
def test_bad_input_is_named(make, says):
    with pytest.raises(ValueError, match=says):
        make(Adjacency(load("karate").edge_index, 34))


def test_walks_for_another_number_of_nodes_are_refused():
    adjacency = Adjacency(torch.tensor([[0, 1, 2], [1, 2, 0]]), 5)
    with pytest.raises(ValueError, match=r"one number, or one for each of the 5 nodes, not \[3\]"):
        WalkBatches(adjacency, 5, torch.tensor([1, 2, 3]))


def test_no_walk_starts_where_every_edge_weighs_nothing():
    edges = torch.tensor([[0, 1, 2, 0], [1, 0, 0, 2]])
    batches = WalkBatches(Adjacency(edges, 3, torch.tensor([1.0, 1.0, 0.0, 0.0])), length=3, walks_per_node=2)
    assert batches.count.tolist() == [2, 2, 0]
