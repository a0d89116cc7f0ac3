"""The one training loop."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Number
from operator import index
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from labkit._arguments import checked
from labkit._checks import NotFinite, require_between, require_counts, require_known, require_positive
from labkit._checksum import checksum
from labkit._processes import processes, rank, summed
from labkit.methods import inference
from labkit.train._batches import Minibatches
from labkit.train._checkpoint import Checkpoint
from labkit.train._device import PRECISIONS, autocast, choose_device, seeded, to_device
from labkit.train._memory import memory_kept
from labkit.train._parallel import in_parallel
from labkit.train._run import Run, diverged, require_converging, warn_and_go_on, weights

SCHEDULES = ("constant", "cosine", "warmup-cosine")
WARMUP = 0.1  # of the steps
OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


@checked
def fit(
    method: nn.Module,
    batches: Iterable,
    *,
    epochs: int,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: str = "auto",
    optimizer: str | Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] = "adam",
    lr: float | None = None,
    weight_decay: float | None = None,
    schedule: str = "constant",
    snapshots: Iterable = (),
    watch=None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 30.0,
    resume: bool = False,
    progress: bool = True,
) -> Run:
    """Train any method: for each batch, the loss it returns is minimised.

    Args:
        method: anything with ``forward(batch) -> loss``, ``embed(batch)`` and ``after_step()``; trained in place.
        batches: one epoch, iterated anew in each: ``Minibatches``, a list with one PyG ``Data``, a ``DataLoader``.
        epochs: passes over ``batches``, at least 1.
        seed: of torch's own generators, which govern everything random in training unless something draws elsewhere
            (NumPy, a ``DataLoader(generator=...)``). The same seed on the same machine gives the same bits, with one
            training at a time in a process: threads share these generators, so that several need a process each.
        device: "auto", "cpu", "cuda", ...
        precision: "auto" (bfloat16 autocast for vision encoders where the hardware has it and the method allows it),
            "float32", "bfloat16".
        optimizer: "adam", "adamw", "sgd" (momentum 0.9), or a callable from parameters to an optimiser.
        lr, weight_decay: of the named optimisers; None: 1e-3 and 0. A callable has its own.
        schedule: of the rate: "constant", "cosine" (to zero over all steps), or "warmup-cosine" (from zero up over the
            first tenth of the steps, in a straight line, then the same).
        snapshots: epochs after which ``method.embed(watch)`` is kept (0: before training).
        watch: what is embedded for snapshots; None: the one graph of ``[data]``, the only batch of a list; of
            ``Minibatches`` with one batch their items, in order.
        checkpoint: a file from which ``resume=True`` goes on; written at most every ``checkpoint_seconds`` and at the
            end. A write that fails (full disk) warns and leaves the last good one.
        resume: go on from ``checkpoint`` if it exists; reaches the same final numbers as one unbroken run.
        progress: show a bar with the loss and the time left (for training that takes more than a second or two).

    Returns:
        Run: ctrl-C returns it too, with ``interrupted=True``, the history and snapshots of every finished epoch, and
            the weights of that moment, some steps into the next; the checkpoint stays that of a finished epoch.

    Raises:
        ValueError: before any work, where an argument can't be used.
        FloatingPointError: the loss, what it is of, or the weights after an epoch became NaN or infinite.

    Example:
        >>> run = labkit.fit(method, [data], epochs=200, lr=5e-4, weight_decay=1e-5, snapshots=[0, 50, 200])
    """
    device = choose_device(device)
    require_known("precision", precision, PRECISIONS)
    if callable(optimizer) and not lr is weight_decay is None:
        raise ValueError("lr and weight_decay are of the named optimisers; put them into the callable, e.g. "
                         "functools.partial(torch.optim.Adam, lr=0.01)")  # fmt: skip
    lr, weight_decay = 1e-3 if lr is None else lr, 0.0 if weight_decay is None else weight_decay
    epochs, seed, lr, weight_decay = index(epochs), index(seed), float(lr), float(weight_decay)  # as a file holds them
    snapshots = _whole_numbers(snapshots)
    batches = to_device(batches, device)
    require_between("weight_decay", weight_decay, 0, math.inf)
    first = _check(method, batches, epochs, seed, lr, schedule, snapshots, watch, checkpoint, resume)
    if watch is None:  # the one batch of Minibatches is shuffled: its rows would not be those of any labels
        watch = batches.items if isinstance(batches, Minibatches) else first
    watch = to_device(watch, device)
    settings = {"epochs": epochs, "seed": seed, "lr": lr, "weight_decay": weight_decay, "schedule": schedule}
    settings |= {"batches": len(batches), "precision": precision, "processes": processes()}
    if checkpoint is not None and isinstance(batches, Minibatches | list | tuple):
        settings["checksum of the data"] = checksum(batches.items if isinstance(batches, Minibatches) else batches)
    method.to(device)
    with seeded(seed):  # it may try a view; training begins with the same draws whether it does or not
        getattr(method, "check", lambda _: None)(first)
        if snapshots and 0 not in snapshots:  # an embed that can't be is found out now, not after some epochs
            _snapshot(method, watch)
    trained = in_parallel(method, device)

    with seeded(_own_seed(seed)), memory_kept():
        run = Run(method, seed)
        optimize = _optimizer(optimizer, method, lr, weight_decay)
        settings["optimizer"] = _told(optimize) if callable(optimizer) else optimizer
        saved = Checkpoint(checkpoint, checkpoint_seconds, settings) if checkpoint else None
        if saved and resume and saved.path.is_file():
            run = _restored(saved, method, optimize, snapshots)
        elif 0 in snapshots:
            run.snapshots[0] = _snapshot(method, watch)
        shown = progress and rank() == 0
        bar = tqdm(total=epochs, initial=run.epochs, unit="epoch", delay=2, leave=False, disable=not shown)
        try:
            for epoch in range(run.epochs + 1, epochs + 1):
                started = time.perf_counter()
                loss = _epoch(method, trained, batches, optimize, precision, schedule, epoch, epochs, device)
                seconds, seen = time.perf_counter() - started, getattr(method, "seen", None)
                snapshot = {epoch: _snapshot(method, watch)} if epoch in snapshots else {}
                run.add_epoch(loss, seconds, seen, snapshot)
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update()
                if saved:
                    saved.write(run, optimize, last=epoch == epochs)
        except KeyboardInterrupt:
            run.interrupted = True
            warn_and_go_on(
                f"training stopped by hand after {run.epochs} of {epochs} epochs; the weights are those of this "
                "moment, which may lie some steps further",
                stacklevel=2,
            )
        finally:
            bar.close()
    method.eval()
    return run


def _whole_numbers(snapshots: Iterable) -> list[int]:
    try:
        return [index(epoch) for epoch in snapshots]
    except TypeError as error:
        raise TypeError(f"snapshots must hold whole numbers, not {snapshots!r}") from error


def _restored(saved: Checkpoint, method: nn.Module, optimize: torch.optim.Optimizer, snapshots: Sequence[int]) -> Run:
    run = saved.restore(method, optimize)
    lost = [epoch for epoch in snapshots if epoch <= run.epochs and epoch not in run.snapshots]
    if lost:
        raise ValueError(f"snapshots asks for epochs {lost}, which {saved.path} has passed without keeping them; ask "
                         "for later ones, or train anew")  # fmt: skip
    return run


def _own_seed(seed: int) -> int:
    """Each process draws views of its own; the first draws those of a training alone."""
    if rank() == 0:
        return seed
    mixed = np.random.SeedSequence([seed % 2**64, rank()])  # into 32 bits: the CPU generator looks at no more
    return int(mixed.generate_state(1)[0])


def _snapshot(method, watch) -> torch.Tensor:
    """A copy: what a method embeds with may be its own weights, which change. In evaluation mode, whoever wrote it."""
    return inference(lambda method, items: method.embed(items))(method, watch).detach().to("cpu", copy=True)


def _epoch(method, trained, batches, optimize, precision, schedule, epoch, epochs, device) -> float:
    """One pass; returns the mean loss. The loss stays on the device until the epoch is over.

    ``trained`` is the method, or what averages its gradients over processes.
    """
    method.train()
    total, steps = torch.zeros((), device=device, dtype=torch.float64), 0  # of many small ones float32 loses the end
    for batch in batches:
        if schedule != "constant":
            share = _share_of_rate(schedule, (epoch - 1 + steps / len(batches)) / epochs)
            for group in optimize.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * share
        try:
            with autocast(precision, device, method):
                loss = trained(to_device(batch, device))
            if not isinstance(loss, torch.Tensor) or loss.dim():
                found = f"shape {list(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
                raise ValueError(f"{type(method).__name__}.forward must return a loss without dimensions, not {found}")
            if not loss.requires_grad:
                raise ValueError(f"{type(method).__name__}.forward returned a loss without gradient: it must come from "
                                 "trainable weights, nothing detached or under torch.no_grad()")  # fmt: skip
        except NotFinite as error:
            if epoch == 1 and steps == 0:  # nothing was trained yet: it is what was handed in
                raise
            raise diverged("what the loss is of became NaN, infinite or too large", epoch) from error
        except RuntimeError as error:
            if "Inference tensors" in str(error):
                raise ValueError("batches hold tensors made inside torch.inference_mode(), which no gradient passes; "
                                 "make them outside, or clone() them there") from error  # fmt: skip
            raise
        optimize.zero_grad()
        loss.backward()
        optimize.step()
        method.after_step()
        total += loss.detach()
        steps += 1
    loss = (summed(total) / (steps * processes())).item()
    require_converging(loss, method, epoch)
    return loss


def _share_of_rate(schedule: str, done: float) -> float:
    """What a schedule leaves of the rate when ``done`` of all steps, 0 to 1, are over."""
    if schedule == "warmup-cosine":
        if done < WARMUP:
            return done / WARMUP
        done = (done - WARMUP) / (1 - WARMUP)
    return 0.5 * (1 + math.cos(math.pi * done))


def _optimizer(optimizer, method: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in method.parameters() if parameter.requires_grad]
    if callable(optimizer):
        return optimizer(parameters)
    extra = {"momentum": 0.9} if optimizer == "sgd" else {}
    require_known("optimizer", optimizer, OPTIMIZERS)
    return OPTIMIZERS[optimizer](parameters, lr=lr, weight_decay=weight_decay, fused=True, **extra)


def _told(optimizer: torch.optim.Optimizer) -> str:
    """An optimiser's name and settings, which a run that goes on must share."""
    groups = [
        {name: value for name, value in sorted(group.items()) if name != "params" and value}
        for group in optimizer.param_groups
    ]
    return f"{type(optimizer).__name__} {groups}"


