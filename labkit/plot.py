"""One look for every static figure: colour-blind safe, legible in print, no chart junk.

Colours are those of Okabe and Ito (2008), told apart by all common forms of colour blindness; up to eight classes
get a marker shape as well, so that a figure survives a black-and-white printer.
"""

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit._arguments import checked
from labkit._checks import require_counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS", "FLOOR", "INK", "MARKERS", "STYLE", "bars_with_floors", "colours", "curve", "image_grid",
    "scatter", "show", "style",
]  # fmt: skip

# Okabe-Ito, reordered so that the first classes are the ones that stand apart most on white; yellow comes late.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
INK, FLOOR = "#333333", "#8a8a8a"

# Classes 9 to 16: Paul Tol's "muted" scheme, the ones that stay clear of the eight above.
_MORE = ("#882255", "#44AA99", "#999933", "#332288", "#AA4499", "#88CCEE", "#661100", "#6699CC")

STYLE: dict[str, Any] = {
    "figure.dpi": 96, "savefig.dpi": 96, "figure.figsize": (6.4, 4.0), "figure.constrained_layout.use": True,
    "font.size": 11, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelsize": 11, "xtick.labelsize": 10, "ytick.labelsize": 10, "legend.fontsize": 10,
    "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": FLOOR, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e6e6e6", "grid.linewidth": 0.8,
    "lines.linewidth": 2.0, "lines.markersize": 6, "image.cmap": "cividis", "svg.fonttype": "none",
    "axes.prop_cycle": f"cycler('color', {list(COLOURS[:6])})",
}  # fmt: skip


@checked
def colours(count: int) -> list[str]:
    """``count`` colours for classes: Okabe-Ito up to 8, Tol's muted scheme up to 16, golden-angle hues beyond.

    Beyond 16 no set of colours can be told apart at a glance; a reader then needs names or a filter.
    """
    require_counts(0, count=count)
    chosen = [*COLOURS, *_MORE][:count]
    if count > len(chosen):
        from matplotlib.colors import hsv_to_rgb, to_hex

        extra = np.arange(len(chosen), count)
        hues = (extra * 0.61803398875) % 1.0
        shades = np.stack([hues, 0.45 + 0.35 * (extra % 3) / 2, 0.85 - 0.3 * (extra % 2)], axis=1)
        chosen += [to_hex(rgb) for rgb in hsv_to_rgb(shades)]
    return chosen


@contextmanager
def style(**overrides: Any):
    """``with plot.style(): ...`` draws in labkit's look and leaves the reader's own rcParams alone.

    Args:
        overrides: rcParams that differ for this figure, with ``__`` for the dot: ``figure__figsize=(9, 3)``.
    """
    from matplotlib import rc_context

    with rc_context({**STYLE, **{key.replace("__", "."): value for key, value in overrides.items()}}):
        yield


@checked
def scatter(
    xy: Any,
    labels: Any = None,
    *,
    names: Iterable[str] | None = None,
    ax: "Axes | None" = None,
    size: float | int | None = None,
    axis_names: tuple[str, str] = ("dimension 1", "dimension 2"),
    title: str | None = None,
    legend: bool = True,
) -> "Axes":
    """Scatter of ``xy`` [n, 2], coloured (and up to 8 classes shaped) by ``labels`` [n], integers or words.

    Axes are equal and without ticks: in a map of an embedding only relative distances mean something.
    Real-valued labels are drawn on a continuous scale with a colour bar. ``names`` are of integer labels, from 0 on.

    >>> plot.scatter(z[:, :2], y, names=("cat", "dog"), axis_names=("PC 1", "PC 2"))
    """
    xy = _array("xy", xy)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise ValueError(f"xy must have shape [n, 2], not {list(xy.shape)}")
    values = None if labels is None else _array("labels", labels, "biufUO")
    if values is not None and values.dtype.kind == "O":  # of a data frame, say: what its entries are
        if len({type(value) for value in values}) > 1:
            raise ValueError("labels mixes kinds: give integers, real numbers or words, and no None")
        values = np.asarray(values.tolist())
    if values is not None and values.shape != (len(xy),):
        raise ValueError(f"labels must have one entry for each of the {len(xy)} points, not {list(values.shape)}")
    classes = values is not None and values.dtype.kind in "biu" and values.size
    names = None if names is None else list(names)
    if names is not None and values is not None and values.dtype.kind in "fUO":
        raise ValueError(f"names are of integer labels, from 0 on, and labels holds {values.dtype}; leave one away")
    if classes and names is not None and (values.min() < 0 or values.max() >= len(names)):
        raise ValueError(f"names has {len(names)} entries, but labels run from {values.min()} to {values.max()}")
    size = size or float(np.clip(9000 / max(len(xy), 1), 2, 40))
    with style():
        ax = _axes(ax, (5.6, 4.6))
        look = {"s": size, "linewidths": 0, "alpha": 0.85, "rasterized": len(xy) > 2000}
        if values is None:
            ax.scatter(*xy.T, color=COLOURS[0], **look)
        elif values.dtype.kind == "f":
            dots = ax.scatter(*xy.T, c=values, cmap="cividis", **look)
            ax.figure.colorbar(dots, ax=ax, shrink=0.7).outline.set_visible(False)
        else:
            _scatter_classes(ax, xy, values, names, look)
            if legend:
                key = ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2, markerscale=1.4)
                for text in key.get_texts():
                    text.set_parse_math(False)  # the "$" of a name is text
        ax.set(xlabel=axis_names[0], ylabel=axis_names[1], xticks=[], yticks=[])
        ax.set_aspect("equal", adjustable="datalim")
        if title:
            ax.set_title(title)
    return ax


