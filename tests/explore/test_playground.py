"""Playgrounds: what the sliders say is what is computed, drawn, and written beside the picture."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import ipywidgets
import numpy as np
import pytest
import torch

from labkit.data import stochastic_block_model
from labkit.explore import Layer, Panel, Playground, Slider, graph_view_lab


def line(slope: float, offset: float) -> list[Panel]:
    x = np.arange(5)
    layers = [Layer("line", x, slope * x + offset, name="theory"), Layer("points", x, slope * x, text=list("abcde"))]
    return [Panel("A line", layers, "x", "y", says=f"slope {slope:g}"), Panel("Bars", [Layer("bars", x, x)], "x", "y")]


@pytest.fixture
def playground():
    sliders = {"slope": Slider("slope", 1.0, -2.0, 2.0, 0.1), "offset": Slider("offset", 0.0, 0.0, 1.0, 0.1)}
    return Playground(line, sliders, "Lines")


def test_a_slider_moves_the_traces_that_are_there(playground):
    traces = list(playground.figure.data)
    playground.sliders["slope"].value = 2.0
    assert playground.values == {"slope": 2.0, "offset": 0.0}
    assert list(playground.figure.data) == traces
    np.testing.assert_allclose(playground.figure.data[0].y, 2 * np.arange(5))
    assert "slope 2" in playground.figure.layout.annotations[0].text
    assert playground.panels[0].says == "slope 2"


def test_each_panel_has_a_legend_of_its_own_that_says_what_the_sliders_say():
    def panels(n):
        seen, of = Layer("line", [0, 1], [0, 1], name="seen"), Layer("points", [0], [n], name=f"of {n}")
        return [Panel("one", [seen, Layer("line", [0, 1], [0, n])], "x", "y"), Panel("map", [seen, of])]

    playground = Playground(panels, {"n": Slider("n", 2, 1, 9, 1)}, "names")
    playground.set(n=5)
    named = [(trace.name, trace.legend) for trace in playground.figure.data if trace.showlegend]
    assert named == [("seen", "legend"), ("seen", "legend2"), ("of 5", "legend2")]


def test_the_legend_of_a_map_lies_below_its_points():
    points = Layer("points", np.linspace(0, 1, 50), np.linspace(0, 1, 50), name="everywhere")
    playground = Playground(lambda n: [Panel("map", [points])], {"n": Slider("n", 2, 1, 9, 1)}, "a map")
    figure = playground.twin()
    figure.canvas.draw()
    (axes,) = figure.axes
    assert axes.get_legend().get_window_extent().y1 <= axes.get_window_extent().y0


def test_what_cannot_be_computed_is_said_above_the_picture_until_it_can():
    def inverse(x):
        if x == 0:
            raise ValueError("1 / x needs x <> 0")
        return [Panel("inverse", [Layer("bars", [0], [1 / x])])]

    playground = Playground(inverse, {"x": Slider("x", 1.0, -1.0, 1.0, 0.5)}, "inverse")
    with pytest.raises(ValueError, match="needs x"):
        playground.sliders["x"].value = 0.0
    _, warning, figure = playground.children
    assert "an earlier one" in warning.value
    assert "ValueError: 1 / x needs x <> 0" in warning.value
    assert figure is playground.figure
    assert figure.data[0].y[0] == 1
    playground.sliders["x"].value = 0.5
    assert warning.value == ""
    assert warning.layout.display == "none"
    assert playground.children[-1] is figure
    assert figure.data[0].y[0] == 2


def test_set_moves_several_sliders_and_computes_once(playground):
    calls = []
    playground._compute = lambda **values: calls.append(values) or line(**values)
    assert playground.set(slope=-1.0, offset=0.5) is playground
    assert calls == [{"slope": -1.0, "offset": 0.5}]
    np.testing.assert_allclose(playground.figure.data[0].y, 0.5 - np.arange(5))


def test_what_is_set_before_it_is_shown_is_in_the_figure_from_its_start(playground):
    first = playground.children[-1]
    playground.set(slope=-1.0)
    figure = playground.children[-1]
    assert figure is not first, "a figure that changes before the browser has it stays blank"
    assert figure is playground.figure
    np.testing.assert_allclose(figure.data[0].y, -np.arange(5))
    figure._view_count = 1
    playground.set(slope=2.0)
    assert playground.children[-1] is figure, "what the reader looks at stays there"
    np.testing.assert_allclose(figure.data[0].y, 2 * np.arange(5))


def test_inside_another_widget_it_has_its_figure_too(playground):
    box = ipywidgets.HBox([playground])
    assert box.children[0].children[-1] is playground.figure


def test_callbacks_get_one_thread_and_others_keep_theirs(playground):
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []

    def compute(**values):
        seen.append({torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())})
        return line(**values)

    before = torch.get_num_threads()
    playground._compute = compute
    try:
        torch.set_num_threads(2)
        with threadpool_limits(limits=2):
            playground.set(slope=0.5)
            assert seen == [{1}]
            assert torch.get_num_threads() == 2
            assert all(library["num_threads"] == 2 for library in threadpool_info())
    finally:
        torch.set_num_threads(before)


def test_set_refuses_what_there_is_no_slider_for(playground):
    with pytest.raises(ValueError, match="no slider named 'slop'; did you mean 'slope'"):
        playground.set(slop=1.0)
    with pytest.raises(ValueError, match="slope must lie between -2 and 2, not 3"):
        playground.set(offset=0.5, slope=3.0)
    assert playground.values == {"slope": 1.0, "offset": 0.0}


def test_readers_without_a_kernel_get_a_picture_with_words(playground):
    data, metadata = playground._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert len(data["image/png"]) < 150_000
    assert metadata["image/png"]["alt"] == data["text/plain"] == "Lines, at slope 1, offset 0. A line: slope 1"


@pytest.mark.attack("requests that leave")
def test_nothing_is_sent_away(playground):
    assert playground.figure._config["showSendToCloud"] is False


@pytest.fixture
def lab():
    return graph_view_lab(stochastic_block_model([12, 12], p_in=0.4, seed=0), k=4)


def test_the_untouched_graph_is_unchanged(lab):
    lab.set(edge_drop=0.0, feature_mask=0.0, alpha=1.0)
    graph, spectra, embedding = lab.panels
    assert graph.says.split()[0] == graph.says.split()[2]  # all edges of all
    np.testing.assert_allclose(spectra.layers[0].y, spectra.layers[1].y, atol=1e-5)
    assert embedding.says.startswith("100 %")


def test_diffusion_lets_through_what_its_kernel_says(lab):
    lab.set(edge_drop=0.0, feature_mask=0.0, alpha=0.2)
    before, after = (torch.as_tensor(layer.y) for layer in lab.panels[1].layers)
    expected = 0.2 * before / (1 - 0.8 * before)
    torch.testing.assert_close(after, expected.sort(descending=True).values, rtol=1e-3, atol=1e-4)


def test_the_same_draw_is_the_same_view_and_everything_may_be_dropped(lab):
    first = lab.set(draw=3).panels[0].says
    assert lab.set(draw=4).set(draw=3).panels[0].says == first
    lab.set(edge_drop=0.95, feature_mask=0.95)
    assert all(np.isfinite(layer.y).any() or not np.isfinite(layer.x).any() for layer in lab.panels[2].layers)


def test_the_view_lab_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="up to 400 nodes, not 500"):
        graph_view_lab(stochastic_block_model([250, 250]))
    graph = stochastic_block_model([5, 5])
    graph.x[2] = torch.nan
    with pytest.raises(ValueError, match="x holds NaN"):
        graph_view_lab(graph)
    graph.x = None
    with pytest.raises(ValueError, match="needs features"):
        graph_view_lab(graph)


def test_a_slider_shows_the_number_that_counts(playground):
    shown = Slider("λ", 0.005, 0.0, 0.05, 0.005).widget()
    assert shown.readout_format == ".3f"
    assert Slider("τ", 0.5, 0.0, 1.0, 0.25).widget().readout_format == ".2f"
    assert Slider("n", 5, 1, 9, 1).widget().readout_format == "d"
    for wrong in ({"value": 5.0}, {"step": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Slider(**{"label": "x", "value": 0.5, "low": 0.0, "high": 1.0, "step": 0.1} | wrong)


def test_what_cannot_be_computed_leaves_sliders_and_pictures_as_they_were():
    def panels(a: float, n: int) -> list[Panel]:
        if a > 0.8:
            raise ZeroDivisionError
        return [Panel(f"at {a:g}", [Layer("points", [0.0], [a])], f"x at {a:g}", "y")]

    sliders = {"a": Slider("a", 0.5, 0.0, 1.0, 0.1), "n": Slider("n", 2, 0, 5, 1)}
    lab = Playground(panels, sliders, "Breaks")
    with pytest.raises(ZeroDivisionError):
        lab.set(a=0.9, n=3)
    assert lab.values == {"a": 0.5, "n": 2}
    assert lab.panels[0].title == "at 0.5"
    with pytest.raises(ValueError, match=r"n must be a whole number, not 2\.5"):
        lab.set(n=2.5)
    lab.figure._view_count = 1
    lab.set(a=0.7)
    assert lab.figure.layout.xaxis.title.text == "x at 0.7"  # names of axes move with the sliders, too


def test_a_figure_that_was_never_shown_is_closed_when_another_takes_its_place(playground):
    before = playground.figure
    playground.set(**{name: widget.min for name, widget in playground.sliders.items()})
    assert playground.figure is not before
    assert before.comm is None


def test_the_browser_hears_of_a_figure_when_all_of_it_is_there(monkeypatch):
    told, opened = [], ipywidgets.Widget.open

    def watched(widget):
        if hasattr(widget, "_widget_data"):
            told.append((len(widget._widget_data), "width" in widget._widget_layout))
        opened(widget)

    monkeypatch.setattr(ipywidgets.Widget, "open", watched)
    Playground(
        line, {"slope": Slider("slope", 1.0, -2.0, 2.0, 0.1), "offset": Slider("offset", 0.0, 0.0, 1.0, 0.1)}, "L"
    )
    assert told == [(3, True)]


@pytest.mark.parametrize("answers", [True, False])
def test_a_page_is_looked_at_twice_before_its_figure_is_drawn_anew(playground, answers):
    figure = playground.figure
    figure._trace_edit_in_process = True

    async def looked():
        playground._draw_what_was_not_heard(0.01)
        assert playground.figure is figure
        figure._trace_edit_in_process = not answers
        await asyncio.sleep(0.1)

    with ThreadPoolExecutor() as thread:  # the browser's tests leave a running loop in this one
        thread.submit(asyncio.run, looked()).result()
    assert (playground.figure is figure) == answers
