"""``ImageSet`` refuses what does not fit together, and subsets keep images, labels and order."""

import pytest
import torch

from labkit.data import ImageSet

IMAGES = torch.arange(6 * 3 * 4 * 5, dtype=torch.int64).remainder(256).to(torch.uint8).reshape(6, 3, 4, 5)
LABELS = torch.tensor([0, 1, 0, 1, 2, 2])


def make(**changes) -> ImageSet:
    splits = {"train": torch.tensor([5, 0, 1]), "test": torch.tensor([2, 3, 4])}
    return ImageSet(**{"images": IMAGES, "labels": LABELS, "class_names": ("a", "b", "c"), "splits": splits} | changes)


def test_subset_by_split_keeps_order():
    part = make(name="toy").subset("train")
    assert torch.equal(part.images, IMAGES[[5, 0, 1]])
    assert part.labels.tolist() == [2, 0, 1]
    assert (part.name, part.class_names, dict(part.splits), len(part)) == ("toy/train", ("a", "b", "c"), {}, 3)


@pytest.mark.parametrize(
    "indices", [torch.tensor([4, 4, 1]), [4, 4, 1], range(1, 4), torch.tensor([-1]), torch.arange(6).flip(0)]
)
def test_subset_by_indices(indices):
    assert torch.equal(make().subset(indices).images, IMAGES[torch.as_tensor(list(indices))])


def test_subset_by_mask_and_empty():
    assert make().subset(LABELS == 2).labels.tolist() == [2, 2]
    assert len(make().subset([])) == 0


def test_a_set_without_labels():
    assert make(labels=None).subset("test").labels is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": IMAGES.float()}, "images must be a uint8 tensor"),
        ({"images": IMAGES[:, 0]}, "images must be a uint8 tensor"),
        ({"labels": LABELS[:5]}, "labels must be int64 \\[6\\]"),
        ({"labels": LABELS.float()}, "labels must be int64"),
        ({"labels": LABELS - 1}, "labels go from -1 to 1, and class_names has 3"),
        ({"class_names": ("a", "b")}, "labels go from 0 to 2, and class_names has 2"),
        ({"splits": {"train": torch.tensor([0, 6])}}, "split 'train' points to image 6, but there are 6"),
        ({"splits": {"train": torch.tensor([0.5])}}, "split 'train' must be a one-dimensional int64"),
    ],
)
def test_what_does_not_fit_is_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        make(**changes)


def test_unknown_splits_and_indices_are_refused():
    with pytest.raises(ValueError, match="no split named 'tset'; did you mean 'test'"):
        make().subset("tset")
    with pytest.raises(ValueError, match="points to image 17"):
        make().subset([17])
    with pytest.raises(ValueError, match="points to image -7"):
        make().subset([-7])


def test_prints_its_sizes():
    assert repr(make(name="toy")) == "ImageSet(toy: 6 images 3 × 4 × 5; 3 classes; train 3, test 3)"
