"""The linear probe against scikit-learn, and against the gradient of the objective that it states."""

import statistics
import warnings

import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from torch.nn import functional as F

from labkit.data import available, load
from labkit.evaluate import Split, linear_probe
from labkit.evaluate._logistic import fit_logistic
from labkit.models import propagation_matrix

STRENGTHS = [0.01, 0.25, 1.0, 16.0]


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)


@pytest.fixture(scope="module")
def noisy(digits):
    """Four digits, every second label drawn at random: a large C learns them by heart, and which C is best is open."""
    z, y = (part[digits[1] < 4] for part in digits)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, 4, y.shape, generator=generator)
    return z, torch.where(torch.rand(y.shape, generator=generator) < 0.5, drawn, y)


def sklearn_accuracies(z, y, split, strengths, link="softmax", part="test"):
    """[splits, strengths], each fit converged far beyond scikit-learn's default and in float64."""
    z, y = z.double().numpy(), y.numpy()
    z = csr_matrix(z) if (z != 0).mean() < 0.05 else z  # Cora's 1433 features: seconds a fit when dense
    result = []
    for train, rows in zip(split.train.numpy(), getattr(split, part).numpy(), strict=True):
        for c in strengths:
            model = LogisticRegression(C=c, tol=1e-7, max_iter=10_000)
            model = OneVsRestClassifier(model) if link == "one_vs_rest" else model
            result.append(model.fit(z[train], y[train]).score(z[rows], y[rows]))
    return torch.tensor(result).reshape(len(split), len(strengths))


@pytest.mark.parametrize("link", ["softmax", "one_vs_rest"])
@pytest.mark.parametrize("normalize", [True, False])
def test_agrees_with_scikit_learn_on_digits(digits, link, normalize):
    z, y = digits
    split = Split.random(y, 0.15, None, 0.85, repeats=3)
    expected = sklearn_accuracies(F.normalize(z) if normalize else z, y, split, STRENGTHS, link)
    for column, c in zip(expected.T, STRENGTHS, strict=True):
        score = linear_probe(z, y, split, strengths=c, link=link, normalize=normalize)
        assert torch.tensor(score.values) == pytest.approx(column, abs=1e-3 + 1e-9)
        assert score.mean == pytest.approx(column.mean().item(), abs=1e-3)


@pytest.mark.parametrize("features", ["raw", "propagated"])
def test_agrees_with_scikit_learn_on_cora(features):
    if not available("cora"):
        pytest.skip("cora not found; set LABKIT_DATA")
    data = load("cora")
    z, strengths = data.x, (0.25, 1.0, 16.0)
    if features == "propagated":
        propagate = propagation_matrix(data.edge_index, data.num_nodes)
        z = propagate @ (propagate @ z)
        z = torch.pca_lowrank(F.normalize(z), 64)[0]
    split = Split.random(data.y, 0.1, 0.2, 0.7, repeats=2)
    for c in strengths:
        expected = sklearn_accuracies(F.normalize(z), data.y, split, [c]).flatten()
        values = linear_probe(z, data.y, split, strengths=c).values
        assert torch.tensor(values) == pytest.approx(expected, abs=1e-3 + 1e-9)


@pytest.mark.parametrize("link", ["softmax", "one_vs_rest"])
@pytest.mark.parametrize("dim", [5, 40])
def test_the_gradient_of_the_stated_objective_vanishes(link, dim):
    """Fewer and more dimensions than rows; a fold held out; a strength of its own for each problem."""
    x, y = torch.randn(2, 30, dim, dtype=torch.float64) + 3, torch.randint(0, 3, (2, 30))
    part = torch.rand(2, 30) < 0.8
    strengths = torch.tensor([[0.1, 10.0], [1.0, 100.0]], dtype=torch.float64)
    fitted = fit_logistic(x, F.one_hot(y, 3).double(), strengths, link, part, tolerance=1e-9)
    assert fitted.converged.all()
    for p in range(2):
        for s in range(2):
            w = fitted.weight[p, s].clone().requires_grad_()
            b = fitted.bias[p, s].clone().requires_grad_()
            logits, target = x[p][part[p]] @ w.T + b, y[p][part[p]]
            if link == "softmax":
                loss = F.cross_entropy(logits, target, reduction="sum")
            else:
                loss = F.binary_cross_entropy_with_logits(logits, F.one_hot(target, 3).double(), reduction="sum")
            objective = strengths[p, s] * loss + w.square().sum() / 2
            for gradient in torch.autograd.grad(objective, (w, b)):
                assert gradient.abs().max() < 1e-5 * strengths[p, s] * 30