@checked
def curve(
    values: Any,
    x: Any = None,
    *,
    label: str | None = None,
    ax: "Axes | None" = None,
    axis_names: tuple[str, str] = ("epoch", "value"),
    title: str | None = None,
    **line: Any,
) -> "Axes":
    """A line for ``values`` [steps]; for [repeats, steps] the mean with a band of one standard deviation (n − 1)."""
    values = np.atleast_2d(_array("values", values).astype(float))
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"values must have shape [steps] or [repeats, steps], not {list(values.shape)}")
    x = np.arange(values.shape[1]) if x is None else _array("x", x, "biufMmU")
    if x.shape != (values.shape[1],):
        raise ValueError(f"x must have one entry for each of the {values.shape[1]} steps, not {list(x.shape)}")
    with style():
        ax = _axes(ax, (6.0, 3.6))
        mean = values.mean(axis=0)
        (drawn,) = ax.plot(x, mean, label=label, **line)
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            ax.fill_between(x, mean - spread, mean + spread, color=drawn.get_color(), alpha=0.18, lw=0)
        ax.set(xlabel=axis_names[0], ylabel=axis_names[1])
        if label:
            ax.legend()
        if title:
            ax.set_title(title)
    return ax


@checked
def bars_with_floors(
    scores: Mapping[str, Any],
    floors: Mapping[str, Any] | None = None,
    *,
    ax: "Axes | None" = None,
    title: str | None = None,
    axis_name: str = "accuracy (%)",
) -> "Axes":
    """Horizontal bars, one for each score in [0, 1], with the floors as labelled reference lines.

    Args:
        scores: name to a number, a pair (mean, std), or what has ``.mean`` and ``.std`` (an evaluate Score).
        floors: the same probe on raw features, on the untrained encoder...: what a score has to beat.
    """
    if not scores:
        raise ValueError("scores is empty; give at least one name and its score, e.g. {'GRACE': 0.83}")
    means, spreads = zip(*map(_mean_and_std, scores.values()))
    with style(axes__grid=False):
        ax = _axes(ax, (6.4, 1.2 + 0.42 * len(scores) + 0.2 * len(floors or {})))
        rows = np.arange(len(scores))[::-1]
        ax.barh(rows, means, xerr=spreads if any(spreads) else None, height=0.62, color=COLOURS[0],
                error_kw={"ecolor": INK, "elinewidth": 1.2, "capsize": 3})  # fmt: skip
        for row, mean, spread in zip(rows, means, spreads):
            text = f"{mean:.1f}" + (f" ± {spread:.1f}" if spread else "")
            ax.annotate(
                text,
                (mean + spread, row),
                (6, 0),
                textcoords="offset points",
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )  # over a floor's line
        _draw_floors(ax, {name: _mean_and_std(value)[0] for name, value in (floors or {}).items()})
        ax.set(yticks=rows, yticklabels=list(scores), xlabel=axis_name, xlim=(0, 112), ylim=(-0.6, len(scores) - 0.4))
        ax.set_xticks(range(0, 101, 20))
        ax.tick_params(axis="y", length=0)
        if title:
            ax.set_title(title, pad=10 + 14 * len(floors or {}))
    return ax


