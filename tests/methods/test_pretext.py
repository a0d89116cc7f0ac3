"""Questions against their definitions, and the method that answers them."""

import itertools

import pytest
import torch
from torch import nn

from labkit.methods import Jigsaw, Pretext, RelativePosition, Rotations, encoded, hamming_permutations
from labkit.models import resnet8
from labkit.train import Minibatches, fit
from labkit.views import tiles


def images(n=12, side=12, channels=1):
    return torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8)


def test_every_image_is_asked_at_every_turn():
    x = images(5)
    pieces, answers = Rotations()(x)
    assert pieces.shape == (20, 1, 1, 12, 12)
    assert answers.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    one = x[2, 0].float() / 255
    turned = pieces[5 + 2, 0, 0]
    for row, column in itertools.product(range(12), repeat=2):  # a quarter turn counter-clockwise
        assert turned[row, column] == one[column, 11 - row]
    two = Rotations((0, 2))
    assert two.answers == 2
    assert torch.equal(two(x)[0][5:, 0, 0], x[:, 0].flip(1, 2).float() / 255)
    with pytest.raises(ValueError, match="at least two different ones"):
        Rotations((0, 4))
    with pytest.raises(ValueError, match="square images, not"):
        Rotations()(x[:, :, :4])


def numbered(n, side):
    return (torch.arange(side * side).view(1, 1, side, side) / 1e4).repeat(n, 1, 1, 1)


def test_the_answer_is_where_the_second_patch_lies():
    ask = RelativePosition(size=3, gap=1, jitter=0)
    pieces, answers = ask(numbered(500, 13))
    number = (pieces[:, :, 0, 0, 0] * 1e4).round().long()
    row, column = number // 13, number % 13
    steps = [(-4, -4), (-4, 0), (-4, 4), (0, -4), (0, 4), (4, -4), (4, 0), (4, 4)]
    for i, answer in enumerate(answers.tolist()):
        assert (int(row[i, 1] - row[i, 0]), int(column[i, 1] - column[i, 0])) == steps[answer]
    assert answers.bincount(minlength=8).min() > 30


def test_patches_are_viewed_one_by_one_and_images_before_they_are_cut():
    seen = []
    ask = RelativePosition(3, patch_view=lambda p: seen.append(p.shape) or 1 - p, image_view=lambda x: x / 2)
    torch.manual_seed(3)
    pieces, _ = ask(numbered(4, 12))
    torch.manual_seed(3)
    plain, _ = RelativePosition(3)(numbered(4, 12))
    assert seen == [(8, 1, 3, 3)]
    torch.testing.assert_close(pieces, 1 - plain / 2)


def test_a_puzzle_is_its_tiles_in_the_order_of_its_answer():
    sets = hamming_permutations(24)
    ask, x = Jigsaw(3, sets, gap=1, jitter=0), numbered(40, 11)  # 11: the block fits in one place alone
    puzzle, answers = ask(x)
    cut = tiles(x, 3, 1)
    for i, answer in enumerate(answers.tolist()):
        for place in range(9):
            assert torch.equal(puzzle[i, place], cut[i, sets[answer, place]])
    with pytest.raises(ValueError, match="each row the numbers 0 to 8"):
        Jigsaw(3, torch.zeros(2, 9, dtype=torch.int64))


@pytest.mark.parametrize("pieces", [3, 4])
def test_permutations_are_taken_greedily_by_their_distance(pieces):
    """Algorithm 1 of Noroozi & Favaro, written out."""
    every = list(itertools.permutations(range(pieces)))
    count = len(every)
    taken, rest = [every[0]], every[1:]
    while len(taken) < count:
        far = [sum(sum(a != b for a, b in zip(one, other)) for other in taken) for one in rest]
        taken.append(rest.pop(far.index(max(far))))
    assert hamming_permutations(count, pieces).tolist() == [list(one) for one in taken]


