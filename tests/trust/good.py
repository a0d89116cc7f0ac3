"""Arguments that fit together, by name: what each call of ``tests.trust.misuse`` starts from before it is spoiled."""

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit._graph_batch import GraphBatch

# What is public and not called, each with why.
LEFT_OUT = {
    "data.Catalogue": "a mapping of the entries below, made by catalogue()",
    "data.Entry": "a record of the catalogue; its JSON is checked when it is read",
    "data.File": "a record of the catalogue; its JSON is checked when it is read",
    "evaluate.Score": "what a probe returns; Score.of makes it",
    "explore.Explorer": "explore() makes it, from checked sources",
    "explore.Neighbours": "what Explorer.neighbours returns",
    "explore.Layer": "a record that playgrounds fill in",
    "explore.Panel": "a record that playgrounds fill in",
    "explore.Slider": "a record that playgrounds fill in",
    "explore.Playground": "made by the playground functions",
    "methods.Method": "the base class",
    "models.MaskedRows": "a value that views make for encoders",
    "models.SparseMatrix": "a value that propagation_matrix and sparse_if_faster make",
    "teach.Comparison": "what beside_paper returns",
    "teach.Prediction": "what predict returns",
    "train.Run": "what fit returns",
    "train.joined": "needs several processes: tests/train/test_parallel.py",
    "train.memory_kept": "takes no argument",
    "plot.show": "draws on a display",
    "recipes.PaperNumber": "a record that papers fill in",
    "recipes.Recipe": "a record that papers fill in",
    "recipes.Result": "what run returns",
    "recipes.Trained": "what sweep returns",
    "theory.modes.Modes": "what the functions of modes return",
    "theory.multicut.Clusters": "what greedy_multicut returns",
    "theory.bounds.Losses": "what contrastive_losses returns",
    "theory.bounds.Sampled": "what sampled_losses returns",
    "theory.spectral.check_graph": "a check that is told what its argument is called",
    "theory.sphere.Composition": "what composition returns",
    "theory.pair_kernel.PairKernelEncoder": "PairKernelEncoder.fit makes it",
}
# Numbers that are handed on as they are.
PASSED_ON = {
    "data.GraphBatch",
    "methods.encoded",
    "methods.in_blocks",
    "models.diffuse",
    "models.dropout",
    "models.sparse_if_faster",
    "views.mask_feature_columns",
    "train.Minibatches",
    "train.to_device",
}
# Answers in which infinity is the right word, by their docstrings.
MAY_BE_INFINITE = {
    *PASSED_ON,
    "explore.four_losses",
    "theory.augmentation.complexity_bound",
    "theory.augmentation.top_d_bound",
    "theory.bounds.supervised_bound",
    "theory.factorisation.probe_residual",
    "theory.modes.barlow_twins",
    "theory.modes.half_times",
    "theory.sphere.cosine_density",
    "theory.stepwise.critical_times",
}
# Answers in which NaN is, by their docstrings.
MAY_BE_NAN = {"evaluate.collapse", "theory.bounds.sampled_losses", "explore.collision_curve", *PASSED_ON}
# What an argument is called in messages, where that is another word.
CALLED = {
    "data.available": "data set",
    "data.load": "data set",
    "data.read_graph": "file",
    "explore.four_losses": "gamma",
    "explore.uniformity_curve": "t",
    "recipes.choose_protocol": "protocol",
    "train.fit": "learning rate",
    "recipes.for_own_graph": "file",
}
# What changes an argument, for that is what it is for.
CHANGES = {"train.fit"}


@dataclass(frozen=True)
class World:
    """Sizes that all arguments of a call share, and the numbers in them."""

    seed: int
    dtype: torch.dtype
    items: int = 12
    dim: int = 4
    classes: int = 3

    @cached_property
    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=self.dtype)

    def share(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator, dtype=self.dtype) * 0.8 + 0.1

    @cached_property
    def labels(self) -> Tensor:
        return torch.arange(self.items) % self.classes

    @cached_property
    def edges(self) -> Tensor:
        ring = torch.arange(self.items)
        edges = torch.stack([ring, ring.roll(1)])
        return torch.cat([edges, edges.flip(0)], dim=1)

    @cached_property
    def symmetric(self) -> Tensor:
        weights = self.share(self.items, self.items).fill_diagonal_(0)
        return weights + weights.T

    @cached_property
    def pairs(self) -> Tensor:
        from labkit.theory.spectral import balanced

        return balanced(self.symmetric).to(self.dtype)

    @cached_property
    def graphs(self) -> GraphBatch:
        half = self.items // 2
        edges = torch.cat([self.edges[:, : half - 1], self.edges[:, half : self.items - 1]], dim=1)
        inside = edges[:, (edges[0] < half) == (edges[1] < half)]
        return GraphBatch(torch.randn(self.items, self.dim), inside, torch.tensor([0, half, self.items]))


