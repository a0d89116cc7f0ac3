"""A data set as training and evaluation see it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from labkit import evaluate
from labkit.data import ImageSet
from labkit.evaluate import CrossValidation, Protocol, Score
from labkit.train import Minibatches


@dataclass(frozen=True)
class Material:
    """A data set as training and evaluation see it: what is trained on, what is embedded, what is known of it.

    One graph, whose items are nodes; images; or a set of graphs, whose items are graphs.
    """

    dataset: Any

    def __post_init__(self):
        kinds = ("images", "labels"), ("graphs", "y"), ("x", "edge_index", "y")
        if not any(all(hasattr(self.dataset, name) for name in kind) for kind in kinds):
            found = type(self.dataset).__name__
            raise TypeError(f"dataset must be a graph with x, y and edge_index, an ImageSet or a GraphSet, not {found}")

    @cached_property
    def _seen(self) -> "_OneGraph | _Images | _Graphs":
        if isinstance(self.dataset, ImageSet):
            return _Images(self.dataset)
        from labkit.data import GraphSet  # PyG's import takes seconds: not for images

        return (_Graphs if isinstance(self.dataset, GraphSet) else _OneGraph)(self.dataset)

    @cached_property
    def labels(self) -> Tensor:
        """The class of every item."""
        return self._seen.labels()

    @cached_property
    def items(self):
        """What ``method.embed`` gets: the graph, all images, or all graphs packed."""
        return self._seen.items()

    @cached_property
    def raw(self) -> Tensor:
        """Items without any method: features of nodes, pixels, or node features summed over each graph."""
        return self._seen.raw()

    def batches(self, size: int | None):
        """What ``fit`` iterates: the graph, minibatches of the training images, or minibatches of all graphs."""
        return self._seen.batches(size)

    def score(self, protocol: Protocol | CrossValidation, z: Tensor) -> Score:
        """The score of an embedding [items, dim] of this data set."""
        return protocol.score(z.cpu(), self.labels, self.dataset)

    def floors(self, protocol: Protocol | CrossValidation) -> dict[str, Score]:
        """The same probe with nothing to train: raw features; for a graph A²X; for a set of graphs how many nodes and
        edges each has, and a random GIN."""
        return self._seen.floors(protocol, self)


class _OneGraph:
    def __init__(self, graph):
        self.graph = graph

    def labels(self):
        return self.graph.y

    def items(self):
        return self.graph

    def raw(self):
        return self.graph.x

    def batches(self, _):
        return [self.graph]

    def floors(self, protocol, material):
        return evaluate.floors(material.raw, self.graph.y, self.graph, protocol, edge_index=self.graph.edge_index)


class _Images:
    def __init__(self, images: ImageSet):
        self.images = images

    def labels(self):
        return self.images.labels

    def items(self):
        return self.images.images

    def raw(self):
        return self.images.images.flatten(1).float() / 255

    def batches(self, size):
        images = self.images.images[self.images.splits["train"]]
        return Minibatches(images, min(size or 256, len(images)))

    def floors(self, protocol, material):
        return evaluate.floors(material.raw, self.images.labels, self.images, protocol)


class _Graphs:
    def __init__(self, graphs):
        self.graphs = graphs

    def labels(self):
        return self.graphs.y

    def items(self):
        return self.graphs.packed

    def raw(self):
        return self.items().pool(self.items().x)

    def batches(self, size):
        """Every graph, as the papers train: labels are for the probe alone. The last, smaller batch stays."""
        return Minibatches(self.items(), min(size or 128, len(self.graphs)), drop_last=False)

    def floors(self, protocol, material):
        return evaluate.graph_set_floors(self.items(), material.labels, self.graphs, protocol)
