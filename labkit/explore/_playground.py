"""Playgrounds: sliders over a computation that answers at once, drawn by plotly, with a matplotlib twin.

A playground is a function from the sliders' values to panels. The function is plain Python: a reader can leave the
sliders and call it.
"""

import asyncio
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any

import ipywidgets
import numpy as np
import torch

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between, require_known, require_positive
from labkit.explore._complete_figure import address, complete
from labkit.explore._twin import png

_WIDE = 280  # pixels of a panel: three of them beside the list of files on a small screen
_PATIENCE = 4.0  # seconds that a page has to say that it drew a change


@dataclass(frozen=True)
class Layer:
    """One thing drawn: a line (broken where x is NaN), points, bars, a heat-map, or a picture.

    Attributes:
        kind: "line", "points", "bars", "heat" or "image".
        x, y: [n] coordinates; of a heat-map's columns and rows; a picture's edges, [0, width] and [0, height].
        colour: one colour, or one for each point.
        name: in the legend; "" stays out of it.
        width: of a line, or of a point, in pixels; of points also [n], one for each.
        opacity: in [0, 1].
        dash: a dashed line.
        text: [n], shown when the mouse is over a point.
        values: [rows, columns] of a heat-map, 0 (light) to 1 (dark); uint8 [height, width, 3] of a picture.
    """

    kind: str
    x: Any
    y: Any
    colour: Any = plot.COLOURS[0]
    name: str = ""
    width: Any = 2.0
    opacity: float = 1.0
    dash: bool = False
    text: Sequence[str] | None = None
    values: Any = None


@dataclass(frozen=True)
class Panel:
    """Axes with layers; ``says`` is one line of numbers under its title. Without axis names, axes are not drawn.

    ``x_ticks``: names for 0, 1, ... on the x axis, in place of numbers.
    """

    title: str
    layers: Sequence[Layer]
    x_name: str = ""
    y_name: str = ""
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    says: str = ""
    x_ticks: Sequence[str] = ()

    @property
    def is_map(self) -> bool:
        return not (self.x_name or self.y_name)


@checked
@dataclass(frozen=True)
class Slider:
    """A number to drag.

    Attributes:
        label: beside the slider, with its unit.
        value: at the start.
        low, high, step: what can be chosen.

    Raises:
        ValueError: a value outside of low to high, a step that is not positive.
    """

    label: str
    value: float
    low: float
    high: float
    step: float

    def __post_init__(self):
        require_between("value", self.value, self.low, self.high)
        require_positive("step", self.step)

    def widget(self) -> Any:
        style = {"description_width": "initial"}
        whole = all(isinstance(v, int) for v in (self.value, self.low, self.high, self.step))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        digits = max(len(f"{number:.6g}".partition(".")[2]) for number in (self.step, self.value))
        layout = ipywidgets.Layout(width=f"{220 + 7 * len(self.label)}px")  # as long a track for every label
        return kind(value=self.value, min=self.low, max=self.high, step=self.step, description=self.label, style=style,
                    layout=layout, continuous_update=True,
                    readout_format="d" if whole else f".{digits}f")  # fmt: skip


