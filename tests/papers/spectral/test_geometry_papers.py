"""Bounds, CARE, alignment and uniformity, multicut, feature selection, rate reduction: what their papers' files add."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from labkit.data import load
from labkit.losses import alignment, equivariance, nt_xent, uniformity
from labkit.methods import scaled
from labkit.papers.spectral import _dense, alignment_uniformity, arora, care, inf_fs, multicut, rate_reduction
from labkit.theory import bounds, sphere
from labkit.theory.feature_selection import feature_graph, infinite_scores
from labkit.train import fit, seeded


def test_pairs_are_of_one_class_and_every_item_comes_once_an_epoch():
    items, y = torch.arange(40.0)[:, None], torch.arange(40) % 3
    (batch,) = arora.LatentPairs(items, y, size=40)
    first, second = batch[:, 0, 0].long(), batch[:, 1, 0].long()
    assert torch.equal(y[first], y[second])
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(40))
    torch.manual_seed(1)
    assert not torch.equal(next(iter(arora.LatentPairs(items, y, 40))), batch)


def test_arora_s_loss_is_that_of_the_theory():
    """With all others as negatives, drawn often, the batch's loss is the mean over its pairs i ≠ j."""
    pairs = torch.randn(6, 2, 3)
    method = arora.LatentClassContrast(nn.Identity(), negatives=1)
    with seeded(0):
        mean = torch.stack([method(pairs) for _ in range(1500)]).mean()
    z, positive = pairs[:, 0], pairs[:, 1]
    losses = [
        bounds.margin_loss((z[i] @ (positive[i] - positive[j]))[None]) for i in range(6) for j in range(6) if i != j
    ]
    assert mean.item() == pytest.approx(torch.stack(losses).mean().item(), rel=0.06)
    with pytest.raises(ValueError, match="must hold pairs"):
        method.check(torch.ones(5, 3))


def test_encoders_are_compared_at_one_length_by_means_of_training_images():
    digits, length = load("digits"), arora.LENGTH
    with seeded(0):
        method = arora.ONE.build(digits)
    found = arora.mean_classifier_on_test(method, digits, 5)
    train, test = (arora.first_classes(digits, 5, part) for part in ("train", "test"))
    z, new = (method.embed(digits.images[rows]).double() for rows in (train, test))
    factor = length / z.norm(dim=1).mean()
    means = torch.stack([factor * z[digits.labels[train] == c].mean(0) for c in range(5)])
    logits, y = factor * new @ means.T, digits.labels[test]
    assert found[1] == pytest.approx((logits.argmax(1) == y).double().mean().item())
    assert found[0] == pytest.approx(bounds.mean_classifier_loss(factor * new, y, classifier=means))
    with torch.no_grad():
        for weight in method.parameters():
            weight *= 3
    assert arora.mean_classifier_on_test(method, digits, 5) == pytest.approx(found, rel=1e-5)


def test_hues_turn_and_angles_add_up():
    images = scaled(load("coloured-digits").images[:50]).double()
    hue = care.hue(images)
    turned = care.turn_hue(images, torch.full((50,), 0.7, dtype=torch.float64))
    difference = torch.remainder(care.hue(turned) - hue - 0.7 + math.pi, 2 * math.pi) - math.pi
    assert difference.abs().max() < 1e-3  # pixels are rounded to 256 steps
    again = care.turn_hue(turned, torch.full((50,), 0.5, dtype=torch.float64))
    at_once = care.turn_hue(images, torch.full((50,), 1.2, dtype=torch.float64))
    assert (again - at_once).abs().max() < 0.01  # clamped at 0 and 1
    torch.testing.assert_close(care.turn_hue(images, torch.zeros(50).double()), images)


def test_a_chunk_shares_its_augmentation():
    images = load("coloured-digits").images[:1].repeat(12, 1, 1, 1)
    torch.manual_seed(0)
    moved = care.recolour(images, draws=3)
    for chunk in moved.split(4):
        assert torch.equal(chunk, chunk[:1].expand_as(chunk))
    assert not torch.equal(moved[0], moved[4])
    each = care.recolour(images, draws=12)
    assert len({tuple(image.flatten().tolist()) for image in each}) == 12
    assert moved.shape == images.shape
    assert 0 <= moved.min() <= moved.max() <= 1


def test_what_cannot_be_recoloured_is_named():
    images = load("coloured-digits").images[:12]
    for draws in (0, 5, 24):
        with pytest.raises(ValueError, match=f"draws must divide the 12 images into equal parts, not {draws}"):
            care.recolour(images, draws)
    with pytest.raises(ValueError, match=r"images must be .* not .12, 1, 8, 8. and .12."):
        care.recolour(images[:, :1], 12)
    with pytest.raises(ValueError, match=r"one for each; not .* and .1."):
        care.turn_hue(images, torch.zeros(1))


