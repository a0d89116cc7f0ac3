"""Run a recipe over seeds, with its floors."""

import copy
import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from labkit._arguments import checked
from labkit.data import catalogue, load, read_graph
from labkit.evaluate import Protocol, Score, Split
from labkit.recipes._circumstances import circumstances
from labkit.recipes._material import Material
from labkit.recipes._recipe import Recipe, Result, choose_protocol, chosen_seeds, printed
from labkit.recipes._sweep import Trained, sweep
from labkit.train import choose_device

_LABELS = "add them, or name the node attribute of a .graphml that holds the classes with --label NAME"


@checked(numbers=False)
def run(
    recipe: Recipe, seeds: int | Sequence[int] = 5, *, protocol: str | None = None, dataset=None, **options
) -> Result:
    """Train and score a recipe once for each seed, with its floors and, where it has one, its ceiling.

    Args:
        recipe: what to run.
        seeds: how many (0, 1, ...) or which.
        protocol: one of ``recipe.protocols``; None: the first.
        dataset: in place of ``load(recipe.data)``.
        options: as :func:`run_protocols` has them.

    Raises:
        ValueError: an unknown protocol, no seeds, or what ``fit``, the protocol and the sweep refuse.
    """
    return run_protocols(recipe, seeds, [protocol], dataset=dataset, **options)[0]


@checked(numbers=False)
def run_protocols(
    recipe: Recipe,
    seeds: int | Sequence[int] = 5,
    protocols: Sequence[str | None] = (None,),
    *,
    dataset=None,
    device: str = "auto",
    progress: bool = True,
    on_seed: Callable[[Trained], None] | None = None,
    jobs: int = 1,
    backend: str | None = None,
    keep: Path | None = None,
    results: Path | None = None,
    **training,
) -> list[Result]:
    """Train a recipe once for each seed and score the same trainings under several protocols: a result each.

    Args:
        recipe, seeds, dataset: as in :func:`run`.
        protocols: of ``recipe.protocols``; None stands for the first.
        device, progress: as in ``fit``.
        on_seed: called with what a seed gave, as it ends.
        jobs: worker processes that share the seeds.
        backend: a joblib backend by name, to spread the seeds over its cluster: "dask" while a ``distributed.Client``
            is connected, "ray" after ``ray.util.joblib.register_ray()``.
        keep: a file that gets every seed as it ends, so that the same call goes on where it was interrupted.
        results: a folder of saved results. A ceiling of these seeds that is there is not trained again; it keeps the
            commit that it was measured at.
        training: changes to the recipe's ``fit`` arguments, e.g. ``epochs=20``; to its ceiling's too.
    """
    chosen = dict(choose_protocol(recipe, name) for name in protocols)
    seeds = chosen_seeds(seeds)
    device = choose_device(device)
    started, where = time.perf_counter(), circumstances(device)
    of_another = dataset is not None or training  # than what was measured before
    saved = _saved(results) if recipe.ceiling and results and not of_another else []
    material = Material(load(recipe.data, **recipe.load_options) if dataset is None else dataset)
    for protocol in chosen.values():
        protocol.check(material.labels, material.dataset)
    floors = {name: material.floors(protocol) for name, protocol in chosen.items()}

    options = {"device": device, "progress": progress, "jobs": jobs, "backend": backend} | training
    found = sweep(recipe, material, seeds, chosen, keep=keep, on_seed=on_seed, **options)
    pooled = {name: Score.pool(one.scores[name] for one in found) for name in chosen}
    ceilings = _ceilings(recipe, material, seeds, chosen, pooled, saved, options, where["commit"])

    seconds = time.perf_counter() - started + sum(one.seconds for one in found if one.restored)
    given = []
    for name, score in pooled.items():
        facts = {floor: _facts(value) for floor, value in floors[name].items()}
        facts["untrained"] = _facts(Score.pool(one.untrained[name] for one in found))
        paper, ceiling = recipe.paper.get(name), ceilings.get(name)
        result = Result(
            recipe=recipe.name,
            variant=recipe.variant,
            protocol=score.protocol,
            protocol_name=name,
            seeds=seeds,
            scores=list(score.values),
            mean=score.mean,
            std=score.std,
            over=score.over,
            floors=facts,
            paper=asdict(paper) if paper else None,
            seconds=seconds,
            command=_command(recipe, seeds, chosen, dataset, training, jobs),
            training=printed(recipe.training | training),
            batch_size=recipe.batch_size,
            ceiling=ceiling,
            **where,
        )
        given.append(result)
    return given


