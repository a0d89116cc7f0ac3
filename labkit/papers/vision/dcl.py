"""DCL: Decoupled Contrastive Learning.

Chun-Hsiao Yeh, Cheng-Yao Hong, Yen-Chi Hsu, Tyng-Luh Liu, Yubei Chen, Yann LeCun. ECCV 2022.
https://arxiv.org/abs/2110.06848
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.losses import decoupled, nt_xent
from labkit.methods import TwoView
from labkit.papers.vision._nuisance import against, against_raw, changed, head, nuisance_recipe, of_images


class DCL(TwoView):
    """SimCLR whose loss leaves the positive pair out of its denominator (equation 6).

    In NT-Xent the gradient of a pair is scaled by the share of its negatives in the denominator. Where a batch is small
    and the views are easy that share is near zero, and with it the gradient; without the positive it is always one.

    Args:
        encoder, view: as in ``TwoView``.
        temperature: τ.
        sigma: width of DCLW's weights; None: plain DCL.
        coupled: NT-Xent instead, which is SimCLR's; the control.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        temperature: float = 0.2,
        sigma: float | None = None,
        coupled: bool = False,
    ):
        loss = partial(nt_xent if coupled else partial(decoupled, sigma=sigma), temperature=temperature)
        super().__init__(encoder, head(encoder.dim, encoder.dim), view, loss)


RECIPES = [
    nuisance_recipe("dcl", of_images(DCL)),
    nuisance_recipe("dcl", of_images(DCL), name="dcl/nuisance-mnist-batch16", batch_size=16),
]
NUISANCE, SMALL_BATCH = RECIPES


@claim("Decoupled contrast beats raw pixels.", needs="nuisance-mnist", minutes=6)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, NUISANCE, "DCL")


@claim("At a batch of 16 the decoupled loss beats NT-Xent.",
       needs="nuisance-mnist", minutes=20,
       reported="68.2, which is 6.4 above SimCLR, at a batch of 256, abstract")  # fmt: skip
def helps_small_batches(lab: Lab) -> Evidence:
    return against(lab, SMALL_BATCH, changed(SMALL_BATCH, coupled=True), "decoupled", "NT-Xent")


@claim("It helps more at a batch of 16 than at one of 64.", needs="nuisance-mnist", minutes=30)
def helps_small_batches_more(lab: Lab) -> Evidence:
    gains = []
    for recipe in (SMALL_BATCH, NUISANCE):
        pairs = zip(lab.scores(recipe), lab.scores(changed(recipe, coupled=True)), strict=True)
        gains.append([one - other for one, other in pairs])
    return Evidence(*gains, "gain at a batch of 16", "gain at 64")
