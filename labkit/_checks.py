"""Checks that every room makes of what a user hands in. Each raises one sentence: what was wrong, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

import torch
from torch import Tensor

from labkit._remembered import Remembered

_one_way = Remembered()


class NotFinite(ValueError):
    """NaN, infinities, or numbers so large that sums of their powers overflow: in a training, it has diverged."""


def may_look(values: Tensor) -> bool:
    """Whether a step may stop to see what the numbers are: on a CPU, unless it is compiled.

    Elsewhere the host would wait until the device is done, and a compiled step would fall into parts. ``fit`` looks at
    the loss and the weights after each epoch.
    """
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


def require_finite(name: str, values: Tensor) -> None:
    """Refuse NaN and infinities in ``values`` (any shape), naming the first row that holds one."""
    if not values.is_floating_point() or torch.compiler.is_compiling():
        return
    bad = ~torch.isfinite(values)
    if bad.any():
        rows = bad.reshape(len(values), -1).any(dim=1).nonzero().flatten() if values.dim() else bad.reshape(1)
        raise NotFinite(
            f"{name} holds NaN or infinite values in {len(rows)} of {len(values) if values.dim() else 1} rows "
            f"(first: row {int(rows[0])}); remove or repair them first, e.g. torch.nan_to_num({name})"
        )


def require_in_range(name: str, values: Tensor, power: int = 2) -> None:
    """Refuse floating-point ``values`` that are NaN or infinite, or so large that sums of this power of them overflow.

    One product of the values with themselves, in place of a pass that looks for NaN and infinities.
    """
    if torch.compiler.is_compiling():
        return
    flat = values.detach().reshape(-1)
    flat = flat if flat.dtype == torch.float64 else flat.float()
    if flat.dot(flat) < torch.finfo(flat.dtype).max ** (2 / power):
        return
    require_finite(name, values.detach())
    raise NotFinite(
        f"{name} holds values up to {values.detach().abs().max().item():.3g}, and sums of their powers overflow "
        f"{str(flat.dtype).removeprefix('torch.')}; has training diverged? Divide {name} by a constant, or use float64"
    )


def require_positive(name: str, value: float) -> None:
    """Refuse zero, negative, NaN or infinite ``value``, and what 1 / value overflows float32 for."""
    if not 1e-30 <= value < float("inf"):
        raise ValueError(f"{name} must be a positive, finite number, not {value}")


def require_counts(least: int = 1, **values: int) -> None:
    """Refuse sizes below ``least``: ``require_counts(dim=dim, layers=layers)``."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")


def require_device(device: torch.device | str) -> torch.device:
    """A device that holds data, from its name."""
    try:
        found = torch.device(device)
    except RuntimeError:
        found = None
    if found is None or found.type == "meta":
        raise ValueError(f"device must be one that torch knows and that holds data, e.g. 'cpu', not {device!r}")
    return found


def require_between(name: str, value: float, low: float, high: float) -> None:
    """Refuse ``value`` outside [low, high] (NaN and infinities too)."""
    if abs(value) == float("inf"):
        raise ValueError(f"{name} must be finite, not {value}")
    if not low <= value <= high:
        raise ValueError(f"{name} must lie between {low} and {high}, not {value}")


def require_matrix(name: str, values: Tensor, rows: int = 1) -> None:
    """Refuse anything but a finite floating-point [n, d] tensor with n ≥ ``rows`` and d ≥ 1."""
    if not isinstance(values, Tensor):
        raise TypeError(f"{name} must be a torch tensor, not {type(values).__name__}; use torch.as_tensor({name})")
    if values.dim() != 2 or values.shape[1] == 0:
        raise ValueError(f"{name} must have shape [items, dim], not {list(values.shape)}")
    if values.layout != torch.strided:
        raise ValueError(f"{name} must be dense, not {values.layout}; use {name}.to_dense()")
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating point, not {values.dtype}; use {name}.float()")
    if len(values) < rows:
        raise ValueError(f"{name} has {len(values)} rows; at least {rows} are needed")
    require_finite(name, values)


