"""Every public function, misused: what comes back is a right answer, or one clear error that names the argument.

    python -m tests.trust.misuse --examples 400          hypothesis draws the inputs; counts them

A call starts from arguments that fit together (by name: ``good``), and up to two of them are spoiled: another type,
shape, kind of numbers or device, NaN, infinities, zeros, huge and tiny values, strides; numbers that are zero,
negative, NaN, infinite, huge or no numbers. Then

- an error is a ValueError or TypeError (or narrower) that labkit raised itself, and its message names an argument;
- where nothing was spoiled there is none;
- an answer is finite, the same bits when asked again, and no argument was changed by it;
- neither takes more than ten seconds of processor time.
"""

import argparse
import ast
import contextlib
import copy
import functools
import importlib
import inspect
import io
import linecache
import math
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .good import CALLED, CHANGES, LEFT_OUT, MAY_BE_INFINITE, MAY_BE_NAN, World, good

# Of inputs: a playground draws in each call, a recipe trains.
SHARE = {"explore": 1 / 12, "recipes": 1 / 6, "plot": 1 / 4, "data": 2 / 3, "train": 2 / 3}
SECONDS = 10  # of processor time, for a call
ROOMS = ("losses", "evaluate", "theory", "views", "models", "methods", "data", "train", "explore", "plot", "teach",
         "recipes")  # fmt: skip


def public(room: str) -> Iterator[tuple[str, Callable]]:
    """("losses.nt_xent", its function) for all that a room offers; theory's modules hold theirs one floor down."""
    module = importlib.import_module(f"labkit.{room}")
    for name in sorted(getattr(module, "__all__", vars(module))):
        thing = getattr(module, name)
        inner = list(vars(thing).items()) if inspect.ismodule(thing) and room == "theory" else [("", thing)]
        for part, function in inner:
            owner = f"{room}.{name}.{part}".rstrip(".")
            mine = callable(function) and getattr(function, "__module__", "").startswith("labkit")
            if part and function.__module__ != thing.__name__ if mine and part else False:
                continue
            if mine and not part.startswith("_") and not name.startswith("_") and owner not in LEFT_OUT:
                yield owner, function


def parameters(function: Callable) -> list[inspect.Parameter]:
    found = inspect.signature(function).parameters.values()
    return [p for p in found if p.kind is not inspect.Parameter.VAR_KEYWORD]


class Misuse(AssertionError):
    """A call that gave no right answer and no clear error."""


def attempt(owner: str, function: Callable, pick: Callable[[list], Any]) -> None:
    """One call with arguments that ``pick`` chooses; raises Misuse unless the outcome is a good one."""
    world = World(pick([0, 1, 2, 3]), pick([torch.float32, torch.float32, torch.float64]))
    arguments = {p.name: good(world, owner, p) for p in parameters(function)}
    spoiled = []
    for _ in range(pick([0, 1, 1, 1, 2])) if arguments else ():
        name = pick(sorted(arguments))
        word, arguments[name] = pick(spoilings(arguments[name]))
        spoiled.append(f"{name} {word}")
    before = copy.deepcopy(_tensors(arguments))
    call = functools.partial(_called, function, arguments)
    told = f"{owner}({', '.join(spoiled) or 'as it should be'})"
    try:
        with _time_limit(told):
            answer = call()
    except Misuse:
        raise
    except Exception as error:
        if not spoiled:
            raise Misuse(f"{told}: {type(error).__name__}: {error}") from error
        _judge_error(error, owner, function, told)
        return
    # a power of 1e300 overflows rightly
    huge = any(isinstance(v, int | float) and 1e29 < abs(v) < math.inf for v in arguments.values())
    _judge_answer(answer, owner, huge or owner in MAY_BE_INFINITE, told)
    if owner in CHANGES:
        return
    if not _equal(before, _tensors(arguments)):
        raise Misuse(f"{told}: an argument was changed")
    if not _equal(_tensors(answer), _tensors(call())):
        raise Misuse(f"{told}: the same call gave another answer")


def _called(function: Callable, arguments: dict[str, Any]) -> Any:
    torch.manual_seed(0)
    for value in arguments.values():
        if isinstance(value, torch.Generator):
            value.manual_seed(0)
    rest = [p.name for p in parameters(function) if p.kind is inspect.Parameter.VAR_POSITIONAL]
    given = {name: value for name, value in arguments.items() if name not in rest}
    several = [
        value for name in rest for value in (arguments[name] if type(arguments[name]) is list else [arguments[name]])
    ]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if several:
            return function(*several, **given)
        return function(**given)


