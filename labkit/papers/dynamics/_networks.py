"""Wide two-layer networks beside their kernel's closed form, and that closed form as an encoder of images."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import normalize

from labkit.data import ImageSet
from labkit.evaluate import Split, knn_probe
from labkit.papers.dynamics._flows import crossings, overlap, pairs
from labkit.theory.modes import cross_covariance
from labkit.theory.pair_kernel import Kernel, PairKernelEncoder, arc_cosine, gaussian, kernel_pca
from labkit.views import shift

NEIGHBOURS, KERNEL = 5, gaussian(2.0)


def linear_barlow_twins(a: Float[Tensor, "n dim"], b: Float[Tensor, "n dim"]) -> Float[Tensor, ""]:
    """‖C − I‖²_F, C the symmetric cross-covariance of the centred batch: the loss of the paper's theory (section 4).

    Barlow Twins with λ = 1 less its division by standard deviations, which would hide how large the embedding is.
    """
    mean = (a.mean(dim=0) + b.mean(dim=0)) / 2
    product = (a - mean).T @ (b - mean) / len(a)
    return ((product + product.T) / 2 - torch.eye(a.shape[1]).to(a)).square().sum()


class WideRun(NamedTuple):
    """A trained two-layer network beside what its kernel says.

    Attributes:
        steps: [snapshots].
        eigenvalues: [snapshots, d] of the cross-covariance of the embedding, largest first.
        kernel, variance: overlap of the final embedding with the closed form, and with kernel PCA of the same views.
        gamma: [d] eigenvalues of K_Γ.
        initial: [d] s_j(0) of the closed form, from the untrained embedding alone.
        lr: learning rate; steps · lr is the time t of the closed form.
    """

    steps: Tensor
    eigenvalues: Tensor
    kernel: float
    variance: float
    gamma: Tensor
    initial: Tensor
    lr: float


def train_wide(
    images: ImageSet, width: int, seed: int = 0, n: int = 150, d: int = 4, scale: float = 1e-3, most: int = 2000
) -> WideRun:
    """f(x) = W₂ relu(W₁ x) / √width by gradient descent until its loss is below 1e-3.

    Weights start from N(0, 1), those of the last layer ``scale`` times that. So scaled, the kernel of the infinitely
    wide network is :func:`~labkit.theory.pair_kernel.arc_cosine`. Both layers are trained, in float32; lr = 0.05/γ_1,
    a fifth of where descent stops settling.

    Cost: about 120 steps of O(n · width · (pixels + d)): 0.2 s at width 64, 1 s at 1024.
    """
    x, x2, _ = pairs(images, n, seed=seed)
    both = torch.cat([x, x2])
    closed = PairKernelEncoder.fit(x, x2, d, arc_cosine)
    generator = Generator().manual_seed(seed)
    first = torch.randn(width, x.shape[1], generator=generator).requires_grad_()
    last = (scale * torch.randn(d, width, generator=generator)).requires_grad_()
    lr, views, steps, spectra = 0.05 / float(closed.gamma[0]), both.float(), [], []
    for step in range(most):
        z = (views @ first.T).relu() @ last.T / width**0.5
        loss = linear_barlow_twins(*z.chunk(2))
        if step == 0:
            initial = _effective_init(z.detach().double(), closed)
        with torch.no_grad():
            steps.append(step)
            spectra.append(torch.linalg.eigvalsh(cross_covariance(*z.detach().chunk(2))).flip(0))
        if loss.item() < 1e-3:
            break
        slopes = torch.autograd.grad(loss, (first, last))
        with torch.no_grad():
            first -= lr * slopes[0]
            last -= lr * slopes[1]
    learned = (z - z.mean(dim=0)).detach()
    told, untold = closed.embed(both), kernel_pca(both, both, d, arc_cosine)
    found = overlap(learned, told), overlap(learned, untold)
    return WideRun(torch.tensor(steps), torch.stack(spectra), *found, closed.gamma, initial, lr)


def _effective_init(z: Tensor, closed: PairKernelEncoder) -> Float[Tensor, " d"]:
    """:func:`labkit.theory.stepwise.effective_init` for functions: z [2n, d] by its cross-covariance with each mode."""
    a, b = (z - z.mean(dim=0)).chunk(2)
    modes = closed.embed(closed.views).chunk(2)  # their own cross-covariance is the identity
    coordinates = (a.T @ modes[1] + b.T @ modes[0]) / len(z)
    return torch.linalg.qr(coordinates).R.diagonal().abs() / closed.gamma.sqrt()


def spectra(run, sphere: bool = False) -> tuple[Float[Tensor, " snapshots"], Float[Tensor, "snapshots dim"]]:
    """Steps, and at each the eigenvalues of the covariance of all digits' embeddings, largest first.

    ``sphere``: of embeddings of length 1, which are all that a loss of cosines sees.
    """
    steps = torch.tensor(list(run.snapshots), dtype=torch.float64)
    seen = ((normalize(z.double(), dim=1) if sphere else z.double()) for z in run.snapshots.values())
    return steps, torch.stack([torch.linalg.eigvalsh(z.T.cov(correction=0)).flip(0) for z in seen])


class Steps(NamedTuple):
    """When the eigenvalues that grew pass 10, 50 and 90 % of where they end: [grown] each."""

    tenth: Tensor
    half: Tensor
    most: Tensor

    @property
    def sharpness(self) -> float:
        """Median over eigenvalues of waiting time over rise time: 0 without steps; 0 as well where none grew."""
        rise = self.most - self.tenth
        return float((self.half / rise)[rise > 0].quantile(0.5)) if (rise > 0).any() else 0.0


def steps(times: Float[Tensor, " times"], values: Float[Tensor, "times dim"], from_below: bool = False) -> Steps:
    """The steps in eigenvalues over time; those that end below 5 % of the largest are left out.

    ``from_below``: and those that start above 10 % of their end, for they are past the step's foot from the beginning.
    """
    grown = values[-1] > 0.05 * values[-1, 0]
    grown = values[:, grown & (values[0] < 0.1 * values[-1])] if from_below else values[:, grown]
    return Steps(*(crossings(times, grown / grown[-1], level) for level in (0.1, 0.5, 0.9)))


def encoder_scores(
    images: ImageSet, dims: tuple[int, ...], n: int = 200, pixels: int = 1, seed: int = 0,
    displaced: bool = True, kernel: Kernel = KERNEL, shuffled: bool = False,
) -> dict[str, list[float]]:  # fmt: skip
    """Accuracy of 5 nearest neighbours on test images in three embeddings, one number for each of ``dims``.

    All three use the same kernel on n images and are whitened: "pairs", the closed-form encoder of two shifted views of
    each; "views", kernel PCA of the same 2n views, not told which belong together; "originals", kernel PCA of the n
    images before they were shifted.

    Args:
        dims: widths of the embedding.
        pixels: largest shift of a view; 0: both views are the image.
        displaced: the images that are embedded, labelled and tested, lie anywhere within ``pixels`` as well.
        shuffled: each view is paired with one of another image: as many pairs of the same views, which teach nothing.

    Cost: 0.2 s at n = 200.
    """
    x, x2, rows = pairs(images, n, pixels, seed)
    whole = images.images.double() / 255
    seen = (shift(whole, pixels, Generator().manual_seed(seed + 1)) if displaced else whole).flatten(1)
    split = Split(rows, None, images.splits["test"])
    widest = max(dims)
    both = torch.cat([x, x2])
    embedded = {
        "pairs": PairKernelEncoder.fit(x, x2.roll(1, 0) if shuffled else x2, widest, kernel).embed(seen),
        "views": kernel_pca(both if pixels else x, seen, widest, kernel),
        "originals": kernel_pca(whole.flatten(1)[rows], seen, widest, kernel),
    }
    return {
        name: [knn_probe(z[:, :d], images.labels, split, k=NEIGHBOURS).mean for d in dims]
        for name, z in embedded.items()
    }
