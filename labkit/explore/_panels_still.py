"""Panels as a matplotlib figure: what a reader without a kernel sees."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit import plot
from labkit.explore._panels import Panel


def twin(panels: Sequence[Panel], title: str) -> Any:
    """A matplotlib figure with the panels side by side under a title."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with plot.style(text__parse_math=False):  # the "$" of a name is text
        figure = Figure(figsize=(4 * len(panels), 3.9))
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, panel in zip(axes, panels, strict=True):
            _draw(ax, panel)
        figure.suptitle(textwrap.fill(title, 56 * len(panels)), x=0.01, ha="left", fontsize=10, color=plot.INK)
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
