"""Learning Representations by Maximizing Mutual Information Across Views.

Philip Bachman, R Devon Hjelm, William Buchwalter. NeurIPS 2019.
https://arxiv.org/abs/1906.00910 · code: https://github.com/Philip-Bachman/amdim-public

    python -m labkit.papers.vision.amdim        which feature of a mixture predicts each place of a few pictures
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Bool, Float, Int64
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_counts, require_finite, require_positive
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.data import ImageSet, world
from labkit.evaluate import Split, knn_probe
from labkit.losses import without_autocast
from labkit.methods import TwoView, inference
from labkit.models import MLP, ResNet
from labkit.papers._controls import against_floor, untrained
from labkit.papers.vision._films import SIZE, film_recipe, object_view
from labkit.papers.vision._nuisance import supervised
from labkit.recipes import Kept, Recipe
from labkit.views import Compose, unit_images


@without_autocast
def local_nce(
    queries: Tensor, maps: Tensor, clip: float = 20.0, penalty: float = 0.04, entropy: float = 1.0
) -> Float[Tensor, ""]:
    """Each query finds every place of its own map among all places of the other maps (section 3.2).

    A score is s = q·k / √dim, softly clipped to clip·tanh(s / clip); ``penalty`` times the mean of s² before clipping
    is added. A place of a query's own map is scored against all places of the other n − 1 maps; the other places of its
    own are neither positive nor negative. Mean over queries and places. Division by √dim and the mean over all pairs in
    the penalty are the released code's, which clips at 10 or 20.

    Of several queries an item, a mixture, each place chooses those that find it, in shares (section 3.6): the mean of
    Σ share · log p + ``entropy`` · H(shares) is maximised. The best shares are softmax(log p / ``entropy``), and with
    them this is ``entropy`` · log Σ exp(log p / ``entropy``), which is what is computed; at 1 it is the likelihood of a
    mixture, but for a constant.

    Args:
        queries: [n, dim] global features of one view, n ≥ 2; or [n, features, dim].
        maps: [n, dim, rows, columns] local features of the other view of the same items.
        clip: largest score.
        penalty: weight of the squared scores; the paper's is 0.04.
        entropy: α, of several queries: the smaller, the more a place is left to one of them.

    Cost: time O(n² · features · dim · places), memory O(n² · features · places).

    Raises:
        ValueError: other shapes, a single item, NaN or infinite values, ``clip`` or ``entropy`` ≤ 0.
    """
    require_positive("entropy", entropy)
    found, scores = _found(queries[:, None] if queries.dim() == 2 else queries, maps, clip)
    told = found[:, 0] if found.shape[1] == 1 else entropy * (found / entropy).logsumexp(dim=1)
    return penalty * scores.square().mean() - told.mean()


def _found(queries: Tensor, maps: Tensor, clip: float) -> tuple[Float[Tensor, "n features places"], Tensor]:
    """Log-probabilities with which the queries of each item find the places of its map; all scores before clipping."""
    if queries.dim() != 3 or maps.dim() != 4 or queries[:, 0].shape != maps.shape[:2] or len(maps) < 2:
        raise ValueError(f"queries must be [n, dim] or [n, features, dim] and maps [n, dim, rows, columns], n ≥ 2, not "
                         f"{list(queries.shape)} and {list(maps.shape)}")  # fmt: skip
    require_positive("clip", clip)
    for name, values in (("queries", queries), ("maps", maps)):
        require_finite(name, values.detach())
    items, features, dim = queries.shape
    raw = torch.einsum("id,jdp->ijp", queries.flatten(0, 1), maps.flatten(2)) * dim**-0.5
    scores = clip * torch.tanh(raw / clip)
    item = torch.arange(items, device=maps.device).repeat_interleave(features)
    own = scores[torch.arange(len(scores), device=maps.device), item]
    itself = item[:, None] == torch.arange(items, device=maps.device)
    others = scores.masked_fill(itself[..., None], -torch.inf).flatten(1).logsumexp(dim=1, keepdim=True)
    return (own - torch.logaddexp(own, others)).view(items, features, -1), raw


class AMDIM(TwoView):
    """The global feature of one view predicts the local features of the other, at two scales (section 3).

    Three terms, each in both directions: the global feature with the maps of the last and of the middle stage, and a
    place drawn from the last map with the last map (1→5, 1→7 and 5→5 in the paper, whose maps have 5 × 5 and 7 × 7
    places). The paper keeps the receptive fields of local features small. So do our recipes: of a picture of 32 × 32, a
    place of the last map sees 19 × 19 pixels, one of the middle map 11 × 11.

    Args:
        encoder: a residual network of three stages of one block.
        view: as in ``TwoView``.
        dim: width of the features that are compared.
        local: False for the control: the global features of two views, nothing local.
        across: False for the control: both from one view, as in Deep InfoMax.
        features: that predict local ones: 1, or a mixture, made of the global feature (section 3.6). Nothing tells them
            which places are whose, so that a place's choice divides the picture: a segmentation of which none was told.
    """

    def __init__(self, encoder: nn.Module, view: Callable[[Tensor], Tensor], dim: int = 128, local: bool = True,
                 across: bool = True, features: int = 1):  # fmt: skip
        require_counts(features=features)
        if features > 1 and not local:
            raise ValueError("a mixture predicts local features: local=False has none; use features=1")
        super().__init__(encoder, MLP(encoder.dim, 128, dim, norm="batch"), view, local_nce)
        self.heads = nn.ModuleList(_head(width, dim) for width in (encoder.dim // 2, encoder.dim))
        self.heads[0].requires_grad_(local)  # without local features no term uses the middle map
        self.local, self.across = local, across
        self.mix = MLP(dim, 128, features * dim) if features > 1 else None

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        z, middle, last = self.described(self.viewed(images))
        if not self.local:
            terms = [(z, last.mean((2, 3), keepdim=True))]
        else:
            place = torch.randint(last[0, 0].numel(), (len(last),), device=last.device)
            asking = self.mixture(z)
            terms = [(asking, last), (asking, middle), (last.flatten(2)[torch.arange(len(last)), :, place], last)]
        return sum(self._both_ways(queries, maps) for queries, maps in terms)

    def described(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The global feature of each view, and its maps of the middle and of the last stage, as they are compared."""
        first = self.encoder.stages[0](self.encoder.stem(views.contiguous(memory_format=self.encoder.memory_format)))
        middle = self.encoder.stages[1](first)
        last = self.encoder.stages[2](middle)
        h = last.mean((2, 3))
        z = self.projector(h)
        self.seen = {name: x.detach().chunk(2) for name, x in (("h", h), ("z", z))}
        return z, self.heads[0](middle), self.heads[1](last)

    def mixture(self, z: Tensor) -> Tensor:
        """[items, dim] -> [items, features, dim], each the global feature and an addition; one stays as it is."""
        return z if self.mix is None else z[:, None] + self.mix(z).unflatten(1, (-1, z.shape[1]))

    @inference
    def segment(self, images: Tensor) -> Int64[Tensor, "items rows columns"]:
        """Which feature predicts each place of the middle map best, among the places of at most 64 images."""
        parts = []
        for part in images.chunk(math.ceil(len(images) / 64)):
            z, middle, _ = self.described(self.evaluation_view(part))
            found, _ = _found(self.mixture(z), middle, 20.0)
            parts.append(found.argmax(dim=1).unflatten(1, middle.shape[2:]))
        return torch.cat(parts)

    def _both_ways(self, queries: Tensor, maps: Tensor) -> Tensor:
        of_views = zip(queries.chunk(2), maps.chunk(2)[:: -1 if self.across else 1], strict=True)
        return sum(self.loss(gather(q), gather(m)) for q, m in of_views) / 2

    def check(self, images: Tensor) -> None:
        super().check(images)
        if len(getattr(self.encoder, "stages", ())) != 3:
            raise ValueError("AMDIM needs an encoder of three stages of one block: models.ResNet((1, 1, 1))")