def _command(recipe: Recipe, seeds, protocols: Iterable[str], dataset, training: dict[str, Any], jobs: int) -> str:
    """What gives the same result: a command where one can, else a call; data in memory has no name."""
    if dataset is None and training.keys() <= {"epochs"} and seeds == list(range(len(seeds))):
        words = ["labkit", "run", recipe.name, "--seeds", len(seeds)]
        for name in protocols:
            words += ["--protocol", name]
        if "epochs" in training:
            words += ["--epochs", training["epochs"]]
        if jobs > 1:
            words += ["--jobs", jobs]
        return " ".join(map(str, words))
    options = {} if dataset is None else {"dataset": "..."}
    options |= {name: repr(value) for name, value in training.items()} | ({"jobs": jobs} if jobs > 1 else {})
    more = "".join(f", {name}={value}" for name, value in options.items())
    return f"recipes.run_protocols(papers.recipe({recipe.name!r}), {seeds}, {list(protocols)}{more})"


def _ceilings(recipe, material, seeds, chosen, pooled, saved, options, commit: str) -> dict[str, dict[str, Any]]:
    """The ceiling by protocol: as it was measured before, or trained now."""
    if not recipe.ceiling:
        return {}
    known = {name: _measured(recipe.ceiling, pooled[name], seeds, saved) for name in chosen}
    missing = {name: protocol for name, protocol in chosen.items() if not known[name]}
    trained = sweep(recipe.ceiling, material, seeds, missing, **options) if missing else []
    known |= {name: (Score.pool(one.scores[name] for one in trained), commit) for name in missing}
    return {
        name: {"recipe": recipe.ceiling.name, "commit": commit} | _facts(score)
        for name, (score, commit) in known.items()
    }


@checked(numbers=False)
def for_own_graph(
    recipe: Recipe, source: Any, features: str | None = None, label: str | None = None
) -> tuple[Recipe, Any]:
    """The recipe's method on a graph of one's own, randomly split 10/10/80 within each class, and that graph.

    A method that trains with labels gets one such split as masks, unless the file has masks; others five to be probed.
    What is done to the graph is printed: edges get both directions, weights are left out by all methods but node2vec,
    and features are scaled as in the recipe where that does not spoil them.

    Args:
        recipe: of a method for one graph.
        source: what ``data.read_graph`` reads: a PyG ``Data``, a networkx graph, or the path of an .npz, .safetensors
            or .graphml, or of an edge list with tables beside it.
        features: for a graph without any: "constant" (a column of ones) or "degree" (degree of a node, and least,
            greatest, mean and spread of its neighbours': PyG's ``LocalDegreeProfile``).
        label: the node attribute that holds the classes, of GraphML and networkx.

    Raises:
        ValueError: the recipe is not for graphs, features where the graph has some or none where it lacks them,
            features that are all zero, not one label a node, or what ``data.read_graph`` refuses.
    """
    known = catalogue()
    if recipe.data in known and known[recipe.data].kind != "graph":
        kind = known[recipe.data].kind
        raise ValueError(f"{recipe.name} is a recipe for {kind}, not for one graph, which is what --data takes")
    is_file = isinstance(source, str | Path)
    name, called = (Path(source).stem, source) if is_file else ("mine", "the graph")
    graph = read_graph(source, partial(_with_features, features, called), label=label)
    if getattr(graph, "y", None) is None:
        raise ValueError(f"{called} holds no labels: there is nothing to score an embedding by; {_LABELS}")
    if graph.y.dim() != 1:
        raise ValueError(f"{called} holds labels y of shape {list(graph.y.shape)}; give one class for each node")
    if not graph.x.any():
        raise ValueError(
            f"every feature of {called} is 0; leave x out and pass --features constant or --features degree"
        )
    if graph.get("edge_weight") is not None and recipe.name.split("/")[0] != "node2vec":
        print("edge weights are read by node2vec only: here every edge counts alike")
    graph = _scaled(recipe, _undirected(graph))
    protocols = {"random": _OfEachClass.random(0.1, 0.1, 0.8, repeats=5)}
    usual = next(iter(recipe.protocols.values()))
    if isinstance(usual, Protocol) and usual.sees_labels:
        protocols = {"given": Protocol.public("argmax")}
        if getattr(graph, "train_mask", None) is None:
            graph = _with_masks(graph)
    own = replace(recipe, name=f"{recipe.name.split('/')[0]}/{name}", protocols=protocols, paper={})
    return own, graph