def _has_length(batches) -> bool:
    try:
        return len(batches) >= 0
    except TypeError:  # a DataLoader has __len__, whatever it loads from
        return False


def _check(method, batches, epochs, seed, lr, schedule, snapshots, watch, checkpoint, resume):
    """Refuse what can't be used; return the first batch."""
    if not isinstance(method, nn.Module) or not hasattr(method, "embed") or not hasattr(method, "after_step"):
        raise TypeError(
            "method must be a labkit Method, or another nn.Module with embed(batch) and after_step(), not "
            f"{type(method).__name__}"
        )
    if hasattr(batches, "edge_index"):
        raise TypeError(f"batches must be a list of graphs: hand in [data], not a {type(batches).__name__} alone")
    if not any(parameter.requires_grad for parameter in method.parameters()):
        raise ValueError(f"{type(method).__name__} has no trainable parameters")
    require_counts(epochs=epochs)
    require_positive("lr", lr)
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be 'constant', 'cosine' or 'warmup-cosine', not {schedule!r}")
    if not torch.is_grad_enabled():
        raise ValueError("fit needs gradients: call it outside torch.no_grad() and torch.inference_mode()")
    if any(parameter.is_inference() for parameter in method.parameters()):
        raise ValueError(f"{type(method).__name__} was built inside torch.inference_mode(), where weights can't be "
                         "trained; build it outside")  # fmt: skip
    if not _has_length(batches) or isinstance(batches, Iterator):
        raise ValueError("batches must be something that can be iterated anew in each epoch and has a length: "
                         "Minibatches, a list, a DataLoader; not a generator, nor an IterableDataset's")  # fmt: skip
    if processes() > 1 and not isinstance(batches, Minibatches):
        raise ValueError(f"{processes()} processes share the batches of Minibatches; {type(batches).__name__} has none "
                         "to share. Spread the seeds instead: labkit run RECIPE --jobs N")  # fmt: skip
    if len(batches) == 0:
        raise ValueError("batches is empty: there is nothing to train on")
    outside = [epoch for epoch in snapshots if not 0 <= epoch <= epochs]
    if outside:
        raise ValueError(f"snapshots asks for epochs {outside}, outside 0 to {epochs}")
    if checkpoint is not None:
        if Path(checkpoint).is_dir():
            raise ValueError(f"checkpoint must be a file, and {checkpoint} is a folder")
        weights(method)
    stays = isinstance(batches, Minibatches) or hasattr(batches, "__getitem__")
    if snapshots and watch is None and len(batches) > 1:
        raise ValueError("snapshots needs watch=...: which items shall be embedded at those epochs?")
    if snapshots and watch is None and not stays:
        raise ValueError(f"snapshots needs watch=... beside a {type(batches).__name__}, whose batch may be drawn anew "
                         "or shuffled: which items shall be embedded at those epochs?")  # fmt: skip
    if resume and checkpoint is None:
        raise ValueError("resume=True needs checkpoint=...: the file to go on from")
    with seeded(seed):  # a sampler draws its first batch here, and may check what it has drawn
        first = next(iter(batches))
    if first is None or isinstance(first, str | bytes | Number):
        raise TypeError(f"batches must hold tensors, graphs or the like, not {first!r} ({type(first).__name__})")
    return first
