"""The homophily lab: how often neighbours agree, how many there are, and when their mean helps or harms."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit.explore._inputs import shades
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.explore._probe import auc

_STEPS = 6  # of the second panel
_BINS = 40  # of the third panel


@checked
def homophily_lab(draw: Callable[[float, float, int], Any]) -> Playground:
    """When a graph is worth having, and what attention would have to find out; nothing is trained.

    Every node takes the mean of itself and its neighbours, again and again. With a sharpness β above 0 a neighbour j of
    i counts exp(−β |x_i − x_j|² / 2), like attention that can only see the features: β = 0 is the plain mean. Three
    panels: the test nodes after so many steps; how many of them are nearest to their class's mean over the training
    nodes, after each number of steps; and how far apart the two ends of an edge are in the features, within and between
    classes.

    Args:
        draw: (homophily, degree, seed) -> PyG ``Data`` with x [nodes, 2], y, edge_index, train_mask and test_mask, in
            some 10 ms, e.g. ``labkit.papers.graph._supergat_grid.random_partition_graph``.

    Raises:
        ValueError: features that do not lie in a plane, labels or masks that are missing.

    Example:
        >>> def draw(homophily, degree, seed):
        ...     p = homophily * degree / 100, (1 - homophily) * degree / 100
        ...     graph = labkit.data.stochastic_block_model([100, 100], *p, features=2, signal=1.0, seed=seed)
        ...     graph.train_mask = torch.arange(200) % 10 == 0
        ...     graph.test_mask = ~graph.train_mask
        ...     return graph
        >>> lab = labkit.explore.homophily_lab(draw).set(homophily=0.9)
    """
    sliders = {
        "homophily": Slider("homophily", 0.7, 0.0, 1.0, 0.05),
        "degree": Slider("neighbours, on average", 10.0, 1.0, 40.0, 1.0),
        "steps": Slider("steps", 2, 0, _STEPS, 1),
        "sharpness": Slider("sharpness β (0: plain mean)", 0.0, 0.0, 8.0, 0.25),
        "draw": Slider("draw", 0, 0, 20, 1),
    }
    return Playground(_Homophily(draw), sliders, "When neighbours help")


class _Homophily:
    """Sliders' values -> the three panels."""

    def __init__(self, draw: Callable[[float, float, int], Any]):
        self.draw = lru_cache(maxsize=32)(lambda homophily, degree, seed: _required(draw(homophily, degree, seed)))

    def __call__(self, homophily: float, degree: float, steps: int, sharpness: float, draw: int) -> list[Panel]:
        data = self.draw(homophily, degree, draw)
        apart = (data.x[data.edge_index[0]] - data.x[data.edge_index[1]]).square().sum(dim=1)
        plain = _mixed(data, torch.ones_like(apart))
        weighed = _mixed(data, torch.exp(-0.5 * sharpness * apart)) if sharpness else plain
        of_plain, of_weighed = ([_accuracy(z, data) for z in path] for path in (plain, weighed))
        return [
            self._nodes(data, weighed[steps], of_weighed[steps]),
            self._accuracies(of_plain, of_weighed, steps),
            self._edges(data, apart),
        ]

    @staticmethod
    def _nodes(data: Any, z: Tensor, accuracy: float) -> Panel:
        shown = data.test_mask.nonzero().flatten()
        text = [f"class {kind}" for kind in data.y[shown].tolist()]
        layers = [Layer("points", *z[shown].T.numpy(), shades(data.y[shown]), width=4, text=text)]
        says = f"{accuracy:.0f} % of test nodes are nearest to the mean of their class"
        return Panel("Test nodes after these steps", layers, says=says)

    @staticmethod
    def _accuracies(plain: list[float], weighed: list[float], steps: int) -> Panel:
        order = np.arange(_STEPS + 1)
        layers = [
            Layer("line", order, np.full(_STEPS + 1, plain[0]), plot.INK, "features alone", 1.5, dash=True),
            Layer("line", order, plain, plot.FLOOR, "plain mean of neighbours", 2),
            Layer("line", order, weighed, plot.COLOURS[0], "weighed by likeness (β)", 2.5),
            Layer("points", [steps], [weighed[steps]], plot.COLOURS[1], "this picture", 10),
        ]
        gain = weighed[steps] - plain[0]
        says = f"{gain:+.0f} points over features alone; plain mean {plain[steps] - plain[0]:+.0f}"
        return Panel("Nearest class mean, test nodes", layers, "steps", "% right", y_range=(0, 102), says=says)

    @staticmethod
    def _edges(data: Any, apart: Tensor) -> Panel:
        same = data.y[data.edge_index[0]] == data.y[data.edge_index[1]]
        distance = apart.sqrt().double()
        bins = torch.linspace(0, max(4.0, float(distance.max())) if len(distance) else 4.0, _BINS + 1).double()
        middle = ((bins[1:] + bins[:-1]) / 2).numpy()
        counts = [torch.histogram(distance[which], bins).hist.numpy() for which in (same, ~same)]
        most = max(1.0, float(max(count.max() for count in counts)))
        layers = [
            Layer("line", middle, counts[0] / most, plot.COLOURS[0], "within a class", 2.5),
            Layer("line", middle, counts[1] / most, plot.COLOURS[1], "between classes", 2.5),
        ]
        share = 100 * float(same.double().mean()) if len(same) else 0.0
        told = f"{auc(-apart.numpy(), same.numpy()):.2f}" if same.any() and not same.all() else "–"
        says = f"{share:.0f} % stay in a class; told by distance: AUC {told}"
        return Panel("Distance of an edge's two ends", layers, "distance in the features", "edges (largest: 1)",
                     y_range=(0, 1.05), says=says)  # fmt: skip


def _required(data: Any) -> Any:
    missing = [
        name for name in ("x", "y", "edge_index", "train_mask", "test_mask") if getattr(data, name, None) is None
    ]
    if missing or data.x.dim() != 2 or data.x.shape[1] != 2:
        lacking = f"no {', '.join(missing)}" if missing else f"x of shape {list(data.x.shape)}"
        raise ValueError(f"draw must give a graph with x [nodes, 2], y, edge_index and both masks; it has {lacking}")
    if not data.x.isfinite().all() or not data.train_mask.any() or not data.test_mask.any():
        raise ValueError("draw must give finite features, and at least one training and one test node")
    return data


def _mixed(data: Any, weight: Float[Tensor, " edges"]) -> list[Float[Tensor, "nodes 2"]]:
    """x, and what it becomes after each step: the weighed mean of a node, weight 1, and its neighbours."""
    source, target = data.edge_index
    total = torch.ones(data.num_nodes, dtype=weight.dtype).index_add(0, target, weight)
    path = [data.x]
    for _ in range(_STEPS):
        z = path[-1]
        path.append(z.index_add(0, target, weight[:, None] * z[source]) / total[:, None])
    return path


def _accuracy(z: Float[Tensor, "nodes 2"], data: Any) -> float:
    """Test nodes whose nearest class mean, of training nodes, is that of their class, in %."""
    classes, y = data.y[data.train_mask].unique(return_inverse=True)
    count = y.bincount(minlength=len(classes))[:, None]
    means = z.new_zeros(len(classes), 2).index_add(0, y, z[data.train_mask]) / count
    nearest = classes[torch.cdist(z[data.test_mask], means).argmin(dim=1)]
    return 100 * float((nearest == data.y[data.test_mask]).double().mean())
