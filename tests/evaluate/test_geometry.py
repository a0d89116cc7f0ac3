"""Geometry without labels: against slow sums at float64, closed forms and scikit-learn; and what must not matter."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import hyp0f1
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from torch.nn import functional as F

from labkit.evaluate import alignment, cka, effective_rank, trustworthiness, uniformity, uniformity_floor

SEEDS = st.integers(0, 10**6)


def drawn(seed, n=40, d=5):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed, d):
    return torch.linalg.qr(drawn(seed + 1, d, d))[0]


@pytest.mark.parametrize("alpha", [1, 2, 3.5])
def test_alignment_is_the_mean_distance_of_unit_vectors(alpha):
    a, b = drawn(0), drawn(1)
    expected = sum((x / x.norm() - y / y.norm()).norm() ** alpha for x, y in zip(a, b, strict=True)) / len(a)
    assert alignment(a, b, alpha) == pytest.approx(expected.item(), rel=1e-12)
    assert alignment(a, 3 * a) == pytest.approx(0, abs=1e-12)
    assert alignment(a, -a) == pytest.approx(4)


def test_views_that_agree_are_aligned_at_any_power():
    a = drawn(0)
    assert all(alignment(a, a, alpha) == 0 for alpha in (0.01, 0.5, 1, 2, 3))


@pytest.mark.parametrize("block", [1, 100, 10**6])
@pytest.mark.parametrize("t", [0.5, 2, 300])
def test_uniformity_is_the_log_of_the_mean_over_pairs(block, t, monkeypatch):
    monkeypatch.setattr("labkit.evaluate._neighbours._ELEMENTS", block)
    z = drawn(0)
    unit = z / z.norm(dim=1, keepdim=True)
    exponents = [-t * (unit[i] - unit[j]).square().sum() for i in range(40) for j in range(i + 1, 40)]
    expected = torch.stack(exponents).logsumexp(dim=0).item() - math.log(len(exponents))
    assert uniformity(z, t) == pytest.approx(expected, rel=1e-10)


def test_uniformity_of_points_that_coincide_is_zero():
    assert uniformity(torch.ones(5, 3)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("dim", "floor"), [(2, -1.5750), (3, -2.0798), (128, -3.9375)])
def test_uniformity_floor_has_its_published_values(dim, floor):
    assert uniformity_floor(dim) == pytest.approx(floor, abs=5e-5)


@pytest.mark.parametrize("dim", [1, 2, 3, 17, 128])
@pytest.mark.parametrize("t", [0.01, 2, 20])
def test_uniformity_floor_is_the_hypergeometric_function(dim, t):
    expected = math.log(hyp0f1(dim / 2, t**2)) - 2 * t
    assert uniformity_floor(dim, t) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_uniformity_floor_survives_where_the_function_overflows():
    # on a circle the floor is log(I_0(2t)) − 2t, which tends to −log(4πt)/2
    assert uniformity_floor(2, 1e5) == pytest.approx(-0.5 * math.log(4 * math.pi * 1e5), rel=1e-6)
    assert uniformity_floor(10**6) == pytest.approx(-4, abs=1e-4)


def test_uniformly_drawn_points_lie_at_the_floor_and_none_below():
    z = torch.randn(3000, 3)
    assert uniformity(z) == pytest.approx(uniformity_floor(3), abs=0.01)
    simplex = torch.eye(129, dtype=torch.float64) - 1 / 129
    basis = torch.linalg.svd(simplex)[0][:, :128]
    few = uniformity(simplex @ basis)
    assert uniformity_floor(128, items=129) <= few < uniformity_floor(128)


def test_effective_rank_counts_equal_singular_values():
    q = torch.linalg.qr(drawn(0, 30, 6))[0]
    for rank in (1, 3, 6):
        assert effective_rank(q[:, :rank] @ drawn(1, rank, rank).fill_(0).fill_diagonal_(2)) == pytest.approx(rank)
    s = torch.tensor([4.0, 2.0, 1.0, 1.0], dtype=torch.float64)
    p = s / s.sum()
    assert effective_rank(q[:, :4] * s) == pytest.approx(torch.exp(-(p * p.log()).sum()).item())


def test_cka_is_the_kernel_form():
    a, b = drawn(0, d=5), drawn(1, d=9) + drawn(0, d=9)
    centre = torch.eye(40, dtype=torch.float64) - 1 / 40
    k, l = (centre @ x @ x.T @ centre for x in (a, b))
    assert cka(a, b) == pytest.approx(((k * l).sum() / (k.norm() * l.norm())).item(), rel=1e-10)
    assert 0 < cka(a, b) < 1


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_rotation_and_scale_do_not_matter(seed, scale):
    z, other = drawn(seed), drawn(seed + 7, d=3)
    turned = scale * z @ rotation(seed, 5)
    assert effective_rank(turned) == pytest.approx(effective_rank(z), rel=1e-9)
    assert uniformity(turned) == pytest.approx(uniformity(z), rel=1e-9)
    assert cka(turned, other) == pytest.approx(cka(z, other), rel=1e-9)
    assert cka(turned + 3, z) == pytest.approx(1)
    assert trustworthiness(turned, other, k=4) == pytest.approx(trustworthiness(z, other, k=4), rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_items_does_not_matter(seed):
    z, other = drawn(seed), drawn(seed + 7)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    for measure in (alignment, cka, lambda a, b: trustworthiness(a, b[:, :2], k=5), lambda a, b: uniformity(a)):
        assert measure(z[order], other[order]) == pytest.approx(measure(z, other), rel=1e-9)


@pytest.mark.parametrize("k", [1, 5, 15, 40])
@pytest.mark.parametrize("block", [1, 5000, 10**7])
def test_trustworthiness_is_scikit_learns(k, block, monkeypatch):
    monkeypatch.setattr("labkit.evaluate._neighbours._ELEMENTS", block)
    z = drawn(3, 120, 8)
    xy = z[:, :2] + 0.3 * drawn(4, 120, 2)
    expected = sklearn_trustworthiness(z.numpy(), xy.numpy(), n_neighbors=k)
    assert trustworthiness(z, xy, k) == pytest.approx(expected, abs=1e-10)
    assert trustworthiness(z, z, k) == 1


def test_trustworthiness_far_from_the_origin_is_the_same():
    z, xy = drawn(3, 60, 4), drawn(4, 60, 2)
    assert trustworthiness(z + 1e8, xy, 5) == pytest.approx(trustworthiness(z, xy, 5), abs=1e-3)


def test_equal_distances_share_their_mean_rank():
    """Corners of a square: both neighbours along the sides tie for ranks 1 and 2, so each has 1.5."""
    z = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1], [9, 9], [20, 3]])
    xy = torch.tensor([[0.0], [1.0], [2.1], [3.3], [9.0], [20.0]])
    # nearest on the line: 0->1 (1.5), 1->0 (1.5), 2->1 (1.5), 3->2 (1.5), 4->3, 5->4
    ranks = [1.5, 1.5, 1.5, 1.5]
    for i, j in ((4, 3), (5, 4)):
        distance = (z - z[i]).norm(dim=1)
        others = [d for n, d in enumerate(distance) if n != i]
        below, equal = sum(d < distance[j] for d in others), sum(d == distance[j] for d in others)
        ranks.append(float(below + (equal + 1) / 2))
    strangers = sum(max(0, rank - 1) for rank in ranks)
    assert trustworthiness(z, xy, k=1) == pytest.approx(1 - 2 / (6 * 1 * (12 - 3 - 1)) * strangers)


GOOD = torch.randn(10, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: alignment(GOOD, GOOD[:9]), "a and b must have the same shape"),
        (lambda: alignment(GOOD, GOOD, alpha=0), "alpha must be a positive"),
        (lambda: alignment(GOOD, GOOD * (torch.arange(10) > 3)[:, None]), "row 0 of b is zero and has no direction"),
        (lambda: uniformity(GOOD[:1]), "z has 1 rows; at least 2 are needed"),
        (lambda: uniformity(GOOD, t=-1), "t must be a positive"),
        (lambda: uniformity_floor(0), "dim must be at least 1"),
        (lambda: uniformity_floor(3, items=1), "items at least 2"),
        (lambda: effective_rank(0 * GOOD), "z is zero everywhere"),
        (lambda: effective_rank(GOOD / 0), "z holds NaN or infinite values"),
        (lambda: cka(GOOD, GOOD[:9]), "must hold the same items, not 10 and 9 rows"),
        (lambda: cka(GOOD, torch.ones(10, 2)), "all rows of b are the same"),
        (lambda: trustworthiness(GOOD, GOOD[:, :2], k=5), "fewer than half of the 10 items, not 5"),
        (lambda: trustworthiness(GOOD, GOOD[:9], k=2), "the same items, not 10 and 9 rows"),
        (lambda: trustworthiness(GOOD, GOOD.flatten(), k=2), r"xy must have shape \[items, dim\], not \[30\]"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_nothing_asks_for_gradients():
    z = torch.randn(20, 4, requires_grad=True)
    assert isinstance(alignment(z, F.normalize(z)), float)
    assert isinstance(uniformity(z) + effective_rank(z) + cka(z, z) + trustworthiness(z, z[:, :2], k=3), float)


@pytest.mark.parametrize("far", [1e4, 1e7])
def test_trustworthiness_of_the_others_does_not_depend_on_one_far_item(far):
    z = torch.randn(200, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    xy = z[:, :6].clone()
    z[0] = far
    assert trustworthiness(z, xy, 5) == pytest.approx(sklearn_trustworthiness(z.numpy(), xy.numpy(), n_neighbors=5))
