"""The view lab for graphs: drop edges, mask features, diffuse, and see what an encoder is then shown."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_counts, require_finite
from labkit.explore._inputs import kinds_of, named, shades
from labkit.explore._layout import broken_line, kept, nearest, principal
from labkit.explore._maps import procrustes
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.models import PPR, diffusion_matrix, propagation_matrix
from labkit.views import drop_edges, mask_feature_columns

_MOST_NODES = 400
_GREY, _VIEW = plot.FLOOR, plot.COLOURS[0]


@checked
def graph_view_lab(data: Any, class_names: Any = None, k: int = 10) -> Playground:
    """What a view does to a graph, its spectrum and an embedding, as you drag.

    An edge drop, a feature mask (both as GRACE has them) and a diffusion (personalised PageRank, as MVGRL has it) are
    applied in this order. The embedding is the first two principal components of diffused features, rows scaled to
    length 1, with nothing trained; it is turned onto that of the untouched graph (orthogonal Procrustes), so that what
    moves is what changed.

    Args:
        data: PyG ``Data`` with x [nodes, features], edge_index and, for colours, y; up to 400 nodes.
        class_names: names of the classes in y.
        k: neighbours that are compared.

    Raises:
        ValueError: more than 400 nodes, no features, no edges.

    Example:
        >>> lab = labkit.explore.graph_view_lab(labkit.data.stochastic_block_model([30, 30, 30]))
        >>> lab.set(edge_drop=0.4, alpha=0.1).values
    """
    if not isinstance(getattr(data, "num_nodes", None), int):
        raise TypeError(f"data must be a torch_geometric.data.Data, not {type(data).__name__}")
    if data.num_nodes > _MOST_NODES:
        raise ValueError(
            f"the view lab redraws at every step and takes up to {_MOST_NODES} nodes, not {data.num_nodes}"
        )
    if getattr(data, "x", None) is None or not data.edge_index.numel():
        raise ValueError("the view lab needs features x [nodes, features] and at least one edge")
    require_finite("x", data.x)
    require_counts(k=k)
    sliders = {
        "edge_drop": Slider("edges dropped", 0.2, 0.0, 0.95, 0.05),
        "feature_mask": Slider("feature columns masked", 0.3, 0.0, 0.95, 0.05),
        "alpha": Slider("diffusion α (1: none)", 0.2, 0.05, 1.0, 0.05),
        "draw": Slider("draw", 0, 0, 20, 1),
    }
    return Playground(_GraphViews(data, class_names, k), sliders, "A view of a graph")


class _GraphViews:
    """Sliders' values -> the three panels; what does not depend on them is computed once."""

    def __init__(self, data: Any, class_names: Any, k: int):
        import networkx as nx

        edges = data.edge_index.sort(dim=0).values.unique(dim=1)  # each once, in whatever directions it was given
        self.edges, self.nodes = edges[:, edges[0] < edges[1]], data.num_nodes
        self.x, self.k = data.x.float(), min(k, max(1, data.num_nodes - 1))
        kinds, labels = kinds_of(getattr(data, "y", None), self.nodes)
        self.colour = shades(kinds)
        self.text = [f"node {node}, {name}" for node, name in enumerate(named(labels, class_names))]
        graph = nx.Graph(self.edges.T.tolist())
        graph.add_nodes_from(range(self.nodes))
        place = nx.spring_layout(graph, seed=0)
        self.place = np.array([place[node] for node in range(self.nodes)])
        convolution = self._convolution(self.edges)
        self.spectrum = torch.linalg.eigvalsh(convolution).flip(0)
        z = normalize(convolution @ self.x, dim=1)
        self.before, self.near = principal(z), nearest(z, self.k)

    def _convolution(self, edges: Tensor) -> Tensor:
        return propagation_matrix(_both(edges), self.nodes).to_dense().to(self.x.dtype)

    def __call__(self, edge_drop: float, feature_mask: float, alpha: float, draw: int) -> list[Panel]:
        generator = torch.Generator().manual_seed(draw)
        edges = drop_edges(self.edges, edge_drop, generator)
        x = mask_feature_columns(self.x, feature_mask, generator)
        operator = self._convolution(edges)  # what features are multiplied by
        eigenvalues = torch.linalg.eigvalsh(operator).flip(0)
        after = PPR(alpha)(eigenvalues) * eigenvalues
        if alpha < 1:
            operator = diffusion_matrix(_both(edges), self.nodes, PPR(alpha)) @ operator
        z = normalize(operator @ x, dim=1)
        return [self._graph(edges, operator), self._spectra(after), self._embedding(z)]

    def _graph(self, edges: Tensor, operator: Tensor) -> Panel:
        spread = operator.fill_diagonal_(0).triu() + operator.tril().T
        linked = torch.zeros_like(spread)
        linked[self.edges[0], self.edges[1]] = 1
        spread = spread * (1 - linked)
        strongest = spread.flatten().topk(min(edges.shape[1], spread.numel())).indices
        strongest = strongest[spread.flatten()[strongest] > 1e-4]
        new = torch.stack([strongest // self.nodes, strongest % self.nodes])
        layers = [
            Layer("line", *_segments(self.place, self.edges), _GREY, "dropped", 1, 0.35),
            Layer("line", *_segments(self.place, new), plot.COLOURS[1], "new, by diffusion", 1, 0.5),
            Layer("line", *_segments(self.place, edges), plot.INK, "kept", 1.4, 0.8),
            Layer("points", *self.place.T, self.colour, width=9, text=self.text),
        ]
        says = f"{edges.shape[1]} of {self.edges.shape[1]} edges kept"
        return Panel("The graph that the encoder sees", layers, says=says)

    def _spectra(self, after: Tensor) -> Panel:
        order = np.arange(1, self.nodes + 1)
        layers = [
            Layer("line", order, self.spectrum, _GREY, "untouched graph", 2, dash=True),
            Layer("line", order, after.sort(descending=True).values, _VIEW, "this view", 2.5),
        ]
        weight = after.clamp(min=0)
        effective = float(weight.sum() / weight.max().clamp(min=1e-12))
        says = f"{effective:.1f} eigenvectors in effect (sum over largest)"
        return Panel("What a convolution lets through", layers, "eigenvector", "eigenvalue", says=says,
                     y_range=(min(-0.6, float(self.spectrum.min()) - 0.05), 1.05))  # fmt: skip

    def _embedding(self, z: Tensor) -> Panel:
        after = procrustes(principal(z), self.before)[0]
        moved = np.stack([self.before, after], axis=1)
        layers = [
            Layer("line", *broken_line(moved), _GREY, "moved", 1, 0.4),
            Layer("points", *after.T, self.colour, width=9, text=self.text),
        ]
        says = f"{100 * kept(z, self.near):.0f} % of {self.k} nearest neighbours are the same"
        return Panel("The embedding, nothing trained", layers, says=says)


def _both(edges: Tensor) -> Tensor:
    return torch.cat([edges, edges.flip(0)], dim=1)


def _segments(place: np.ndarray, edges: Tensor) -> tuple[np.ndarray, np.ndarray]:
    return broken_line(place[edges.T.numpy()])
