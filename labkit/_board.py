"""BOARD.md: what every claim and recipe came to, paper by paper, for someone who decides whether to trust the suite."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from labkit import papers
from labkit.claims import FAILS, HOLDS, OPEN, SCALES, Claim, arm, difference

Record = dict[str, Any]  # a JSON file of results/

THEMES = ("graph", "vision", "spectral", "dynamics")
VERDICTS = (HOLDS, FAILS, OPEN, "not run")
HEAD = """# The board

What came out of the papers' claims and recipes here. Made by `labkit claims board` from the files in `results/` and the
claims in `labkit/papers/`; a test fails when they differ.

| theme | papers | claims | holds | does not hold here | not decided | not run | recipes measured |
|---|---|---|---|---|---|---|---|
{summary}

- A claim is a sentence with a control. It **holds** when the 95 % interval of the paired difference over seeds
  (Student's t) lies above zero, **does not hold here** when it lies below, and is **not decided** otherwise.
- *Here* is small: small networks and small data on a few processor cores. What does not hold here may hold at the size
  of its paper.
- *Ours* is what should be larger if the claim is right, above what should be smaller: mean ± standard deviation over
  seeds. The *difference* is their mean difference ± half of the 95 % interval. Both in percent, or in the unit in
  brackets.
- *The paper* is what it or its code reports for the same comparison, nearly always on other data, and where. "ours":
  the sentence is not the paper's. "–": nothing was found that could be traced to a source.
- *s* is wall time. The claims of one paper share trainings, so that a later one costs less than it would alone.
- To run a row again, add what its last column says to the command under the paper's name.
"""
CLAIMS = """| claim | verdict | ours | difference | the paper | seeds | s | again |
|---|---|---|---|---|---|---|---|"""
RECIPES = """| recipe and protocol | ours | the paper | floors | ceiling | over | s |
|---|---|---|---|---|---|---|"""


def board(results: str | Path) -> str:
    """The page, from the JSON files in ``results`` and the claims that ``labkit.papers`` knows.

    Raises:
        ValueError: a file is of no known claim; the message names it.
    """
    claims, modules = papers.claims(), papers.modules()
    measured = {(row["paper"], row["claim"]): row for row in _records(results, "claims")}
    known = {(one.paper, one.name) for several in claims.values() for one in several}
    for paper, name in sorted(measured.keys() - known):
        raise ValueError(f"results/claims/{paper}.{name}.json: {paper} has no claim {name!r}; remove the file")
    recipes = _records(results, "recipes")
    epochs = {row["recipe"]: _epochs(row) for row in recipes}
    themes: dict[str, list[str]] = {theme: [] for theme in THEMES}
    for name, module in modules.items():
        themes.setdefault(module.__name__.split(".")[-2], []).append(name)

    summary, sections = [], []
    for theme, names in [*themes.items(), ("all", list(modules))]:
        several = [one for name in names for one in claims[name]]
        counts = _counts(several, measured)
        of_theme = len({row["recipe"] for row in recipes if _paper(row) in names})
        link = theme if theme == "all" else f"[{theme}](#{theme})"
        summary.append(_row(link, len(names), len(several), *(counts[verdict] for verdict in VERDICTS), of_theme))
    for theme, names in themes.items():
        sections.append(f"## {theme.capitalize()}\n")
        for name in names:
            of_paper = [row for row in recipes if _paper(row) == name]
            sections += _section(modules[name], claims[name], measured, of_paper, epochs)
    others = [row for row in recipes if _paper(row) not in modules]
    if others:
        same = "The same encoders trained with labels, in the epochs named beside the methods that train for longer.\n"
        sections += ["## Ceilings\n", same, _recipe_table(others, epochs)]
    return "\n".join([HEAD.format(summary="\n".join(summary)), *sections])


def _records(results: str | Path, kind: str) -> list[Record]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((Path(results) / kind).glob("*.json"))]


def _paper(recipe: Record) -> str:
    return recipe["recipe"].split("/")[0]


def _counts(claims: Sequence[Claim], measured: dict[tuple[str, str], Record]) -> Counter:
    return Counter(measured.get((one.paper, one.name), {}).get("verdict", "not run") for one in claims)


def _epochs(row: Record) -> str:
    return str((row.get("training") or {}).get("epochs", ""))


def _section(
    module: ModuleType, claims: list[Claim], measured: dict, recipes: list[Record], epochs: dict[str, str]
) -> list[str]:
    """A paper: its name with a link, the command and the verdicts in one line, then its tables."""
    name = module.__name__.split(".")[-1]
    title = " ".join(module.__doc__.split("\n\n")[0].split()).rstrip(".")
    link = re.search(r"https?://\S+", module.__doc__)
    counts = _counts(claims, measured)
    said = ", ".join(f"{counts[verdict]} × {verdict}" for verdict in VERDICTS if counts[verdict])
    lines = [f"### [{title}]({link[0]})\n" if link else f"### {title}\n", f"`labkit claims verify {name}`: {said}.\n"]
    rows = [_claim_row(one, measured[one.paper, one.name]) for one in claims if (one.paper, one.name) in measured]
    if rows:
        lines.append("\n".join([CLAIMS, *rows, ""]))
    waiting = [f"`{one.name}`" for one in claims if (one.paper, one.name) not in measured]
    if waiting:
        lines.append(f"Not run: {', '.join(waiting)}.\n")
    return lines + ([_recipe_table(recipes, epochs)] if recipes else [])


def _claim_row(claim: Claim, row: Record) -> str:
    guess = f"Perhaps: {claim.why_not}" if claim.why_not and row["verdict"] == FAILS else ""
    sentence = "<br>".join([claim.sentence, *(f"*{remark}*" for remark in (row["note"], guess) if remark)])
    paper = claim.reported or ("ours" if claim.sentence.endswith("(ours).") else "–")
    seeds = len(row["seeds"])
    options = f"`--only {row['claim']}" + ("`" if seeds == SCALES[row["scale"]] else f" --seeds {seeds}`")
    ours = f"{arm(row, 'treatment')}<br>{arm(row, 'control')}".replace(f" ({row['unit']})", "")
    verdict, seconds = f"**{row['verdict']}**", f"{row['seconds']:.0f}"
    apart = difference(row) + ("<br>the same for every seed" if row["half_width_95"] == 0 else "")
    return _row(sentence, verdict, ours, apart, paper, seeds, seconds, options)


def _recipe_table(recipes: Sequence[Record], epochs: dict[str, str]) -> str:
    rows = []
    for row in recipes:
        paper = f"{row['paper']['mean']:.1f}, {row['paper']['where']}" if row["paper"] else "–"
        floors = "<br>".join(f"{name} {_spread(floor)}" for name, floor in row["floors"].items())
        ceiling = _spread(row["ceiling"]) if row.get("ceiling") else ""
        of_ceiling = epochs.get(row["ceiling"]["recipe"], "") if ceiling else ""
        if of_ceiling and of_ceiling != _epochs(row):  # labels that had less time may be passed
            ceiling += f" ({of_ceiling} epochs, here {_epochs(row)})"
        what = f"`{row['command']}`<br>{row['protocol']}"
        rows.append(_row(what, _spread(row), paper, floors, ceiling, row["over"], f"{row['seconds']:.0f}"))
    return "\n".join([RECIPES, *rows, ""])


def _row(*cells: Any) -> str:
    """A line of a table; bars do not open columns, and a number stays on one line with its spread."""
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace(" ± ", "\u00a0±\u00a0") for cell in cells) + " |"


def _spread(row: Record) -> str:
    return f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f}"
