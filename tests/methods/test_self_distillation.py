"""Targets, queues and banks against loops; what a run keeps of collapse."""

import copy
from collections import deque

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from labkit.losses import byol, nt_xent
from labkit.methods import Bank, Queue, SelfDistillation, TwoView
from labkit.models import MLP, Prototypes
from labkit.train import Minibatches, Run, fit


class Shift:
    """A view that adds 0.1 at its first call, 0.2 at its second, and so on: two different, known views."""

    def __init__(self):
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        return images + 0.1 * self.calls


def linear(dim=6):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(9, dim))
    encoder.dim = dim
    return encoder


def images(n=8):
    return torch.rand(n, 1, 3, 3)


def parts():
    return linear(), nn.Linear(6, 4), nn.Linear(4, 4)


def test_each_view_predicts_the_target_of_the_other():
    encoder, projector, predictor = parts()
    method = SelfDistillation(encoder, projector, Shift(), byol, predictor, momentum=0.9)
    with torch.no_grad():
        for weight in method.target_network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    x = images()
    ours = method(x)
    online = [projector(encoder(x + shift)) for shift in (0.1, 0.2)]
    target = [method.target_network(x + shift).detach() for shift in (0.1, 0.2)]
    slow = 0
    for mine, other in ((0, 1), (1, 0)):
        for p, t in zip(predictor(online[mine]), target[other], strict=True):
            slow = slow + ((p / p.norm() - t / t.norm()) ** 2).sum() / (2 * len(x))
    torch.testing.assert_close(ours, slow)
    weights = [*encoder.parameters(), *projector.parameters(), *predictor.parameters()]
    for a, b in zip(torch.autograd.grad(ours, weights), torch.autograd.grad(slow, weights), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_the_target_takes_no_gradient_and_follows_slowly():
    encoder, projector, predictor = parts()
    method = SelfDistillation(encoder, projector, Shift(), byol, predictor, momentum=0.9)
    before = [weight.clone() for weight in method.target_network.parameters()]
    assert not any(weight.requires_grad for weight in method.target_network.parameters())
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.add_(1.0)
    method.after_step()
    own = [*encoder.parameters(), *projector.parameters()]
    for old, new, weight in zip(before, method.target_network.parameters(), own, strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * weight.detach())


def test_without_predictor_target_and_stop_gradient_it_is_two_view():
    encoder, projector, _ = parts()
    x = images()
    plain = TwoView(encoder, projector, Shift(), nt_xent)(x)
    same = SelfDistillation(encoder, projector, Shift(), nt_xent, stop_gradient=False)(x)
    torch.testing.assert_close(same, plain)
    stopped = SelfDistillation(encoder, projector, Shift(), nt_xent)(x)
    stopped, same, plain = (torch.autograd.grad(loss, projector.weight)[0] for loss in (stopped, same, plain))
    torch.testing.assert_close(same, plain)
    assert not torch.allclose(stopped, plain)


def test_asymmetric_predicts_one_way_with_half_the_work():
    encoder, projector, _ = parts()
    method = SelfDistillation(encoder, projector, Shift(), byol, momentum=0.5, symmetric=False)
    torch.nn.init.normal_(method.target_network[1].weight)  # else both ways would come to the same
    x = images()
    expected = byol(projector(encoder(x + 0.1)), method.target_network(x + 0.2))
    torch.testing.assert_close(method(x), expected)


def test_what_is_refused():
    encoder, projector, _ = parts()
    for words, changes in {
        "a momentum target takes no gradient": {"momentum": 0.9, "stop_gradient": False},
        "symmetric=False leaves one view": {"symmetric": False},
        "momentum must lie between 0 and 1": {"momentum": 1.5},
    }.items():
        with pytest.raises(ValueError, match=words):
            SelfDistillation(encoder, projector, Shift(), byol, **changes)
    with pytest.raises(ValueError, match="views must be at least 2"):
        TwoView(encoder, projector, Shift(), byol, views=1)
    for make in (lambda: Queue(0, 3), lambda: Bank(3, 0), lambda: Prototypes(3, 0)):
        with pytest.raises(ValueError, match="not"):
            make()


def test_queue_keeps_the_last_rows_in_turn():
    queue, kept = Queue(5, 3), deque(maxlen=5)
    kept.extend(queue.rows.clone())
    for n in (2, 3, 1, 7, 4):
        rows = torch.randn(n, 3)
        queue.push(rows)
        kept.extend(normalize(rows, dim=1))
        assert {tuple(row.tolist()) for row in queue.rows} == {tuple(row.tolist()) for row in kept}
    asked = torch.randn(6, 3)
    for row, nearest in zip(asked, queue.nearest(asked), strict=True):
        slow = max(queue.rows, key=lambda other: float(row @ other))
        assert torch.equal(nearest, slow)


def test_bank_moves_the_rows_it_is_told_to():
    bank = Bank(6, 3, momentum=0.25)
    before, rows = bank.rows.clone(), torch.randn(2, 3)
    bank.update(torch.tensor([4, 1]), rows)
    for place, row in zip((4, 1), rows, strict=True):
        mixed = 0.25 * before[place] + 0.75 * row / row.norm()
        torch.testing.assert_close(bank.rows[place], mixed / mixed.norm())
    assert torch.equal(bank.rows[[0, 2, 3, 5]], before[[0, 2, 3, 5]])
    drawn = bank.draw(7, 2)
    assert drawn.shape == (7, 2, 3)
    assert all(any(torch.equal(row, own) for own in bank.rows) for row in drawn.flatten(0, 1))


def test_prototypes_are_cosines():
    layer, x = Prototypes(4, 3), torch.randn(5, 4)
    slow = [[float(a @ b / (a.norm() * b.norm())) for b in layer.weight.detach()] for a in x]
    torch.testing.assert_close(layer(x), torch.tensor(slow))


def test_numbered_batches_say_which_items_they_hold():
    items = torch.randn(10, 2)
    for part, rows in Minibatches(items, 3, numbered=True):
        assert torch.equal(part, items[rows])
    assert next(iter(Minibatches(items, 3, numbered=True).to(torch.device("cpu"))))[1].shape == (3,)


def test_a_run_keeps_what_shows_collapse_without_being_asked(tmp_path):
    x = (images(32) * 255).to(torch.uint8)

    def view(pictures):
        return pictures.float() / 255 + 0.1 * torch.rand(pictures.shape)

    def train(stop_gradient, **options):
        torch.manual_seed(0)
        predictor = MLP(4, 4, 4)
        method = SelfDistillation(linear(), nn.Linear(6, 4), view, attract, predictor, stop_gradient=stop_gradient)
        return fit(method, Minibatches(x, 16), epochs=20, lr=2e-2, progress=False, **options)

    def attract(p, z):
        return (normalize(p, dim=1) - normalize(z, dim=1)).square().sum(1).mean()

    run = train(False, checkpoint=tmp_path / "run.safetensors")
    for name, dim in (("h", 6), ("z", 4)):
        assert run.spectra[name].shape == (20, dim)
        for fact in ("alignment", "uniformity", "uniformity_floor", "effective_rank"):
            assert len(run.history[f"{name}.{fact}"]) == 20
        floors = zip(run.history[f"{name}.uniformity"], run.history[f"{name}.uniformity_floor"], strict=True)
        assert all(value >= floor for value, floor in floors)
    assert run.spectra["z"][-1].sum() < 0.3 * run.spectra["z"][0].sum()  # attraction alone collapses
    assert run.history["z.effective_rank"][-1] < run.history["z.effective_rank"][0]
    again = Run.load(tmp_path / "run.safetensors", copy.deepcopy(run.method))
    assert again.history == run.history
    assert torch.equal(again.spectra["z"], run.spectra["z"])


def test_a_bank_draws_from_all_of_its_rows_and_one_way_the_history_sees_both_sides():
    bank = Bank(6, 3)
    drawn = bank.draw(400)
    assert all((drawn == row).all(1).any() for row in bank.rows)
    encoder, projector, _ = parts()
    method = SelfDistillation(encoder, projector, Shift(), byol, momentum=0.5, symmetric=False)
    x = images()
    method(x)
    mine, other = method.seen["z"]
    torch.testing.assert_close(mine, projector(encoder(x + 0.1)).detach())
    torch.testing.assert_close(other, projector(encoder(x + 0.2)).detach())


def test_the_target_has_batch_statistics_of_its_own_batch():
    encoder, projector, _ = parts()
    encoder.append(nn.BatchNorm1d(6))
    method, x = SelfDistillation(encoder, projector, Shift(), byol, momentum=0.5), images()
    method(x)
    views = torch.cat([x + 0.1, x + 0.2])
    fresh = copy.deepcopy(method.target_network).train()
    torch.testing.assert_close(method.targets(views, None), fresh(views))
