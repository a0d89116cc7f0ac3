"""AMDIM and MV-MR: local targets and hand-made features, against slow references."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labkit.claims import Lab
from labkit.data import ImageSet, load, world
from labkit.losses import distance_correlation
from labkit.models import ResNet
from labkit.papers.vision import amdim, mv_mr
from labkit.papers.vision.amdim import AMDIM, local_nce
from labkit.papers.vision.mv_mr import MVMR, agreement, hog, local_deviation, pixels
from labkit.train import Minibatches, fit


def slow_local_nce(q, maps, clip, penalty):
    n, dim = q.shape
    places = [(r, c) for r in range(maps.shape[2]) for c in range(maps.shape[3])]
    raw = {(i, j, p): q[i].dot(maps[j, :, p[0], p[1]]) / dim**0.5 for i in range(n) for j in range(n) for p in places}
    score = {key: clip * torch.tanh(value / clip) for key, value in raw.items()}
    total = 0.0
    for i in range(n):
        others = sum(score[i, j, p].exp() for j in range(n) for p in places if j != i)
        for p in places:
            own = score[i, i, p].exp()
            total = total - (own / (own + others)).log()
    return total / (n * len(places)) + penalty * sum(value**2 for value in raw.values()) / len(raw)


def test_local_nce_is_its_definition():
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    maps = torch.randn(4, 3, 2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    for clip, penalty in ((20.0, 0.04), (1.0, 0.0)):
        fast, slow = local_nce(q, maps, clip, penalty), slow_local_nce(q, maps, clip, penalty)
        torch.testing.assert_close(fast, slow)
        for one, other in zip(*(torch.autograd.grad(x, (q, maps)) for x in (fast, slow)), strict=True):
            torch.testing.assert_close(one, other)


def test_local_nce_finds_what_is_there():
    q = 4 * torch.eye(6)
    maps = q[:, :, None, None].expand(-1, -1, 2, 2)
    assert local_nce(q, maps, penalty=0.0) < local_nce(q, maps.roll(1, 0), penalty=0.0)
    by_chance = local_nce(q, torch.zeros(6, 6, 2, 2), penalty=0.0)
    assert by_chance.item() == pytest.approx(math.log(1 + 5 * 4))
    with pytest.raises(ValueError, match=r"queries must be \[n, dim\] or \[n, features, dim\] and maps"):
        local_nce(q, maps[:, :3])
    with pytest.raises(ValueError, match="clip must be a positive"):
        local_nce(q, maps, clip=0.0)
    with pytest.raises(ValueError, match="maps holds NaN"):
        local_nce(q, maps / 0)
    with pytest.raises(ValueError, match="entropy must be a positive"):
        local_nce(q, maps, entropy=0.0)


@pytest.mark.parametrize("entropy", [0.5, 1.0, 2.0])
def test_a_mixture_is_scored_at_the_best_shares(entropy):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(4, 3, 5, generator=generator, dtype=torch.float64)
    maps = torch.randn(4, 5, 2, 2, generator=generator, dtype=torch.float64)
    each = torch.empty(4, 3, 4, dtype=torch.float64)  # log-probability of each place by each feature, one at a time
    for i in range(4):
        for k in range(3):
            own = (q[i, k] @ maps[i].flatten(1) / 5**0.5).div(20).tanh().mul(20)
            others = torch.cat([q[i, k] @ maps[j].flatten(1) / 5**0.5 for j in range(4) if j != i]).div(20).tanh()
            each[i, k] = own - (own.exp() + others.mul(20).exp().sum()).log()

    def value(shares):
        return (shares * each).sum(1).mean() - entropy * (shares * shares.log()).sum(1).mean()

    best = (each / entropy).softmax(1)
    ours = -local_nce(q, maps, penalty=0.0, entropy=entropy)
    torch.testing.assert_close(ours, value(best))
    for _ in range(20):
        others = (best.log() + 0.3 * torch.randn(each.shape, generator=generator, dtype=torch.float64)).softmax(1)
        assert value(others) < ours
    torch.testing.assert_close(local_nce(q[:, :1], maps), local_nce(q[:, 0], maps))


def test_a_mixture_divides_pictures_by_what_predicts_their_places():
    images = torch.randint(0, 256, (6, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    method = AMDIM(ResNet((1, 1, 1), 4), lambda x: x / 255, dim=8, features=3)
    run = fit(method, Minibatches(images, 6), epochs=2, progress=False)
    places = run.method.segment(images)
    assert places.shape == (6, 8, 8)
    assert set(places.flatten().tolist()) <= {0, 1, 2}
    method.eval()
    with torch.no_grad():
        z, middle, _ = method.described(images / 255)
        asking = z[:, None] + method.mix(z).view(6, 3, 8)
    for i, row, column in ((0, 0, 0), (3, 2, 5), (5, 7, 7)):
        own = torch.tanh(asking[i] @ middle[i, :, row, column] / 8**0.5 / 20) * 20
        others = [asking[i] @ middle[j].flatten(1) / 8**0.5 for j in range(6) if j != i]
        others = (torch.tanh(torch.cat(others, dim=1) / 20) * 20).exp().sum(1)
        assert places[i, row, column] == (own.exp() / (own.exp() + others)).argmax()
    with pytest.raises(ValueError, match="a mixture predicts local features"):
        AMDIM(ResNet((1, 1, 1), 4), lambda x: x / 255, local=False, features=2)


def test_a_division_is_compared_with_the_object_place_by_place():
    lab = Lab("smoke", [0], progress=False)
    images, masks = amdim._scenes(lab)
    dataset = lab.material(amdim.MIXTURE).dataset
    assert torch.equal(images, dataset.images[dataset.splits["test"]])
    assert masks.shape == (len(images), 8, 8)
    assert 0.05 < masks.float().mean() < 0.6
    assert not masks[:, 0, 0].any()  # objects lie in the middle
    assert amdim.agreement(3 - masks.long(), masks) == 1.0
    rows = torch.arange(8)[:, None].expand(8, 8).expand_as(masks)
    assert amdim.agreement(rows, masks) < 0.3
    two = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    two[..., 16:] = 200
    halves = amdim.by_colour(two, 0, clusters=2)[0]
    assert (halves[:, :4] == halves[0, 0]).all()
    assert (halves[:, 4:] == 1 - halves[0, 0]).all()


@pytest.mark.parametrize(("local", "across"), [(True, True), (True, False), (False, True)])
def test_amdim_predicts_the_other_view_or_its_own(local, across):
    calls = []
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    method = AMDIM(ResNet((1, 1, 1), 4), lambda x: x, dim=5, local=local, across=across)
    method.loss = lambda q, maps: calls.append((q.detach(), maps.detach())) or q.sum()
    views = iter([images, images.flip(0)])
    method.view = lambda x: next(views)
    method(images)
    sides = [maps.shape[-1] for _, maps in calls]
    assert sides == ([4, 4, 8, 8, 4, 4] if local else [1, 1])
    first, second = calls[0], calls[1]
    # the second view is the first one with its images in the opposite order
    torch.testing.assert_close(first[0], second[0].flip(0))
    torch.testing.assert_close(first[1], second[1].flip(0))
    maps = method.heads[1](method.encoder.feature_map(torch.cat([images, images.flip(0)]))).detach()
    own, other = (maps if local else maps.mean((2, 3), keepdim=True)).chunk(2)
    torch.testing.assert_close(first[1], other if across else own)
    method.eval()
    h = method.encoder(images)
    last = method.heads[1](method.encoder.feature_map(images))
    torch.testing.assert_close(method.described(images)[2], last)
    torch.testing.assert_close(method.seen["h"][0], h[:3])


def test_amdim_trains_and_refuses_other_encoders():
    images = torch.randint(0, 256, (16, 3, 16, 16), dtype=torch.uint8)
    run = fit(AMDIM(ResNet((1, 1, 1), 4), lambda x: x / 255, dim=8), Minibatches(images, 8), epochs=2, progress=False)
    assert run.method.embed(images).shape == (16, 16)
    assert "z.effective_rank" in run.history
    with pytest.raises(ValueError, match="an encoder of three stages"):
        fit(AMDIM(ResNet((1, 1), 4), lambda x: x / 255, dim=8), Minibatches(images, 8), epochs=1, progress=False)


def slow_hog(image, bins, cell):
    """[h, w] -> [bins, rows, columns], pixel by pixel."""
    h, w = image.shape
    found = torch.zeros(bins, h // cell, w // cell)
    for r in range(h // cell * cell):
        for c in range(w // cell * cell):
            right, left = image[r, min(c + 1, w - 1)], image[r, max(c - 1, 0)]
            below, above = image[min(r + 1, h - 1), c], image[max(r - 1, 0), c]
            across, down = (right - left).item() / 2, (below - above).item() / 2
            angle = math.atan2(down, across) % math.pi
            place = angle / math.pi * bins
            low, share = int(place), place - int(place)
            length = math.hypot(across, down) / cell**2
            found[low % bins, r // cell, c // cell] += (1 - share) * length
            found[(low + 1) % bins, r // cell, c // cell] += share * length
    return found


def test_hog_is_its_definition():
    images = torch.rand(2, 2, 9, 13, generator=torch.Generator().manual_seed(0))
    slow = torch.stack([torch.cat([slow_hog(channel, 5, 4) for channel in image]).flatten() for image in images])
    torch.testing.assert_close(hog(images, bins=5, cell=4), slow, atol=1e-6, rtol=1e-5)
    assert hog(torch.full((1, 1, 8, 8), 0.4), cell=4).abs().max() == 0
    ramp = torch.arange(8.0).expand(1, 1, 8, 8) / 8  # brighter to the right: the gradient points along bin 0
    cells = hog(ramp, bins=4, cell=8)[0]
    assert cells[0] > 0
    assert cells[1:].abs().max() < 1e-7


def test_local_deviation_is_its_definition():
    image = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    around = [image[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].std(correction=0) for r in range(6) for c in range(6)]
    slow = F.avg_pool2d(torch.stack(around).view(1, 1, 6, 6), 2).flatten(1)
    torch.testing.assert_close(local_deviation(image[None, None]), slow, atol=1e-5, rtol=1e-4)


def test_hog_refuses_cells_that_do_not_fit():
    with pytest.raises(ValueError, match="cell 1 to 6, not 9 and 7"):
        hog(torch.rand(1, 1, 6, 9))
    with pytest.raises(ValueError, match="bins must be at least 1"):
        hog(torch.rand(1, 1, 9, 9), bins=0)


def encoder():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
    linear.dim = 6
    return linear


def test_mv_mr_adds_up_and_the_released_sign_is_the_other_one():
    images = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    terms = {"represent": (pixels, local_deviation), "dim": 4}
    method = MVMR(encoder(), lambda x: x.flip(3), **terms).eval()
    z = method.projector(method.encoder(torch.cat([images.flip(3), images])))
    a, b = z.chunk(2)
    hinge = sum((1 - x.std(0)).clamp(min=0).mean() for x in (a, b))
    views = (a - b).square().mean() + 1 - distance_correlation(a, b) + hinge
    torch.testing.assert_close(agreement(a, b), views)
    torch.testing.assert_close(agreement(a, b, spread=False), views - hinge)
    d = [distance_correlation(represent(images), a) for represent in terms["represent"]]
    torch.testing.assert_close(method(images), views + 2 - sum(d))
    method.variant = "released"
    torch.testing.assert_close(method(images), views + sum(d))
    method.variant, method.shuffled = "paper", True
    d = [distance_correlation(represent(images.roll(1, 0)), a) for represent in terms["represent"]]
    torch.testing.assert_close(method(images), views + 2 - sum(d))
    with pytest.raises(ValueError, match="no variant named 'realeased'; did you mean 'released'"):
        MVMR(encoder(), lambda x: x, variant="realeased")
    with pytest.raises(ValueError, match=r"as large as the picture.*\[4, 4\] against \[8, 8\]"):
        fit(MVMR(encoder(), lambda x: x[:, :, :4, :4]), [images], epochs=1, progress=False)


def test_variants_of_mv_mr_are_what_they_are_named_and_dependence_is_on_test_pictures():
    pixels = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 1, 28, 28)
    one = ImageSet(pixels, torch.arange(6) % 2, ("a", "b"), {"train": torch.arange(4), "test": torch.arange(4, 6)})
    built = [recipe.build(one) for recipe in mv_mr.RECIPES]
    found = [(method.variant, len(method.represent), method.shuffled) for method in built]
    assert found == [("paper", 3, False), ("paper", 0, False), ("paper", 3, True), ("released", 3, False)]
    assert mv_mr.NO_HINGE.build(one).loss.keywords == {"spread": False}
    lab = Lab("smoke", [0], progress=False)
    lab.material = lambda _: SimpleNamespace(dataset=one)
    assert torch.equal(mv_mr._test_images(lab), pixels[4:])


def test_the_texture_asked_for_is_that_of_the_picture():
    options = {"n_train": 6, "n_test": 4, "size": 24, "factors": amdim.TEXTURED}
    images = load("world", **options)
    lab, asked = Lab("smoke", [0], progress=False), []
    lab.material = lambda _: SimpleNamespace(dataset=images)
    lab.runs = lambda _: [SimpleNamespace(method=SimpleNamespace(embed=lambda x: x))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(amdim, "knn_probe", lambda z, y, *_, **__: asked.append(y) or SimpleNamespace(mean=0.5))
        amdim._texture(lab, amdim.LOCAL)
    scenes = world.sample(10, 0, **amdim.TEXTURED)
    torch.testing.assert_close(world.render(scenes, 24)["image"], images.images)
    assert torch.equal(asked[0], scenes["texture"][:, 0])