def test_float32_resolves_rows_that_are_separated_by_far(digits):
    """At C = 256 on pixels 0 to 16 every p of the right class rounds to 1 in float32."""
    z, y = digits[0] * 16, digits[1]
    split = Split.random(y, 0.15, None, 0.85)
    single = linear_probe(z, y, split, strengths=256, normalize=False)
    double = linear_probe(z.double(), y, split, strengths=256, normalize=False)
    assert single.mean == pytest.approx(double.mean, abs=3e-3)


def test_validation_chooses_each_split_its_strength(noisy):
    z, y = noisy
    split = Split.random(y, 0.1, 0.1, 0.8, repeats=6)
    score = linear_probe(z, y, split, strengths=STRENGTHS)
    by_one = [linear_probe(z, y, split, strengths=c) for c in STRENGTHS]
    right = torch.stack([s.details["predictions"] for s in by_one])  # [strengths, splits, items]
    for i in range(6):
        rows = split.validation[i]
        accuracy = (right[:, i, rows] == y[rows]).sum(dim=1)
        best = next(k for k in range(len(STRENGTHS)) if accuracy[k] == accuracy.max())
        assert score.details["strengths"][i] == STRENGTHS[best]
        assert score.values[i] == pytest.approx(by_one[best].values[i], abs=1e-3)
    assert score.std == pytest.approx(statistics.stdev(score.values))
    assert (score.over, len(score.values)) == ("6 splits", 6)
    best_on_test = linear_probe(z, y, split, strengths=STRENGTHS, select="test (as the paper did)")
    assert best_on_test.mean > score.mean


def test_the_smallest_of_equally_good_strengths_is_taken():
    z = torch.cat([torch.randn(40, 2) + 20, torch.randn(40, 2) - 20])
    y = torch.arange(80) // 40
    score = linear_probe(z, y, Split.random(y, 0.3, 0.3, 0.4), strengths=[10.0, 1.0, 100.0])
    assert score.details["strengths"] == (1.0,)


def test_cross_validation_is_that_of_a_plain_loop(noisy):
    z, y = F.normalize(noisy[0]), noisy[1]
    split = Split.random(y, 0.1, None, 0.9, repeats=2)
    score = linear_probe(z, y, split, strengths=STRENGTHS, select="cross-validation", folds=3, link="one_vs_rest")
    for i, train in enumerate(split.train):
        ordered = train[y[train].argsort(stable=True)]
        folds = [ordered[f::3] for f in range(3)]
        right = torch.zeros(len(STRENGTHS))
        for f, held_out in enumerate(folds):
            rest = torch.cat([fold for g, fold in enumerate(folds) if g != f])
            fold = Split(rest, None, held_out)
            right += sklearn_accuracies(z, y, fold, STRENGTHS, "one_vs_rest")[0] * len(held_out)
        assert score.details["strengths"][i] == STRENGTHS[right.argmax()]
    expected = [
        sklearn_accuracies(z, y, Split(split.train[i], None, split.test[i]), [c], "one_vs_rest").item()
        for i, c in enumerate(score.details["strengths"])
    ]
    assert score.values == pytest.approx(expected, abs=1e-3)


