"""The house stands: imports go one way, the package loads quickly, the lists of dependencies agree."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import labkit

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"_remembered"},
    {"_checks", "_checksum", "_files"},
    {"_arguments"},
    {"_default_type", "_graph_batch", "_processes"},
    {"data", "views", "models", "losses", "theory", "plot", "teach"},
    {"methods", "evaluate"},
    {"train"},
    {"recipes", "explore"},
    {"claims"},
    {"papers"},
    {"_board"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = [
    path
    for path in sorted((ROOT / "labkit").rglob("*.py"))
    if path.parent != ROOT / "labkit" or path.stem != "__init__"
]


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "labkit").with_suffix("").parts[0]


def imported_rooms(path: Path) -> set[str]:
    """Rooms of labkit that a file imports, at its top or inside its functions."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"labkit.{a.name}" for a in node.names] if node.module == "labkit" else [node.module]
        else:
            continue
        rooms |= {name.split(".")[1] for name in names if name.startswith("labkit.")}
    return rooms & set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_lower_floors(path):
    room = room_of(path)
    assert room in FLOOR, f"{room} has no floor: add it to FLOORS here and to the design"
    upward = [other for other in imported_rooms(path) if other != room and FLOOR[other] >= FLOOR[room]]
    assert not upward, f"{path.name} ({room}, floor {FLOOR[room]}) imports {upward}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_readable(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 400, f"{path} has {len(lines)} lines: is it one idea?"
    assert ast.get_docstring(ast.parse("\n".join(lines))), f"{path} says nothing about itself"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_utf_8_wherever_it_is_read(path):
    """The names of classes and authors are not ASCII, and Windows reads files in another encoding unless told."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        named = {keyword.arg for keyword in node.keywords}
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("read_text", "write_text"):
            assert "encoding" in named, f"line {node.lineno}"
        if ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen"):
            assert "text" not in named, f"line {node.lineno}: say encoding in its place"


def test_import_is_light():
    """Heavy packages load when a room is first used, not with `import labkit`."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import labkit, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"torch", "numpy", "scipy", "matplotlib", "plotly", "torch_geometric", "sklearn"}.isdisjoint(loaded)


def public(module: ModuleType) -> dict[str, Any]:
    """What a module offers: what its ``__all__`` names, or what was defined in it; that of its modules too."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
    found = {}
    for name in getattr(module, "__all__", [name for name in own if not name.startswith("_")]):
        value = getattr(module, name)
        found[f"{module.__name__}.{name}"] = value
        if isinstance(value, ModuleType):
            found |= public(value)
    return found


def test_every_public_name_exists_and_is_documented():
    found = public(labkit)
    assert {"labkit.theory.bounds.supervised_bound", "labkit.claims.verify", "labkit.papers.recipe"} <= found.keys()
    for name, value in found.items():
        assert getattr(value, "__doc__", None) or not callable(value), f"{name} has no docstring"
    assert set(labkit.__all__) <= set(dir(labkit))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        labkit.nonsense  # noqa: B018


def test_editors_see_every_room_and_a_tab_shows_no_tools():
    (seen,) = (
        node for node in ast.parse((ROOT / "labkit" / "__init__.py").read_text()).body if isinstance(node, ast.If)
    )
    assert {alias.asname or alias.name for line in seen.body for alias in line.names} == set(labkit.__all__)
    assert set(dir(labkit.papers)) == {
        "claims",
        "modules",
        "recipe",
        "recipes",
        "dynamics",
        "graph",
        "spectral",
        "vision",
    }


def names(requirements) -> set[str]:
    return {re.match(r"[\w.-]+", line.strip())[0].lower() for line in requirements}


def test_environment_yml_constraints_and_readme_name_the_same_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(project["dependencies"]) | set(project["optional-dependencies"]["dev"])
    environment = (ROOT / "environment.yml").read_text()
    listed = {line.strip()[2:].strip('"') for line in environment.splitlines() if ">=" in line and "python" not in line}
    assert listed == wanted
    pinned = names((ROOT / "constraints.txt").read_text().split())
    assert names(wanted) <= pinned
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().split()
    readme = (ROOT / "README.md").read_text()
    assert [name for name in sorted(names(wanted)) if name not in readme] == []


def test_the_oldest_versions_are_the_lower_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(project["dependencies"]) | set(project["optional-dependencies"]["dev"])
    oldest = dict(line.split("==") for line in (ROOT / "constraints-oldest.txt").read_text().split())
    bounds = dict(requirement.split(">=") for requirement in wanted)
    assert oldest.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert re.fullmatch(re.escape(bound) + r"(\.0)*", oldest[name]), f"{name}: {oldest[name]} for >={bound}"


def test_warnings_of_labkit_are_errors():
    """Of its own code, and what libraries lay at its door (by their stacklevel)."""
    for module in ("labkit", "labkit.evaluate._linear"):
        for kind in (DeprecationWarning, FutureWarning, RuntimeWarning, UserWarning):
            with pytest.raises(kind, match="old"):
                exec("import warnings; warnings.warn('old', kind)", {"__name__": module, "kind": kind})


def test_nothing_forbidden_is_depended_on():
    project = (ROOT / "pyproject.toml").read_text()
    for package in ("torchvision", "timm", "lightning", "dgl", "torch-scatter", "torch-sparse", "pyg-lib"):
        assert f'"{package}' not in project
