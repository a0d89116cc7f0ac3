"""A recipe: data, method, training, protocol and the paper's number. Run it over seeds and say what came out."""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labkit import evaluate
from labkit._checks import unknown
from labkit.data import ImageSet, load, read_graph
from labkit.evaluate import Protocol
from labkit.methods import Method
from labkit.train import Minibatches, Run, choose_device, fit, seeded, to_device, write_whole


@dataclass(frozen=True)
class PaperNumber:
    """What a paper or its repository reports under a protocol, in percent, and where it was read."""

    mean: float
    std: float | None
    where: str


@dataclass(frozen=True)
class Recipe:
    """One experiment, whole.

    Attributes:
        name: "method/data".
        data: name in the catalogue.
        build: data set -> untrained method (random weights from torch's default generator).
        training: keyword arguments of ``fit``.
        protocols: name -> how embeddings are scored; the first is the default.
        paper: protocol name -> the paper's number.
        source: where the settings were read.
        batch_size: images a batch; None: the whole graph is the batch.
        batches: data set -> what ``fit`` iterates over, where that is neither: walks on the graph, other graphs.
        load_options: keyword arguments of ``data.load``.
        smoke, smoke_load: changes to ``training`` and ``load_options`` under which the path runs in seconds.
        smoke_batches: in place of ``batches`` then.
    """

    name: str
    data: str
    build: Callable[[Any], Method]
    training: dict[str, Any]
    protocols: dict[str, Protocol]
    paper: dict[str, PaperNumber] = field(default_factory=dict)
    source: str = ""
    batch_size: int | None = None
    batches: Callable[[Any], Any] | None = None
    load_options: dict[str, Any] = field(default_factory=dict)
    smoke: dict[str, Any] = field(default_factory=lambda: {"epochs": 2})
    smoke_load: dict[str, Any] = field(default_factory=dict)
    smoke_batches: Callable[[Any], Any] | None = None
    variant: str = "released"

    def with_training(self, **changes) -> "Recipe":
        """The same recipe with other arguments of ``fit``."""
        return replace(self, training=self.training | changes)


@dataclass(frozen=True)
class Material:
    """A data set as training and evaluation see it: what is trained on, what is embedded, what is known of it."""

    dataset: Any

    @property
    def is_graph(self) -> bool:
        return not isinstance(self.dataset, ImageSet)

    @property
    def labels(self) -> Tensor:
        return self.dataset.y if self.is_graph else self.dataset.labels

    @cached_property
    def items(self):
        """What ``method.embed`` gets: the graph, or all images."""
        return self.dataset if self.is_graph else self.dataset.images

    @cached_property
    def raw(self) -> Tensor:
        """Features without any method: [items, features]."""
        return self.dataset.x if self.is_graph else self.dataset.images.flatten(1).float() / 255

    def batches(self, size: int | None):
        if self.is_graph:
            return [self.dataset]
        images = self.dataset.images[self.dataset.splits["train"]]
        return Minibatches(images, min(size or 256, len(images)))

    def score(self, protocol: Protocol, z: Tensor) -> evaluate.Score:
        """The score of an embedding [items, dim] of this data set."""
        return protocol.score(z.cpu(), self.labels, self.dataset)

    def floors(self, protocol: Protocol) -> dict[str, evaluate.Score]:
        """The same probe with nothing to train: raw features, and on graphs A²X."""
        edges = self.dataset.edge_index if self.is_graph else None
        return evaluate.floors(self.raw, self.labels, self.dataset, protocol, edge_index=edges)


