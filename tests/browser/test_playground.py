"""A playground in a real JupyterLab: what plotly draws is what Python computed, before and after dragging."""

import pytest

pytestmark = pytest.mark.browser

PLAYGROUND = """
import numpy as np
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider

def panels(height):
    shade = "#aa0000" if height > 1 else "#00aa00"
    bars, line = Layer("bars", [1, 2, 3], [height, 2, 3], "#123456"), Layer("line", [1, 3], [0, 0], "#654321")
    points = Layer("points", *np.array([[0, height], [1, 0]]).T, [shade, "#0000aa"], text=["a", "b"])
    return [Panel("one", [bars, line], "x", "y"), Panel("other", [points], "x", "y")]

playground = Playground(panels, {"height": Slider("height", 1.0, 0.0, 5.0, 0.5)}, "a playground")
playground"""
DRAWN = """() => (document.querySelector('.js-plotly-plot')?._fullData ?? []).map(
    t => [t.type, t.mode == 'lines' ? t.line.color : t.marker.color, [...t.x], [...t.y], t.text])"""


def test_bars_keep_their_colour_and_everything_its_place_while_one_number_is_dragged(lab):
    lab.open([PLAYGROUND])
    lab.run(0)
    lab.page.wait_for_function(
        "() => document.querySelector('.js-plotly-plot')?._fullData?.length === 3", timeout=120_000
    )
    for height, shade in ((1, "#00aa00"), (4, "#aa0000"), (0.5, "#00aa00")):
        lab.python(f"playground.set(height={height}).values")
        expected = [
            ["bar", "#123456", [1, 2, 3], [height, 2, 3], ""],
            ["scatter", "#654321", [1, 3], [0, 0], ""],
            ["scatter", [shade, "#0000aa"], [0, 1], [height, 0], ["a", "b"]],
        ]
        lab.page.wait_for_function(f"y => {{ const d = ({DRAWN})(); return d.length && d[0][3][0] === y }}", arg=height)
        lab.page.wait_for_timeout(300)
        drawn = lab.page.evaluate(DRAWN)
        assert [[kind, colour, x, y, text or ""] for kind, colour, x, y, text in drawn] == expected
    assert lab.errors == []


def test_a_page_that_was_slow_to_load_plotly_shows_the_last_number_all_the_same(lab):
    lab.open([PLAYGROUND])
    # anywidget's two seconds, made so short that every page is too slow
    lab.page.evaluate("() => { const timeout = AbortSignal.timeout; AbortSignal.timeout = () => timeout(1) }")
    lab.run(0)
    lab.page.wait_for_function(f"() => ({DRAWN})().length === 3", timeout=120_000)
    lab.page.locator(".noUi-handle").focus()
    for key, height in (("End", 5), ("Home", 0)):
        lab.page.keyboard.press(key)
        lab.page.wait_for_function(
            f"y => {{ const d = ({DRAWN})(); return d.length && d[0][3][0] === y }}", arg=height, timeout=60_000
        )
    assert lab.python("playground.values") == {"height": 0}


PICTURES = """import torch
from labkit.explore import shortcut_lab
playground = shortcut_lab(torch.rand(20, 3, 40, 40, generator=torch.Generator().manual_seed(0)))
playground.set(aberration=0.05)"""


@pytest.mark.parametrize(
    "shown", ["playground", "__import__('ipywidgets').HBox([playground])"], ids=["alone", "inside"]
)
def test_pictures_that_were_set_before_they_were_shown_are_drawn(lab, shown):
    lab.open([f"{PICTURES}\n{shown}"])
    lab.run(0)
    drawn = "() => document.querySelector('.js-plotly-plot')?._fullData?.map(t => t.source ?? '') ?? []"
    lab.page.wait_for_function(f"() => ({drawn})().length === 5", timeout=300_000)
    before = lab.page.evaluate(drawn)
    assert [source[:10] for source in before] == ["data:image", "", "data:image", "", ""]
    lab.python("figure = playground.figure; playground.set(aberration=0.1).figure is figure or 1 / 0")
    lab.page.wait_for_function(f"before => ({drawn})()[0] !== before", arg=before[0], timeout=30_000)
    assert lab.errors == []


WALKS = """import labkit
novel = labkit.data.load("les-miserables")
playground = labkit.explore.walk_lab(novel, novel.node_names, start=55)
playground"""
SIZES = "() => [...(document.querySelector('.js-plotly-plot')?._fullData?.[1]?.marker?.size ?? [])]"


def test_points_of_sizes_of_their_own_are_drawn_while_a_walk_is_leaned(lab):
    lab.open([WALKS])
    lab.run(0)
    lab.page.wait_for_function(f"() => ({SIZES})().length === 77", timeout=300_000)
    before = lab.page.evaluate(SIZES)
    lab.python("playground.set(log_q=4.0).values")
    lab.page.wait_for_function(f"before => ({SIZES})()[0] !== before", arg=before[0], timeout=60_000)
    after = lab.page.evaluate(SIZES)
    assert after == pytest.approx(lab.python("list(map(float, playground.panels[0].layers[1].width))"), rel=1e-5)
    assert after[55] > before[55]  # the start: a walk that stays near comes back to it more often
    assert lab.errors == []
