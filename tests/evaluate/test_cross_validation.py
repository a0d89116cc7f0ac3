"""Cross-validation of SVMs against scikit-learn's own grid search, written the slow way."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from labkit.data import GraphSet
from labkit.evaluate import CrossValidation, Score

Y = (torch.arange(90) % 3).clamp(max=1)
SMALL = {"folds": 4, "inner_folds": 3, "strengths": (0.1, 1.0, 10.0)}


@pytest.fixture
def z():
    generator = torch.Generator().manual_seed(4)
    signal = Y[:, None] * torch.tensor([1.5, 1, 1, 0, 0])
    return (torch.randn(90, 5, generator=generator) + signal) * torch.tensor([1, 2, 0.1, 30, 1.0])


def by_hand(z, y, svm, standardize, seed=0):
    """Accuracy of each fold by scikit-learn: scale on the train part, search C inside it."""
    z, y, values = z.double().numpy(), y.numpy(), []
    for train, test in StratifiedKFold(4, shuffle=True, random_state=seed).split(z, y):
        x = StandardScaler().fit(z[train]).transform(z) if standardize else z
        machine = LinearSVC(dual=False) if svm == "linear" else SVC(gamma=1 / (x.shape[1] * x[train].var()))
        search = GridSearchCV(machine, {"C": [0.1, 1.0, 10.0]}, cv=3).fit(x[train], y[train])
        values.append(search.score(x[test], y[test]))
    return values


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("svm", ["rbf", "linear"])
def test_it_is_scikit_learns_grid_search_in_each_fold(z, svm, standardize):
    score = CrossValidation(svm=svm, standardize=standardize, **SMALL).score(z, Y, seed=2)
    assert score.values == pytest.approx(by_hand(z, Y, svm, standardize, seed=2))
    assert score.over == "4 folds"
    assert len(score.details["strengths"][0]) == 4
    right = (score.details["predictions"][0] == Y).double().mean().item()
    assert right == pytest.approx(score.mean, abs=0.02)  # folds of 22 and 23 items


def test_repeats_are_other_shuffles_and_say_what_the_spread_is_over(z):
    twice = CrossValidation(repeats=2, **SMALL).score(z, Y, seed=5)
    once = [CrossValidation(**SMALL).score(z, Y, seed=seed).mean for seed in (5, 6)]
    assert twice.values == pytest.approx(once)
    assert once[0] != once[1]
    assert twice.over == "2 repeats of 4 folds"
    pooled = Score.pool([twice, twice])
    assert pooled.over == "2 pretrainings, each the mean of 2 repeats of 4 folds"
    assert twice == CrossValidation(repeats=2, **SMALL).score(z, Y, seed=5)


def test_nothing_of_the_scored_fold_reaches_the_choice():
    """Labels that are noise: C chosen inside the fold stays at chance, C chosen on the test part does not."""
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(80, 20, generator=generator), torch.randint(2, (80,), generator=generator)
    grid = tuple(10.0**i for i in range(-2, 3))
    honest, peeking = (
        CrossValidation(folds=8, strengths=grid, select=select).score(z, y).mean
        for select in ("cross-validation", "test (as the paper did)")
    )
    assert peeking > honest
    assert abs(honest - 0.5) < 0.15


def test_given_folds_come_with_the_data(z):
    rows = torch.arange(90)
    folds = tuple((rows[rows % 3 != fold], rows[rows % 3 == fold]) for fold in range(3))
    y = torch.arange(90) // 3 % 2
    source = GraphSet((), folds=folds)
    protocol = CrossValidation(folds="given", strengths=1.0)
    score = protocol.score(z, y, source)
    assert (score.over, len(score.values)) == ("3 folds", 3)
    with pytest.raises(ValueError, match="the data comes with none"):
        protocol.check(y)
    with pytest.raises(ValueError, match="fold 0 reaches past the last of 50 items"):
        protocol.check(y[:50], source)


@pytest.mark.parametrize(
    ("train", "test", "says"),
    [
        ([*range(60), 75], range(60, 90), "fold 1 can't be scored: item 75 of split 0 is in train and in test"),
        ([*range(60), 3], range(60, 90), "item 3 of split 0 is in train twice"),
        (range(60), [60, 61, 60], "item 60 of split 0 is in test twice"),
        (range(60), [-1, -2], "test holds the row number -2"),
        (range(60), [], "test must have shape"),
        ([*range(3, 60), 0], range(60, 90), None),
    ],
)
def test_given_folds_that_leak_are_refused(z, train, test, says):
    rows, y = torch.arange(90), torch.arange(90) // 3 % 2
    folds = ((rows[:60], rows[60:]), (torch.tensor([*train]), torch.tensor([*test], dtype=torch.int64)))
    protocol = CrossValidation(folds="given", strengths=1.0)
    if says is None:
        protocol.check(y, GraphSet((), folds=folds))
        return
    with pytest.raises(ValueError, match=says):
        protocol.check(y, GraphSet((), folds=folds))
    with pytest.raises(ValueError, match=says):
        protocol.score(z, y, GraphSet((), folds=folds))


def test_given_folds_must_leave_the_inner_ones_their_items():
    rows, y = torch.arange(23), torch.tensor([0] * 20 + [1] * 3)
    source = GraphSet((), folds=((rows[rows % 11 > 0], rows[rows % 11 == 0]),))
    says = "class 1 of y has 2 items in the train part of fold 0, too few to choose C by 5-fold"
    with pytest.raises(ValueError, match=says):
        CrossValidation(folds="given").check(y, source)
    CrossValidation(folds="given", inner_folds=2).check(y, source)
    CrossValidation(folds="given", strengths=1.0).check(y, source)


def test_it_prints_itself_and_compares_by_value():
    assert str(CrossValidation()) == (
        "10-fold cross-validation, standardised, RBF SVM, C in 0.001..1000 (7 values) by 5-fold cross-validation "
        "inside the fold"
    )
    other = CrossValidation("linear", 1.0, standardize=False, folds=3)
    assert str(other) == "3-fold cross-validation, not standardised, linear SVM, C = 1"
    assert "by TEST accuracy (as the paper did)" in str(CrossValidation(select="test (as the paper did)"))
    assert CrossValidation(strengths=[10, 1.0]) == CrossValidation(strengths=(1, 10))
    assert hash(CrossValidation()) == hash(CrossValidation())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"svm": "rbv"}, "there is no SVM named 'rbv'"),
        ({"select": "test"}, "no selection named 'test'"),
        ({"strengths": [1.0, 0.0]}, "positive, finite values of C, not 0.0"),
        ({"strengths": []}, "not none"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"folds": "ten"}, "or 'given'; not 'ten'"),
        ({"repeats": 0}, "repeats at least 1"),
        ({"folds": "given", "repeats": 2}, "repeats must be 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CrossValidation(**options)


def test_sets_that_are_too_small_are_refused_before_training(z):
    y = torch.tensor([0] * 80 + [1] * 6 + [2] * 4)
    with pytest.raises(ValueError, match="class 2 of y has 4 items; 10-fold cross-validation needs one for each fold"):
        CrossValidation().check(y)
    with pytest.raises(ValueError, match="class 2 of y has 3 items in a train part"):
        CrossValidation(folds=4).check(y)
    CrossValidation(folds=4, strengths=1.0).check(y)
    with pytest.raises(ValueError, match="seed must lie between 0 and 4294967295, not -1"):
        CrossValidation(folds=4, strengths=1.0).check(y, seed=-1)
    with pytest.raises(ValueError, match="strengths must be one or more positive, finite values of C, not 'a'"):
        CrossValidation(strengths=("a", "b"))
    with pytest.raises(ValueError, match="one class only"):
        CrossValidation().check(torch.zeros(20, dtype=torch.long))
    for wrong in (torch.rand(20), y > 0, y + 0j, y[:, None]):
        with pytest.raises(ValueError, match="integer class"):
            CrossValidation().check(wrong)
    with pytest.raises(ValueError, match="one class for each of the 90 rows"):
        CrossValidation().score(z, Y[:10])
    z[0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        CrossValidation().score(z, Y)


@pytest.mark.parametrize("constant", [0.0, 0.1, 0.7, 1.3])
def test_a_column_that_says_nothing_changes_nothing(z, constant):
    wide = torch.cat([z, torch.full((90, 24), constant)], dim=1)
    score = CrossValidation(**SMALL).score(wide, Y, seed=2)
    assert score.values == pytest.approx(by_hand(wide, Y, "rbf", True, seed=2))


def test_of_equally_good_strengths_the_smallest_is_taken():
    """0.3 + 0.2 + 0.1 is less than 0.1 + 0.2 + 0.3 in floats: the same accuracies in another order must not win."""
    y, folds = np.arange(30) % 2, iter([(3, 1), (2, 2), (1, 3)])

    def predict(_, judge, strengths):
        for right in next(folds):
            yield np.where(np.arange(len(judge)) < right, y[judge], 1 - y[judge])

    chooser = CrossValidation(inner_folds=3, strengths=(0.1, 1.0))
    assert chooser._choose(predict, y, np.arange(30), np.arange(0)) == 0.1
