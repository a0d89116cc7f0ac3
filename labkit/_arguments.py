"""Arguments of public functions are what the annotations say, or one sentence says what they are instead."""

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import chain
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from labkit._checks import require_in_range

_HALF = (torch.float16, torch.bfloat16)
_COLLECTIONS = {Sequence: "sequence", Iterable: "collection", Mapping: "mapping", list: "list", dict: "dictionary"}


def checked(thing: Callable | None = None, *, numbers: bool = True) -> Callable:
    """Check arguments against the annotations before a function starts (or a class's ``__init__``): types, dimensions.

    A tensor has the dimensions and the kind of numbers that a jaxtyping annotation names, sizes of one name are equal,
    and it holds data (it is not on the meta device); a number is one, and not NaN; a name is a string. What else is
    allowed is the function's own business. Costs some microseconds.

    Args:
        numbers: look at the numbers in tensors, too: float32 or float64, finite, and not so large that fourth powers
            overflow. For closed forms; what runs in every step of a training looks for itself, if it does.

    Raises:
        TypeError: what is no tensor, number, string... where one belongs.
        ValueError: NaN; a tensor of another shape or kind.
    """
    if thing is None:
        return lambda thing: checked(thing, numbers=numbers)
    if inspect.isclass(thing):
        thing.__init__ = checked(thing.__init__, numbers=numbers)
        return thing
    rules: dict[str, _Rule | None] = {}
    order: list[str] = []

    @wraps(thing)
    def with_checked_arguments(*args, **kwargs):
        __tracebackhide__ = True  # in a notebook's traceback this is a step between the reader and the function
        if not order:  # at the first call: annotations may name what is defined further down
            order.extend(_rules(thing, numbers, rules))
        sizes: dict[str, tuple[int, str]] = {}
        kinds: dict[str, tuple[torch.dtype, str]] = {}
        last = len(order) - 1
        for name, value in chain(((order[min(i, last)], value) for i, value in enumerate(args)), kwargs.items()):
            rule = rules.get(name)
            if rule is None:
                continue
            if not rule.allows(value):
                raise rule.refuse(name, value)
            if isinstance(value, Tensor):
                rule.compare(name, value, sizes)
                if numbers and value.is_floating_point():
                    require_in_range(name, value, power=4)
                    if value.dim() > 1:  # products of matrices do not mix kinds; vectors are promoted
                        kind, other = kinds.setdefault("kind", (value.dtype, name))
                        if kind != value.dtype:
                            raise ValueError(f"{name} must hold {kind}, as {other} does; use {name}.to({other}.dtype)")
        return thing(*args, **kwargs)

    with_checked_arguments.with_checked_arguments = True
    return with_checked_arguments


@dataclass(frozen=True)
class _Rule:
    """``allows(value)``; ``kind`` says whether it is of the right type at all; ``words`` says what it should be.

    ``named``: axes of a tensor and what they are called.
    """

    words: str
    allows: Callable[[Any], bool]
    kind: Callable[[Any], bool]
    named: tuple[tuple[int, str], ...] = ()

    def compare(self, name: str, value: Tensor, sizes: dict[str, tuple[int, str]]) -> None:
        """Sizes of one name are equal; ``sizes`` holds those of the arguments before."""
        for axis, called in self.named:
            size, other = sizes.setdefault(called, (value.shape[axis], name))
            if size != value.shape[axis]:
                raise ValueError(
                    f"the {called} of {name} must be the {size} of {other}, not {value.shape[axis]}; its shape is "
                    f"{list(value.shape)}"
                )

    def refuse(self, name: str, value: Any) -> Exception:
        error = ValueError if self.kind(value) else TypeError
        hint = f"; use {name}.float()" if isinstance(value, Tensor) and value.dtype in _HALF else ""
        if "GraphBatch" in self.words:  # what batches are made of: of a whole data set, the part that holds its items
            hint += "".join(f"; hand in its .{part}" for part in ("images", "packed") if part in dir(value))
        return error(f"{name} must be {self.words}, not {_found(value)}{hint}")


def _rules(function: Callable, numbers: bool, rules: dict[str, _Rule | None]) -> list[str]:
    """Fill in the rule of each parameter; the names by place, the last of which takes the rest."""
    parameters = inspect.signature(function).parameters
    scope = inspect.unwrap(function).__globals__
    rules.update({name: _rule(_hint(p.annotation, scope), numbers) for name, p in parameters.items()})
    several = [place for place, p in enumerate(parameters.values()) if p.kind is inspect.Parameter.VAR_POSITIONAL]
    return list(parameters)[: several[0] + 1] if several else list(parameters)


def _hint(annotation: Any, scope: dict[str, Any]) -> Any:
    try:
        return eval(annotation, scope) if isinstance(annotation, str) else annotation
    except NameError:  # imported for editors only
        return Any