def _head(inputs: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.ReLU(), nn.Conv2d(dim, dim, 1))


PLACES = 8  # rows and columns of the middle map
# One object of eight shapes and four textures before a patterned background.
TEXTURED = {"objects": (1, 1), "shape": world.FLAT, "x": (-0.2, 0.2), "y": (-0.2, 0.2), "scale": (0.55, 0.75)}


def local_encoder(images: ImageSet | None = None) -> ResNet:
    """``film_encoder`` with half of its 3 × 3 convolutions 1 × 1, so that places of its maps see less."""
    return ResNet((1, 1, 1), 16, stride=2, second=1)


def view_of(images: ImageSet | None = None) -> Compose:
    """Milder than SimCLR's, under which the loss stays near that of a guess: 20.9 of 22.1 after 48 epochs (seed 0)."""
    return object_view(0.5, 0.25)


def _build(images: ImageSet, **changes) -> AMDIM:
    return AMDIM(local_encoder(), view_of(images), **changes)


def _recipe(name: str, **changes) -> Recipe:
    options = {"n_train": 2000, "n_test": 600, "size": SIZE, "factors": TEXTURED}
    source = "ours: the paper trains wide residual networks on CIFAR, STL-10 and ImageNet"
    training = {"epochs": 48, "lr": 2e-3, "schedule": "cosine"}  # its loss falls, to 17 from the 22 of a guess
    same = {"batches": None, "batch_size": 64, "load_options": options, "training": training}
    recipe = film_recipe(name, partial(_build, **changes), source, **same)
    return replace(recipe, ceiling=supervised(recipe, "textured", view_of, local_encoder))


