"""Panels as a plotly figure for a page, whose numbers change in place while a slider is dragged."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit import plot
from labkit.explore._complete_figure import address, complete
from labkit.explore._panels import Layer, Panel

_WIDE = 280  # pixels of a panel: three of them beside the list of files on a small screen


def figure(panels: Sequence[Panel]) -> Any:
    """A plotly figure that a page can draw, with the panels side by side; its ``_view_count`` is 0 until one does."""
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
    fill(sheet, panels)  # all of it before the browser knows of the figure: pictures that come late leave it blank
    live = complete(go.FigureWidget)(sheet)
    live._config = {**live._config, "showSendToCloud": False, "displaylogo": False}
    live._view_count = 0  # not None: the browser counts how often it is shown
    return live


def _trace(layer: Layer, legend: str) -> Any:
    """What plotly draws of a layer; its numbers come with :func:`fill`."""
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


def fill(figure: Any, panels: Sequence[Panel]) -> None:
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
