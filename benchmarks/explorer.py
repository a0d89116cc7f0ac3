"""The Explorer in a real JupyterLab and headless Chromium: against its own limits, and against plotly's FigureWidget.

WebGL is software here; with a graphics card everything that draws is faster.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._bench import Row

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))

NAME = "Explorer"
LIMIT = "the limit asked for"
SETUP = """
import time
import numpy as np, torch
import plotly.graph_objects as go
from types import SimpleNamespace
from labkit.explore import explore

rng = np.random.default_rng(0)
def points(n):
    y = rng.integers(0, 10, n)
    return (rng.normal(size=(10, 2))[y] * 3 + rng.normal(size=(n, 2))).astype('float32'), y
explore(*points(1000))._repr_mimebundle_()   # what loads once: matplotlib, its fonts
seen = []
def show(n):
    global e
    e = explore(*data[n])
    e.observe(lambda change: seen.append(time.time()), '_selection')
    return e
def show_plotly(n):
    global f
    xy, y = data[n]
    look = dict(mode='markers', marker=dict(color=y, size=3), hoverinfo='skip')
    f = go.FigureWidget(go.Scattergl(x=xy[:, 0], y=xy[:, 1], **look))
    f.update_layout(dragmode='lasso', width=900, height=500)
    f.data[0].on_selection(lambda trace, points, state: seen.append(time.time()))
    return f
data = {n: points(n) for n in (100_000, 1_000_000)}
wide = rng.normal(size=(60_000, 128)).astype('float32')
epochs = {k: torch.randn(20_000, 16) for k in range(50)}
"""
CELLS = {
    "ours 1e5": "show(100_000)",
    "ours 1e6": "show(1_000_000)",
    "run": "e = explore(SimpleNamespace(snapshots=epochs), rng.integers(0, 5, 20_000))\ne",
    "wide": "e = explore(wide, (wide[:, 0] > 1).astype(int))\ne",
    "plotly 1e5": "show_plotly(100_000)",
    "plotly 1e6": "show_plotly(1_000_000)",
}


def main(repeats: int = 3) -> Iterator[Row]:
    """Medians over ``repeats``; skips itself with a word where there is no Chromium."""
    from labpage import CHROMIUM, running_page, running_server

    if CHROMIUM is None:
        print(f"{NAME}: no Chromium found; install it to run this benchmark")
        return
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server, running_page(*server) as lab:
        lab.page.set_default_timeout(300_000)
        lab.open([SETUP, *CELLS.values()])
        lab.run(0)
        yield from _ours(lab, repeats)
        yield from _against_plotly(lab, repeats)


def _ours(lab, repeats: int) -> Iterator[Row]:
    for entry, cell, limit in (("100 000", "ours 1e5", 1.5), ("1 000 000", "ours 1e6", 2.5)):
        yield Row(f"{entry} points, run to painted", LIMIT, _median(repeats, _painted, lab, cell), limit, 1)
    lasso = _median(repeats, _lasso, lab, ".lk-overlay", (0.36, 0.13, 0.56, 0.43))
    share = lab.python("len(e.selection)")
    yield Row(f"1 000 000 points, lasso of {share:,} to Python", LIMIT, lasso, 2.5, 1)
    _show(lab, "run")
    sent = lab.python("len(e._left['xy'])") / 1e6
    yield Row(f"20 000 points x 50 epochs ({sent:.0f} MB sent once), a frame", LIMIT, _frame(lab), 50, 1, "ms")
    _show(lab, "wide")
    lab.python("e.wait() and 1")
    answer = "(e, i) => { e.setFocus(i); return () => e.near?.row === i }"
    clicks = [_answered(lab, answer, 1000 * k) for k in range(1, 2 * repeats + 1)]
    yield Row("60 000 x 128, click to neighbours", LIMIT, statistics.median(clicks), 150, 1, "ms")
    lab.python(
        "e.select(np.flatnonzero(wide[:, 0] > 1)); e.probe() and 1"
    )  # the first makes what serves all later ones
    probe = """e => { const old = e.colour; e.ask({ do: 'probe' });
        return () => e.colour !== old && e.colour.id === 'score' }"""
    probes = []
    for k in range(repeats):  # the same selection again would change nothing
        lab.python(f"e.select(np.flatnonzero(wide[:, {k + 1}] > 1)); e.wait(); 1")
        lab.page.wait_for_timeout(500)
        probes.append(_answered(lab, probe))
    yield Row("60 000 x 128, selection against rest probe", LIMIT, statistics.median(probes), 300, 1, "ms")
    print(f"{NAME}: {len(lab.external)} requests left the machine")


def _against_plotly(lab, repeats: int) -> Iterator[Row]:
    peer = "plotly FigureWidget"
    painted = _median(repeats, _painted, lab, "ours 1e5")
    ours = _median(repeats, _lasso, lab, ".lk-overlay", (0.3, 0.2, 0.6, 0.6))
    yield Row("100 000 points, run to painted", peer, painted, _painted(lab, "plotly 1e5"))
    yield Row(
        "100 000 points, lasso to Python", peer, ours, _lasso(lab, ".js-plotly-plot .nsewdrag", (0.3, 0.2, 0.6, 0.6))
    )
    yield Row("1 000 000 points, run to painted", peer, _painted(lab, "ours 1e6"), _painted(lab, "plotly 1e6"))


def _median(repeats: int, measure, *arguments) -> float:
    return statistics.median(measure(*arguments) for _ in range(repeats))


def _show(lab, cell: str) -> None:
    lab.run(1 + list(CELLS).index(cell))
    lab.page.locator(".jp-CodeCell").nth(1 + list(CELLS).index(cell)).scroll_into_view_if_needed()
    lab.drawn()


def _painted(lab, cell: str) -> float:
    """Seconds from pressing run to a canvas in the cell's output that is more than background."""
    place = 1 + list(CELLS).index(cell)
    for other in range(1, 1 + len(CELLS)):  # one map at a time, as a reader has it
        lab.page.evaluate("i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.clearExecution()", other)
    lab.page.locator(".jp-CodeCell").nth(place).scroll_into_view_if_needed()
    lab.page.wait_for_timeout(1000)
    canvas = lab.page.locator(".jp-CodeCell").nth(place).locator(".lk-points, .gl-canvas-context, .gl-canvas").first
    started = time.time()
    lab.page.evaluate(
        "i => { const w = window.jupyterapp.shell.currentWidget; w.content.activeCellIndex = i;"
        " window.jupyterapp.commands.execute('notebook:run-cell') }",
        place,
    )
    canvas.wait_for(state="visible")
    while not _inked(canvas.screenshot()):
        pass
    seconds = time.time() - started
    lab.page.wait_for_timeout(4000)  # what is measured beside the map has ended before the next begins
    return seconds


