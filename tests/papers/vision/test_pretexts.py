"""RotNet, context prediction and its improvements, damaged jigsaw, PIRL: what is a paper's own, written out."""

import math

import pytest
import torch
from torch.nn import functional as F

from labkit.claims import Lab
from labkit.methods import Jigsaw, Method, RelativePosition, hamming_permutations
from labkit.papers.vision.context_improvements import TurnedContext, TurnedPosition
from labkit.papers.vision.context_prediction import ContextPrediction
from labkit.papers.vision.damaged_jigsaw import DamagedJigsaw, DamagedPuzzle, unexplained
from labkit.papers.vision.pirl import PIRL, bank_nce, invariance, shuffled_pictures
from labkit.papers.vision.rotnet import SYMMETRIC, UPRIGHT, WORLD, RotNet, _pictures
from labkit.train import Minibatches, fit
from labkit.views import DropColours, RandomGrayscale, chromatic_aberration, tiles, unit_images


class Encoder(torch.nn.Module):
    """Any size of image -> 6 numbers."""

    dim = 6

    def __init__(self, channels=3):
        super().__init__()
        self.linear = torch.nn.Linear(4 * channels, 6)

    def forward(self, x):
        return self.linear(F.adaptive_avg_pool2d(x, 2).flatten(1))


def images(n=16, side=40, channels=3):
    return torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8)


def test_symmetric_shapes_are_so_and_upright_ones_are_not():
    """A symmetric shape in the middle, upright: a quarter turn changes no pixel by more than a rounding."""
    from labkit.data import world

    plain = {"objects": (1, 1), "texture": ["plain"], "background": ["plain"], "light_height": 90.0, "shadow": 0.0}
    for shapes, small in ((SYMMETRIC, True), (UPRIGHT, False)):
        for shape in shapes:
            scene = world.sample(1, shape=[shape], x=0, y=0, angle=0, **plain)
            image = world.render(scene, 40, dtype=torch.float64)["image"]
            change = (image - torch.rot90(image, 1, (2, 3))).abs().max()
            assert (change < 1e-6) == small, shape


def test_rotnet_asks_about_the_pictures_of_the_shapes_it_names():
    lab = Lab("smoke", progress=False)
    chosen = _pictures(lab, WORLD, SYMMETRIC)
    data = lab.material(WORLD).dataset
    expected = [i for i in data.splits["test"].tolist() if data.class_names[data.labels[i]] in SYMMETRIC]
    assert torch.equal(chosen, data.images[expected])
    assert RotNet(Encoder(), (0, 2)).head[-1].out_features == 2


def test_the_lens_is_before_patches_and_probe_and_the_mend_after_the_cut():
    method, x = ContextPrediction(Encoder(), aberration=0.1, patch_view=DropColours()), images(6)
    torch.testing.assert_close(method.embed(x), method.encoder(chromatic_aberration(x, 0.1)).detach())
    torch.manual_seed(4)
    pieces, answers = method.question(x)
    torch.manual_seed(4)
    plain, same = RelativePosition(8, 3, 1)(chromatic_aberration(x, 0.1))
    assert torch.equal(answers, same)
    kept = (pieces == plain).flatten(3).all(3)
    assert (kept.sum(2) == 1).all()


def test_turned_positions_are_positions_of_turned_pictures():
    x = images(40)
    torch.manual_seed(0)
    pieces, answers = TurnedPosition(8, 3, 1)(x)
    torch.manual_seed(0)
    turn = torch.randint(4, (40,))
    turned = torch.stack([torch.rot90(one, int(t), (1, 2)) for one, t in zip(x, turn)])
    plain, place = RelativePosition(8, 3, 1)(turned)
    assert torch.equal(pieces, plain)
    assert torch.equal(answers, 4 * place + turn)


def test_damage_is_one_missing_tile_and_no_colour():
    sets, x = hamming_permutations(24), images(8)
    torch.manual_seed(1)
    puzzle, answers, whole, lost = DamagedPuzzle(8, sets, 3, 1).damaged(x)
    torch.manual_seed(1)
    cut = tiles(x, 8, 3, 1)
    for i in range(8):
        for place in range(9):
            tile = cut[i, sets[answers[i], place]]
            torch.testing.assert_close(whole[i, place], tile)
            grey = RandomGrayscale(1.0)(tile[None])[0]
            torch.testing.assert_close(puzzle[i, place], torch.full_like(tile, 0.5) if place == lost[i] else grey)
    untouched, _, same, _ = DamagedPuzzle(8, sets, 3, 1, missing=False, grey=False).damaged(x)
    assert torch.equal(untouched, same)
    torch.manual_seed(1)
    _, dealt = DamagedPuzzle(8, sets, 3, 1, dealt=True)(x)
    assert dealt.sort().values.equal(answers.sort().values)
    assert not torch.equal(dealt, answers)


