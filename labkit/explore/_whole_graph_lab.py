"""The whole-graph lab: damage graphs as GraphCL does, and see which of them are still told from the others."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit._default_type import in_float32
from labkit._graph_batch import GraphBatch
from labkit.explore._inputs import kinds_of, named, shades
from labkit.explore._layout import broken_line
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.models import GIN
from labkit.train import seeded
from labkit.views import drop_nodes, mask_attributes, perturb_edges, subgraph

_MOST_GRAPHS, _MOST_NODES = 300, 6000
_VIEWS = 24  # of the chosen graph, on the map
_OVERWRITTEN = "#bbbbbb"


@checked
def whole_graph_lab(
    graphs: GraphBatch,
    labels: Any = None,
    class_names: Any = None,
    encoder: Callable[[GraphBatch], Float[Tensor, "graphs dim"]] | None = None,
    graph: int = 0,
) -> Playground:
    """What GraphCL's four augmentations do to a graph, and whether a view is still nearest to the graph it is of.

    Three panels: one graph and what a view leaves of it; all graphs and 24 views of that one on the first two principal
    components of the embedding; and, for one view of every graph, the share whose nearest graph is their own, and the
    share whose nearest *other* graph is of their class. Distances are Euclidean in the whole embedding with
    standardised columns, as the SVM of the protocol sees it. The augmentations are applied in the sliders' order.

    Args:
        graphs: e.g. ``load("mutag").packed``; 2 to 300 graphs with up to 6 000 nodes in all.
        labels: a class for each graph. None: the third panel compares graphs only.
        class_names: names of the classes, for the mouse.
        encoder: graphs -> one row each, without gradient: ``run.method.embed``. None: a GIN with random weights.
        graph: which one is drawn at first.

    Raises:
        ValueError: too many or too few graphs, labels of another number, an encoder that gives other than finite rows.

    Example:
        >>> lab = labkit.explore.whole_graph_lab(packed, labels)
        >>> lab.set(drop_nodes=0.2, graph=3).values
    """
    if not 2 <= len(graphs) <= _MOST_GRAPHS or len(graphs.x) > _MOST_NODES:
        raise ValueError(f"the lab embeds all graphs at every step and takes 2 to {_MOST_GRAPHS} with up to "
                         f"{_MOST_NODES:,} nodes in all, not {len(graphs)} with {len(graphs.x):,}; hand in some of "
                         "them: graphs[:100]")  # fmt: skip
    if not 0 <= graph < len(graphs):
        raise ValueError(f"graph must lie between 0 and {len(graphs) - 1}, not {graph}")
    views = _WholeGraphs(graphs, labels, class_names, encoder)
    sliders = {
        "drop_nodes": Slider("nodes dropped", 0.2, 0.0, 0.9, 0.05),
        "perturb_edges": Slider("edges replaced", 0.0, 0.0, 0.9, 0.05),
        "subgraph": Slider("subgraph kept", 1.0, 0.1, 1.0, 0.05),
        "mask_attributes": Slider("attributes overwritten", 0.0, 0.0, 0.9, 0.05),
        "graph": Slider("graph", graph, 0, len(graphs) - 1, 1),
        "draw": Slider("draw", 0, 0, 20, 1),
    }
    return Playground(views, sliders, "A view of a graph, among graphs")


@in_float32()  # the same weights whatever torch's default type is
def _random_gin(x: Tensor) -> Callable[[GraphBatch], Tensor]:
    with seeded(0):
        return GIN(x.shape[1]).eval().to(x.dtype)


class _WholeGraphs:
    """Sliders' values -> the three panels; what does not depend on them is computed once."""

    def __init__(self, graphs: GraphBatch, labels: Any, class_names: Any, encoder: Any):
        self.graphs = graphs.to("cpu")
        kinds, classes = kinds_of(labels, len(graphs))
        names = named(classes, class_names)
        self.kinds = kinds if labels is not None else None
        self.colour = shades(kinds)
        self.text = [f"graph {i}, {name}" if labels is not None else f"graph {i}" for i, name in enumerate(names)]
        self.encoder = _random_gin(graphs.x) if encoder is None else encoder
        z = self._embedded(self.graphs)
        self.centre, self.scale = z.mean(dim=0), z.std(dim=0, correction=0)
        self.scale[self.scale <= 1e-6 * self.scale.max()] = torch.inf  # a column that tells nothing
        self.z = self._standardised(z)
        axes = torch.linalg.svd(self.z, full_matrices=False)[2][:2].T
        self.axes = torch.nn.functional.pad(axes, (0, 2 - axes.shape[1]))  # an embedding may have one column
        self.xy = (self.z @ self.axes).numpy()
        self.place = lru_cache(maxsize=len(graphs))(self._place)
        self.untouched = self._told(self.z)

    def _embedded(self, graphs: GraphBatch) -> Float[Tensor, "graphs dim"]:
        with torch.no_grad():
            z = self.encoder(graphs)
        if not isinstance(z, Tensor) or z.dim() != 2 or len(z) != len(graphs) or not z.isfinite().all():
            shape = list(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise ValueError(f"the encoder must give one finite row for each of {len(graphs)} graphs, not {shape}")
        return z.detach().cpu().double()

    def _standardised(self, z: Tensor) -> Tensor:
        return (z - self.centre) / self.scale

    def _place(self, graph: int) -> np.ndarray:
        """Where the nodes of a graph are drawn, [nodes, 2]."""
        import networkx as nx

        one = self.graphs[graph : graph + 1]
        whole = nx.Graph(one.edge_index.T.tolist())
        whole.add_nodes_from(range(len(one.x)))
        connected = len(whole) > 1 and nx.is_connected(whole)
        place = nx.kamada_kawai_layout(whole) if connected else nx.spring_layout(whole, seed=0)
        return np.array([place[node] for node in range(len(whole))]).reshape(-1, 2)

    def _viewed(self, graphs: GraphBatch, seed: int, strengths: dict[str, float]) -> tuple[GraphBatch, Tensor]:
        """One view of each graph, and which row of ``graphs`` each of its nodes was."""
        generator = torch.Generator().manual_seed(seed)
        rows = torch.arange(len(graphs.x), dtype=torch.float64)[:, None]
        seen = GraphBatch(torch.cat([graphs.x.double(), rows], dim=1), graphs.edge_index, graphs.ptr)
        if strengths["drop_nodes"]:
            seen = drop_nodes(seen, strengths["drop_nodes"], generator)
        if strengths["perturb_edges"]:
            seen = perturb_edges(seen, strengths["perturb_edges"], generator)
        if strengths["subgraph"] < 1:
            seen = subgraph(seen, strengths["subgraph"], generator)
        rows = seen.x[:, -1].long()
        seen = GraphBatch(seen.x[:, :-1].to(graphs.x.dtype), seen.edge_index, seen.ptr)
        if strengths["mask_attributes"]:
            seen = mask_attributes(seen, strengths["mask_attributes"], generator)
        return seen, rows

    def _told(self, views: Tensor) -> tuple[float, float]:
        """Of one view of each graph, in %: nearest to its own graph; nearest other graph of its class, NaN without."""
        distance = torch.cdist(views, self.z)
        own = _is_nearest(distance.diagonal(), distance).double().mean()
        if self.kinds is None:
            return 100 * float(own), np.nan
        other = distance.fill_diagonal_(torch.inf).argmin(dim=1)
        return 100 * float(own), 100 * float((self.kinds[other] == self.kinds).double().mean())

    def __call__(self, graph: int, draw: int, **strengths: float) -> list[Panel]:
        seen, rows = self._viewed(self.graphs, draw, strengths)
        several, _ = self._viewed(self.graphs[torch.full((_VIEWS,), int(graph))], draw, strengths)
        z = self._standardised(self._embedded(GraphBatch.cat([seen, several])))
        everywhere, here = z[: len(self.graphs)], z[len(self.graphs) :]
        return [self._graph(int(graph), seen, rows), self._map(int(graph), here), self._shares(everywhere)]

    def _graph(self, graph: int, seen: GraphBatch, rows: Tensor) -> Panel:
        whole, view, place = self.graphs[graph : graph + 1], seen[graph : graph + 1], self.place(graph)
        who = rows[seen.ptr[graph] : seen.ptr[graph + 1]] - self.graphs.ptr[graph]
        before, after = _pairs(whole.edge_index, len(place)), _pairs(who[view.edge_index], len(place))
        left = torch.isin(before, after)  # each direction by itself
        gone, new = before[~left], after[~torch.isin(after, before)]
        turned = before % len(place) * len(place) + before // len(place)
        one_way = left & ~torch.isin(turned, before[left])
        colour, width = [plot.FLOOR] * len(place), np.full(len(place), 4.0)
        for node, features in zip(who.tolist(), view.x, strict=True):
            one_hot = float(features.max()) == 1 and float(features.sum()) == 1
            colour[node] = plot.COLOURS[int(features.argmax()) % len(plot.COLOURS)] if one_hot else _OVERWRITTEN
            width[node] = 12
        text = [f"node {node}" + (", dropped" if size < 12 else "") for node, size in enumerate(width)]
        layers = [
            Layer("line", *self._lines(place, gone), plot.FLOOR, "gone", 1, 0.5, dash=True),
            Layer("line", *self._lines(place, before[one_way]), plot.INK, "one direction kept", 1.2, dash=True),
            Layer("line", *self._lines(place, before[left & ~one_way]), plot.INK, "kept", 1.8),
            Layer("line", *self._lines(place, new), plot.COLOURS[1], "new", 2),
            Layer("points", *place.T, colour, width=width, text=text),
        ]
        says = f"{len(who)} of {len(place)} nodes and {int(left.sum())} of {len(before)} directed edges are kept"
        return Panel(f"Graph {graph} and a view of it", layers, says=says)

    @staticmethod
    def _lines(place: np.ndarray, pairs: Tensor) -> tuple[np.ndarray, np.ndarray]:
        return broken_line(place[np.stack([pairs // len(place), pairs % len(place)], axis=1)])

    def _map(self, graph: int, here: Tensor) -> Panel:
        spot = (here @ self.axes).numpy()
        distance = torch.cdist(here, self.z)
        own = _is_nearest(distance[:, graph], distance)
        layers = [
            Layer("points", *self.xy.T, self.colour, width=6, opacity=0.6, text=self.text),
            Layer("points", *spot.T, plot.INK, f"{_VIEWS} views of graph {graph}", 5),
            Layer("points", *self.xy[[graph]].T, plot.COLOURS[1], f"graph {graph}", 12, text=[self.text[graph]]),
        ]
        says = f"{int(own.sum())} of {_VIEWS} views are nearest to it"
        drawn = np.concatenate([self.xy, spot])  # views may lie beyond all whole graphs
        middle = (drawn.min(axis=0) + drawn.max(axis=0)) / 2
        half = 1.1 * float(np.abs(drawn - middle).max()) + 1e-9
        limits = [(float(at) - half, float(at) + half) for at in middle]
        return Panel("All graphs, and its views", layers, says=says, x_range=limits[0], y_range=limits[1])

    def _shares(self, everywhere: Tensor) -> Panel:
        told = self._told(everywhere)
        names = ["its own graph", "of its class"][: 1 if self.kinds is None else 2]
        place = np.arange(len(names))
        ends = np.stack([[place - 0.4, place + 0.4], [self.untouched[: len(names)]] * 2], axis=-1).transpose(1, 0, 2)
        layers = [
            Layer("bars", place, told[: len(names)], plot.COLOURS[0]),
            Layer("line", *broken_line(ends), plot.INK, width=2.5, dash=True),
        ]
        says = f"own graph {told[0]:.0f} %"
        if self.kinds is not None:
            most = 100 * float(self.kinds.bincount().max()) / len(self.kinds)
            says += f", own class {told[1]:.0f} %; largest class {most:.0f} %"
        return Panel("What a view is nearest to", layers, "", "% of graphs (dashed: untouched)", y_range=(0, 105),
                     says=says, x_range=(-0.6, len(names) - 0.4), x_ticks=names)  # fmt: skip


def _is_nearest(own: Tensor, distance: Tensor) -> Tensor:
    """Whether nothing is nearer; graphs that are the same to the encoder are equally near, up to rounding."""
    return own <= distance.min(dim=1).values * (1 + 1e-9) + 1e-9


def _pairs(edges: Tensor, nodes: int) -> Tensor:
    """Directed edges, each once, as one number; loops are left out."""
    source, target = edges
    return (source * nodes + target)[source != target].unique()
