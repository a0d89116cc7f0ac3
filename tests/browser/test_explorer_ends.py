"""The Explorer at its ends: keys that are not its own, many maps on one page, odd names, narrow pages."""

import numpy as np
import pytest

pytestmark = pytest.mark.browser

MAP = """
import numpy as np
from labkit.explore import explore, compare
rng = np.random.default_rng(0)
y = np.arange(300) % 3
z = rng.normal(size=(300, 4)).astype('float32') + 4 * y[:, None]
e = explore(z, y)
e"""


def test_letters_typed_on_its_buttons_are_no_commands_to_the_notebook(lab):
    lab.open([MAP, "1"])
    lab.run(0)
    lab.drawn()
    state = """() => { const notebook = window.jupyterapp.shell.currentWidget.content;
        return [notebook.widgets.length, notebook.activeCellIndex, notebook.widgets[0].model.type] }"""
    lab.page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0 }")
    before = lab.page.evaluate(state)
    for part in (".lk-tool", ".lk-swatch", ".lk-name", ".lk-bar select"):
        for key in ("d", "d", "b", "m", "ArrowDown"):  # delete, add below, make it text, go to the next cell
            lab.page.locator(part).first.focus()
            lab.page.keyboard.press(key)
            assert lab.page.evaluate(state) == before, (part, key)


def test_a_button_keeps_the_keyboard_when_a_verdict_arrives(lab):
    lab.open([MAP])
    lab.run(0)
    lab.drawn()
    lab.python("e.select([5, 6, 7]); 1")
    button = lab.page.get_by_role("button", name="Random blob")
    button.focus()
    lab.explorer("e => e.readVerdict()")
    assert button.evaluate("one => one === document.activeElement")


def test_a_map_whose_graphics_memory_is_taken_back_goes_on(lab):
    lab.open([MAP])
    lab.run(0)
    lab.drawn()
    lab.explorer("e => e.panes[0].plot.gl.getExtension('WEBGL_lose_context').loseContext()")
    lab.page.wait_for_selector(".lk-notice:not([hidden])")
    lab.drawn()
    assert lab.painted() > 0.01
    lab.lasso([(5, 5), (600, 5), (600, 440), (5, 440)])
    lab.until("len(e.selection) > 100")
    lab.python("e.colour_by('density'); e.wait(); e.project('raw'); e.wait(); 1")
    lab.expect("e => e.colour.kind === 'value' && e.panes[0].map.map === 'raw'")
    lab.drawn()
    assert lab.painted() > 0.01
    assert lab.errors == []


def test_names_stay_whole_within_a_sentence(alone):
    from labkit.explore import explore

    z, y = np.random.default_rng(0).normal(size=(300, 4)).astype("float32"), np.arange(300) % 4
    page = alone(explore(z, y, class_names=["a ** b", "שלום", "x" * 400, "😀" * 30]))
    sentence = page.page.locator(".lk-picked p").first
    for place, name in enumerate(["a ** b", "\u2068שלום\u2069", "x" * 400]):
        page.page.locator(".lk-name").nth(place).click()
        page.page.wait_for_function(  # 75 are selected each time: the sentence is what tells
            "s => document.querySelector('.lk-picked p')?.textContent.replaceAll('\u2060', '').includes(s)",
            arg=f"are {name} (95 % interval",
        )
        assert sentence.evaluate("one => one.querySelectorAll('b').length") == 2
        assert sentence.evaluate("one => one.scrollWidth <= one.clientWidth")
    page.page.evaluate(
        """() => { window.said = []; const fill = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        window.said.push(text); fill.call(this, text, x, y) } }"""
    )
    page.explorer("e => { e.select(null); e.panes[0].home() }")
    page.expect("e => window.said.some((text) => text.startsWith('😀'))")
    assert page.page.evaluate("() => window.said.every((text) => text.isWellFormed())")


def test_the_map_is_as_wide_as_what_takes_the_mouse(alone):
    from labkit.explore import explore

    page = alone(explore(np.random.default_rng(0).normal(size=(50, 4)).astype("float32")))
    box = page.drawn().bounding_box()
    assert page.explorer("e => [e.panes[0].width, e.panes[0].height]") == [box["width"], box["height"]]


def test_pictures_keep_their_shape_and_a_narrow_pair_has_them_in_rows(alone):
    from labkit.explore import compare

    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 4)).astype("float32")
    pictures = np.full((200, 8, 32), 255, dtype="uint8")
    page = alone(compare(z, z[:, ::-1], images=pictures), width=520)
    page.explorer("e => e.setFocus(5)")
    page.expect("e => document.querySelectorAll('.lk-near canvas').length === 30")
    first = page.page.locator(".lk-near canvas").first
    assert first.evaluate("one => [one.width, one.height]") == [32, 8]
    assert first.evaluate("one => getComputedStyle(one).objectFit") == "contain"
    entries = page.page.locator(".lk-nears").first.locator(".lk-near")
    tops = entries.evaluate_all("all => all.map((one) => one.offsetTop)")
    assert len(set(tops)) <= 5  # of 15
