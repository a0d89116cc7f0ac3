"""Where a run goes on from after ``kill -9``."""

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from labkit._processes import agreed, everyone, rank
from labkit.train._files import read_tensors, refused_if_torn, write_tensors
from labkit.train._run import Run, pack, unpack, warn_and_go_on


class Checkpoint:
    """One file with everything that decides the rest of a run: weights, optimiser, random state, history."""

    def __init__(self, path: str | Path, seconds: float, settings: dict):
        self.path, self.seconds, self.settings = Path(path), seconds, settings
        self.written = time.monotonic()

    def write(self, run: Run, optimizer: torch.optim.Optimizer, last: bool) -> None:
        """Write when ``seconds`` have gone by since the last time, or when this is the ``last`` epoch."""
        if not agreed(last or time.monotonic() - self.written >= self.seconds):
            return
        tensors, facts = pack(run)
        for state in everyone(_random_state()):
            tensors |= state
        try:
            tensors |= _optimizer_tensors(optimizer)
            if rank() == 0:
                write_tensors(self.path, tensors, facts | {"settings": self.settings})
        except OSError as error:
            warn_and_go_on(f"{error.strerror or error}; training goes on", stacklevel=4)
        self.written = time.monotonic()

    def restore(self, method: nn.Module, optimizer: torch.optim.Optimizer) -> Run:
        """Put ``method``, ``optimizer`` and the random state where the file left them.

        Raises:
            ValueError: the file is torn, or comes from a run with other settings.
        """
        tensors, facts = read_tensors(self.path)
        if "history" in facts and "settings" not in facts and not any(name.startswith("random.") for name in tensors):
            raise ValueError(f"{self.path} holds a finished run (Run.save) and nothing to go on from: look at it with "
                             "Run.load, and give checkpoint= another file")  # fmt: skip
        with refused_if_torn(self.path):
            finished, settings = len(facts["history"]["loss"]), dict(facts["settings"])
            if f"random.{rank()}.cpu" not in tensors:  # seen before the method's weights are written over
                raise KeyError("no random state")
        for name, now in self.settings.items():
            before = settings.get(name, now)  # of checkpoints from before this was a setting
            # with a constant rate the epochs so far don't depend on how many are to come
            other_length = name == "epochs" and self.settings["schedule"] == "constant" and now >= finished
            if before != now and not other_length:
                raise ValueError(
                    f"{self.path} comes from a run with {name}={before!r} ({finished} epochs done), this one has "
                    f"{name}={now!r}; use the same settings, or another checkpoint file"
                )
        run = unpack(tensors, facts, method, self.path)
        with refused_if_torn(self.path):
            _restore_optimizer(optimizer, tensors)
            _restore_random_state(tensors)
        return run


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    tensors = {}
    for index, values in state.items():
        for name, value in values.items():
            if isinstance(value, Tensor | int | float):
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
            elif value is not None:
                of = type(optimizer).__name__
                raise OSError(
                    f"{of} remembers {name!r} as {type(value).__name__}; checkpoints hold numbers and tensors alone"
                )
    return tensors


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            value = _laid_out_like(parameters[int(index)], value, optimizer, key)
            count = not value.dim() and not value.is_floating_point()  # SparseAdam counts its steps by a Python number
            state.setdefault(int(index), {})[name] = value.item() if count else value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for index, values in state.items():  # which brings all but "step" to the parameter's own precision
        for name, value in values.items():
            if isinstance(value, Tensor) and optimizer.state[parameters[index]][name].dtype != value.dtype:
                optimizer.state[parameters[index]][name] = value.to(parameters[index].device)


def _laid_out_like(parameter: Tensor, value: Tensor, optimizer: torch.optim.Optimizer, key: str) -> Tensor:
    """``value`` in the memory order of ``parameter``: a fused step takes both as they lie, and checks nothing."""
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
    if value.dim() and optimizer.defaults.get("fused"):
        raise ValueError(f"{key} has shape {list(value.shape)}, its parameter {list(parameter.shape)}")
    return value


def _random_state() -> dict[str, Tensor]:
    cuda = {f"random.{rank()}.cuda.{i}": torch.cuda.get_rng_state(i) for i in range(torch.cuda.device_count())}
    return {f"random.{rank()}.cpu": torch.get_rng_state(), **cuda}


def _restore_random_state(tensors: dict[str, Tensor]) -> None:
    torch.set_rng_state(tensors[f"random.{rank()}.cpu"])
    for i in range(torch.cuda.device_count()):
        if f"random.{rank()}.cuda.{i}" in tensors:
            torch.cuda.set_rng_state(tensors[f"random.{rank()}.cuda.{i}"], i)