@contextlib.contextmanager
def _time_limit(told: str) -> Iterator[None]:
    def end(*_):
        raise Misuse(f"{told}: no end after {SECONDS} s")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _judge_error(error: Exception, owner: str, function: Callable, told: str) -> None:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    names = [p.name for p in parameters(function)] + [CALLED.get(owner, owner)]
    file = re.split(r".*/(?:site-packages|labkit)/", frame.filename)[-1]
    where = f"{file}:{frame.lineno}"
    found = f"{told}: {type(error).__name__} at {where}: {str(error)[:200]}"
    diverged = owner == "train.fit" and isinstance(error, FloatingPointError)  # by its docstring
    if not diverged and not isinstance(error, ValueError | TypeError | KeyError | FileNotFoundError):
        raise Misuse(found) from error
    if "/labkit/" not in frame.filename or not _is_raise(frame.filename, frame.lineno):
        raise Misuse(f"not raised by labkit: {found}") from error
    if not any(re.search(rf"\b{re.escape(name.removesuffix('s'))}s?\b", str(error)) for name in names):
        raise Misuse(f"names no argument: {found}") from error


@functools.cache
def _raises(filename: str) -> list[tuple[int, int]]:
    tree = ast.parse("".join(linecache.getlines(filename)))
    return [(node.lineno, node.end_lineno) for node in ast.walk(tree) if isinstance(node, ast.Raise)]


def _is_raise(filename: str, line: int) -> bool:
    return any(first <= line <= last for first, last in _raises(filename))


def _judge_answer(answer: Any, owner: str, infinite: bool, told: str) -> None:
    for value in _tensors(answer):
        value = value.detach()
        if value.is_meta:
            raise Misuse(f"{told}: an answer without numbers, on the meta device")
        if owner not in MAY_BE_NAN and value.layout is torch.strided and value.isnan().any():
            raise Misuse(f"{told}: NaN in the answer")
        if not infinite and value.layout is torch.strided and value.isinf().any():
            raise Misuse(f"{told}: an infinite answer")


def _tensors(thing: Any, depth: int = 0) -> list[Tensor]:
    """All numbers of an answer, or of arguments, as tensors; not how long something took."""
    if isinstance(thing, Tensor):
        return [thing.detach() if thing.layout is torch.strided else thing.detach().to_dense()]
    if isinstance(thing, bool | str | bytes | type) or thing is None or depth > 3:
        return []
    if isinstance(thing, int | float | np.number):
        finite = isinstance(thing, float | np.floating) or abs(thing) < 1e300
        return [torch.tensor(float(thing), dtype=torch.float64)] if finite else []
    if isinstance(thing, np.ndarray):
        return [torch.from_numpy(thing.copy())] if thing.dtype.kind in "fiub" else []
    if isinstance(thing, torch.nn.Module):
        return [value for value in thing.state_dict().values() if isinstance(value, Tensor)]
    if isinstance(thing, dict):
        return [t for key, value in thing.items() if key != "seconds" for t in _tensors(value, depth + 1)]
    if isinstance(thing, list | tuple):
        return [t for value in thing for t in _tensors(value, depth + 1)]
    if is_dataclass(thing):
        return _tensors({field.name: getattr(thing, field.name) for field in fields(thing)}, depth)
    return []


def _equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(
        x.is_meta or (x.shape == y.shape and x.dtype == y.dtype and torch.equal(_bits(x), _bits(y)))
        for x, y in zip(a, b)
    )


def _bits(x: Tensor) -> Tensor:
    return torch.nan_to_num(x.double(), nan=0.125) if not x.is_complex() else torch.view_as_real(x).nan_to_num()


def spoilings(value: Any) -> list[tuple[str, Any]]:
    """("what was done to it", the spoiled value): everything that is tried on a value like this one."""
    others: list[tuple[str, Any]] = [("None", None), ("a string", "x"), ("an object", object()), ("a list", [])]
    if isinstance(value, Tensor) and value.is_meta:
        return others
    if isinstance(value, Tensor):
        return [
            *_spoiled_tensors(value),
            *others,
            ("a number", 3.5),
            ("an array", _array(value)),
            ("rows", value.tolist()),
        ]
    if isinstance(value, bool):
        return [("not", not value), ("2", 2), ("NaN", math.nan), *others]
    if isinstance(value, int | float):
        numbers = [0, 1, 2, 3, -1, 0.5, 1.5, -0.0, 1e-300, 1e300, 10**30, math.nan, math.inf, -math.inf, True]
        tensors = [("a tensor", torch.tensor(1.0)), ("a vector", torch.ones(3)), ("NumPy's", np.float32(0.25))]
        return [*((repr(number), number) for number in numbers), *tensors, *others]
    if isinstance(value, str):
        return [("another", value + "y"), ("empty", ""), ("a number", 3), ("not text", b"\xff"), *others]
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):  # a named tuple is an object
        return [("empty", type(value)()), ("twice", value + value), ("of strings", type(value)("ab")),
                ("of NaN", type(value)([math.nan, math.nan])), ("negative", type(value)([-1, -2])),
                ("a number", 2), *others]  # fmt: skip
    return [*others, ("a number", 3), ("a tensor", torch.ones(3, 2))]