def test_choosing_on_the_test_rows_needs_its_full_name_and_is_printed(digits):
    z, y = digits
    split = Split.random(y, 0.1, None, 0.9)
    with pytest.raises(ValueError, match=r"there is no selection named 'test'; known: .*test \(as the paper did\)"):
        linear_probe(z, y, split, select="test")
    score = linear_probe(z, y, split, strengths=STRENGTHS, select="test (as the paper did)")
    assert "TEST accuracy (as the paper did)" in str(score)
    best = max(linear_probe(z, y, split, strengths=c).mean for c in STRENGTHS)
    assert score.mean == pytest.approx(best, abs=1e-3)


def test_labels_may_skip_numbers_and_unused_items_may_have_none(digits):
    z, y = digits[0], digits[1] * 3 + 2
    split = Split.random(y, 0.1, 0.1, 0.3)
    used = torch.cat([split.train, split.validation, split.test], dim=1)[0]
    unlabelled = torch.full_like(y, -1).scatter(0, used, y[used])
    plain = linear_probe(z, digits[1], split)
    assert linear_probe(z, unlabelled, split).values == plain.values
    assert set(linear_probe(z, y, split).details["predictions"].unique().tolist()) <= set(y.tolist())


def test_the_scale_of_an_embedding_does_not_matter_when_rows_are_normalised(digits):
    z, y = digits
    split = Split.random(y, 0.1, 0.1, 0.8)
    assert linear_probe(1024 * z, y, split).values == linear_probe(z, y, split).values


def test_many_splits_are_solved_in_parts_that_fit_into_memory(digits, monkeypatch):
    z, y = digits
    split = Split.random(y, 0.1, 0.1, 0.8, repeats=5)
    whole = linear_probe(z, y, split, strengths=STRENGTHS)
    monkeypatch.setattr("labkit.evaluate._linear._NUMBERS", 179 * len(STRENGTHS) * 10 * 2)
    parts = linear_probe(z, y, split, strengths=STRENGTHS)
    assert parts.values == pytest.approx(whole.values, abs=1e-3)


