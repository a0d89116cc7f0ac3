"""A graph of the user's own: read it, check it, save it."""

import copy
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from labkit._arguments import checked
from labkit._checks import require_finite
from labkit._default_type import in_float32
from labkit._files import write_whole
from labkit.data._arrays import read_npz
from labkit.data._graph_networkx import from_networkx, read_graphml
from labkit.data._graph_tables import SUFFIXES, read_tables, undirected

NUMBERS = ("x", "edge_index", "edge_weight", "y", "labels", "train_mask", "val_mask", "test_mask")  # never text
GRAPHS = (".npz", ".safetensors", ".graphml", *SUFFIXES)


@checked
@in_float32()
def read_graph(source: Any, transform: Callable[[Data], Data] | None = None, *, label: str | None = None) -> Data:
    """Read and check a graph of your own: a file, a networkx graph, or a PyG ``Data``.

    - ``.npz``, ``.safetensors``: what ``save_graph`` wrote (x, edge_index, y, masks).
    - ``.npz`` of PyG's ``Amazon`` and ``Coauthor`` (adj_data, adj_indices, adj_indptr, adj_shape; attr_* in the same
      way, or a dense attr_matrix; labels); adj_data becomes edge_weight, unless all are 1.
    - ``.edges``, ``.edgelist``, ``.csv``, ``.tsv``, ``.txt``: lines of ``source target [weight]``. For ``mine.edges``,
      features are looked for in ``mine.features.csv`` (``node number number …``) and labels in ``mine.labels.csv``
      (``node class``), or the same with .tsv and .txt; both may be missing.
    - ``.graphml`` and networkx graphs: the node attribute y, label or class is y; "x" (a list of numbers), or else all
      attributes that are numbers, become x; the edge attribute "weight" becomes edge_weight.

    In all but the first, an undirected edge stands for both directions and self-loops are left out. Feature values
    stay as they are. ``node_names``, ``class_names`` and ``feature_names`` keep what the file called them.

    Args:
        source: path, networkx graph, or ``Data`` (which is checked and given back).
        transform: called before the check, as in PyG; a graph without features gets some from it, e.g.
            ``torch_geometric.transforms.Constant()``.
        label: the node attribute that holds the classes, of GraphML and networkx graphs only.

    Raises:
        FileNotFoundError: no such file.
        ValueError: torn or of another layout, or whatever ``check_graph`` refuses.

    Example:
        graph = labkit.data.read_graph("mine.npz")
        graph = labkit.data.read_graph(networkx.karate_club_graph(), transform=Constant(), label="club")
    """
    data = _read(source, label)
    data = transform(data) if transform else data
    x, y = data.get("x"), data.get("y")  # files hold NumPy's default, or what takes less room
    if isinstance(x, Tensor) and x.is_floating_point() and x.dtype != torch.float32:
        data = copy.copy(data)
        data.x = x.float()
    if isinstance(y, Tensor) and not y.is_floating_point() and y.dtype not in (torch.int64, torch.bool):
        data = copy.copy(data)
        data.y = y.long()
    _check_graph(data)
    return data


def _read(source: Any, label: str | None) -> Data:
    if isinstance(source, Data):
        return source
    if hasattr(source, "is_multigraph"):  # a networkx graph, without importing networkx to find out
        return from_networkx(source, label)
    if not isinstance(source, str | Path):
        raise TypeError(f"source must be a path, a networkx graph or a PyG Data, not {type(source).__name__}")
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix.lower() == ".graphml":
        return read_graphml(path, label)
    if label is not None:
        raise ValueError(f"label= names a node attribute of GraphML and networkx graphs; {path.name} has none")
    return read_tables(path) if path.suffix.lower() in SUFFIXES else _read_tensors(path)


def _read_tensors(path: Path) -> Data:
    arrays = _read_arrays(path)
    if "edge_index" in arrays:
        if "num_nodes" in arrays:  # a file has it as an array
            arrays["num_nodes"] = int(arrays["num_nodes"])
        return Data(**arrays)
    if {"adj_data", "adj_indices", "adj_indptr", "adj_shape"} <= arrays.keys():
        return npz_graph({name: values.numpy() for name, values in arrays.items()}, str(path))
    raise ValueError(
        f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}, which is no graph; expected x and edge_index "
        "(see save_graph), or adj_data, adj_indices, adj_indptr and adj_shape as in PyG's Amazon"
    )


