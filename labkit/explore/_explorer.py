"""The Explorer as a user meets it in Python: what can be asked, what can be done, what can be taken away."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from labkit._checks import require_known, unknown
from labkit.explore import _colours, _export, _selection, _trust
from labkit.explore._inputs import array
from labkit.explore._probe import Verdict, separate
from labkit.explore._wiring import Wiring

_SMALL = 20_000  # points up to which a still picture waits for its measured caption


@dataclass(frozen=True)
class Neighbours:
    """The clicked item and its nearest ones in the original space, as rows of the input.

    Attributes:
        row: the clicked row.
        rows: [k] its neighbours, nearest first.
        distances: [k] in the original space.
    """

    row: int
    rows: np.ndarray
    distances: np.ndarray


class Explorer(Wiring):
    """A map of an embedding that can be asked; made by :func:`labkit.explore.explore`.

    Everything it shows comes back as Python: ``selection``, ``neighbours``, ``projection``, ``caption``, ``trust()``.
    Rows are always those of the input, also when some were left out.
    """

    # ---------------------------------------------------------------- what a user gets back

    @property
    def rows(self) -> np.ndarray:
        """Input rows of the shown points, in the order of ``projection``."""
        return self.items.rows

    @property
    def left_out(self) -> np.ndarray:
        """Input rows that hold NaN or infinite values and are not shown."""
        return self.items.left_out

    @property
    def selection(self) -> np.ndarray:
        """Input rows that are selected, rising; empty when nothing is."""
        return self.items.rows[self._chosen()]

    @property
    def selections(self) -> dict[str, np.ndarray]:
        """Selections that were saved under a name."""
        return {name: self.items.rows[chosen] for name, chosen in self._saved.items()}

    @property
    def neighbours(self) -> Neighbours | None:
        """True neighbours of the clicked point; None when none is clicked."""
        if self._focus < 0:
            return None
        if len(self.items) == 1:
            return Neighbours(int(self.items.rows[0]), self.items.rows[:0], np.zeros(0, dtype=np.float32))
        near, distances = self._lenses["left"].space.neighbours(self._focus, self._k)
        return Neighbours(int(self.items.rows[self._focus]), self.items.rows[near.numpy()], distances.numpy())

    @property
    def projection(self) -> np.ndarray:
        """[n, 2] positions on the (left) map at the epoch shown."""
        return self._lenses["left"].coordinates

    @property
    def projections(self) -> dict[str, np.ndarray]:
        """Positions on every map, by "left" and "right"."""
        return {side: lens.coordinates for side, lens in self._lenses.items()}

    @property
    def caption(self) -> str:
        """What stands below the map, as plain text."""
        notes = [lens.map.note(lens.frame) for lens in self._lenses.values()]
        return " ".join(filter(None, [*self._caption, *notes])).replace("**", "")

    def trust(self, side: str = "left") -> _trust.Trust:
        """How much of the original neighbourhood the current map keeps, point by point (measured now if need be)."""
        found = self._lenses[side].measure().trust
        if found is None:
            raise ValueError("there are too few different points to speak of neighbourhoods")
        return found

    def composition(self) -> list[_selection.Share]:
        """Classes of the selection, each with its share, the 95 % interval of that, and its share among all."""
        if self._classes is None:
            raise ValueError("composition needs labels; hand them in with explore(..., labels=...)")
        if not self._selection:
            raise ValueError("nothing is selected; lasso some points or use explorer.select(rows)")
        return _selection.composition(self._classes.codes, self._classes.names, self._chosen())

    # ---------------------------------------------------------------- what a user can do from Python

    def select(self, rows: Any) -> None:
        """Select input rows: their numbers, or one truth value for each row of the input."""
        rows = array("rows", rows if hasattr(rows, "__len__") else list(rows))
        chosen = np.zeros(len(self.items), dtype=bool)
        if rows.dtype == bool:
            chosen[:] = self.items.pick("rows", rows) if rows.shape == (self.items.total,) else self._refuse(rows)
        else:
            chosen[self._places(rows)] = True
        self._choose(chosen)

    def on_select(self, react: Callable[[np.ndarray], Any] | None) -> None:
        """Have ``react(rows)`` called with ``selection`` whenever it has changed, by a lasso or from Python.

        A second call takes the place of the first; None ends it. What ``react`` raises is said in the widget.

        Example:
            >>> explorer.on_select(lambda rows: print(f"{len(rows)} selected, mean {z[rows].mean():.2f}"))
        """
        if self._told is not None:
            self.unobserve(self._told, "_selection")
        self._told = None if react is None else self._guarded(lambda _: react(self.selection))
        if self._told is not None:
            self.observe(self._told, "_selection")

    _told: Callable | None = None

    def focus(self, row: int | None) -> None:
        """Look at one input row, as a click does; None looks away."""
        self._focus = -1 if row is None else int(self._places(np.array([row]))[0])

    def project(self, kind: str, axes: Iterable[int] | None = None, side: str = "left") -> None:
        """Show another map: "pca", "raw", "probe", "umap", "tsne", "spectral"; with a run also "pca-aligned".

        Slow ones are computed in a process beside the notebook; :meth:`wait` waits for them. ``axes`` are the two
        components, dimensions or classes to show.
        """
        require_known("map", side, self._lenses)
        self._lenses[side].check(kind)
        if self._lenses[side].is_ready(kind):
            self._lenses[side].compute(kind, None if axes is None else list(axes))  # speaks up about wrong axes here
        self._wanted = {**self._wanted, side: {"map": kind, "axes": None if axes is None else list(axes)}}

    def colour_by(self, name: str) -> None:
        """Colour by "label", what can be computed, or a column's name: see ``explorer.colours``.

        A column called like something that is computed is "column:NAME".
        """
        known = self.colours
        name = name if name in known else f"column:{name}"
        if name not in known:
            raise ValueError(
                unknown("colour", name.removeprefix("column:"), [k.removeprefix("column:") for k in known])
            )
        self._wanted = {**self._wanted, "colour": name}

    @property
    def colours(self) -> list[str]:
        """Everything that the points can be coloured by."""
        return [entry["id"] for entry in self._colour_menu()]

    def time(self, epoch: int) -> None:
        """Go to the snapshot of an epoch."""
        epochs = self._lenses["left"].series.epochs
        if epoch not in epochs:
            raise ValueError(f"there is no snapshot of epoch {epoch}; there are: {', '.join(map(str, epochs))}")
        self._time = float(epochs.index(epoch))

    def probe(self) -> Verdict:
        """Fit a linear probe, selection against the rest; colours every point by its left-out score.

        It stays what it was when the selection or the epoch changes: the legend says of how many points and when.
        """
        lens = self._lenses["left"]
        found = separate(lens.space.ridge, self._chosen())
        if len(lens.series) > 1:
            found = replace(found, of=f"{found.of} at epoch {lens.series.epochs[lens.frame]}")
        self._probe, self._probed = found, lens.frame
        self._set_colouring(_colours.score(found))
        self._menu = self._make_menu()
        self._point()
        return self._probe

    def blob(self, seed: int | None = None) -> np.ndarray:
        """Select a random blob as large as the selection: what does chance look like on this map?"""
        size = int(self._chosen().sum())
        if not size:
            raise ValueError("select some points first; the blob gets their number")
        chosen = _selection.blob(self._lenses["left"].xy, size, np.random.default_rng(seed))
        self._choose(chosen)
        return self.selection

    def save_selection(self, name: str) -> None:
        """Keep the selection under a name; it appears below the legend, in ``selections`` and in ``to_frame()``."""
        if not name.strip() or not self._selection:
            raise ValueError("a saved selection needs a name and at least one selected point")
        self._saved = {**self._saved, name.strip(): self._chosen()}
        self._menu = self._make_menu()

    def wait(self, seconds: float | None = None) -> "Explorer":
        """Wait until nothing is being computed any more (slow maps, captions, colours)."""
        if not self._background.wait(seconds):
            raise TimeoutError(f"still computing after {seconds:g} s")
        return self

    def close(self) -> None:
        """Take the widget off the page; what is being computed for it ends."""
        if hasattr(self, "_background"):  # else it was refused before it began
            self._background.close()
        super().close()

    def save(self, path: str | Path) -> None:
        """Write the picture with its caption: ``.png`` or ``.svg``."""
        _export.save_picture(self, Path(path))

    def to_frame(self) -> Any:
        """A pandas DataFrame, one line a shown row: positions, labels, columns, selections, trust, probe score."""
        return _export.to_frame(self)

    def to_html(self, path: str | Path) -> None:
        """Write one HTML file that works offline, without a kernel, with what is shown now."""
        _export.to_html(self, Path(path))

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:
        self._background.wait(6.0 if len(self.items) <= _SMALL else 0.0)
        data, metadata = super()._repr_mimebundle_(**kwargs)
        data["text/plain"] = repr(self)
        data["image/png"] = _export.picture(self)
        return data, {**metadata, "image/png": {"alt": self.alt_text}}

    @property
    def alt_text(self) -> str:
        """The picture in words, for readers who don't see it."""
        lens, colour = self._lenses["left"], self._colouring
        shown = {
            "class": f"coloured by {colour.name} ({len(colour.names)} classes)",
            "value": f"coloured by {colour.name}",
            "none": "in one colour",
        }[colour.kind]
        return f"Scatter of {len(self.items):,} points, {lens.map.label}, {shown}. {self.caption}"

    def __repr__(self) -> str:
        lens = self._lenses["left"]
        return f"Explorer({len(self.items):,} points, {lens.series.dim} dimensions, {lens.map.label}). {self.caption}"