@checked(numbers=False)
def image_grid(
    images: Any, titles: Iterable[str] | None = None, *, columns: int = 8, scale: float | int = 1.0
) -> "Figure":
    """A grid of ``images`` [n, h, w], [n, channels, h, w] or [n, h, w, channels]; uint8 or floats in [0, 1].

    Pictures 1, 3 or 4 pixels high with channels last are ambiguous, and read as channels first.
    """
    images = _as_pictures(_array("images", images))
    titles = None if titles is None else list(titles)
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"titles has {len(titles)} entries for {len(images)} images; give one for each")
    if columns < 1 or not 0 < scale < 100:
        raise ValueError(f"columns must be at least 1 and scale between 0 and 100 inches, not {columns} and {scale}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    with style():
        from matplotlib import pyplot as plt

        height = 1.0 if titles is None else 1.25
        figure, axes = plt.subplots(rows, columns, figsize=(columns * scale, rows * height * scale), squeeze=False)
        for axis in axes.flat:
            axis.axis("off")
        for position, picture in enumerate(images):
            axis = axes.flat[position]
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            if titles is not None:
                axis.set_title(titles[position], fontsize=9, fontweight="normal", loc="center", pad=3)
    return figure


def show(figure: Any) -> None:
    """Show a plotly figure in labkit's look; nothing leaves the machine (plotly's upload button is off)."""
    figure.update_layout(
        template="plotly_white", colorway=list(COLOURS[:6]), font={"size": 13, "color": INK},
        margin={"l": 56, "r": 16, "t": 44, "b": 44},
    )  # fmt: skip
    figure.show(config={"showSendToCloud": False, "displaylogo": False, "responsive": True})


def _array(name: str, values: Any, kinds: str = "biufMm") -> np.ndarray:
    """Numbers or times (other ``kinds``: names) as an array."""
    try:
        if hasattr(values, "detach"):
            values = values.detach().cpu()
            values = values.float() if values.is_floating_point() else values  # NumPy has no bfloat16
        array = np.asarray(values)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{name} can't be read as an array of numbers: {error}") from error
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} must hold numbers, not {array.dtype} from {type(values).__name__}")
    return array


def _axes(ax: "Axes | None", size: tuple[float, float]) -> "Axes":
    """The axes to draw on; new ones where none are given."""
    from matplotlib.axes import Axes

    if ax is None:
        from matplotlib import pyplot as plt

        return plt.subplots(figsize=size)[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be matplotlib axes or None, not {type(ax).__name__}")
    return ax


def _scatter_classes(ax: "Axes", xy: np.ndarray, labels: np.ndarray, names: Any, look: dict[str, Any]) -> None:
    present = np.unique(labels)
    shades = colours(len(present))
    shaped = len(present) <= len(MARKERS)
    for position, value in enumerate(present):
        name = str(value) if names is None else str(names[int(value)])
        marker = MARKERS[position] if shaped else "o"
        ax.scatter(*xy[labels == value].T, color=shades[position], marker=marker, label=name, **look)


def _mean_and_std(value: Any) -> tuple[float, float]:
    """In percent."""
    if isinstance(value, tuple | list):
        mean, spread = value
    else:
        mean, spread = getattr(value, "mean", value), getattr(value, "std", 0.0)
        if callable(mean):  # a NumPy or torch scalar, whose mean is a method
            mean, spread = float(value), 0.0
    if not 0 <= mean <= 1:
        raise ValueError(f"a score must be a fraction between 0 and 1, not {mean}; divide percentages by 100")
    return 100 * float(mean), 100 * float(spread)


def _draw_floors(ax: "Axes", floors: Mapping[str, float]) -> None:
    """Dashed lines whose names are stacked above the bars, so that close floors stay readable."""
    for level, (name, value) in enumerate(sorted(floors.items(), key=lambda item: item[1])):
        ax.axvline(value, color=COLOURS[3], linestyle=(0, (4, 3)), linewidth=1.3)
        ax.annotate(
            f"{name} {value:.1f} ", (value, 1.0), (0, 5 + 14 * level), xycoords=("data", "axes fraction"),
            textcoords="offset points", color=COLOURS[3], fontsize=10, ha="right", va="bottom",
            annotation_clip=False,
        )  # fmt: skip
        ax.annotate(
            "", (value, 1.0), (0, 18 + 14 * level), xycoords=("data", "axes fraction"),
            textcoords="offset points", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": COLOURS[3], "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0},
        )  # fmt: skip


def _as_pictures(images: np.ndarray) -> np.ndarray:
    """To [n, h, w] or [n, h, w, 3 or 4], floats in [0, 1]."""
    if images.ndim == 4 and images.shape[1] in (1, 3, 4):
        images = np.moveaxis(images, 1, -1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (3, 4))) or images.size == 0:
        raise ValueError(
            f"images must have shape [n, h, w] or [n, channels, h, w] with 1, 3 or 4 channels, not {list(images.shape)}"
        )
    if images.dtype == np.uint8:
        return images / 255.0
    # noise and standardised pixels go some units past 1; what goes to 255 would be a white page
    if images.max() > (10 if images.dtype.kind == "f" else 1):
        raise ValueError(
            f"images must be uint8 from 0 to 255, or floats from 0 to 1, not {images.dtype} up to {images.max():g}; "
            "use images.astype('uint8'), or images / 255"
        )
    return np.clip(images, 0, 1)
