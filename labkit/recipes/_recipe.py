"""What a recipe is, and what running one gives."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from numbers import Integral
from operator import index
from pathlib import Path
from typing import Any

from labkit._arguments import checked
from labkit._checks import require_known
from labkit._files import write_json
from labkit.evaluate import CrossValidation, Protocol
from labkit.methods import Method


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
        batch_size: images or graphs a batch; None: the one graph is the batch.
        batches: data set -> what ``fit`` iterates over, where that is neither: walks on the graph, other graphs.
        load_options: keyword arguments of ``data.load``.
        smoke, smoke_load: changes to ``training`` and ``load_options`` under which the path runs in seconds.
        smoke_batches: in place of ``batches`` then.
        variant: whose settings they are, printed beside the score: "released" (the paper's code), "paper" (its text),
            "laptop" (fitted to two cores), or what sets the recipe apart from its neighbour.
        ceiling: a recipe that trains the same encoder on the same data with labels; its score stands beside this one's.
    """

    name: str
    data: str
    build: Callable[[Any], Method]
    training: dict[str, Any]
    protocols: dict[str, Protocol | CrossValidation]
    paper: dict[str, PaperNumber] = field(default_factory=dict)
    source: str = ""
    batch_size: int | None = None
    batches: Callable[[Any], Any] | None = None
    load_options: dict[str, Any] = field(default_factory=dict)
    smoke: dict[str, Any] = field(default_factory=lambda: {"epochs": 2})
    smoke_load: dict[str, Any] = field(default_factory=dict)
    smoke_batches: Callable[[Any], Any] | None = None
    variant: str = "released"
    ceiling: "Recipe | None" = None

    def with_training(self, **changes) -> "Recipe":
        """The same recipe with other arguments of ``fit``."""
        return replace(self, training=self.training | changes)


@dataclass(frozen=True)
class Result:
    """What a recipe gave: one score a seed, floors and ceiling beside it, the paper's number, and where it was run.

    ``protocol`` says in words what ``protocol_name``, one of the recipe's protocols, does. ``training`` holds arguments
    of ``fit``, as they print: a recipe that changes leaves its results behind. ``batch_size`` is None for one graph
    and in older results, and so is ``precision``, what vision encoders were trained in. ``ceiling`` names the commit
    that it was measured at, which may be an earlier one.
    """

    recipe: str
    variant: str
    protocol: str
    protocol_name: str
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
    training: dict[str, str]
    batch_size: int | None = None
    ceiling: dict[str, Any] | None = None
    precision: str | None = None

    def save(self, path: str | Path) -> None:
        write_json(path, asdict(self))

    def __str__(self) -> str:
        lines = [f"{self.recipe} ({self.variant})   {_percent(self.mean, self.std)}   over {self.over}"]
        for name, floor in self.floors.items():
            lines.append(f"  floor, {name:<11} {_percent(floor['mean'], floor['std'])}   over {floor['over']}")
        if self.ceiling:
            lines.append(f"  ceiling, labels    {_percent(self.ceiling['mean'], self.ceiling['std'])}   "
                         f"over {self.ceiling['over']}, {self.ceiling['recipe']}")  # fmt: skip
        if self.paper:
            spread = "" if self.paper["std"] is None else f" ± {self.paper['std']:.1f}"
            lines.append(f"  paper              {self.paper['mean']:.1f}{spread} %   {self.paper['where']}")
        lines.append(f"  protocol: {self.protocol}")
        lines.append(f"  {self.seconds:.0f} s on {self.device}, {self.threads} threads")
        return "\n".join(lines)


def printed(training: dict[str, Any]) -> dict[str, str]:
    """Arguments of ``fit`` as a file can hold them; what changes no number is left out."""
    return {name: str(value) for name, value in sorted(training.items()) if name not in ("device", "progress")}


MOST_SEEDS = 100_000  # more than anybody trains: a slip of the keyboard would fill the memory with their list


def chosen_seeds(seeds: int | Sequence[int]) -> list[int]:
    """Which seeds: so many from 0 on, or those that are named.

    Raises:
        ValueError: none, more than 100 000, or one twice: it would count as two trainings, and ± would be too small.
    """
    asked = range(seeds) if isinstance(seeds, Integral) else seeds
    seeds = [index(seed) for seed in islice(asked, MOST_SEEDS + 1)]  # NumPy's are no JSON
    if len(seeds) > MOST_SEEDS:
        raise ValueError(f"seeds asks for more than {MOST_SEEDS:,} trainings; ask for fewer, e.g. seeds=5")
    if not seeds:
        raise ValueError("seeds is empty: name at least one seed, e.g. seeds=5 for 0 to 4")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must differ, as each is a training of its own; not {seeds}")
    return seeds


@checked
def choose_protocol(recipe: Recipe, name: str | None) -> tuple[str, Protocol | CrossValidation]:
    """The recipe's protocol of that name, or its first."""
    name = name or next(iter(recipe.protocols))
    require_known(f"protocol of {recipe.name}", name, recipe.protocols)
    return name, recipe.protocols[name]


def _percent(mean: float, std: float) -> str:
    return f"{100 * mean:5.1f}" + (f" ± {100 * std:.1f} %" if std else " %      ")
