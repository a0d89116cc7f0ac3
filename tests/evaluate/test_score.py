"""A score says what it is, and pools over pretrainings without mixing protocols."""

import statistics

import pytest

from labkit.evaluate import Score


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
