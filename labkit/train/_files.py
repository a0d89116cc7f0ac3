"""Tensors and JSON in one safetensors file that is either whole or not there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit._files import write_whole


def storable(value: Any) -> bool:
    """Whether ``write_tensors`` can write it: a dense tensor, of a type that safetensors knows."""
    from safetensors import SafetensorError
    from safetensors.torch import save

    if not isinstance(value, Tensor) or value.layout != torch.strided:
        return False
    try:
        save({"": torch.empty(0, dtype=value.dtype, device="cpu")})
    except (KeyError, ValueError, RuntimeError, SafetensorError):
        return False
    return True


def write_tensors(path: str | Path, tensors: dict[str, Tensor], facts: dict) -> None:
    """Write ``tensors`` and the JSON ``facts`` to ``path``: beside it first, then moved over it in one step.

    A crash or a full disk leaves the older file as it was.
    """
    from safetensors.torch import save

    data = save(
        {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()},  # none shared
        {"facts": json.dumps(facts)},
    )
    write_whole(path, data)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Read what ``write_tensors`` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is torn, or was not written by labkit.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    with refused_if_torn(path, SafetensorError), safe_open(path, framework="pt") as file:
        facts = json.loads((file.metadata() or {})["facts"])
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)


@contextmanager
def refused_if_torn(path: str | Path, *errors: type[Exception]) -> Iterator[None]:
    """Whatever goes wrong with what was read from ``path`` is a ValueError that says so."""
    expected = (KeyError, TypeError, AttributeError, IndexError, ValueError, RuntimeError, *errors)
    try:
        yield
    except expected as error:
        raise ValueError(f"{path} is torn or was not written by labkit ({error}); delete it and start again") from error
