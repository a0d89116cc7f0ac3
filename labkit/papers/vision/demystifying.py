"""Demystifying Contrastive Self-Supervised Learning: Invariances, Augmentations and Dataset Biases.

Senthil Purushwalkam, Abhinav Gupta. NeurIPS 2020.
https://arxiv.org/abs/2007.13916

The paper measures on films and catalogues of real objects what a representation is invariant to. In the world one
factor moves and every other stands still. The score is written from memory of section 4 of the paper.

    python -m labkit.papers.vision.demystifying 3       the table: encoders by changes, 3 seeds -> JSON
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float, UInt8
from sklearn.decomposition import PCA
from torch import Tensor

from labkit._checks import require_finite, require_known
from labkit.claims import Evidence, Lab, claim
from labkit.data import ImageSet, world
from labkit.losses import nt_xent
from labkit.methods import Method
from labkit.papers._controls import untrained
from labkit.papers.vision._films import (
    SIZE,
    FilmViews,
    film_batches,
    film_encoder,
    film_head,
    film_recipe,
    object_view,
    scenes_of,
)
from labkit.recipes import Kept, Recipe, spread

STEPS = 8  # pictures of each scene under each change
MEASURED = 200  # scenes, of the test split


def representation_invariance(h: Tensor, y: Tensor, top: int = 10) -> Float[Tensor, " classes"]:
    """How often the best units of a class fire on its pictures, whatever is changed: the paper's invariance score.

    For a class with a share p of the pictures, a unit's threshold lets it fire on a share p of all pictures. Its score
    is the share of the class's pictures, every change of every scene, on which it fires; p by chance, 1 if it fires on
    all of them and on no other. A unit may fire above or below its threshold, whichever is better. The score of the
    class is the mean over its ``top`` best units, so that units which are about something else do not count; the best
    of many units are above p by chance alone (:func:`score_is_about_classes` says how far).

    Args:
        h: [scenes, steps, units] a representation of every scene under every step of a change.
        y: [scenes] classes.
        top: units of a class, at least 1; the paper's are 10 and 25 of ResNet-50's 2 048.

    Returns:
        One score in [0, 1] for each class in ``y``, in rising order of their numbers.

    Cost: time O(classes · pictures · units · log pictures), memory that of ``h`` twice.

    Raises:
        ValueError: other shapes, NaN or infinite values, a ``top`` that is no number of units, a single class.
    """
    if h.dim() != 3 or y.shape != h.shape[:1] or 0 in h.shape:
        raise ValueError(f"h must be [scenes, steps, units] and y [scenes], not {list(h.shape)} and {list(y.shape)}")
    require_finite("h", h)
    if not 1 <= top <= h.shape[2]:
        raise ValueError(f"top must be 1 to {h.shape[2]}, the number of units, not {top}")
    kinds = y.unique()
    if len(kinds) < 2:
        raise ValueError("all scenes are of one class: there is nothing that a unit should not fire on")
    pictures = h.shape[0] * h.shape[1]
    order = h.flatten(0, 1).sort(dim=0).values
    scores = []
    for kind in kinds:
        ours = h[y == kind].flatten(0, 1)
        fires = len(ours)  # of all pictures, as many as the class has
        above = ours > order[pictures - fires - 1]
        below = ours < order[fires]
        best = torch.maximum(above.double().mean(0), below.double().mean(0)).topk(top).values
        scores.append(best.mean())
    return torch.stack(scores)


def changes(scenes: world.Scenes, kind: str, steps: int = STEPS) -> list[world.Scenes]:
    """The same scenes ``steps`` times with one thing changed and all else kept.

    Args:
        scenes: of one object each.
        kind: "occlusion": a disc in front covers a twelfth to a third of the object, from each side in turn. "cut": the
            object stands so far out that the picture's edge cuts a quarter off, on each side in turn. "viewpoint": the
            object turned about its upright axis, over half a turn. "light direction", "light colour". "instance":
            another object of the class, in another colour before another background, at the same place and from the
            same viewpoint.
        steps: how many.

    Raises:
        ValueError: an unknown kind, scenes of several objects.
    """
    require_known("change", kind, _CHANGES)
    if scenes.objects.shape[1] != 1:
        raise ValueError(f"scenes must hold one object each, not {scenes.objects.shape[1]}")
    return [_CHANGES[kind](scenes, step, steps) for step in range(steps)]


def _occluded(scenes: world.Scenes, step: int, steps: int) -> world.Scenes:
    side = torch.tensor(2 * torch.pi * (step + 0.5) / steps)
    disc = scenes.change(
        shape="disc",
        texture="plain",
        colour=float(step % len(world.COLOURS)),
        x=scenes["x"] + 0.6 * scenes["scale"] * side.cos(),
        y=scenes["y"] + 0.6 * scenes["scale"] * side.sin(),
        scale=0.5 * scenes["scale"],
    )
    return world.Scenes(torch.cat([disc.objects, scenes.objects], dim=1), scenes.stage)


def _cut(scenes: world.Scenes, step: int, steps: int) -> world.Scenes:
    side = torch.tensor(2 * torch.pi * (step + 0.5) / steps)
    out = (1 - 0.3 * scenes["scale"]) / torch.maximum(side.cos().abs(), side.sin().abs())
    return scenes.change(x=out * side.cos(), y=out * side.sin())


def _turned(scenes: world.Scenes, step: int, steps: int) -> world.Scenes:
    return scenes.change(azimuth=scenes["azimuth"] + 180 * step / steps)


def _lit(scenes: world.Scenes, step: int, steps: int) -> world.Scenes:
    return scenes.change(light_angle=30 + 120 * step / max(1, steps - 1))


def _tinted(scenes: world.Scenes, step: int, steps: int) -> world.Scenes:
    return scenes.change(cast=float(round(step * len(world.SHAPES) / steps) % len(world.SHAPES)))


def _exchanged(scenes: world.Scenes, step: int, steps: int) -> world.Scenes:
    other = scenes[torch.arange(len(scenes)).roll(step)]
    kept = ("shape", "x", "y", "scale", "angle", "azimuth", "elevation", "light_angle", "light_height", "shadow")
    return other.change(**{name: scenes[name].float() for name in kept})


_CHANGES: dict[str, Callable[[world.Scenes, int, int], world.Scenes]] = {
    "occlusion": _occluded,
    "cut": _cut,
    "viewpoint": _turned,
    "light direction": _lit,
    "light colour": _tinted,
    "instance": _exchanged,
}
KINDS = tuple(_CHANGES)


def drawn(images: ImageSet, kind: str, count: int = MEASURED) -> tuple[UInt8[Tensor, "scenes steps 3 h w"], Tensor]:
    """The first ``count`` test scenes under a change, drawn, and their classes."""
    scenes = scenes_of(images, "test")
    scenes = scenes[: min(count, len(scenes))]
    pictures = [world.render(changed, SIZE)["image"] for changed in changes(scenes, kind)]
    return torch.stack(pictures, dim=1), scenes.labels


def invariance(method: Method, pictures: UInt8[Tensor, "scenes steps 3 h w"], y: Tensor, top: int = 10) -> float:
    """The invariance score of a method's embedding, mean over classes."""
    h = method.embed(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
    return representation_invariance(h, y, top).mean().item()


def _build(images: ImageSet, crop: float = 0.3, apart: bool = False) -> FilmViews:
    return FilmViews(film_encoder(), film_head(), object_view(crop), partial(nt_xent, temperature=0.2), apart)


SOURCE = "ours: the paper trains MoCo v2 (ResNet-50) on ImageNet, COCO and films of TrackingNet"
CLUTTER = {"objects": (3, 3), "scale": (0.4, 0.6), "x": (-0.6, 0.6), "y": (-0.6, 0.6)}
RECIPES = [
    film_recipe("demystifying/contrastive", _build, SOURCE),
    film_recipe("demystifying/video", partial(_build, apart=True), SOURCE),
    film_recipe("demystifying/whole-frames", partial(_build, crop=1.0), SOURCE),
    film_recipe("demystifying/cluttered", _build, SOURCE, batches=partial(film_batches, **CLUTTER)),
]
CONTRASTIVE, VIDEO, WHOLE, CLUTTERED = RECIPES
SUPERVISED = CONTRASTIVE.ceiling


def table(
    seeds: Sequence[int] = range(3), path: str | Path | None = None, scale: str = "laptop"
) -> dict[str, dict[str, list[float]]]:
    """The invariance of encoders to each change, and that of raw pixels: the paper's table 1, on the world.

    Args:
        seeds: trainings of each encoder.
        path: JSON to which every encoder is written as it is done; those that are there with these seeds stay.
        scale: "laptop", or "smoke" to see that it runs.

    Returns:
        name -> change -> the score for each seed, in [0, 1]. "raw pixels": their 64 leading principal components on the
        training pictures, as many units as the encoders have; one number each. "untrained": the encoder at its start.

    Cost: four trainings and their scoring a seed, a minute each on one core.
    """
    arms = {"one frame": CONTRASTIVE, "whole frames": WHOLE, "two frames": VIDEO, "supervised": SUPERVISED}
    kept = Kept(path, "invariance", seeds=list(seeds), scale=scale, options=str(CONTRASTIVE.load_options))
    lab, found = Lab(scale, seeds=seeds), kept.found
    if not found:
        images = lab.material(CONTRASTIVE).dataset
        pixels = images.images[images.splits["train"]].flatten(1)
        axes = torch.from_numpy(PCA(64, svd_solver="covariance_eigh").fit(pixels).components_).float()
        starts = untrained(lab, CONTRASTIVE)
        found |= {"raw pixels": {}, "untrained": {}}
        for kind in KINDS:
            pictures, y = _drawn(lab, kind)
            score = representation_invariance(pictures.flatten(2).float() @ axes.T, y).mean().item()
            found["raw pixels"][kind] = [score]
            found["untrained"][kind] = [invariance(method, pictures, y) for method in starts]
    for name, recipe in arms.items():
        if name not in found:
            found[name] = {kind: _scores(lab, recipe, kind) for kind in KINDS}
            kept.write()
    return found


def _drawn(lab: Lab, kind: str) -> tuple[Tensor, Tensor]:
    return lab.once(("drawn", kind), lambda: drawn(lab.material(CONTRASTIVE).dataset, kind))


def _scores(lab: Lab, recipe: Recipe, kind: str) -> list[float]:
    return [invariance(run.method, *_drawn(lab, kind)) for run in lab.runs(recipe)]


def _against(lab: Lab, kind: str, recipe: Recipe, control: Recipe, *names: str) -> Evidence:
    note = f"Firing on pictures of the class while its {kind} changes, the best 10 of 64 units."
    return Evidence(_scores(lab, recipe, kind), _scores(lab, control, kind), *names, "share of firing", note)


@claim("Crops make features invariant to occlusion: without them the same training has less of it (section 4).",
       needs="world", minutes=4)  # fmt: skip
def crops_bring_occlusion_invariance(lab: Lab) -> Evidence:
    return _against(lab, "occlusion", CONTRASTIVE, WHOLE, "with crops", "whole frames")


@claim("Crops make features invariant to being cut by the picture's edge, which is what they do to an object.",
       needs="world", minutes=4)  # fmt: skip
def crops_bring_invariance_to_cuts(lab: Lab) -> Evidence:
    return _against(lab, "cut", CONTRASTIVE, WHOLE, "with crops", "whole frames")


@claim(
    "Contrastive features are more invariant to occlusion than supervised ones (table 1).",
    needs="world",
    minutes=4,
    why_not="crops change nothing here, and the supervised encoder has the labels.",
)
def more_occlusion_invariant_than_supervised(lab: Lab) -> Evidence:
    return _against(lab, "occlusion", CONTRASTIVE, SUPERVISED, "contrastive", "supervised")


@claim("Contrastive features are less invariant to viewpoint than supervised ones (table 1).", needs="world", minutes=4)
def less_viewpoint_invariant_than_supervised(lab: Lab) -> Evidence:
    return _against(lab, "viewpoint", SUPERVISED, CONTRASTIVE, "supervised", "contrastive")


@claim("Contrastive features are less invariant to the instance of a class than supervised ones (table 1).",
       needs="world", minutes=4)  # fmt: skip
def less_instance_invariant_than_supervised(lab: Lab) -> Evidence:
    return _against(lab, "instance", SUPERVISED, CONTRASTIVE, "supervised", "contrastive")


@claim(
    "Views from two frames of a film make features more invariant to viewpoint (section 5).", needs="world", minutes=4
)
def video_brings_viewpoint_invariance(lab: Lab) -> Evidence:
    return _against(lab, "viewpoint", VIDEO, CONTRASTIVE, "two frames", "one frame")


@claim("Views from two frames of a film find the class better (section 5).", needs="world", minutes=4)
def video_finds_the_class(lab: Lab) -> Evidence:
    return Evidence(lab.scores(VIDEO), lab.scores(CONTRASTIVE), "two frames", "one frame")


@claim("Crops of cluttered scenes teach less than crops of pictures with one object (section 4).",
       needs="world", minutes=4)  # fmt: skip
def object_centric_pictures_help(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CONTRASTIVE), lab.scores(CLUTTERED), "one object", "three objects")


@claim("The score is about classes: it is higher than that of the same units for classes dealt at random.",
       needs="world", minutes=2)  # fmt: skip
def score_is_about_classes(lab: Lab) -> Evidence:
    pictures, y = _drawn(lab, "viewpoint")
    dealt = [y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))] for seed in lab.seeds]
    methods = [run.method for run in lab.runs(VIDEO)]
    true = [invariance(method, pictures, y) for method in methods]
    shuffled = [invariance(method, pictures, other) for method, other in zip(methods, dealt, strict=True)]
    floor = ", ".join(f"{invariance(method, pictures, y):.2f}" for method in untrained(lab, VIDEO))
    note = f"Changing viewpoint. Untrained encoders, true classes: {floor}"
    return Evidence(true, shuffled, "the classes", "dealt at random", "share of firing", note)


def main(seeds: str = "3") -> None:
    """Measure the table, print it, and leave it in results/figures."""
    for name, row in table(range(int(seeds)), "results/figures/demystifying-invariance.json").items():
        cells = (f"{kind} {100 * fmean(at):.0f} ± {100 * spread(at):.0f}" for kind, at in row.items())
        print(f"{name:>14}   " + "   ".join(cells))


if __name__ == "__main__":
    main(*sys.argv[1:])