RECIPES = [
    _recipe("amdim/textured"),
    _recipe("amdim/global-only", local=False),
    _recipe("amdim/one-view", across=False),
    _recipe("amdim/mixture", features=4),
]
LOCAL, GLOBAL, ONE_VIEW, MIXTURE = RECIPES


@claim("Local features as targets beat global ones alone (section 4).", needs="world", minutes=9,
       why_not="places of a map see surfaces, of object and ground; the shape asked for is in the whole.")  # fmt: skip
def local_beats_global(lab: Lab) -> Evidence:
    return Evidence(lab.scores(LOCAL), lab.scores(GLOBAL), "global and local", "global alone", note=_floors(lab))


@claim("Targets from another view beat targets from the same view (section 3).", needs="world", minutes=9)
def across_views_beats_one_view(lab: Lab) -> Evidence:
    return Evidence(lab.scores(LOCAL), lab.scores(ONE_VIEW), "across views", "within a view")


@claim(
    "Local targets keep the texture of the object, which a global feature may drop.",
    needs="world",
    minutes=9,
    why_not="texture reaches the global feature too, as its views are crops of one surface.",
)
def local_keeps_texture(lab: Lab) -> Evidence:
    return Evidence(_texture(lab, LOCAL), _texture(lab, GLOBAL), "global and local", "global alone")


@claim(
    "The global feature beats raw pixels at the shape of the object.",
    needs="world",
    minutes=9,
    why_not="minutes of training, on a few pictures.",
)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_floor(lab, LOCAL, "AMDIM", "raw", "raw pixels")


@claim("A mixture of global features beats one (section 3.6).", needs="world", minutes=9)
def mixture_beats_one_feature(lab: Lab) -> Evidence:
    return Evidence(lab.scores(MIXTURE), lab.scores(LOCAL), "mixture of 4", "one feature")


@claim(
    "Which feature of the mixture predicts a place tells the object from the ground (section 4).",
    needs="world",
    minutes=9,
    reported="a figure: places of one part of a scene share a feature",
)
def mixture_segments(lab: Lab) -> Evidence:
    images, masks = _scenes(lab)
    trained, at_random = (
        [agreement(method.segment(images), masks) for method in methods]
        for methods in ([run.method for run in lab.runs(MIXTURE)], untrained(lab, MIXTURE))
    )
    return Evidence(trained, at_random, "mixture", "untrained", "adjusted Rand index")