def test_the_first_nine_permutations_of_nine_differ_everywhere_and_none_comes_twice():
    sets = hamming_permutations(64)
    apart = (sets[:, None] != sets).sum(2)
    assert (apart[:9, :9] + 9 * torch.eye(9, dtype=torch.int64) == 9).all()
    assert apart.fill_diagonal_(9).min() >= 2
    assert apart.float().mean() > 7.5
    with pytest.raises(ValueError, match="count must lie between 1 and 6, not 7"):
        hamming_permutations(7, 3)


def test_whoever_changes_the_permutations_changes_only_their_own():
    first = hamming_permutations(5, 4)
    kept = first.clone()
    first.zero_()
    assert torch.equal(hamming_permutations(5, 4), kept)


class Mean(nn.Module):
    dim = 1

    def forward(self, x):
        return x.mean((1, 2, 3))[:, None]


def test_the_loss_is_the_cross_entropy_of_the_head_on_all_pieces():
    head = nn.Linear(2, 8)
    method, x = Pretext(Mean(), RelativePosition(3), head), images(6)
    torch.manual_seed(5)
    loss = method(x)
    torch.manual_seed(5)
    pieces, answers = RelativePosition(3)(x)
    slow = 0.0
    for (first, second), answer in zip(pieces, answers):
        logits = head(torch.stack([first.mean(), second.mean()]))
        slow = slow - logits.log_softmax(0)[answer] / 6
    torch.testing.assert_close(loss, slow)


def test_a_task_that_pixels_solve_is_learned_and_scored_on_other_images():
    ramp = torch.linspace(0, 255, 8).view(1, 1, 8, 1).expand(64, 1, 8, 8)
    x = (ramp * (0.3 + 0.7 * torch.rand(64, 1, 1, 1))).to(torch.uint8)
    method = Pretext(resnet8(4, 1), Rotations())
    assert method.accuracy(x[48:]) < 0.6
    fit(method, Minibatches(x[:48], 16), epochs=15, lr=1e-2, progress=False)
    assert method.accuracy(x[48:]) > 0.9
    said, right = method.answers(x[48:])
    assert (said == right).double().mean().item() == method.accuracy(x[48:])
    assert method.embed(x).shape == (64, 16)


def test_scoring_leaves_the_generator_alone_and_small_images_are_refused_before_training():
    method = Pretext(resnet8(4, 1), RelativePosition(4, gap=1))
    x = images(side=14)
    torch.manual_seed(2)
    assert method.accuracy(x) == method.accuracy(x)
    first = torch.rand(3)
    torch.manual_seed(2)
    assert torch.equal(first, torch.rand(3))
    with pytest.raises(ValueError, match="need 14 × 14 pixels, but images are 12 × 12"):
        fit(method, Minibatches(images(), 6), epochs=1, progress=False)
    with pytest.raises(ValueError, match=r"n at least 2, not \[1, 1, 14, 14\]"):
        fit(method, [images(1, 14)], epochs=1, progress=False)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Pretext(resnet8(), lambda images: images), "head is missing, and can't be made: question must have"),
        (lambda: Pretext(nn.Identity(), Rotations()), "head is missing, .* encoder dim"),
        (lambda: Pretext(resnet8(), None), "question must be something to call, not None"),
        (lambda: Rotations(2), "turns must be a sequence, each a whole number of 64 bits, not 2"),
        (lambda: RelativePosition(3, yoked=float("nan")), "yoked must be True or False, not nan"),
        (lambda: hamming_permutations(torch.ones(3)), "count must be a whole number of 64 bits, not"),
        (lambda: encoded(nn.Identity(), torch.rand(4, 3, 8, 8)), r"pieces must be .*\[asked, pieces, channels, height"),
    ],
)
def test_arguments_of_another_kind_are_named(make, says):
    with pytest.raises((TypeError, ValueError), match=says):
        make()


def test_a_seed_draws_the_questions():
    method = Pretext(resnet8(width=4), RelativePosition(3))
    x = torch.randint(0, 255, (40, 3, 24, 24), dtype=torch.uint8)
    first, again, other = (method.answers(x, seed)[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_images_are_embedded_through_the_evaluation_view():
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    encoder.dim = 5
    method = Pretext(encoder, Rotations(), evaluation_view=lambda pictures: pictures / 510)
    x = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(method.embed(x), encoder(x / 510).detach())
