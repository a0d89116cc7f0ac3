"""The Explorer in a real JupyterLab: what the reader does with mouse and keys is what Python reads back."""

import json

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

pytestmark = pytest.mark.browser

IMPORTS = """
import numpy as np, torch
from types import SimpleNamespace
from labkit.explore import explore, compare
rng = np.random.default_rng(0)
"""
POINTS = """
y = np.arange(4000) % 5
z = (rng.normal(size=(5, 8))[y] * 2.5 + rng.normal(size=(4000, 8))).astype('float32')
names = ['<b>cat</b>', '<img src=x onerror="window.hacked=1">', 'dog', 'bird', 'fish']
"""
MAP = """
images = (np.arange(4000) % 256).astype('uint8')[:, None, None] * np.ones((1, 6, 6), 'uint8')
e = explore(z, y, class_names=names, images=images)
e"""
RUN = """
group, centres, noise = np.arange(900) % 3, rng.normal(size=(3, 6)), rng.normal(size=(900, 6))
frames = {k: torch.tensor(centres[group] * k / 4 + noise).float() for k in range(0, 13, 2)}
losses = [5 / (k + 1) for k in range(12)]
r = explore(SimpleNamespace(snapshots=frames, history={'loss': losses}, events=[(4, 'rate halved')]), group)
r"""
PAIR = """
c = compare(z, z[:, ::-1] * 2, y, titles=('one', 'two'))
c"""
MANY = """
x = rng.normal(size=(150_000, 2)).astype('float32')
m = explore(x, (x[:, 0] > 0).astype(int))
m"""


@pytest.fixture(scope="module")
def map_(lab):
    """One notebook with one map of 4 000 points, shared by the tests of this module that only look and select."""
    lab.open([IMPORTS + POINTS, MAP, RUN, PAIR, MANY])
    lab.run(0)
    lab.run(1)
    lab.drawn()
    return lab


@pytest.fixture
def fresh(map_):
    """The shared map with nothing selected, clicked or hidden."""
    map_.python("e.select([]); e.focus(None); e._hidden = []; 1")
    map_.explorer("e => { e.setMode('lasso'); e.setHover(-1); e.panes[0].home() }")
    map_.page.mouse.move(5, 5)
    map_.page.wait_for_timeout(80)
    return map_


def answered(lab):
    lab.expect("e => e.near !== null && e.near.row === e.focus")


@pytest.mark.attack("requests that leave")
def test_the_map_is_painted_and_nothing_leaves_the_machine(fresh):
    assert 0.02 < fresh.painted() < 0.9
    fresh.python("e.wait() and 1")
    assert "nearest neighbours" in fresh.page.locator(".lk-caption").inner_text()
    assert fresh.external == []
    assert fresh.errors == []


@pytest.mark.attack("names and captions")
def test_names_with_html_are_shown_as_text(fresh):
    assert "<b>cat</b>" in fresh.page.locator(".lk-legend").inner_text()
    x, y = fresh.screen(1)
    fresh.page.mouse.move(x, y)
    fresh.page.wait_for_timeout(150)
    assert fresh.page.evaluate("() => window.hacked === undefined")
    assert fresh.page.locator(".lk-explorer img").count() == 0


