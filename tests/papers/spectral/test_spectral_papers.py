"""The papers of the spectral theme: their own pieces against slow references."""

import itertools
import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from scipy.linalg import eigh

from labkit.data import load
from labkit.losses import kernel_nt_xent
from labkit.papers.spectral import augmentation_kernel, dimensional_collapse, kernel_infonce, local_global
from labkit.papers.spectral import spectral_contrastive as haochen
from labkit.theory import augmentation, factorisation
from labkit.theory.spectral import laplacian, planted_graph, swap_graph


def test_cross_entropy_of_graphs_on_a_graph_of_certain_pairs():
    z = torch.randn(4, 2, dtype=torch.float64)
    kernel = (-torch.cdist(z, z).square() / 0.8).exp().fill_diagonal_(0)
    drawn = kernel / kernel.sum(1, keepdim=True)
    expected = -sum(math.log(drawn[i, (i + 2) % 4]) for i in range(4))
    found = kernel_infonce.cross_entropy_of_graphs(swap_graph(2), z, 0.4)
    assert found.item() == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="2 to 6 objects"):
        kernel_infonce.cross_entropy_of_graphs(swap_graph(4), z, 0.4)


@pytest.mark.parametrize("kind", augmentation.FAMILIES)
def test_enumerated_masks_are_probabilities_with_the_right_kernel(kind):
    p = augmentation_kernel.enumerated_masks(kind, 4, 0.5)
    torch.testing.assert_close(p.sum(1), torch.ones(16, dtype=torch.float64))
    values, _ = augmentation.masking_spectrum(kind, 4, 0.5)
    torch.testing.assert_close(augmentation.spectrum(p)[0], values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", augmentation.FAMILIES)
def test_drawn_masks_hide_the_share_that_was_asked_for(kind):
    kept, sign = augmentation_kernel.draw_masks(kind, 0.25, (4000, 16), torch.Generator().manual_seed(0))
    if kind == "random":
        assert kept.float().mean().item() == pytest.approx(0.75, abs=0.01)
    else:
        hidden = ~kept
        assert (hidden.sum(1) == 4).all()
        assert (hidden.int().diff(dim=1).abs().sum(1) <= 2).all()  # in one piece
        assert hidden.any(0).all()
    flipped = (sign < 0).float().mean().item()
    assert flipped == pytest.approx(0.125 if "flip" in kind else 0, abs=0.01)


def test_the_encoder_prefers_what_masks_leave_alone():
    """Three groups that differ everywhere, and noise: the groups survive half of the pixels, noise does not."""
    generator = torch.Generator().manual_seed(0)
    group = torch.arange(300) % 3
    x = 2 * torch.randn(3, 24, generator=generator)[group] + torch.randn(300, 24, generator=generator)
    x = x - x.mean(0)
    z, values = augmentation_kernel.top_d_encoder(x, torch.arange(200), "random", 0.5, d=6, features=64, seed=1)
    assert (values.diff() <= 0).all()
    assert 0 <= values.min() <= values.max() <= 1
    held = z[200:, :2]
    centres = torch.stack([z[:200][group[:200] == g][:, :2].mean(0) for g in range(3)])
    assert (torch.cdist(held, centres).argmin(1) == group[200:]).float().mean() > 0.95
    again, _ = augmentation_kernel.top_d_encoder(x, torch.arange(200), "random", 0.5, d=6, features=64, seed=1)
    assert torch.equal(z, again)


def test_the_encoder_solves_its_eigenproblem():
    """From the same draws: of all g the most alike on two augmentations of one x, at mean square 1."""
    x, train, (features, views) = (
        torch.randn(40, 6, generator=torch.Generator().manual_seed(1)),
        torch.arange(30),
        (5, 3),
    )
    z, values = augmentation_kernel.top_d_encoder(x, train, "block + flip", 0.5, 4, features, views, seed=2)
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(6, features, generator=generator) / torch.pdist(x[train]).median()
    phase = 2 * math.pi * torch.rand(features, generator=generator)
    masks = [augmentation_kernel.draw_masks("block + flip", 0.5, (40, 6), generator) for _ in range(views)]
    seen = torch.stack([torch.cos((x * kept * sign) @ weight + phase) for kept, sign in masks]).double()
    seen = seen - seen[:, train].flatten(0, 1).mean(0)
    mine = seen[:, train]
    second = sum(v.T @ v for v in mine) / (views * 30)
    across = sum(mine[i].T @ mine[j] for i in range(views) for j in range(views) if i != j) / (views * (views - 1) * 30)
    second += 1e-4 * second.diagonal().mean() * torch.eye(features)
    expected, vectors = (torch.from_numpy(part).flip(-1)[..., :4] for part in eigh(across.numpy(), second.numpy()))
    torch.testing.assert_close(values, expected.clamp(min=0), rtol=1e-4, atol=1e-5)
    found = seen.mean(0) @ vectors * expected.clamp(min=0).sqrt()
    torch.testing.assert_close(z.double() @ z.double().T, found @ found.T, rtol=1e-3, atol=1e-4)


def test_token_errors_are_those_of_ridge_regression_and_as_predicted():
    found = augmentation_kernel.token_errors(torch.tensor([0.5]), length=5, degree=2, labels=12, seed=3)
    generator = torch.Generator().manual_seed(3)
    tokens = list(itertools.product((-1.0, 1.0), repeat=5))
    pairs = list(itertools.combinations(range(5), 2))
    v = torch.randn(10, dtype=torch.float64, generator=generator)
    v = v / v.norm()
    y = torch.tensor([sum(w * x[i] * x[j] for w, (i, j) in zip(v.tolist(), pairs, strict=True)) for x in tokens])
    rows = torch.randint(32, (12,), generator=generator)
    said = y[rows].double() + 0.1**0.5 * torch.randn(12, dtype=torch.float64, generator=generator)
    k = torch.tensor([[math.prod(1 + 0.5 * a * b for a, b in zip(x, z, strict=True)) for z in tokens] for x in tokens])
    k = k.double()
    fit = k[:, rows] @ torch.linalg.solve(k[rows][:, rows] + 1e-3 * torch.eye(12, dtype=torch.float64), said)
    torch.testing.assert_close(found[0], (fit - y).square().mean(), rtol=1e-6, atol=1e-8)


def test_descents_follow_their_gradients():
    pi, f = planted_graph(9, 3), torch.randn(9, 2, dtype=torch.float64)
    leaf = (f * 1.0).requires_grad_()
    factorisation.spectral_contrastive(pi, leaf).backward()
    weight = (pi.sum(1) / pi.sum())[:, None]
    torch.testing.assert_close(haochen.descend(pi, f, lr=0.1, steps=1), f - 0.1 * leaf.grad / weight)

    leaf = (f * 1.0).requires_grad_()
    centred = leaf - leaf.mean(0)
    gram = centred.T @ centred / 9 - torch.eye(2, dtype=torch.float64)
    (gram.square().sum() + 2 * 0.7 / 9 * torch.trace(leaf.T @ laplacian(pi) @ leaf)).backward()
    torch.testing.assert_close(local_global.descend(pi, f, 0.7, lr=0.1, steps=1), f - 0.1 * 9 * leaf.grad)


def test_the_linear_toy_descends_on_infonce():
    """One step of the batched toy against autograd on one run, for one layer and for two."""
    for layers in (1, 2):
        found = dimensional_collapse.train_toy((0.5,), (4,), layers, steps=1, lr=0.1)[0, 0]
        generator = torch.Generator().manual_seed(4)
        first = [48**-0.5 * torch.randn(1, 16, 16, generator=generator) for _ in range(layers)]
        x, n1, n2 = torch.randn(3, 1, 128, 16, generator=generator)
        strength = 0.5 * (torch.arange(16) >= 8)
        weights = [w[0].clone().requires_grad_() for w in first]
        whole = weights[0] if layers == 1 else weights[1] @ weights[0]
        a, b = (x + strength * n1)[0] @ whole.T, (x + strength * n2)[0] @ whole.T
        torch.nn.functional.cross_entropy(a @ b.T / 0.1, torch.arange(128)).backward()
        stepped = [w.detach() - 0.1 * w.grad for w in weights]
        expected = stepped[0] if layers == 1 else stepped[1] @ stepped[0]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_seed_of_the_toy_is_the_same_whatever_is_trained_beside_it():
    train = partial(dimensional_collapse.train_toy, (0.5,), layers=2, steps=3)
    both, other = train((0, 4))[0], train((1, 3))[0]  # seeds of the same sum
    torch.testing.assert_close(both[1], train((4,))[0, 0])
    assert not torch.isclose(both, other).any(dim=(1, 2)).all()


def test_the_descent_stands_still_at_laplacian_eigenmaps():
    pi, start = planted_graph(12, 3), torch.randn(12, 3, dtype=torch.float64)
    found = local_global.descend(pi, start, 0.5, steps=100_000, still=1e-9)
    torch.testing.assert_close(local_global.descend(pi, found, 0.5, steps=1), found, rtol=0, atol=1e-9)
    truth = factorisation.laplacian_eigenmaps(pi, 3, 0.5)[1]
    turned = truth @ torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q + 5
    assert local_global.gram_digits(found, turned) > 6
    other = truth[torch.randperm(12)]  # of the same variances
    assert local_global.gram_digits(other, truth) < 1


def test_shares_and_ranks_of_the_toy_by_hand():
    w = torch.zeros(2, 16, 16)
    w[0, 0, 0], w[0, 0, 15] = 2, 1  # columns: one clean, one augmented, of one row
    w[1, 3, 0], w[1, 5, 9] = 3, 1
    torch.testing.assert_close(dimensional_collapse.clean_share(w), torch.tensor([0.8, 0.9]))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    torch.testing.assert_close(dimensional_collapse.effective_rank(w), torch.tensor([1.0, math.exp(entropy)]))


@pytest.mark.parametrize("mixture", ["sum", "losses (as released)"])
def test_kernels_are_mixed_as_asked(mixture):
    encoder, kernels = torch.nn.Flatten(), ((2.0, 0.4), (1.0, 0.25))
    encoder.dim = 4
    a, b = torch.randn(2, 6, 1, 2, 2)
    views = iter((a, b))
    method = kernel_infonce.KernelInfoNCE(encoder, lambda x: next(views), kernels, mixture, torch.nn.Identity())
    found = method(torch.zeros(6, 1, 2, 2))
    torch.testing.assert_close(found, kernel_nt_xent(a.flatten(1), b.flatten(1), kernels=kernels, mixture=mixture))


def test_recipes_mix_as_they_are_named():
    images = SimpleNamespace(images=torch.zeros(1, 1, 8, 8))
    mixtures = {name: recipe.build(images).loss.keywords["mixture"] for name, recipe in kernel_infonce.BY_NAME.items()}
    assert mixtures["concatenation"] == "concatenation"
    assert mixtures["sum-of-losses"] == "losses (as released)"
    assert mixtures["sum"] == "sum"


def test_maskings_of_digits_have_a_row_for_each_masking():
    found = augmentation_kernel.digit_maskings(0, labels=50, items=100, features=32, views=2)
    assert set(found) == {("none", 0.0), *augmentation_kernel.MASKINGS}
    assert found["random", 0.5]["log2_complexity"] == pytest.approx(64 * math.log2(1.5))
    assert len(load("digits").splits["train"]) == 1257  # what the claims use