def test_damaged_tiles_went_through_the_views_of_any_puzzle():
    views = {"image_view": lambda x: x.flip(3), "patch_view": lambda tiles: 1 - tiles}
    sets, x = hamming_permutations(24), images(8)
    torch.manual_seed(1)
    expected, wanted = Jigsaw(8, sets, 3, 1, **views)(x)
    torch.manual_seed(1)
    _, answers, whole, _ = DamagedPuzzle(8, sets, 3, 1, **views).damaged(x)
    assert torch.equal(whole, expected)
    assert torch.equal(answers, wanted)


def test_the_three_terms_against_loops():
    method, x = DamagedJigsaw(Encoder()), images(7)
    method.eval()
    torch.manual_seed(2)
    terms = method.terms(x)
    torch.manual_seed(2)
    puzzle, answers, whole, lost = method.question.damaged(x)
    codes = torch.stack([torch.cat([method.encoder(tile[None])[0] for tile in one]) for one in puzzle])
    slow = -sum(method.head(codes)[i].log_softmax(0)[answer] for i, answer in enumerate(answers)) / 7
    torch.testing.assert_close(terms["jigsaw"], slow)
    painted = torch.stack([F.avg_pool2d(whole[i, place], 2).flatten() for i, place in enumerate(lost)])
    torch.testing.assert_close(terms["inpainting"], slow_unexplained(method.painter(codes), painted))
    said, colours = [], []
    for i, place in enumerate(lost):
        for k in set(range(9)) - {int(place)}:
            small = F.avg_pool2d(whole[i, k], 2)
            colours.append((small - RandomGrayscale(1.0)(small[None])[0]).flatten())
            said.append(method.colourist(codes[i, 6 * k : 6 * k + 6]))
    torch.testing.assert_close(terms["colourisation"], slow_unexplained(torch.stack(said), torch.stack(colours)))