def test_forty_lassos_arrive_and_each_holds_exactly_the_points_inside(fresh):
    xy = np.array(fresh.python("e.projection.tolist()"))
    box = fresh.drawn().bounding_box()
    rng = np.random.default_rng(1)
    sizes = []
    for _ in range(40):
        angles = np.sort(rng.random(7) * 2 * np.pi)
        centre = rng.uniform(0.3, 0.7, 2) * (box["width"], box["height"])
        corners = centre + rng.uniform(40, 150, (7, 1)) * np.stack([np.cos(angles), np.sin(angles)], 1)
        before = fresh.explorer("e => e.panes[0].lasso ?? null")
        fresh.lasso([tuple(corner) for corner in corners], steps=2)
        fresh.expect("(e, old) => String(e.panes[0].lasso) !== String(old)", before)
        polygon = np.array(fresh.explorer("e => e.panes[0].lasso"))
        expected = np.flatnonzero(Polygon(polygon).contains_points(xy)).tolist()
        fresh.until("e.selection.tolist()", expected)
        sizes.append(len(expected))
    assert min(sizes) > 0
    # and the polygon is where the mouse went: its corners are among the reported ones, in pixels of the map
    drawn = np.array(fresh.explorer("(e, p) => p.map(([x, y]) => e.panes[0].toScreen(x, y))", polygon.tolist()))
    assert all(np.abs(drawn - corner).max(1).min() < 1 for corner in corners)
    assert fresh.errors == []


def test_shift_adds_control_removes_escape_clears(fresh):
    fresh.lasso([(100, 100), (330, 100), (330, 330), (100, 330)])
    fresh.until("len(e.selection) > 0")
    first = set(fresh.python("e.selection.tolist()"))
    fresh.page.keyboard.down("Shift")
    fresh.lasso([(330, 100), (560, 100), (560, 330), (330, 330)])
    fresh.page.keyboard.up("Shift")
    fresh.until(f"len(e.selection) > {len(first)}")
    both = set(fresh.python("e.selection.tolist()"))
    assert first < both
    fresh.page.keyboard.down("Control")
    fresh.lasso([(90, 90), (330, 90), (330, 340), (90, 340)])
    fresh.page.keyboard.up("Control")
    fresh.until(f"len(e.selection) < {len(both)}")
    assert set(fresh.python("e.selection.tolist()")) == both - first
    fresh.page.keyboard.press("Escape")
    fresh.until("len(e.selection)", 0)


def test_python_selects_and_the_map_and_the_screen_reader_hear_of_it(fresh):
    fresh.python("e.select(np.flatnonzero(y == 2)); 1")
    fresh.expect("e => e.selected === 800")
    status = fresh.page.locator(".lk-explorer [role=status]").inner_text()
    assert status.startswith("800 of 4,000 selected (20 %): 100 % are dog")
    assert "against 20 % of all" in status
    fresh.page.wait_for_selector(".lk-verdict")
    assert "A random blob of this size" in fresh.page.locator(".lk-verdict").inner_text()


def test_the_legend_selects_and_filters(fresh):
    fresh.page.locator(".lk-name", has_text="bird").click()
    fresh.until("e.selection.tolist() == np.flatnonzero(y == 3).tolist()")
    fresh.python("e.select([]); 1")
    fresh.expect("e => e.selected === 0")
    painted = fresh.painted()
    fresh.page.locator(".lk-swatch").nth(3).dblclick()  # only birds
    fresh.until("e._hidden", [0, 1, 2, 4])
    fresh.expect("e => e.visible(3) && !e.visible(4)")
    assert fresh.painted() < painted  # the others stay, as small grey context
    fresh.lasso([(2, 2), (600, 2), (600, 440), (2, 440)])
    fresh.until("len(e.selection) > 0")
    assert fresh.python("sorted(set(y[e.selection].tolist()))") == [3]


def test_a_filter_of_one_end_keeps_all_values_beyond_the_other(fresh):
    fresh.python("e.colour_by('density'); e.wait(); 1")
    fresh.expect("e => e.colour.kind === 'value'")
    lost = """e => {
      const slider = e.legend.querySelector('input[aria-label="show values NAME"]');
      slider.value = 500;
      slider.dispatchEvent(new Event("change"));
      const [from, to] = e.keep, kept = [...e.values.keys()].filter((i) => e.visible(i));
      const far = NAME_IS_FROM ? Math.max(...e.values) : Math.min(...e.values);
      const wanted = [...e.values].filter((v) => (NAME_IS_FROM ? v >= from : v <= to)).length;
      e.keep = null;
      e.showLegend();
      return [kept.length, wanted, kept.some((i) => e.values[i] === far)];
    }"""
    for name in ("from", "up to"):
        found = fresh.explorer(lost.replace("NAME_IS_FROM", str(name == "from").lower()).replace("NAME", name))
        assert 0 < found[0] == found[1] < 4000
        assert found[2]
    fresh.python("e.colour_by('label'); 1")
    fresh.expect("e => e.colour.kind === 'class'")


