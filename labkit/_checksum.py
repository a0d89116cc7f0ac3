"""Whether a data set, or a method before training, is the same as at another time."""

import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module


def checksum(thing: Any, before: int = 0) -> int:
    """A number for all tensors of a data set or a method, and for the plain values beside them (a temperature).

    What can't be told apart in another process is passed over: functions, and objects that print with their address.

    Cost: some GB/s.
    """
    if isinstance(thing, Tensor):
        for part in _stored(thing):
            before = zlib.crc32(f"{part.dtype}{part.shape}".encode(), before)
            flat = part.detach().cpu().contiguous().reshape(-1)
            before = zlib.crc32(flat.view(torch.uint8).numpy(), before)
        return before
    if isinstance(thing, Module):
        public = [{name: value for name, value in vars(one).items() if name[0] != "_"} for one in thing.modules()]
        return checksum([thing.state_dict(), public], before)
    if isinstance(thing, partial):  # losses come so, with their options
        return checksum([getattr(thing.func, "__name__", ""), thing.args, thing.keywords], before)
    if isinstance(thing, type):
        return checksum(thing.__name__, before)
    if is_dataclass(thing):  # an ImageSet, a GraphSet; what they have cached is no field
        return checksum({one.name: getattr(thing, one.name) for one in fields(thing)}, before)
    if hasattr(thing, "to_dict"):  # a PyG Data
        return checksum(thing.to_dict(), before)
    if isinstance(thing, Mapping):
        return checksum(list(thing.items()), before)
    if isinstance(thing, list | tuple):
        for part in thing:
            before = checksum(part, before)
        return before
    if isinstance(thing, np.ndarray | np.generic) and not isinstance(thing, float | str):
        return checksum([str(thing.dtype), thing.tolist()], before)
    if isinstance(thing, set | frozenset):
        return checksum(sorted(map(repr, thing)), before)
    plain = str | int | float | bytes | torch.dtype | torch.device | None
    return zlib.crc32(repr(thing).encode(), before) if isinstance(thing, plain) else before


def _stored(tensor: Tensor) -> tuple[Tensor, ...]:
    """The dense tensors that hold a tensor."""
    if tensor.layout == torch.sparse_coo:
        return tensor.coalesce().indices(), tensor.coalesce().values()
    if tensor.layout == torch.sparse_csr:
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    return (tensor,) if tensor.layout == torch.strided else ()
