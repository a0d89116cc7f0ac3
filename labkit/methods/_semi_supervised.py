"""Node classifiers trained with labels and a self-supervised loss, scored by what they themselves predict."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector

from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_known
from labkit.data import check_graph
from labkit.methods._method import Method, inference
from labkit.models import GraphConvolution, dropout, propagation_matrix, sparse_if_faster


@checked(numbers=False)
class Classifier(Method):
    """A graph network that sees the labels of the train nodes: SuperGAT, SelfTask, a plain GCN or GAT.

    A subclass writes ``encode`` and ``forward``; ``forward`` adds its weighted pretext loss to
    :meth:`supervised_loss`. ``embed`` gives logits, to be scored under ``Protocol.public("argmax")``.

    Args:
        select: the weights that ``embed`` and ``hidden`` use. "validation": those of the epoch with the best accuracy
            on the validation nodes, the last of equally good ones, as in the papers' released code; this looks at the
            validation labels once an epoch and never at the test labels. "last": those of the last epoch; take it for
            training on :class:`~labkit.train.Subgraphs`, whose validation nodes are others in every step.

    Cost: "validation" adds one forward pass without gradients to every step.
    """

    def __init__(self, select: str = "validation"):
        super().__init__()
        require_known("way to select an epoch", select, ("validation", "last"))
        self.select = select
        self.register_buffer("best", torch.tensor(-1.0))  # validation accuracy of the weights that are kept
        self.register_buffer("kept", torch.zeros(0))
        self._data = None

    def encode(self, data) -> tuple[Float[Tensor, "nodes classes"], Float[Tensor, "nodes dim"]]:
        """Logits, and the hidden layer they are computed from."""
        raise TypeError(f"{type(self).__name__} has no encode(data) that returns logits and a hidden layer")

    def supervised_loss(self, logits: Float[Tensor, "nodes classes"], data) -> Float[Tensor, ""]:
        """Cross-entropy of the train nodes; 0 on a subgraph that has none."""
        self._data = data
        total = F.cross_entropy(logits[data.train_mask], data.y[data.train_mask], reduction="sum")
        return total / data.train_mask.sum().clamp(min=1)

    def after_step(self) -> None:
        if self.select == "last":
            return
        logits, mask = self._now(self._data)[0], self._data.val_mask
        accuracy = (logits[mask].argmax(dim=1) == self._data.y[mask]).float().mean()
        if accuracy >= self.best:
            self.best.copy_(accuracy)
            self.kept = parameters_to_vector(self.parameters()).detach()

    @inference
    def embed(self, data) -> Float[Tensor, "nodes classes"]:
        return self._at_best(data)[0]

    @inference
    def hidden(self, data) -> Float[Tensor, "nodes dim"]:
        """The layer before the logits, with the same weights as ``embed``: what is worth looking at."""
        return self._at_best(data)[1]

    @inference
    def _now(self, data):
        return self.encode(data)

    def _at_best(self, data):
        if not len(self.kept):
            return self.encode(data)
        last = parameters_to_vector(self.parameters())
        self._put(self.kept)
        try:
            return self.encode(data)
        finally:
            self._put(last)

    def _put(self, values: Float[Tensor, " weights"]) -> None:
        parameters = list(self.parameters())
        for parameter, part in zip(parameters, values.split([p.numel() for p in parameters]), strict=True):
            parameter.data.copy_(part.view_as(parameter))

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if f"{prefix}kept" in state_dict:  # empty until the first step
            self.kept = state_dict[f"{prefix}kept"].to(self.kept)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def check(self, data, features: int | None = None, classes: int | None = None) -> None:
        check_graph(data, features)
        masks = ["train_mask"] + ["val_mask"] * (self.select == "validation")
        for name in ("y", *masks):
            if getattr(data, name, None) is None:
                raise ValueError(
                    f"{type(self).__name__} learns from labels: the graph needs {name}; masks come with the public "
                    "split of a data set, or from torch_geometric.transforms.RandomNodeSplit()"
                )
        if data.y.dim() != 1 or data.y.dtype != torch.int64:
            raise ValueError(f"y must hold one int64 class for each node, not {data.y.dtype} of shape "
                             f"{list(data.y.shape)}")  # fmt: skip
        for name in masks:
            if data[name].dim() != 1:
                raise ValueError(
                    f"{name} must be one truth value for each node, not of shape {list(data[name].shape)}; of several "
                    f"splits choose one: data.{name}[:, 0]"
                )
            if not data[name].any():
                raise ValueError(f"{name} marks no node; give it at least one")
            if data.y[data[name]].min() < 0:
                raise ValueError(f"{name} marks nodes whose class is below 0")
            if classes is not None and (most := int(data.y[data[name]].max())) >= classes:
                raise ValueError(f"there are {classes} classes, from 0, but {name} marks a node of class {most}")


@checked(numbers=False)
class GCNClassifier(Classifier):
    """Two graph convolutions trained with labels alone (Kipf & Welling. ICLR 2017).

    Args:
        dim_in, classes: features a node, classes.
        hidden: width of the hidden layer.
        dropout: of the hidden layer.
        select: see :class:`Classifier`.
    """

    def __init__(self, dim_in: int, classes: int, hidden: int = 128, dropout: float = 0.5, select: str = "validation"):
        super().__init__(select)
        require_between("dropout", dropout, 0, 1)
        require_counts(dim_in=dim_in, classes=classes, hidden=hidden)
        self.first, self.second = GraphConvolution(dim_in, hidden), GraphConvolution(hidden, classes)
        self.dropout = dropout

    def check(self, data) -> None:
        super().check(data, self.first.weight.shape[0], self.second.bias.numel())

    def encode(self, data):
        return self.classify(data.x, data.edge_index)

    def classify(self, x: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and hidden layer for these features and edges."""
        propagation = propagation_matrix(edge_index, len(x))
        hidden = dropout(self.first(sparse_if_faster(x), propagation).relu(), self.dropout, self.training)
        return self.second(hidden, propagation), hidden

    def forward(self, data) -> Float[Tensor, ""]:
        return self.supervised_loss(self.encode(data)[0], data)
