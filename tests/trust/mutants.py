"""Does the quick suite notice broken code? Places of losses, evaluate and theory are broken one at a time, by seed.

    python -m tests.trust.mutants --seed 1           50 places, an hour on a busy core

A place is an operator, a number, a flag, an axis, a term or a reduction inside a function; messages, annotations and
docstrings are left alone. What runs for it are the tests of its room, those that name what the file holds first, then
all others that import the room, until one fails. A place that nobody notices is listed, with the argument where it
changes nothing that could be noticed.
"""

import argparse
import ast
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .report import ROOT, Figure, record

ROOMS = ("losses", "evaluate", "theory")
SWAPS = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*", ast.FloorDiv: "/", ast.Mod: "//",
    ast.And: "or", ast.Or: "and",
}  # fmt: skip
OPPOSITE = {
    "max": "min", "min": "max", "amax": "amin", "amin": "amax", "argmax": "argmin", "argmin": "argmax", "any": "all",
    "all": "any", "sum": "mean", "mean": "sum", "exp": "expm1", "log": "log1p", "sqrt": "square", "square": "abs",
    "triu": "tril", "tril": "triu",
}  # fmt: skip
# A place that no test can notice, as it is written in the results -> why.
EQUIVALENT: dict[str, str] = {}


@dataclass(frozen=True)
class Place:
    """A stretch of a file and what it is replaced by."""

    path: str
    line: int
    start: int
    end: int
    new: str

    def broken(self, text: str) -> str:
        return text[: self.start] + self.new + text[self.end :]

    def told(self, text: str) -> str:
        """The line before and after, as it stands in the results."""
        first, last = text.rfind("\n", 0, self.start) + 1, text.find("\n", self.end)
        before, after = text[first:last], text[first : self.start] + self.new + text[self.end : last]
        return f"{self.path}:{self.line}: `{' '.join(before.split())}` became `{' '.join(after.split())}`"


def places(path: Path) -> list[Place]:
    """Every place of a file that can be broken."""
    text = path.read_text()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    raw = text.encode()

    def at(line: int, column: int) -> int:
        return len(raw[: starts[line - 1] + column].decode())

    found = []

    def add(node: ast.AST, start: int, end: int, new: str) -> None:
        found.append(Place(str(path.relative_to(ROOT)), node.lineno, start, end, new))

    def between(left: ast.AST, right: ast.AST, op: ast.AST) -> None:
        start, end = at(left.end_lineno, left.end_col_offset), at(right.lineno, right.col_offset)
        sign = re.search(r"<=|>=|==|!=|\*\*|//|[<>+\-*/%]|\band\b|\bor\b", text[start:end])
        if sign and type(op) in SWAPS:
            add(left, start + sign.start(), start + sign.end(), SWAPS[type(op)])

    for node in _code(ast.parse(text)):
        if isinstance(node, ast.BinOp):
            between(node.left, node.right, node.op)
            if isinstance(node.op, ast.Add | ast.Sub):  # a term is dropped
                add(node, at(node.left.end_lineno, node.left.end_col_offset), at(node.end_lineno, node.end_col_offset),
                    ")" * text[at(node.left.end_lineno, node.left.end_col_offset) :].startswith(")"))  # fmt: skip
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            between(node.left, node.comparators[0], node.ops[0])
        elif isinstance(node, ast.BoolOp):
            between(node.values[0], node.values[1], node.op)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
            add(node, at(node.lineno, node.col_offset), at(node.operand.lineno, node.operand.col_offset), "")
        elif isinstance(node, ast.keyword) and node.arg == "dim" and isinstance(node.value, ast.Constant):
            value = node.value
            start, end = at(value.lineno, value.col_offset), at(value.end_lineno, value.end_col_offset)
            add(value, start, end, "1" if value.value == 0 else "0")
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            start, end = at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)
            changed = not node.value if isinstance(node.value, bool) else node.value + 1
            if isinstance(node.value, float):
                changed = node.value * 2 or 1.0
            add(node, start, end, repr(changed))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in OPPOSITE:
            end = at(node.func.end_lineno, node.func.end_col_offset)
            add(node.func, end - len(node.func.attr), end, OPPOSITE[node.func.attr])
    return [place for place in found if _compiles(place.broken(text))]


