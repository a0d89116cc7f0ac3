"""Does the quick suite notice broken code? Places of losses, evaluate and theory are broken one at a time, by seed.

    python -m tests.trust.mutants --seed 1           50 places, an hour on a busy core
    python -m tests.trust.mutants --rooms views models methods train

A place is an operator, a number, a flag, an axis, a term or a reduction inside a function; messages, annotations and
docstrings are left alone. What runs for it are the tests of its room, those that name what the file holds first, then
all others that import the room, until one fails. A place that nobody notices is listed, with the argument where it
changes nothing that could be noticed.
"""

import argparse
import ast
import functools
import json
import multiprocessing.util
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
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
EQUIVALENT: dict[str, str] = {
    "`residual = (logits * sign).sigmoid_().mul_(sign)` became `residual = (logits / sign).sigmoid_().mul_(sign)`": (
        "a sign is 1 or -1"
    ),
    "`best, found = near.topk(min(k + 1, others), dim=1)` became "
    "`best, found = near.topk(min(k + 2, others), dim=1)`": "what follows the first k + 1 is not looked at",
    "`block = block or TILE.get(rows.device.type, 4096)` became `block = block or TILE.get(rows.device.type, 4097)`": (
        "TILE has every kind of device that labkit trains on"
    ),
    "`top = torch.where(rate >= 0, 1.0, fallen)` became `top = torch.where(rate > 0, 1.0, fallen)`": (
        "at a rate of 0 both are 1, and the gradient of the modulus is 0"
    ),
    "`if proper and torch.linalg.det(u @ vt) < 0:` became `if proper and torch.linalg.det(u @ vt) <= 0:`": (
        "the determinant of an orthogonal matrix is 1 or -1"
    ),
    "`if 2 * self.left < len(self.name):` became `if 3 * self.left < len(self.name):`": (
        "when clusters that are gone are forgotten decides the memory, no result"
    ),
    "`log_second = (2 * log_kernel).logsumexp(dim=1) - math.log(n - 1)` became "
    "`log_second = (2 * log_kernel).logsumexp(dim=0) - math.log(n - 1)`": "the kernel is symmetric",
    "`weights = [1.0] * len(kernels) if weights is None else weights` became "
    "`weights = [2.0] * len(kernels) if weights is None else weights`": "weights are divided by their sum",
    "`if x.abs().max() < 1e-14: # what rounding leaves of a mean` became "
    "`if x.abs().max() < 2e-14: # what rounding leaves of a mean`": "between the two lies nothing but rounding",
    "`square = tile[first - i.start : last - i.start, first + away - j.start : last + away - j.start]` became "
    "`square = tile[first - i.start : last, first + away - j.start : last + away - j.start]`": (
        "a diagonal ends at the last column"
    ),
}


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


def chosen(seed: int, count: int, rooms: Sequence[str] = ROOMS) -> list[Place]:
    """``count`` places of these rooms, each as likely as any other; none twice."""
    files = sorted(path for room in rooms for path in (ROOT / "labkit" / room).rglob("*.py") if path.stem != "__init__")
    every = list({(p.path, p.start, p.end, p.new): p for path in files for p in places(path)}.values())
    return random.Random(seed).sample(every, count)


def tests_of(place: Place) -> list[list[str]]:
    """Test files for a place, in the order they run: of its room those that name what its file holds and then the
    rest, then those of other rooms that name it.
    """
    path = ROOT / place.path
    room = path.relative_to(ROOT / "labkit").parts[0]
    defined = [n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    near, rest, others = [], [], []
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        text, folder = test.read_text(), test.relative_to(ROOT / "tests").parts[0]
        names = sum(bool(re.search(rf"\b{name}\b", text)) for name in defined if not name.startswith("_"))
        if folder == room:
            (near if names else rest).append((-names, str(test.relative_to(ROOT))))
        elif names and folder not in ("browser", "notebooks") and re.search(rf"labkit(\.| import .*\b){room}\b", text):
            others.append((-names, str(test.relative_to(ROOT))))
    return [[name for _, name in sorted(files)] for files in (near, rest, others)]


@dataclass(frozen=True)
class Scratch:
    """A copy of the project to break, and what its tests say."""

    folder: Path
    log: Path
    limit: float

    def noticed(self, place: Place) -> bool:
        """Whether a test fails, or hangs, with this place broken, and passes with nothing broken."""
        path, text = self.folder / place.path, (ROOT / place.path).read_text()
        for files in filter(None, tests_of(place)):
            path.write_text(place.broken(text))
            outcome = self.run(files)
            path.write_text(text)
            if outcome != "passed" and self.passes(tuple(files)):
                return True
        return False

    @functools.cache  # noqa: B019 (one for the life of the command)
    def passes(self, files: tuple[str, ...]) -> bool:
        return self.run(list(files)) == "passed"

    def run(self, files: list[str]) -> str:
        """ "passed", "failed", or "hung" when there is no end within the limit."""
        process = get_context("fork").Process(target=_pytest, args=(self.folder, files, self.log))
        process.start()
        process.join(self.limit)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
            process.join()
            return "hung"
        return "failed" if process.exitcode else "passed"


def _pytest(scratch: Path, files: list[str], log: Path) -> None:
    import pytest

    os.setsid()
    os.chdir(scratch)
    sys.path[:] = [str(scratch), *(entry for entry in sys.path if Path(entry or ".").resolve() != ROOT)]
    for name in [name for name in sys.modules if name.split(".")[0] in ("labkit", "tests", "trust")]:
        del sys.modules[name]
    os.environ["PYTHONPATH"] = str(scratch)
    with log.open("a") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        status = pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", *files])
    os._exit(int(status))


_scratch: Scratch


def _begin(limit: float) -> None:
    """A copy of the project for this process, which ends with it."""
    global _scratch
    folder = Path(tempfile.mkdtemp(prefix="labkit-mutants-"))
    multiprocessing.util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=1)
    shutil.copytree(ROOT, folder / "repo", ignore=shutil.ignore_patterns(".*", "__pycache__", "notebooks"))
    _scratch = Scratch(folder / "repo", folder / "log.txt", limit)


def _is_noticed(place: Place) -> bool:
    return _scratch.noticed(place)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--rooms", nargs="+", default=ROOMS)
    parser.add_argument("--jobs", type=int, default=1, help="places at a time")
    parser.add_argument("--limit", type=float, default=900, help="seconds for the tests of a place")
    options = parser.parse_args()
    started = time.perf_counter()
    earlier = _earlier(options.seed)
    for heavy in ("torch", "torch_geometric", "sklearn.linear_model", "scipy.stats", "hypothesis", "beartype"):
        __import__(heavy)  # once for all places: each runs in a fork of this process
    missed, same = [], []
    picked = chosen(options.seed, options.count, options.rooms)
    with ProcessPoolExecutor(options.jobs, get_context("fork"), initializer=_begin, initargs=(options.limit,)) as pool:
        for number, (place, seen) in enumerate(zip(picked, pool.map(_is_noticed, picked), strict=True), start=1):
            story = place.told((ROOT / place.path).read_text())
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
            done=f"{options.count} places of labkit/{', '.join(options.rooms)}, drawn with seed {options.seed} from "
            "all operators, numbers, flags, axes, terms and reductions there, were broken one at a time; the tests of "
            "the room and those that import it ran.",
            asked="48 of 50",
            kept=seen >= 0.96 * options.count,
            counts={"places": options.count, "noticed": seen, "argued equal": len(same), "missed": len(missed)},
            findings=[*missed, *same, *earlier],
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
