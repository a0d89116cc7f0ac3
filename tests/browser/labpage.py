"""A real JupyterLab driven through headless Chromium: for the browser tests, and for benchmarks/explorer.py."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_PATIENCE = 120_000  # ms; a busy machine may need long to load JupyterLab
ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]  # WebGL2 by SwiftShader, no WebGPU

_RUN = """async i => { const w = window.jupyterapp.shell.currentWidget; w.content.activeCellIndex = i;
    await window.jupyterapp.commands.execute('notebook:run-cell') }"""
_IDLE = "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
_OUTPUTS = """i => { const m = window.jupyterapp.shell.currentWidget.content.widgets[i].model.outputs;
    return m ? Array.from({length: m.length}, (_, k) => m.get(k).toJSON()) : [] }"""
_ASK = """async code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const future = kernel.requestExecute({code, store_history: false});
    let text = '';
    future.onIOPub = m => { if (m.header.msg_type === 'stream') text += m.content.text;
        if (m.header.msg_type === 'error') text += m.content.traceback.join('\\n') };
    await future.done;
    return text }"""
_LAST = "document.querySelectorAll('.lk-explorer').item(document.querySelectorAll('.lk-explorer').length - 1)?.explorer"
_DRAWN = """place => { const e = LAST, p = e?.panes[place];
    return p && p.map && p.width && p.plot.from && !p.glide && !e.wanted }""".replace("LAST", _LAST)
_PAINTED = """(e, place) => {
    const pane = e.panes[place], [w, h] = [pane.canvas.width, pane.canvas.height];
    pane.draw();
    const sheet = document.createElement('canvas');
    [sheet.width, sheet.height] = [w, h];
    const pen = sheet.getContext('2d');
    pen.fillStyle = e.theme.paper;
    pen.fillRect(0, 0, w, h);
    const paper = pen.getImageData(0, 0, 1, 1).data;
    pen.drawImage(pane.canvas, 0, 0);
    const bytes = pen.getImageData(0, 0, w, h).data;
    let inked = 0;
    for (let i = 0; i < bytes.length; i += 4) inked += [0, 1, 2].some(c => Math.abs(bytes[i + c] - paper[c]) > 2);
    return inked / (w * h) }"""


class Lab:
    """One JupyterLab page: open a notebook, run cells, read outputs, ask the kernel.

    Attributes:
        page: the Playwright page.
        root: the folder that JupyterLab serves.
        external: requests that tried to leave this machine, since the last ``open``.
        errors: JavaScript errors of the page, since the last ``open``.
        console: what the page wrote to its console, since the last ``open``.
    """

    def __init__(self, page, url: str, root: Path):
        self.page, self.url, self.root = page, url, root
        self.external: list[str] = []
        self.errors: list[str] = []
        self.console: list[str] = []
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note_request(self, request) -> None:
        if not request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "file:")):
            self.external.append(request.url)

    def _note_console(self, said) -> None:
        if said.type != "debug":
            self.console.append(f"{said.type}: {said.text[:300]}")

    # ---------------------------------------------------------------- notebooks

    def open(self, notebook: str | Path | list[str], theme: str | None = None) -> None:
        """Open a notebook (a file, or the source of its code cells) with a fresh kernel, and wait until it is idle."""
        if isinstance(notebook, list):
            path = self.root / f"test-{time.monotonic_ns()}.ipynb"
            path.write_text(json.dumps(_notebook([*notebook, ""])))
        else:
            path = self.root / Path(notebook).name
            if Path(notebook).resolve() != path.resolve():
                shutil.copy(notebook, path)
        self.close()
        self.external.clear()
        self.errors.clear()
        self.console.clear()
        self.page.goto(f"{self.url}/lab/tree/{path.relative_to(self.root)}?reset", timeout=_PATIENCE)
        self.page.wait_for_function("window.jupyterapp && window.jupyterapp.restored", timeout=_PATIENCE)
        self.page.evaluate("async () => { await window.jupyterapp.restored }")
        if theme:
            change = "async theme => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme}) }"
            self.page.evaluate(change, theme)
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        self.page.wait_for_function(_IDLE, timeout=_PATIENCE)

    def run(self, cell: int) -> None:
        """Run one cell; returns when it has finished. An error in it fails the test."""
        self.page.evaluate(_RUN, cell)
        self.page.wait_for_function(_IDLE, timeout=_PATIENCE)
        failed = [out for out in self.outputs(cell) if out["output_type"] == "error"]
        assert not failed, "\n".join(failed[0]["traceback"])

    def run_all(self, timeout: float = 300) -> None:
        """Run every cell from the top, as "Run All Cells" does."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('runmenu:run-all') }")
        self.page.wait_for_function(_IDLE, timeout=1000 * timeout)

    def save(self) -> Path:
        """Save the notebook; returns its file."""
        self.page.evaluate("async () => { await window.jupyterapp.commands.execute('docmanager:save') }")
        return self.root / self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.path")

    def close(self) -> None:
        """Shut down the notebook's kernel."""
        shutdown = "window.jupyterapp?.shell?.currentWidget?.sessionContext?.shutdown()"
        self.page.evaluate(f"async () => {{ try {{ await {shutdown} }} catch {{}} }}")

    def cells(self) -> int:
        return self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets.length")

    def outputs(self, cell: int) -> list[dict]:
        """The outputs of a cell as the notebook's model holds them."""
        return self.page.evaluate(_OUTPUTS, cell)

    def seen(self) -> str:
        """The page in words, for the report of a test that failed: half of what goes wrong here shows only there."""
        try:
            outputs = "\n".join(json.dumps(out)[:1000] for cell in range(self.cells()) for out in self.outputs(cell))
            shown = self.page.evaluate("() => document.body.innerText.slice(0, 3000)")
        except Exception as gone:
            outputs, shown = "", f"the page does not answer: {gone}"
        console = "\n".join(self.console[-30:])
        return f"errors: {self.errors}\n\nconsole:\n{console}\n\noutputs:\n{outputs}\n\nshown:\n{shown}"

    # ---------------------------------------------------------------- the kernel

    def python(self, code: str):
        """Run ``code`` in the notebook's kernel, outside any cell, and return its last expression (JSON)."""
        wrapped = (
            "import json as _j, ast as _a\n"
            f"_t = _a.parse({code!r})\n"
            "_l = _a.Expression(_t.body.pop().value)\n"
            "exec(compile(_t, 'test', 'exec'))\n"
            "print('⟦' + _j.dumps(eval(compile(_l, 'test', 'eval'))) + '⟧')"
        )
        said = self.page.evaluate(_ASK, wrapped)
        assert "⟦" in said, said
        return json.loads(said.split("⟦")[1].split("⟧")[0])

    def until(self, code: str, expected=True, seconds: float = 10.0):
        """Ask the kernel until ``code`` gives ``expected``; what the browser sends arrives a moment later."""
        end = time.monotonic() + seconds
        while (found := self.python(code)) != expected:
            if time.monotonic() > end:
                raise AssertionError(f"{code} gives {found!r}, not {expected!r}")
            self.page.wait_for_timeout(30)
        return found

    # ---------------------------------------------------------------- the Explorer

    def explorer(self, code: str, argument=None):
        """Call a JavaScript function with the page's (last) Explorer: ``lab.explorer("e => e.focus")``."""
        return self.page.evaluate(f"a => ({code})({_LAST}, a)", argument)

    def drawn(self, side: str = "left"):
        """Wait until the Explorer's map is drawn and at rest; returns the element that takes the mouse."""
        place = {"left": 0, "right": 1}[side]
        self.page.wait_for_function(_DRAWN, arg=place, timeout=60_000)
        overlay = self.page.locator(".lk-explorer").last.locator(".lk-overlay").nth(place)
        overlay.scroll_into_view_if_needed()
        return overlay

    def expect(self, code: str, argument=None, seconds: float = 10.0) -> None:
        """Wait until a JavaScript function of the page's (last) Explorer is true."""
        self.page.wait_for_function(
            f"a => {{ const e = {_LAST}; return e && ({code})(e, a) }}", arg=argument, timeout=1000 * seconds
        )

    def painted(self, side: str = "left") -> float:
        """Share of the map's pixels that are not background."""
        return self.explorer(_PAINTED, {"left": 0, "right": 1}[side])

    def lasso(self, polygon: list[tuple[float, float]], side: str = "left", steps: int = 3) -> None:
        """Drag along a polygon given in pixels of the map."""
        box = self.drawn(side).bounding_box()
        mouse = self.page.mouse
        points = [(box["x"] + x, box["y"] + y) for x, y in polygon]
        mouse.move(*points[0])
        mouse.down()
        for point in points[1:]:
            mouse.move(*point, steps=steps)
        mouse.up()

    def screen(self, point: int, side: str = "left") -> tuple[float, float]:
        """Where a shown point is on the page."""
        box = self.drawn(side).bounding_box()
        x, y = self.explorer(f"(e, i) => e.panes[{0 if side == 'left' else 1}].screen(i)", point)
        return box["x"] + x, box["y"] + y


