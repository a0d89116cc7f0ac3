"""A run's snapshots as an axis: which epochs there are, and what happened when."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from labkit.explore._space import Space

_MODES = 6  # eigenvalues that are watched


def snapshots(run: Any, embedding: Any = None) -> tuple[list[Any], list[int]]:
    """The embeddings of a run and their epochs; ``embedding``, when it is another one, comes last.

    Raises:
        ValueError: no snapshots, or snapshots of different shapes.
    """
    kept = dict(sorted(getattr(run, "snapshots", {}).items()))
    frames, epochs = list(kept.values()), list(kept)
    if not frames and embedding is None:
        raise ValueError("run has no snapshots; train with fit(..., snapshots=[0, 1, 5, ...]) or hand in an embedding")
    if embedding is not None and not (frames and _same(embedding, frames[-1])):
        frames.append(embedding)
        last = len(getattr(run, "history", {}).get("loss", ()))
        epochs.append(max([last, *(epoch + 1 for epoch in epochs[-1:])]))
    shapes = {tuple(frame.shape) for frame in frames}
    if len(shapes) > 1:
        raise ValueError(
            f"the snapshots (and the embedding) must have one shape, not {', '.join(map(str, sorted(shapes)))}"
        )
    return frames, epochs


def timeline(run: Any, epochs: Sequence[int], spaces: Sequence[Space]) -> dict[str, Any]:
    """What the time axis shows: epochs of the frames, the loss by epoch (loss of epoch e stands at e), events."""
    loss = [float(value) for value in getattr(run, "history", {}).get("loss", ())]
    curve = [[epoch, value] for epoch, value in enumerate(loss, 1) if np.isfinite(value) and epoch <= epochs[-1]]
    told = [[int(epoch), str(text)] for epoch, text in getattr(run, "events", ())]
    events = told + _loss_jumps(loss) + _rising_modes(epochs, spaces)
    inside = [event for event in events if epochs[0] <= event[0] <= epochs[-1]]
    return {"epochs": list(epochs), "loss": curve, "events": sorted(inside, key=lambda event: event[0])}


def _same(a: Any, b: Any) -> bool:
    return tuple(a.shape) == tuple(b.shape) and bool(
        torch.equal(torch.as_tensor(a).cpu().float(), torch.as_tensor(b).cpu().float())
    )


def _loss_jumps(loss: Sequence[float]) -> list[list[Any]]:
    """Epochs at which the loss changed by more than six times the median change (at most the five largest).

    A change from or to a loss that is not finite is none.
    """
    with np.errstate(invalid="ignore"):  # inf - inf
        steps = np.diff(loss)
    steps[~np.isfinite(steps)] = 0.0
    if len(steps) < 8:
        return []
    usual = np.median(np.abs(steps))
    jumps = [k for k in np.argsort(-np.abs(steps))[:5] if abs(steps[k]) > 6 * usual > 0 and k > 0]
    return [
        [int(k) + 2, f"loss {'falls' if steps[k] < 0 else 'rises'} from {loss[k]:.3g} to {loss[k + 1]:.3g}"]
        for k in jumps
    ]


def _rising_modes(epochs: Sequence[int], spaces: Sequence[Space]) -> list[list[Any]]:
    """The epoch at which each of the largest covariance eigenvalues first reaches half its maximum.

    Stepwise dynamics (Simon et al. 2023) show here: modes that start small and rise one after the other. A mode that
    was at a quarter of its maximum from the first snapshot on did not rise, and gets no mark.
    """
    if len(spaces) < 4 or spaces[0].dim > 1024:
        return []
    spectra = np.stack([np.linalg.eigvalsh((s.x.T @ s.x / len(s)).double().numpy())[::-1][:_MODES] for s in spaces])
    events = []
    for mode in range(spectra.shape[1]):
        path, top = spectra[:, mode], spectra[:, mode].max()
        if top > 0 and path[0] < top / 4:
            at = int(np.argmax(path >= top / 2))
            events.append([int(epochs[at]), f"eigenvalue {mode + 1} rises past half of its maximum"])
    return events