def test_an_arrow_key_waits_for_the_neighbours(fresh):
    fresh.python("e.focus(205); 1")
    answered(fresh)
    assert fresh.explorer("e => { e.near = null; e.walk(1, e.panes[0]); return e.focus }") == 205
    fresh.python("e.focus(None); 1")


def test_an_answer_that_arrives_with_its_question_is_waited_for_no_longer(fresh):
    for row in (3, 5, 8):
        fresh.python(f"e.focus({row}); 1")
        answered(fresh)
        fresh.page.wait_for_timeout(200)
        assert fresh.explorer("e => e.patience ?? null") is None  # after five seconds it would say that nobody answers


def test_a_click_shows_the_true_neighbours(fresh):
    point = fresh.explorer("e => e.panes[0].pick(e.panes[0].width / 2, e.panes[0].height / 2, 300)")
    fresh.page.mouse.click(*fresh.screen(point))
    answered(fresh)
    expected = fresh.python(f"np.argsort(np.linalg.norm(z - z[{point}], axis=1))[1:16].tolist()")
    assert fresh.explorer("e => Array.from(e.near.left.rows)") == expected
    assert fresh.python("e.neighbours.rows.tolist()") == expected
    entries = fresh.page.locator(".lk-near")
    assert entries.count() == 15
    assert f"row {expected[0]}" in entries.nth(0).get_attribute("title")
    shade = fresh.explorer(
        "e => document.querySelector('.lk-near canvas').getContext('2d').getImageData(2, 2, 1, 1).data[0]"
    )
    assert shade == expected[0] % 256  # the picture is that of the row
    entries.nth(2).click()
    fresh.until("int(e._focus)", expected[2])


def test_map_ranks_of_neighbours_are_right(fresh):
    fresh.python("e.focus(77); 1")
    answered(fresh)
    fresh.page.wait_for_timeout(50)
    ranks = fresh.explorer("e => e.near.left.ranks")
    expected = fresh.python(
        "d = np.linalg.norm(e.projection.astype(float) - e.projection[77].astype(float), axis=1); d[77] = -1\n"
        "[int((d < d[j]).sum()) for j in e.neighbours.rows]"
    )
    assert ranks == expected


def test_hover_rings_the_nearest_point_and_says_what_it_is(fresh):
    x, y = fresh.screen(123)
    fresh.page.mouse.move(x + 1, y)
    fresh.page.wait_for_selector(".lk-tip:not([hidden])")
    row = fresh.explorer("e => e.hover")
    assert row >= 0
    assert f"row {row}" in fresh.page.locator(".lk-tip").inner_text()


def test_keys_alone_can_do_what_matters(fresh):
    cells = fresh.cells()
    fresh.drawn().focus()
    press = fresh.page.keyboard.press
    press("b")  # in JupyterLab's command mode this adds a cell: the map must keep its keys to itself
    assert fresh.explorer("e => e.mode") == "box"
    press("l")
    assert fresh.cells() == cells
    press("ArrowRight")  # nothing chosen yet: the point in the middle
    fresh.until("e._focus >= 0")
    answered(fresh)
    press("ArrowRight")
    press("ArrowRight")
    second = fresh.explorer("e => e.near.left.rows[1]")
    assert fresh.explorer("e => e.hover") == second
    assert "neighbour 2 of 15" in fresh.page.locator(".lk-explorer [role=status]").inner_text()
    press("Enter")
    fresh.until("e._focus", second)
    answered(fresh)
    press("s")  # select it and its neighbours
    fresh.until("sorted(e.selection.tolist()) == sorted([e._focus, *e.neighbours.rows.tolist()])")
    press("Escape")
    press("Escape")
    fresh.until("(e._focus, len(e.selection))", [-1, 0])


