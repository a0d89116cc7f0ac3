"""Checks that every room makes of what a user hands in. Each raises one sentence: what was wrong, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

import torch
from torch import Tensor


def require_finite(name: str, values: Tensor) -> None:
    """Refuse NaN and infinities in ``values`` (any shape), naming the first row that holds one."""
    if not values.is_floating_point():
        return
    bad = ~torch.isfinite(values)
    if bad.any():
        rows = bad.reshape(len(values), -1).any(dim=1).nonzero().flatten() if values.dim() else bad.reshape(1)
        raise ValueError(
            f"{name} holds NaN or infinite values in {len(rows)} of {len(values) if values.dim() else 1} rows "
            f"(first: row {int(rows[0])}); remove or repair them first, e.g. torch.nan_to_num({name})"
        )


def require_positive(name: str, value: float) -> None:
    """Refuse zero, negative, NaN or infinite ``value``."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive, finite number, not {value}")


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Refuse ``value`` outside [low, high] (NaN too)."""
    if not low <= value <= high:
        raise ValueError(f"{name} must lie between {low} and {high}, not {value}")


def require_matrix(name: str, values: Tensor, rows: int = 1) -> None:
    """Refuse anything but a finite floating-point [n, d] tensor with n ≥ ``rows`` and d ≥ 1."""
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch tensor, not {type(values).__name__}; use torch.as_tensor({name})")
    if values.dim() != 2 or values.shape[1] == 0:
        raise ValueError(f"{name} must have shape [items, dim], not {list(values.shape)}")
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating point, not {values.dtype}; use {name}.float()")
    if len(values) < rows:
        raise ValueError(f"{name} has {len(values)} rows; at least {rows} are needed")
    require_finite(name, values)


def require_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Refuse two tensors of different shapes."""
    if a.shape != b.shape:
        raise ValueError(f"{name_a} and {name_b} must have the same shape, not {list(a.shape)} and {list(b.shape)}")


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not known, with the nearest ones: ``raise ValueError(unknown(...))``."""
    known = sorted(known)
    near = get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
    return f"there is no {kind} named {name!r}; {hint}"


def require_pair(name_a: str, a: Tensor, name_b: str, b: Tensor, items: int) -> None:
    """Refuse two views that are not finite [n, dim] tensors of one shape with n ≥ ``items``: what a loss can use."""
    for name, rows in ((name_a, a), (name_b, b)):
        if rows.dim() != 2 or not rows.is_floating_point():
            raise ValueError(f"{name} must be a floating-point [n, dim] tensor, not {list(rows.shape)} of {rows.dtype}")
        if rows.device.type == "cpu":  # elsewhere it would stop the host until the device is done; `fit` sees NaN
            require_finite(name, rows.detach())
    require_same_shape(name_a, a, name_b, b)
    if len(a) < items or a.shape[1] == 0:
        raise ValueError(f"{name_a} must hold at least {items} items of at least 1 dimension, not {list(a.shape)}")
