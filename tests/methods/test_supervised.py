"""The supervised ceiling: cross-entropy of the labels of the rows that a batch holds."""

import pytest
import torch

from labkit.data import load
from labkit.methods import Supervised
from labkit.models import resnet8
from labkit.train import Minibatches, fit, seeded
from labkit.views import GaussianNoise

view = GaussianNoise(0.05)


def ceiling(labels):
    with seeded(0):
        return Supervised(resnet8(4, 1), view, labels)


def test_the_loss_is_the_cross_entropy_of_the_rows_labels():
    images, labels = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8), torch.tensor([2, 0, 1, 1, 2, 0])
    method, rows = ceiling(labels), torch.tensor([4, 1, 3])
    torch.manual_seed(1)
    loss = method((images[rows], rows))
    torch.manual_seed(1)
    logits = method.projector(method.encoder(view(images[rows])))
    slow = -sum(logits[i].log_softmax(0)[labels[row]] for i, row in enumerate(rows.tolist())) / 3
    torch.testing.assert_close(loss, slow)


def test_true_labels_teach_what_shuffled_ones_do_not():
    digits = load("digits").subset("train")

    def error(labels):
        method = ceiling(labels)
        fit(method, Minibatches(digits.images, 64, numbered=True), epochs=4, lr=1e-2, progress=False)
        return (method.projected(digits.images).argmax(1) != digits.labels).float().mean()

    shuffled = digits.labels[torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))]
    assert error(digits.labels) < 0.1 < error(shuffled)


def test_batches_without_rows_or_with_rows_without_a_label_are_refused():
    images = torch.zeros(6, 1, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="numbered=True"):
        fit(ceiling(torch.arange(6)), Minibatches(images, 3), epochs=1, progress=False)
    with pytest.raises(ValueError, match="there are 2 labels, but a batch holds row"):
        fit(ceiling(torch.arange(2)), Minibatches(images, 6, numbered=True), epochs=1, progress=False)
    with pytest.raises(ValueError, match="from 0 upwards"):
        ceiling(torch.tensor([-1, 0]))