class Playground(ipywidgets.VBox):
    """Sliders above panels. ``values``, ``panels`` and ``set(...)`` give everything to Python.

    Args:
        compute: sliders' values by name -> panels, always as many and with as many layers; under 100 ms on the one
            thread that it gets.
        sliders: by the names of ``compute``'s arguments.
        title: above the panels of the static twin, and the start of its alt text.
    """

    _late: asyncio.TimerHandle | None = None  # looks whether the page answered

    def __init__(self, compute: Callable[..., Sequence[Panel]], sliders: dict[str, Slider], title: str):
        self._compute, self._title = compute, title
        self.sliders = {name: slider.widget() for name, slider in sliders.items()}
        self.panels = self._computed()
        for widget in self.sliders.values():
            widget.observe(self._on_change, "value")
        row = ipywidgets.HBox(list(self.sliders.values()), layout=ipywidgets.Layout(flex_flow="row wrap"))
        self.figure = _figure(self.panels)
        self._warning = ipywidgets.Label()
        self._warn("")
        super().__init__([row, self._warning, self.figure])

    @property
    def values(self) -> dict[str, float]:
        """Where the sliders stand."""
        return {name: widget.value for name, widget in self.sliders.items()}

    def set(self, **values: float) -> "Playground":
        """Move sliders from Python: ``lab.set(alpha=0.1)``; the picture is drawn once, after all of them."""
        for name in values:
            require_known("slider", name, self.sliders)
        for name, value in values.items():
            widget = self.sliders[name]
            if not isinstance(value, Real):
                raise TypeError(f"{name} must be a number, not {type(value).__name__}")
            if not widget.min <= value <= widget.max:
                raise ValueError(f"{name} must lie between {widget.min:g} and {widget.max:g}, not {value}")
            if isinstance(widget, ipywidgets.IntSlider) and value != int(value):
                raise ValueError(f"{name} must be a whole number, not {value}")
        before = self.values
        self._move(values)
        try:
            panels = self._computed()
        except BaseException:
            self._move(before)  # sliders and pictures stay together
            raise
        if self.figure._view_count:
            self._show(panels)
        else:  # a figure that changes before the browser has drawn it, a picture's pixels above all, stays blank there
            self.panels = panels
            self._warn("")
            self._draw_anew()
        return self

    def _move(self, values: dict[str, float]) -> None:
        self._quiet = True
        try:
            for name, value in values.items():
                self.sliders[name].value = value
        finally:
            self._quiet = False

    _quiet = False

    def _on_change(self, _: Any) -> None:
        if self._quiet:
            return
        try:
            panels = self._computed()
        except Exception as error:  # nobody sees what is raised while a slider is dragged
            said = f"{type(error).__name__}: {error}"
            self._warn(f"Nothing could be computed here, and the picture is an earlier one. {said}")
            raise
        self._show(panels)

    def _warn(self, text: str) -> None:
        """Hidden where there is nothing to say: a child that comes and goes would have the figure drawn anew."""
        self._warning.value, self._warning.layout.display = text, None if text else "none"

    def _show(self, panels: list[Panel]) -> None:
        self._warn("")
        self.panels = panels
        with self.figure.batch_update():
            _fill(self.figure, self.panels)
        if self._late:
            self._late.cancel()
        if self.figure._view_count:
            self._late = asyncio.get_event_loop().call_later(_PATIENCE, self._draw_what_was_not_heard, 1.0)

    def _draw_what_was_not_heard(self, wait: float = 0.0) -> None:
        """anywidget gives a page 2 seconds to load plotly; one that needs longer draws it, and hears no change ever."""
        if self.figure._trace_edit_in_process and wait:  # the page's answer may wait behind a long cell: once more
            self._late = asyncio.get_event_loop().call_later(wait, self._draw_what_was_not_heard)
        elif self.figure._trace_edit_in_process:  # the page has not answered
            self._draw_anew()

    def _draw_anew(self) -> None:
        old, self.figure = self.figure, _figure(self.panels)
        self.children = [*self.children[:-1], self.figure]
        old.close()

    def _computed(self) -> list[Panel]:
        with _one_thread():
            return list(self._compute(**self.values))

    def twin(self) -> Any:
        """The panels as a matplotlib figure: what a reader without a kernel sees."""
        return _twin(self.panels, self._title, self.sliders, self.values)

    @property
    def alt_text(self) -> str:
        """The picture in words."""
        at = ", ".join(f"{widget.description} {self.values[name]:g}" for name, widget in self.sliders.items())
        said = ". ".join(f"{panel.title}: {panel.says}" for panel in self.panels if panel.says)
        return f"{self._title}, at {at}. {said}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        data = {**data, "text/plain": self.alt_text, "image/png": png(self.twin())}
        return data, {**metadata, "image/png": {"alt": self.alt_text}}


@contextmanager
def _one_thread() -> Iterator[None]:
    """BLAS, OpenMP and torch on one thread, and then as they were.

    Matrices this small gain nothing from a second thread, and lose much where another program has that core: the
    eigenvectors of 400 × 400 then take 63 ms instead of 21, and 164 at worst.
    """
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)


