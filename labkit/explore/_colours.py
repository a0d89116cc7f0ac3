"""What the colour of a point can mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from labkit.evaluate import neighbours
from labkit.explore._inputs import as_classes
from labkit.explore._probe import Ridge, Verdict, left_out_classes
from labkit.explore._space import Space
from labkit.explore._trust import blocks
from labkit.plot import MARKERS, colours

MISSING = np.float32(-3e38)  # NaN does not survive every shader compiler
_MOST_CLASSES = 4096  # a wider table of colours would not fit every graphics card
_GREY = "#9a9a9a"


@dataclass(frozen=True)
class Colouring:
    """Colours for the shown points: classes (``codes`` into ``names``) or measurements (``values``).

    Classes that are numbers without names stand in ``values``, too.

    Attributes:
        id: how the menu calls it.
        name: what the legend says.
        about: a few words after the name.
        shared: values are shares, shown from 0 on.
    """

    id: str
    name: str
    codes: np.ndarray | None = None
    names: list[str] = field(default_factory=list)
    values: np.ndarray | None = None
    about: str = ""
    shared: bool = False

    @property
    def kind(self) -> str:
        return "class" if self.codes is not None else "value" if self.values is not None else "none"

    @property
    def shades(self) -> list[str]:
        """One colour for each class; missing labels are grey."""
        missing = {k for k, name in enumerate(self.names) if name == "(missing)"}
        fresh = iter(colours(len(self.names) - len(missing)))
        return [_GREY if k in missing else next(fresh) for k in range(len(self.names))]

    @property
    def shapes(self) -> list[int]:
        return [k if len(self.names) <= len(MARKERS) else 0 for k in range(len(self.names))]

    @property
    def drawn(self) -> np.ndarray:
        """The values as the browser has them: float32, beyond whose range they count as missing."""
        with np.errstate(over="ignore"):
            return self.values.astype(np.float32)

    @property
    def range(self) -> tuple[float, float]:
        known = self.drawn[np.isfinite(self.drawn)]
        if not len(known):
            return 0.0, 1.0
        if self.shared:  # from 0, and up to 1 only where that is needed: most maps keep few neighbours
            return 0.0, float(np.clip(np.ceil(20 * np.quantile(known, 0.995)) / 20, 0.2, 1.0))
        low, high = np.quantile(known, [0.005, 0.995])
        return float(low), float(high if high > low else low + 1)

    def payload(self) -> dict[str, Any]:
        """What the browser needs: one small table and one number a point."""
        head = {"id": self.id, "kind": self.kind, "name": self.name, "about": self.about}
        if self.kind == "class":
            classes = [
                {"name": name, "colour": colour, "shape": shape}
                for name, colour, shape in zip(self.names, self.shades, self.shapes, strict=True)
            ]
            narrow = "u1" if len(self.names) <= 256 else "u2"
            return {**head, "classes": classes, "type": narrow, "values": self.codes.astype(narrow).tobytes()}
        if self.kind == "value":
            values = np.where(np.isfinite(self.drawn), self.drawn, MISSING)
            return {**head, "type": "f4", "values": values.tobytes(), "range": self.range, "table": scale().tobytes()}
        return {**head, "type": "u1", "values": b""}


def scale() -> np.ndarray:
    """256 colours [256, 4], uint8, of cividis without its ends, which vanish on dark and on white paper."""
    from matplotlib import colormaps

    return (colormaps["cividis"](np.linspace(0.12, 0.96, 256)) * 255).round().astype(np.uint8)


def column(id: str, name: str, values: np.ndarray, class_names: Mapping[str, str] | None = None) -> Colouring:
    """A column of facts as classes or, when it holds fractions or times, as measurements.

    ``class_names``: what the classes are called, by their label as text.
    """
    found = as_classes(values)
    if found is None:
        if values.dtype.kind in "mM":
            return _days(id, name, values)
        measured = Colouring(id, name, values=values)
        return measured if np.isfinite(measured.drawn).any() else replace(measured, about="no point has a value")
    codes, names = found
    if class_names is not None:
        names = [str(class_names.get(name, name)) for name in names]
    if len(names) > _MOST_CLASSES:
        sizes = np.bincount(codes)
        keep = np.sort(np.argsort(-sizes, kind="stable")[: _MOST_CLASSES - 1])
        place = np.full(len(names), len(keep))
        place[keep] = np.arange(len(keep))
        codes, names = place[codes], [*(names[k] for k in keep), f"(the {len(sizes) - len(keep):,} smallest classes)"]
    about = f"{len(names):,} classes, colours too many to tell apart" if len(names) > 16 else ""
    numbers = values if class_names is None and values.dtype.kind in "iub" else None
    return Colouring(id, name, codes=codes, names=names, values=numbers, about=about)


def _days(id: str, name: str, values: np.ndarray) -> Colouring:
    """Times in days since the first, durations in days."""
    known = values[~np.isnat(values)]
    if not len(known):
        return Colouring(id, name, values=np.full(len(values), np.nan), about="no point has a value")
    since, about = np.timedelta64(0, "D"), "days"
    if values.dtype.kind == "M":
        since = known.min()
        about = f"days since {np.datetime_as_string(since, unit='auto')}"
    return Colouring(id, name, values=(values - since) / np.timedelta64(1, "D"), about=about)


def cluster(space: Space, count: int, seed: int) -> Colouring:
    """k-means in the original space."""
    from sklearn.cluster import MiniBatchKMeans

    count = min(count, len(space))
    codes = MiniBatchKMeans(count, random_state=seed, n_init=3).fit_predict(space.x.numpy())
    names = [f"cluster {k + 1}" for k in range(count)]
    return Colouring("cluster", "cluster", codes=codes, names=names, about=f"k-means, k = {count}, seed {seed}")


def density(space: Space, k: int, progress=None) -> Colouring:
    """How near the k-th neighbour is in the original space: −log10 of the distance."""
    distances = [
        neighbours(space.x, min(k + 1, len(space)), "euclidean", queries=space.x[part])[1][:, -1]
        for part in blocks(np.arange(len(space)), progress)
    ]
    values = -torch.cat(distances).clamp_min(1e-12).log10().numpy()
    return Colouring("density", "density", values=values, about=f"−log₁₀ distance to neighbour {k}, original space")


def guesses(ridge: Ridge, labels: Colouring) -> dict[str, Colouring]:
    """What a probe that has not seen the point calls it, and whether that is right."""
    guess = left_out_classes(ridge, labels.codes, len(labels.names))
    wrong = (guess != labels.codes).astype(np.int64)
    share = wrong.mean()
    about = f"{1 - share:.1%} right; least squares, each point left out"
    return {
        "guess": Colouring("guess", "probe's guess", codes=guess, names=labels.names, about=about),
        "error": Colouring("error", "probe", codes=wrong, names=["right", "wrong"], about=about),
    }


def score(verdict: Verdict) -> Colouring:
    """How much each point looks like the selection to a probe that has not seen the point."""
    about = f"{verdict.of} against the rest, each point left out; AUC {verdict.auc:.3f}"
    return Colouring("score", "probe score", values=verdict.score, about=about, shared=True)
