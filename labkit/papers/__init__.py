"""The papers: a file each, a folder a theme. A new file here is found by the command line and the board by itself.

A paper's file holds its reference, the method on one screen, ``RECIPES`` and its claims.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from labkit._checks import unknown
from labkit.claims import Claim
from labkit.recipes import Recipe

__all__ = ["claims", "modules", "recipe", "recipes"]


def modules() -> dict[str, ModuleType]:
    """Name of the paper -> its module, e.g. ``modules()["grace"].GRACE``."""
    folders = [import_module(f"{__name__}.{theme.name}") for theme in iter_modules(__path__) if theme.ispkg]
    return {
        paper.name: import_module(f"{folder.__name__}.{paper.name}")
        for folder in folders
        for paper in iter_modules(folder.__path__)
        if not paper.name.startswith("_")
    }


def recipes() -> dict[str, Recipe]:
    """All recipes by name, e.g. ``recipes()["grace/cora"]``, and the ceilings that stand beside them."""
    found: dict[str, Recipe] = {}
    for paper, module in modules().items():
        for recipe in getattr(module, "RECIPES", ()):
            if recipe.name in found:
                raise ValueError(f"two recipes are named {recipe.name!r}, one of them in {paper}.py; rename that one")
            found[recipe.name] = recipe
    return found | {recipe.ceiling.name: recipe.ceiling for recipe in found.values() if recipe.ceiling}


def claims() -> dict[str, list[Claim]]:
    """All claims by paper."""
    return {
        name: [value for value in vars(module).values() if isinstance(value, Claim)]
        for name, module in modules().items()
    }


def recipe(name: str) -> Recipe:
    """The recipe of that name; a paper's name alone means its first recipe.

    Raises:
        ValueError: there is none; the message has the nearest names.
    """
    known = recipes()
    if name in known:
        return known[name]
    of_paper = [recipe for recipe in known.values() if recipe.name.split("/")[0] == name]
    if of_paper:
        return of_paper[0]
    raise ValueError(unknown("recipe", name, known, listed="labkit run"))


def __dir__() -> list[str]:
    return sorted([*__all__, *(theme.name for theme in iter_modules(__path__) if theme.ispkg)])