def _inked(png: bytes) -> bool:
    import io

    import numpy as np
    from PIL import Image

    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(int)
    return float((abs(pixels - pixels[2, 2]) > 12).mean()) > 0.01


def _lasso(lab, target: str, box: tuple[float, float, float, float]) -> float:
    """Seconds from letting the mouse go to the selection being in Python."""
    area = lab.page.locator(target).last.bounding_box()
    x0, y0, x1, y1 = box
    corners = [
        (area["x"] + x * area["width"], area["y"] + y * area["height"])
        for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    ]
    if target == ".lk-overlay":  # the same points again would be no change
        lab.python("e.select([]); 1")
        lab.expect("e => e.selected === 0")
    lab.python("seen.clear(); 1")
    lab.page.mouse.move(*corners[0])
    lab.page.mouse.down()
    for corner in corners[1:]:
        lab.page.mouse.move(*corner, steps=2)
    released = time.time()
    lab.page.mouse.up()
    lab.until("len(seen) > 0", seconds=200)
    return lab.python("seen[0]") - released


def _frame(lab) -> float:
    """Milliseconds to draw one frame while scrubbing, until the pixels are there."""
    return lab.explorer(
        """e => { const p = e.panes[0], gl = p.plot.gl, one = new Uint8Array(4), times = [];
        for (let k = 0; k < 60; k++) { const start = performance.now();
            e.moveTime(0.37 + k * 0.8); p.draw(); gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, one);
            times.push(performance.now() - start) }
        return times.sort((a, b) => a - b)[30] }"""
    )


def _answered(lab, code: str, argument=None) -> float:
    """Milliseconds from an action in the browser to its answer being there."""
    return lab.explorer(
        f"""async (e, a) => {{ const start = performance.now(), done = ({code})(e, a);
        while (!done()) await new Promise(requestAnimationFrame);
        return performance.now() - start }}""",
        argument,
    )
