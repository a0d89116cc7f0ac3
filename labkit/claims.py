"""Claims: one sentence of a paper that can come out false, with a control, and a verdict from the numbers."""

import json
import math
import statistics
import textwrap
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from labkit import recipes
from labkit._files import write_json
from labkit.data import load
from labkit.evaluate import mean_interval
from labkit.recipes import Material, Recipe
from labkit.recipes._circumstances import CHECKOUT
from labkit.recipes._recipe import chosen_seeds
from labkit.train import Run, choose_device, to_device

SCALES = {"smoke": 1, "laptop": 5}  # seeds
HOLDS, FAILS, OPEN = "holds", "does not hold here", "not decided"


@dataclass(frozen=True)
class Evidence:
    """Treatment against control, seed by seed.

    Attributes:
        treatment, control: one finite number a seed; the same seeds in the same order.
        treatment_name, control_name: what they are, for the board.
        unit: what the numbers are; larger must mean that the claim is right. Accuracy, AUC, F1 and "share of ..." are
            shown in percent, all else as it is.
        note: what a reader should know (a confounder, a deviation from the paper).
    """

    treatment: Sequence[float]
    control: Sequence[float]
    treatment_name: str
    control_name: str
    unit: str = "accuracy"
    note: str = ""

    def __post_init__(self):
        if len(self.treatment) != len(self.control) or not self.treatment:
            raise ValueError(
                f"treatment and control must hold one number a seed, not {len(self.treatment)} and {len(self.control)}"
            )
        for side in ("treatment", "control"):
            object.__setattr__(self, side, [float(value) for value in getattr(self, side)])  # NumPy's are no JSON
            for place, value in enumerate(getattr(self, side)):
                if not math.isfinite(value):
                    name = getattr(self, f"{side}_name")
                    raise ValueError(f"{side} ({name}) is {value} for seed number {place}, counted from 0: no verdict")

    @property
    def difference(self) -> tuple[float, float]:
        """Mean of the paired differences and the half width of its 95 % interval (Student's t)."""
        return mean_interval(a - b for a, b in zip(self.treatment, self.control, strict=True))

    @property
    def verdict(self) -> str:
        """ "holds" when the whole interval lies above zero, "does not hold here" below, else "not decided"."""
        mean, half = self.difference
        if mean - half > 0:
            return HOLDS
        return FAILS if mean + half < 0 else OPEN


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper with the experiment that tests it."""

    sentence: str
    test: Callable[["Lab"], Evidence]
    needs: str
    minutes: float
    paper: str
    name: str
    reported: str = ""
    why_not: str = ""


def claim(sentence: str, *, needs: str, minutes: float, reported: str = "", why_not: str = "") -> Callable:
    """Turn a function ``lab -> Evidence`` into a claim.

    Args:
        sentence: what is claimed, with where the paper says so; ends in "(ours)." when the paper does not say it.
        needs: a data set.
        minutes: at laptop scale, as guessed before it was measured.
        reported: what the paper or its code reports for the same comparison, and where; for the board.
        why_not: what may be the reason, if it does not hold here; for the board, which then shows it as a guess.
    """

    def wrap(test: Callable[["Lab"], Evidence]) -> Claim:
        paper = test.__module__.rsplit(".", 1)[-1]
        return Claim(sentence, test, needs, minutes, paper, test.__name__, reported, why_not)

    return wrap


@dataclass
class Lab:
    """What a claim's test works with: a scale, seeds, and trainings that claims of one paper share.

    Args:
        scale: "smoke" (the path works, no verdict) or "laptop".
        seeds: instead of the scale's own number of seeds.
    """

    scale: str = "laptop"
    seeds: Sequence[int] | None = None
    device: str = "auto"
    progress: bool = True
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self):
        if self.scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, not {self.scale!r}")
        self.seeds = chosen_seeds(SCALES[self.scale] if self.seeds is None else self.seeds)

    def material(self, recipe: Recipe) -> Material:
        """The recipe's data set, loaded once."""
        small = recipe.smoke_load if self.scale == "smoke" else {}
        options = recipe.load_options | small
        return self.once(("data", recipe.data, options), lambda: Material(load(recipe.data, **options)))

    def runs(self, recipe: Recipe) -> list[Run]:
        """One training a seed; the same recipe is trained once for all claims that ask for it."""
        small = recipe.smoke if self.scale == "smoke" else {}
        if self.scale == "smoke" and recipe.smoke_batches:
            recipe = replace(recipe, batches=recipe.smoke_batches)
        arguments = {"device": self.device, "progress": self.progress} | small
        return [
            self.once((recipe, seed), lambda seed=seed: recipes.train(recipe, self.material(recipe), seed, **arguments))
            for seed in self.seeds
        ]

    def scores(self, recipe: Recipe, embed: Callable[[Run], Any] | None = None, protocol: str | None = None):
        """Scores of the recipe's embeddings, one a seed; ``embed(run)`` in place of ``run.method.embed(items)``."""
        _, chosen = recipes.choose_protocol(recipe, protocol)
        material = self.material(recipe)
        items = to_device(material.items, choose_device(self.device))
        embed = embed or (lambda run: run.method.embed(items))
        return [material.score(chosen, embed(run)).mean for run in self.runs(recipe)]

    def floors(self, recipe: Recipe, protocol: str | None = None) -> dict[str, Any]:
        """Raw features and, on a graph, A²X, on a set of graphs its sizes, under the recipe's probe."""
        _, chosen = recipes.choose_protocol(recipe, protocol)
        key = ("floors", recipe.data, recipe.load_options, repr(chosen))
        return self.once(key, lambda: self.material(recipe).floors(chosen))

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """What ``make()`` gives; the claims of a paper that ask for the same ``key`` share it.

        For trainings that are no recipe's: ``lab.once(("reducer", dim, seed), lambda: reducer(x, dim, seed=seed))``.
        """
        # A recipe holds functions, which print with their address: the key is kept alive so that none is used twice.
        name = repr(key)
        if name not in self._kept:
            self._kept[name] = (key, make())
        return self._kept[name][1]


