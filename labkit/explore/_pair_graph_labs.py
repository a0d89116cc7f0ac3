"""InfoNCE on a graph that is known: which eigenvectors it learns, how fast, and what the temperature leaves of them."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between, require_counts
from labkit.evaluate import effective_rank
from labkit.explore._inputs import kinds_of, shades
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory.spectral import check_graph, growth_rates, infonce_flow, nested_graph, subspace_overlap

_ITEMS, _RECORDS, _EVERY, _SMALL = 48, 40, 4, 1e-3
_MODES = 4


@checked(numbers=False)
def temperature_lab(pi: Tensor | None = None, labels: Any = None, dim: int = 8, steps: int = 200) -> Playground:
    """InfoNCE on the unit sphere of ``dim`` dimensions, from a pair graph: drag the temperature, watch the rank fall.

    Args:
        pi: [items, items] pair graph, symmetric with rows of sum 1 (:func:`labkit.theory.spectral.balanced`), up to 64
            items; None: two pairs of planted blocks.
        labels: [items], for colours.
        dim: dimensions of the sphere.
        steps: of gradient descent for each picture, from the same random start.

    Raises:
        ValueError: more than 64 items, or a π that is no pair graph.

    Example:
        >>> lab = labkit.explore.temperature_lab()
        >>> lab.set(tau=3.0).panels[2].says
    """
    pi = nested_graph(_ITEMS, generator=torch.Generator().manual_seed(0)) if pi is None else pi
    check_graph(pi)
    if len(pi) > 64:
        raise ValueError(f"the lab trains anew at every step and takes up to 64 items, not {len(pi)}")
    kinds, _ = kinds_of(torch.arange(len(pi)) * 4 // len(pi) if labels is None else labels, len(pi))
    require_counts(steps=steps)
    require_between("dim", dim, 2, len(pi) - 1)
    sliders = {
        "tau": Slider("temperature τ", 0.5, 0.05, 5.0, 0.05),
        "draw": Slider("random start", 0, 0, 20, 1),
    }
    return Playground(_Temperature(pi, kinds, dim, steps), sliders, "Temperature and rank")


class _Temperature:
    def __init__(self, pi: Tensor, kinds: Tensor, dim: int, steps: int):
        self.pi, self.dim, self.steps = pi, dim, steps
        self.vectors = growth_rates(pi, 1.0)[1]
        self.colour, self.text = shades(kinds), [f"item {i}" for i in range(len(pi))]
        self.grid = np.geomspace(0.05, 5.0, 25)
        self.ranks = [effective_rank(self.train(tau, 0)) for tau in self.grid]

    def train(self, tau: float, draw: int) -> Tensor:
        """The centred embedding after descent."""
        start = torch.randn(len(self.pi), self.dim, generator=torch.Generator().manual_seed(draw), dtype=self.pi.dtype)
        z = infonce_flow(self.pi, start, tau, 0.3 * tau, self.steps, sphere=True)[-1]
        return z - z.mean(dim=0)

    def __call__(self, tau: float, draw: int) -> list[Panel]:
        z = self.train(tau, draw)
        basis, s, _ = torch.linalg.svd(z, full_matrices=False)
        variance = (self.vectors[:, : self.dim].T @ z).square().sum(dim=1) / len(z)
        xy, order = (basis[:, :2] * s[:2]).numpy(), np.arange(1, self.dim + 1)
        overlap = subspace_overlap(basis[:, :3], self.vectors[:, :3])
        rank = effective_rank(z)
        return [
            Panel("The embedding, first two axes", [Layer("points", *xy.T, self.colour, width=9, text=self.text)],
                  x_range=(-1.15, 1.15), y_range=(-1.15, 1.15),
                  says=f"its three widest directions overlap {overlap:.2f} with eigenvectors 1 to 3"),
            Panel("What is kept of each eigenvector", [Layer("bars", order, variance, plot.COLOURS[0])],
                  "eigenvector of the pair graph", "variance", y_range=(0, 1.02),
                  says=f"Σ = {float(variance.sum()):.2f} of at most 1"),
            Panel("Dimensions in use", [
                Layer("line", np.log10(self.grid), self.ranks, plot.FLOOR),
                Layer("points", np.log10(self.grid), self.ranks, plot.FLOOR, width=5),
                Layer("points", [math.log10(tau)], [rank], plot.COLOURS[3], width=12)],
                "log₁₀ τ", "effective rank", y_range=(0.8, self.dim), says=f"{rank:.2f} of {self.dim} at τ = {tau:g}"),
        ]  # fmt: skip


def infonce_flow_lab() -> Playground:
    """A small embedding grows along the eigenvectors of its pair graph, each at the rate that theory says.

    Two pairs of blocks; the sliders set the weight between twins and between pairs. Points are measured on gradient
    descent from a start of size 0.001, lines are what the rates (2/τ)(p_k + 1/(n − 1)) predict (:func:`mode_growth`).

    Example:
        >>> labkit.explore.infonce_flow_lab().set(near=0.8, time=0.5)
    """
    sliders = {
        "near": Slider("weight between twin blocks", 0.25, 0.0, 1.0, 0.05),
        "far": Slider("weight between the pairs", 0.04, 0.0, 1.0, 0.02),
        "tau": Slider("temperature τ", 0.5, 0.1, 2.0, 0.1),
        "time": Slider("time (share of the run)", 0.7, 0.0, 1.0, 0.025),
    }
    return Playground(_flow_panels, sliders, "InfoNCE on a pair graph")


@checked(numbers=False)
def mode_growth(
    pi: Tensor, tau: float, dim: int = 3, small: float = _SMALL, records: int = _RECORDS, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Measured and predicted amplitudes of an embedding along the eigenvectors of π, from a small random start.

    Returns:
        times [records + 1]; embeddings [records + 1, items, dim]; measured amplitudes ‖v_kᵀZ‖ [records + 1, modes];
        what they would be at constant rates, (1 + rate · step size)^steps times the first. The run ends at 1.5 times
        the time that the first mode needs to reach 1.
    """
    if not 1e-100 <= small < 1:  # below, squares of the start are zero
        raise ValueError(f"small must lie between 1e-100 and 1, not {small}: the start is to be smaller than the end")
    require_counts(dim=dim, records=records)
    rates, vectors = growth_rates(pi, tau)
    generator = torch.Generator().manual_seed(seed)
    start = small * torch.randn(len(pi), dim, generator=generator, dtype=pi.dtype)
    lr = 1.5 * math.log(1 / small) / float(rates[0]) / (records * _EVERY)
    z = infonce_flow(pi, start, tau, lr, records * _EVERY, every=_EVERY)
    times = torch.arange(records + 1, dtype=pi.dtype) * (_EVERY * lr)
    measured = torch.einsum("nk,tnd->tkd", vectors, z).norm(dim=2)
    growth = torch.log1p(rates * lr) / lr  # of gradient descent; a flow has `rates`
    return times, z, measured, measured[0] * (growth * times[:, None]).exp()


