"""The augmentation operator: closed forms against enumeration, bounds against random targets, risk against fits."""

import itertools
import math

import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.theory import augmentation
from labkit.theory.augmentation import FAMILIES, masking_complexity, masking_spectrum

M = 6
SHARES = {  # 0.3 of six tokens are 1.8: blocks mask two
    "random": (0.0, 0.15, 0.5, 0.9), "block": (1 / 6, 0.3, 0.5, 5 / 6), "block + flip": (1 / 6, 0.3, 0.5, 5 / 6),
}  # fmt: skip
CASES = [(kind, share) for kind in FAMILIES for share in SHARES[kind]]


def enumerated(kind, share):
    """p(a|x) for all 2^6 inputs and every augmentation, a tuple with None where a token is masked."""
    inputs = list(itertools.product((-1, 1), repeat=M))
    if kind == "random":
        masks = {
            kept: math.prod(1 - share if k else share for k in kept) for kept in itertools.product((0, 1), repeat=M)
        }
    else:
        width = round(share * M)
        places = range(M - width + 1)
        masks = {tuple(int(not s <= j < s + width) for j in range(M)): 1 / len(places) for s in places}
    flip = share / 2 if kind == "block + flip" else 0.0
    rows = []
    for x in inputs:
        chances = {}
        for kept, chance in masks.items():
            options = [((v, 1 - flip), (-v, flip)) if k else ((None, 1.0),) for v, k in zip(x, kept, strict=True)]
            for choice in itertools.product(*options):
                probability = chance * math.prod(p for _, p in choice)
                if probability:
                    a = tuple(v for v, _ in choice)
                    chances[a] = chances.get(a, 0) + probability
        rows.append(chances)
    names = {a: column for column, a in enumerate({a for row in rows for a in row})}
    p = torch.zeros(len(inputs), len(names), dtype=torch.float64)
    for x, row in enumerate(rows):
        for a, probability in row.items():
            p[x, names[a]] = probability
    return p


@pytest.mark.parametrize(("kind", "share"), CASES)
def test_complexity_and_spectrum_of_masks_are_those_of_the_enumeration(kind, share):
    p = enumerated(kind, share)
    assert augmentation.complexity(p) == pytest.approx(masking_complexity(kind, M, share), rel=1e-12)
    values, functions = augmentation.spectrum(p)
    expected, _ = masking_spectrum(kind, M, share)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-12)
    assert values.sum().item() == pytest.approx(masking_complexity(kind, M, share), rel=1e-12)  # K(x, x) is constant
    torch.testing.assert_close(functions.T @ functions / 64, torch.eye(64, dtype=torch.float64), rtol=0, atol=1e-12)


def test_what_no_input_is_augmented_to_counts_nothing():
    p = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]])
    torch.testing.assert_close(augmentation.kernel(p), augmentation.kernel(p[:, :2]))


def test_all_eigenfunctions_miss_nothing():
    assert augmentation.top_d_bound(torch.tensor([1.0, 0.5]), 2, 0.5) == 0


def test_parities_are_the_eigenfunctions():
    k = augmentation.kernel(enumerated("block", 0.5)) / 64
    inputs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=M)), dtype=torch.float64)
    for kept, expected in (([0], 3 / 4), ([0, 5], 1 / 2), ([2], 1 / 4), ([1, 4], 0)):  # places of a block of 3 of 6
        parity = inputs[:, kept].prod(1)
        torch.testing.assert_close(k @ parity, expected * parity, rtol=0, atol=1e-12)


def test_degrees_belong_to_their_eigenvalues():
    values, degree = masking_spectrum("random", 5, 0.3)
    torch.testing.assert_close(values, 0.7**degree)
    assert degree.long().bincount().tolist() == [1, 5, 10, 10, 5, 1]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), d=st.integers(1, 7))
