"""Answers to a click and to a selection: who is truly near, what views do, what chance would look like."""

from typing import Any

import numpy as np
import torch

from labkit.evaluate import cka
from labkit.explore import _maps, _selection, _trust, _views
from labkit.explore._lens import Lens
from labkit.explore._maps import percent
from labkit.explore._sources import Sources
from labkit.explore._words import Agreement


def near(sources: Sources, lenses: dict[str, Lens], point: int, k: int) -> dict[str, Any]:
    """What the browser shows about a clicked point: neighbours in each embedding, edges and facts of the graph."""
    answer: dict[str, Any] = {"row": point, "facts": []}
    for side, lens in lenses.items():
        alone = len(sources.items) == 1
        rows, distances = (torch.zeros(0), torch.zeros(0)) if alone else lens.space.neighbours(point, k)
        answer[side] = {"rows": rows.int().numpy().tobytes(), "distances": distances.float().numpy().tobytes()}
        if side == "left" and sources.edges:
            codes = sources.classes.codes if sources.classes else None
            hop1, hop2 = sources.edges.around(point)
            answer |= {"hop1": hop1.tobytes(), "hop2": hop2.tobytes()}
            answer["facts"] = sources.edges.facts(point, codes, rows.numpy())
    return answer


def star(sources: Sources, lens: Lens, point: int) -> dict[str, Any]:
    """Augmented views of a clicked image, placed on the map."""
    image = sources.pictures.original(int(sources.items.rows[point]))
    found = _views.star(image, sources.view, sources.method, lens.space, point, seed=sources.seed)
    xy = np.ascontiguousarray(_maps.place(lens.map, lens.space, found.z, lens.frame), dtype=np.float32)
    text = str(found) + ("" if lens.map.plane is not None else "; placed by their nearest points on this map")
    pixels = sources.pictures.shrink(found.images, 0.0, 1.0)
    return {"row": point, "left": xy.tobytes(), "text": text, "pixels": pixels.tobytes(), **sources.pictures.size}


def know(explorer: Any, side: str) -> None:
    """Measure what the caption of a map speaks of, where it is not known yet."""
    explorer._lenses[side].measure()
    if side == "right" and explorer._agreement is None:
        explorer._agreement = agreement(explorer._lenses, explorer._k, explorer._sources.seed)


def agreement(lenses: dict[str, Lens], k: int, seed: int) -> Agreement | None:
    """CKA and shared neighbours of the two embeddings, on at most 5 000 rows; None when one has collapsed."""
    a, b = (lens.space for lens in lenses.values())
    if len(a) < 3 or not a.variance or not b.variance:
        return None
    rows = _trust.some(len(a), 5000, seed)
    shared = _trust.overlap(a, b, k, rows[:: max(1, len(rows) // 1000)])
    return Agreement(cka(a.x[torch.from_numpy(rows)], b.x[torch.from_numpy(rows)]), float(shared.mean()))


def verdict(sources: Sources, lenses: dict[str, Lens], chosen: np.ndarray, k: int) -> list[str]:
    """Sentences about a selection: how its purity compares with random blobs, how the two embeddings agree about it."""
    size, labels, lines = int(chosen.sum()), sources.classes, []
    if labels and 2 <= size < len(chosen):
        purity = np.bincount(labels.codes[chosen]).max() / size
        # Of many points every step-th, for the work. A small blob keeps all of its own: of fewer it would be purer.
        count, step = 200, max(1, min(len(chosen) // 20_000, size // 500))
        xy, codes = lenses["left"].xy[::step], labels.codes[::step]
        chance = _selection.blob_purities(xy, codes, size // step, count, sources.seed)
        low, middle, high = (percent(share) for share in np.quantile(chance, [0.05, 0.5, 0.95]))
        lines.append(
            f"A random blob of this size is {middle} one class (5 to 95 %: {low} to {high}); "
            f"yours is purer than **{percent((chance < purity).mean())}** of {count}."
        )
    if len(lenses) > 1 and size >= 1 and len(chosen) > 1:
        rows = np.flatnonzero(chosen)[:: max(1, size // 1000)]
        shared = float(_trust.overlap(*(lens.space for lens in lenses.values()), k, rows).mean())
        lines.append(f"The two embeddings share **{percent(shared)}** of these points' {k} nearest neighbours.")
    return lines