def _code(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes inside functions that are no annotation, no message and no docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for statement in node.body:
                yield from _below(statement)


def _below(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Raise | ast.FunctionDef | ast.JoinedStr):
        return
    yield node
    for field, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and field != "annotation":
                yield from _below(child)


def _compiles(text: str) -> bool:
    try:
        compile(text, "broken", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def chosen(seed: int, count: int) -> list[Place]:
    """``count`` places of all rooms, each as likely as any other; none twice."""
    files = sorted(path for room in ROOMS for path in (ROOT / "labkit" / room).rglob("*.py") if path.stem != "__init__")
    every = list({(p.path, p.start, p.end, p.new): p for path in files for p in places(path)}.values())
    return random.Random(seed).sample(every, count)


def tests_of(place: Place) -> list[list[str]]:
    """Test files for a place, in the order they run: of its room (the nearest first), then others that use the room."""
    path = ROOT / place.path
    room = path.relative_to(ROOT / "labkit").parts[0]
    defined = [n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    own, others = [], []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        text, folder = test.read_text(), test.relative_to(ROOT / "tests").parts[0]
        names = sum(bool(re.search(rf"\b{name}\b", text)) for name in defined if not name.startswith("_"))
        if folder == room:
            own.append((-names, str(test.relative_to(ROOT))))
        elif folder not in ("browser", "notebooks") and re.search(rf"labkit(\.| import .*\b){room}\b", text):
            others.append((-names, str(test.relative_to(ROOT))))
    return [[name for _, name in sorted(files)] for files in (own, others)]


@dataclass
class Scratch:
    """A copy of the project to break, and what its tests say."""

    folder: Path
    log: Path
    limit: float
    failing: tuple[str, ...] = ()

    def find_failing(self, files: list[str]) -> None:
        """Tests that fail with nothing broken notice nothing: they are left out."""
        self.run(files, "--maxfail=1000", "--tb=no")
        found = re.findall(r"^(?:FAILED|ERROR) (\S+)", self.log.read_text(), flags=re.M)
        self.failing = tuple(dict.fromkeys(found))

    def noticed(self, place: Place) -> bool:
        """Whether a test fails with this place broken, or the room's own tests hang."""
        path, text = self.folder / place.path, (ROOT / place.path).read_text()
        path.write_text(place.broken(text))
        try:
            own, others = tests_of(place)
            if self.run(own) != "passed":
                return True
            failed = self.run(others) == "failed"
        finally:
            path.write_text(text)
        return failed and self.run(others) == "passed"  # with nothing broken

    def run(self, files: list[str], *options: str) -> str:
        """ "passed", "failed", or "hung" when there is no end within the limit."""
        process = multiprocessing.get_context("fork").Process(
            target=_pytest, args=(self.folder, [*files, *options], self.log, self.failing)
        )
        process.start()
        process.join(self.limit)
        if process.is_alive():
            process.kill()
            process.join()
            return "hung"
        return "failed" if process.exitcode else "passed"


def _pytest(scratch: Path, arguments: list[str], log: Path, without: Sequence[str]) -> None:
    import pytest

    os.chdir(scratch)
    sys.path[:] = [str(scratch), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.split(".")[0] in ("labkit", "tests", "trust")]:
        del sys.modules[name]
    os.environ["PYTHONPATH"] = str(scratch)
    with log.open("a") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", *(f"--deselect={name}" for name in without)]
        status = pytest.main([*options, *arguments])
    os._exit(int(status))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--limit", type=float, default=900, help="seconds for the tests of a place")
    options = parser.parse_args()
    started = time.perf_counter()
    earlier = _earlier(options.seed)
    for heavy in ("torch", "torch_geometric", "sklearn.linear_model", "scipy.stats", "hypothesis", "beartype"):
        __import__(heavy)  # once for all places: each runs in a fork of this process
    missed, same = [], []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(tempfile.gettempdir()) / f"mutants-{options.seed}.log"
        scratch = Scratch(Path(folder) / "repo", log, options.limit)
        shutil.copytree(ROOT, scratch.folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "notebooks"))
        picked = chosen(options.seed, options.count)
        scratch.find_failing(sorted({file for place in picked for file in tests_of(place)[0]}))
        print(f"{time.perf_counter() - started:6.0f} s, failing with nothing broken: {scratch.failing}", flush=True)
        for number, place in enumerate(picked, start=1):
            seen, story = scratch.noticed(place), place.told((ROOT / place.path).read_text())
            word = "noticed" if seen else "MISSED "
            print(f"{number:3} {word} {time.perf_counter() - started:6.0f} s {story}", flush=True)
            if not seen:
                argument = EQUIVALENT.get(story.partition(": ")[2])
                (same if argument else missed).append(f"{story}: {argument or 'nobody noticed'}")
    seen = options.count - len(missed) - len(same)
    return record(
        Figure(
            name="mutants",
            promise="Right",
            title="Broken places that the quick suite notices",
            done=f"{options.count} places of labkit/losses, evaluate and theory, drawn with seed {options.seed} from "
            "all operators, numbers, flags, axes, terms and reductions there, were broken one at a time; the tests of "
            "the room and those that import it ran.",
            asked="48 of 50",
            kept=seen >= 0.96 * options.count,
            counts={"places": options.count, "noticed": seen, "argued equal": len(same), "missed": len(missed)},
            findings=[*missed, *same, *(f"Left out, as it fails anyway: {name}" for name in scratch.failing), *earlier],
        ),
        started,
    )


def _earlier(seed: int) -> list[str]:
    """What earlier runs with other seeds found, from the file that this one replaces."""
    path = ROOT / "results" / "trust" / "mutants.json"
    if not path.is_file():
        return []
    old = json.loads(path.read_text())
    told = [finding for finding in old["findings"] if finding.startswith("Earlier:")]
    counts = old["counts"]
    line = f"Earlier: `{old['command']}` at {old['commit'][:7]}: {counts['noticed']} of {counts['places']} noticed."
    return told if old["command"].endswith(f"--seed {seed}") else [*told, line]


if __name__ == "__main__":
    sys.exit(main())