def _read_arrays(path: Path) -> dict[str, Tensor]:
    if path.suffix.lower() == ".npz":
        arrays = {name: array.astype(array.dtype.newbyteorder("="), copy=False)  # torch takes no other byte order
                  for name, array in read_npz(path, str(path)).items()}  # fmt: skip
        numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "biufc"}
        for name in set(arrays).difference(numbers).intersection(NUMBERS):
            hint = (
                f"; number the classes: numpy.unique({name}, return_inverse=True)[1]" if name in ("y", "labels") else ""
            )
            raise ValueError(f"{name} of {path} holds {arrays[name].dtype} in place of numbers{hint}")
        return {name: torch.from_numpy(array) for name, array in numbers.items()}
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            return dict(sorted(load(path.read_bytes()).items()))  # safetensors gives another order at every call
        except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise ValueError(f"{path} is no whole safetensors file ({error}); write it again") from error
    ends = path.suffix or "nothing"
    raise ValueError(f"source must be a file that ends in {', '.join(GRAPHS)}; {path} ends in {ends}")


def npz_graph(arrays: dict[str, np.ndarray], where: str) -> Data:
    """The graph of an npz in the layout of PyG's ``Amazon`` and ``Coauthor``; both directions, no self-loops."""
    adjacency = npz_matrix(arrays, "adj", where)
    adjacency.eliminate_zeros()  # a zero that was stored is no edge
    adjacency = adjacency.tocoo()
    if adjacency.shape[0] != adjacency.shape[1]:
        raise ValueError(f"adj_shape of {where} must be square, not {adjacency.shape[0]} × {adjacency.shape[1]}")
    n = adjacency.shape[0]
    edge_index = torch.from_numpy(np.stack([adjacency.row, adjacency.col]).astype(np.int64))
    weights = adjacency.data.astype(np.float64)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError(f"adj_data of {where} are the edges' weights: they must be finite numbers of at least 0")
    plain = (weights[adjacency.row != adjacency.col] == 1).all()
    data = undirected(edge_index, None if plain else weights.tolist(), n, where)
    if {"attr_data", "attr_indices", "attr_indptr", "attr_shape"} <= arrays.keys():
        data.x = torch.from_numpy(npz_matrix(arrays, "attr", where).toarray()).float()
    elif "attr_matrix" in arrays:
        data.x = torch.from_numpy(arrays["attr_matrix"]).float()
    if data.x is not None and len(data.x) != n:
        raise ValueError(f"{where} has {n} nodes by adj_shape and features of {len(data.x)}")
    if "labels" in arrays:
        labels = arrays["labels"]
        if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):  # no NaN equals itself
            raise ValueError(f"labels of {where} must be whole numbers; NaN and fractions are no classes")
        data.y = torch.from_numpy(labels).long()
    if data.x is not None:
        del data.num_nodes  # x says it; two sources could disagree
    return data


def npz_matrix(arrays: dict[str, np.ndarray], stem: str, where: str) -> Any:
    """The SciPy CSR matrix that stands in an npz as STEM_data, STEM_indices, STEM_indptr and STEM_shape."""
    from scipy.sparse import csr_matrix

    parts = [arrays[f"{stem}_{part}"] for part in ("data", "indices", "indptr")]
    try:
        found = csr_matrix(tuple(parts), shape=tuple(arrays[f"{stem}_shape"]))
        found.check_format(full_check=True)
        return found
    except (ValueError, TypeError) as error:
        raise ValueError(f"{stem}_data, _indices, _indptr and _shape of {where} do not fit: {error}") from error


@checked(numbers=False)
def save_graph(data: Data, path: str | Path) -> None:
    """Write every tensor of ``data`` (x, edge_index, y, masks, ...) to a .npz or .safetensors file.

    The file is written beside its place and moved there in one step: a crash leaves an older one as it was.

    Raises:
        ValueError: another suffix, or whatever ``check_graph`` refuses.

    Example:
        labkit.data.save_graph(graph, "mine.safetensors")
    """
    path = Path(path)
    if path.suffix.lower() not in (".npz", ".safetensors"):
        raise ValueError(f"path must end in .npz or .safetensors, not {path.name!r}")
    _check_graph(data)
    tensors = {name: value for name, value in data if isinstance(value, Tensor)}
    for name, value in tensors.items():
        if value.layout != torch.strided or (value.dtype == torch.bfloat16 and path.suffix.lower() == ".npz"):
            what = "bfloat16" if value.layout == torch.strided else "sparse"
            raise ValueError(f"{name} is {what}, which {path.suffix} does not hold; save {name}.float() or .to_dense()")
    # copied: safetensors refuses tensors that share memory
    tensors = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    if path.suffix.lower() == ".npz":
        np.savez_compressed(packed := io.BytesIO(), **{name: value.numpy() for name, value in tensors.items()})
        write_whole(path, packed.getvalue())
    else:
        from safetensors.torch import save

        write_whole(path, save(tensors))