def test_search_by_row_and_by_text(fresh):
    box = fresh.page.locator(".lk-bar .lk-search")
    box.fill("1234")
    box.press("Enter")
    fresh.until("e._focus", 1234)
    box.fill("fish")
    box.press("Enter")
    fresh.until("e.selection.tolist() == np.flatnonzero(y == 4).tolist()")
    box.fill("")


def test_the_probe_button_scores_every_point_and_draws_its_direction(fresh):
    fresh.python("e.select(np.flatnonzero(y == 1)); 1")
    fresh.page.get_by_role("button", name="Probe", exact=True).click()
    fresh.until("e._colour['id']", "score")
    assert fresh.python("e._probe.auc") > 0.9
    fresh.expect("e => e.colour.kind === 'value'")
    assert 0 < fresh.explorer("e => e.model.get('_arrow').left.share") <= 1
    fresh.python("e.colour_by('label'); 1")
    fresh.until("e._colour['id']", "label")


def test_naming_a_selection_keeps_it(fresh):
    fresh.python("e.select([5, 6, 7]); 1")
    field = fresh.page.get_by_label("Name of this selection")
    field.fill("odd ones")
    field.press("Enter")
    fresh.until("{k: v.tolist() for k, v in e.selections.items()}", {"odd ones": [5, 6, 7]})
    fresh.python("e.select([9]); 1")
    fresh.page.locator(".lk-chip", has_text="odd ones (3)").click()
    fresh.until("e.selection.tolist()", [5, 6, 7])


def test_a_name_that_is_being_typed_outlives_a_verdict_that_arrives(fresh):
    fresh.python("e.select([5, 6, 7]); 1")
    field = fresh.page.get_by_label("Name of this selection")
    field.fill("od")
    fresh.explorer("e => e.readVerdict()")
    assert field.input_value() == "od"
    fresh.page.keyboard.type("d")
    assert field.input_value() == "odd"
    fresh.python("e.select([9]); 1")
    fresh.page.wait_for_function("() => document.querySelector('[aria-label=\"Name of this selection\"]').value === ''")


def test_another_map_is_chosen_and_glides_in(fresh):
    fresh.page.get_by_label("Map", exact=True).select_option("raw")
    fresh.until("e._left['map']", "raw")
    fresh.drawn()
    fresh.page.get_by_label("vertical axis").select_option("dim 5")
    fresh.until("e._left['axes']", [0, 5])
    fresh.drawn()
    assert fresh.python("bool(np.allclose(e.projection, z[:, [0, 5]]))")
    fresh.python("e.project('pca'); 1")
    fresh.drawn()


def test_the_saved_notebook_is_small_and_holds_a_picture_with_words(fresh):
    path = fresh.save()
    notebook = json.loads(path.read_text())
    (output,) = [out for out in notebook["cells"][1]["outputs"] if "image/png" in out.get("data", {})]
    assert "widgets" not in notebook["metadata"]
    assert len(output["data"]["image/png"]) < 200_000
    assert path.stat().st_size < 250_000
    assert "Scatter of 4,000 points" in output["metadata"]["image/png"]["alt"]


# ---------------------------------------------------------------- further cells of the same notebook