def require_same_shape(name_a: str, a: Tensor, name_b: str, b: Tensor) -> None:
    """Refuse two tensors of different shapes."""
    if a.shape != b.shape:
        raise ValueError(f"{name_a} and {name_b} must have the same shape, not {list(a.shape)} and {list(b.shape)}")


def require_edges(edge_index: Tensor, num_nodes: int) -> None:
    """Refuse edges that do not lie between node 0 and node ``num_nodes`` − 1."""
    require_counts(num_nodes=num_nodes)
    low, high = map(int, edge_index.aminmax()) if edge_index.numel() else (0, 0)
    if low < 0 or high >= num_nodes:
        raise ValueError(
            f"edge_index reaches node {low if low < 0 else high}, but nodes are 0 to {num_nodes - 1} "
            f"(num_nodes={num_nodes})"
        )


def require_undirected(edge_index: Tensor, num_nodes: int) -> None:
    """Refuse edges that are listed in one direction only; the same ``edge_index`` is looked at once."""
    if torch.compiler.is_compiling():
        return

    def one_way() -> list[int]:
        source, target = edge_index.long()
        there, back = (source * num_nodes + target).unique(), (target * num_nodes + source).unique()
        if torch.equal(there, back):
            return []
        first = int(there[~torch.isin(there, back)][0])
        return [first // num_nodes, first % num_nodes]

    if edge := _one_way.of(edge_index, one_way, num_nodes):
        raise ValueError(
            f"the graph is directed: edge_index leads from node {edge[0]} to {edge[1]} and not back, and both "
            "directions are needed here; use torch_geometric.transforms.ToUndirected()"
        )


def at_least_float32(x: Tensor) -> Tensor:
    """float64 stays, all other kinds become float32."""
    return x if x.dtype == torch.float64 else x.float()


def require_known(kind: str, name: str, known: Iterable[str], argument: str = "", listed: str = "") -> None:
    """Refuse a name that is not among the known ones, in the sentence of :func:`unknown`."""
    if name not in known:
        raise ValueError(unknown(kind, name, known, argument, listed))


def unknown(kind: str, name: str, known: Iterable[str], argument: str = "", listed: str = "") -> str:
    """The sentence for a name that is not known, with the nearest ones: ``raise ValueError(unknown(...))``.

    ``argument`` is told first where ``kind`` is another word. ``listed``: the command that lists the names, where they
    are too many for a sentence.
    """
    known = sorted(known)
    near = get_close_matches(str(name), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
    if listed and not near:
        nearest = get_close_matches(str(name), known, n=3, cutoff=0)
        hint = f"nearest: {', '.join(map(repr, nearest))}; `{listed}` lists them all"
    return f"{argument and argument + ': '}there is no {kind} named {name!r}; {hint}"


def require_rows(name: str, rows: Tensor, power: int = 2) -> None:
    """Refuse anything but a floating-point [n, dim] tensor, dim ≥ 1, that is finite and in range."""
    if rows.dim() != 2 or not rows.is_floating_point() or rows.shape[1] == 0:
        raise ValueError(f"{name} must be a floating-point [n, dim] tensor, not {list(rows.shape)} of {rows.dtype}")
    if may_look(rows):
        require_in_range(name, rows, power)


def require_pair(name_a: str, a: Tensor, name_b: str, b: Tensor, items: int, power: int = 2) -> None:
    """Refuse two views that are not finite [n, dim] tensors of one shape with n ≥ ``items``: what a loss can use.

    ``power``: the highest that the loss takes of its inputs.
    """
    for name, rows in ((name_a, a), (name_b, b)):
        require_rows(name, rows, power)
    require_same_shape(name_a, a, name_b, b)
    if len(a) < items:
        raise ValueError(f"{name_a} must hold at least {items} items, not {list(a.shape)}")
