"""Nearest patches, discovery by constellations, and codes of stages: each against a slow reference."""

import pytest
import torch
from torch.nn import functional as F

from labkit.claims import Lab
from labkit.data import load
from labkit.methods import Supervised
from labkit.models import resnet8
from labkit.papers._controls import untrained
from labkit.papers.vision import context_prediction, rotnet
from labkit.papers.vision._patches import (
    Discovered,
    best_places,
    codes,
    corners,
    cut,
    discover,
    drawn_on,
    nearest,
    purity_and_coverage,
    squared_error,
)

SIDE, SIZE = 20, 8


def images(n=9, side=SIDE):
    return torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8)


def pixels(patches):
    return patches.flatten(1).float() / 255


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def test_patches_are_cut_where_their_corners_say():
    x, at = images(), corners(SIDE, SIZE)
    patches = cut(x, SIZE)
    assert at.tolist() == [[r, c] for r in (0, 4, 8, 12) for c in (0, 4, 8, 12)]
    for place, (r, c) in enumerate(at.tolist()):
        assert torch.equal(patches[:, place], x[:, :, r : r + SIZE, c : c + SIZE])


def test_products_of_codes_are_correlations():
    patches = cut(images(), SIZE)
    z = codes(pixels, patches)
    expected = torch.corrcoef(torch.stack([pixels(patches[i, j][None])[0] for i, j in ((0, 3), (4, 5), (8, 15))]))
    rows = torch.stack([z[0, 3], z[4, 5], z[8, 15]])
    torch.testing.assert_close(rows @ rows.T, expected, atol=1e-5, rtol=0)


def test_nearest_patches_against_loops_never_of_the_same_picture_and_one_a_picture():
    z = codes(pixels, cut(images(), SIZE))
    image, place = torch.arange(9).repeat(20), torch.randint(16, (180,))  # more than one block of queries
    found, where = nearest(z, image, place, k=4)
    similarity, _ = best_places(z, image, place)
    for i in (0, 7, 100, 179):
        own = int(image[i])
        best = {j: max((float(z[own, place[i]] @ z[j, p]), p) for p in range(16)) for j in range(9) if j != own}
        order = sorted(best, key=lambda j: -best[j][0])[:4]
        assert found[i].tolist() == order
        assert where[i].tolist() == [best[j][1] for j in order]
        assert similarity[i, own] == -torch.inf


def test_places_are_drawn_on_the_object_or_where_most_of_it_is():
    share = torch.tensor([[0.0, 0.5, 0.49, 1.0], [0.1, 0.0, 0.4, 0.3]])
    seen = torch.stack([drawn_on(share, draws(seed)) for seed in range(40)])
    assert set(seen[:, 0].tolist()) == {1, 3}
    assert set(seen[:, 1].tolist()) == {2}


def slow_error(points, size):
    """The best of all squares of a fine set of sides; the best centre is the mean."""
    best = None
    centre = [sum(p[axis] for p in points) / 4 for axis in (0, 1)]
    for step in range(4001):
        side = size * (2 / 3 + step / 4000 * 2 / 3)
        square = [(centre[0] + side * r / 2, centre[1] + side * c / 2) for r in (-1, 1) for c in (-1, 1)]
        error = sum((a - b) ** 2 for p, q in zip(points, square) for a, b in zip(p, q))
        best = min(best, (error, side)) if best else (error, side)
    return best[0] / best[1] ** 2


def test_squared_error_against_a_search_over_squares():
    for _ in range(30):
        points = torch.randint(0, 6, (4, 2)) * 4
        expected = slow_error([tuple(map(float, p)) for p in points], SIZE)
        assert squared_error(points, SIZE).item() == pytest.approx(expected, abs=1e-4)


def test_a_square_verifies_a_mirrored_one_or_a_heap_does_not():
    square = torch.tensor([[0, 0], [0, 8], [8, 0], [8, 8]])
    assert squared_error(square + torch.tensor([12, 4]), SIZE) == 0
    moved = square + torch.tensor([[4, 0], [0, 0], [0, 0], [0, 0]])
    assert squared_error(moved, SIZE) < 1
    for wrong in (square[[1, 0, 3, 2]], square[:1].expand(4, 2), square * 3, square[[0, 2, 1, 3]]):
        assert squared_error(wrong, SIZE) >= 1


def test_discovery_against_loops():
    z, at = codes(pixels, cut(images(), SIZE)), corners(SIDE, SIZE)
    for check in (True, False):
        what = discover(z, SIDE, SIZE, 3, draws(1), check)
        assert sorted(what.image.tolist()) == list(range(9))
        scores = []
        for n in range(9):
            own, four = int(what.image[n]), what.places[n].tolist()
            r, c = at[four[0]].tolist()
            assert at[four].tolist() == [[r, c], [r, c + 8], [r + 8, c], [r + 8, c + 8]]
            best = {
                j: [max((float(z[own, p] @ z[j, q]), q) for q in range(16)) for p in four] for j in range(9) if j != own
            }
            strength = {j: sum(value for value, _ in matches) for j, matches in best.items()}
            order = sorted(strength, key=lambda j: -strength[j])[:3]
            assert what.found[n].tolist() == order
            assert what.found_places[n].tolist() == [[q for _, q in best[j]] for j in order]
            lies = [not check or slow_error([at[q].tolist() for _, q in best[j]], SIZE) < 1 for j in order]
            assert what.kept[n].tolist() == lies
            scores.append((sum(lies), sum(strength[j] for j in order)))
        assert scores == sorted(scores, key=lambda score: (-score[0], -score[1]))


