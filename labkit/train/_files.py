"""Tensors and JSON in one safetensors file that is either whole or not there."""

import json
import os
import tempfile
from pathlib import Path

from torch import Tensor


def write_tensors(path: str | Path, tensors: dict[str, Tensor], facts: dict) -> None:
    """Write ``tensors`` and the JSON ``facts`` to ``path``: beside it first, then moved over it in one step.

    A crash or a full disk leaves the older file as it was.
    """
    from safetensors.torch import save

    data = save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, {"facts": json.dumps(facts)}
    )
    write_whole(path, data)


def write_whole(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Read what ``write_tensors`` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is torn, or was not written by labkit.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (not a dict)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is torn or was not written by labkit ({error}); delete it and start again") from error
