"""Splits: which rows, and what is refused."""

from types import SimpleNamespace

import pytest
import torch

from labkit.data import ImageSet
from labkit.evaluate import Split


def mask(n, rows):
    return torch.zeros(n, dtype=torch.bool).index_fill(0, torch.tensor(rows), True)


def test_public_reads_the_masks_of_a_graph():
    data = SimpleNamespace(train_mask=mask(8, [1, 2]), val_mask=mask(8, [0]), test_mask=mask(8, [5, 7, 6]))
    split = Split.public(data)
    assert split.train.tolist() == [[1, 2]]
    assert split.validation.tolist() == [[0]]
    assert split.test.tolist() == [[5, 6, 7]]
    assert split.name == "public 2/1/3"
    assert repr(split) == "Split('public 2/1/3', 1 × 2/1/3 items)"


def test_public_takes_masks_of_several_splits_beside_one_test_mask():
    two = torch.stack([mask(6, [0, 1]), mask(6, [1, 2])], dim=1)
    split = Split.public(SimpleNamespace(train_mask=two, val_mask=None, test_mask=mask(6, [4, 5])))
    assert split.train.tolist() == [[0, 1], [1, 2]]
    assert split.validation is None
    assert split.test.tolist() == [[4, 5], [4, 5]]
    assert len(split) == 2


def test_public_reads_the_splits_of_images():
    images = torch.zeros(5, 1, 2, 2, dtype=torch.uint8)
    splits = {"train": torch.arange(3), "test": torch.arange(3, 5)}
    split = Split.public(ImageSet(images, torch.zeros(5, dtype=torch.long), splits=splits))
    assert (split.train.tolist(), split.validation, split.test.tolist()) == ([[0, 1, 2]], None, [[3, 4]])


@pytest.mark.parametrize("masks", [{}, {"train_mask": mask(6, [0])}, {"test_mask": mask(6, [1])}])
def test_data_without_a_split_is_refused(masks):
    with pytest.raises(ValueError, match="the data has no split of its own"):
        Split.public(SimpleNamespace(**{"train_mask": None, "test_mask": None} | masks))


def test_masks_of_several_sizes_are_refused():
    uneven = torch.stack([mask(6, [0, 1]), mask(6, [1])], dim=1)
    with pytest.raises(ValueError, match="train_mask has columns of 1 to 2 items"):
        Split.public(SimpleNamespace(train_mask=uneven, val_mask=None, test_mask=mask(6, [4])))


def test_random_splits_are_disjoint_differ_and_repeat_with_their_seed():
    y = torch.zeros(1003, dtype=torch.long)
    split = Split.random(y, 0.1, 0.1, 0.8, repeats=3, seed=4)
    for parts in zip(split.train, split.validation, split.test, strict=True):
        assert [len(part) for part in parts] == [100, 100, 803]
        assert torch.cat(parts).unique().numel() == 1003
    assert not torch.equal(split.train[0], split.train[1])
    assert torch.equal(split.test, Split.random(y, 0.1, 0.1, 0.8, repeats=3, seed=4).test)
    assert not torch.equal(split.test, Split.random(y, 0.1, 0.1, 0.8, repeats=3, seed=5).test)
    assert split.name == "random 10/10/80 %"


def test_random_splits_may_use_a_part_of_the_items_and_no_validation():
    split = Split.random(torch.zeros(100), 0.1, None, 0.25)
    assert split.validation is None
    assert (split.train.shape, split.test.shape) == ((1, 10), (1, 25))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": 0}, "train must be a share of the items between 0 and 1, not 0"),
        ({"train": "a"}, "train must be a number, not 'a'"),
        ({"seed": 1.5}, "seed must be"),
        ({"repeats": 2.5}, "repeats must be"),
        ({"y": [0, 1] * 50}, "y must be a"),
        ({"validation": -0.1}, "validation must be a share of the items between 0 and 1, not -0.1"),
        ({"test": 1.2}, "test must be a share of the items between 0 and 1, not 1.2"),
        ({"train": 0.5, "test": 0.9}, "must add up to at most 1, not 1.5"),
        ({"train": 0.001}, "train=0.001 of 100 items holds no item"),
        ({"repeats": 0}, "repeats must be at least 1, not 0"),
    ],
)
def test_impossible_shares_are_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Split.random(**{"y": torch.zeros(100)} | arguments)


ROWS = torch.arange(4)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((ROWS, None, ROWS + 3), "item 3 of split 0 is in train and in test"),
        ((ROWS, ROWS + 2, ROWS + 6), "item 2 of split 0 is in train and in validation"),
        ((torch.tensor([1, 1]), None, torch.tensor([2])), "item 1 of split 0 is in train twice"),
        ((ROWS.float(), None, ROWS + 4), "train must hold row numbers"),
        ((ROWS > 2, None, ROWS + 4), "use mask.nonzero"),
        ((ROWS, None, ROWS - 5), "test holds the row number -5"),
        ((ROWS[:0], None, ROWS), r"train must have shape \[splits, items\] with at least one item, not \[0\]"),
        ((ROWS.expand(2, -1), None, ROWS + 4), "as many splits"),
    ],
)
def test_rows_that_make_no_split_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Split(*parts)


def test_masks_that_do_not_go_together_are_named():
    data = SimpleNamespace(
        train_mask=torch.eye(6, 2).bool(), val_mask=torch.eye(6, 3).bool(), test_mask=torch.ones(6, dtype=torch.bool)
    )
    with pytest.raises(ValueError, match=r"as many splits as each other, or one, not \[2, 3\]"):
        Split.public(data)
    data.val_mask = torch.zeros(6, dtype=torch.bool)
    with pytest.raises(ValueError, match="val_mask marks no item; set it to None"):
        Split.public(data)
