"""G-SimCLR: batches of different labels, and labels from a denoising autoencoder."""

import pytest
import torch
from torch.nn import functional as F

from labkit.claims import Lab
from labkit.data import load
from labkit.models import resnet8
from labkit.papers.vision import g_simclr
from labkit.papers.vision.g_simclr import DenoisingAutoencoder, DistinctBatches, pseudo_labels
from labkit.train import Minibatches, fit


def test_no_two_of_a_batch_share_a_label_and_every_item_comes():
    torch.manual_seed(0)
    labels = torch.randint(6, (90,)) + 1  # label 0 has no item
    batches = DistinctBatches(torch.arange(90), labels, 4)
    seen = set()
    for _ in range(60):
        for batch in batches:
            assert len(set(labels[batch].tolist())) == 4
            seen |= set(batch.tolist())
    assert seen == set(range(90))
    assert len(batches) == len(list(batches)) == len(Minibatches(torch.arange(90), 4)) == 22
    with pytest.raises(ValueError, match="there are 6"):
        DistinctBatches(torch.arange(90), labels, 7)
    with pytest.raises(ValueError, match="one for each of the 90 items"):
        DistinctBatches(torch.arange(90), labels[:5], 3)


def test_the_autoencoder_learns_to_clean():
    digits = load("digits").subset("train")
    torch.manual_seed(0)
    method = DenoisingAutoencoder(resnet8(4, 1), digits.images.shape[1:])
    clean = digits.images.flatten(1).float() / 255
    before = method(digits.images)
    torch.manual_seed(3)
    loss = method(digits.images)
    torch.manual_seed(3)
    noisy = clean.view(-1, 1, 8, 8) + 0.1 * torch.randn(len(clean), 1, 8, 8)
    torch.testing.assert_close(loss, F.mse_loss(method.decoder(method.encoder(noisy)), clean))
    run = fit(method, Minibatches(digits.images, 64), epochs=3, lr=1e-2, progress=False)
    assert run.history["loss"][-1] < before.item() / 2


def test_the_pairs_of_a_batch_are_counted_by_true_class(monkeypatch):
    images = load("nuisance-digits")
    assert pseudo_labels(images, epochs=1).unique().numel() == g_simclr.CLASSES
    monkeypatch.setattr(Lab, "material", lambda *_: type("Of", (), {"dataset": images}))
    lab = Lab(seeds=[0, 1])
    assert g_simclr.different(lab, g_simclr.ORACLE) == pytest.approx([1.0, 1.0])
    classes = images.labels[images.splits["train"]]
    by_chance = 1 - (classes.bincount().double() / len(classes)).square().sum().item()
    assert g_simclr.different(lab, g_simclr.RANDOM) == pytest.approx([by_chance] * 2, abs=0.02)