def test_care_is_infonce_and_equivariance():
    images = load("coloured-digits").images[:32]
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    identity = care.CARE(encoder, lambda x, draws: scaled(x), weight=3.0, chunks=4, temperature=0.2)
    z = normalize(encoder(scaled(images)), dim=1)
    torch.testing.assert_close(identity(images), nt_xent(z, z, 0.2))  # nothing changed: equivariant
    doubled = care.CARE(encoder, _alternating(), weight=3.0, chunks=4, invariance=False)
    flipped = normalize(encoder(scaled(images).flip(3)), dim=1)
    expected = (uniformity(z) + uniformity(flipped)) / 2 + 3 * equivariance(z, flipped, 4)
    torch.testing.assert_close(doubled(images), expected)
    released = care.CARE(encoder, _alternating(), weight=3.0, chunks=4, variant="released")
    expected = nt_xent(z, flipped, 0.5) + 3 * equivariance(z, flipped, 4, "released")
    torch.testing.assert_close(released(images), expected)
    assert identity.embed(images).norm(dim=1).allclose(torch.ones(32))
    with pytest.raises(ValueError, match="4 chunks do not divide a batch of 30"):
        identity.check(images[:30])


def _alternating():
    """Untouched, mirrored, untouched, mirrored ..."""
    calls = []

    def augment(images, draws):
        calls.append(draws)
        return scaled(images) if len(calls) % 2 else scaled(images).flip(3)

    return augment


def test_a_method_that_turns_with_the_hue_is_recognised():
    """The mean colour and the grey level rotate exactly with the hue: all is kept, all is explained, all multiplies."""

    class MeanColour(care.CARE):
        def __init__(self):
            super().__init__(nn.Identity(), care.recolour)

        def embed(self, images):
            return normalize(scaled(images).mean((2, 3)), dim=1)

    images, method = load("coloured-digits"), MeanColour()
    assert care.colour_kept(method.embed(images.images), images) > 0.99
    assert care.explained_by_rotation(method, images) > 0.99
    z, a, b, ab = (care.embed_turned(method, images, angle) for angle in (0.0, 1.0, 0.7, 1.7))
    assert sphere.composition(z, a, b, ab).error < 1e-3
    torch.manual_seed(0)
    assert abs(care.colour_kept(torch.randn(len(images), 8), images)) < 0.1


def test_the_rotation_is_tested_on_other_images_than_it_is_fitted_to():
    """One that takes training images one way round and test images the other explains nothing of the latter."""
    images = load("coloured-digits")
    z = normalize(torch.randn(len(images), 2, generator=torch.Generator().manual_seed(0)), dim=1)
    quarter, there = torch.tensor([[0.0, -1.0], [1.0, 0.0]]), z.clone()
    there[images.splits["train"]] = z[images.splits["train"]] @ quarter.T
    there[images.splits["test"]] = z[images.splits["test"]] @ quarter
    calls = iter((z, there))

    class Turning(care.CARE):
        def __init__(self):
            super().__init__(nn.Identity(), care.recolour)

        def embed(self, images):
            return next(calls)

    assert care.explained_by_rotation(Turning(), images) == pytest.approx(-1, abs=1e-4)


def test_patches_have_two_floors():
    untrained = [alignment_uniformity.dense_accuracy(radius, 0, scenes=16, epochs=0) for radius in (0, 13)]
    assert untrained[0] == untrained[1]  # pairs decide nothing before training
    assert untrained[0] != alignment_uniformity.dense_accuracy(13, 0, scenes=16, epochs=1)
    (train, y), (test, truth) = (_dense.patch_grids(count, seed=seed) for count, seed in ((16, 1), (4, 2)))
    known, asked = (normalize(grids.movedim(1, 3).flatten(0, 2), dim=1) for grids in (train[:4], test))
    votes = torch.nn.functional.one_hot(y[:4].flatten())[(asked @ known.T).topk(20).indices].sum(1)
    expected = (votes.argmax(1) == truth.flatten()).double().mean().item()
    assert alignment_uniformity.raw_patch_accuracy(0, scenes=16) == pytest.approx(expected, abs=0.03)  # ties, weights


