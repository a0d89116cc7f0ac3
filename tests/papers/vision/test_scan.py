"""SCAN: its two losses against loops, what it collapses to, its three steps."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from labkit.claims import Lab
from labkit.data import ImageSet
from labkit.methods import TwoView
from labkit.papers.vision import scan
from labkit.train import Run
from labkit.views import GaussianNoise


def slow_scan(anchors, near, weight):
    n, clusters = anchors.shape
    consistency, mean = 0.0, [0.0] * clusters
    for i in range(n):
        p = [anchors[i, c].exp() / anchors[i].exp().sum() for c in range(clusters)]
        q = [near[i, c].exp() / near[i].exp().sum() for c in range(clusters)]
        consistency -= sum(a * b for a, b in zip(p, q)).log() / n
        mean = [m + a / n for m, a in zip(mean, p)]
    return consistency + weight * sum(m * m.log() for m in mean)


@pytest.mark.parametrize("weight", [0.0, 2.0, 5.0])
def test_the_scan_loss_and_its_gradient(weight):
    logits = [torch.randn(7, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    ours, slow = scan.scan_loss(*logits, weight), slow_scan(*logits, weight)
    torch.testing.assert_close(ours, slow)
    for a, b in zip(torch.autograd.grad(ours, logits), torch.autograd.grad(slow, logits), strict=True):
        torch.testing.assert_close(a, b)


def test_its_best_values():
    even = 50.0 * torch.eye(4, dtype=torch.float64).repeat(3, 1)
    assert scan.scan_loss(even, even).item() == pytest.approx(-5 * math.log(4))
    one = torch.zeros(12, 4, dtype=torch.float64)
    one[:, 2] = 50.0
    assert scan.scan_loss(one, one, entropy_weight=0.0).item() == pytest.approx(0)  # collapse, and perfect
    assert scan.scan_loss(one, one) > scan.scan_loss(even, even)
    assert scan.scan_loss(1e4 * even, -1e4 * even).isfinite()


def test_self_labels_are_those_of_the_sure_items_and_weigh_each_cluster_alike():
    weak = torch.tensor([[9.0, 0, 0], [9, 0, 0], [9, 0, 0], [0, 9, 0], [1, 1, 1.5]], dtype=torch.float64)
    strong = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    sure, cluster = scan.self_labels(weak)
    assert sure.tolist() == [True] * 4 + [False]
    assert cluster.tolist() == [0, 0, 0, 1, 2]
    losses = [-strong[i].log_softmax(0)[cluster[i]] for i in range(4)]
    slow = (sum(losses[:3]) / 3 + losses[3]) / 2  # the mean of each cluster, then of the clusters
    ours = scan.self_label_loss(weak.requires_grad_(), strong)
    torch.testing.assert_close(ours, slow)
    (ours_gradient,), (slow_gradient,) = (
        torch.autograd.grad(ours, strong, retain_graph=True),
        torch.autograd.grad(slow, strong),
    )
    torch.testing.assert_close(ours_gradient, slow_gradient)
    assert torch.autograd.grad(ours, weak, allow_unused=True) == (None,)
    nobody = scan.self_label_loss(torch.zeros(5, 3).double(), strong)
    assert nobody == 0
    assert torch.autograd.grad(nobody, strong)[0].abs().max() == 0


class Encoder(nn.Sequential):
    dim = 8

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(36, 8), nn.BatchNorm1d(8))


@pytest.fixture
def groups():
    """Three kinds of images, each a pattern under noise, and a method that was not trained."""
    y = torch.arange(90) % 3
    patterns = torch.randint(0, 200, (3, 1, 6, 6))
    images = (patterns[y] + torch.randint(0, 30, (90, 1, 6, 6))).to(torch.uint8)
    return images, y, TwoView(Encoder(), nn.Identity(), GaussianNoise(0.02), nn.functional.mse_loss)


def test_the_steps_find_three_kinds(groups):
    images, y, pretext = groups
    before = pretext.encoder[1].weight.clone()
    method = scan.cluster(pretext, images, k=5, epochs=40, clusters=3, seed=2)
    assert torch.equal(pretext.encoder[1].weight, before)  # a copy learns
    found = method.embed(images).argmax(dim=1)
    assert scan.clustering_accuracy(y, found) > 0.95
    again = scan.cluster(pretext, images, k=5, epochs=40, clusters=3, seed=2)
    assert torch.equal(again.embed(images), method.embed(images))
    further = scan.self_label(method, images, threshold=0.5, epochs=5)
    assert scan.clustering_accuracy(y, further.embed(images).argmax(dim=1)) > 0.95
    assert not torch.equal(further.heads[0].weight, method.heads[0].weight)
    assert scan.purity(pretext.embed(images), y, k=5) > 0.95
    assert scan.purity(torch.randn(90, 4), y, k=5) < 0.6


def test_the_method_trains_on_a_view_of_each_of_a_pair(groups):
    images, _, pretext = groups
    method = scan.SCAN(pretext.encoder, nn.Identity(), clusters=3).eval()
    a, b = images[:10].float() / 255, images[10:20].float() / 255
    torch.testing.assert_close(method((a, b)), scan.scan_loss(method.logits(a), method.logits(b)))
    torch.testing.assert_close(method.embed(images[:10]), method.logits(a))


def test_several_heads_learn_side_by_side_and_the_lowest_loss_stays(groups):
    images, y, pretext = groups
    method = scan.SCAN(pretext.encoder, nn.Identity(), clusters=3, heads=4).eval()
    a, b = images[:10].float() / 255, images[10:20].float() / 255
    each = [scan.scan_loss(head(method.encoder(a)), head(method.encoder(b))) for head in method.heads]
    torch.testing.assert_close(method((a, b)), sum(each))
    best = method.heads[int(torch.stack(each).argmin())]
    method.keep_best(images[:10], images[10:20])
    assert list(method.heads) == [best]
    torch.testing.assert_close(method.embed(images[:10]), best(method.encoder(a)))
    kept = scan.cluster(pretext, images, k=5, epochs=20, clusters=3, heads=5, seed=2)
    assert len(kept.heads) == 1
    assert scan.clustering_accuracy(y, kept.embed(images).argmax(dim=1)) > 0.95


def test_bad_input_is_refused(groups):
    images, _, pretext = groups
    logits = torch.randn(4, 3)
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="entropy_weight must lie between 0"):
            scan.scan_loss(logits, logits, bad)
    with pytest.raises(ValueError, match="same shape"):
        scan.scan_loss(logits, logits[:3])
    with pytest.raises(ValueError, match="threshold must lie between 0 and 1"):
        scan.self_label_loss(logits, logits, 1.5)
    with pytest.raises(ValueError, match="weak holds NaN"):
        scan.self_label_loss(logits * math.nan, logits)
    with pytest.raises(ValueError, match="heads must be at least 1"):
        scan.SCAN(pretext.encoder, nn.Identity(), heads=0)
    with pytest.raises(ValueError, match="k must be between 1 and the 89 rows"):
        scan.cluster(pretext, images, k=90)


def test_clusters_are_scored_on_test_images_and_k_means_sees_none_of_them(monkeypatch):
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    one = ImageSet(images, torch.arange(6) % 2, splits={"train": torch.arange(4), "test": torch.arange(4, 6)})
    lab, seen = Lab("smoke", [0], progress=False), []
    monkeypatch.setattr(scan.SCAN, "embed", lambda _, x: seen.append(x) or torch.eye(len(x)))
    method = scan.SCAN(Encoder(), nn.Identity())
    lab.material, lab.runs = lambda _: SimpleNamespace(dataset=one), lambda _: [Run(method)]
    scan.found(lab, [method])
    assert seen[0].flatten().tolist() == [4, 5]
    fitted = {}
    monkeypatch.setattr(scan, "kmeans", lambda z, k, seed, **how: fitted.update(how) or torch.arange(len(z)))
    assert scan.kmeans_of_features(lab)[0].tolist() == [4, 5]
    assert fitted["fit_on"].tolist() == [0, 1, 2, 3]


def test_both_steps_learn_on_views_and_the_third_leaves_the_second_as_it_was(groups):
    images, _, pretext = groups
    shown = []
    method = scan.SCAN(pretext.encoder, lambda x: shown.append(x) or torch.zeros(len(x), 1, 6, 6), clusters=3).eval()
    grey = method.logits(torch.zeros(10, 1, 6, 6))
    torch.testing.assert_close(method((images[:10], images[10:20])), scan.scan_loss(grey, grey))
    assert [len(x) for x in shown] == [10, 10]
    further = scan.SelfLabelling(method, threshold=0.2).eval()
    weak = method.logits(images[:10].float() / 255)
    torch.testing.assert_close(further(images[:10]), scan.self_label_loss(weak, grey, 0.2))
    before = [weight.clone() for weight in method.parameters()]
    scan.self_label(method, images, threshold=0.2, epochs=1)
    assert all(torch.equal(old, new) for old, new in zip(before, method.parameters(), strict=True))