def _split(world: World):
    from labkit.evaluate import Split

    rows = torch.arange(world.items)
    return Split(rows[:6], rows[6:9], rows[9:])


def _cross_validation():
    from labkit.evaluate import CrossValidation

    return CrossValidation(folds=2, strengths=1.0)


def _adjacency(world: World):
    from labkit.views import Adjacency

    return Adjacency(world.edges, world.items)


def _kernel(world: World):
    from labkit.models import PPR

    return PPR()


def _linear(world: World):
    from labkit.theory.pair_kernel import linear

    return linear


def _data(world: World):
    from torch_geometric.data import Data

    return Data(x=world.normal(world.items, world.dim).float(), edge_index=world.edges, y=world.labels)


def _in_the_plane(world: World):
    from torch_geometric.data import Data

    first = torch.arange(world.items) < world.items // 2
    masks = {"train_mask": first, "test_mask": ~first}
    return Data(x=world.normal(world.items, 2), edge_index=world.edges, y=world.labels, **masks)


def _images(world: World) -> Tensor:
    return torch.rand(world.items, 3, 8, 8, generator=world.generator, dtype=world.dtype)


def _method(world: World):
    from labkit.methods import Method

    class Squares(Method):
        """Minimises the squares of a linear map."""

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(world.dim, 2)

        def forward(self, batch: Tensor) -> Tensor:
            return self.layer(batch).square().mean()

        def embed(self, batch: Tensor) -> Tensor:
            return self.layer(batch).detach()

    return Squares()


def _recipe(world: World):
    from labkit.evaluate import Protocol
    from labkit.methods import Method
    from labkit.recipes import Recipe

    class Rows(Method):
        """Minimises the squares of a linear map of node features."""

        def __init__(self, dim: int):
            super().__init__()
            self.layer = torch.nn.Linear(dim, 2)

        def forward(self, data) -> Tensor:
            return self.layer(data.x).square().mean()

        def embed(self, data) -> Tensor:
            return self.layer(data.x).detach()

    protocols = {"random": Protocol.random(0.5, None, 0.5, strengths=1.0)}
    return Recipe("rows/small", "karate", lambda data: Rows(data.num_features), {"epochs": 1}, protocols)


def _material(world: World):
    from labkit.recipes import Material

    return Material(_data(world))


def _result(world: World):
    from labkit.recipes import run

    return run(_recipe(world), 1, dataset=_data(world), device="cpu", progress=False)


def _encoder(world: World):
    from labkit.models import resnet8
    from labkit.train import seeded

    with seeded(world.seed):
        return resnet8(width=2, channels=3).to(world.dtype)


def _projector(world: World):
    from labkit.models import MLP

    return MLP(_encoder(world).dim, 8, 4)


def _contrast(world: World):
    from labkit.losses import nt_xent

    return nt_xent


def _question(world: World):
    from labkit.methods import Rotations

    return Rotations()


def _view(world: World):
    from labkit.views import GaussianNoise

    return GaussianNoise(0.1)


def _learned(world: World):
    from labkit.explore import four_losses

    return four_losses(world.share(MODES) + 1, world.share(MODES))["VICReg"]


def _probe(world: World):
    from labkit.evaluate import Protocol

    return Protocol.public().probe


def _puzzles(world: World) -> Tensor:
    from labkit.methods import hamming_permutations

    return hamming_permutations(4)


def _folder(world: World) -> str:
    """Two classes of two pictures."""
    from PIL import Image

    for kind in "ab":
        Path(kind).mkdir(exist_ok=True)
        for i in range(2):
            Image.new("RGB", (9, 8), (60 * i, 90, 120)).save(f"{kind}/{i}.png")
    return "."


def _modes(world: World) -> Tensor:
    return torch.linalg.qr(world.normal(world.dim, world.dim)).Q