def test_no_target_passes_the_top_d_bound_and_one_reaches_it(seed, d):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(8, 12, dtype=torch.float64, generator=generator).pow(3)
    p = p / p.sum(1, keepdim=True)
    marginal = p.mean(0)
    backward = p * marginal.reciprocal() / 8  # p(x|a)
    values, functions = augmentation.spectrum(p)

    def ratio(g):
        f, norm = p @ g, (marginal * g.square()).sum()
        epsilon = float(1 - (f.square().mean()) / norm)  # ½E(g(A) − g(A'))² = ‖g‖² − ‖Γg‖²
        pairs = (p[:, :, None] * p[:, None, :] * (g[:, None] - g).square()).sum((1, 2)).mean() / 2
        assert pairs / norm == pytest.approx(epsilon, abs=1e-9)
        rest = f - functions[:, :d] @ (functions[:, :d].T @ f / 8)
        return float(rest.square().mean() / f.square().mean()), augmentation.top_d_bound(values, d, epsilon)

    missed, bound = ratio(torch.randn(12, dtype=torch.float64, generator=generator))
    assert missed <= bound * (1 + 1e-9) + 1e-12
    missed, bound = ratio(backward.T @ functions[:, d])  # the first eigenfunction that is left out
    assert missed == pytest.approx(bound, rel=1e-6)


def test_predicted_risk_is_that_of_ridge_regression():
    kind, length, share, labels, noise, ridge = "random", 8, 0.4, 60, 0.05, 0.02
    values, _ = masking_spectrum(kind, length, share)
    sets = torch.tensor(list(itertools.product((False, True), repeat=length)))
    inputs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=length)), dtype=torch.float64)
    parity = torch.stack([inputs[:, kept].prod(1) for kept in sets], dim=1)
    eigenvalue = (1 - share) ** sets.sum(1).double()
    k = parity * eigenvalue @ parity.T
    v = torch.zeros(256, dtype=torch.float64)
    v[1 + torch.arange(40) * 6] = 1 / 40**0.5
    y = parity @ v
    generator, errors = torch.Generator().manual_seed(0), []
    for _ in range(150):
        rows = torch.randint(256, (labels,), generator=generator)
        said = y[rows] + noise**0.5 * torch.randn(labels, dtype=torch.float64, generator=generator)
        fit = torch.linalg.solve(k[rows][:, rows] + ridge * torch.eye(labels), said)
        errors.append((k[:, rows] @ fit - y).square().mean())
    bias, variance = augmentation.ridge_risk(eigenvalue, v, labels, noise, ridge)
    # the equations predict the error on noisy test labels; the noise itself is not part of what was measured here
    assert bias + variance - noise == pytest.approx(torch.stack(errors).mean().item(), rel=0.05)
    assert 0 < bias < 1
    assert values.sum() == pytest.approx(eigenvalue.sum().item())


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 1.0, 5.0, 40.0, 1e4])
def test_risk_rests_on_the_root_of_its_equation(ridge):
    eigenvalues, labels = torch.tensor([12.0] * 5 + [0.5] * 20, dtype=torch.float64), 10
    c = scipy.optimize.brentq(lambda c: float((eigenvalues / (eigenvalues + c)).sum()) + ridge / c - labels, 1e-9, 1e9)
    bias, variance = augmentation.ridge_risk(eigenvalues, torch.ones(25), labels, 0.1, ridge)
    learnt = eigenvalues / (eigenvalues + c)
    assert bias == pytest.approx((1 - learnt).square().sum().item())
    assert variance == pytest.approx(labels / (labels - learnt.square().sum().item()) * (bias + 0.1) - bias)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_the_bound_is_least_where_its_derivative_vanishes(degree):
    def bound(share):
        values, degrees = masking_spectrum("random", 10, share)
        target = (degrees == degree).double()
        return augmentation.complexity_bound(values, target / target.norm(), 50)

    best = (10 - 2 * degree) / (10 - degree)  # of (2 − α)^10 / (1 − α)^degree
    assert bound(best) == pytest.approx(((2 - best) ** 10 / (1 - best) ** degree / 50) ** 0.5)
    assert bound(best) < min(bound(best - 0.02), bound(best + 0.02))
    values, degrees = masking_spectrum("block", 6, 0.5)
    assert augmentation.complexity_bound(values, (degrees == 6).double(), 5) == math.inf


