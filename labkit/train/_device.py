"""Device, precision and seed: each is chosen in this one place."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from labkit._arguments import checked


@checked
def choose_device(device: str | torch.device = "auto") -> torch.device:
    """``"auto"``: CUDA where there is one, else the CPU. Else torch's own name for a CPU or CUDA device.

    Raises:
        ValueError: a CUDA device is asked for and there is none, another kind of device, or an unknown name.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {device!r} is unknown; use 'auto', 'cpu' or 'cuda'") from error
    if chosen.type not in ("cpu", "cuda"):  # seeds, precision and tests know these two
        raise ValueError(f"device {str(device)!r} is none that labkit trains on; use 'auto', 'cpu' or 'cuda'")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device {str(device)!r} was asked for, but torch sees no CUDA device here; use 'auto' or 'cpu'"
        )
    return chosen


@checked
def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are done by the hardware (on a CPU without it they are several times slower)."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


PRECISIONS = ("auto", "float32", "bfloat16")


def autocast(precision: str, device: torch.device, method: nn.Module):
    """The autocast context for ``precision``: "float32", "bfloat16", or "auto".

    "auto" is bfloat16 for methods with convolutions or attention where the hardware has it, unless the method says
    that it ``needs_float32``; else float32.
    """
    if precision == "auto":
        vision = any(isinstance(part, nn.Conv2d | nn.MultiheadAttention) for part in method.modules())
        short = vision and has_bfloat16(device) and not getattr(method, "needs_float32", False)
        precision = "bfloat16" if short else "float32"
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


@checked(numbers=False)
def to_device(items, device: torch.device):
    """``items`` on ``device``; the original stays where it was.

    ``items``: a tensor, PyG ``Data``, anything with ``.to``, and lists, tuples and mappings of these.
    """
    if isinstance(items, torch.Tensor):
        if items.is_meta:
            raise ValueError("items must hold numbers; what lies on the meta device has none")
        return items.to(device)
    if isinstance(items, Mapping):
        return {name: to_device(part, device) for name, part in items.items()}
    if isinstance(items, list | tuple):
        parts = [to_device(part, device) for part in items]
        return type(items)(*parts) if hasattr(items, "_fields") else type(items)(parts)
    return copy.copy(items).to(device) if hasattr(items, "to") else items  # PyG's Data.to changes Data itself


@checked
@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Everything that torch draws inside comes from ``seed``; its generators outside are left as they were.

    Example:
        >>> with seeded(3):
        ...     method = build()          # the same initial weights each time
    """
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