def _figure(panels: Sequence[Panel]) -> Any:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    room = 68 / (_WIDE * len(panels) - 70)  # for the numbers and the name of a y axis; 70 pixels are the margins
    sheet = make_subplots(rows=1, cols=len(panels), subplot_titles=[" "] * len(panels), horizontal_spacing=room)
    for column, panel in enumerate(panels, 1):
        place = {"row": 1, "col": column}
        for layer in panel.layers:
            sheet.add_trace(_trace(layer, f"legend{_nth(column)}"), **place)
        sheet.update_xaxes(visible=not panel.is_map, **place)
        sheet.update_yaxes(visible=not panel.is_map, **place)
        if panel.x_ticks:
            sheet.update_xaxes(tickvals=list(range(len(panel.x_ticks))), ticktext=list(panel.x_ticks), **place)
        if panel.is_map:
            sheet.update_yaxes(scaleanchor=f"x{_nth(column)}", **place)
    below = 50 + 19 * max(sum(bool(layer.name) for layer in panel.layers) for panel in panels)  # a line for each name
    sheet.update_layout(
        width=_WIDE * len(panels), height=75 + 255 + below, margin={"l": 50, "r": 20, "t": 75, "b": below},
        template="plotly_white",
    )  # fmt: skip
    for column, title in enumerate(sheet.layout.annotations, 1):
        left = sheet.layout[f"xaxis{_nth(column)}"].domain[0]
        title.update(x=left, xanchor="left", align="left", font={"size": 13, "color": plot.INK})
        legend = {"x": left, "y": -50 / 255, "yanchor": "top", "font": {"size": 12}}
        sheet.update_layout({f"legend{_nth(column)}": legend})
    _fill(sheet, panels)  # all of it before the browser knows of the figure: pictures that come late leave it blank
    live = complete(go.FigureWidget)(sheet)
    live._config = {**live._config, "showSendToCloud": False, "displaylogo": False}
    live._view_count = 0  # not None: the browser counts how often it is shown
    return live


def _trace(layer: Layer, legend: str) -> Any:
    """What plotly draws of a layer; its numbers come with :func:`_fill`."""
    import plotly.graph_objects as go

    named = {"name": layer.name, "showlegend": bool(layer.name), "opacity": layer.opacity, "legend": legend}
    look = {"hovertemplate": "%{text}<extra></extra>"} if layer.text is not None else {"hoverinfo": "skip"}
    if layer.kind == "bars":
        return go.Bar(marker_color=layer.colour, **named, **look)
    if layer.kind == "heat":
        return go.Heatmap(colorscale="Blues", zmin=0, zmax=1, showscale=False, opacity=layer.opacity, **look)
    if layer.kind == "image":
        return go.Image(x0=0.5, y0=0.5, dx=1, dy=1, hoverinfo="skip")
    if layer.kind == "line":
        line = {"color": layer.colour, "width": layer.width, "dash": "dash" if layer.dash else "solid"}
        return go.Scatter(mode="lines", line=line, **named, **look)
    return go.Scatter(mode="markers", marker={"size": layer.width}, **named, **look)


def _nth(column: int) -> str:
    """How plotly tells the axes and legends of its columns apart: x, x2, x3."""
    return "" if column == 1 else str(column)


