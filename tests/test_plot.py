"""The one look: colours that can be told apart, figures that carry what they were given, input that is refused."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from labkit import plot


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def _linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


# Linear-RGB simulation of full red, green and blue blindness (Machado, Oliveira and Fernandes 2009, severity 1).
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def _lab(linear: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear.clip(0, 1)
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", DEFICIENCIES)
def test_eight_colours_differ_for_every_eye(kind):
    seen = [_lab(DEFICIENCIES[kind] @ _linear(colour)) for colour in plot.COLOURS]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 8  # a difference of 2.3 is just noticeable


def test_colours_are_distinct_for_many_classes():
    assert plot.colours(8) == list(plot.COLOURS)
    assert len(set(plot.colours(60))) == 60
    assert plot.colours(0) == []


def test_style_leaves_the_readers_settings_alone():
    before = matplotlib.rcParams["font.size"]
    with plot.style(font__size=27):
        assert matplotlib.rcParams["font.size"] == 27
        assert not matplotlib.rcParams["axes.spines.top"]
    assert matplotlib.rcParams["font.size"] == before


def test_scatter_gives_each_class_its_colour_shape_and_points():
    xy = torch.randn(60, 2, requires_grad=True)
    labels = torch.arange(60) % 3
    ax = plot.scatter(xy, labels, names=("a", "b", "c"), axis_names=("PC 1", "PC 2"))
    drawn = ax.collections
    assert [c.get_label() for c in drawn] == ["a", "b", "c"]
    for k, dots in enumerate(drawn):
        np.testing.assert_allclose(dots.get_offsets(), xy.detach().numpy()[k::3])
        np.testing.assert_allclose(dots.get_facecolor()[0][:3], to_rgb(plot.COLOURS[k]))
    shapes = {dots.get_paths()[0].vertices.tobytes() for dots in drawn}
    assert len(shapes) == 3
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("PC 1", "PC 2")


def test_scatter_draws_real_values_on_a_scale():
    ax = plot.scatter(np.random.default_rng(0).normal(size=(9, 2)), np.linspace(0, 1, 9))
    assert len(ax.figure.axes) == 2  # the map and its colour bar


def test_curve_draws_mean_and_one_standard_deviation():
    values = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 0.0]])
    ax = plot.curve(values, x=[0, 5, 10], label="loss")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 2], [5, 2], [10, 2]])
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(2 - 8**0.5)  # of 4 and 0, at the last step, with n − 1 as elsewhere
    assert band[:, 1].max() == pytest.approx(2 + 8**0.5)
    assert ax.get_legend().get_texts()[0].get_text() == "loss"


def test_bars_show_scores_and_floors_in_percent():
    class Score:
        mean, std = 0.815, 0.004

    ax = plot.bars_with_floors({"ours": Score(), "theirs": 0.8}, {"raw": 0.59, "untrained": (0.7, 0.01)})
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([81.5, 80.0])
    texts = [text.get_text().strip() for text in ax.texts]
    assert "81.5 ± 0.4" in texts
    assert "80.0" in texts
    assert sorted(line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--") == pytest.approx([59, 70])
    assert {"raw 59.0", "untrained 70.0"} <= set(texts)


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 1, 8, 8), (5, 3, 8, 8), (5, 8, 8, 3)])
def test_image_grid_accepts_what_images_come_as(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    figure = plot.image_grid(images, titles=list("abcde"), columns=3)
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert len(shown) == 5
    assert len(figure.axes) == 6  # two rows of three
    assert max(float(picture.max()) for picture in shown) <= 1
    assert [axis.get_title() for axis in figure.axes][:5] == list("abcde")


def test_noise_may_go_some_units_beyond_white():
    (axis,) = plot.image_grid(np.full((1, 4, 4), 5.0)).axes
    assert axis.images[0].get_array().max() == 1


def test_plotly_figures_keep_to_the_machine(monkeypatch):
    go = pytest.importorskip("plotly.graph_objects")
    seen = {}
    monkeypatch.setattr(go.Figure, "show", lambda self, **options: seen.update(options))
    plot.show(go.Figure(go.Scatter(y=[1, 2])))
    assert seen["config"]["showSendToCloud"] is False
    assert seen["config"]["displaylogo"] is False


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.scatter(np.zeros((4, 3))), r"xy must have shape \[n, 2\]"),
        (lambda: plot.scatter(np.zeros((4, 2, 3))), r"xy must have shape \[n, 2\], not \[4, 2, 3\]"),
        (lambda: plot.scatter(np.zeros((4, 2)), np.zeros(3)), "one entry for each of the 4 points"),
        (lambda: plot.curve(np.zeros((2, 3)), x=[1, 2]), "each of the 3 steps"),
        (lambda: plot.curve([]), "values must have shape"),
        (lambda: plot.bars_with_floors({}), "scores is empty"),
        (lambda: plot.bars_with_floors({"a": 81.5}), "fraction between 0 and 1"),
        (lambda: plot.image_grid(np.zeros((4, 5))), "images must have shape"),
        (lambda: plot.image_grid(np.zeros((4, 5, 0))), "images must have shape"),
        (lambda: plot.image_grid(np.full((4, 5, 5), 255)), "from 0 to 1, not int64 up to 255"),
        (lambda: plot.image_grid(np.full((4, 5, 5), 5)), "from 0 to 1, not int64 up to 5"),
        (lambda: plot.image_grid(np.full((4, 5, 5), 254.5)), "from 0 to 1, not float64 up to 254.5"),
        (lambda: plot.image_grid(np.zeros((4, 5, 5)), titles=["one"]), "1 entries for 4 images"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_the_labels_of_a_scatter_may_be():
    xy = np.random.default_rng(0).normal(size=(4, 2))
    words = plot.scatter(xy, np.array(["a", "b", "a", "b"], dtype=object)).get_legend_handles_labels()[1]
    assert words == ["a", "b"]
    numbers = np.array([0, 1, 0, -1], dtype=object)
    with pytest.raises(ValueError, match="labels run from -1 to 1"):
        plot.scatter(xy, numbers, names=("x", "y"))
    with pytest.raises(ValueError, match="mixes kinds"):
        plot.scatter(xy, np.array(["a", None, "b", "b"], dtype=object))
    for labels in (["a", "b", "a", "b"], [0.1, 0.2, 0.3, 0.4]):
        with pytest.raises(ValueError, match="names are of integer labels"):
            plot.scatter(xy, labels, names=("x", "y"))


def test_a_name_that_is_no_formula_is_drawn_as_it_is():
    ax = plot.scatter(np.random.default_rng(0).normal(size=(6, 2)), [0, 1] * 3, names=("$x^^y$", "b"))
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["$x^^y$", "b"]
