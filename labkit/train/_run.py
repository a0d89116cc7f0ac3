"""What training left behind."""

import math
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from labkit.evaluate import collapse
from labkit.train._files import read_tensors, refused_if_torn, storable, write_tensors

_LOOKED_AT = 256  # items of a batch: a matrix of similarities of half a megabyte


def finished(run: "Run") -> "Run":
    """The run, unless ctrl-C stopped it: half a training is no measurement, so that the interruption goes on.

    Raises:
        KeyboardInterrupt: the run was interrupted.
    """
    if run.interrupted:
        raise KeyboardInterrupt
    return run


@dataclass
class Run:
    """What ``fit`` leaves behind: the trained method, its history, and embeddings at chosen epochs.

    Attributes:
        method: the trained method.
        seed: the one that was given to ``fit``.
        history: "loss" (mean over the epoch's steps) and "seconds", one value an epoch; for a method that leaves codes
            in ``seen`` also, of its last batch, "h.uniformity", "h.uniformity_floor", "h.effective_rank" and, of two
            views, "h.alignment" of the representation, and the same of what the loss sees ("z."):
            ``evaluate.collapse`` says what they are.
        spectra: "h" and "z" -> [epochs, dim] eigenvalues of the covariance of their directions, in falling order.
        snapshots: epoch -> embedding [items, dim] on the CPU; epoch 0 is the untrained method.
        events: (epoch, what happened), for marks on a timeline.
        interrupted: training was stopped by ctrl-C. History and snapshots end with the last finished epoch; the weights
            of ``method`` are those of that moment, some steps into the epoch after it.

    Example:
        >>> run = labkit.fit(method, batches, epochs=20, snapshots=[0, 5, 20], watch=images)
        >>> run.history["loss"][-1], run.snapshots[20].shape
    """

    method: nn.Module
    seed: int = 0
    history: dict[str, list[float]] = field(default_factory=lambda: {"loss": [], "seconds": []})
    snapshots: dict[int, Tensor] = field(default_factory=dict)
    spectra: dict[str, Tensor] = field(default_factory=dict)
    events: list[tuple[int, str]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def epochs(self) -> int:
        """Finished epochs."""
        return len(self.history["loss"])

    @property
    def seconds(self) -> float:
        """Wall time of the finished epochs."""
        return sum(self.history["seconds"])

    def add_epoch(
        self, loss: float, seconds: float, seen: dict[str, tuple[Tensor, ...]] | None, snapshot: dict[int, Tensor]
    ) -> None:
        """One more finished epoch, and how near to collapse the views (one or two) of a batch are: 256 items of it."""
        new, spectra = {"loss": loss, "seconds": seconds}, dict(self.spectra)
        for name, views in (seen or {}).items():
            facts, spectrum = collapse(*(view[:_LOOKED_AT].float() for view in (views[0], views[-1])))
            if len(views) == 1:
                del facts["alignment"]  # of a view with itself
            new |= {f"{name}.{fact}": value for fact, value in facts.items()}
            before = spectra.get(name, spectrum.new_empty(0, len(spectrum)))
            spectra[name] = torch.cat([before, spectrum[None]])
        history = self.history | {name: [*self.history.get(name, ()), value] for name, value in new.items()}
        snapshots = self.snapshots | snapshot
        # all at once: ctrl-C, which strikes between any two calls, leaves this epoch whole or out
        self.history, self.spectra, self.snapshots = history, spectra, snapshots

    def save(self, path: str | Path) -> None:
        """Write weights, history and snapshots to one safetensors file; an older file there is replaced whole.

        Raises:
            ValueError: ``method`` holds what no file can keep (a sparse buffer); the message names it.
            OSError: the file could not be written.
        """
        write_tensors(path, *pack(self))

    @classmethod
    def load(cls, path: str | Path, method: nn.Module) -> "Run":
        """Read what ``save`` or a checkpoint wrote; the weights go into ``method``.

        Raises:
            ValueError: the file is torn or none of ours, or its weights don't fit ``method``.
        """
        tensors, facts = read_tensors(path)
        return unpack(tensors, facts, method, path)

    def __repr__(self) -> str:
        loss = f", loss {self.history['loss'][-1]:.4f}" if self.epochs else ""
        shots = f", snapshots at {', '.join(map(str, self.snapshots))}" if self.snapshots else ""
        stopped = ", interrupted" if self.interrupted else ""
        count = f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        return f"Run({type(self.method).__name__}, {count} in {self.seconds:.1f} s{loss}{shots}{stopped})"


def weights(method: nn.Module) -> dict[str, Tensor]:
    """What a file keeps of a method.

    Raises:
        ValueError: an entry that no file can hold.
    """
    state = method.state_dict()
    beyond = [name for name, value in state.items() if not storable(value)]
    if beyond:
        raise ValueError(
            f"{type(method).__name__} holds {', '.join(beyond)}, which no file of labkit's can keep: dense tensors of "
            "torch's usual types alone; register such a buffer with persistent=False, leave get_extra_state out, or "
            "train without checkpoint="
        )
    return state


def pack(run: Run) -> tuple[dict[str, Tensor], dict]:
    """A run as tensors and JSON facts, for a file."""
    tensors = {f"method.{name}": value for name, value in weights(run.method).items()}
    tensors |= {f"spectrum.{name}": values for name, values in run.spectra.items()}
    tensors |= {f"snapshot.{epoch}": embedding for epoch, embedding in run.snapshots.items()}
    facts = {"seed": run.seed, "history": run.history, "events": run.events, "interrupted": run.interrupted}
    return tensors, facts


def unpack(tensors: dict[str, Tensor], facts: dict, method: nn.Module, path: str | Path) -> Run:
    """The run that ``pack`` wrote; ``method`` gets its weights."""
    state = {name.removeprefix("method."): value for name, value in tensors.items() if name.startswith("method.")}
    try:
        method.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path} holds the weights of another method than {type(method).__name__}: {error}") from error
    with refused_if_torn(path):
        snapshots = {int(name.split(".")[1]): value for name, value in tensors.items() if name.startswith("snapshot.")}
        return Run(
            method,
            facts["seed"],
            {name: [float(value) for value in values] for name, values in facts["history"].items()},
            dict(sorted(snapshots.items())),
            {name.removeprefix("spectrum."): value for name, value in tensors.items() if name.startswith("spectrum.")},
            [(epoch, what) for epoch, what in facts["events"]],
            facts["interrupted"],
        )


def require_converging(loss: float, method: nn.Module, epoch: int) -> None:
    """Refuse a loss, or weights after an epoch's last step, that are NaN or infinite."""
    if not math.isfinite(loss):
        raise diverged(f"the loss became {loss}", epoch)
    values = [weight.detach() for weight in method.parameters()]
    sums = torch.stack([weight.sum() for weight in values])  # a tenth of the time that a look at each number takes
    if not sums.isfinite().all() and not all(weight.isfinite().all() for weight in values):
        raise diverged("weights became NaN or infinite", epoch)


def warn_and_go_on(message: str, stacklevel: int) -> None:
    """A warning, also under ``python -W error``, where it would throw away what was trained: there it is printed."""
    try:
        warnings.warn(message, stacklevel=stacklevel + 1)
    except UserWarning:
        print(message, file=sys.stderr)


def diverged(what: str, epoch: int) -> FloatingPointError:
    return FloatingPointError(
        f"{what} in epoch {epoch}; lower the learning rate or raise the temperature. "
        "The last checkpoint, if one was asked for, holds the epochs before"
    )
