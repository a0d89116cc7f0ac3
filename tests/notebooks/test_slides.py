"""Slides: the openers of the themes present well, by what their cells say in their metadata."""

import importlib
import re
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert.exporters import SlidesExporter
from nbconvert.preprocessors import TagRemovePreprocessor
from traitlets.config.loader import KVArgParseConfigLoader

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "notebooks" / "src"))
build = importlib.import_module("build")

OPENERS = [source for source in build.sources() if re.fullmatch(r"0_start_here|\w+/1_\w+", build.name(source))]
WORDS, LINES = 140, 25  # of a slide's text, and of each of its code cells


def page(notebook, offline=False):
    """The slide show of a notebook, as `make slides` makes it, with OFFLINE=1 or without."""
    makefile = (ROOT / "Makefile").read_text()
    options = re.findall(r"--\w+\.\w+=\S+", makefile.split("\nslides:")[1].split("\n\n")[0])
    assert options, "`make slides` has its options there"
    if offline:
        at_hand = makefile.split("\nAT_HAND :=")[1].split("\n\n")[0].replace("$(LIB)", "lib")
        options += [option.replace("'", "") for option in re.findall(r"--\w+\.\w+=\S+", at_hand)]
    config = KVArgParseConfigLoader(options, classes=[SlidesExporter, TagRemovePreprocessor]).load_config()
    return BeautifulSoup(SlidesExporter(config=config).from_notebook_node(notebook)[0], "html.parser")


def exported(notebook):
    """The slides themselves."""
    return page(notebook).select(".slides section section")


def words(slide):
    return " ".join(text.get_text(" ") for text in slide.select(".jp-RenderedMarkdown")).split()


@pytest.mark.parametrize("source", OPENERS, ids=build.name)
def test_an_opener_presents_well(source):
    notebook = build.read(source)
    slides = exported(notebook)
    assert len(slides) >= 6
    title = notebook.cells[0].source.splitlines()[0]
    assert slides[0].h1.get_text().removesuffix("¶") == title.removeprefix("# ")
    for slide in slides:
        said = slide.get_text(" ")
        for unwanted in ("Exercise", "Solution", "your answer here", "LABKIT_SCALE"):
            assert unwanted not in said, said
        assert len(words(slide)) <= WORDS, said
        code = [len(cell.get_text().strip().splitlines()) for cell in slide.select(".jp-InputArea .highlight")]
        assert max(code, default=0) <= LINES, said


@pytest.mark.parametrize("source", OPENERS, ids=build.name)
def test_no_slide_is_empty(source):
    slides, expected = exported(nbformat.read(build.target(source), 4)), len(exported(build.read(source)))
    assert len(slides) == expected
    for slide in slides:
        assert words(slide) or slide.select("img, .jp-InputArea .highlight"), slide


def test_there_is_an_opener_a_theme():
    themes = {source.parent.name for source in build.sources()} - {build.SOURCES.name}
    assert {source.parent.name for source in OPENERS} == themes | {build.SOURCES.name}


def fetched(page):
    """What a browser asks for before it shows the first slide: scripts, style sheets, and what RequireJS is told."""
    asked = [tag.get("src") or tag["href"] for tag in page.select("script[src], link[rel=stylesheet]")]
    scripts = "\n".join(script.text for script in page.select("script"))
    return asked + re.findall(r"""["']([^"'\s]+/reveal\.js)["']""", scripts)


def test_slides_for_a_room_without_network_fetch_nothing():
    notebook = build.read(OPENERS[0])
    assert [address for address in fetched(page(notebook)) if address.startswith("http")]
    asked = fetched(page(notebook, offline=True))
    assert len(asked) >= 5
    assert all(address.startswith("lib/") for address in asked), asked
