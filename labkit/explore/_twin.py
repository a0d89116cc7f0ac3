"""The Explorer's still picture, for readers without a kernel: code hosts, printed pages, browsers without WebGL2."""

import io
import textwrap
from typing import Any

import numpy as np

from labkit.explore._colours import Colouring, scale
from labkit.plot import FLOOR, INK, MARKERS, STYLE

_MARKS = 4_000  # points up to which each is a vector mark; more are painted as pixels
_PAINTED = 200_000  # points painted at most
_ENTRIES = 12  # of a legend
_WIDE = 18  # characters of its lines
_PLAIN = (0.0, 0.447, 0.698)


def draw(panes: list[dict[str, Any]], colouring: Colouring, chosen: np.ndarray | None) -> Any:
    """A matplotlib figure.

    Args:
        panes: "title", "xy" [n, 2], "view", "names" (of the axes), "caption", "near" (lines [m, 2, 2]).
        colouring: of the points.
        chosen: [n] truth values; those not chosen are drawn as grey context. None: nothing is selected.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = 7.6 if len(panes) == 1 else 10.4
    legend = 1.55 / width if colouring.kind != "none" else 0.02
    share = (1 - legend - 0.02) / len(panes)
    # one caption may reach below the legend, two must not reach into each other
    lines = [_caption_lines(pane, width * (1 if len(panes) == 1 else share)) for pane in panes]
    deepest = max(map(len, lines))
    height = 4.3 + 0.19 * deepest
    # the "$" of a name is text
    look = {"figure.constrained_layout.use": False, "axes.grid": False, "text.parse_math": False}
    with rc_context({**STYLE, **look}):
        figure = Figure(figsize=(width, height), dpi=96, facecolor="white")
        FigureCanvasAgg(figure)
        bottom = (0.19 * deepest + 0.30) / height
        for place, (pane, text) in enumerate(zip(panes, lines, strict=True)):
            left = 0.02 + place * share
            ax = figure.add_axes((left + 0.02, bottom, share - 0.04, 1 - bottom - 0.34 / height))
            _draw_map(ax, pane, colouring, chosen)
            figure.text(left, bottom - 0.24 / height, "\n".join(text), va="top", fontsize=9, linespacing=1.35)
        _draw_legend(figure, ax, colouring, 1 - legend)
    return figure


def png(figure: Any) -> bytes:
    """PNG of at most 128 colours: a third of the bytes, and no eye sees the difference in a scatter."""
    from PIL import Image

    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).quantize(128, method=Image.Quantize.FASTOCTREE).save(
        out, "PNG", optimize=True
    )
    return out.getvalue()


def _caption_lines(pane: dict[str, Any], width: float) -> list[str]:
    text = pane["caption"].replace("**", "")
    if _step(pane) > 1:
        text += f" The picture draws one point of {_step(pane)}."
    return textwrap.wrap(text, int(14 * width))


def _draw_map(ax: Any, pane: dict[str, Any], colouring: Colouring, chosen: np.ndarray | None) -> None:
    step = _step(pane)
    xy = pane["xy"][::step]
    ax.set(**_limits(ax, pane["view"]), xticks=[], yticks=[])
    active = np.ones(len(xy), dtype=bool) if chosen is None else chosen[::step]
    shades, known = _shades(colouring, step) if colouring.kind != "none" else (np.tile(_PLAIN, (len(xy), 1)), active)
    active = active & known
    if len(xy) > _MARKS:
        side = 3 if len(xy) <= 20_000 else 2 if len(xy) <= 150_000 else 1
        _paint(ax, xy[~active], np.full((int((~active).sum()), 3), 0.79), 0.35, side)
        _paint(ax, xy[active], shades[active], float(np.clip(40 * len(xy) ** -0.45, 0.25, 0.9)), side)
    else:
        order = np.random.default_rng(0).permutation(len(xy))  # no class lies under all others
        size = float(np.clip(700 * max(len(xy), 1) ** -0.62, 1.2, 60))
        ax.scatter(*xy[~active].T, s=size * 0.7, color="#c9c9cc", alpha=0.5, linewidths=0)
        marks = (
            np.array(colouring.shapes)[colouring.codes] if colouring.kind == "class" else np.zeros(len(xy), dtype=int)
        )
        for mark in np.unique(marks):
            rows = order[(active & (marks == mark))[order]]
            ax.scatter(*xy[rows].T, s=size, c=shades[rows], marker=MARKERS[mark], alpha=0.92, linewidths=0)
    for start, end in pane["near"]:
        ax.plot(*np.stack([start, end], axis=1), color=INK, linewidth=0.9, alpha=0.7)
    ax.set_xlabel(pane["names"][0], fontsize=9, color=FLOOR, labelpad=3)
    ax.set_ylabel(pane["names"][1], fontsize=9, color=FLOOR, labelpad=3)
    ax.set_title(pane["title"], fontsize=11, pad=6)
    for side in ax.spines.values():
        side.set(visible=True, color="#dddddd")


def _shades(colouring: Colouring, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Colour of each point [n, 3] in [0, 1], and whether it has one."""
    from matplotlib.colors import to_rgb

    if colouring.kind == "class":
        table = np.array([to_rgb(shade) for shade in colouring.shades])
        codes = colouring.codes[::step]
        return table[codes], np.ones(len(codes), dtype=bool)
    low, high = colouring.range
    values = colouring.drawn[::step]
    known = np.isfinite(values)
    place = np.clip((np.where(known, values, low) - low) / (high - low), 0, 1)
    return scale()[(place * 255).astype(int), :3] / 255, known


