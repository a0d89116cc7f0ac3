"""What the colour of a point means: classes by their names, the rest together, missing ones grey."""

import numpy as np
import pytest

from labkit.explore import _colours
from labkit.explore._colours import Colouring, column, scale
from labkit.plot import colours


def test_missing_labels_are_grey_and_take_no_colour_from_the_others():
    shades = column("c", "c", np.array(["b", None, "a"], dtype=object)).shades
    assert shades == [_colours._GREY, *colours(2)]  # "(missing)", "a", "b"


def test_the_largest_classes_keep_their_names_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(_colours, "_MOST_CLASSES", 3)
    found = column("c", "c", np.repeat([0, 1, 2, 3], [5, 1, 3, 4]))
    assert found.names == ["0", "3", "(the 2 smallest classes)"]
    assert found.codes.tolist() == [0] * 5 + [2] * 4 + [1] * 4
    assert column("c", "c", np.array([0, 1, 2])).names == ["0", "1", "2"]


def test_class_names_are_for_numbers_that_have_one():
    assert column("c", "c", np.array(["b", "0", "9"]), {"0": "cat"}).names == ["cat", "9", "b"]


@pytest.mark.parametrize("unit", ["ns", "s"])
def test_times_are_days_since_the_first_and_durations_days(unit):
    times = np.array(["2026-03-04", "NaT", "2026-03-01T12"], dtype=f"datetime64[{unit}]")
    found = column("t", "t", times)
    assert (found.kind, found.about) == ("value", "days since 2026-03-01T12:00")
    np.testing.assert_array_equal(found.values, [2.5, np.nan, 0])
    lasted = column("t", "t", times - times[2])
    assert lasted.about == "days"
    np.testing.assert_array_equal(lasted.values, [2.5, np.nan, 0])
    assert column("t", "t", times[1:2]).about == "no point has a value"


@pytest.mark.parametrize(("most", "end"), [(0.43, 0.45), (1.0, 1.0)])
def test_shares_are_shown_from_zero_to_just_above_most_of_them(most, end):
    assert Colouring("s", "s", values=np.linspace(0.1, most, 1000), shared=True).range == pytest.approx((0, end))


def test_the_scale_has_as_many_colours_as_places():
    assert scale().shape == (256, 4)
    assert len(np.unique(scale(), axis=0)) > 200
    assert (scale()[:, 3] == 255).all()
