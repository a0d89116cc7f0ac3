"""Arora's bound: never violated, tight without spread; collisions, losses and classifiers against enumeration."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.theory import bounds


def latent(seed, classes=4, points=5, dim=3, spread=0.5):
    generator = torch.Generator().manual_seed(seed)
    centre = 2 * torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    y = torch.arange(classes).repeat_interleave(points)
    return centre[y] + spread * torch.randn(len(y), dim, generator=generator, dtype=torch.float64), y


def shares(seed, classes=4):
    p = 0.1 + torch.rand(classes, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    return p / p.sum()


def slow_loss(v, kind):
    v = torch.as_tensor(v)
    return math.log2(1 + (-v).exp().sum()) if kind == "logistic" else max(0.0, 1 + (-v).max().item())


@pytest.mark.parametrize("kind", ["logistic", "hinge"])
def test_losses_are_those_of_every_triple(kind):
    z, y = (part[1:] for part in latent(0, classes=3, points=3))  # classes of two and of three points
    rho = shares(0, 3)
    total, different, tau = 0.0, 0.0, sum(p**2 for p in rho.tolist())
    for c, d in itertools.product(range(3), repeat=2):
        own, other = z[y == c], z[y == d]
        mean = sum(slow_loss([x @ (p - n)], kind) for x in own for p in own for n in other)
        mean /= len(own) ** 2 * len(other)
        total += rho[c] * rho[d] * mean
        different += rho[c] * rho[d] * mean * (c != d)
    found = bounds.contrastive_losses(z, y, rho, kind)
    assert found.total == pytest.approx(float(total), rel=1e-12)
    assert found.different == pytest.approx(float(different) / (1 - tau), rel=1e-12)
    assert found.total == pytest.approx((1 - tau) * found.different + tau * found.same, rel=1e-12)

    w = torch.stack([z[y == c].mean(0) for c in range(3)])
    torch.testing.assert_close(bounds.mean_classifier(z, y), w)
    assert bounds.contrastive_losses(z, y, kind=kind) == bounds.contrastive_losses(z, y, y.bincount() / 8.0, kind)
    own = bounds.mean_classifier_loss(z, y, rho, kind, classifier=w)
    assert own == pytest.approx(bounds.mean_classifier_loss(z, y, rho, kind), rel=1e-12)
    assert bounds.mean_classifier_loss(z, y, rho, kind, classifier=0 * w) == pytest.approx(1)  # all margins are 0
    with pytest.raises(ValueError, match="a row for each of the 3 classes of y, not 2"):
        bounds.mean_classifier_loss(z, y, classifier=w[:2])
    tasks = [(c, d) for c in range(3) for d in range(3) if c != d]
    expected = sum(
        rho[c] * rho[d] * sum(slow_loss([x @ (w[c] - w[d])], kind) for x in z[y == c]) / (y == c).sum()
        for c, d in tasks
    )
    assert bounds.mean_classifier_loss(z, y, rho, kind) == pytest.approx(float(expected) / (1 - tau), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    classes=st.integers(2, 6),
    spread=st.sampled_from([0.0, 0.3, 3.0, 30.0]),
    kind=st.sampled_from(["logistic", "hinge"]),
)
def test_the_bound_is_never_violated(seed, classes, spread, kind):
    z, y = latent(seed, classes, spread=spread)
    rho = shares(seed, classes)
    loss = bounds.contrastive_losses(z, y, rho, kind)
    supervised = bounds.mean_classifier_loss(z, y, rho, kind)
    assert supervised <= loss.different + 1e-9  # Jensen, pair by pair
    assert supervised <= bounds.supervised_bound(loss.total, rho, kind=kind) + 1e-9
    assert loss.same >= 1 - 1e-9  # what a collision costs at least


def test_without_spread_it_is_an_equality_and_forgetting_tau_is_no_bound():
    z, y = latent(3, spread=0.0)
    rho = shares(3)
    loss, supervised = bounds.contrastive_losses(z, y, rho).total, bounds.mean_classifier_loss(z, y, rho)
    assert bounds.supervised_bound(loss, rho) == pytest.approx(supervised, rel=1e-12)
    assert bounds.intraclass_deviation(z, y, rho) == pytest.approx(0, abs=1e-12)
    assert loss - bounds.collision_probability(rho) < supervised  # L_un − τ alone


@pytest.mark.parametrize("negatives", [1, 2])
@pytest.mark.parametrize("kind", ["logistic", "hinge"])
def test_several_negatives_by_enumeration(negatives, kind):
    """E over all classes and points: L_un with k negatives against the mean classifier on the classes drawn."""
    z, y = latent(1, classes=3, points=2, spread=0.4)
    rho = shares(1, 3)
    w = bounds.mean_classifier(z, y)
    loss = tau = collisions = supervised = 0.0
    for c, *others in itertools.product(range(3), repeat=negatives + 1):
        p = math.prod(rho[i].item() for i in (c, *others))
        points = [z[y == i] for i in others]
        for x, plus in itertools.product(z[y == c], repeat=2):
            for minus in itertools.product(*points):
                loss += p * slow_loss([x @ (plus - m) for m in minus], kind) / 2 ** (negatives + 2)
        same = others.count(c)
        tau += p * (same > 0)
        collisions += p * slow_loss(torch.zeros(same), kind) if same else 0.0
        if not same:
            supervised += p * sum(slow_loss([x @ (w[c] - w[d]) for d in set(others)], kind) for x in z[y == c]) / 2
    assert bounds.collision_probability(rho, negatives) == pytest.approx(tau, rel=1e-12)
    assert bounds.collision_loss(rho, negatives, kind) == pytest.approx(collisions, rel=1e-12)
    assert supervised / (1 - tau) <= bounds.supervised_bound(loss, rho, negatives, kind) + 1e-12


def test_drawn_losses_are_the_exact_ones_up_to_noise():
    z, y = (part[3:] for part in latent(1, spread=0.4))
    rho, generator = shares(1), torch.Generator().manual_seed(0)
    found = bounds.sampled_losses(z, y, 1, 200_000, generator, rho)
    assert found.contrastive == pytest.approx(bounds.contrastive_losses(z, y, rho).total, abs=0.01)
    assert found.supervised == pytest.approx(bounds.mean_classifier_loss(z, y, rho), abs=0.01)
    assert found.collisions == pytest.approx(bounds.collision_probability(rho), abs=0.005)
    again = bounds.sampled_losses(z, y, 3, 1000, torch.Generator().manual_seed(1), rho)
    assert again == bounds.sampled_losses(z, y, 3, 1000, torch.Generator().manual_seed(1), rho)
    assert again.collisions == pytest.approx(bounds.collision_probability(rho, 3), abs=0.06)
    assert again.supervised <= bounds.supervised_bound(again.contrastive, rho, 3)


def test_many_negatives_overflow_nothing():
    rho = torch.full((10,), 0.1)
    assert bounds.collision_probability(rho, 5000) == pytest.approx(1)
    assert bounds.collision_loss(rho, 5000) == pytest.approx(math.log2(501), rel=0.01)
    assert bounds.collision_probability(torch.full((10**5,), 1e-5)) == pytest.approx(1e-5, rel=1e-6)
    assert bounds.margin_loss(torch.tensor([-1e4])).item() == pytest.approx(1e4 / math.log(2))


def test_spread_within_classes_is_the_largest_eigenvalue_of_their_covariance():
    z, y = latent(2)
    rho = shares(2)
    expected = sum(
        rho[c] * torch.linalg.eigvalsh(torch.cov(z[y == c].T, correction=0))[-1].sqrt() * z[y == c].norm(dim=1).mean()
        for c in range(4)
    )
    assert bounds.intraclass_deviation(z, y, rho) == pytest.approx(expected.item(), rel=1e-10)


def test_what_cannot_be_used_is_refused():
    z, y = latent(0)
    with pytest.raises(ValueError, match="every class from 0"):
        bounds.contrastive_losses(z, y + 1)
    with pytest.raises(ValueError, match="add up to 1"):
        bounds.contrastive_losses(z, y, torch.ones(4))
    with pytest.raises(ValueError, match="y must hold classes from 0 on, not -1"):
        bounds.contrastive_losses(z, y - 1)
    with pytest.raises(ValueError, match="at least one margin an item"):
        bounds.margin_loss(torch.ones(3, 0))
    with pytest.raises(ValueError, match="for each of the 4 classes"):
        bounds.mean_classifier_loss(z, y, torch.full((5,), 0.2))
    with pytest.raises(ValueError, match="negatives must be at least 1"):
        bounds.collision_probability(torch.full((2,), 0.5), 0)
    with pytest.raises(ValueError, match="no loss named 'logistik'"):
        bounds.margin_loss(z, "logistik")
    for kind in ("logistc", "Hinge"):
        with pytest.raises(ValueError, match=f"no loss named '{kind}'"):
            bounds.collision_loss(torch.full((2,), 0.5), 3, kind)
        with pytest.raises(ValueError, match=f"no loss named '{kind}'"):
            bounds.supervised_bound(1.2, torch.full((2,), 0.5), 3, kind)
