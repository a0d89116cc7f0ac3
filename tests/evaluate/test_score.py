"""A score says what it is, and pools over pretrainings without mixing protocols."""

import statistics

import numpy as np
import pytest
import torch
from scipy.stats import t

from labkit.evaluate import Score, mean_interval


def test_a_score_prints_its_spread_and_its_protocol():
    score = Score.of([0.81, 0.82, 0.815], "3 splits", "public, logistic regression")
    assert str(score) == "81.5 ± 0.5 % (over 3 splits; public, logistic regression)"
    assert score.mean == pytest.approx(0.815)
    assert score.std == pytest.approx(statistics.stdev([0.81, 0.82, 0.815]))


def test_one_value_has_no_spread():
    score = Score.of([0.5], "one split", "public")
    assert (score.std, str(score)) == (0.0, "50.0 % (one split; public)")


def test_pretrainings_count_once_each():
    scores = [Score.of(values, "2 splits", "random") for values in ([0.5, 0.7], [0.8, 0.8], [0.9, 0.7])]
    pooled = Score.pool(scores)
    assert pooled.values == pytest.approx((0.6, 0.8, 0.8))
    assert pooled.over == "3 pretrainings, each the mean of 2 splits"
    assert pooled.std == pytest.approx(statistics.stdev([0.6, 0.8, 0.8]))


def test_what_can_not_be_pooled():
    with pytest.raises(ValueError, match="scores of different protocols can't be pooled: a; b"):
        Score.pool([Score.of([0.5], "one split", "a"), Score.of([0.5], "one split", "b")])
    with pytest.raises(ValueError, match="at least one value"):
        Score.pool([])
    with pytest.raises(ValueError, match="at least one value"):
        Score.of([], "none", "a")


@pytest.mark.parametrize("values", [[0.5, 0.7], [1, 2, 4, 8], np.array([0.1, 0.4, 0.3]), torch.tensor([3.0, 1.0, 2.5])])
def test_the_interval_of_a_mean_is_students(values):
    n, values_ = len(values), [float(value) for value in values]
    low, high = t.interval(0.95, n - 1, loc=np.mean(values_), scale=np.std(values_, ddof=1) / n**0.5)
    assert mean_interval(values) == pytest.approx(((low + high) / 2, (high - low) / 2))


def test_the_interval_of_one_number_has_no_end():
    assert mean_interval([3]) == (3.0, float("inf"))


@pytest.mark.parametrize(
    "values", [[], [1.0, float("nan")], [float("inf")], ["a", "b"], "ab", np.ones((2, 2)), torch.ones(2, 2), None, 1.0]
)
def test_what_has_no_interval_is_refused(values):
    with pytest.raises((ValueError, TypeError), match="values"):
        mean_interval(values)
