"""TLDR: Twin Learning for Dimensionality Reduction.

Yannis Kalantidis, Carlos Lassance, Jon Almazán, Diane Larlus. TMLR 2022.
https://arxiv.org/abs/2110.09455 · code: https://github.com/naver/tldr

Any features go in, so that there is no recipe for images: :func:`reducer` is fit, ``embed`` is transform.
"""

from statistics import fmean

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from labkit._checks import require_matrix
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.data import load
from labkit.evaluate import neighbours
from labkit.losses import barlow_twins
from labkit.methods import Method, inference
from labkit.models import MLP
from labkit.papers.vision._neighbour_pairs import NeighbourPairs
from labkit.recipes import Recipe
from labkit.train import finished, fit, seeded

RECIPES: list[Recipe] = []


class TLDR(Method):
    """A linear map, learned so that an item and its neighbour agree behind a projector, by the loss of Barlow Twins.

    The redundancy term keeps the coordinates apart, so that nothing has to be pushed away. The projector, wider than
    the map, is thrown away. A batch is (items, a neighbour of each): ``NeighbourPairs``.

    Args:
        inputs, dim: numbers an item before and after.
        projector: width of the projector (the paper's is 8 192, its code's default 2 048); 0: the loss is taken on the
            ``dim`` numbers themselves.
        off_diagonal: λ of Barlow Twins, the released code's. That code scales the whole loss by 1/32.
    """

    def __init__(self, inputs: int, dim: int, projector: int = 128, off_diagonal: float = 3.9e-3):
        super().__init__()
        self.encoder, self.off_diagonal = nn.Linear(inputs, dim), off_diagonal
        self.projector = MLP(dim, projector, projector, norm="batch") if projector else nn.Identity()

    def forward(self, pair: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
        z = self.projector(self.encoder(torch.cat(pair))).chunk(2)
        self.seen = {"z": tuple(one.detach() for one in z)}
        return barlow_twins(*map(gather, z), self.off_diagonal)

    @inference
    def embed(self, x: Float[Tensor, "items inputs"]) -> Float[Tensor, "items dim"]:
        return self.encoder(x)


def reducer(
    x: Float[Tensor, "items inputs"],
    dim: int = 32,
    k: int = 5,
    near: Int64[Tensor, "items near"] | None = None,
    epochs: int = 100,
    lr: float = 3e-3,
    seed: int = 0,
    **changes,
) -> TLDR:
    """Learn a map to ``dim`` numbers from features alone; ``reducer(x, 8).embed(new)`` is fit and transform.

    Adam with a cosine schedule stands where the paper has LARS. Rate and projector were chosen by recall on 257 of the
    1 257 training images of ``digits``, with seeds 100 and 101; other seeds split the same images anew, so that about
    380 of the 540 queries of a claim were among those 1 257.

    Args:
        x: features, as floats.
        dim: 1 to the width of ``x``.
        k: neighbours from which the partner of an item is drawn (5 in the released code), by Euclidean distance.
        near: rows to draw it from instead, e.g. from an approximate index.
        epochs, lr, seed: of ``fit``; batches of 250.
        changes: arguments of :class:`TLDR`.

    Cost: O(items² · inputs) for exact neighbours, then linear in items.

    Raises:
        ValueError: NaN, fewer than four items, ``dim``, ``k`` or ``near`` out of range.

    Example:
        >>> z = reducer(features[train], dim=8).embed(features)
    """
    require_matrix("x", x, rows=4)
    if not 1 <= dim <= x.shape[1]:
        raise ValueError(f"dim must lie between 1 and the {x.shape[1]} numbers of an item, not {dim}")
    near = neighbours(x, k, "euclidean")[0] if near is None else near
    batches = NeighbourPairs(x, near, min(250, len(x)))
    with seeded(seed):
        method = TLDR(x.shape[1], dim, **changes)
    training = {"epochs": epochs, "lr": lr, "schedule": "cosine", "seed": seed}
    return finished(fit(method, batches, device="cpu", progress=False, **training)).method


def recall(z: Tensor, y: Tensor, database: Tensor, queries: Tensor, k: int = 1) -> float:
    """Share of the queries that have an item of their class among the k nearest of the database, by distance in z."""
    near = neighbours(z[database], k, "euclidean", queries=z[queries])[0]
    return (y[database][near] == y[queries, None]).any(dim=1).float().mean().item()


def pca(x: Tensor, fit_on: Tensor, dim: int, whiten: bool = False) -> Float[Tensor, "items dim"]:
    """The leading ``dim`` principal components of the rows ``fit_on``, of all rows; ``whiten``: each of variance 1."""
    mean = x[fit_on].mean(dim=0)
    _, values, axes = torch.linalg.svd(x[fit_on] - mean, full_matrices=False)
    z = (x - mean) @ axes[:dim].T
    return z * (len(fit_on) - 1) ** 0.5 / values[:dim] if whiten else z


def umap(x: Tensor, fit_on: Tensor, dim: int, seed: int = 0) -> Float[Tensor, "items dim"]:
    """UMAP fitted to the rows ``fit_on``, all other rows put on its map; 15 neighbours, umap-learn's defaults."""
    from umap import UMAP

    model = UMAP(n_components=dim, random_state=seed, n_jobs=1).fit(x[fit_on].numpy())
    rest = torch.ones(len(x), dtype=torch.bool).index_fill(0, fit_on, False)
    z = torch.empty(len(x), dim)
    z[fit_on], z[rest] = torch.from_numpy(model.embedding_), torch.from_numpy(model.transform(x[rest].numpy()))
    return z


def features(name: str, seed: int, small: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pixels in [0, 1] [items, inputs], classes, rows of the database, rows of the queries: drawn anew for each seed.

    All of ``digits``; 5 000 training and 1 000 test images of another set. ``small``: 200 and 50.
    """
    images = load(name, seed=seed) if name == "digits" else load(name)
    generator = torch.Generator().manual_seed(seed)
    sizes = {"train": 200, "test": 50} if small else {"train": 5000, "test": 1000}
    rows = [
        images.splits[part][torch.randperm(len(images.splits[part]), generator=generator)[:size]]
        for part, size in sizes.items()
    ]
    both, n = torch.cat(rows), len(rows[0])
    x = images.images[both].flatten(1).float() / 255
    return x, images.labels[both], torch.arange(n), torch.arange(n, len(both))


def kept(z: Tensor, x: Tensor, database: Tensor, queries: Tensor, k: int = 10) -> float:
    """Share of a query's k nearest items of the database, by distance in x, that are among its k nearest in z."""
    near = [neighbours(one[database], k, "euclidean", queries=one[queries])[0] for one in (x, z)]
    return (near[0][:, :, None] == near[1][:, None]).any(dim=2).float().mean().item()


def reduced(lab: Lab, how: str, dim: int, name: str, seed: int) -> list[Float[Tensor, "items dim"]]:
    """What a way to reduce makes of the items of :func:`features`: one embedding, of PCA both; shared in a lab."""
    small = lab.scale == "smoke"
    x, _, database, _ = features(name, seed, small)
    if how == "PCA":
        return [pca(x, database, dim, whiten) for whiten in (False, True)]
    if how == "UMAP":
        return [lab.once((how, dim, name, seed), lambda: umap(x, database, min(dim, 8) if small else dim, seed))]
    changes = {"epochs": 2 if small else 100 if name == "digits" else 30}
    if how == "no projector":
        changes["projector"] = 0
    if how == "random pairs":
        changes["near"] = torch.randint(
            len(database), (len(database), 5), generator=torch.Generator().manual_seed(seed)
        )
    method = lab.once((how, dim, name, seed), lambda: reducer(x[database], dim, seed=seed, **changes))
    return [method.embed(x)]


def beside(lab: Lab, dim: int, name: str) -> str:
    """Recall@1 in all numbers, in as many random projections, and in those that part the classes best (LDA)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    found: dict[str, list[float]] = {"all": [], "random": [], "labels": []}
    for seed in lab.seeds:
        x, y, *rows = features(name, seed, lab.scale == "smoke")
        seen, generator = rows[0], torch.Generator().manual_seed(seed)
        projection = torch.randn(x.shape[1], dim, generator=generator)
        judge = LinearDiscriminantAnalysis("eigen", shrinkage="auto", n_components=min(dim, len(y[seen].unique()) - 1))
        parted = torch.from_numpy(judge.fit(x[seen].numpy(), y[seen].numpy()).transform(x.numpy()))
        for values, z in zip(found.values(), (x, x @ projection, parted), strict=True):
            values.append(recall(z, y, *rows))
    means = {how: f"{100 * fmean(values):.1f}" for how, values in found.items()}
    return (
        f"In all {x.shape[1]} numbers {means['all']}, in {dim} random projections {means['random']}, in "
        f"{judge.n_components} learned with labels (LDA) {means['labels']}."
    )


def _against(lab: Lab, control: str, dim: int, name: str = "digits", keep: bool = False) -> Evidence:
    found: dict[str, list[float]] = {"TLDR": [], control: []}
    for seed in lab.seeds:
        x, y, *rows = features(name, seed, lab.scale == "smoke")
        for how, values in found.items():
            embeddings = reduced(lab, how, dim, name, seed)  # of PCA's two the better one counts
            values.append(max(kept(z, x, *rows) if keep else recall(z, y, *rows) for z in embeddings))
    shown = "the better of PCA and whitened PCA" if control == "PCA" else control
    unit = "share of ten neighbours kept" if keep else "share of queries"
    note = ""
    if not keep:
        note = f"Recall@1 by Euclidean distance in {dim} numbers; every seed draws another split. "
        note += beside(lab, dim, name)
    if name == "digits":
        note = f"{note} Settings were chosen on images that are queries of some seeds.".strip()
    return Evidence(*found.values(), "TLDR", shown, unit, note)


@claim("At 8 dimensions a linear map learned from neighbour pairs finds the class more often than PCA.",
       needs="digits", minutes=0.5, reported="mAP 4 points higher on ROxford, abstract")  # fmt: skip
def beats_pca_at_8(lab: Lab) -> Evidence:
    return _against(lab, "PCA", 8)


@claim("At 32 dimensions it finds the class more often than PCA.",
       needs="digits", minutes=0.5, reported="mAP 4 points higher on ROxford, abstract")  # fmt: skip
def beats_pca_at_32(lab: Lab) -> Evidence:
    return _against(lab, "PCA", 32)


@claim("On MNIST, at 8 dimensions, it finds the class more often than PCA.",
       needs="mnist", minutes=1, reported="mAP 4 points higher on ROxford, abstract")  # fmt: skip
def beats_pca_on_mnist(lab: Lab) -> Evidence:
    return _against(lab, "PCA", 8, "mnist")


@claim("At 8 dimensions a linear map finds the class more often than UMAP, which is not linear.",
       needs="digits", minutes=1)  # fmt: skip
def beats_umap_at_8(lab: Lab) -> Evidence:
    return _against(lab, "UMAP", 8)


@claim("At 32 dimensions it finds the class more often than UMAP.", needs="digits", minutes=1)
def beats_umap_at_32(lab: Lab) -> Evidence:
    return _against(lab, "UMAP", 32)


@claim("The pairs have to be neighbours: random pairs teach less.", needs="digits", minutes=0.5)
def neighbours_are_needed(lab: Lab) -> Evidence:
    return _against(lab, "random pairs", 8)


@claim("The projector is needed: without it the loss on the 8 numbers themselves teaches less.",
       needs="digits", minutes=0.5)  # fmt: skip
def projector_helps(lab: Lab) -> Evidence:
    return _against(lab, "no projector", 8)


@claim(
    "The map keeps more of an item's ten nearest neighbours than PCA does at 8 dimensions.",
    needs="digits",
    minutes=0.5,
    why_not="PCA keeps distances as well as a linear map can; pairs keep who is near, not how near; not tested.",
)
def keeps_neighbours(lab: Lab) -> Evidence:
    return _against(lab, "PCA", 8, keep=True)
