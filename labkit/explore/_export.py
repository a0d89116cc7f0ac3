"""What a user can leave with: a picture, a table, a page."""

import base64
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit._files import write_whole
from labkit.evaluate import neighbours
from labkit.explore import _looking, _twin, _words
from labkit.explore._web import SCRIPT, STYLE

if TYPE_CHECKING:
    from labkit.explore._explorer import Explorer

_PAGE_TEXTS = 200_000  # points up to which a page carries their texts
_TABLE = 2_000_000  # neighbours that a page carries along: points × k
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ margin: 24px auto; max-width: 1180px; padding: 0 16px; font-family: system-ui, sans-serif;
  color-scheme: light dark; background: Canvas; color: CanvasText; }}
{css}
</style></head><body><main id="explorer"></main>
<script type="module">
{esm}
const packed = {state};
const unpack = (value) => {{
  if (Array.isArray(value)) return value.map(unpack);
  if (value === null || typeof value !== "object") return value;
  if (value.bytes === undefined) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
  return new DataView(Uint8Array.from(atob(value.bytes), (c) => c.charCodeAt(0)).buffer);
}};
const state = unpack(packed), listeners = {{}};
const model = {{
  get: (name) => state[name],
  set: (name, value) => {{ state[name] = value; (listeners[`change:${{name}}`] ?? []).forEach((react) => react()); }},
  save_changes() {{}}, send() {{}},
  on: (event, react) => (listeners[event] ??= []).push(react), off() {{}},
}};
explorer.render({{ model, el: document.getElementById("explorer") }});
</script></body></html>
"""


def figure(explorer: "Explorer") -> Any:
    """The still picture of what the Explorer shows, as a matplotlib figure."""
    chosen = explorer._chosen() if explorer._selection else None
    panes = []
    for lens, caption in zip(explorer._lenses.values(), explorer._caption, strict=True):
        xy, focus, near = lens.xy, explorer._focus, []
        if focus >= 0 and len(xy) > 1:
            near = [(xy[focus], xy[j]) for j in lens.space.neighbours(focus, explorer._k)[0].tolist()]
        words = [caption, lens.map.note(lens.frame), explorer.items.note]
        title = ": ".join(filter(None, [lens.series.name, _words.opening(lens.map.label)]))
        panes.append({"title": title, "xy": xy, "view": lens.map.view, "names": lens.map.names, "near": near,
                      "caption": " ".join(filter(None, words))})  # fmt: skip
    return _twin.draw(panes, explorer._colouring, chosen)


def picture(explorer: "Explorer") -> bytes:
    """The still picture as PNG."""
    return _twin.png(figure(explorer))


def save_picture(explorer: "Explorer", path: Path) -> None:
    if path.suffix.lower() not in (".png", ".svg"):
        raise ValueError(f"path must end in .png or .svg, not {path.suffix or path.name!r}")
    _finish_captions(explorer)
    if path.suffix.lower() == ".png":
        write_whole(path, picture(explorer))
    else:
        drawn = io.BytesIO()
        figure(explorer).savefig(drawn, format="svg", metadata={"Description": explorer.alt_text, "Date": None})
        write_whole(path, drawn.getvalue())


def to_frame(explorer: "Explorer") -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_frame needs pandas: pip install 'labkit[tables]'") from error
    columns: dict[str, Any] = {}
    for side, lens in explorer._lenses.items():
        tail = "" if side == "left" else "_right"
        columns |= dict(zip((f"x{tail}", f"y{tail}"), lens.coordinates.T, strict=True))
    computed: dict[str, Any] = {}
    found = explorer._lenses["left"].found()
    if found and found.trust and len(found.trust.rows) == len(explorer.items):
        names = {"kept": "neighbours kept", "false": "false neighbours", "torn": "neighbours torn away"}
        computed |= {words: getattr(found.trust, name) for name, words in names.items()}
    colouring = explorer._colouring
    if colouring.kind == "value" and not colouring.id.startswith(("column:", "label")):
        computed.setdefault(colouring.name, colouring.values)
    if explorer._probe is not None:
        computed["probe score"] = explorer._probe.score
    own = {*columns, "selected", "text", *computed}
    if explorer._sources.labels:
        labels = explorer._sources.labels
        name = f"label: {labels.name}" if labels.name in own else labels.name
        own.add(name)
        columns[name] = (
            labels.values
            if labels.values is not None
            else pandas.Categorical.from_codes(labels.codes, _distinct(labels.names))
        )
    for name, values in explorer.items.columns.items():
        columns[f"column: {name}" if name in own else name] = values
    if explorer._sources.texts is not None:
        columns["text"] = explorer._sources.texts
    columns["selected"] = explorer._chosen()
    columns |= {f"selection: {name}": chosen for name, chosen in explorer._saved.items()}
    return pandas.DataFrame(columns | computed, index=pandas.Index(explorer.items.rows, name="row"))


def _finish_captions(explorer: "Explorer") -> None:
    """A file says for good what its captions say now: what they speak of is measured first."""
    for side in explorer._lenses:
        _looking.know(explorer, side)
        explorer._write_caption(side)


def to_html(explorer: "Explorer", path: Path) -> None:
    _finish_captions(explorer)
    n, k = len(explorer.items), explorer._k
    state = {name: getattr(explorer, name) for name in explorer.keys if name.startswith("_") and name not in _FOREIGN}
    table = None
    if n > 1 and n * k <= _TABLE:
        table = {side: _table(lens.space, k) for side, lens in explorer._lenses.items()}
    note = " ".join(filter(None, [explorer.items.note, "This page stands alone: no kernel, no network."]))
    state["_data"] = {**state["_data"], "standalone": True, "table": table, "note": note, "asks": False}
    state["_data"]["texts"] = explorer._all_texts(_PAGE_TEXTS)
    state["_data"]["timeline"] = None  # the table and the captions are of the epoch shown now
    state["_focus"] = state["_focus"] if table else -1
    state |= {"_progress": {}, "_notice": ""}  # of computations that a page doesn't have
    esm = SCRIPT.replace("export default { render };", "const explorer = { render };")
    page = _PAGE.format(title="Explorer", css=STYLE, esm=esm, state=_script(state))
    write_whole(path, page.encode())


_FOREIGN = {
    "_dom_classes", "_model_module", "_model_module_version", "_model_name", "_view_count", "_view_module",
    "_view_module_version", "_view_name", "_esm", "_css", "_anywidget_id", "_star",
}  # fmt: skip


def _table(space: Any, k: int) -> dict[str, bytes]:
    index, distances = neighbours(space.x, k, "euclidean")
    return {"rows": index.int().numpy().tobytes(), "distances": distances.float().numpy().tobytes()}


def _script(state: Any) -> str:
    """JSON that is safe inside a script element: names of classes may hold ``</script>``."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            return {"bytes": base64.b64encode(value).decode()}
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value.item() if isinstance(value, np.generic) else value

    return json.dumps(plain(state)).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _distinct(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out
