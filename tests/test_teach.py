"""Predictions and checks."""

import pytest

from labkit.teach import check, predict


def test_predict_then_reveal(capsys):
    guess = predict("How many?", 0.5)
    guess.reveal(0.9)
    predict("And now?", 0.5).reveal(0.51)
    out = capsys.readouterr().out
    assert "your guess: 0.5" in out
    assert "it is 0.9: a surprise" in out
    assert "it is 0.51: spot on" in out
    with pytest.raises(ValueError, match="between 0 and 1, not 7"):
        predict("How many?", 7)


def test_check_says_where_the_band_is(capsys):
    check("x", 1.0, 0.9, 1.1)
    check("y", 2.0, 0.9, 1.1, hint="halve it")
    out = capsys.readouterr().out
    assert "✓ x: 1 (within 0.9 to 1.1)" in out
    assert "✗ y: 2 (outside 0.9 to 1.1)" in out
    assert "hint: halve it" in out