def test_a_run_is_scrubbed_and_neighbours_follow(map_):
    lab = map_
    lab.run(2)
    lab.drawn()
    lab.expect("e => e.panes[0].map.frames === 7")
    when = lab.page.locator(".lk-when").last
    assert "epoch 12" in when.inner_text()
    lab.python("r.focus(10); 1")
    answered(lab)
    lab.page.get_by_label("go to epoch 4: rate halved").first.click()
    lab.until("r._time", 2.0)
    lab.python("d = np.linalg.norm(frames[4].numpy() - frames[4][10].numpy(), axis=1); 1")
    lab.until("r.neighbours.rows.tolist() == np.argsort(d)[1:16].tolist()")
    rows = lab.python("r.neighbours.rows.tolist()")
    lab.expect("(e, rows) => String(Array.from(e.near?.left.rows ?? [])) === String(rows)", rows)
    lab.expect("e => e.panes[0].caption.innerText.includes('Epoch 4: moved by')")
    lab.explorer("e => { e.slider.value = 3.5; e.slider.dispatchEvent(new Event('input')) }")
    between = lab.explorer("e => Array.from(e.panes[0].positions().slice(0, 2))")
    frames = "r._lenses['left'].map.xy"
    assert between == pytest.approx(lab.python(f"(({frames}[3] + {frames}[4]) / 2)[0].tolist()"), abs=1e-4)
    lab.until("r._time", 3.5)
    lab.page.get_by_role("button", name="Play").click()
    lab.until("r._time", 6.0, seconds=15)
    assert lab.errors == []


def test_two_maps_are_linked(map_):
    lab = map_
    lab.run(3)
    lab.drawn("left")
    lab.drawn("right")
    assert lab.painted("right") > 0.02
    lab.lasso([(60, 60), (250, 60), (250, 250), (60, 250)], side="right")
    lab.until("len(c.selection) > 0")
    lab.expect("(e, n) => e.flags.reduce((a, b) => a + b) === n", lab.python("len(c.selection)"))
    lab.page.mouse.move(*lab.screen(42, "left"))
    lab.expect("e => e.hover >= 0")
    lab.python("c.focus(3); 1")
    answered(lab)
    assert lab.explorer("e => String(e.near.left.rows) === String(e.near.right.rows)")  # a mirrored copy
    lab.python("c.wait() and 1")
    lab.expect("e => e.panes[1].caption.innerText.includes('linear CKA 1.00')")
    assert lab.errors == []


def test_many_points_come_back_exactly(map_):
    """Drawn by the processor, since headless Chromium imitates WebGL2."""
    lab = map_
    lab.run(4)
    lab.drawn()
    assert lab.explorer("e => e.panes[0].plot.constructor.name") == "Raster"
    assert lab.painted() > 0.05
    lab.lasso([(250, 100), (450, 100), (450, 300), (250, 300)])
    lab.until("len(m.selection) > 1000")
    polygon = lab.explorer("e => e.panes[0].lasso")
    lab.python(
        f"from matplotlib.path import Path; drawn = m._lenses['left'].xy.astype(float)\n"
        f"inside = Path({polygon}).contains_points(drawn); 1"
    )
    lab.until("m.selection.tolist() == np.flatnonzero(inside).tolist()")
    assert lab.errors == []
    assert lab.external == []


# ---------------------------------------------------------------- what can go wrong, and pages without a kernel


def test_a_closed_kernel_is_said_and_the_map_stays(map_):
    lab = map_
    before = lab.explorer("e => e.selected")
    lab.close()
    lab.page.wait_for_selector(".lk-notice:not([hidden])")
    assert "The kernel was closed" in lab.page.locator(".lk-notice").last.inner_text()
    assert lab.explorer("e => e.selected") == before
    lab.lasso([(100, 60), (500, 60), (500, 400), (100, 400)])
    lab.expect("(e, n) => e.selected > n", before)


