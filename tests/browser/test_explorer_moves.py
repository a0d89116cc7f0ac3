"""Zooming, touching, going back: what happens between a hand and the map, in pages of their own."""

import numpy as np
import pytest

from labkit.explore import explore

pytestmark = pytest.mark.browser
Z = np.random.default_rng(0).normal(size=(400, 4)).astype("float32")


@pytest.fixture
def page(alone):
    return alone(explore(Z, np.arange(400) % 3))


def touch(page, kind, *fingers):
    box = page.drawn().bounding_box()
    points = [{"x": box["x"] + x, "y": box["y"] + y, "id": i} for i, (x, y) in enumerate(fingers)]
    page.touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_two_fingers_zoom_and_move_and_select_nothing(page):
    page.touches = page.page.context.new_cdp_session(page.page)
    page.explorer("e => e.panes[0].overlay.focus()")
    touch(page, "touchStart", (200, 200))
    touch(page, "touchStart", (200, 200), (260, 200))
    held = page.explorer("e => e.panes[0].toMap(230, 200)")
    for step in range(1, 9):
        touch(page, "touchMove", (200 - 15 * step, 200), (260 + 15 * step, 200 + 10 * step))
    touch(page, "touchEnd")
    assert page.explorer("e => e.panes[0].camera[2]") == pytest.approx(np.hypot(300, 80) / 60, rel=0.02)
    np.testing.assert_allclose(page.explorer("e => e.panes[0].toMap(230, 240)"), held, atol=0.05)
    assert page.explorer("e => [e.selected, e.focus]") == [0, -1]
    page.explorer("e => e.panes[0].home()")
    touch(page, "touchStart", (100, 100))  # one finger selects again
    for corner in ((500, 100), (500, 400), (100, 400)):
        touch(page, "touchMove", corner)
    touch(page, "touchEnd")
    page.expect("e => e.selected > 0")


def test_a_finger_scrolls_the_page_until_the_map_is_tapped(page):
    style = "e => getComputedStyle(e.panes[0].overlay).touchAction"
    assert page.explorer(style) == "pan-y"
    page.explorer("e => e.panes[0].overlay.focus()")
    assert page.explorer(style) == "none"


def test_what_is_searched_for_and_walked_to_comes_into_sight(page):
    seen = """(e, i) => { const p = e.panes[0], [x, y] = p.screen(i);
        return x > 0 && y > 0 && x < p.width && y < p.height }"""
    page.explorer("e => { e.panes[0].zoom(200); e.find('7') }")
    page.expect("e => e.focus === 7 && e.near")
    page.expect(seen, 7)
    page.explorer("e => e.walk(1, e.panes[0])")
    page.expect(seen, page.explorer("e => e.hover"))
    page.explorer("e => { e.panes[0].home(); e.setFocus(9) }")
    assert page.explorer("e => e.panes[0].camera") == [0, 0, 1]  # what is in sight already moves nothing


def test_a_selection_that_was_lost_comes_back(page):
    sizes = []
    for width in (150, 300, 450):
        page.lasso([(200, 20), (200 + width, 20), (200 + width, 420), (200, 420)])
        page.expect("(e, old) => e.selected > old", sizes[-1] if sizes else 0)
        sizes.append(page.explorer("e => e.selected"))
    page.page.keyboard.press("Escape")
    page.expect("e => e.selected === 0")
    for size in [*sizes[::-1], 0, 0]:  # before the first there was none, and before that nothing
        page.page.keyboard.press("z")
        page.expect("(e, size) => e.selected === size", size)


def test_a_selection_can_fill_the_map(page):
    page.explorer("e => e.selectClass(0)")
    page.expect("e => e.selected === 134")
    page.page.get_by_role("button", name="Zoom to it").click()
    chosen = """e => { const p = e.panes[0];
        const all = [...e.flags.keys()].filter((i) => e.flags[i]).map((i) => p.screen(i));
        return [Math.min(...all.map((s) => s[0])), Math.max(...all.map((s) => s[0])) - p.width,
                Math.min(...all.map((s) => s[1])), Math.max(...all.map((s) => s[1])) - p.height] }"""
    left, right, top, bottom = page.explorer(chosen)
    assert min(left, -right, top, -bottom) == pytest.approx(40, abs=1)
    assert left == pytest.approx(-right, abs=1)
    page.explorer("e => { e.select(null); e.panes[0].home() }")
    page.expect("e => e.selected === 0")
    page.explorer("e => e.panes[0].frameSelection()")  # nothing is selected: nothing moves
    assert page.explorer("e => e.panes[0].camera") == [0, 0, 1]


def test_a_hover_builds_no_grid_and_a_new_map_leaves_no_buffer(page):
    kept = """e => { const p = e.panes[0]; p.pick(50, 50); const grid = p.grid; p.pick(300, 200);
        return [p.positions() === p.positions(), p.grid === grid] }"""
    assert page.explorer(kept) == [True, True]
    counted = """e => { const { gl } = e.panes[0].plot, count = [0, 0];
        const [make, drop] = [gl.createBuffer, gl.deleteBuffer];
        gl.createBuffer = () => { count[0]++; return make.call(gl) };
        gl.deleteBuffer = (buffer) => { count[1]++; drop.call(gl, buffer) };
        for (let k = 0; k < 6; k++) e.readMap('left'); // each before the glide of the one before has ended
        window.count = count;
        e.request() }"""
    page.explorer(counted)
    page.drawn()
    made, dropped = page.page.evaluate("() => window.count")
    assert made == dropped == 6