def _array(value: Tensor) -> Any:
    return value.detach().to_dense().float().numpy() if not value.is_meta else None


def _spoiled_tensors(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool,
                  torch.complex64):  # fmt: skip
        yield str(dtype).removeprefix("torch."), (x.real if x.is_complex() else x).to(dtype)
    yield "on meta", x.to("meta")
    yield "without rows", x[:0] if x.dim() else x
    yield "one row", x[:1] if x.dim() else x
    yield "a row less", x[1:] if x.dim() else x
    yield "doubled rows", torch.cat([x, x]) if x.dim() else x
    yield "without columns", x[..., :0] if x.dim() else x
    yield "a column less", x[..., 1:] if x.dim() else x
    yield "a dimension more", x[None]
    yield "a dimension less", x[0] if x.dim() and len(x) else x
    yield "transposed", x.mT if x.dim() > 1 else x
    yield "strided", torch.stack([x, x], dim=-1)[..., 0]
    yield "backwards in memory", x.flip(0).contiguous().flip(0) if x.dim() else x
    yield "the same row", x[:1].expand(x.shape) if x.dim() else x
    yield "zeros", torch.zeros_like(x)
    yield "negative", -x if x.dtype != torch.bool else x
    yield "a zero row", _with(x, 0)
    if x.is_floating_point():
        for value in (math.nan, math.inf, -math.inf, 1e30, 1e-30):
            yield f"with a row of {value}", _with(x, value)
        for factor in (1e-20, 1e-6, 1e6, 1e19, 1e30, 1e38):
            yield f"times {factor:g}", x * factor
        yield "needing gradients", x.detach().clone().requires_grad_()
    else:
        yield "with a number too large", _with(x, 10**6)
        yield "with -1", _with(x, -1)


def _with(x: Tensor, value: float) -> Tensor:
    if x.numel() == 0 or not x.dim() or x.dtype in (torch.bool, torch.uint8):
        return x
    x = x.clone()
    x[:1] = value
    return x


@dataclass
class Tally:
    """Inputs tried, and what was wrong."""

    inputs: int = 0
    functions: int = 0


def try_out(owner: str, function: Callable, examples: int, tally: Tally, dice: int = 0) -> str | None:
    """``examples`` inputs for one function, drawn from the seed ``dice``; the smallest misuse found, in words."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    @seed(dice)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(st.data())
    def calls(data):
        tally.inputs += 1
        attempt(owner, function, lambda options: data.draw(st.sampled_from(options)))

    tally.functions += 1
    try:
        calls()
    except Misuse as misuse:
        return str(misuse)
    return None


@contextlib.contextmanager
def as_a_user() -> Iterator[None]:
    """Without the check of annotations that tests run with, which a user does not have; in an empty folder."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def main() -> int:
    from .report import Figure, record

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=400, help="inputs for each function")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--only", default="", help="functions whose name holds this; nothing is recorded")
    options = parser.parse_args()
    started, tally, found = time.perf_counter(), Tally(), []
    torch.set_num_threads(1)
    with as_a_user():
        for room in ROOMS:
            for owner, function in public(room):
                if options.only in owner:
                    examples = max(1, round(options.examples * SHARE.get(room, 1)))
                    misuse = try_out(owner, function, examples, tally, options.seed)
                    found += [misuse] if misuse else []
                    print(f"{time.perf_counter() - started:6.0f} s {tally.inputs:7} {owner} {misuse or ''}", flush=True)
    if options.only:
        return 1 if found else 0
    return record(
        Figure(
            name="misuse",
            promise="Misused",
            title="Public functions and classes, misused",
            done=f"hypothesis drew up to {options.examples} inputs (a twelfth where a playground is drawn, a sixth "
            "where a recipe trains) for each public function and each constructor of a public class, from arguments "
            "that fit together, which had to be taken, with up to two of them spoiled; an answer had to be finite, "
            "repeatable and leave its arguments alone, an error had to be a ValueError or TypeError of labkit's own "
            "that names an argument, and neither could take ten seconds.",
            asked="0 misuses",
            kept=not found,
            counts={"inputs": tally.inputs, "functions and classes": tally.functions, "misuses": len(found)},
            findings=[*found, *(f"Left out: {name}: {why}." for name, why in LEFT_OUT.items())],
        ),
        started,
    )


if __name__ == "__main__":
    sys.exit(main())