def test_the_check_keeps_moved_copies_and_drops_shuffled_ones():
    """Every picture is the same one, moved by whole steps or with its quarters exchanged."""
    quarters = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)

    def picture(order, top, left):
        one = torch.full((3, 40, 40), 128, dtype=torch.uint8)
        for k, q in enumerate(order):
            r, c = top + 8 * (k // 2), left + 8 * (k % 2)
            one[:, r : r + 8, c : c + 8] = quarters[q]
        return one

    moved = [picture((0, 1, 2, 3), 4 * r, 4 * c) for r, c in ((0, 0), (3, 1), (2, 6), (5, 5))]
    shuffled = [picture(order, 8, 8) for order in ((3, 2, 1, 0), (1, 0, 3, 2))]
    z = codes(pixels, cut(torch.stack(moved + shuffled), SIZE))
    for seed in range(200):  # until the first constellation is the object
        what = discover(z, 40, SIZE, 5, draws(seed))
        here = (what.image == 0).nonzero()[0, 0]
        if what.places[here, 0] == 0:
            break
    assert what.places[here].tolist() == [0, 2, 18, 20]
    kept = dict(zip(what.found[here].tolist(), what.kept[here].tolist()))
    assert kept == {1: True, 2: True, 3: True, 4: False, 5: False}


def test_purity_and_coverage_by_hand():
    what = Discovered(
        image=torch.tensor([0, 1, 2]),
        places=torch.zeros(3, 4, dtype=torch.long),
        found=torch.tensor([[1, 2], [0, 3], [1, 0]]),
        found_places=torch.zeros(3, 2, 4, dtype=torch.long),
        kept=torch.tensor([[True, True], [False, False], [True, False]]),
    )
    purity, coverage = purity_and_coverage(what, torch.tensor([0, 0, 1, 1]))
    torch.testing.assert_close(purity, torch.tensor([1 / 2, 1 / 2, 1 / 3]))
    torch.testing.assert_close(coverage, torch.tensor([0.5, 0.5, 0.5]))


def test_masks_are_those_of_the_pictures():
    """The object's colour is not the background's: what is masked differs from a picture without it."""
    options = context_prediction.WORLD.load_options | {"n_train": 3, "n_test": 5}
    factors = options["factors"] | {"texture": ["plain"], "background": ["plain"], "background_colour": ["blue"]}
    options |= {"factors": factors | {"colour": ["yellow"]}}
    rows = torch.tensor([6, 3])
    masks = context_prediction.object_masks(options, rows)
    pictures = load("world", **options).images[rows].float()
    yellow = pictures[:, 0] > pictures[:, 2]  # red above blue
    assert (masks == yellow).double().mean() > 0.97  # all but pixels on the outline
    shares = context_prediction.object_shares(masks)
    whole = torch.stack([cut(mask[None, None].to(torch.uint8), SIZE)[0].float().mean((1, 2, 3)) for mask in masks])
    torch.testing.assert_close(shares, whole)


def test_the_untrained_network_is_the_one_that_training_started_from():
    lab = Lab("smoke", progress=False)
    run, items = lab.runs(context_prediction.WORLD)[0], lab.material(context_prediction.WORLD).items
    torch.testing.assert_close(untrained(lab, context_prediction.WORLD)[0].embed(items), run.snapshots[0])
    z = context_prediction._coded(lab, "trained")[0]
    before = context_prediction._coded(lab, "untrained")[0]
    assert z.shape == before.shape == (96, 81, 32)
    assert not torch.allclose(z, before, atol=0.01)
    assert context_prediction._coded(lab, "raw pixels")[0].shape == (96, 81, 192)


def test_stages_are_said_one_by_one_in_evaluation_mode():
    encoder, x = resnet8(8), images(5, 24)
    encoder(torch.rand(16, 3, 24, 24))  # moves the statistics of batch norm
    means, maps = rotnet.stage_codes(encoder, x), rotnet.stage_codes(encoder, x, rotnet.CELLS)
    assert encoder.training
    assert [z.shape[1] for z in means] == [8, 16, 32]
    assert [z.shape[1] for z in maps] == [288, 256, 288]
    encoder.eval()
    for i, one in enumerate(x[:, None].float() / 255):
        seen = encoder.stem(one)
        for stage, mean, whole, cells in zip(encoder.stages, means, maps, rotnet.CELLS):
            seen = stage(seen)
            torch.testing.assert_close(mean[i], seen[0].mean((1, 2)), atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(whole[i], F.adaptive_max_pool2d(seen, cells).flatten(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(means[-1], encoder(x.float() / 255), atol=1e-5, rtol=1e-4)


def test_the_ceiling_of_rotnet_has_the_same_stages():
    lab = Lab("smoke", progress=False)
    assert isinstance(lab.runs(rotnet.WORLD.ceiling)[0].method, Supervised)
    items = lab.material(rotnet.WORLD).items[:20]
    encoders = [lab.runs(one)[0].method.encoder for one in (rotnet.WORLD.ceiling, rotnet.WORLD)]
    with_labels, with_turns = (rotnet.stage_codes(one, items)[1] for one in encoders)
    assert not torch.allclose(with_labels, with_turns)
    whole = rotnet._of_stage(lab, rotnet.WORLD, rotnet.LAST)
    assert whole == lab.scores(rotnet.WORLD, protocol="knn")
