"""Augmentation -> graph -> eigenvectors -> embedding: what an augmentation decides before anything is trained."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit.explore._inputs import kinds_of, named, shades
from labkit.explore._maps import procrustes
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory.augmentation import overlap_graph
from labkit.theory.spectral import check_graph
from labkit.views import window_grid

_MOST_IMAGES, _SHOWN, _DIM, _CELLS = 300, 30, 10, 100


@checked(numbers=False)
def augmentation_lab(images: Tensor, labels: Any = None, class_names: Any = None) -> Playground:
    """The graph that an augmentation weaves between images, its spectrum, and the embedding it implies.

    A view is one of nine windows of the image (:func:`labkit.views.window_grid`) plus Gaussian noise; two images are
    linked as far as their views overlap (:func:`labkit.theory.augmentation.overlap_graph`). The embedding is what the
    spectral contrastive loss would learn with a network that can do anything: the top eigenvectors of D^-½ A D^-½
    (HaoChen et al. 2021). Labels colour and order the picture; nothing else sees them.

    Args:
        images: [items, channels, height, width], uint8 or in [0, 1]; up to 300 small ones.
        labels: [items], for colours.
        class_names: names of the classes.

    Raises:
        ValueError: more than 300 images, fewer than 12, or images that are none.

    Example:
        >>> digits = labkit.data.load("digits")
        >>> lab = labkit.explore.augmentation_lab(digits.images[:200], digits.labels[:200])
        >>> lab.set(shift=1.5, noise=0.4).values
    """
    if not _DIM + 2 <= len(images) <= _MOST_IMAGES:
        raise ValueError(f"the lab redraws at every step: {_DIM + 2} to {_MOST_IMAGES} images, not {len(images)}")
    sliders = {
        "shift": Slider("shift up to (pixels)", 0.5, 0.0, 2.0, 0.25),
        "noise": Slider("noise (std of a pixel)", 0.5, 0.05, 1.0, 0.05),
        "crop": Slider("side of the crop (1: whole)", 1.0, 0.5, 1.0, 0.05),
    }
    return Playground(_AugmentationGraph(images, labels, class_names), sliders, "The graph of an augmentation")


@checked
def graph_embedding(graph: Tensor, dim: int = 10) -> tuple[Tensor, Tensor]:
    """Eigenvalues of D^-½ A D^-½, largest first, and the ``dim`` eigenvectors after the constant one, as embedding.

    Column i is √λ_i · D^-½ v_i, the minimiser of the spectral contrastive loss up to a rotation, with unit mean square
    at λ_i = 1.
    """
    check_graph(graph, "graph")
    root = graph.sum(dim=1).rsqrt()
    values, vectors = torch.linalg.eigh(root[:, None] * graph * root)
    values, vectors = values.flip(0), vectors.flip(1)[:, 1 : dim + 1]
    z = vectors * root[:, None] * values[1 : dim + 1].clamp(min=0).sqrt()
    return values, z * graph.sum().sqrt()


class _AugmentationGraph:
    """Sliders' values -> the three panels."""

    def __init__(self, images: Tensor, labels: Any, class_names: Any):
        kinds, labels = kinds_of(labels, len(images))
        order = kinds.argsort(stable=True)
        self.images, self.kinds = images[order], kinds[order]
        self.colour = shades(self.kinds)
        names = named(labels, class_names)
        self.text = [names[place] for place in order.tolist()]
        pixels = self.images.flatten(1).float()
        self.baseline = self._neighbours(pixels)
        self.start: np.ndarray | None = None

    def _neighbours(self, z: Tensor) -> float:
        """How often an image's nearest neighbour is of its class."""
        nearest = torch.cdist(z, z).fill_diagonal_(torch.inf).argmin(dim=1)
        return float((self.kinds[nearest] == self.kinds).float().mean())

    def __call__(self, shift: float, noise: float, crop: float) -> list[Panel]:
        views = window_grid(self.images, shift, crop).flatten(2).float()
        graph = overlap_graph(views, noise)
        values, z = graph_embedding(graph, _DIM)
        return [self._graph(graph), self._spectrum(values), self._embedding(z)]

    def _graph(self, graph: Tensor) -> Panel:
        links = graph.clone().fill_diagonal_(0)
        same = self.kinds[:, None] == self.kinds
        within = float((links * same).sum() / links.sum().clamp(min=1e-30))
        itself = float((graph.diagonal() / graph.sum(dim=1)).mean())
        shade = (links / links.flatten().kthvalue(int(0.995 * links.numel())).values.clamp(min=1e-30)).clamp(max=1)
        cells = min(_CELLS, len(links))  # a widget sends a matrix as a list: 10 000 numbers take 5 ms, 90 000 take 50
        shade = torch.nn.functional.adaptive_avg_pool2d(shade.sqrt()[None], cells)[0]
        order = np.arange(cells)
        layer = Layer("heat", order, order, values=shade.flip(0))
        says = f"{100 * within:.0f} % join one class; {100 * itself:.0f} % of the weight is an image's own"
        return Panel("Links, images ordered by class", [layer], says=says)

    def _spectrum(self, values: Tensor) -> Panel:
        order = np.arange(1, _SHOWN + 1)
        top = values[:_SHOWN].clamp(min=0)
        top = torch.nn.functional.pad(top, (0, _SHOWN - len(top)))
        layers = [
            Layer("line", order, top, plot.FLOOR, width=1.5),
            Layer("points", order, top, plot.COLOURS[0], width=8),
        ]
        says = f"{int((values > 0.5).sum())} of {len(values)} eigenvalues above ½, λ₂ = {float(values[1]):.3f}"
        return Panel("What survives the augmentation", layers, "eigenvector", "eigenvalue",
                     y_range=(0, 1.05), says=says)  # fmt: skip

    def _embedding(self, z: Tensor) -> Panel:
        xy = z[:, :2].numpy()
        if self.start is None:
            self.start = xy
        else:  # eigenvectors have no sign, and close ones no order: keep the picture still
            xy = procrustes(xy, self.start)[0]
        own, pixels = 100 * self._neighbours(z), 100 * self.baseline
        says = f"nearest of its class: {own:.0f} % in {_DIM} dimensions, {pixels:.0f} % in pixels"
        layer = Layer("points", *xy.T, self.colour, width=7, opacity=0.85, text=self.text)
        return Panel("Eigenvectors 2 and 3, nothing trained", [layer], says=says)