def verify(what: Claim, lab: Lab, folder: str | Path | None = None) -> dict[str, Any]:
    """Run a claim's test and say what came out; at laptop scale, written to ``folder`` as JSON.

    A record of more seeds that is there already stays, with a warning: it says more.

    Returns:
        dict: claim, paper, sentence, verdict ("no verdict" at smoke scale), the numbers and where they were measured.
    """
    if folder is not None and Path(folder).exists() and not Path(folder).is_dir():
        raise ValueError(f"{folder} is no folder; nothing could be written there")
    started, where = time.perf_counter(), recipes.circumstances(choose_device(lab.device))
    evidence = what.test(lab)
    mean, half = evidence.difference
    record = {"claim": what.name, "paper": what.paper, "sentence": what.sentence, "scale": lab.scale}
    record |= {"verdict": "no verdict" if lab.scale == "smoke" else evidence.verdict, "seeds": list(lab.seeds)}
    record |= {"difference": mean, "half_width_95": half if math.isfinite(half) else None}
    record |= asdict(evidence)
    record |= {"seconds": time.perf_counter() - started} | where
    if folder is not None and lab.scale != "smoke":
        path = Path(folder) / f"{what.paper}.{what.name}.json"
        before, now = _seeds(path), len(record["seeds"])
        if before > now:
            warnings.warn(f"{path} holds {before} seeds and stays; delete it to write {now} in its place", stacklevel=2)
        else:
            try:
                write_json(path, record)
            except OSError as error:  # minutes of measuring are worth more than the file
                warnings.warn(f"{error.strerror or error}; the record is returned all the same", stacklevel=2)
    return record


def minutes(what: Claim, results: str | Path) -> str:
    """How long a claim takes at laptop scale: as measured, if a file of ``results`` says so, or as guessed.

    Of claims that share trainings, the one that was tested first has their time.
    """
    file = Path(results) / f"{what.paper}.{what.name}.json"
    if not file.exists():
        return f"about {what.minutes:g} min"
    record = json.loads(file.read_text(encoding="utf-8"))
    taken = record["seconds"] / len(record["seeds"]) * SCALES["laptop"]
    return f"{taken / 60:.0f} min as measured" if taken >= 60 else f"{taken:.0f} s as measured"


def _seeds(path: Path) -> int:
    """How many seeds a record has; 0 where there is none, or a torn one."""
    try:
        return len(json.loads(path.read_text(encoding="utf-8"))["seeds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def show(paper: str, results: str | Path | None = None, only: Sequence[str] = ()) -> None:
    """Print a paper's claims with their verdicts in ``results`` (default: the checkout's); ``only`` some, by name."""
    folder = Path(results or CHECKOUT / "results") / "claims"
    files = [folder / f"{paper}.{name}.json" for name in only] or sorted(folder.glob(f"{paper}.*.json"))
    if not files:
        print(f"no claim of {paper} was tested yet; run: labkit claims verify {paper}")
    for file in files:
        if not file.exists():
            print(f"{file.stem} was not tested yet; run: labkit claims verify {paper}\n")
            continue
        record = json.loads(file.read_text(encoding="utf-8"))
        evidence = f"{arm(record, 'treatment')} · {arm(record, 'control')} · seeds: {len(record['seeds'])}"
        for together in (" ± ", "seeds: "):  # no line ends there
            evidence = evidence.replace(together, together.replace(" ", "\N{NO-BREAK SPACE}"))
        for verdict, said in ((record["verdict"].upper(), record["sentence"]), ("", evidence)):
            print(textwrap.fill(said, 100, initial_indent=f"{verdict:20}", subsequent_indent=20 * " "))
        print()


def difference(record: dict[str, Any]) -> str:
    """Treatment less control with the half width of its 95 % interval, in the claim's unit: "+1.2 ± 0.4"."""
    return _number(record["unit"], record["difference"], record["half_width_95"], sign="+")


def arm(record: dict[str, Any], side: str) -> str:
    """The name of one side, "treatment" or "control", with its mean and standard deviation over seeds."""
    values = record[side]
    return f"{record[side + '_name']}: {_number(record['unit'], statistics.fmean(values), recipes.spread(values))}"


def _number(unit: str, value: float, spread: float | None, sign: str = "") -> str:
    if unit in ("accuracy", "AUC", "F1") or unit.startswith("share"):
        return f"{100 * value:{sign}.1f}" + ("" if spread is None else f" ± {100 * spread:.1f}")
    return f"{value:{sign}.3g}" + ("" if spread is None else f" ± {spread:.2g}") + f" ({unit})"