def _pair(world: World) -> tuple[Tensor, Tensor]:
    """Two views that share their ten modes."""
    generator = torch.Generator().manual_seed(world.seed)
    x, moved = (torch.randn(20, 10, generator=generator, dtype=world.dtype) for _ in range(2))
    return x, x + 0.1 * moved


MODES = 4
GOOD: dict[str, Callable[[World], Any]] = {
    "z": lambda w: w.normal(w.items, w.dim),
    "y": lambda w: w.labels,
    "labels": lambda w: w.labels,
    "split": _split,
    "generator": lambda w: torch.Generator().manual_seed(0),
    "seed": lambda w: 0,
    "dim": lambda w: w.dim,
    "n": lambda w: 8,
    "k": lambda w: 2,
    "items": lambda w: w.items,
    "size": lambda w: 8,
    "images": _images,
    "pi": lambda w: w.pairs,
    "weights": lambda w: w.symmetric,
    "graph": lambda w: (
        w.share(w.dim, w.dim) @ torch.eye(w.dim, dtype=w.dtype) * 0 + 1 - torch.eye(w.dim, dtype=w.dtype)
    ),
    "p": lambda w: 0.5,
    "q": lambda w: 0.5,
    "tau": lambda w: 0.5,
    "t": lambda w: 2.0,
    "lr": lambda w: 0.01,
    "rho": lambda w: torch.full((w.classes,), 1 / w.classes, dtype=w.dtype),
    "edge_index": lambda w: w.edges,
    "num_nodes": lambda w: w.items,
    "nodes": lambda w: w.items,
    "batch": lambda w: w.graphs,
    "adjacency": _adjacency,
    "start": lambda w: torch.arange(5),
    "length": lambda w: 4,
    "data": _data,
    "method": _method,
    "share": lambda w: 0.25,
    "steps": lambda w: 20,
    "draws": lambda w: 20,
    "features": lambda w: w.normal(w.items, w.dim),
    "queries": lambda w: w.normal(w.items, w.dim),
    "views": lambda w: w.normal(2, w.items, w.dim),
    "eigenvalues": lambda w: w.share(MODES).sort(descending=True).values,
    "target": lambda w: w.normal(MODES),
    "rate": lambda w: w.share(MODES),
    "plateau": lambda w: w.share(MODES),
    "gamma": lambda w: w.share(MODES) / 4,
    "sigma": lambda w: w.share(MODES) + 1,
    "initial": lambda w: w.share(MODES) / 10,
    "heads": lambda w: 2,
    "channels": lambda w: 3,
    "classes": lambda w: w.classes,
    "activation": lambda w: "relu",
    "device": lambda w: "cpu",
    "class_names": lambda w: None,
    "progress": lambda w: False,
    "checkpoint": lambda w: None,
    "kind": lambda w: "random",
    "degree": lambda w: 2,
    "weight": lambda w: 0.5,
    "modes": _modes,
    "encoder": _encoder,
    "projector": _projector,
    "view": _view,
    "methods.loss": _contrast,
    "methods.question": _question,
    "recipe": _recipe,
    "material": _material,
    "jobs": lambda w: 1,
    # one function's own
    "losses.multi_view_nt_xent.views": lambda w: [w.normal(w.items, w.dim), w.normal(w.items, w.dim)],
    "losses.w_mse.views": lambda w: [w.normal(w.items, w.dim), w.normal(w.items, w.dim)],
    "losses.w_mse.size": lambda w: None,
    "losses.distance_correlation.y": lambda w: w.normal(w.items, 2),
    "losses.scaled_cosine_error.y": lambda w: w.normal(w.items, w.dim),
    "losses.byol.p": lambda w: w.normal(w.items, w.dim),
    "losses.scaled_cosine_error.gamma": lambda w: 2.0,
    "losses.dino.center": lambda w: w.normal(w.dim),
    "losses.decoupled.sigma": lambda w: 0.5,
    "losses.equivariance.chunks": lambda w: 2,
    "losses.kernel_nt_xent.weights": lambda w: None,
    "losses.kernel_nt_xent.kernels": lambda w: ((2.0, 1.0), (1.0, 1.0)),
    "evaluate.trustworthiness.xy": lambda w: w.normal(w.items, 2),
    "evaluate.linear_probe.folds": lambda w: 2,
    "evaluate.linear_probe.strengths": lambda w: (0.1, 1.0),
    "evaluate.CrossValidation.folds": lambda w: 2,
    "evaluate.floors.source": _split,
    "evaluate.floors.edge_index": lambda w: w.edges,
    "found": lambda w: w.labels.flip(0),
    "evaluate.mean_interval.values": lambda w: [0.1, 0.3, 0.2],
    "evaluate.kmeans.fit_on": lambda w: torch.arange(8),
    "evaluate.graph_set_floors.y": lambda w: torch.tensor([0, 1] * 4),
    "evaluate.graph_set_floors.batch": lambda w: GraphBatch.cat([w.graphs] * 4),
    "evaluate.graph_set_floors.protocol": lambda w: _cross_validation(),
    "evaluate.graph_set_floors.random_gins": lambda w: 1,
    "evaluate.Split.train": lambda w: torch.arange(6),
    "evaluate.Split.validation": lambda w: torch.arange(6, 9),
    "evaluate.Split.test": lambda w: torch.arange(9, 12),
    "evaluate.Protocol.probe": _probe,
    "evaluate.Protocol.shares": lambda w: None,
    "views.Compose.views": lambda w: [_view(w)],
    "views.RandomChoice.views": lambda w: [_view(w), _view(w)],
    "views.GaussianBlur.sigma": lambda w: (0.1, 2.0),
    "views.tiles.size": lambda w: 2,
    "views.Adjacency.edge_weight": lambda w: w.share(2 * w.items),
    "views.mask_feature_columns.x": lambda w: w.normal(w.items, w.dim),
    "views.Normalize.mean": lambda w: 0.5,
    "views.Normalize.std": lambda w: 0.5,
    "models.propagation_matrix.edge_weight": lambda w: w.share(2 * w.items),
    "models.diffuse.x": lambda w: w.normal(w.items, w.dim),
    "models.dropout.x": lambda w: w.normal(w.items, w.dim),
    "models.diffuse.kernel": _kernel,
    "models.diffusion_matrix.kernel": _kernel,
    "models.GAT.hidden": lambda w: 4,
    "models.ResNet.blocks": lambda w: (1, 1),
    "methods.Jigsaw.permutations": _puzzles,
    "data.ImageSet.splits": lambda w: {"train": torch.arange(8), "test": torch.arange(8, w.items)},
    "methods.encoded.encoder": lambda w: _encoder(w).eval(),
    "methods.encoded.pieces": lambda w: _images(w)[:, None].repeat(1, 2, 1, 1, 1),
    "methods.read_borders.pieces": lambda w: _images(w)[:, None] * w.share(w.items, 2, 1, 1, 1),
    "methods.read_fringes.pieces": lambda w: _images(w)[:, None] * w.share(w.items, 2, 1, 1, 1),
    "methods.SkipGram.noise": lambda w: w.share(w.items),
    "methods.inference.embed": lambda w: len,
    "methods.in_blocks.function": lambda w: lambda x: x * 2,
    "methods.in_blocks.items": lambda w: w.normal(w.items, w.dim),
    "methods.Queue.size": lambda w: 8,
    "data.GraphBatch.x": lambda w: torch.randn(w.items, w.dim),
    "data.GraphBatch.ptr": lambda w: torch.tensor([0, w.items]),
    "data.GraphSet.graphs": lambda w: (_data(w), _data(w)),
    "data.GraphSet.folds": lambda w: (),
    "data.ImageSet.images": lambda w: torch.zeros(w.items, 3, 8, 8, dtype=torch.uint8),
    "data.ImageSet.class_names": lambda w: ("a", "b", "c"),
    "data.read_images.folder": _folder,
    "data.available.name": lambda w: "karate",
    "data.load.name": lambda w: "karate",
    "data.read_graph.source": lambda w: _data(w),
    "data.save_graph.path": lambda w: "graph.npz",
    "data.stochastic_block_model.sizes": lambda w: [5, 6],
    "train.Minibatches.items": lambda w: w.normal(w.items, w.dim),
    "train.Minibatches.size": lambda w: 4,
    "train.Subgraphs.size": lambda w: 4,
    "train.to_device.items": lambda w: w.normal(w.items, w.dim),
    "train.to_device.device": lambda w: torch.device("cpu"),
    "train.has_bfloat16.device": lambda w: torch.device("cpu"),
    "train.fit.batches": lambda w: [torch.randn(6, w.dim), torch.randn(6, w.dim)],
    "train.fit.epochs": lambda w: 1,
    "explore.explore.embedding": lambda w: w.normal(w.items, w.dim),
    "explore.explore.images": lambda w: None,
    "explore.explore.graph": lambda w: None,
    "explore.explore.views": lambda w: None,
    "explore.explore.method": lambda w: None,
    "explore.chosen_view.size": lambda w: (8, 8),
    "explore.order_agreement.a": _learned,
    "explore.order_agreement.b": _learned,
    "explore.shortcut_lab.images": lambda w: torch.rand(4, 3, 36, 36, generator=w.generator, dtype=w.dtype),
    "explore.top_d_dial.n": lambda w: 20,
    "teach.check.value": lambda w: 0.25,
    "teach.check.high": lambda w: 0.75,
    "recipes.for_own_graph.features": lambda w: None,
    "explore.stepwise_scrubber.labels": lambda w: torch.arange(20) % w.classes,
    "explore.compare.a": lambda w: w.normal(w.items, w.dim),
    "explore.compare.b": lambda w: w.normal(w.items, w.dim),
    "explore.compare.images": lambda w: None,
    "explore.compare.graph": lambda w: None,
    "explore.graph_embedding.graph": lambda w: w.symmetric,
    "explore.graph_embedding.dim": lambda w: 2,
    "explore.four_losses.start": lambda w: 0.01,
    "explore.four_losses.sigma": lambda w: w.share(MODES) + 1,
    "explore.four_losses.rho": lambda w: w.share(MODES),
    "explore.risk_over_shares.labels": lambda w: 8,
    "explore.closed_form_scores.images": lambda w: torch.rand(40, 1, 8, 8, generator=w.generator),
    "explore.closed_form_scores.labels": lambda w: torch.arange(40) % w.classes,
    "explore.closed_form_scores.n": lambda w: 10,
    "explore.closed_form_scores.pixels": lambda w: 1,
    "explore.closed_form_scores.dims": lambda w: (1, 2),
    "explore.digit_pairs.n": lambda w: 6,
    "explore.digit_pairs.pixels": lambda w: 1,
    "explore.uniformity_curve.times": lambda w: [1.0, 2.0],
    "explore.stepwise_scrubber.x": lambda w: _pair(w)[0],
    "explore.stepwise_scrubber.x2": lambda w: _pair(w)[1],
    "explore.temperature_lab.dim": lambda w: 2,
    "explore.whole_graph_lab.graphs": lambda w: w.graphs,
    "explore.whole_graph_lab.labels": lambda w: torch.arange(len(w.graphs)) % 2,
    "explore.whole_graph_lab.class_names": lambda w: ["one", "other"],
    "explore.whole_graph_lab.encoder": lambda w: None,
    "explore.whole_graph_lab.graph": lambda w: 1,
    "explore.homophily_lab.draw": lambda w: lambda homophily, degree, seed: _in_the_plane(w),
    "plot.scatter.xy": lambda w: w.normal(w.items, 2),
    "plot.scatter.size": lambda w: 5.0,
    "plot.curve.values": lambda w: [1.0, 2.0, 3.0],
    "plot.bars_with_floors.scores": lambda w: {"ours": 0.5},
    "plot.bars_with_floors.floors": lambda w: {"raw": 0.25},
    "plot.image_grid.images": _images,
    "plot.colours.count": lambda w: 3,
    "theory.augmentation.kernel.p": lambda w: w.normal(w.items, w.dim).softmax(1),
    "theory.augmentation.complexity.p": lambda w: w.normal(w.items, w.dim).softmax(1),
    "theory.walks.skipgram_vectors.pairs": lambda w: (lambda c: c + c.T)(w.normal(w.items, w.items).square()),
    "theory.augmentation.spectrum.p": lambda w: w.normal(w.items, w.dim).softmax(1),
    "theory.augmentation.top_d_bound.d": lambda w: 2,
    "theory.augmentation.ridge_risk.labels": lambda w: 3,
    "theory.augmentation.complexity_bound.labels": lambda w: 3,
    "theory.augmentation.overlap_graph.noise": lambda w: 0.5,
    "theory.bounds.kind": lambda w: "hinge",
    "theory.bounds.margin_loss.margins": lambda w: w.normal(w.items, 2),
    "theory.bounds.negatives": lambda w: 2,
    "theory.factorisation.spectral_contrastive.f": lambda w: w.normal(w.items, w.dim),
    "theory.factorisation.infonce_plateaus.signal": lambda w: w.share(MODES),
    "theory.factorisation.infonce_plateaus.noise": lambda w: w.share(MODES),
    "theory.feature_selection.feature_graph.x": lambda w: w.normal(w.items, w.dim),
    "theory.modes.logistic_modes.t": lambda w: w.share(5),
    "theory.modes.logistic_modes.start": lambda w: w.share(MODES),
    "theory.modes.half_times.start": lambda w: w.share(MODES) / 10,
    "theory.pair_kernel.arc_cosine.y": lambda w: w.normal(w.items, w.dim),
    "theory.pair_kernel.linear.y": lambda w: w.normal(w.items, w.dim),
    "theory.pair_kernel.kernel_pca.kernel": _linear,
    "theory.pair_kernel.kernel_pca.dim": lambda w: 2,
    "theory.pair_kernel.pair_kernel.gram": lambda w: (lambda x: x @ x.T)(w.normal(w.items, 2 * w.items)),
    "theory.redundancy.std": lambda w: w.share(5),
    "theory.redundancy.correlation": lambda w: w.share(5),
    "theory.redundancy.agreement": lambda w: w.share(5),
    "theory.redundancy.gaussian_views.std": lambda w: 0.5,
    "theory.redundancy.gaussian_views.correlation": lambda w: -0.5,
    "theory.redundancy.gaussian_views.agreement": lambda w: 0.5,
    "theory.sphere.wahba.target": lambda w: w.normal(w.items, w.dim),
    "theory.sphere.wahba_error.target": lambda w: w.normal(w.items, w.dim),
    "teach.beside_paper.rows": lambda w: [("GRACE on Cora", "83.3 %", 0.83, "another split"), ("steps", 3, 4, "ours")],
    "recipes.beside_floors.results": lambda w: [_result(w)],
    "recipes.choose_protocol.name": lambda w: "random",
    "recipes.run.dataset": _data,
    "recipes.run_protocols.dataset": _data,
    "recipes.seeds": lambda w: [0],
    "recipes.over_seeds.arms": lambda w: {"rows": _recipe(w)},
    "recipes.sweep.protocols": lambda w: _recipe(w).protocols,
    "recipes.for_own_graph.source": _data,
    "recipes.spread.values": lambda w: [0.5, 0.25],
    "recipes.Material.dataset": _data,
    "theory.rate_reduction.orthogonal_rate_reduction.dim": lambda w: 12,
    "theory.spectral.planted_graph.blocks": lambda w: 3,
    "theory.sphere.cosine_density.cosine": lambda w: 2 * w.share(5) - 1,
    "theory.sphere.rotation_angles.rotation": _modes,
    "theory.stepwise.eigenvalues.t": lambda w: w.share(5),
    "theory.stepwise.effective_init.weight": lambda w: w.normal(w.dim, w.dim),
}


def good(world: World, owner: str, parameter: inspect.Parameter) -> Any:
    """An argument that fits the others of this world."""
    name = parameter.name
    for key in (f"{owner}.{name}", f"{owner.rpartition('.')[0]}.{name}"):  # the function's own, its module's
        if key in GOOD:
            return GOOD[key](world)
    hint, needed = parameter.annotation, parameter.default is inspect.Parameter.empty
    kinds = {kind for kind in (hint, *typing.get_args(hint)) if not isinstance(kind, list)}
    if name in GOOD:
        value = GOOD[name](world)
        tensor = any(kind is Tensor or hasattr(kind, "dim_str") for kind in kinds)
        number = kinds & {int, float}
        if not (isinstance(value, Tensor) and number and not tensor) and not (
            tensor and isinstance(value, int | float)
        ):
            return value
    if not needed:
        return parameter.default
    if any(kind is Tensor or hasattr(kind, "dim_str") for kind in kinds):
        return world.normal(world.items, world.dim)
    plain = {int: 3, float: 0.5, bool: False, str: "x", Callable: len}
    return next((plain[kind] for kind in kinds if kind in plain), None)
