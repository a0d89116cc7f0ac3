"""Learning Representations by Maximizing Mutual Information Across Views.

Philip Bachman, R Devon Hjelm, William Buchwalter. NeurIPS 2019.
https://arxiv.org/abs/1906.00910 · code: https://github.com/Philip-Bachman/amdim-public
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labkit._checks import require_finite, require_positive
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.data import ImageSet, world
from labkit.evaluate import Split, knn_probe
from labkit.losses import without_autocast
from labkit.methods import TwoView
from labkit.models import MLP, ResNet
from labkit.papers._controls import against_floor
from labkit.papers.vision._films import SIZE, film_recipe, object_view
from labkit.papers.vision._nuisance import supervised
from labkit.recipes import Recipe
from labkit.views import Compose


@without_autocast
def local_nce(queries: Tensor, maps: Tensor, clip: float = 20.0, penalty: float = 0.04) -> Float[Tensor, ""]:
    """Each query finds every place of its own map among all places of the other maps (section 3.2).

    A score is s = q·k / √dim, softly clipped to clip·tanh(s / clip); ``penalty`` times the mean of s² before clipping
    is added. A place of a query's own map is scored against all places of the other n − 1 maps; the other places of its
    own are neither positive nor negative. Mean over queries and places. Division by √dim and the mean over all pairs in
    the penalty are the released code's, which clips at 10 or 20.

    Args:
        queries: [n, dim] global features of one view, n ≥ 2.
        maps: [n, dim, rows, columns] local features of the other view of the same items.
        clip: largest score.
        penalty: weight of the squared scores; the paper's is 0.04.

    Cost: time O(n² · dim · places), memory O(n² · places).

    Raises:
        ValueError: other shapes, a single item, NaN or infinite values, ``clip`` ≤ 0.
    """
    if maps.dim() != 4 or queries.shape != maps.shape[:2] or len(maps) < 2:
        raise ValueError(f"queries must be [n, dim] and maps [n, dim, rows, columns], n ≥ 2, not {list(queries.shape)} "
                         f"and {list(maps.shape)}")  # fmt: skip
    require_positive("clip", clip)
    for name, values in (("queries", queries), ("maps", maps)):
        require_finite(name, values.detach())
    raw = torch.einsum("id,jdp->ijp", queries, maps.flatten(2)) * queries.shape[1] ** -0.5
    scores = clip * torch.tanh(raw / clip)
    own = scores.diagonal().T
    itself = torch.eye(len(maps), dtype=torch.bool, device=maps.device)[:, :, None]
    others = scores.masked_fill(itself, -torch.inf).flatten(1).logsumexp(dim=1, keepdim=True)
    return (torch.logaddexp(own, others) - own).mean() + penalty * raw.square().mean()


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
    """

    def __init__(self, encoder: nn.Module, view: Callable[[Tensor], Tensor], dim: int = 128, local: bool = True,
                 across: bool = True):  # fmt: skip
        super().__init__(encoder, MLP(encoder.dim, 128, dim, norm="batch"), view, local_nce)
        self.heads = nn.ModuleList(_head(width, dim) for width in (encoder.dim // 2, encoder.dim))
        self.heads[0].requires_grad_(local)  # without local features no term uses the middle map
        self.local, self.across = local, across

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        middle, last = self._maps(self.viewed(images))
        h = last.mean((2, 3))
        z = self.projector(h)
        self.seen = {name: x.detach().chunk(2) for name, x in (("h", h), ("z", z))}
        middle, last = (head(part) for head, part in zip(self.heads, (middle, last), strict=True))
        if not self.local:
            terms = [(z, last.mean((2, 3), keepdim=True))]
        else:
            place = torch.randint(last[0, 0].numel(), (len(last),), device=last.device)
            terms = [(z, last), (z, middle), (last.flatten(2)[torch.arange(len(last)), :, place], last)]
        return sum(self._both_ways(queries, maps) for queries, maps in terms)

    def _maps(self, views: Tensor) -> list[Tensor]:
        first = self.encoder.stages[0](self.encoder.stem(views.contiguous(memory_format=self.encoder.memory_format)))
        middle = self.encoder.stages[1](first)
        return [middle, self.encoder.stages[2](middle)]

    def _both_ways(self, queries: Tensor, maps: Tensor) -> Tensor:
        of_views = zip(queries.chunk(2), maps.chunk(2)[:: -1 if self.across else 1], strict=True)
        return sum(self.loss(gather(q), gather(m)) for q, m in of_views) / 2

    def check(self, images: Tensor) -> None:
        super().check(images)
        if len(getattr(self.encoder, "stages", ())) != 3:
            raise ValueError("AMDIM needs an encoder of three stages of one block: models.ResNet((1, 1, 1))")


def _head(inputs: int, dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.ReLU(), nn.Conv2d(dim, dim, 1))


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
]
LOCAL, GLOBAL, ONE_VIEW = RECIPES


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