@checked(numbers=False)
def check_graph(data: Any, features: int | None = None) -> None:
    """Refuse a graph that no method here can use, in one sentence. Isolated nodes are fine: x says how many there are.

    Args:
        features: how many each node must have: what a method was built for.

    Raises:
        TypeError: not a PyG ``Data``.
        ValueError: no nodes, edges or features; another number of features; NaN or infinite features or edge weights;
            features in float64, which float32 weights can't be multiplied by, or in a sparse layout; ``edge_index``
            that is not int64 [2, edges] or points outside the nodes; y or a mask whose length is not the number of
            nodes, or edge_weight or edge_attr whose length is not that of edges.

    Cost: O(nodes · features + edges).
    """
    _check_graph(data)
    if data.x.layout != torch.strided:
        raise ValueError(
            "x is sparse; use data.x = data.x.to_dense(): where zeros can be left out, models here do so by themselves"
        )
    if data.x.dtype == torch.float64:
        raise ValueError("x is float64, as NumPy has it, and models here are float32; use data.x = data.x.float()")
    if features is not None and data.num_features != features:
        raise ValueError(
            f"x has {data.num_features} features a node, and the method was built for {features}; build it for "
            "data.num_features"
        )


def _check_graph(data: Any) -> None:
    """The same for what a file may hold: features of any precision."""
    if not isinstance(data, Data):
        raise TypeError(f"data must be a torch_geometric.data.Data, not {type(data).__name__}")
    x = data.x
    if not isinstance(x, Tensor):
        raise ValueError(
            "the graph has no node features x; give it some with a PyG transform, e.g. transform="
            "torch_geometric.transforms.Constant(), or OneHotDegree(max_degree)"
        )
    if x.dim() != 2 or 0 in x.shape:
        raise ValueError(f"x must have shape [nodes, features] with at least one of each, not {list(x.shape)}")
    if not x.is_floating_point():
        raise ValueError(f"x must be floating point, not {x.dtype}; use data.x = data.x.float()")
    if x.layout == torch.strided:
        require_finite("x", x)
    elif not torch.isfinite(x.values() if x.layout == torch.sparse_csr else x.coalesce().values()).all():
        raise ValueError("x holds NaN or infinite values; remove or repair them first")
    _check_edges(data.edge_index, len(x))
    for name, values in _given(data, ("y", "train_mask", "val_mask", "test_mask"), len(x), "nodes"):
        if name == "y":
            require_finite(name, values)
        elif values.dtype != torch.bool:
            raise ValueError(f"{name} must be bool, not {values.dtype}; use {name}.bool()")
    for name, values in _given(data, ("edge_weight", "edge_attr"), data.edge_index.shape[1], "edges"):
        require_finite(name, values)


def _check_edges(edge_index: Tensor | None, n: int) -> None:
    if not isinstance(edge_index, Tensor):
        raise ValueError("the graph has no edge_index; give it an int64 tensor [2, edges]")
    if edge_index.dim() != 2 or edge_index.shape[0] != 2:
        hint = "; use edge_index.t()" if edge_index.dim() == 2 and edge_index.shape[1] == 2 else ""
        raise ValueError(f"edge_index must have shape [2, edges], not {list(edge_index.shape)}{hint}")
    if edge_index.dtype != torch.int64:
        raise ValueError(f"edge_index must be int64, not {edge_index.dtype}; use edge_index.long()")
    if edge_index.shape[1] == 0:
        raise ValueError(f"the graph is empty: {n} nodes and no edge in edge_index")
    low, high = int(edge_index.min()), int(edge_index.max())
    if low < 0 or high >= n:
        raise ValueError(
            f"edge_index points to node {low if low < 0 else high}, but x has {n} rows (nodes 0 to {n - 1}); "
            "remove those edges or add rows to x"
        )


def _given(data: Data, names: Sequence[str], count: int, what: str) -> Iterator[tuple[str, Tensor]]:
    """Those of the attributes that are there: each must be a tensor with one row for each node, or each edge."""
    for name in names:
        values = getattr(data, name, None)
        if values is None:
            continue
        if not isinstance(values, Tensor) or values.dim() == 0 or len(values) != count:
            found = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(f"{name} must be a tensor with one row for each of the {count} {what}, not {found}")
        yield name, values
