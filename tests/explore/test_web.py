"""The modules of the Explorer's page, and the one text they become. What they do is tried in tests/browser."""

import re
from collections import Counter

import pytest

from labkit.explore._web import SCRIPT, STYLE, WEB

FILES = {path.stem: path.read_text() for path in sorted(WEB.glob("*.js"))}
IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "\./(\w+)\.js";$', re.M)
DEFINED = re.compile(r"^(?:export )?(?:class|function|const|let) (\w+)", re.M)
METHOD = re.compile(r"^  (\w+)\([^;]*\) \{$", re.M)


def test_every_module_is_in_the_text_once_and_after_what_it_imports():
    places = {name: SCRIPT.index(text.splitlines()[0] + "\n") for name, text in FILES.items()}
    for name, text in FILES.items():
        title = text.splitlines()[0]
        assert SCRIPT.count(title + "\n") == 1, name
        assert all(places[other] < places[name] for _, other in IMPORT.findall(text)), name
    assert re.findall(r"^(?:import|export) .*", SCRIPT, re.M) == ["export default { render };"]


def test_names_at_the_top_level_are_unique():
    assert [name for name, times in Counter(DEFINED.findall(SCRIPT)).items() if times > 1] == []


@pytest.mark.parametrize("name", FILES)
def test_imports_name_what_is_exported_and_used(name):
    for names, other in IMPORT.findall(FILES[name]):
        exported = set(re.findall(r"^export (?:class|function|const) (\w+)", FILES[other], re.M))
        for imported in names.split(", "):
            assert imported in exported, f"{other}.js does not export {imported}"
            assert len(re.findall(rf"\b{imported}\b", FILES[name])) > 1, f"{name}.js does not use {imported}"


@pytest.mark.parametrize("name", FILES)
def test_what_another_module_exports_is_imported(name):
    """In the joined text it would be found without; the file alone would not say where it comes from."""
    code = re.sub(r"^import .*|//.*", "", FILES[name], flags=re.M)
    imported = {word for names, _ in IMPORT.findall(FILES[name]) for word in names.split(", ")}
    for other, text in FILES.items():
        for exported in re.findall(r"^export (?:class|function) (\w+)", text, re.M) if other != name else []:
            if re.search(rf"(?<![.\w]){exported}\(", code) and not re.search(rf"^  {exported}\(", code, re.M):
                assert exported in imported, f"{name}.js uses {exported} of {other}.js"


def test_no_part_of_the_explorer_overwrites_a_method_of_another():
    parts = re.search(r"\{ prototype \} of \[([\w, ]+)\]", FILES["explorer"])[1].split(", ")
    assert {part.lower() for part in parts} < set(FILES)
    methods = Counter(name for part in ["explorer", *map(str.lower, parts)] for name in METHOD.findall(FILES[part]))
    assert {"build", "showLegend"} <= set(methods)  # the pattern finds methods
    assert [name for name, times in methods.items() if times > 1 and name not in ("if", "for")] == []


@pytest.mark.parametrize("name", FILES)
def test_modules_stay_readable(name):
    lines = FILES[name].splitlines()
    assert lines[0].startswith("// "), f"{name}.js says nothing about itself"
    assert len(lines) <= 400, f"{name}.js has {len(lines)} lines: is it one idea?"


def test_the_style_is_the_explorers():
    assert ".lk-explorer" in STYLE
