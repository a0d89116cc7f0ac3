"""Predictions and checks."""

from types import SimpleNamespace

import IPython
import pytest
import torch
from IPython import display

from labkit import teach
from labkit.evaluate import Score
from labkit.teach import beside_paper, check, predict, score


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(teach, "_predictions", {})
    monkeypatch.setattr(teach, "_checks", {})


def test_predict_then_reveal(capsys):
    guess = predict("How many?", 0.5)
    guess.reveal(0.9)
    predict("And now?", 0.5).reveal(0.51)
    out = capsys.readouterr().out
    assert "your guess: 0.5" in out
    assert "it is 0.9: a surprise" in out
    assert "it is 0.51: spot on" in out
    assert "now it is" not in out
    with pytest.raises(ValueError, match="between 0 and 1, not 7"):
        predict("How many?", 7)
    with pytest.raises(ValueError, match="low must be below high"):
        predict("How many?", 1, 1, 1)
    with pytest.raises(ValueError, match="both finite, not 0 and inf"):
        predict("How many?", 1, 0, float("inf"))
    with pytest.raises(TypeError, match="guess must be a number, not"):
        predict("How many?", torch.ones(2))
    with pytest.raises(TypeError, match="truth must be a number, not None"):
        predict("How many?", 1, 0, 2).reveal(None)


def test_a_guess_after_the_reveal_does_not_count(capsys):
    predict("How many?", 0.5)
    predict("How many?", 0.6).reveal(0.9)  # a second thought before the reveal is fine
    again = predict("How many?", 0.9)
    assert "that guess stands" in capsys.readouterr().out
    again.reveal(0.9)
    assert again.guess == 0.6
    assert "you said 0.6, it is 0.9: a surprise" in capsys.readouterr().out


def test_in_a_notebook_a_slider_is_read_at_the_reveal_and_locked(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel="a kernel"))
    monkeypatch.setattr(display, "display", shown.append)
    guess = predict("How many?", 30, 0, 100)
    (slider,) = shown
    assert (slider.value, slider.min, slider.max, slider.disabled) == (30, 0, 100, False)
    slider.value = 45
    guess.reveal(46)
    assert slider.disabled
    slider.value = 90
    assert guess.guess == 45
    assert "you said 45, it is 46: spot on" in capsys.readouterr().out


def test_a_slider_over_whole_numbers_holds_whole_numbers(monkeypatch):
    shown = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel="a kernel"))
    monkeypatch.setattr(display, "display", shown.append)
    predict("How many of six?", 1, high=6)
    predict("Which share?", 1)
    predict("How much of six?", 1.0, high=6)
    assert [(type(slider).__name__, slider.min, slider.max) for slider in shown] == [
        ("IntSlider", 0, 6), ("FloatSlider", 0, 1), ("FloatSlider", 0, 6),
    ]  # fmt: skip


def test_check_says_the_band_but_not_to_one_who_has_a_hint(capsys):
    check("x", 1.0, 0.9, 1.1, hint="not needed", paper=1.05)
    check("y", 2.0, 0.9, 1.1, hint="halve it")
    check("z", float("nan"), 0.9, 1.1, hint="log of what?")
    check("w", ..., 0.9, 1.1, hint="start with one")
    check("v", 0.5, 0.9, 1.1, paper=1.05)
    out = capsys.readouterr().out
    assert "✓ x: 1 (within 0.9 to 1.1; the paper: 1.05)" in out
    assert "not needed" not in out
    assert "✗ y: 2 (too high)\n  hint: halve it" in out
    assert "✗ z: nan (not a number)\n  hint: log of what?" in out
    assert "✗ w: no answer yet\n  hint: start with one" in out
    assert "✗ v: 0.5 (too low: asked is 0.9 to 1.1; the paper: 1.05)" in out


def test_check_takes_a_tensor_of_one_number_and_names_what_is_none(capsys):
    check("x", torch.tensor(1.0), 0.9, 1.1)
    assert "✓ x: 1 (within" in capsys.readouterr().out
    with pytest.raises(TypeError, match="value must be a number, not tensor"):
        check("x", torch.ones(2), 0, 1)
    with pytest.raises(TypeError, match="high must be a number, not"):
        check("x", 1, 0, torch.ones(2))
    with pytest.raises(ValueError, match="low must not be above high, not 1 and 0"):
        check("x", 1, 1, 0)


def test_the_score_counts_what_was_revealed_and_what_passed(capsys):
    predict("a?", 0.5).reveal(0.5)
    predict("b?", 0.5).reveal(0.55)
    predict("c?", 0.5)
    check("x", 3, 0, 1)
    check("x", 1, 0, 1)  # tried again
    check("y", 3, 0, 1)
    capsys.readouterr()
    score()
    assert capsys.readouterr().out == (
        "2 of 3 predictions revealed: 1 spot on, 1 close, 0 a surprise\n1 of 2 checks passed\n"
    )


def test_the_papers_number_stands_beside_ours_with_the_reason():
    ours = Score.of([0.81, 0.83], "2 trainings", "public")
    table = beside_paper(("accuracy", "83.3 ± 0.4 %", ours, "other | splits"), ("modes", 5, 5.0, "none"))
    assert table._repr_markdown_().splitlines() == [
        "|  | paper | ours | why they differ |",
        "| --- | --- | --- | --- |",
        r"| accuracy | 83.3 ± 0.4 % | 82.0 ± 1.4 % | other \| splits |".replace(" ±", "\xa0±")
        .replace("± ", "±\xa0")
        .replace(" %", "\xa0%"),
        "| modes | 5 | 5 | none |",
    ]
    assert str(table).startswith("accuracy: paper 83.3 ± 0.4 %, ours 82.0 ± 1.4 %. other")
    with pytest.raises(ValueError, match="rows is empty"):
        beside_paper()
    with pytest.raises(ValueError, match="why must say something; not"):
        beside_paper(("accuracy", 1, 2, " "))
    with pytest.raises(TypeError, match="rows must be a number, not None"):
        beside_paper(("accuracy", None, 2, "why"))


def test_a_second_reveal_says_which_one_counts(capsys):
    guess = predict("Revealed twice?", 0.5)
    guess.reveal(0.9)
    guess.reveal(0.5)
    assert "it is 0.9: a surprise (now it is 0.5; what counts is the first)" in capsys.readouterr().out
    with pytest.raises(ValueError, match="truth is not a number"):
        predict("Never?", 0.5).reveal(float("nan"))