def test_without_webgl2_there_is_a_message_and_the_picture(lab):
    lab.open([IMPORTS, "e = explore(rng.normal(size=(300, 4)))\ne"])
    lab.run(0)
    lab.page.evaluate(
        "() => { const old = HTMLCanvasElement.prototype.getContext;"
        " HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind === 'webgl2' ? null : old.call(this, kind, ...rest) } }"
    )
    lab.run(1)
    lab.page.wait_for_selector(".lk-notice")
    assert "This browser offers no WebGL2" in lab.page.locator(".lk-notice").inner_text()
    lab.page.wait_for_function("() => document.querySelector('.lk-explorer img')?.naturalWidth > 300")
    assert lab.page.locator(".lk-explorer img").get_attribute("alt")


def test_a_page_of_its_own_works_offline(lab, tmp_path):
    from labkit.explore import explore

    rng = np.random.default_rng(0)
    z, images = rng.normal(size=(500, 6)).astype("float32"), rng.integers(0, 255, (500, 5, 5), dtype="uint8")
    explorer = explore(z, np.arange(500) % 3, class_names=["</script>", "b", "c"], images=images)
    explorer.wait().to_html(tmp_path / "map.html")
    context = lab.page.context.browser.new_context(offline=True, viewport={"width": 1200, "height": 800})
    alone = type(lab)(context.new_page(), "", tmp_path)
    alone.page.goto((tmp_path / "map.html").as_uri())
    alone.drawn()
    assert alone.painted() > 0.01
    assert "nearest neighbours" in alone.page.locator(".lk-caption").inner_text()
    alone.lasso([(100, 80), (500, 80), (500, 350), (100, 350)])
    alone.expect("e => e.selected > 20")
    polygon = alone.explorer("e => e.panes[0].lasso")
    expected = np.flatnonzero(Polygon(polygon).contains_points(explorer.projection.astype(float)))
    assert alone.explorer("e => Array.from(e.flags.keys()).filter(i => e.flags[i])") == expected.tolist()
    alone.explorer("e => e.setFocus(7)")
    alone.expect("e => document.querySelectorAll('.lk-near').length === 15")
    nearest = np.argsort(np.linalg.norm(z - z[7], axis=1))[1:16].tolist()
    assert alone.explorer("e => Array.from(e.near.left.rows)") == nearest
    assert (alone.external, alone.errors) == ([], [])
    context.close()


@pytest.mark.parametrize("width", [1200, 760])
def test_a_saved_picture_has_the_whole_legend_and_caption(lab, tmp_path, width):
    from PIL import Image

    from labkit.explore import compare

    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(300, 6)).astype("float32"), np.arange(300) % 20
    names = [f"a class called {k}" for k in range(19)] + ["a class with a name " + "that goes on " * 30]
    pair = compare(z, z[:, :4], y, class_names=names)
    pair.wait().to_html(tmp_path / "pair.html")
    context = lab.page.context.browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
    alone = type(lab)(context.new_page(), "", tmp_path)
    alone.page.goto((tmp_path / "pair.html").as_uri())
    alone.drawn("right")
    alone.page.evaluate(
        """() => { window.said = []; const fill = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        window.said.push([text, x + this.measureText(text).width, y]); fill.call(this, text, x, y) } }"""
    )
    with alone.page.expect_download() as download:
        alone.explorer("e => e.savePicture()")
    download.value.save_as(tmp_path / "saved.png")
    said = alone.page.evaluate("window.said")
    ratio = alone.page.evaluate("window.devicePixelRatio")
    wide, high = (side / ratio for side in Image.open(tmp_path / "saved.png").size)
    assert all(right <= wide and y <= high for _, right, y in said)
    words = " ".join(text for text, *_ in said)
    for caption in pair.caption.split("**"):
        assert all(word in words for word in caption.split())
    below = {text for text, _, y in said if y > alone.explorer("e => e.panes[0].height")}
    assert set(names[:19]) <= below
    assert any(text.startswith("a class with a name that") and text.endswith("…") for text in below)
    edges = """e => e.panes.map(pane => [pane.root, pane.below].map(part => {
        const { left, right } = part.getBoundingClientRect(); return [left, right] }))"""
    for pane, below in alone.explorer(edges):  # each caption stands under its map
        assert below == pytest.approx(pane, abs=1) or width < 640
    assert alone.errors == []
    context.close()


