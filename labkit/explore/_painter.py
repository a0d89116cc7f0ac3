"""All the ways to colour one Explorer: given columns, and what can be computed about the points."""

from collections.abc import Callable

import numpy as np

from labkit.explore import _colours, _trust
from labkit.explore._colours import Colouring
from labkit.explore._lens import Lens
from labkit.explore._probe import Verdict
from labkit.explore._sources import Sources

BY_EPOCH = ("cluster", "density", "kept", "false", "torn", "error", "guess")  # other at another epoch
BY_MAP = ("kept", "false", "torn")
_COUNTED = 50  # different integers from which a column is a measurement, not a set of classes


class Painter:
    """Makes colourings by the name that stands in the menu."""

    def __init__(self, sources: Sources, lenses: dict[str, Lens], k: int, wide: int):
        self.sources, self.lenses, self.k, self.wide = sources, lenses, k, wide

    def menu(self, probed: bool) -> list[dict[str, str]]:
        items, labels, classes = self.sources.items, self.sources.labels, self.sources.classes
        given = [("none", "nothing")] + ([("label", labels.name)] if labels else [])
        given += [(f"column:{name}", name) for name in items.columns]
        given += [("degree", "degree")] if self.sources.edges else []
        computed = [("cluster", "clusters (k-means)")] if len(items) > 1 else []
        if len(items) >= 3:
            computed += [
                ("density", "density"),
                ("kept", "neighbours kept by this map"),
                ("false", "false neighbours"),
                ("torn", "neighbours torn away"),
            ]
            computed += [("overlap", "neighbours shared by both")] if len(self.lenses) > 1 else []
        if classes and 2 <= len(classes.names) <= 200:
            computed += [("error", "probe right or wrong"), ("guess", "probe's guess")]
        computed += [("score", "probe score, selection against rest")] if probed else []
        groups = (("given", given), ("computed", computed))
        return [{"id": id, "label": label, "group": group} for group, entries in groups for id, label in entries]

    def at_once(self, id: str, probe: Verdict | None) -> Colouring | None:
        """A colouring that needs no work; None when it has to be computed."""
        if id == "none":
            return Colouring("none", "")
        if id == "label" and self.sources.labels:
            return self.sources.labels
        if id == "degree" and self.sources.edges:
            return Colouring("degree", "degree", values=self.sources.edges.degrees().astype(np.float32))
        if id == "score" and probe:
            return _colours.score(probe)
        name, columns = id.removeprefix("column:"), self.sources.items.columns
        if id == name or name not in columns:
            return None
        values = columns[name]
        if values.dtype.kind in "iu" and len(np.unique(values[:100_000])) > _COUNTED:
            values = values.astype(np.float32)
        return _colours.column(id, name, values)

    def slowly(self, id: str, progress: Callable[[float], None]) -> Colouring:
        """Compute a colouring of the left map's embedding; for a thread."""
        lens, classes = self.lenses["left"], self.sources.classes
        if id == "cluster":
            count = len(classes.names) if classes and 2 <= len(classes.names) <= 50 else 10
            return _colours.cluster(lens.space, count, self.sources.seed)
        if id == "density":
            return _colours.density(lens.space, self.k, progress)
        if id in ("error", "guess"):
            return _colours.guesses(lens.space.ridge, classes)[id]
        if id == "overlap":
            spaces = [each.space for each in self.lenses.values()]
            values = _trust.overlap(*spaces, self.k, np.arange(len(lens.space)), progress)
            about = f"of {self.k}, between the two embeddings"
            return Colouring("overlap", "neighbours shared", values=values, shared=True, about=about)
        trust = _trust.measure(lens.mapped, lens.xy.astype(np.float64), self.k, progress=progress)
        name, about = {
            "kept": ("neighbours kept", f"of the {self.k} nearest on this map, truly nearest"),
            "false": ("false neighbours", f"of {self.k} on this map, not even among the {self.wide} truly nearest"),
            "torn": ("neighbours torn away", f"of {self.k} truly nearest, not even among the {self.wide} on this map"),
        }[id]
        return Colouring(id, name, values=getattr(trust, id), shared=True, about=about)