def _paint(ax: Any, xy: np.ndarray, shades: np.ndarray, opacity: float, side: int) -> None:
    """Points as squares of ``side`` pixels; a pixel shows the mean colour of what falls on it, denser is stronger."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    box = ax.get_window_extent()
    wide, high = round(box.width), round(box.height)
    column = ((xy[:, 0] - x0) / (x1 - x0) * wide).astype(np.int64)
    row = ((xy[:, 1] - y0) / (y1 - y0) * high).astype(np.int64)
    count, mean = np.zeros(wide * high), np.zeros((3, wide * high))
    for dx in range(side):
        for dy in range(side):
            c, r = column + dx - side // 2, row + dy - side // 2
            inside = (c >= 0) & (c < wide) & (r >= 0) & (r < high)
            at = (r * wide + c)[inside]
            count += np.bincount(at, minlength=wide * high)
            for channel in range(3):
                mean[channel] += np.bincount(at, shades[inside, channel], minlength=wide * high)
    image = np.empty((high, wide, 4))
    image[..., :3] = (mean / np.maximum(count, 1)).T.reshape(high, wide, 3)
    image[..., 3] = (1 - (1 - opacity) ** count).reshape(high, wide)
    ax.imshow(image, extent=(x0, x1, y0, y1), origin="lower", aspect="auto", interpolation="nearest")


def _step(pane: dict[str, Any]) -> int:
    return -(-len(pane["xy"]) // _PAINTED)


def _limits(ax: Any, view: list[float]) -> dict[str, tuple[float, float]]:
    """Limits that show ``view`` with one scale for both axes, filling the axes' box."""
    x0, x1, y0, y1 = view
    box = ax.get_position()
    wide, high = ax.figure.get_size_inches() * (box.width, box.height)
    unit = 1.08 * max((x1 - x0) / wide, (y1 - y0) / high) or 1.0
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return {"xlim": (x - unit * wide / 2, x + unit * wide / 2), "ylim": (y - unit * high / 2, y + unit * high / 2)}


def _draw_legend(figure: Any, ax: Any, colouring: Colouring, left: float) -> None:
    if colouring.kind == "class":
        from matplotlib.lines import Line2D

        order = np.arange(len(colouring.names))
        if len(order) > _ENTRIES:
            order = np.argsort(-np.bincount(colouring.codes, minlength=len(order)), kind="stable")[:_ENTRIES]
        shades, shapes = colouring.shades, colouring.shapes
        marks = [Line2D([], [], linestyle="", marker=MARKERS[shapes[k]], color=shades[k], label="-") for k in order]
        rest = len(colouring.names) - len(order)
        title = textwrap.fill(colouring.name + (f" ({rest:,} more)" if rest else ""), _WIDE)
        legend = figure.legend(
            handles=marks,
            title=title,
            loc="upper left",
            bbox_to_anchor=(left, 0.95),
            fontsize=9,
            title_fontsize=10,
            handletextpad=0.3,
            alignment="left",
        )
        for text, k in zip(legend.get_texts(), order, strict=True):  # a legend leaves out labels that begin with "_"
            text.set_text(_short(colouring.names[k]))
    elif colouring.kind == "value":
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import ListedColormap, Normalize

        bar = figure.add_axes((left + 0.02, 0.45, 0.02, 0.4))
        shades = ScalarMappable(Normalize(*colouring.range), ListedColormap(scale() / 255))
        figure.colorbar(shades, cax=bar).outline.set_visible(False)
        bar.set_title(textwrap.fill(colouring.name, _WIDE), fontsize=10, loc="left", fontweight="normal")


def _short(name: str) -> str:
    name = " ".join(name.split())  # on one line
    return name if len(name) <= _WIDE else name[: _WIDE - 1] + "…"