def test_a_solve_that_was_cut_short_says_so(digits, monkeypatch):
    z, y = digits
    monkeypatch.setattr(
        "labkit.evaluate._linear.fit_logistic", lambda *args: fit_logistic(*args, max_steps=2, tolerance=1e-6)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.warns(UserWarning, match="4 of 4 logistic regressions had not converged after 2 steps"):
            linear_probe(z, y, Split.random(y, 0.2, 0.1, 0.7), strengths=STRENGTHS)


def test_the_protocol_says_what_was_done(digits):
    z, y = digits
    split = Split.random(y, 0.1, 0.1, 0.8)
    assert linear_probe(z, y, split).protocol == (
        "random 10/10/80 %, L2-normalised, logistic regression, C in 2^-10..2^8 (10 values) by validation"
    )
    fixed = linear_probe(z, y, split, strengths=1, normalize=False, link="one_vs_rest")
    assert fixed.protocol == "random 10/10/80 %, not normalised, one-vs-rest logistic regression, C = 1"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z": torch.zeros(3)}, r"z must have shape \[items, dim\], not \[3\]"),
        ({"z": torch.full((100, 4), torch.nan)}, "z holds NaN or infinite values in 100 of 100 rows"),
        ({"z": torch.zeros(100, 4, dtype=torch.long)}, "z must be floating point"),
        ({"y": torch.zeros(99, dtype=torch.long)}, r"one class for each of the 100 rows of z, not \[99\]"),
        ({"y": torch.zeros(100)}, "y must hold integer classes, not torch.float32"),
        ({"y": torch.zeros(100, dtype=torch.long)}, "y holds one class only"),
        ({"y": torch.arange(100) - 1}, "y holds the class -1"),
        ({"y": torch.arange(100)}, "has no train row in split 0 of 'random 30/20/50 %'"),
        ({"strengths": 0}, "strengths must be one or more positive, finite values of C, not 0"),
        ({"strengths": [1.0, float("nan")]}, "positive, finite values of C, not nan"),
        ({"strengths": []}, "positive, finite values of C, not none"),
        ({"link": "probit"}, "there is no link named 'probit'"),
        ({"folds": 1}, "folds must be at least 2, not 1"),
        ({"split": Split(torch.arange(50), None, torch.arange(50, 100))}, "has no validation rows to choose C on"),
        ({"split": Split(torch.arange(50), torch.tensor([100]), torch.arange(50, 60))}, "reach item 100, but there"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(change, message):
    y = torch.arange(100) % 4
    arguments = {"z": torch.randn(100, 4), "y": y, "split": Split.random(y, 0.3, 0.2, 0.5)} | change
    with pytest.raises(ValueError, match=message):
        linear_probe(**arguments)


def test_a_class_too_rare_for_folds_is_refused():
    y = torch.tensor([0] * 20 + [1] * 20 + [2] * 2)
    split = Split(torch.tensor([0, 1, 2, 20, 21, 22, 40]), None, torch.tensor([3, 23, 41]))
    with pytest.raises(ValueError, match="class 2 has one train row in split 0 of 'given', so a fold would lack it"):
        linear_probe(torch.randn(42, 3), y, split, select="cross-validation")


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("select", ["validation", "cross-validation"])
@pytest.mark.parametrize("link", ["softmax", "one_vs_rest"])
@pytest.mark.parametrize("dim", [4, 200])
def test_a_collapsed_embedding_scores_as_the_largest_class(normalize, select, link, dim):
    """One point, wherever it lies: there is nothing to learn but the shares of the classes."""
    y = torch.tensor([0] * 40 + [1] * 12 + [2] * 8)[torch.randperm(60)]
    split = Split.random(y, 0.4, 0.2, 0.4, repeats=2)
    options = {"normalize": normalize, "select": select, "link": link, "folds": 2, "strengths": (0.01, 1.0, 100.0)}
    points = torch.zeros(dim), torch.ones(dim), torch.randn(dim), 1e30 * torch.randn(dim), torch.full((dim,), 1e-30)
    for point in points:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # it has converged, too
            score = linear_probe(point.expand(60, -1), y, split, **options)
        assert (score.details["predictions"] == 0).all()
        assert score.values == tuple((y[test] == 0).double().mean().item() for test in split.test)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dead_dimensions_and_sizes_of_the_numbers_change_nothing(dtype):
    y = torch.arange(90) % 3
    z = torch.randn(90, 6, dtype=dtype) + F.one_hot(y, 6)
    split = Split.random(y, 0.4, 0.2, 0.4)
    expected = linear_probe(z, y, split).details["predictions"]
    dead = torch.cat([z, torch.zeros(90, 3), z[:, :1] * 0], dim=1)
    for same in (dead, z * 2.0**100, z * 2.0**-100, z @ torch.linalg.qr(torch.randn(50, 6, dtype=dtype)).Q.T):
        assert (linear_probe(same, y, split).details["predictions"] == expected).double().mean() > 0.98


@pytest.mark.parametrize("shots", [1, 2, 3])
def test_few_rows_far_from_zero_are_solved_to_their_end(shots):
    """Where the first step leads to where every p is 0 or 1, the diagonal it came with says that nothing is left."""
    z, y = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
    z = z.float()  # 0 to 16
    train = torch.cat([(y == digit).nonzero().flatten()[:shots] for digit in range(10)])
    test = torch.arange(500, 1500)
    split = Split(train, None, test, "few")
    ours = linear_probe(z, y, split, strengths=256.0, normalize=False).mean
    reference = LogisticRegression(C=256.0, tol=1e-8, max_iter=10_000).fit(z[train].double(), y[train])
    assert ours == pytest.approx(reference.score(z[test].double(), y[test]), abs=5e-3)


@pytest.mark.parametrize("normalize", [True, False])
def test_autocast_around_the_probe_changes_nothing(digits, normalize):
    z, y = digits
    split = Split.random(y, 0.3, 0.2, 0.5)
    alone = linear_probe(z.float(), y, split, normalize=normalize)
    with torch.autocast("cpu", torch.bfloat16):
        within = linear_probe(z.float(), y, split, normalize=normalize)
    assert within.values == alone.values
    assert within.details["strengths"] == alone.details["strengths"]
    assert torch.equal(within.details["predictions"], alone.details["predictions"])
