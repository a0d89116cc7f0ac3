"""The top-d dial: how many dimensions of the closed-form encoder are worth having, beside kernel PCA's."""

import math

import torch
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit._checks import require_between
from labkit.data import load
from labkit.evaluate import Split, knn_probe
from labkit.explore._inputs import shades
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.theory.pair_kernel import PairKernelEncoder, gaussian, kernel_pca
from labkit.views import shift

DIMS = (1, 2, 3, 5, 8, 12, 20, 30, 50)
_TESTED = 300


@checked(numbers=False)
def closed_form_scores(
    images: Tensor, labels: Tensor, n: int, bandwidth: float, pixels: int, dims: tuple[int, ...] = DIMS, seed: int = 0
) -> tuple[dict[str, list[float]], PairKernelEncoder, Tensor]:
    """Accuracy of 5 nearest neighbours in the closed-form encoder and in kernel PCA of the same views, for each width.

    The first n images are seen, in two shifted views each, and then serve as labelled neighbours, in the first of the
    two views; all others are tested, shifted as well.

    Args:
        images: uint8 or [0, 1] floats [items, channels, height, width].
        labels: [items].
        n: images to fit to.
        bandwidth: of the Gaussian kernel, in the distance between images.
        pixels: largest shift.
        dims: widths; those beyond what the pairs share, or the views span, are NaN there.
        seed: of the shifts.

    Returns:
        {"pairs": …, "views": …}, the encoder, its embedding of all images [items, dim].

    Cost: three eigendecompositions of 2n × 2n: 40 ms at n = 120 with 300 test images.
    """
    require_between("n", n, 2, len(images) - 1)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels must hold integer classes, not {labels.dtype}; use labels.long()")
    generator = torch.Generator().manual_seed(seed)
    first, second = (shift(images[:n], pixels, generator).flatten(1).double() for _ in range(2))
    seen = torch.cat([first, shift(images[n:], pixels, generator).flatten(1).double()])
    split = Split(torch.arange(n), None, torch.arange(n, len(images)))
    kernel = gaussian(bandwidth)
    encoder = PairKernelEncoder.fit(first, second, kernel=kernel)
    views = torch.cat([first, second]) if pixels else first
    embedded = {"pairs": encoder.embed(seen), "views": kernel_pca(views, seen, None, kernel)}
    scores = {
        name: [knn_probe(z[:, :d].float(), labels, split, k=5).mean if d <= z.shape[1] else float("nan") for d in dims]
        for name, z in embedded.items()
    }
    return scores, encoder, embedded["pairs"]


@checked
def top_d_dial(n: int = 100) -> Playground:
    """Turn d, the kernel's bandwidth and the shifts, and see where being told the pairs pays.

    The numbers are those of :func:`closed_form_scores` on scikit-learn's digits. As the bandwidth goes to 0 all
    eigenvalues go to 1/2n (1/n for two views that were moved alike): pairs order nothing without a kernel.

    Args:
        n: digits that are seen; 300 others are tested.

    Example:
        >>> labkit.explore.top_d_dial().set(d=5, pixels=0)      # no shifts: no gain
    """
    require_between("n", n, 20, 150)
    sliders = {
        "d": Slider("dimensions d", 5, 1, 50, 1),
        "bandwidth": Slider("bandwidth of the kernel", 2.0, 0.2, 6.0, 0.1),
        "pixels": Slider("shifts, pixels", 1, 0, 2, 1),
        "draw": Slider("draw", 0, 0, 20, 1),
    }
    return Playground(_Dial(n), sliders, "Which dimensions do pairs choose?")


class _Dial:
    def __init__(self, n: int):
        digits = load("digits")
        rows = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))[: n + _TESTED]
        self.n, self.images, self.labels = n, digits.images[rows], digits.labels[rows]
        self.colour = shades(self.labels)
        self.text = [f"digit {label}" for label in self.labels.tolist()]
        self.kept: tuple = ()

    def __call__(self, d: int, bandwidth: float, pixels: int, draw: int) -> list[Panel]:
        setting = (bandwidth, pixels, draw)
        if not self.kept or self.kept[0] != setting:  # turning d alone computes nothing anew
            found = closed_form_scores(self.images, self.labels, self.n, bandwidth, pixels, seed=draw)
            self.kept = (setting, *found)
        _, scores, encoder, z = self.kept
        return [self._accuracy(scores, d), self._spectrum(encoder.gamma, d, pixels), self._map(z, d)]

    def _accuracy(self, scores: dict[str, list[float]], d: int) -> Panel:
        x = torch.tensor(DIMS, dtype=torch.float64).log2()
        pairs, views = (100 * torch.tensor(scores[name], dtype=torch.float64) for name in ("pairs", "views"))
        near = int((x - torch.tensor(float(d)).log2()).abs().argmin())
        layers = [
            Layer("line", x, pairs, plot.COLOURS[0], "told the pairs"),
            Layer("line", x, views, plot.COLOURS[3], "kernel PCA of the same views", dash=True),
            Layer("points", [x[near], x[near]], [pairs[near], views[near]], plot.INK, width=9),
            Layer("line", [x[near], x[near]], [0, 100], plot.FLOOR, width=1),
        ]
        gain = float(pairs[near] - views[near])
        says = f"d = {DIMS[near]}: {pairs[near]:.1f} % and {views[near]:.1f} %, a gain of {gain:+.1f}"
        if math.isnan(gain):
            says = f"d = {DIMS[near]}: more than the pairs share, or the views span"
        return Panel("5 nearest neighbours", layers, "log₂ of d", "accuracy (%)", y_range=(0, 100), says=says)

    def _spectrum(self, gamma: Tensor, d: int, pixels: int) -> Panel:
        alone = 1 / (2 * self.n) if pixels else 1 / self.n  # without a shift the two views are one
        shown = torch.full((50,), torch.nan, dtype=torch.float64)
        shown[: len(gamma)] = gamma[:50]
        number = torch.arange(1, 51)
        layers = [
            Layer("bars", number, torch.where(number <= d, shown, torch.nan), plot.COLOURS[0], "in use"),
            Layer("bars", number, torch.where(number > d, shown, torch.nan), plot.FLOOR, "left out"),
            Layer("line", [0.5, 50.5], [alone] * 2, plot.INK, f"{'1/2n' if pixels else '1/n'}: pairs alone", dash=True),
        ]
        ratio = float(gamma[0] / gamma[min(4, len(gamma) - 1)])
        return Panel("Eigenvalues of the pair kernel", layers, "dimension", "γ: how fast it is learned",
                     x_range=(0, 51), y_range=(0, 1.08 * float(gamma[0])), says=f"γ₁/γ₅ = {ratio:.2f}")  # fmt: skip

    def _map(self, z: Tensor, d: int) -> Panel:
        second = min(max(d, 2), z.shape[1])
        xy = z[self.n :, [second - 2, second - 1]].numpy()
        layers = [Layer("points", *xy.T, self.colour[self.n :], width=7, opacity=0.8, text=self.text[self.n :])]
        names = [f"dimension {j}" for j in (second - 1, second)]
        return Panel(f"Dimensions {second - 1} and {second}, test digits", layers, *names,
                     x_range=(-4, 4), y_range=(-4, 4), says="colour: class, which nothing here was told")  # fmt: skip
