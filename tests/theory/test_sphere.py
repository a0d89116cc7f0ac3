"""The sphere: floors for n points, rotations found again, distances that a rotation leaves alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch.nn.functional import normalize

from labkit.evaluate import uniformity
from labkit.theory import sphere


def drawn(seed, n=64, d=6):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed, d=6):
    return torch.linalg.qr(drawn(seed, d, d))[0]


def simplex(n):
    corners = torch.eye(n, dtype=torch.float64) - 1 / n
    return normalize(corners @ torch.linalg.svd(corners)[0][:, : n - 1])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 30), d=st.integers(1, 12), t=st.sampled_from([0.1, 1.0, 2.0, 9.0]))
def test_no_points_lie_below_the_floor_for_so_many(seed, n, d, t):
    assert uniformity(drawn(seed, n, d), t) >= sphere.uniformity_floor(d, t, items=n) - 1e-9


@pytest.mark.parametrize("n", [2, 5, 129])
def test_a_simplex_lies_on_the_floor(n):
    assert uniformity(simplex(n)) == pytest.approx(sphere.uniformity_floor(n - 1, items=n), abs=1e-9)
    assert uniformity(simplex(n)) == pytest.approx(-4 * n / (n - 1), abs=1e-9)
    assert uniformity(simplex(n)) < sphere.uniformity_floor(n - 1)


@pytest.mark.parametrize("t", [1e-4, 0.03, 2.0, 300.0])
def test_the_floor_of_a_line_is_that_of_its_two_points(t):
    assert sphere.uniformity_floor(1, t) == pytest.approx(math.log((1 + math.exp(-4 * t)) / 2), rel=1e-10)


def test_pairs_with_themselves_are_what_n_points_lack():
    n, floor = 500, sphere.uniformity_floor(3)
    whole = math.log((n * math.exp(floor) - 1) / (n - 1))
    assert sphere.uniformity_floor(3, items=n) == pytest.approx(whole)


@pytest.mark.parametrize("seed", range(5))
def test_a_rotation_is_found_again(seed):
    z, r = drawn(seed), rotation(seed + 100)
    torch.testing.assert_close(sphere.wahba(z, z @ r.T), r, rtol=0, atol=1e-12)
    assert sphere.wahba_error(z, z @ r.T) < 1e-24
    noisy = normalize(normalize(z) @ r.T + 0.1 * drawn(seed + 7))
    found = sphere.wahba(normalize(z), noisy)
    torch.testing.assert_close(found @ found.T, torch.eye(6).double(), rtol=0, atol=1e-12)
    assert 0.02 < torch.linalg.matrix_norm(found - r) < 0.25  # the notes: 0.117


def test_no_orthogonal_matrix_does_better():
    source, target = drawn(0), drawn(1)
    best = sphere.wahba_error(source, target)
    for seed in range(200):
        small = torch.linalg.matrix_exp(0.1 * (drawn(seed, 6, 6) - drawn(seed, 6, 6).T))
        for other in (rotation(seed), sphere.wahba(source, target) @ small):
            assert (target - source @ other.T).square().sum(1).mean() >= best - 1e-12


def test_a_proper_rotation_has_no_reflection():
    z, mirror = drawn(0), torch.diag(torch.tensor([1.0, 1, 1, 1, 1, -1]).double())
    assert torch.linalg.det(sphere.wahba(z, z @ mirror)) == pytest.approx(-1)
    proper = sphere.wahba(z, z @ mirror, proper=True)
    assert torch.linalg.det(proper) == pytest.approx(1)
    assert sphere.wahba_error(z, z @ mirror, proper=True) > 0.1


@pytest.mark.parametrize("sign", [1, -1])  # one of the two has a reflection for its best orthogonal matrix
def test_the_proper_rotation_is_the_best_without_a_reflection(sign):
    source, target = drawn(0, 20, 3), drawn(1, 20, 3) * torch.tensor([1, 1, sign])
    expected = Rotation.align_vectors(target.numpy(), source.numpy())[0].as_matrix()
    torch.testing.assert_close(sphere.wahba(source, target, proper=True), torch.from_numpy(expected))
    assert (torch.linalg.det(sphere.wahba(source, target)) > 0) == (sign < 0)


def test_angles_are_those_of_the_planes():
    turn = torch.linalg.matrix_exp(torch.tensor([[0, -0.7], [0.7, 0]], dtype=torch.float64))
    blocks = torch.block_diag(turn, torch.eye(1).double(), -torch.eye(1).double())
    r = rotation(3, 4)
    angles = sphere.rotation_angles(r @ blocks @ r.T)
    assert (angles.diff() >= 0).all()
    assert angles.abs().sort().values.tolist() == pytest.approx([0, 0.7, 0.7, math.pi], abs=1e-9)


def test_relative_equivariance_is_zero_for_rotations_and_as_the_slow_sum_elsewhere():
    z, other = drawn(0, 9), drawn(1, 9)
    assert sphere.relative_equivariance(z, z @ rotation(5).T) < 1e-24
    d = [((z[i] - z[j]).square().sum(), (other[i] - other[j]).square().sum()) for i in range(9) for j in range(i)]
    expected = sum((b - a) ** 2 for a, b in d) / sum((a + b) ** 2 for a, b in d)
    assert sphere.relative_equivariance(z, other).item() == pytest.approx(expected.item(), rel=1e-12)
    with pytest.raises(ValueError, match="one point"):
        sphere.relative_equivariance(torch.ones(3, 2), torch.ones(3, 2))
    with pytest.raises(ValueError, match="before must hold at least 2 items"):
        sphere.relative_equivariance(torch.ones(1, 2), torch.ones(1, 2))


def test_rotations_multiply_as_they_are_applied():
    z, a, b = drawn(0), rotation(1), rotation(2)
    found = sphere.composition(z, z @ a.T, z @ b.T, z @ (a @ b).T)
    assert found.error < 1e-12
    torch.testing.assert_close(found.both, a @ b, rtol=0, atol=1e-12)
    assert sphere.composition(z, z @ a.T, z @ b.T, drawn(9)).error > 0.5


def test_what_cannot_be_used_is_refused():
    for items, dim, named in ((0, 3, "items"), (3, 0, "dim")):
        with pytest.raises(ValueError, match=f"{named} must be at least 1, not 0"):
            sphere.concentrated_points(items, dim)
    with pytest.raises(ValueError, match="of target must be the"):
        sphere.wahba(drawn(0), drawn(0, 5))
    with pytest.raises(ValueError, match="target holds NaN"):
        sphere.wahba(drawn(0), drawn(0).fill_(math.nan))
