"""SimCLR: A Simple Framework for Contrastive Learning of Visual Representations.

Ting Chen, Simon Kornblith, Mohammad Norouzi, Geoffrey Hinton. ICML 2020.
https://arxiv.org/abs/2002.05709 · code: https://github.com/google-research/simclr

    python -m labkit.papers.vision.simclr 3       accuracy over the temperature and over views, 3 seeds -> JSON
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from statistics import fmean

from torch import Tensor, nn

from labkit.claims import Evidence, Lab, claim
from labkit.losses import multi_view_nt_xent, nt_xent
from labkit.methods import TwoView
from labkit.models import MLP, resnet8
from labkit.papers._controls import against_floor
from labkit.papers.vision._nuisance import changed, family, view_of
from labkit.papers.vision._nuisance import nuisance_view as nuisance_view
from labkit.recipes import over_seeds, spread
from labkit.views import Compose, GaussianNoise, RandomResizedCrop


class SimCLR(TwoView):
    """Two random views of each image; each view finds its partner among the 2n of the batch (section 2).

    What is kept is the encoder's output h; the loss is taken on z = g(h), behind a small projection head that is
    thrown away (section 4.2).

    Args:
        encoder: images [n, channels, h, w] -> [n, dim], with an attribute ``dim``.
        view: images -> images, drawn anew for each image at each call.
        projector: the head g; None: Linear-ReLU-Linear, twice the encoder's width between.
        temperature: τ of NT-Xent.
        views: of each image. The paper's are two; of more, the loss is the mean over all pairs of them, see
            ``losses.multi_view_nt_xent``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        projector: nn.Module | None = None,
        temperature: float = 0.5,
        views: int = 2,
    ):
        if projector is None and not hasattr(encoder, "dim"):
            raise ValueError("how wide is the encoder's output? Set encoder.dim, or hand in a projector")
        projector = MLP(encoder.dim, 2 * encoder.dim, encoder.dim) if projector is None else projector
        loss = nt_xent if views == 2 else multi_view_nt_xent
        super().__init__(encoder, projector, view, partial(loss, temperature=temperature), views=views)


def _build(images, view: Callable | None = None, off: Sequence[str] = (), **changes) -> SimCLR:
    view = view or view_of(images, **{name: OFF[name] for name in off})
    return SimCLR(resnet8(16, images.images.shape[1]), view, **{"temperature": 0.2} | changes)


OFF = {"crop": 1.0, "invert": 0.0, "jitter": 0.0, "noise": 0.0}  # changes of nuisance_view, and where each does nothing
RECIPES = family(
    "simclr", _build, source="ours: batch, rate and temperature chosen by k-NN on 800 of the 4 000 training images"
)
NUISANCE, SMALL = RECIPES[:2]


@claim(
    "Contrastive features find a digit's class where raw pixels find its background.", needs="nuisance-mnist", minutes=6
)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_floor(lab, NUISANCE, "SimCLR", "raw", "raw pixels")


@claim("Which changes count as the same image decides what is learned (section 3).", needs="nuisance-mnist", minutes=12)
def views_decide(lab: Lab) -> Evidence:
    same_size = RandomResizedCrop(28, scale=(1.0, 1.0), ratio=(1.0, 1.0))
    noise_only = changed(NUISANCE, view=Compose([same_size, GaussianNoise(0.1)]))
    return Evidence(lab.scores(NUISANCE), lab.scores(noise_only), "views of the nuisances", "noise-only views")


@claim("The layer before the projection head is a better representation than the one behind it (section 4.2).",
       needs="nuisance-mnist", minutes=6, reported="more than 10 points, section 4.2")  # fmt: skip
def before_the_head(lab: Lab) -> Evidence:
    items = lab.material(NUISANCE).items
    behind = lab.scores(NUISANCE, embed=lambda run: run.method.projected(items))
    return Evidence(lab.scores(NUISANCE), behind, "h, before the head", "z, behind it")


@claim(
    "Training with a nonlinear projection head beats training without one (section 4.2).",
    needs="nuisance-mnist",
    minutes=12,
    reported="more than 10 points, section 4.2",
    why_not="these views change nothing that the class needs, so that the head has little to throw away.",
)
def head_helps(lab: Lab) -> Evidence:
    without = changed(NUISANCE, projector=nn.Identity())
    return Evidence(lab.scores(NUISANCE), lab.scores(without), "with the head", "without")


TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0)


def ablations(seeds: Sequence[int] = range(3), path: str | Path | None = None, **changes) -> dict[str, list[float]]:
    """k-NN accuracy over the temperature, and over views made of one change and of two (figure 5; tables 4 and 5).

    The images are those of ``simclr/nuisance-mnist-small``; τ = 0.2 has all four changes, and they have τ = 0.2.

    Args:
        seeds, path, changes: as of :func:`labkit.recipes.over_seeds`.

    Returns:
        "τ = 0.05", ... and "crop", "crop + invert", ... -> accuracy for each seed; and "raw" and "untrained".
    """
    arms = {f"τ = {tau:g}": changed(SMALL, temperature=tau) for tau in TEMPERATURES}
    for parts in [(name,) for name in OFF] + list(combinations(OFF, 2)):
        arms[" + ".join(parts)] = changed(SMALL, off=[name for name in OFF if name not in parts])
    return over_seeds(arms, seeds, path, **changes)


def main(seeds: str = "3") -> None:
    """Measure temperatures and views, print them, and leave them in results/figures."""
    for name, values in ablations(range(int(seeds)), "results/figures/simclr-ablations.json").items():
        print(f"{name:>16}   {100 * fmean(values):.1f} ± {100 * spread(values):.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