def _rule(hint: Any, numbers: bool) -> _Rule | None:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _either([_rule(member, numbers) for member in typing.get_args(hint)])
    if hasattr(hint, "dim_str"):
        return _tensor(hint, numbers)
    if hint is Tensor:
        return _Rule(
            "a torch tensor",
            lambda v: isinstance(v, Tensor) and not (v.is_meta or v.is_complex() or (numbers and v.dtype in _HALF)),
            lambda v: isinstance(v, Tensor),
        )
    if hint in (int, float):
        return _number(hint)
    if hint is bool or hint is str:
        word = "True or False" if hint is bool else "a string"
        return _of_type(word, hint)
    if hint is None or hint is type(None):
        return _of_type("None", type(None))
    if hint is Callable or origin is Callable:
        return _Rule("something to call", callable, callable)
    if (origin or hint) in _COLLECTIONS or origin is tuple:
        return _collection(origin or hint, typing.get_args(hint), numbers)
    if inspect.isclass(hint) and origin is None and hint not in (object, Any, inspect.Parameter.empty):
        article = "an" if hint.__name__[0] in "AEIOU" else "a"
        return _of_type(f"{article} {hint.__name__}", hint)
    return None


def _of_type(words: str, kind: type) -> _Rule:
    return _Rule(words, lambda v: isinstance(v, kind), lambda v: isinstance(v, kind))


def _number(hint: type) -> _Rule:
    kind = Integral if hint is int else Real

    def is_one(v: Any) -> bool:
        return isinstance(v, kind) and not isinstance(v, bool)

    def real(v: Any) -> bool:
        if type(v) is float:
            return v == v
        return is_one(v) and bool(abs(v) < 2**63 if isinstance(v, Integral) else v == v)

    if hint is float:
        return _Rule("a number", real, is_one)
    return _Rule("a whole number of 64 bits", lambda v: is_one(v) and bool(abs(v) < 2**63), is_one)


def _tensor(hint: Any, numbers: bool) -> _Rule:
    """From a jaxtyping annotation: array, kind of numbers, dimensions. Named sizes are the function's to compare."""
    words = hint.dim_str.split()
    rest = next((i for i, word in enumerate(words) if word[0] == "*" or word == "..."), None)
    places = [(i if rest is None or i < rest else i - len(words), word) for i, word in enumerate(words) if i != rest]
    fixed = [(axis, int(word)) for axis, word in places if word.isdigit()]
    dtypes = hint.dtypes

    def allows(v: Any) -> bool:
        if not isinstance(v, hint.array_type):
            return False
        if not isinstance(v, Tensor):
            return True
        if v.dim() < len(places) or (rest is None and v.dim() > len(places)) or v.is_meta:
            return False
        kind = str(v.dtype).removeprefix("torch.") in dtypes and not (numbers and v.dtype in _HALF)
        return kind and all(v.shape[axis] == size for axis, size in fixed)

    kinds = {"Float": "floating-point ", "Int64": "int64 ", "Integer": "integer ", "Bool": "boolean "}
    kind = kinds.get(hint.__name__.partition("[")[0], "")
    told = f"{'an' if kind[:1] == 'i' else 'a'} {kind}{'tensor' if hint.array_type is Tensor else 'array'}"
    named = tuple((axis, word) for axis, word in places if word.isidentifier())
    return _Rule(f"{told} [{', '.join(words)}]", allows, lambda v: isinstance(v, hint.array_type), named)


def _collection(kind: type, inner: tuple, numbers: bool) -> _Rule:
    each = (
        _rule(inner[0], numbers) if inner and kind in (Sequence, tuple, list) and len({*inner} - {...}) == 1 else None
    )
    length = len(inner) if kind is tuple and ... not in inner else None

    def is_one(v: Any) -> bool:
        return isinstance(v, Sequence if kind is tuple else kind) and not isinstance(v, str | bytes)

    def allows(v: Any) -> bool:
        v = v[:1] if isinstance(v, range) and length is None else v  # all of its items are of one kind, and may be many
        return is_one(v) and (length is None or len(v) == length) and (each is None or all(map(each.allows, v)))

    words = f"a {_COLLECTIONS.get(kind, 'sequence')}" + (f" of {length}" if length else "")
    return _Rule(words + (f", each {each.words}" if each else ""), allows, is_one)


def _either(rules: list[_Rule | None]) -> _Rule | None:
    if None in rules:
        return None
    words = " or ".join(dict.fromkeys(rule.words for rule in rules))
    named = next((rule.named for rule in rules if rule.named), ())
    return _Rule(
        words, lambda v: any(rule.allows(v) for rule in rules), lambda v: any(rule.kind(v) for rule in rules), named
    )


def _found(value: Any) -> str:
    if isinstance(value, Tensor):
        where = " on the meta device" if value.is_meta else ""
        return f"{list(value.shape)} of {str(value.dtype).removeprefix('torch.')}{where}"
    text = repr(value)
    return f"{text if len(text) < 60 else text[:57] + '...'} ({type(value).__name__})"
