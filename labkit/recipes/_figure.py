"""Every score beside its floors, as a picture."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labkit._arguments import checked
from labkit.plot import COLOURS, FLOOR, INK, style
from labkit.recipes._circumstances import CHECKOUT
from labkit.recipes._recipe import Result
from labkit.recipes._run import saved_results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FURTHEST = 12.0  # points below the best floor that are still drawn in their place
MARKS = {"raw": ("s", "raw features"), "untrained": ("D", "untrained encoder"), "propagated": ("^", "A²X"),
         "size": ("v", "counts alone"), "random GIN": ("P", "random GIN")}  # fmt: skip


@checked
def recorded(methods: Iterable[str] | None = None, folder: str | Path | None = None) -> list[Result]:
    """What ``labkit run ... --json`` left in a folder (default: ``results/recipes`` of the checkout).

    Args:
        methods: first parts of the recipes' names, e.g. {"grace", "mvgrl"}; None: all.

    Raises:
        ValueError: no result of these methods is there.
    """
    methods = None if methods is None else set(map(str, methods))
    folder = Path(folder or CHECKOUT / "results" / "recipes")
    results = [Result(**record) for record in saved_results(folder)]
    results = [one for one in results if methods is None or one.recipe.split("/")[0] in methods]
    if not results:
        raise ValueError(f"folder {folder} holds no result of {', '.join(sorted(methods or {'any method'}))}; make one "
                         "with labkit run RECIPE --json FILE")  # fmt: skip
    return results


@checked
def beside_floors(results: Sequence[Result]) -> "Figure":
    """A row for each result: how far its score, its floors and the paper's number lie from the best of its floors.

    The best floor is at zero: what is right of the line by more than its whisker is what training gave. Whiskers are
    standard deviations over trainings. What lies more than 12 points down stands at the edge, in outline; the paper's
    number, elsewhere a cross, as a small <.
    """
    from matplotlib import pyplot as plt

    if not results:
        raise ValueError("results is empty: give what labkit.recipes.run returned, or recorded()")
    with style():
        figure, axis = plt.subplots(figsize=(9, 1.4 + 0.34 * len(results)))
        shown = {}
        for row, result in zip(range(len(results))[::-1], results, strict=True):
            best = max(floor["mean"] for floor in result.floors.values())
            for name, floor in result.floors.items():
                marker, label = MARKS[name]
                off = 100 * (floor["mean"] - best)
                look = {"marker": marker, "s": 34, "edgecolor": FLOOR, "zorder": 2}
                axis.scatter(max(off, -FURTHEST), row, facecolor=FLOOR if off > -FURTHEST else "white", **look)
                shown[label] = axis.scatter([], [], facecolor=FLOOR, **look)
            if result.paper:
                off, here = result.paper["mean"] - 100 * best, {"marker": "x", "s": 44, "zorder": 3}
                inside = {"marker": "<", "s": 12, "zorder": 5}  # of the outlines that may stand there
                axis.scatter(max(off, -FURTHEST), row, color=INK, **inside if off < -FURTHEST else here)
                shown["the paper's number"] = axis.scatter([], [], color=INK, **here)
            mean, spread = 100 * (result.mean - best), 100 * result.std
            ours = {"marker": "o", "color": COLOURS[0], "ls": "none", "zorder": 4}
            shown["trained here"] = axis.plot([], [], **ours)[0]
            if mean < -FURTHEST:
                axis.plot(-FURTHEST, row, mfc="white", **ours)
            else:
                axis.errorbar(mean, row, xerr=spread, capsize=3, **ours)
            axis.annotate(f"{100 * result.mean:.1f} ± {spread:.1f}", (1, row), (6, 0), va="center", fontsize=10,
                          xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
        axis.axvline(0, color=INK, lw=1, zorder=1)
        axis.set_yticks(range(len(results))[::-1], [_name(result) for result in results])
        axis.set(
            xlabel="points beyond the best floor (in outline: further down than is shown)",
            ylim=(-0.7, len(results) - 0.3),
        )
        axis.set_xlim(left=-FURTHEST - 0.6)
        axis.set_xticks(np.arange(-12, axis.get_xlim()[1], 2))
        axis.grid(axis="y", visible=False)
        figure.legend(shown.values(), shown.keys(), loc="outside upper center", ncols=4, fontsize=9)
    return figure


def _name(result: Result) -> str:
    """ "mvgrl/cora · public, 5 seeds" """
    seeds = len(result.seeds)
    return f"{result.recipe} · {result.protocol_name}, {seeds} seed{'s' * (seeds > 1)}"