@dataclass(frozen=True)
class Result:
    """What a recipe gave: one score a seed, the floors beside it, the paper's number, and where it was run."""

    recipe: str
    variant: str
    protocol: str
    seeds: list[int]
    scores: list[float]
    mean: float
    std: float
    over: str
    floors: dict[str, dict[str, Any]]
    paper: dict[str, Any] | None
    seconds: float
    device: str
    threads: int
    versions: dict[str, str]
    commit: str
    dirty: bool
    command: str

    def save(self, path: str | Path) -> None:
        write_whole(path, (json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n").encode())

    def __str__(self) -> str:
        lines = [f"{self.recipe} ({self.variant})   {_percent(self.mean, self.std)}   over {self.over}"]
        for name, floor in self.floors.items():
            lines.append(f"  floor, {name:<11} {_percent(floor['mean'], floor['std'])}   over {floor['over']}")
        if self.paper:
            spread = "" if self.paper["std"] is None else f" ± {self.paper['std']:.1f}"
            lines.append(f"  paper              {self.paper['mean']:.1f}{spread} %   {self.paper['where']}")
        lines.append(f"  protocol: {self.protocol}")
        lines.append(f"  {self.seconds:.0f} s on {self.device}, {self.threads} threads")
        return "\n".join(lines)


def run(
    recipe: Recipe,
    seeds: int | Sequence[int] = 5,
    *,
    protocol: str | None = None,
    dataset=None,
    device: str = "auto",
    progress: bool = True,
    on_seed: Callable[[int, Run, float], None] | None = None,
    runs: Sequence[Run] | None = None,
    **training,
) -> Result:
    """Train and score a recipe once for each seed, with its floors.

    Args:
        recipe: what to run.
        seeds: how many (0, 1, ...) or which.
        protocol: one of ``recipe.protocols``; None: the first.
        dataset: in place of ``load(recipe.data)``.
        device, progress: as in ``fit``.
        on_seed: called with (seed, run, score) as each seed ends.
        runs: trainings of this recipe with these seeds, to be scored instead of training anew (several protocols,
            one training: ``Lab.runs``); their seconds count as if they had been trained here.
        training: changes to the recipe's ``fit`` arguments, e.g. ``epochs=20``.

    Raises:
        ValueError: an unknown protocol, no seeds, or what ``fit`` and the protocol refuse.
    """
    chosen_name, chosen = choose_protocol(recipe, protocol)
    seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not seeds:
        raise ValueError("seeds is empty: name at least one seed, e.g. seeds=5 for 0 to 4")
    device = choose_device(device)
    started = time.perf_counter()
    material = Material(load(recipe.data, **recipe.load_options) if dataset is None else dataset)
    chosen.check(material.labels, material.dataset)

    floors = material.floors(chosen)

    scores, untrained = [], []
    before = sum(run.seconds for run in runs) if runs else 0.0
    for seed, trained in zip(seeds, runs or [None] * len(seeds), strict=True):
        trained = trained or train(recipe, material, seed, device=device, progress=progress, **training)
        scores.append(material.score(chosen, trained.method.embed(to_device(material.items, device))))
        untrained.append(material.score(chosen, trained.snapshots[0]))
        if on_seed:
            on_seed(seed, trained, scores[-1].mean)

    pooled = evaluate.Score.pool(scores)
    facts = {name: _facts(floor) for name, floor in floors.items()}
    facts["untrained"] = _facts(evaluate.Score.pool(untrained))
    paper = recipe.paper.get(chosen_name)
    return Result(
        recipe=recipe.name,
        variant=recipe.variant,
        protocol=pooled.protocol,
        seeds=seeds,
        scores=list(pooled.values),
        mean=pooled.mean,
        std=pooled.std,
        over=pooled.over,
        floors=facts,
        paper=asdict(paper) if paper else None,
        seconds=before + time.perf_counter() - started,
        command=" ".join(["labkit run", recipe.name, f"--seeds {len(seeds)}", f"--protocol {chosen_name}"]),
        **circumstances(device),
    )


def for_graph_file(
    recipe: Recipe, path: Path, features: str | None = None, label: str | None = None
) -> tuple[Recipe, Any]:
    """The recipe's method on a graph from a file, with a random 10/10/80 split; the graph comes with it.

    Args:
        recipe: of a method for one graph.
        path: what ``data.read_graph`` reads: .npz, .safetensors, .graphml, or an edge list with tables beside it.
        features: for a file without any: "constant" (a column of ones) or "degree" (degree of a node, and least,
            greatest, mean and spread of its neighbours': PyG's ``LocalDegreeProfile``).
        label: the node attribute that holds the classes, of GraphML.

    Raises:
        ValueError: the recipe is not for graphs, features where the file has some or none where it lacks them, no
            labels, or what ``data.read_graph`` refuses.
    """
    if recipe.batch_size is not None:
        raise ValueError(f"{recipe.name} is a recipe for images; --data takes a graph")
    graph = read_graph(path, partial(_with_features, features, path), label=label)
    if getattr(graph, "y", None) is None:
        raise ValueError(f"{path} holds no labels y: there is nothing to score an embedding by")
    transform = recipe.load_options.get("transform")
    own = replace(
        recipe,
        name=f"{recipe.name.split('/')[0]}/{path.stem}",
        protocols={"random": Protocol.random(0.1, 0.1, 0.8, repeats=5)},
        paper={},
    )
    return own, transform(graph) if transform else graph


def _with_features(name: str | None, path: Path, graph):
    """The graph itself if it has features, or with those asked for by name; never with others in silence."""
    from torch_geometric.transforms import Constant, LocalDegreeProfile

    if name is None and graph.x is None:
        raise ValueError(f"{path} holds no node features; add them, or pass --features constant or --features degree")
    if name is None:
        return graph
    if graph.x is not None:
        raise ValueError(f"--features {name}: {path} has {graph.num_features} features a node of its own")
    return {"constant": Constant(), "degree": LocalDegreeProfile()}[name](graph)


def train(recipe: Recipe, material: Material, seed: int, **changes) -> Run:
    """Build the recipe's method from ``seed`` and train it; the snapshot at epoch 0 is the untrained encoder."""
    with seeded(seed):
        method = recipe.build(material.dataset)
    arguments = {"snapshots": [0]} | recipe.training | changes
    batches = recipe.batches(material.dataset) if recipe.batches else material.batches(recipe.batch_size)
    return fit(method, batches, seed=seed, watch=material.items, **arguments)


def choose_protocol(recipe: Recipe, name: str | None) -> tuple[str, Protocol]:
    """The recipe's protocol of that name, or its first."""
    name = name or next(iter(recipe.protocols))
    if name not in recipe.protocols:
        raise ValueError(unknown(f"protocol of {recipe.name}", name, recipe.protocols))
    return name, recipe.protocols[name]


def spread(values: Sequence[float]) -> float:
    """Standard deviation (n − 1); 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def circumstances(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Where a number was measured: device, threads, versions, commit, and whether the code had uncommitted changes."""
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("labkit", "torch", "torch-geometric", "numpy", "scikit-learn")},
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--", "labkit")),
    }


def _git(*arguments: str) -> str:
    try:
        here = Path(__file__).parent
        return subprocess.run(
            ["git", *arguments], cwd=here.parent, capture_output=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _percent(mean: float, std: float) -> str:
    return f"{100 * mean:5.1f}" + (f" ± {100 * std:.1f} %" if std else " %      ")


def _facts(score: evaluate.Score) -> dict[str, Any]:
    return {"mean": score.mean, "std": score.std, "over": score.over}
