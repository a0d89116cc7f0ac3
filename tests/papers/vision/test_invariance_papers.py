"""Films, invariance scores, viewpoint paths: against slow references, and against what is known of the world."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labkit.data import load, world
from labkit.evaluate import Split
from labkit.losses import nt_xent
from labkit.papers.vision import _films, demystifying, pose_aware
from labkit.papers.vision.demystifying import KINDS, changes, representation_invariance
from labkit.papers.vision.pose_aware import PoseAware, periods, pose_error, trajectory_loss
from labkit.train import seeded

SMALL = {"n_train": 12, "n_test": 8, "size": _films.SIZE, "factors": _films.SOLID}


def slow_invariance(h, y, top):
    """Unit by unit, sign by sign, threshold by threshold, as the definition reads."""
    flat, classes = h.reshape(-1, h.shape[2]), y.repeat_interleave(h.shape[1])
    scores = []
    for kind in y.unique():
        ours = (classes == kind).nonzero().flatten().tolist()
        units = []
        for unit in range(h.shape[2]):
            best = 0.0
            for sign in (1, -1):
                values = [sign * value for value in flat[:, unit].tolist()]
                threshold = sorted(values, reverse=True)[len(ours)]  # just so many fire above it
                best = max(best, sum(values[row] > threshold for row in ours) / len(ours))
            units.append(best)
        scores.append(sum(sorted(units, reverse=True)[:top]) / top)
    return torch.tensor(scores, dtype=torch.float64)


@pytest.mark.parametrize("top", [1, 3])
def test_the_score_is_its_definition(top):
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(9, 4, 5, generator=generator, dtype=torch.float64)
    y = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2])
    torch.testing.assert_close(representation_invariance(h, y, top), slow_invariance(h, y, top))
    tied = h.relu()  # half of the values are equal
    torch.testing.assert_close(representation_invariance(tied, y, top), slow_invariance(tied, y, top))


def test_the_score_of_perfect_fickle_and_blind_units():
    y = torch.arange(40) % 4
    perfect = F.one_hot(y).double()[:, None].expand(-1, 6, -1)
    assert representation_invariance(perfect, y, top=1).tolist() == [1.0] * 4
    assert representation_invariance(-perfect, y, top=1).tolist() == [1.0] * 4  # units that go silent count, too
    step = torch.arange(6) < 3
    fickle = perfect * step[:, None]  # fires on its class in half of the steps
    assert representation_invariance(fickle, y, top=1).tolist() == pytest.approx([0.5] * 4)
    assert representation_invariance(torch.ones(40, 6, 3), y, top=1).tolist() == [0.0] * 4
    blind = torch.randn(400, 8, 20, generator=torch.Generator().manual_seed(1))
    by_chance = representation_invariance(blind, torch.arange(400) % 4, top=20)
    torch.testing.assert_close(by_chance, torch.full((4,), 0.25, dtype=torch.double), atol=0.03, rtol=0)


def test_the_score_refuses_what_has_none():
    h, y = torch.randn(4, 3, 5), torch.tensor([0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"h must be \[scenes, steps, units\].*not \[12, 5\]"):
        representation_invariance(h.flatten(0, 1), y)
    with pytest.raises(ValueError, match="top must be 1 to 5, the number of units, not 10"):
        representation_invariance(h, y)
    with pytest.raises(ValueError, match="all scenes are of one class"):
        representation_invariance(h, y * 0, top=1)
    with pytest.raises(ValueError, match="h holds NaN"):
        representation_invariance(h.index_fill(0, torch.tensor([2]), torch.nan), y, top=1)


MOVES = {
    "occlusion": set(),
    "cut": {"x", "y"},
    "viewpoint": {"azimuth"},
    "light direction": {"light_angle"},
    "light colour": {"cast"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_changes_what_it_says_and_nothing_else(kind):
    scenes = world.sample(6, 3, **_films.SOLID)
    for changed in changes(scenes, kind, steps=4):
        target = changed.objects[:, -1:]  # an occluder stands before the object
        tables = (world.OBJECT, target, scenes.objects), (world.STAGE, changed.stage, scenes.stage)
        moved = {
            name
            for names, now, before in tables
            for column, name in enumerate(names)
            if not torch.equal(now[..., column], before[..., column])
        }
        if kind == "instance":
            assert moved.isdisjoint({"shape", "x", "y", "scale", "azimuth", "elevation", "angle", "light_angle"})
        else:
            assert moved <= MOVES[kind]
    first = [torch.cat([one.objects[0].flatten(), one.stage[0]]).tolist() for one in changes(scenes, kind, steps=4)]
    assert all(first.count(factors) == 1 for factors in first)


def test_an_occluder_hides_a_quarter_at_most():
    scenes = world.sample(50, 0, **_films.SOLID)
    for changed in changes(scenes, "occlusion"):
        seen = world.render(changed, 48, ["visible", "full"])
        share = seen["visible"][:, 1].flatten(1).sum(1) / seen["full"][:, 1].flatten(1).sum(1)
        assert 0.7 < share.mean() < 0.9
        assert share.min() > 0.4


def test_the_edge_cuts_a_part_off():
    scenes = world.sample(50, 0, **_films.SOLID)
    whole = world.render(scenes.change(x=0.0, y=0.0), 48, "full")["full"].flatten(1).sum(1)
    for changed in changes(scenes, "cut"):
        share = world.render(changed, 48, "full")["full"].flatten(1).sum(1) / whole
        assert 0.55 < share.mean() < 0.95
        assert share.min() > 0.3


def test_changes_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="no change named 'viewpont'; did you mean 'viewpoint'"):
        changes(world.sample(2, 0, **_films.SOLID), "viewpont")
    with pytest.raises(ValueError, match="one object each, not 3"):
        changes(world.sample(2, 0), "viewpoint")


def test_a_film_begins_with_its_picture_and_turns():
    images = load("world", **SMALL)
    films, train = _films.films_of(images), images.images[images.splits["train"]]
    assert torch.equal(films[:, 0], train)
    assert films.shape == (12, _films.FRAMES, 3, 32, 32)
    scenes = _films.scenes_of(images, "train")
    assert torch.equal(scenes.labels, images.labels[images.splits["train"]])
    turned = scenes.after(1)["azimuth"] - scenes["azimuth"]
    assert turned.min() >= 20
    frames = _films.frame_batches(images, 8).items
    assert torch.equal(frames[_films.FRAMES + 1], films[1, 1])
    ceiling = demystifying.SUPERVISED.build(images)
    assert torch.equal(ceiling.labels[_films.FRAMES :: _films.FRAMES], (scenes.labels - 8)[1:])
    assert len(ceiling.labels) == len(frames)
    test = demystifying.drawn(images, "viewpoint", 3)[0]
    assert torch.equal(test[:, 0], images.images[images.splits["test"]][:3])


def test_views_come_from_two_frames_or_from_one():
    films = torch.arange(5 * 3).view(5, 3, 1, 1, 1).expand(5, 3, 1, 4, 4).float() / 15
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    for apart in (True, False):
        method = _films.FilmViews(encoder, nn.Identity(), lambda x: x, nt_xent, apart)
        seen = set()
        for _ in range(40):
            a, b = ((15 * part[:, 0, 0, 0]).round().long() for part in method.viewed(films).chunk(2))
            assert torch.equal(a // 3, b // 3)  # of one film
            assert ((a != b) == apart).all()
            seen |= set(a.tolist())
        assert seen == set(range(15))
    with pytest.raises(ValueError, match=r"frames ≥ 2, not \[5, 1, 1, 4, 4\]"):
        _films.FilmViews(encoder, nn.Identity(), lambda x: x, nt_xent).check(films[:, :1])


def test_the_bend_of_a_path():
    left, middle = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert trajectory_loss(left, middle, middle + 3 * (middle - left)).item() == pytest.approx(0)
    assert trajectory_loss(left, middle, left).item() == pytest.approx(2)
    right = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    slow = 0.0
    for a, b, c in zip(left, middle, right):
        first, second = b - a, c - b
        slow = slow + 1 - first.dot(second) / (first.dot(first).sqrt() * second.dot(second).sqrt())
    loss = trajectory_loss(left, middle, right)
    torch.testing.assert_close(loss, slow / 6)
    torch.testing.assert_close(*(torch.autograd.grad(x, right)[0] for x in (loss, slow / 6)))
    with pytest.raises(ValueError, match="must have the same shape"):
        trajectory_loss(left, middle, left[:3])


def test_pose_aware_is_simclr_and_the_path():
    films = torch.rand(7, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 5))
    method = PoseAware(encoder, nn.Identity(), lambda x: x / 2, weight=3.0)
    z, half = (encoder(films.flatten(0, 1) / scale).unflatten(0, (7, 3)) for scale in (1, 2))
    views = nt_xent(half[:, 1], half[:, 1], 0.2)
    torch.testing.assert_close(method(films), views + 3 * trajectory_loss(*z.unbind(1)))
    method.shuffled = True
    others = z[:, 0].roll(1, 0), z[:, 1], z[:, 2].roll(2, 0)
    torch.testing.assert_close(method(films), views + 3 * trajectory_loss(*others))
    method.weight = 0.0
    torch.testing.assert_close(method(films), views)
    with pytest.raises(ValueError, match="three viewpoints each"):
        method.check(films[:, :2])
    with pytest.raises(ValueError, match="at least 3 films, not 2"):
        method.check(films[:2])


def test_every_arm_of_pose_aware_has_the_batch_norm_statistics_of_plain_pictures():
    """The control differs from the method in its loss alone: both have seen views and pictures as they are."""
    films = torch.rand(7, 3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4))
    means = []
    for weight in (0.0, 3.0):
        method = PoseAware(copy.deepcopy(encoder), nn.Identity(), lambda x: x / 2, weight)
        method(films).backward()
        means.append(method.encoder[1].running_mean)
    torch.testing.assert_close(*means)
    assert (means[0] > 0.1 * films[:, 1].flatten(1).mean(0)).all()  # views alone, of half the size, give 0.05


def test_solids_look_the_same_after_their_period():
    for name, period in pose_aware.PERIOD.items():
        scenes = world.sample(5, 0, **_films.SOLID | {"shape": [name]})
        assert periods(scenes).tolist() == [period] * 5
        turned = scenes.change(azimuth=scenes["azimuth"] + period)
        other = scenes.change(azimuth=scenes["azimuth"] + period / 2)
        first, again, half = (world.render(s, 32, dtype=torch.float32)["image"] for s in (scenes, turned, other))
        assert (first - again).abs().mean() < 1e-3
        assert (first - half).abs().mean() > 1e-2
    with pytest.raises(ValueError, match="flat shapes have no viewpoint: star"):
        periods(world.sample(2, 0, shape=["star"]))


def test_pose_errors_of_a_clock_and_of_noise():
    generator = torch.Generator().manual_seed(0)
    azimuth = 360 * torch.rand(900, generator=generator) - 180
    y = torch.arange(900) % 3
    period = torch.tensor([90.0, 180.0, 90.0])[y]
    split = Split(torch.arange(600), None, torch.arange(600, 900))
    angle = 2 * math.pi * azimuth / period
    clock = torch.stack([angle.cos(), angle.sin()], dim=1)
    assert pose_error(clock, azimuth, period, y, split, k=5) < 1.0
    assert pose_error(clock, azimuth + 20, period, y, split, k=5) < 1.0  # wherever zero is
    noise = torch.randn(900, 8, generator=generator)
    assert pose_error(noise, azimuth, period, y, split) == pytest.approx((22.5 + 45 + 22.5) / 3, rel=0.1)


def test_pose_errors_need_neighbours_of_the_class():
    z, azimuth, y = torch.randn(30, 2), torch.zeros(30), torch.arange(30) % 2
    split = Split(torch.arange(20), None, torch.arange(20, 30))
    with pytest.raises(ValueError, match="class 0 has 10 train rows, fewer than k = 11"):
        pose_error(z, azimuth, azimuth + 90, y, split, k=11)
    with pytest.raises(ValueError, match="of one length"):
        pose_error(z, azimuth[:5], azimuth + 90, y, split)


def test_the_table_has_every_encoder_and_change_beside_its_floors(tmp_path, monkeypatch):
    path = tmp_path / "table.json"
    found = demystifying.table(range(2), path, scale="smoke")
    assert list(found) == ["raw pixels", "untrained", "one frame", "whole frames", "two frames", "supervised"]
    for name, row in found.items():
        assert list(row) == list(KINDS)
        assert all(len(at) == 2 - (name == "raw pixels") for at in row.values())
    recipe = demystifying.CONTRASTIVE
    images = load("world", **recipe.load_options | recipe.smoke_load)
    with seeded(1):
        start = recipe.build(images)
    assert found["untrained"]["cut"][1] == pytest.approx(
        demystifying.invariance(start, *demystifying.drawn(images, "cut"))
    )
    assert found["one frame"] != found["untrained"]
    monkeypatch.setattr(demystifying, "_scores", None)  # all of it is there
    assert demystifying.table(range(2), path, scale="smoke") == found
