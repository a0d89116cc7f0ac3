"""What a control takes away, and nothing else: an arm that is the method itself would decide a claim by chance."""

import math

import pytest
import torch

from labkit.claims import Lab
from labkit.data import load
from labkit.papers.vision import g_simclr, scan, swav, tldr
from labkit.papers.vision.byol import BYOL
from labkit.papers.vision.dino import DINO, information
from labkit.papers.vision.pirl import PIRL
from labkit.views import GaussianNoise, unit_images


class Encoder(torch.nn.Sequential):
    dim = 8

    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(36, 8))


def images(n=12):
    return torch.randint(0, 256, (n, 1, 6, 6), dtype=torch.uint8)


def step(method, batch):
    optimizer = torch.optim.SGD(method.parameters(), lr=0.5)
    method(batch).backward()
    optimizer.step()
    method.after_step()


def test_byol_without_a_slow_copy_has_no_copy():
    slow, none = BYOL(Encoder(), GaussianNoise(0.1), momentum=0.9), BYOL(Encoder(), GaussianNoise(0.1), momentum=None)
    before = slow.target_network[0][1].weight.clone()
    step(slow, images())
    torch.testing.assert_close(slow.target_network[0][1].weight, torch.lerp(slow.encoder[1].weight, before, 0.9))
    assert none.target_network is None


def test_dino_without_centring_takes_nothing_away():
    for momentum, moves in ((0.9, True), (None, False)):
        method = DINO(Encoder(), GaussianNoise(0.1), clusters=5, center_momentum=momentum)
        step(method, images())
        assert bool(method.center.any()) is moves


class Runs(Lab):
    """A lab whose one run says of image i what row i of ``projected`` holds."""

    def __init__(self, projected):
        super().__init__("smoke", [0], progress=False)

        class Method(torch.nn.Linear):
            temperatures = (1.0, 1.0)

            def projected(self, _):
                return projected

        self.method, self.items = Method(1, 1), images(len(projected))

    def runs(self, _):
        return [self]

    def material(self, _):
        return self


def test_information_and_prototypes_are_counted():
    sure, alike = 50 * torch.eye(4).repeat(2, 1), torch.zeros(8, 4)
    one = alike.clone()
    one[:, 2] = 50
    assert information(Runs(sure), None) == pytest.approx([math.log(4)])
    assert information(Runs(alike), None) == information(Runs(one), None) == pytest.approx([0.0])
    assert swav.prototypes_used(Runs(sure), None) == pytest.approx([4.0])
    assert swav.prototypes_used(Runs(one), None) == pytest.approx([1.0])


def test_pirl_without_tiles_trains_on_the_image():
    method = PIRL(Encoder(), unit_images, items=24, weight=0.0)
    loss = method((images(4), torch.arange(4)))
    assert loss > 0.1
    assert torch.autograd.grad(loss, method.of_image.weight)[0].abs().sum() > 0


def test_batches_of_g_simclr_have_the_labels_of_their_name():
    digits = load("nuisance-digits")
    truth, pseudo = digits.labels[digits.splits["train"]], g_simclr.pseudo_labels(digits)
    of = {
        name: getattr(g_simclr, f"_{name}")(digits).labels for name in ("guided", "oracle", "random", "random_classes")
    }
    assert torch.equal(of["guided"], pseudo)
    assert torch.equal(of["oracle"], truth)
    for name, like in (("random", pseudo), ("random_classes", truth)):
        assert not torch.equal(of[name], like)
        assert torch.equal(of[name].bincount(), like.bincount())


def test_arms_of_scan_differ_from_it_in_one_thing():
    changes = {arm: scan._changes(arm, 30, seed=1) for arm in ("SCAN", "no entropy", "its own views", "ten heads")}
    near = changes.pop("its own views")["near"]
    assert near.flatten().tolist() == list(range(30))
    assert changes == {"SCAN": {}, "no entropy": {"entropy_weight": 0.0}, "ten heads": {"heads": 10}}
    random = scan._changes("random neighbours", 30, seed=1)["near"]
    assert random.shape == (30, 10)
    assert len(random.unique()) > 20
    assert not torch.equal(random, scan._changes("random neighbours", 30, seed=2)["near"])


def test_arms_of_tldr_differ_from_it_in_one_thing(monkeypatch):
    seen = {}
    monkeypatch.setattr(tldr, "reducer", lambda x, dim, seed, **changes: seen.update(changes) or torch.nn.Identity())
    monkeypatch.setattr(torch.nn.Identity, "embed", lambda self, x: x, raising=False)
    for how, changed in (("TLDR", set()), ("no projector", {"projector"}), ("random pairs", {"near"})):
        seen.clear()
        tldr.reduced(Lab("smoke", [0], progress=False), how, 8, "digits", 0)
        assert seen.keys() - {"epochs"} == changed
    assert seen["near"].shape[1] == 5
    assert seen["near"].unique().numel() > len(seen["near"]) / 2
