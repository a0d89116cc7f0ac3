"""``load(name)``: from a name to a graph or images."""

from collections.abc import Callable
from importlib import import_module
from inspect import signature
from typing import Any

from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_known
from labkit._default_type import in_float32
from labkit.data._catalogue import Entry, catalogue
from labkit.data._image_set import ImageSet
from labkit.data._store import has_files


@checked(numbers=False)
@in_float32()
def load(name: str, **options) -> Any:
    """Load a data set of the catalogue.

    Looks for each file in ``$LABKIT_DATA``, in ``data/`` of the checkout, in the user's cache, then on the network, and
    reads it only when its sha256 matches. A file that does not match is renamed to ``NAME.rejected`` and never read.

    Args:
        name: a name of ``catalogue()``.
        options: what the set's reader takes; ``transform=`` for graphs, as in PyG.

    Returns:
        PyG ``Data`` for a graph, ``ImageSet`` for images; ``catalogue()[name].kind`` says what.

    Raises:
        ValueError: an unknown name or option, or a file whose bytes are not the expected ones.
        FileNotFoundError: a file is nowhere to be had; the message says where it was looked for and what to do.

    Example:
        graph = labkit.data.load("cora")
        graph.x, graph.edge_index, graph.train_mask         # [2708, 1433], [2, 10556], [2708]
    """
    entry = _entry(name)
    read = _reader(entry)
    allowed = [key for key in signature(read).parameters if key != "entry"]
    allowed += ["transform"] if entry.kind.endswith("graph") else []  # of a set each graph gets it
    for option in options:
        if option not in allowed:
            choices = f"it takes: {', '.join(allowed)}" if allowed else "it takes none"
            raise ValueError(f"{name!r} has no option {option!r}; {choices}")
    transform = options.pop("transform", None) if entry.kind.endswith("graph") else None
    try:
        value = read(entry, **options)
    except FileNotFoundError as error:
        raise error.with_traceback(None) from None  # the sentence says it all; the way to it would fill a screen
    if not options:  # the others may change sizes
        _require_expected(entry, value)
    return transform(value) if transform else value


@checked
def available(name: str) -> bool:
    """Whether ``load(name)`` needs no network: no file at all, or every file is there with the right size.

    The sha256 is checked when the file is read, not here.

    Raises:
        ValueError: an unknown name.
    """
    return has_files(_entry(name))


def _entry(name: str) -> Entry:
    known = catalogue()
    if name == "cifar10":
        raise ValueError(
            "'cifar10' exists as two sets that must not be confused: 'cifar10-4k' (4 000 + 1 000 images, exact pixels) "
            "and 'cifar10-jpeg' (all 60 000, lossy JPEG); pass one of those names"
        )
    require_known("data set", name, known)
    return known[name]


def _require_expected(entry: Entry, value: Any) -> None:
    """The files were the right ones; that what was read from them is right too is checked here."""
    found = _sizes(value)
    for key, expected in entry.expected.items():
        if found.get(key) != expected:
            raise ValueError(
                f"{entry.name!r} came out with {found.get(key)} {key} instead of {expected}: the reader does not "
                "understand these files; please report this with what `labkit doctor` prints"
            )


def _sizes(value: Any) -> dict[str, Any]:
    """By the names that the catalogue uses: {"nodes": 2708, ...}, {"images": [70000, 1, 28, 28], ...}, and so on."""
    if isinstance(value, ImageSet):
        found = {"images": list(value.images.shape)} | {name: len(rows) for name, rows in value.splits.items()}
        return found | ({} if value.labels is None else {"classes": len(value.labels.unique())})
    if isinstance(value, dict):
        return {"images": len(value)}
    kind = type(value).__name__
    if kind == "Data":
        return _graph_sizes(value)
    if kind == "HeteroData":
        labels = next(store.y for store in value.node_stores if "y" in store)
        return {"nodes": {name: value[name].num_nodes for name in value.node_types}, "classes": len(labels.unique())}
    if kind == "GraphSet":
        return {"graphs": len(value), "classes": len(value.y.unique()), "features": value[0].num_node_features}
    return {"molecules" if kind == "Molecules" else "images": len(value)}


def _graph_sizes(data) -> dict[str, Any]:
    found = {"nodes": data.num_nodes, "features": data.num_node_features}
    if data.edge_index is not None:
        found["edges"] = data.num_edges
    if "hyperedge_index" in data:
        found["hyperedges"] = data.num_hyperedges
    if "citations" in data:
        found["citations"] = data.citations
    if isinstance(data.y, Tensor):
        found["classes"] = len(data.y.unique())
    for part in ("train", "val", "test"):
        mask = data.get(f"{part}_mask")
        if mask is not None and mask.dim() == 1:
            found[part] = int(mask.sum())
    return found


def _reader(entry: Entry) -> Callable[..., Any]:
    module, kind = entry.reader.rsplit(".", 1)  # modules load when a set of theirs does
    return getattr(import_module(f"labkit.data.{module}"), f"read_{kind}")
