"""labkit: learn, reproduce and probe self-supervised representation learning.

Five nouns, one room each: ``data`` and ``views`` feed a ``method``, ``fit`` leaves a ``Run`` behind, and
``evaluate`` and ``claims`` say what it is worth. Rooms load when they are first used, so ``import labkit`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_NAMES = {"fit": "labkit.train", "Run": "labkit.train", "Method": "labkit.methods"}

__all__ = [
    "Method",
    "Run",
    "claims",
    "data",
    "evaluate",
    "explore",
    "fit",
    "losses",
    "methods",
    "models",
    "papers",
    "plot",
    "recipes",
    "teach",
    "theory",
    "train",
    "views",
]

if TYPE_CHECKING:  # for editors: at run time a name loads its room when it is first asked for
    from labkit import (
        claims,
        data,
        evaluate,
        explore,
        losses,
        methods,
        models,
        papers,
        plot,
        recipes,
        teach,
        theory,
        train,
        views,
    )
    from labkit.methods import Method
    from labkit.train import Run, fit


def __getattr__(name: str):
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    if name in __all__:
        return import_module(f"labkit.{name}")
    raise AttributeError(f"module 'labkit' has no attribute {name!r}; it has: {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
