"""SwAV: Unsupervised Learning of Visual Features by Contrasting Cluster Assignments.

Mathilde Caron, Ishan Misra, Julien Mairal, Priya Goyal, Piotr Bojanowski, Armand Joulin. NeurIPS 2020.
https://arxiv.org/abs/2006.09882 · code: https://github.com/facebookresearch/swav
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.losses import swav
from labkit.methods import TwoView
from labkit.models import Prototypes
from labkit.papers.vision._nuisance import against, against_raw, changed, family, head, of_images, patient


class SwAV(TwoView):
    """Each view predicts to which prototypes the other is assigned, all prototypes getting equally much (section 3).

    Without the paper's crops of several sizes (section 3.2), its queue for small batches and its epochs of frozen
    prototypes: with fewer prototypes than items in a batch they are not needed.

    Args:
        encoder, view: as in ``TwoView``.
        clusters: prototypes; fewer than a batch has items.
        dim: of the projection that is compared with them.
        temperature: τ of the prediction.
        epsilon, iterations: of the assignment; 0 iterations assign each view for itself.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        clusters: int = 32,
        dim: int = 64,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
    ):
        projector = nn.Sequential(head(encoder.dim, dim), Prototypes(dim, clusters))
        loss = partial(swav, temperature=temperature, epsilon=epsilon, iterations=iterations)
        super().__init__(encoder, projector, view, loss)


# On the validation images: 30.9 % with SimCLR's Adam at 4e-3 after 16 epochs; SGD at 0.1 gives 25.5, and 64.5 after 48.
RECIPES = family("swav", of_images(SwAV), **patient(48))
SMALL = RECIPES[1]
UNEVEN = changed(SMALL, iterations=0)


def prototypes_used(lab: Lab, recipe) -> list[float]:
    """exp of the entropy of how often each prototype is the nearest: 1 when one takes all, ``clusters`` at most."""
    found = []
    for run in lab.runs(recipe):
        nearest = run.method.projected(lab.material(recipe).items).argmax(1)
        share = nearest.bincount().double() / len(nearest)
        found.append(torch.special.entr(share).sum().exp().item())
    return found


@claim("Predicting each other's assignment beats raw pixels.", needs="nuisance-mnist", minutes=2)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "SwAV")


@claim("Without equal shares fewer prototypes are used (section 3.1).", needs="nuisance-mnist", minutes=2)
def equal_shares_use_prototypes(lab: Lab) -> Evidence:
    ours, without = (prototypes_used(lab, recipe) for recipe in (SMALL, UNEVEN))
    return Evidence(ours, without, "equal shares", "each view for itself", "prototypes in use")


@claim("Without equal shares the representation is worse (section 3.1).", needs="nuisance-mnist", minutes=2)
def equal_shares_help(lab: Lab) -> Evidence:
    return against(lab, SMALL, UNEVEN, "equal shares", "each view for itself")