def test_overlap_is_the_integral_of_two_densities():
    views = torch.randn(4, 3, 1, dtype=torch.float64)
    line = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    density = torch.exp(-(line - views).square() / (2 * 0.3**2)).mean(0)  # [items, line]
    expected = density @ density.T
    found = augmentation.overlap_graph(views, 0.3)
    torch.testing.assert_close(found, expected / expected.max(), rtol=1e-9, atol=1e-12)


def test_masks_have_chances_that_sum_to_one_and_flips_where_they_are_named():
    for kind in FAMILIES:
        kept, chance, flip = augmentation.mask_family(kind, 6, 0.5)
        assert len(kept) == len(chance)
        assert chance.sum().item() == pytest.approx(1)
        assert flip == (0.25 if "flip" in kind else 0)
        assert (kept.double().mean(1) * chance).sum().item() == pytest.approx(0.5)


def test_sixteen_tokens_can_be_listed():
    assert len(augmentation.mask_family("block", 16, 0.5)[0]) == 9
    assert len(masking_spectrum("block", 16, 0.5)[0]) > 0


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="rows ≥ 0 that sum to 1"):
        augmentation.kernel(torch.ones(2, 3))
    with pytest.raises(ValueError, match="rows ≥ 0 that sum to 1"):
        augmentation.kernel(torch.tensor([[1.5, -0.5], [0.5, 0.5]]))
    with pytest.raises(ValueError, match="no mask family named 'bloc'; did you mean 'block'"):
        masking_complexity("bloc", 6, 0.5)
    with pytest.raises(ValueError, match="share must lie between 0 and 1"):
        masking_spectrum("random", 6, 1.5)
    for kind in FAMILIES:
        with pytest.raises(ValueError, match="length must be at least 1 token, at most 16, not 20"):
            masking_spectrum(kind, 20, 0.5)
        with pytest.raises(ValueError, match="length must be at least 1 token, not 0"):
            masking_complexity(kind, 0, 0.5)
    with pytest.raises(ValueError, match="epsilon must lie in"):
        augmentation.top_d_bound(torch.ones(3), 1, 1.0)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="eigenvalues of an augmentation operator lie in"):
            augmentation.top_d_bound(torch.tensor([1.0, wrong]), 1, 0.5)
        with pytest.raises(ValueError, match="eigenvalues ≥ 0" if wrong < 0 else "labels must be at least 1"):
            augmentation.ridge_risk(torch.tensor([1.0, wrong]), torch.ones(2), 5 if wrong < 0 else 0)
    with pytest.raises(ValueError, match="eigenvalues must be ≥ 0"):
        augmentation.complexity_bound(torch.tensor([1.0, -0.1]), torch.ones(2), 5)
    with pytest.raises(ValueError, match="views must hold at least one view"):
        augmentation.overlap_graph(torch.zeros(0, 2, 2), 0.5)
    with pytest.raises(ValueError, match="p must hold at least one input"):
        augmentation.kernel(torch.ones(0, 4))
    assert augmentation.complexity_bound(torch.zeros(3), torch.ones(3), 5) == float("inf")
    assert augmentation.complexity_bound(torch.zeros(3), torch.zeros(3), 5) == 0
    with pytest.raises(ValueError, match="noise must be a positive"):
        augmentation.overlap_graph(torch.zeros(1, 2, 2), 0)


@pytest.mark.parametrize("epsilon", [0.0, 1e-9, 0.5])
def test_of_two_components_one_dimension_may_miss_all(epsilon):
    """The indicator of a component is perfectly invariant, and may be the second eigenfunction of eigenvalue 1."""
    assert augmentation.top_d_bound(torch.tensor([1.0, 1.0, 0.5]), 1, epsilon) == 1.0
    assert augmentation.top_d_bound(torch.tensor([1.0, 1.0, 0.5]), 2, 0.0) == 0.0