class _OfEachClass(Protocol):
    """Random splits that give each part its share of every class, and the train part a node at least.

    A graph of one's own may be small, or a class of it rare: a plain random split then trains without that class.
    """

    def split(self, y, source=None, seed=0):
        generator, drawn = torch.Generator().manual_seed(seed), []
        for label in y.unique():
            rows = (y == label).nonzero().flatten()
            n = len(rows)
            train, validation = (max(1, round(share * n)) for share in self.shares[:2])
            sizes = [train, validation, n - train - validation] if n > 2 else [1, 0, n - 1]
            orders = torch.stack([rows[torch.randperm(n, generator=generator)] for _ in range(self.repeats)])
            drawn.append(orders.split(sizes, dim=1))
        parts = [torch.cat(part, dim=1) for part in zip(*drawn, strict=True)]
        if not parts[1].numel():
            raise ValueError("no class has three nodes, to train on, to choose on and to test on: merge classes of y")
        return Split(*parts, name=f"random {'/'.join(f'{100 * share:g}' for share in self.shares)} % of each class")


def _with_masks(graph):
    """The graph with one random split, always the same, as train_mask, val_mask and test_mask."""
    graph = copy.copy(graph)
    split = _OfEachClass.random(0.1, 0.1, 0.8).split(graph.y)
    for name, rows in (("train_mask", split.train), ("val_mask", split.validation), ("test_mask", split.test)):
        graph[name] = graph.y.new_zeros(len(graph.y)).index_fill(0, rows[0], 1).bool()
    return graph


def _with_features(name: str | None, called: str | Path, graph):
    """The graph itself if it has features, or with those asked for by name; never with others in silence."""
    from torch_geometric.transforms import Constant, LocalDegreeProfile

    if name is None and graph.x is None:
        labels = "" if getattr(graph, "y", None) is not None else f". Nor does it hold labels: {_LABELS}"
        raise ValueError(
            f"{called} holds no node features; add them, or pass --features constant or --features degree{labels}"
        )
    if name is None:
        return graph
    if graph.x is not None:
        raise ValueError(f"--features {name}: {called} has {graph.num_features} features a node of its own")
    return Constant()(graph) if name == "constant" else LocalDegreeProfile()(_undirected(graph))


def _undirected(graph):
    """The graph with both directions of each edge: cores, PageRank and the convolutions here take them for granted."""
    from torch_geometric.transforms import ToUndirected
    from torch_geometric.utils import coalesce, is_undirected

    if is_undirected(coalesce(graph.edge_index), num_nodes=graph.num_nodes):
        return graph
    print("the graph is directed: every edge is taken in both directions, with the larger weight where both have one")
    return ToUndirected(reduce="max")(graph)


def _scaled(recipe: Recipe, graph):
    """The graph through the recipe's transform, but for ``NormalizeFeatures`` where it would do more than its name.

    It takes the least value off first: standardised features end up nearly alike, a column of ones as zeros.
    """
    from torch_geometric.transforms import NormalizeFeatures

    transform = recipe.load_options.get("transform")
    if transform is None:
        return graph
    name = getattr(transform, "__name__", type(transform).__name__)
    if isinstance(transform, NormalizeFeatures) and graph.x.min() != 0:
        print(f"features stay as they are: {name}, which the recipe has, is for counts; the least here is not 0")
        return graph
    print(f"features are scaled by {name}, as in the recipe")
    return transform(graph)


def _saved(results: Path) -> list[dict[str, Any]]:
    """The results that were saved in a folder; JSON of anything else is passed over.

    Raises:
        ValueError: a file is torn. It is said before anything is trained.
    """
    wanted = {"recipe", "protocol", "seeds", "scores", "commit"}
    records = []
    for path in sorted(results.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no whole JSON file ({error}); remove it, or run it again") from error
        if isinstance(record, dict) and wanted <= record.keys():
            records.append(record)
    return records


def _measured(recipe: Recipe, like: Score, seeds: list[int], saved: list[dict[str, Any]]) -> tuple[Score, str] | None:
    """The recipe's scores of these seeds under the protocol of ``like``, if a saved result holds them all; its commit.

    What ``build`` is no file can say: that is what the commit is for.
    """
    wanted = (recipe.name, printed(recipe.training), recipe.batch_size, like.protocol)
    for record in saved:
        batch_size = record.get("batch_size", recipe.batch_size)  # older results did not say
        if (record["recipe"], record.get("training"), batch_size, record["protocol"]) == wanted:
            scores = dict(zip(record["seeds"], record["scores"], strict=True))
            if scores.keys() >= set(seeds):
                return Score.of([scores[seed] for seed in seeds], like.over, like.protocol), record["commit"]
    return None


@checked
def spread(values: Sequence[float]) -> float:
    """Standard deviation (n − 1); 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _facts(score: Score) -> dict[str, Any]:
    return {"mean": score.mean, "std": score.std, "over": score.over}