def _fill(figure: Any, panels: Sequence[Panel]) -> None:
    """New data into the traces that are there: nothing is made anew, so that dragging stays smooth.

    Each property goes to the traces that have it. Assigned one by one in a batch it would go to all, and be lost where
    it was not assigned: bars would lose their colour.
    """
    layers = [layer for panel in panels for layer in panel.layers]
    numbers = [i for i, layer in enumerate(layers) if layer.kind != "image"]
    figure.plotly_restyle({name: [_floats(getattr(layers[i], name)) for i in numbers] for name in "xy"}, numbers)
    for name, values in (
        ("source", {i: address(layer.values) for i, layer in enumerate(layers) if layer.kind == "image"}),
        ("z", {i: _floats(layer.values) for i, layer in enumerate(layers) if layer.kind == "heat"}),
        ("marker.color", {i: _colours(layer.colour) for i, layer in enumerate(layers) if layer.kind == "points"}),
        ("marker.size", {i: _floats(layer.width) for i, layer in enumerate(layers) if np.ndim(layer.width)}),
        ("text", {i: list(layers[i].text) for i in numbers if layers[i].text is not None}),
        ("name", {i: layers[i].name for i in numbers if layers[i].name}),
    ):
        if values:
            figure.plotly_restyle({name: list(values.values())}, list(values))
    said = [textwrap.wrap(panel.says, 44) for panel in panels]
    lines = max(map(len, said))
    for title, panel, says in zip(figure.layout.annotations, panels, said, strict=True):
        says = "<br>".join(says + [" "] * (lines - len(says)))  # titles stand side by side
        title.text = f"<b>{panel.title}</b><br><span style='font-size:11px'>{says}</span>"
    for column, panel in enumerate(panels, 1):
        for letter, limits, name in (("x", panel.x_range, panel.x_name), ("y", panel.y_range, panel.y_name)):
            axis = figure.layout[f"{letter}axis{_nth(column)}"]
            if limits is not None:
                axis.range = list(limits)
            if (axis.title.text or "") != name:
                axis.title.text = name


def _colours(colour: Any) -> Any:
    return colour if isinstance(colour, str) else list(colour)


def _floats(values: Any) -> np.ndarray:
    return np.ascontiguousarray(values, dtype=np.float32)  # plotly sends float32 as bytes, all else as lists


def _twin(panels: Sequence[Panel], title: str, sliders: dict[str, Any], values: dict[str, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with plot.style(text__parse_math=False):  # the "$" of a name is text
        figure = Figure(figsize=(4 * len(panels), 3.9))
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, panel in zip(axes, panels, strict=True):
            _draw(ax, panel)
        at = "   ".join(f"{widget.description} = {values[name]:g}" for name, widget in sliders.items())
        words = textwrap.fill(f"{title}   ({at})", 56 * len(panels))
        figure.suptitle(words, x=0.01, ha="left", fontsize=10, color=plot.INK)
    return figure


def _draw(ax: Any, panel: Panel) -> None:
    for layer in panel.layers:
        x, y = np.asarray(layer.x, dtype=float), np.asarray(layer.y, dtype=float)
        named = {"label": layer.name or None, "alpha": layer.opacity}
        if layer.kind == "bars":
            ax.bar(x, y, color=layer.colour, **named)
        elif layer.kind == "heat":
            ax.pcolormesh(x, y, np.asarray(layer.values), cmap="Blues", vmin=0, vmax=1, rasterized=True)
        elif layer.kind == "image":
            ax.imshow(layer.values, extent=(*x, *y), interpolation="nearest")
        elif layer.kind == "line":
            # wide lines that end where they end stay clear of the legend's words
            dashes = {"ls": "--"} if layer.dash else {"solid_capstyle": "butt"}
            ax.plot(x, y, color=layer.colour, lw=0.75 * layer.width, **dashes, **named)
        else:
            ax.scatter(x, y, c=layer.colour, s=np.square(layer.width) / 2, linewidths=0, zorder=3, **named)
    ax.set_title(f"{panel.title}\n", fontsize=11)
    ax.text(0, 1.02, panel.says, transform=ax.transAxes, fontsize=9, color=plot.INK)
    ax.set(xlabel=panel.x_name, ylabel=panel.y_name)
    for limits, set_limits in ((panel.x_range, ax.set_xlim), (panel.y_range, ax.set_ylim)):
        if limits is not None:
            set_limits(*limits)
    if panel.x_ticks:
        ax.set_xticks(range(len(panel.x_ticks)), panel.x_ticks)
    if panel.is_map:
        ax.set_axis_off()
        ax.set_aspect("equal", adjustable="box" if panel.x_range else "datalim")
    if any(layer.name for layer in panel.layers):
        where = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "ncols": 3, "handletextpad": 0.5}
        ax.legend(fontsize=9, **(where if panel.is_map else {}))  # a map has points everywhere, and no axis below it