def _flow_panels(near: float, far: float, tau: float, time: float) -> list[Panel]:
    pi = nested_graph(_ITEMS, near, max(far, 1e-3), torch.Generator().manual_seed(0))
    times, z, measured, predicted = mode_growth(pi, tau)
    now = round(time * _RECORDS)
    centred = z[now] - z[now].mean(dim=0)
    axes = torch.linalg.svd(z[-1] - z[-1].mean(dim=0), full_matrices=False).Vh[:2].T
    xy = (centred @ axes).numpy()
    width = 1.15 * max(float(np.abs(xy).max()), 0.02)
    block, table = torch.arange(_ITEMS) * 4 // _ITEMS, plot.colours(_MODES)
    growth, (low, high) = [], (math.log10(_SMALL) - 0.3, 1.2)
    for k in range(_MODES):
        line = predicted[:, k].log10()
        line = torch.where(line < high, line, torch.nan)
        growth.append(Layer("line", times, line, table[k], f"mode {k + 1}", 2))
        growth.append(Layer("points", times, measured[:, k].log10(), table[k], width=5))
    growth.append(Layer("line", [float(times[now])] * 2, [low, high], plot.FLOOR, width=1.5, dash=True))
    rates = growth_rates(pi, tau)[0][:10]
    third, fourth = float(rates[2] / rates[0]), float(rates[3] / rates[0])
    small = measured[:, 0] < 0.1
    error = float((measured[small, :_MODES] / predicted[small, :_MODES]).log().abs().max()) if small.any() else 0.0
    return [
        Panel(f"The embedding at t = {float(times[now]):.2f}",
              [Layer("points", *xy.T, shades(block), width=9, text=[f"block {b}" for b in block.tolist()])],
              x_range=(-width, width), y_range=(-width, width), says=f"the frame is ± {width:.3g} wide"),
        Panel("Points measured, lines predicted", growth, "time (learning rate × steps)", "log₁₀ amplitude",
              y_range=(low, high), says=f"largest gap while mode 1 is below 0.1: {100 * error:.1f} %"),
        Panel("The rates", [Layer("bars", np.arange(1, 11), rates, plot.COLOURS[0])], "eigenvector of the pair graph",
              "growth rate", says=f"third / first: {third:.2f}; fourth / first: {fourth:.2f}"),
    ]  # fmt: skip