def test_dense_pairs_stay_within_their_radius_and_the_grid():
    grids, kind = _dense.patch_grids(6, seed=3)
    assert grids.shape == (6, 16, 14, 14)
    assert all(len(one.unique()) <= 2 for one in kind)
    assert torch.equal(grids, _dense.patch_grids(6, seed=3)[0])
    where = torch.stack(torch.meshgrid(torch.arange(14.0), torch.arange(14.0), indexing="ij")).expand(6, 2, 14, 14)
    method = _dense.DensePairs(dim=2, out=2, radius=2, noise=0.0)
    method.encoder = nn.Identity()
    seen = []
    keep = _dense.losses.alignment
    _dense.losses.alignment = lambda a, b: seen.append((a, b)) or keep(a + 1, b + 1)
    try:
        method(where)
    finally:
        _dense.losses.alignment = keep
    a, b = seen[0]
    assert (a - b).abs().max() == 2
    assert 0 <= b.min() <= b.max() <= 13
    assert 100 < len(a) < 6 * 32  # some pairs would have left the grid


@pytest.mark.parametrize(("align", "uniform", "alpha", "t"), [(0.2, 1.0, 1.0, 8.0), (1.0, 0.02, 2.0, 0.5)])
def test_align_uniform_weighs_and_shapes_its_losses_as_its_recipe_says(align, uniform, alpha, t):
    name = f"alignment_uniformity/digits-{align:g}-{uniform:g}-alpha{alpha:g}-t{t:g}"
    (recipe,) = [one for one in alignment_uniformity.RECIPES if one.name == name]
    a, b = torch.randn(2, 9, 4, dtype=torch.float64)
    apart = (uniformity(a, t) + uniformity(b, t)) / 2
    found = recipe.build(load("digits")).loss(a, b)
    torch.testing.assert_close(found, align * alignment(a, b, alpha) + uniform * apart)


def test_align_uniform_trains_and_is_measured_on_the_sphere():
    images = load("digits")
    with seeded(0):
        method = alignment_uniformity.EQUAL.build(images)
    before = sum(alignment_uniformity.measure(method, images))
    fit(method, [images.images[:256]], epochs=15, lr=3e-3, progress=False)
    assert sum(alignment_uniformity.measure(method, images)) < before
    assert method.embed(images.images[:5]).norm(dim=1).allclose(torch.ones(5))
    assert alignment_uniformity.measure(method, images) == alignment_uniformity.measure(method, images)
    assert len({recipe.name for recipe in alignment_uniformity.RECIPES}) == 27


def test_the_explicit_graph_is_a_fair_control():
    features, y = multicut.planted(200, 5, seed=1)
    explicit, ours = (
        method(features.double(), 0.4) for method in (multicut.explicit_multicut, multicut.greedy_multicut)
    )
    assert multicut.rand_index(explicit.labels, ours.labels) == 1
    assert explicit.value == pytest.approx(ours.value, rel=1e-9)
    assert (explicit.merges, explicit.searches) == (ours.merges, ours.searches)
    assert multicut.rand_index(y, ours.labels) > 0.9


def test_rankings_leave_out_what_never_varies():
    x = load("digits").images[:300].flatten(1).double()
    varied = int((x.std(0) > 0).sum())
    for by in inf_fs.RANKINGS:
        ranked = inf_fs.ranking(x, by)
        assert len(ranked) == len(ranked.unique()) == varied
    assert torch.equal(inf_fs.ranking(x, "released"), inf_fs.ranking(x, "degree"))
    assert (x.std(0)[inf_fs.ranking(x, "spread")].diff() <= 0).all()
    seen = inf_fs.ranking(x, "random", 1).sort().values
    score = infinite_scores(feature_graph(x[:, seen]))
    assert torch.equal(inf_fs.ranking(x, "paper"), seen[score.argsort(descending=True)])
    assert not torch.equal(inf_fs.ranking(x, "random", 1), inf_fs.ranking(x, "random", 2))
    assert inf_fs.spearman(x[0].argsort(), x[0].argsort()) == pytest.approx(1)
    with pytest.raises(ValueError, match="no ranking named 'spred'; did you mean 'spread'"):
        inf_fs.ranking(x, "spred")
    for by in inf_fs.RANKINGS:
        with pytest.raises(ValueError, match="x has no feature that varies among its 5 items"):
            inf_fs.ranking(torch.full((5, 4), 0.3), by)


def test_subspaces_are_found_and_counted():
    z, y = rate_reduction.subspaces(4, rank=2, dim=12, each=25, seed=0)
    assert rate_reduction.rand_index(y, rate_reduction.cluster(z, 4)[4]) > 0.95
    assert rate_reduction.number_of_clusters(z, range(2, 8))[0] == 4
    assert z.norm(dim=1).allclose(torch.ones(100).double())
