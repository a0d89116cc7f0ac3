"""The walk lab: lean a walk by p and q, and see where it leads, how far it gets, and what its vectors make of that."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_edges
from labkit.explore._layout import broken_line, kept, nearest, principal
from labkit.explore._maps import procrustes
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory.walks import WalkChain, skipgram_vectors

_MOST_NODES = 200
_LENGTH, _DIM, _NEIGHBOURS = 40, 16, 10
_STEPS = 20  # of the second panel


@checked
def walk_lab(data: Any, names: Any = None, start: int = 0, window: int = 10) -> Playground:
    """What p and q do to node2vec's walks, and what they do to its vectors; exact, without draws.

    Three panels: how often the first steps from one node lead where; how many edges away a walk is after each step; and
    the vectors that skip-gram would factorise from walks of 40 nodes (:func:`labkit.theory.walks.skipgram_vectors`, 16
    dimensions, rows scaled to length 1; drawn are the first two principal components, turned onto those of p = q = 1).

    Args:
        data: PyG ``Data`` with an edge_index; up to 200 nodes. Directions, weights and repeated edges are ignored.
        names: one for each node, for the mouse. None: numbers.
        start: the node that the first two panels begin at.
        window: of skip-gram.

    Raises:
        ValueError: more than 200 nodes, no edge at the start, names of another number.

    Example:
        >>> novel = labkit.data.load("les-miserables")
        >>> lab = labkit.explore.walk_lab(novel, novel.node_names, start=11).set(log_q=2.0)
    """
    nodes = getattr(data, "num_nodes", None)
    if not isinstance(nodes, int):
        raise TypeError(f"data must be a torch_geometric.data.Data, not {type(data).__name__}")
    if nodes > _MOST_NODES:
        raise ValueError(f"the walk lab redraws at every step and takes up to {_MOST_NODES} nodes, not {nodes}")
    if getattr(data, "edge_index", None) is None:
        raise ValueError("the walk lab needs edges to walk on: data has no edge_index")
    require_edges(data.edge_index, nodes)
    require_counts(window=window)
    start = int(start)  # a NumPy number makes no slider of whole numbers
    require_between("start", start, 0, nodes - 1)
    if not isinstance(names, Sequence | np.ndarray | None):
        raise TypeError(f"names must be a sequence with one name for each node, not {type(names).__name__}")
    names = [f"node {node}" for node in range(nodes)] if names is None else [str(name) for name in names]
    if len(names) != nodes:
        raise ValueError(f"names must have one name for each of the {nodes} nodes, not {len(names)}")
    walks = _Walks(data.edge_index, names, start, window)
    sliders = {
        "log_p": Slider("log₂ p (above 0: seldom back)", 0.0, -4.0, 4.0, 0.5),
        "log_q": Slider("log₂ q (above 0: stay near)", 0.0, -4.0, 4.0, 0.5),
        "steps": Slider("steps", 5, 1, _STEPS, 1),
        "start": Slider("start, by number", start, 0, nodes - 1, 1),
    }
    return Playground(walks, sliders, "A walk that leans")


class _Walks:
    """Sliders' values -> the three panels; what does not depend on them is computed once."""

    def __init__(self, edge_index: Tensor, names: list[str], start: int, window: int):
        import networkx as nx
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        graph = nx.Graph(edge_index.T.tolist())
        graph.add_nodes_from(range(len(names)))
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        if not graph.degree(start):
            raise ValueError(f"start={start} has no edge to walk on")
        self.names, self.window = names, window
        place = nx.spring_layout(graph, seed=7, k=0.3)
        self.place = np.array([place[node] for node in range(len(names))])
        edges = torch.tensor(list(graph.edges)).T
        self.edges = torch.cat([edges, edges.flip(0)], dim=1)
        self.segments = broken_line(self.place[edges.T.numpy()])
        self.degree = np.array([graph.degree(node) for node in range(len(names))])
        self.hops = np.full((len(names), len(names)), np.nan)  # between parts: no number
        for node, reached in nx.all_pairs_shortest_path_length(graph):
            self.hops[node, list(reached)] = list(reached.values())
        shades = np.log1p(self.degree) / max(np.log1p(self.degree).max(), 1e-12)
        self.colour = [to_hex(shade) for shade in colormaps["cividis_r"](shades)]
        self.plain = self._chain(1.0, 1.0)
        vectors = self._vectors(self.plain)
        self.before, self.near = principal(vectors), nearest(vectors, min(_NEIGHBOURS, len(names) - 1))

    def _chain(self, p: float, q: float) -> WalkChain:
        return WalkChain(self.edges, len(self.names), p, q)

    def _vectors(self, chain: WalkChain) -> Float[Tensor, "nodes dim"]:
        return normalize(skipgram_vectors(chain.pairs(self.window, _LENGTH), min(_DIM, len(self.names))), dim=1)

    def __call__(self, log_p: float, log_q: float, steps: int, start: int) -> list[Panel]:
        chain = self._chain(2.0**log_p, 2.0**log_q)
        leaning, plain = (walk.visits(int(start), _STEPS).numpy() for walk in (chain, self.plain))
        return [self._where(leaning, plain, steps, start), self._how_far(leaning, plain, start), self._made_of(chain)]

    def _where(self, leaning: np.ndarray, plain: np.ndarray, steps: int, start: int) -> Panel:
        share = leaning[1 : steps + 1].mean(axis=0)
        near = self.hops[start] <= 1
        stays, would = (100 * seen[1 : steps + 1, near].sum() / steps for seen in (leaning, plain))
        text = [f"{name}: {100 * of:.1f} % of the steps" for name, of in zip(self.names, share, strict=True)]
        layers = [
            Layer("line", *self.segments, plot.FLOOR, width=1, opacity=0.5),
            Layer("points", *self.place.T, plot.COLOURS[0], width=4 + 40 * np.sqrt(share), text=text),
            Layer("points", *self.place[[start]].T, plot.COLOURS[1], "the start", 9, text=[self.names[start]]),
        ]
        of = f"of {steps} steps stay with {self.names[start]} and neighbours"
        says = f"{stays:.0f} % {of} ({would:.0f} % if p = q = 1)"
        if not self.degree[start]:
            says = f"no edge leads from {self.names[start]}: nobody walks"
        return Panel(f"Where walks from {self.names[start]} lead", layers, says=says)

    def _how_far(self, leaning: np.ndarray, plain: np.ndarray, start: int) -> Panel:
        hops = np.nan_to_num(self.hops[start])  # what no walk reaches has no chance
        far, would = leaning @ hops, plain @ hops
        order = np.arange(_STEPS + 1)
        layers = [
            Layer("line", order, would, plot.FLOOR, "p = q = 1", dash=True),
            Layer("line", order, far, plot.COLOURS[0], "these walks", 2.5),
        ]
        back, would_be = (f"{100 * seen[2, start]:.0f} %" for seen in (leaning, plain))
        says = f"{back} are back after two steps ({would_be} if p = q = 1)" if self.degree[start] else ""
        return Panel("How far they get", layers, "step", "edges from the start, on average", says=says,
                     y_range=(0, float(max(1.5 * would.max(), 1.05 * far.max()))))  # fmt: skip

    def _made_of(self, chain: WalkChain) -> Panel:
        vectors = self._vectors(chain)
        after = procrustes(principal(vectors), self.before)[0]
        text = [f"{name}, {degree} neighbours" for name, degree in zip(self.names, self.degree, strict=True)]
        layers = [
            Layer("line", *broken_line(np.stack([self.before, after], axis=1)), plot.FLOOR, "moved", 1, 0.5),
            Layer("points", *after.T, self.colour, "few (light) to many neighbours", width=9, text=text),
        ]
        same, neighbours = kept(vectors, self.near), self.near.shape[1]
        says = f"{100 * same:.0f} % of {neighbours} nearest neighbours are those of p = q = 1"
        return Panel("Vectors of skip-gram, in closed form", layers, says=says)