def slow_unexplained(said, target):
    return ((said - target) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()


def test_terms_of_weight_zero_are_off_and_what_is_not_damaged_cannot_be_mended():
    x, target = images(7), torch.rand(5, 3)
    method = DamagedJigsaw(Encoder(), inpainting=0.0, jigsaw=2.0)
    torch.manual_seed(2)
    loss = method(x)
    torch.manual_seed(2)
    terms = method.terms(x)
    torch.testing.assert_close(loss, 2 * terms["jigsaw"] + terms["colourisation"])
    loss.backward()
    assert method.painter.weight.grad is None
    torch.testing.assert_close(unexplained(target.mean(0).expand(5, 3), target), torch.tensor(1.0))
    with pytest.raises(ValueError, match="nothing to paint where nothing is missing"):
        DamagedJigsaw(Encoder(), missing=False)
    with pytest.raises(ValueError, match="nor to colour where nothing is grey"):
        DamagedJigsaw(Encoder(), grey=False)


def test_bank_nce_against_its_equation_with_gradient():
    torch.manual_seed(0)
    q, own, others = (torch.randn(n, 4, dtype=torch.float64) for n in (5, 5, 7))
    q.requires_grad_()
    itself = torch.zeros(5, 7, dtype=torch.bool)
    itself[3, 2] = True
    loss = bank_nce(q, own, others, 0.5, itself)
    slow = 0.0
    for i in range(5):
        seen = others[~itself[i]]
        score = [F.cosine_similarity(q[i], row, dim=0) / 0.5 for row in (own[i], *seen)]
        total = sum(map(torch.exp, score))
        h = [s.exp() / total for s in score]
        slow = slow - (h[0].log() + sum((1 - one).log() for one in h[1:])) / 5
    torch.testing.assert_close(loss, slow)
    mine, theirs = (torch.autograd.grad(x, q, retain_graph=True)[0] for x in (loss, slow))
    torch.testing.assert_close(mine, theirs)


def test_pirl_looks_for_image_and_tiles_in_the_bank_and_moves_only_its_rows():
    method, x = PIRL(Encoder(1), unit_images, items=24, negatives=6, weight=0.3), images(4, 28, 1)
    rows, before = torch.tensor([3, 17, 5, 8]), method.bank.rows.clone()
    method.eval()
    torch.manual_seed(1)
    loss = method((x, rows))
    torch.manual_seed(1)
    image = method.of_image(method.encoder(unit_images(x)))
    puzzle, _ = method.puzzle(x)
    codes = torch.stack([torch.cat([method.encoder(tile[None])[0] for tile in one]) for one in puzzle])
    drawn = torch.randint(24, (6,))
    itself = torch.stack([drawn == row for row in rows])
    of_image, of_tiles = (
        bank_nce(z, before[rows], before[drawn], 0.1, itself) for z in (image, method.of_tiles(codes))
    )
    torch.testing.assert_close(loss, 0.7 * of_image + 0.3 * of_tiles)
    method.after_step()
    moved = torch.lerp(F.normalize(image, dim=1), before[rows], 0.5)
    torch.testing.assert_close(method.bank.rows[rows], F.normalize(moved, dim=1))
    assert (method.bank.rows != before).any(1).sum() == 4


def test_without_weight_no_tile_passes_the_encoder_of_pirl():
    seen = []
    encoder = Encoder(1)
    encoder.register_forward_hook(lambda module, given, out: seen.append(given[0].shape))
    PIRL(encoder, unit_images, items=24, weight=0.0)((images(4, 28, 1), torch.arange(4))).backward()
    assert seen == [(4, 1, 28, 28)]


def test_pirl_refuses_batches_without_rows_and_a_bank_too_small():
    x = images(24, 28, 1)
    run = fit(PIRL(Encoder(1), unit_images, 24), Minibatches(x, 8, numbered=True), epochs=2, progress=False)
    assert math.isfinite(run.history["loss"][-1])
    assert len(run.history["z.alignment"]) == 2
    with pytest.raises(ValueError, match="numbered=True"):
        fit(PIRL(Encoder(1), unit_images, 24), Minibatches(x, 8), epochs=1, progress=False)
    with pytest.raises(ValueError, match="the bank has 4 rows"):
        fit(PIRL(Encoder(1), unit_images, 4), Minibatches(x, 8, numbered=True), epochs=1, progress=False)
    with pytest.raises(ValueError, match="weight must lie between 0 and 1"):
        PIRL(Encoder(1), unit_images, 4, weight=1.5)


def test_shuffled_pictures_hold_the_same_tiles_and_invariance_is_one_for_their_mean():
    x = images(6, 28, 1)
    seen = shuffled_pictures(x)
    assert seen.shape == (6, 1, 27, 27)
    for one, other in zip(seen, unit_images(x)[:, :, :27, :27]):
        mine, theirs = (
            sorted(picture[0, 9 * r : 9 * r + 9, 9 * c : 9 * c + 9].sum().item() for r in range(3) for c in range(3))
            for picture in (one, other)
        )
        assert mine == pytest.approx(theirs, rel=1e-5)
    assert (seen != unit_images(x)[:, :, :27, :27]).any()

    class Colours(Method):
        def embed(self, x):
            return torch.stack([x.mean((1, 2, 3)), x.square().mean((1, 2, 3)), torch.ones(len(x))], 1)

    assert invariance(Colours(), x) == pytest.approx(1, abs=1e-4)


def test_questions_refuse_pictures_they_cannot_ask_about():
    with pytest.raises(ValueError, match="three channels, not 1"):
        fit(DamagedJigsaw(Encoder(1)), [images(4, 40, 1)], epochs=1, progress=False)
    oblong = images(4, 40, 3)[:, :, :, :39]
    with pytest.raises(ValueError, match=r"square images, not \[40, 39\]"):
        fit(TurnedContext(Encoder(3)), [oblong], epochs=1, progress=False)


def test_pirl_sees_images_through_its_view_and_its_bank_has_the_momentum_asked_for():
    seen, encoder = [], Encoder(1)
    encoder.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    x, inverted = images(4, 28, 1), lambda pictures: 1 - unit_images(pictures)
    method = PIRL(encoder, inverted, items=24, momentum=0.25)
    method((x, torch.arange(4)))
    torch.testing.assert_close(seen[0], inverted(x))
    assert method.bank.momentum == 0.25


def test_shuffled_pictures_are_their_tiles_upright():
    x = unit_images(images(6, 28, 1))
    cut = [[one[0, 9 * r : 9 * r + 9, 9 * c : 9 * c + 9] for r in range(3) for c in range(3)] for one in x]
    for one, tiles_of in zip(shuffled_pictures(x), cut):
        for r in range(3):
            for c in range(3):
                seen = one[0, 9 * r : 9 * r + 9, 9 * c : 9 * c + 9]
                assert sum(torch.equal(seen, tile) for tile in tiles_of) == 1