def _notebook(sources: list[str]) -> dict:
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"c{k}", "metadata": {}, "outputs": [], "source": source}
        for k, source in enumerate(sources)
    ]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


@contextmanager
def running_server(root: Path) -> Iterator[tuple[str, Path]]:
    """JupyterLab on a free port, with folders of its own under ``root``; gives its address and the folder it serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    folders = {name: str(root / "jupyter" / name) for name in names}
    folders["JUPYTER_CONFIG_PATH"] = str(ROOT / "notebooks" / "src" / "jupyter")  # as in `make lab`
    served = root / "notebooks"
    served.mkdir()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
        "--ServerApp.port_retries=0", f"--ServerApp.root_dir={served}", "--IdentityProvider.token=",
        "--ServerApp.password=", "--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True",
        f"--LabApp.workspaces_dir={root / 'workspaces'}", "--LabApp.news_url=None",
    ]  # fmt: skip
    environment = {**os.environ, **folders}
    with open(root / "lab.log", "w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)
        try:
            _wait_for(f"http://127.0.0.1:{port}/api/status", process, root / "lab.log")
            yield f"http://127.0.0.1:{port}", served
        finally:
            process.terminate()
            process.wait(20)


@contextmanager
def running_page(url: str, root: Path) -> Iterator[Lab]:
    """Headless Chromium, and a page of it for the JupyterLab at ``url``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        lab = Lab(browser.new_page(viewport={"width": 1400, "height": 1000}), url, root)
        yield lab
        lab.close()
        browser.close()


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