def test_a_lone_point_has_no_neighbours_to_walk_to(lab, tmp_path):
    from labkit.explore import explore

    explore(np.ones((1, 3), dtype="float32"), ["alone"]).wait().to_html(tmp_path / "one.html")
    context = lab.page.context.browser.new_context()
    alone = type(lab)(context.new_page(), "", tmp_path)
    alone.page.goto((tmp_path / "one.html").as_uri())
    alone.drawn()
    alone.explorer("e => { e.setFocus(0); e.near = { left: { rows: [], distances: [] } }; e.walk(1, e.panes[0]) }")
    assert alone.explorer("e => e.hover") == -1
    assert alone.errors == []
    context.close()


def test_a_page_alone_keeps_the_keyboard_s_place_and_says_nothing_stale(lab, tmp_path):
    from labkit.explore import explore

    rng = np.random.default_rng(0)
    z, size = rng.normal(size=(300, 6)).astype("float32"), rng.normal(size=300)
    size[:40] = np.nan
    explorer = explore(z, np.arange(300) % 3, class_names=["ape", "bee", "cat"], columns={"size": size}).wait()
    explorer.to_html(tmp_path / "classes.html")
    explorer.colour_by("size")
    explorer.to_html(tmp_path / "sizes.html")
    context = lab.page.context.browser.new_context()
    alone = type(lab)(context.new_page(), "", tmp_path)
    focused = "() => document.activeElement.ariaLabel ?? document.activeElement.textContent"

    alone.page.goto((tmp_path / "classes.html").as_uri())
    alone.drawn()
    assert alone.page.locator(".lk-axes select").evaluate_all("all => all.every(one => one.disabled)")
    alone.page.locator(".lk-swatch").nth(1).focus()
    for hidden in ([1], []):
        alone.page.keyboard.press("Space")
        alone.expect(f"e => [...e.hidden].join() === '{','.join(map(str, hidden))}'")
        assert alone.page.evaluate(focused) == "show bee"
    alone.page.locator(".lk-name").nth(2).focus()
    alone.page.keyboard.press("Enter")
    alone.expect("e => e.selected === 100")
    assert alone.page.evaluate(focused) == "cat"
    alone.explorer("e => e.setFocus(5)")
    alone.page.locator(".lk-near").nth(3).focus()
    alone.page.keyboard.press("Enter")
    alone.expect("e => e.focus !== 5")
    assert alone.page.evaluate("() => document.activeElement.className").startswith("lk-near")
    alone.explorer("e => { e.find('777'); window.first = e.notes.textContent; e.find('12') }")
    assert alone.page.evaluate("window.first") == "No row 777 is shown."
    alone.expect("e => e.notes.hidden && e.focus === 12")  # what is set is read a frame later

    alone.page.goto((tmp_path / "sizes.html").as_uri())
    alone.drawn()
    slider = alone.page.get_by_label("show values from")
    slider.focus()
    for _ in range(2):
        before = alone.explorer("e => e.keep?.[0] ?? -1e9")
        alone.page.keyboard.press("ArrowRight")
        alone.expect(f"e => e.keep[0] > {before}")
        assert alone.page.evaluate(focused) == "show values from"
    missing, known = (
        "e => { e.select(e.bits(Uint8Array.from(e.values, (v) => " + f"{test}))) }}"
        for test in ("v < -1e37", "v > -1e37")
    )
    alone.explorer(missing)
    alone.expect("e => e.selected === 40")
    assert alone.explorer("e => e.sentence()").startswith("**40 of 300 selected (13 %)**: without size, the rest ")
    alone.explorer(known)
    alone.expect("e => e.selected === 260")
    assert "the rest" not in alone.explorer("e => e.sentence()")
    assert alone.errors == []
    context.close()
