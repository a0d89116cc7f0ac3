"""The widget's state and what happens when it changes, whoever changed it."""

import math
import time
from dataclasses import replace
from typing import Any

import anywidget
import numpy as np
import traitlets as t

from labkit.explore import _export, _looking, _maps, _selection, _trust, _words
from labkit.explore._background import Background
from labkit.explore._colours import Colouring
from labkit.explore._lens import Lens
from labkit.explore._painter import BY_EPOCH, BY_MAP, Painter
from labkit.explore._probe import Verdict
from labkit.explore._sources import Sources
from labkit.explore._web import SCRIPT, STYLE

_TEXTS = 5_000  # points up to which all texts travel with the map
_COLUMNS = 4  # facts shown on hover
_MANY = 50_000  # points from which measuring waits until the map is painted


def _bytes(value: Any, owner: Any) -> bytes:
    return bytes(value)  # the browser's bytes arrive as a memoryview, which a Bytes trait would silently refuse


class Wiring(anywidget.AnyWidget):
    """Traits, observers and messages. A selection is state in its own trait, never an event: none can be lost."""

    _esm = SCRIPT
    _css = STYLE

    # From Python to the browser.
    _data = t.Dict().tag(sync=True)
    _left = t.Dict().tag(sync=True)
    _right = t.Dict().tag(sync=True)
    _colour = t.Dict().tag(sync=True)
    _menu = t.Dict().tag(sync=True)
    _caption = t.List().tag(sync=True)
    _progress = t.Dict().tag(sync=True)
    _near = t.Dict().tag(sync=True)
    _star = t.Dict().tag(sync=True)
    _arrow = t.Dict().tag(sync=True)
    _verdict = t.Dict().tag(sync=True)
    _notice = t.Unicode().tag(sync=True)
    # Set by either side.
    _selection = t.Bytes().tag(sync=True, from_json=_bytes)
    _hidden = t.List().tag(sync=True)
    _focus = t.Int(-1).tag(sync=True)
    _time = t.Float(0.0).tag(sync=True)
    _wanted = t.Dict().tag(sync=True)

    def __init__(self, sources: Sources):
        self._sources = sources
        self.items, self._classes = sources.items, sources.classes
        self._lenses = {
            side: Lens(side, series, sources.classes, sources.k, sources.seed)
            for side, series in sources.series.items()
        }
        self._k, self._wide = _trust.sizes(len(self.items), sources.k)
        self._background = Background(lambda error: self._tell(str(error)))
        self._saved: dict[str, np.ndarray] = {}
        self._probe: Verdict | None = None
        self._probed = 0  # the frame that the probe was fitted at
        self._agreement: _words.Agreement | None = None
        self._painter = Painter(sources, self._lenses, self._k, self._wide)
        self._colouring = sources.labels or Colouring("none", "")
        super().__init__(**self._first_state())
        self.on_msg(self._on_message)
        for name in ("wanted", "time", "focus", "selection"):
            self.observe(self._guarded(getattr(self, f"_on_{name}")), f"_{name}")
        for side in self._lenses:
            self._measure(side)

    def _first_state(self) -> dict[str, Any]:
        lens = self._lenses["left"]
        state = {f"_{side}": each.payload() for side, each in self._lenses.items()}
        wanted = {side: {"map": each.map.kind, "axes": list(each.map.axes)} for side, each in self._lenses.items()}
        return state | {
            "_data": self._make_data(), "_colour": self._colouring.payload(), "_menu": self._make_menu(),
            "_caption": [self._caption_of(side) for side in self._lenses], "_time": float(lens.frame),
            "_wanted": wanted | {"colour": self._colouring.id},
        }  # fmt: skip

    def _make_data(self) -> dict[str, Any]:
        s, rows = self._sources, self.items.rows
        identity = len(rows) == self.items.total
        sheet, texts = s.pictures.sheet(rows) if s.pictures else None, self._all_texts(_TEXTS)
        return {
            "n": len(rows), "k": self._k, "wide": self._wide, "note": self.items.note, "height": s.height,
            "rows": None if identity else rows.astype(np.int32).tobytes(),
            "sheet": sheet, "timeline": s.timeline, "texts": texts,
            "asks": (sheet is not None and "pixels" not in sheet) or (self._says and texts is None),
            "edges": s.edges.pairs().tobytes() if s.edges else None,
        }  # fmt: skip

    # ---------------------------------------------------------------- menus

    def _make_menu(self) -> dict[str, Any]:
        saved = [{"name": name, "size": int(chosen.sum())} for name, chosen in self._saved.items()]
        return {"maps": self._lenses["left"].kinds(), "colours": self._colour_menu(), "saved": saved}

    def _colour_menu(self) -> list[dict[str, str]]:
        return self._painter.menu(self._probe is not None)

    # ---------------------------------------------------------------- what happens on a change

    def _guarded(self, react: Any) -> Any:
        """Observers run on behalf of a click; what goes wrong is said in the widget, where the reader looks."""

        def observer(change: Any) -> None:
            try:
                react(change)
            except Exception as error:
                self._tell(f"{type(error).__name__}: {error}")

        return observer

    def _on_wanted(self, change: Any) -> None:
        old = change["old"] or {}
        for side, lens in self._lenses.items():
            wanted = change["new"].get(side)
            if wanted and wanted != old.get(side):
                self._show(lens, wanted["map"], wanted.get("axes"))
        if change["new"].get("colour") != old.get("colour"):
            self._colour_by(change["new"]["colour"])

    def _show(self, lens: Lens, kind: str, axes: Any) -> None:
        lens.check(kind)
        self._background.cancel(("map", lens.side))
        lens.stop()
        self._set_progress(lens.side, None)
        if lens.is_ready(kind):
            return self._set_map(lens, lens.compute(kind, axes))
        name = _maps.SLOW[kind]
        self._set_progress(lens.side, name)
        compute = lens.prepare(kind)

        def work(current: Any) -> None:
            try:
                compute(lambda share, note: current() and self._set_progress(lens.side, f"{name}: {note}", share))
                if current():
                    self._set_map(lens, lens.compute(kind, axes))
            except Exception as error:
                if current():
                    self._tell(str(error))
                    self._stop({"side": lens.side})
            finally:
                if current():
                    self._set_progress(lens.side, None)

        self._background.start(("map", lens.side), work, lens.stop)

    def _set_map(self, lens: Lens, drawn: _maps.Map) -> None:
        lens.map = drawn
        self._point()
        setattr(self, f"_{lens.side}", lens.payload())
        self._measure(lens.side)
        if lens.side == "left" and self._colouring.id in BY_MAP:
            self._colour_by(self._colouring.id)
        if self._focus >= 0:
            self._look(self._focus)
        self._judge()

    def _measure(self, side: str) -> None:
        lens = self._lenses[side]
        self._write_caption(side)
        if lens.found() is None:

            def work(current: Any) -> None:
                if len(self.items) > _MANY:  # let the picture have both cores first
                    time.sleep(1.5)
                if not current():
                    return
                _looking.know(self, side)
                if current():
                    self._write_caption(side)

            self._background.start(("measure", side), work)

    def _write_caption(self, side: str) -> None:
        place = list(self._lenses).index(side)
        self._caption = [self._caption_of(side) if k == place else text for k, text in enumerate(self._caption)]

    def _caption_of(self, side: str) -> str:
        lens = self._lenses[side]
        found = lens.found()
        if found and side == "right":
            found = replace(found, agreement=self._agreement)
        return _words.caption(lens.map, lens.frame, lens.space, found)

    def _on_time(self, change: Any) -> None:
        frame = math.floor(change["new"] + 0.5)  # as the page rounds
        for side, lens in self._lenses.items():
            if frame != lens.frame and frame < len(lens.series):
                if lens.job:  # it maps the epoch that was looked at
                    self._stop({"side": side})
                lens.frame = frame
                self._measure(side)
        self._point()
        if self._focus >= 0:
            self._look(self._focus)
        if self._colouring.id in BY_EPOCH:
            self._colour_by(self._colouring.id)
        self._judge()

    def _on_focus(self, change: Any) -> None:
        if 0 <= change["new"] < len(self.items):
            self._look(change["new"])

    def _look(self, point: int) -> None:
        """Answer a click: the true neighbours at once, augmented views as soon as they are embedded."""
        self._near = _looking.near(self._sources, self._lenses, point, self._k)
        self._background.cancel("star")
        self._star = {}
        lens = self._lenses["left"]
        if self._sources.view is None or lens.frame != len(lens.series) - 1:
            return

        def work(current: Any) -> None:
            star = _looking.star(self._sources, lens, point)
            if current() and self._focus == point:
                self._star = star

        self._background.start("star", work)

    # ---------------------------------------------------------------- selection

    def _chosen(self) -> np.ndarray:
        return _selection.unpack(self._selection, len(self.items))

    def _choose(self, chosen: np.ndarray) -> None:
        self._selection = _selection.pack(chosen)

    def _places(self, rows: np.ndarray) -> np.ndarray:
        """Places among the shown points of input rows."""
        rows = rows.astype(np.int64) if rows.dtype.kind in "iu" or rows.size == 0 else self._refuse(rows)
        places = np.searchsorted(self.items.rows, rows).clip(max=len(self.items) - 1)
        absent = rows[self.items.rows[places] != rows]
        if len(absent):
            why = (
                "was left out (NaN, or not in the sample)"
                if 0 <= absent[0] < self.items.total
                else f"does not exist; the input has rows 0 to {self.items.total - 1}"
            )
            raise ValueError(f"row {int(absent[0])} {why}")
        return places

    def _refuse(self, rows: np.ndarray) -> np.ndarray:
        raise ValueError(
            f"rows must be row numbers or one truth value for each of the {self.items.total:,} rows, "
            f"not {rows.dtype} of shape {list(rows.shape)}"
        )

    def _on_selection(self, change: Any) -> None:
        self._judge()

    def _judge(self) -> None:
        """Compare the selection with chance, beside the main thread; the verdict arrives when it is there."""
        if self._verdict:
            self._verdict = {}
        if self._selection:
            self._background.start("verdict", self._deliberate)

    def _deliberate(self, current: Any) -> None:
        time.sleep(0.15)  # a lasso in a row of lassos is not worth a verdict
        if not current():
            return
        lines = _looking.verdict(self._sources, self._lenses, self._chosen(), self._k)
        if current():
            self._verdict = {"lines": lines}

    # ---------------------------------------------------------------- colour

    def _colour_by(self, id: str) -> None:
        self._background.cancel("colour")
        self._set_progress("colour", None)
        found = self._painter.at_once(id, self._probe)
        if found is not None:
            return self._set_colouring(found)
        label = next((entry["label"] for entry in self._colour_menu() if entry["id"] == id), id)
        self._set_progress("colour", label)

        def work(current: Any) -> None:
            def progress(share: float) -> None:
                if not current():
                    raise InterruptedError("newer work has started")
                self._set_progress("colour", label, share)

            try:
                found = self._painter.slowly(id, progress)
            finally:
                if current():
                    self._set_progress("colour", None)
            if current():
                self._set_colouring(found)

        self._background.start("colour", work)

    def _set_colouring(self, colouring: Colouring) -> None:
        self._colouring = colouring
        with self.hold_sync():
            if self._hidden:
                self._hidden = []
            self._colour = colouring.payload()
        if self._wanted.get("colour") != colouring.id:
            self._wanted = {**self._wanted, "colour": colouring.id}

    # ---------------------------------------------------------------- words and messages

    def _point(self) -> None:
        """The probe's direction in the plane of the map, with the share of its length that lies in it."""
        lens = self._lenses["left"]
        if self._probe is None or lens.map.plane is None or self._probed != lens.frame:
            self._arrow = {}
            return
        flat = lens.map.plane.T @ self._probe.weight
        length = float(flat.norm())
        share = length / max(float(self._probe.weight.norm()), 1e-30)
        self._arrow = {"left": {"share": share, "direction": [float(v) / max(length, 1e-30) for v in flat]}}

    def _set_progress(self, topic: str, label: str | None, share: float = -1.0) -> None:
        rest = {key: value for key, value in self._progress.items() if key != topic}
        self._progress = rest if label is None else {**rest, topic: {"label": label, "share": share}}

    def _tell(self, text: str) -> None:
        self._notice = ""
        self._notice = text

    def _on_message(self, _: Any, message: dict[str, Any], buffers: Any) -> None:
        answer = {
            "items": self._send_items, "find": self._find, "stop": self._stop,
            "twin": lambda m: self.send({"kind": "twin"}, [_export.picture(self)]),
            "probe": lambda m: self.probe(), "blob": lambda m: self.blob(),
            "save": lambda m: self.save_selection(m["name"]),
            "restore": lambda m: self._choose(self._saved[m["name"]]),
        }.get(message.get("do"))  # fmt: skip
        try:
            if answer:
                answer(message)
        except Exception as error:
            self._tell(str(error))

    def _stop(self, message: dict[str, Any]) -> None:
        topic = message["side"]
        self._background.cancel("colour" if topic == "colour" else ("map", topic))
        if topic in self._lenses:
            self._lenses[topic].stop()
            kind = self._lenses[topic].map.kind
            self._wanted = {**self._wanted, topic: {"map": kind, "axes": list(self._lenses[topic].map.axes)}}
        else:
            self._wanted = {**self._wanted, "colour": self._colouring.id}
        self._set_progress(topic, None)

    def _send_items(self, message: dict[str, Any]) -> None:
        points = np.array(message["rows"], dtype=np.int64)
        s = self._sources
        answer: dict[str, Any] = {"kind": "items", "rows": message["rows"]}
        answer["texts"] = self._texts(points)
        pixels = s.pictures.thumbnails(self.items.rows[points]).tobytes() if s.pictures else b""
        self.send({**answer, **(s.pictures.size if s.pictures else {"width": 0, "height": 0, "channels": 0})}, [pixels])

    @property
    def _says(self) -> bool:
        return self._sources.texts is not None or bool(self.items.columns)

    def _all_texts(self, most: int) -> list[str] | None:
        return self._texts(np.arange(len(self.items))) if self._says and len(self.items) <= most else None

    def _texts(self, points: np.ndarray) -> list[str]:
        """A few words about each point: its text and its first columns."""
        texts = self._sources.texts
        parts = [] if texts is None else [[str(text) for text in texts[points]]]
        for name, values in list(self.items.columns.items())[:_COLUMNS]:
            parts.append(
                [f"{name}: {value:.4g}" if values.dtype.kind == "f" else f"{name}: {value}" for value in values[points]]
            )
        return [" · ".join(words) for words in zip(*parts)] if parts else [""] * len(points)

    def _find(self, message: dict[str, Any]) -> None:
        """Select every item whose text, label or column says what was typed."""
        wanted = message["text"].casefold()
        found = np.zeros(len(self.items), dtype=bool)
        if self._classes:
            match = np.array([wanted in name.casefold() for name in self._classes.names], dtype=bool)
            found |= match[self._classes.codes]
        texts = [] if self._sources.texts is None else [self._sources.texts]
        for values in [*texts, *(c for c in self.items.columns.values() if c.dtype.kind in "OUST")]:
            found |= np.array([wanted in str(value).casefold() for value in values], dtype=bool)
        self._notice = ""
        if found.any():
            self._choose(found)
        else:
            self._tell(f"nothing holds {message['text']!r}")
