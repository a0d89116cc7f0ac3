"""SelfAugment: turned images, the probe that needs no labels, how policies are picked."""

import pytest
import torch

from labkit.claims import Lab
from labkit.data import available
from labkit.methods import Method
from labkit.papers.vision import selfaugment
from labkit.papers.vision.selfaugment import Judged

needs_clothes = pytest.mark.skipif(not available("fashion-mnist"), reason="fashion-mnist not found; set LABKIT_DATA")


class Pixels(Method):
    """Nothing learned: all that turning changes is still there."""

    def embed(self, images):
        return images.flatten(1).float() / 255


class Histogram(Method):
    """Sorted pixels: no turn changes them."""

    def embed(self, images):
        return images.flatten(1).float().sort(dim=1).values / 255


def gradients(n=60):
    """Brighter towards the top, each image in its own way."""
    ramp = torch.linspace(200, 20, 8)[:, None].expand(8, 8)
    return (ramp + 30 * torch.rand(n, 1, 8, 8)).to(torch.uint8)


def test_quarter_turns_are_counter_clockwise_and_add_up():
    images = torch.arange(18).view(2, 1, 3, 3)
    turned = selfaugment.quarter_turns(images, torch.tensor([1, 2]))
    assert turned[0, 0].tolist() == [[2, 5, 8], [1, 4, 7], [0, 3, 6]]
    assert turned[1, 0].tolist() == images[1, 0].flip(0, 1).tolist()
    back = selfaugment.quarter_turns(turned, torch.tensor([3, 2]))
    assert torch.equal(back, images)
    with pytest.raises(ValueError, match="needs square images"):
        selfaugment.quarter_turns(torch.zeros(1, 1, 3, 4), torch.tensor([1]))


def test_turning_draws_a_turn_for_each_image():
    torch.manual_seed(0)
    picture = torch.rand(1, 1, 4, 4).repeat(200, 1, 1, 1)
    seen = selfaugment.turning(lambda images: images)(picture)
    kinds = [(seen == picture[:1].rot90(k, (2, 3))).flatten(1).all(1).float().mean() for k in range(4)]
    assert sum(kinds) == 1
    assert min(kinds) > 0.15


def test_the_rotation_probe_sees_what_the_features_keep():
    images, train, test = gradients(), torch.arange(40), torch.arange(40, 60)
    assert selfaugment.rotation_probe(Pixels(), images, train, test) > 0.95
    assert selfaugment.rotation_probe(Histogram(), images, train, test) == 0.25


def test_policies_are_picked_by_what_is_asked(monkeypatch):
    rows = [[Judged(0.5, 0.9, 3.0), Judged(0.8, 0.7, 1.0), Judged(0.6, 0.8, 2.0)]]
    monkeypatch.setattr(selfaugment, "judged", lambda lab: rows)
    lab = Lab("laptop", [0])
    assert selfaugment._chosen(lab, lambda one: one.rotation) == [0.5]
    assert selfaugment._chosen(lab, lambda one: -one.loss) == [0.8]
    assert selfaugment._correlations(lab, lambda one: one.rotation) == [pytest.approx(-1)]
    assert selfaugment.pick_is_near_the_best.test(lab).control == [pytest.approx(0.78)]
    assert selfaugment.pick_beats_random.test(lab).control == [pytest.approx(19 / 30)]
    assert selfaugment._share_below(0.7, [0.5, 0.8, 0.6]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", selfaugment.POLICIES)
def test_every_policy_gives_two_different_views_of_one_size(name):
    view, images = selfaugment.policy(name), torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    a, b = view(images), view(images)
    assert a.shape == b.shape == (5, 1, 28, 28)
    assert not torch.equal(a, b)


@needs_clothes
def test_the_same_seed_judges_a_policy_alike():
    view = selfaugment.policy("flip")
    one, other = (selfaugment.judge(view, seed=3, epochs=1, small=True) for _ in range(2))
    assert one == other
    assert 0.1 < one.classes < 1
    assert 0.25 <= one.rotation <= 1
    assert one != selfaugment.judge(view, seed=4, epochs=1, small=True)


@needs_clothes
def test_every_seed_draws_other_clothes():
    one, other = (selfaugment.clothes(seed, small=True)[0] for seed in (0, 1))
    assert not torch.equal(one.images, other.images)


def test_the_policy_that_turns_is_judged_as_one_that_turns(monkeypatch):
    seen, images = [], torch.rand(40, 1, 4, 4)
    monkeypatch.setattr(selfaugment, "judged", lambda lab: [[Judged(0.5, 0.9, 3.0)]])
    monkeypatch.setattr(selfaugment, "policy", lambda name: lambda x: x)
    monkeypatch.setattr(selfaugment, "judge", lambda view, *_, **__: seen.append(view(images)) or Judged(0.6, 0.3, 1.0))
    evidence = selfaugment.turning_is_misjudged.test(Lab("laptop", [0]))
    assert (evidence.treatment, evidence.control) == ([1.0], [0.0])
    assert not torch.equal(seen[0], images)


@needs_clothes
def test_a_network_told_the_classes_stands_above_what_was_never_trained():
    found = selfaugment.beside(seed=0, epochs=40, small=True)
    assert list(found) == ["raw", "untrained", "labels"]
    assert found["labels"] > found["untrained"] > 0.2
