"""All4One: its three terms against slow ones, and each of them off."""

import pytest
import torch
from torch.nn import functional as F

from labkit.losses import info_nce
from labkit.papers.vision.all4one import All4One, feature_contrast
from labkit.train import Minibatches, fit
from labkit.views import GaussianNoise

view = GaussianNoise(0.1)


class Encoder(torch.nn.Sequential):
    dim = 8

    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(36, 8), torch.nn.Tanh())


def images(n=24):
    return torch.randint(0, 256, (n, 1, 6, 6), dtype=torch.uint8)


def method(**terms):
    torch.manual_seed(0)
    return All4One(Encoder(), view, neighbours=3, queue=20, **terms)


def loss_of(one, x):
    torch.manual_seed(1)
    return one(x)


def test_the_loss_is_the_sum_of_its_three_terms():
    x, names = images(6), ("neighbour", "centroid", "feature")
    alone = [loss_of(method(**{name: name == kept for name in names}), x) for kept in names]
    torch.testing.assert_close(loss_of(method(), x), sum(alone))
    assert len({round(term.item(), 4) for term in alone}) == 3


def test_each_term_is_as_written_down_slowly():
    one, x = method(), images(6)
    torch.manual_seed(1)
    both = torch.cat([view(x), view(x)])
    z, slow = one.projector(one.encoder(both)), one.target_network(both)
    rows = torch.stack([torch.stack(sorted(one.queue.rows, key=lambda row: -float(row @ s))[:3]) for s in slow])
    p = one.predictor(z)
    neighbour = (info_nce(rows[:6, 0], p[6:], 0.2) + info_nce(rows[6:, 0], p[:6], 0.2)) / 4
    mixed = one.attention(rows + one.place)[:, 0]
    first = one.for_centroid(z)
    guess = torch.stack(
        [one.attention((torch.stack([f, r[0], r[1]]) + one.place)[None])[0, 0] for f, r in zip(first, rows)]
    )
    centroid = (info_nce(mixed[:6], guess[6:], 0.1) + info_nce(mixed[6:], guess[:6], 0.1)) / 4
    unit = slow / slow.norm(dim=1, keepdim=True)
    feature = 5 * feature_contrast((unit[:6], z[6:]), (unit[6:], z[:6]))
    torch.testing.assert_close(loss_of(method(), x), neighbour + centroid + feature)
    one.first = slow[:6]
    one.after_step()
    torch.testing.assert_close(one.queue.rows[:6], F.normalize(slow[:6], dim=1))


def test_feature_contrast_against_loops():
    pairs = [(torch.randn(7, 4), torch.randn(7, 4)) for _ in range(2)]
    there, elsewhere = [], []
    for a, b in pairs:
        for i in range(4):
            for j in range(4):
                similarity = float(a[:, i] @ b[:, j] / (a[:, i].norm() * b[:, j].norm()))
                (there if i == j else elsewhere).append((similarity - (i == j)) ** 2)
    slow = ((sum(there) / 8) ** 0.5 + (sum(elsewhere) / 24) ** 0.5) / 2
    assert feature_contrast(*pairs).item() == pytest.approx(slow, rel=1e-4)
    q = torch.linalg.qr(torch.randn(9, 4))[0]
    same = q.clone().requires_grad_()
    perfect = feature_contrast((q, same))
    perfect.backward()
    assert perfect.item() < 2e-4
    assert same.grad.isfinite().all()


def test_feature_contrast_stays_in_float32():
    pairs = [(torch.randn(7, 4), torch.randn(7, 4)) for _ in range(2)]
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = feature_contrast(*pairs)
    assert torch.equal(under_autocast, feature_contrast(*pairs))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no friends named 'nearst'; did you mean 'nearest'"):
        method(friends="nearst")
    with pytest.raises(ValueError, match="nothing to learn from"):
        method(neighbour=False, centroid=False, feature=False)
    with pytest.raises(ValueError, match="neighbours must lie between 2 and the 20 rows"):
        All4One(Encoder(), view, neighbours=21, queue=20)


def test_it_trains_on_its_terms_alone_with_random_friends():
    for terms in ({"feature": False}, {"centroid": False}, {"neighbour": False, "friends": "random"}):
        run = fit(method(**terms), Minibatches(images(), 8), epochs=3, progress=False)
        assert run.spectra["z"].shape == (3, 8)
        assert run.method.queue.next == 72 % 20


def test_temperature_momentum_and_friends_reach_what_they_are_of():
    x, alone = images(6), {"centroid": False, "feature": False}
    one = method(temperature=0.7, momentum=0.5, **alone)
    torch.manual_seed(1)
    both = torch.cat([view(x), view(x)])
    rows, p = one.found(one.target_network(both))[:, 0], one.predictor(one.projector(one.encoder(both)))
    slow = (info_nce(rows[:6], p[6:], 0.7) + info_nce(rows[6:], p[:6], 0.7)) / 4
    torch.testing.assert_close(loss_of(method(temperature=0.7, momentum=0.5, **alone), x), slow)
    assert one.momentum == 0.5
    same = torch.randn(1, 8).repeat(50, 1)
    for friends, many in (("nearest", False), ("random", True)):
        assert (len(method(friends=friends).found(same)[:, 0].unique(dim=0)) > 5) is many
