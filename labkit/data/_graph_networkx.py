"""A networkx graph as PyG ``Data``, and GraphML, which becomes one."""

import warnings
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import remove_self_loops

from labkit._checks import unknown
from labkit.data._graph_tables import classes, undirected

LABELS = ("y", "label", "class")  # names of a node attribute that is taken for the class
DEPTH = 64  # of nested XML elements; a graph needs five


def from_networkx(graph: Any, label: str | None = None, where: str = "the graph") -> Data:
    """A networkx graph as ``Data``; nodes are numbered in the graph's own order, ``node_names`` keeps their names.

    y: the node attribute named ``label``, by default the first of "y", "label", "class" that holds whole numbers (1.0
    too, but for "y"), text or booleans. x: the attribute "x" where it is a list of numbers, else every other attribute
    that is a number, one column each in the order of their names (``feature_names``). edge_weight: the edge attribute
    "weight". Attributes that hold no number are left out, and so are self-loops; an undirected edge stands for both
    directions.

    Raises:
        ValueError: a multigraph, no nodes, an attribute that some nodes or edges lack or that is a number at some
            nodes only, rows of x of unequal length.
    """
    if graph.is_multigraph():
        raise ValueError(f"{where} holds parallel edges; make it a plain graph first: networkx.Graph(graph)")
    if graph.number_of_nodes() == 0:
        raise ValueError(f"{where} is empty: it has no nodes")
    n, number = graph.number_of_nodes(), {node: i for i, node in enumerate(graph)}
    edge_index = torch.tensor([[number[a], number[b]] for a, b in graph.edges], dtype=torch.int64).reshape(-1, 2).T
    weights = _weights(graph, where)
    if graph.is_directed():
        edge_index, weight = remove_self_loops(edge_index, None if weights is None else torch.tensor(weights))
        data = Data(edge_index=edge_index.contiguous(), num_nodes=n)
        if weight is not None:
            data.edge_weight = weight
    else:
        data = undirected(edge_index, weights, n, where)
    data.node_names = tuple(graph)
    attributes = _attributes(graph)
    label = _label(attributes, label, where)
    if label is not None:
        values = _whole(attributes.pop(label), label, n, where)
        values = [value if isinstance(value, Integral | str) else int(value) for value in values]  # 1.0 is class 1
        data.y, data.class_names = classes(values)
    features = {
        name: values for name, values in attributes.items() if name not in LABELS or not _are_classes(name, values)
    }
    _features(data, features, n, where)  # a second attribute that names classes would give them away
    return data


def read_graphml(path: Path, label: str | None = None) -> Data:
    """The graph of a GraphML file, read by networkx after a look that nothing in it but elements and text is XML.

    Document types and entities are refused: they can make a small file large, or read other files. So are further and
    nested graphs, of which networkx would read the first only.
    """
    import networkx

    refuse_xml_tricks(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ports and untyped keys: left out, or taken for text
            graph = networkx.read_graphml(path)
    except (networkx.NetworkXError, SyntaxError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no GraphML that networkx can read ({type(error).__name__}: {error})") from error
    for kind, elements in (("node_default", graph.nodes), ("edge_default", graph.edges)):  # networkx leaves them aside
        for *_, attributes in elements(data=True):
            attributes |= {**graph.graph.get(kind, {}), **attributes}
    return from_networkx(graph, label, str(path))


def refuse_xml_tricks(path: Path) -> None:
    """Refuse XML with a document type, entities, elements nested deeper than any graph needs, or more graphs than one.

    Read in one pass.
    """

    def refuse(*_) -> None:
        raise ValueError(f"{path} was refused: it declares a document type or an entity, which no GraphML file needs")

    depth = graphs = 0

    def enter(name: str, _) -> None:
        nonlocal depth, graphs
        depth += 1
        graphs += name.rpartition(":")[2] == "graph"
        if depth > DEPTH:
            raise ValueError(f"{path} was refused: its elements are nested deeper than {DEPTH}")

    def leave(_) -> None:
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = enter, leave
    try:
        with open(path, "rb") as file:
            parser.ParseFile(file)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"{path} is no whole XML file ({error}); write it again") from error
    if graphs > 1:
        raise ValueError(f"{path} holds {graphs} graphs, side by side or nested, and one is read; write each to a file")


def _weights(graph: Any, where: str) -> list[float] | None:
    weights = [weight for *_, weight in graph.edges(data="weight")]
    given = sum(weight is not None for weight in weights)
    if not given:
        return None
    if given < len(weights):
        raise ValueError(f"{where} gives a weight to {given} of {len(weights)} edges; give one to all or none")
    if not all(isinstance(weight, Real) and np.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(f"the edge weights of {where} must be numbers of at least 0")
    return [float(weight) for weight in weights]


def _attributes(graph: Any) -> dict[str, dict[int, Any]]:
    """Name of a node attribute -> {number of the node: its value}."""
    found: dict[str, dict[int, Any]] = {}
    for i, (_, attributes) in enumerate(graph.nodes(data=True)):
        for name, value in attributes.items():
            found.setdefault(str(name), {})[i] = value.item() if isinstance(value, np.generic) else value
    return found


def _label(attributes: dict[str, dict[int, Any]], label: str | None, where: str) -> str | None:
    if label is None:
        return next((name for name in LABELS if name in attributes and _are_classes(name, attributes[name])), None)
    if label not in attributes:
        raise ValueError(f"{where}: " + unknown("node attribute", label, attributes))
    if not _are_classes(label, attributes[label]):
        raise ValueError(f"the node attribute {label!r} of {where} must hold whole numbers or text to be a class")
    return label


def _are_classes(name: str, values: dict[int, Any]) -> bool:
    coordinates = name == "y"  # of a layout, maybe: whole floats are no classes there
    return all(isinstance(value, Integral | str) or (_is_whole(value) and not coordinates) for value in values.values())


def _is_whole(value: Any) -> bool:
    return isinstance(value, Real) and float(value).is_integer()


def _whole(values: dict[int, Any], name: str, n: int, where: str) -> list:
    if len(values) < n:
        first = next(i for i in range(n) if i not in values)
        raise ValueError(f"{n - len(values)} of {n} nodes of {where} lack {name!r} (first: node number {first})")
    return [values[i] for i in range(n)]


def _are_numbers(values: dict[int, Any], name: str, where: str) -> bool:
    """Whether an attribute is a feature; one that is a number here and something else there is a mistake."""
    others = [node for node, value in values.items() if not isinstance(value, Real)]
    if others and len(others) < len(values):
        raise ValueError(
            f"the node attribute {name!r} of {where} is a number at some nodes and {values[others[0]]!r} at node "
            f"number {others[0]}; give all a number, or none"
        )
    return not others


def _features(data: Data, attributes: dict[str, dict[int, Any]], n: int, where: str) -> None:
    if "x" in attributes and not any(isinstance(value, Real | str) for value in attributes["x"].values()):
        rows = _whole(attributes["x"], "x", n, where)
        try:
            x = np.array([np.asarray(row, dtype=np.float32).reshape(-1) for row in rows])
        except (ValueError, TypeError) as error:
            raise ValueError(f"the node attribute 'x' of {where} must hold equally long lists of numbers") from error
    else:
        names = [name for name in sorted(attributes) if _are_numbers(attributes[name], name, where)]
        if not names:
            return
        x = np.array([_whole(attributes[name], name, n, where) for name in names], dtype=np.float32).T
        data.feature_names = tuple(names)
    data.x = torch.from_numpy(np.ascontiguousarray(x))
    del data.num_nodes  # x says it; two sources could disagree