@claim(
    "Features of the mixture tell the object from the ground better than four clusters of each picture's own colours.",
    needs="world",
    minutes=9,
)
def mixture_beats_colours(lab: Lab) -> Evidence:
    images, masks = _scenes(lab)
    found = [agreement(run.method.segment(images), masks) for run in lab.runs(MIXTURE)]
    colours = [agreement(by_colour(images, seed), masks) for seed in lab.seeds]
    return Evidence(
        found, colours, "mixture", "colours", "adjusted Rand index", "Ours: a floor that needs no training."
    )


def agreement(places: Int64[Tensor, "items rows columns"], masks: Bool[Tensor, "items rows columns"]) -> float:
    """Adjusted Rand index of two divisions of the places of a picture, 0 by chance, at most 1; mean over pictures."""
    pairs = zip(masks.flatten(1).tolist(), places.flatten(1).tolist(), strict=True)
    return fmean(adjusted_rand_score(mask, found) for mask, found in pairs)


def by_colour(images: Tensor, seed: int, clusters: int = 4) -> Int64[Tensor, "items rows columns"]:
    """k-means of the mean colours of the places of each picture: what their pixels alone tell."""
    colours = _at_places(unit_images(images)).flatten(2).transpose(1, 2).numpy()
    means = KMeans(clusters, n_init=1, random_state=seed)
    found = torch.stack([torch.from_numpy(means.fit_predict(places)) for places in colours])
    return found.long().unflatten(1, (PLACES, PLACES))


def _at_places(pictures: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(pictures, PLACES)


def _scenes(lab: Lab, most: int = 300) -> tuple[Tensor, Bool[Tensor, "items rows columns"]]:
    """Test pictures, and which places of each are of the object for the most part."""
    images = lab.material(MIXTURE).dataset
    rows = images.splits["test"][:most]
    drawn = world.render(world.sample(len(images), 0, **TEXTURED)[rows], SIZE, truths=["visible"])
    return images.images[rows], _at_places(drawn["visible"][:, 0].float()) > 0.5


def segmented(lab: Lab, pictures: int = 8) -> dict[str, list]:
    """Places of the first test pictures, by the mixture after training, before, and by colours; of the first seed."""
    images, masks = _scenes(lab)
    before = untrained(lab, MIXTURE)[0].segment(images)
    found = {"mixture": lab.runs(MIXTURE)[0].method.segment(images), "untrained": before}
    found["colours"] = by_colour(images, lab.seeds[0])
    return {"object": masks[:pictures].int().tolist()} | {name: at[:pictures].tolist() for name, at in found.items()}


def main(path: str | Path = "results/figures/amdim-mixture.json") -> None:
    """Train the mixture with seed 0 and leave what it makes of a few test pictures in results/figures."""
    kept = Kept(path, "places", seeds=[0])
    kept.found |= segmented(Lab("laptop", [0]))
    kept.write()


def _texture(lab: Lab, recipe: Recipe) -> list[float]:
    """20 nearest neighbours asked for the texture of the object, of four."""
    images = lab.material(recipe).dataset
    texture = world.sample(len(images), 0, **TEXTURED)["texture"][:, 0]
    split = Split.public(images)
    return [knn_probe(run.method.embed(images.images), texture, split, k=20).mean for run in lab.runs(recipe)]


def _floors(lab: Lab) -> str:
    images = lab.material(LOCAL).dataset
    untrained = [knn_probe(run.snapshots[0], images.labels, Split.public(images), k=20).mean for run in lab.runs(LOCAL)]
    found = ", ".join(f"{100 * score:.1f}" for score in untrained)
    return f"Eight shapes. Raw pixels {100 * lab.floors(LOCAL)['raw'].mean:.1f}, untrained {found}"


if __name__ == "__main__":
    main()
