"""A recipe's method on a graph that is not in the catalogue: what is done to the graph, and how it is split."""

import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from labkit._arguments import checked
from labkit.data import catalogue, read_graph
from labkit.evaluate import Protocol, Split
from labkit.recipes._recipe import Recipe

_LABELS = "add them, or name the node attribute of a .graphml that holds the classes with --label NAME"


@checked(numbers=False)
def for_own_graph(
    recipe: Recipe, source: Any, features: str | None = None, label: str | None = None
) -> tuple[Recipe, Any]:
    """The recipe's method on a graph of one's own, randomly split 10/10/80 within each class, and that graph.

    A method that trains with labels gets one such split as masks, unless the file has masks; others five to be probed.
    What is done to the graph is printed: edges get both directions, weights are left out by all methods but node2vec,
    and features are scaled as in the recipe where that does not spoil them.

    Args:
        recipe: of a method for one graph.
        source: what ``data.read_graph`` reads: a PyG ``Data``, a networkx graph, or the path of an .npz, .safetensors
            or .graphml, or of an edge list with tables beside it.
        features: for a graph without any: "constant" (a column of ones) or "degree" (degree of a node, and least,
            greatest, mean and spread of its neighbours': PyG's ``LocalDegreeProfile``).
        label: the node attribute that holds the classes, of GraphML and networkx.

    Raises:
        ValueError: the recipe is not for graphs, features where the graph has some or none where it lacks them,
            features that are all zero, not one label a node, or what ``data.read_graph`` refuses.
    """
    known = catalogue()
    if recipe.data in known and known[recipe.data].kind != "graph":
        kind = known[recipe.data].kind
        raise ValueError(f"{recipe.name} is a recipe for {kind}, not for one graph, which is what --data takes")
    is_file = isinstance(source, str | Path)
    name, called = (Path(source).stem, source) if is_file else ("mine", "the graph")
    graph = read_graph(source, partial(_with_features, features, called), label=label)
    if getattr(graph, "y", None) is None:
        raise ValueError(f"{called} holds no labels: there is nothing to score an embedding by; {_LABELS}")
    if graph.y.dim() != 1:
        raise ValueError(f"{called} holds labels y of shape {list(graph.y.shape)}; give one class for each node")
    if not graph.x.any():
        raise ValueError(
            f"every feature of {called} is 0; leave x out and pass --features constant or --features degree"
        )
    if graph.get("edge_weight") is not None and recipe.name.split("/")[0] != "node2vec":
        print("edge weights are read by node2vec only: here every edge counts alike")
    graph = _scaled(recipe, _undirected(graph))
    protocols = {"random": _OfEachClass.random(0.1, 0.1, 0.8, repeats=5)}
    usual = next(iter(recipe.protocols.values()))
    if isinstance(usual, Protocol) and usual.sees_labels:
        protocols = {"given": Protocol.public("argmax")}
        if getattr(graph, "train_mask", None) is None:
            graph = _with_masks(graph)
    own = replace(recipe, name=f"{recipe.name.split('/')[0]}/{name}", protocols=protocols, paper={})
    return own, graph


class _OfEachClass(Protocol):
    """Random splits that give each part its share of every class, and the train part a node at least.

    A graph of one's own may be small, or a class of it rare: a plain random split then trains without that class.
    """

    def split(self, y, source=None, seed=0):
        generator, drawn = torch.Generator().manual_seed(seed), []
        for label in y.unique():
            rows = (y == label).nonzero().flatten()
            n = len(rows)
            train, validation = (max(1, round(share * n)) for share in self.shares[:2])
            sizes = [train, validation, n - train - validation] if n > 2 else [1, 0, n - 1]
            orders = torch.stack([rows[torch.randperm(n, generator=generator)] for _ in range(self.repeats)])
            drawn.append(orders.split(sizes, dim=1))
        parts = [torch.cat(part, dim=1) for part in zip(*drawn, strict=True)]
        if not parts[1].numel():
            raise ValueError("no class has three nodes, to train on, to choose on and to test on: merge classes of y")
        return Split(*parts, name=f"random {'/'.join(f'{100 * share:g}' for share in self.shares)} % of each class")


def _with_masks(graph):
    """The graph with one random split, always the same, as train_mask, val_mask and test_mask."""
    from torch_geometric.utils import index_to_mask

    graph = copy.copy(graph)
    split = _OfEachClass.random(0.1, 0.1, 0.8).split(graph.y)
    for name, rows in (("train_mask", split.train), ("val_mask", split.validation), ("test_mask", split.test)):
        graph[name] = index_to_mask(rows[0], len(graph.y))
    return graph


def _with_features(name: str | None, called: str | Path, graph):
    """The graph itself if it has features, or with those asked for by name; never with others in silence."""
    from torch_geometric.transforms import Constant, LocalDegreeProfile

    if name is None and graph.x is None:
        labels = "" if getattr(graph, "y", None) is not None else f". Nor does it hold labels: {_LABELS}"
        raise ValueError(
            f"{called} holds no node features; add them, or pass --features constant or --features degree{labels}"
        )
    if name is None:
        return graph
    if graph.x is not None:
        raise ValueError(f"--features {name}: {called} has {graph.num_features} features a node of its own")
    return Constant()(graph) if name == "constant" else LocalDegreeProfile()(_undirected(graph))


def _undirected(graph):
    """The graph with both directions of each edge: cores, PageRank and the convolutions here take them for granted."""
    from torch_geometric.transforms import ToUndirected
    from torch_geometric.utils import coalesce, is_undirected

    weight = graph.get("edge_weight")
    edges = coalesce(graph.edge_index) if weight is None else coalesce(graph.edge_index, weight, reduce="max")
    if is_undirected(*([edges] if weight is None else edges), num_nodes=graph.num_nodes):
        return graph
    print("the graph is directed: every edge is taken in both directions, with the larger weight where both have one")
    return ToUndirected(reduce="max")(graph)


def _scaled(recipe: Recipe, graph):
    """The graph through the recipe's transform, but for ``NormalizeFeatures`` where it would do more than its name.

    It takes the least value off first: standardised features end up nearly alike, a column of ones as zeros.
    """
    from torch_geometric.transforms import NormalizeFeatures

    transform = recipe.load_options.get("transform")
    if transform is None:
        return graph
    name = getattr(transform, "__name__", type(transform).__name__)
    if isinstance(transform, NormalizeFeatures) and graph.x.min() != 0:
        print(f"features stay as they are: {name}, which the recipe has, is for counts; the least here is not 0")
        return graph
    print(f"features are scaled by {name}, as in the recipe")
    return transform(graph)
