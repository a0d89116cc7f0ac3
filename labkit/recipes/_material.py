"""A data set as training and evaluation see it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from labkit import evaluate
from labkit.evaluate import CrossValidation, Protocol, Score
from labkit.train import Minibatches


@dataclass(frozen=True)
class Material:
    """A data set as training and evaluation see it: what is trained on, what is embedded, what is known of it.

    One graph, whose items are nodes; images; or a set of graphs, whose items are graphs.
    """

    dataset: Any

    def __post_init__(self):
        kinds = {"images": ("images", "labels"), "graphs": ("graphs", "y"), "graph": ("x", "edge_index", "y")}
        known = [kind for kind, names in kinds.items() if all(hasattr(self.dataset, name) for name in names)]
        if not known:
            found = type(self.dataset).__name__
            raise TypeError(f"dataset must be a graph with x, y and edge_index, an ImageSet or a GraphSet, not {found}")
        object.__setattr__(self, "_kind", known[0])

    @cached_property
    def labels(self) -> Tensor:
        """The class of every item."""
        return self.dataset.labels if self._kind == "images" else self.dataset.y

    @cached_property
    def items(self):
        """What ``method.embed`` gets: the graph, all images, or all graphs packed."""
        if self._kind == "graph":
            return self.dataset
        return self.dataset.images if self._kind == "images" else self.dataset.packed

    @cached_property
    def raw(self) -> Tensor:
        """Items without any method: features of nodes, pixels, or node features summed over each graph."""
        if self._kind == "images":
            return self.items.flatten(1).float() / 255
        return self.items.x if self._kind == "graph" else self.items.pool(self.items.x)

    def batches(self, size: int | None):
        """What ``fit`` iterates: the graph, minibatches of the training images, or minibatches of all graphs."""
        if self._kind == "graph":
            return [self.dataset]
        if self._kind == "graphs":  # as the papers train: labels are for the probe alone; the last, smaller batch stays
            return Minibatches(self.items, min(size or 128, len(self.items)), drop_last=False)
        images = self.items[self.dataset.splits["train"]]
        return Minibatches(images, min(size or 256, len(images)))

    def score(self, protocol: Protocol | CrossValidation, z: Tensor) -> Score:
        """The score of an embedding [items, dim] of this data set."""
        return protocol.score(z.cpu(), self.labels, self.dataset)

    def floors(self, protocol: Protocol | CrossValidation) -> dict[str, Score]:
        """The same probe with nothing to train: raw features; for a graph A²X; for a set of graphs how many nodes and
        edges each has, and a random GIN."""
        if self._kind == "graphs":
            return evaluate.graph_set_floors(self.items, self.labels, self.dataset, protocol)
        edges = self.dataset.edge_index if self._kind == "graph" else None
        return evaluate.floors(self.raw, self.labels, self.dataset, protocol, edge_index=edges)
