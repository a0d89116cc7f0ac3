"""Notebooks: built from their sources, small, without widget state; every one runs, and its exercises teach."""

import base64
import importlib
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import networkx
import numpy as np
import pytest
from PIL import Image
from trust.notebooks import TIMED, compared, stay_here

import labkit
from labkit import data

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "notebooks" / "src"))
build, exercises = importlib.import_module("build"), importlib.import_module("exercises")

SOURCES, ids = build.sources(), build.name
NEEDS = {
    "1_grace": "cora",
    "2_masking": "cora",
    "3_walks": "cora",
    "4_whole_graphs": "proteins",
    "5_pretexts": "cora",
    "1_simclr": "nuisance-mnist",
    "6_from_features_to_classes": "fashion-mnist",
    "4_pretext_or_invariance": "fashion-mnist",
}

CELLS, WORDS, COLUMNS = 48, 2500, 100  # of a notebook, of its prose, of a line of its code
README = (ROOT / "README.md").read_text()


def committed(source):
    return json.loads(build.target(source).read_text())


def text(cell):
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def without_measurement(source):
    return [line.split(build.BANNER)[0] for line in source.splitlines()]


def test_the_front_page_shows_the_picture_of_the_first_notebook():
    picture, words = build.front(build.NOTEBOOKS / "0_start_here.ipynb")
    assert build.FRONT.read_bytes() == picture, "run `make notebooks NOTEBOOK=0_start_here`"
    share = re.search(r"keeps (\d+ %) of the 15 nearest", words)[1]
    assert f"it keeps {share} of the nearest neighbours]" in README
    assert f"{len(SOURCES) - len(NEEDS)} of {len(SOURCES)} notebooks\nneed none" in README


def test_every_notebook_has_a_source_and_the_other_way_round():
    built = {path for path in build.NOTEBOOKS.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert built == {build.target(source) for source in SOURCES}
    assert SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_cells_equal_the_source(source):
    """`make notebooks` was run after the last edit."""
    expected, found = build.read(source).cells, committed(source)["cells"]
    assert [cell.cell_type for cell in expected] == [cell["cell_type"] for cell in found]
    for one, other in zip(expected, found, strict=True):
        assert without_measurement(one.source) == without_measurement(text(other))


SHOW = "labkit.claims.show("


@pytest.mark.parametrize("source", [one for one in SOURCES if SHOW in one.read_text()], ids=ids)
def test_claims_are_shown_as_they_were_last_measured(source, capsys):
    """`make notebooks` was run after the last `labkit claims verify`."""
    for cell in committed(source)["cells"]:
        if cell["cell_type"] == "code" and SHOW in text(cell):
            exec(text(cell).replace("score()", ""), {"labkit": labkit})
            printed = "".join("".join(output.get("text", "")) for output in cell["outputs"])
            for line in filter(None, capsys.readouterr().out.splitlines()):
                assert line in printed


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_outputs_are_static_and_small(source):
    path, notebook = build.target(source), committed(source)
    assert path.stat().st_size <= build.LARGEST_NOTEBOOK
    assert "widgets" not in notebook["metadata"]
    pictures = 0
    for cell in notebook["cells"]:
        outputs = cell.get("outputs", [])
        streams = [output["output_type"] == "stream" for output in outputs]
        assert not any(map(all, pairwise(streams))), "text that a kernel cut in two is joined"
        for output in outputs:
            assert output["output_type"] != "error"
            kinds = output.get("data", {})
            assert set(kinds) <= build.KEPT
            if "image/png" in kinds:
                pictures += 1
                assert len(base64.b64decode(kinds["image/png"])) <= build.LARGEST_PNG
    assert pictures >= 2, "a reader without a kernel sees too little"
    assert build.BANNER in text(notebook["cells"][0]) + text(notebook["cells"][1])
    assert "Last build:" in text(notebook["cells"][0]) + text(notebook["cells"][1])


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_a_notebook_has_what_a_reader_is_promised(source):
    cells = build.read(source).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    words = len(prose.split())
    assert len(cells) <= CELLS, f"{len(cells)} cells; a notebook is read in one sitting: at most {CELLS}, or a new one"
    assert words <= WORDS, f"{words} words; a notebook is read in one sitting: at most {WORDS}, or a new one"
    for part in ("**What this does not show", "**References.**", "<summary>Solution</summary>"):
        assert part in prose, f"{part} is missing, which every notebook has"
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    for what in ("predict", "check", "beside_paper", "score"):
        assert re.search(rf"\b{what}\(", code), f"{what}(...) is missing"
    tasks = re.findall(r"\*\*Exercise(?: \d)?\*\* \((?:easy|medium|hard), \d+ min\)", prose)
    assert len(tasks) >= 2, "every notebook has two exercises: **Exercise 1** (easy, 2 min)."


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_code_is_read_without_scrolling_sideways(source):
    """JupyterLab has room for 106 characters beside its list of files on a screen 1280 pixels wide."""
    code = [cell.source for cell in build.read(source).cells if cell.cell_type == "code"]
    too_long = [line for text in code for line in text.splitlines() if len(line) > COLUMNS]
    assert not too_long, f"code of more than {COLUMNS} columns is cut off in JupyterLab; `ruff format` breaks it"


def test_a_newcomer_is_told_the_limits():
    page = " ".join((ROOT / "CONTRIBUTING.md").read_text().split())
    assert f"At most {CELLS} cells and {f'{WORDS:,}'.replace(',', ' ')} words, its code {COLUMNS} columns" in page


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_only_a_cell_about_seconds_may_come_out_otherwise_the_next_time(source):
    for cell in build.read(source).cells:
        assert TIMED not in cell.metadata.get("tags", []) or "seconds" in cell.source


def test_of_measured_times_the_words_are_compared_and_of_all_else_everything():
    def said(seconds, share, picture="a"):
        return {"text": [f"it took {seconds} s\n", f"{share} of it"], "data": {"image/png": picture}}

    assert compared(said(1.5, 0.3), timed=False) == compared(said(2, 0.3), timed=False)
    assert compared(said(1.5, 0.3), timed=False) != compared(said(1.5, 0.4), timed=False)
    assert compared(said(1.5, 0.3), timed=False) != compared(said(1.5, 0.3, "b"), timed=False)
    assert compared(said(1.5, 0.3), timed=True) == compared(said(1e-5, 0.4, "b"), timed=True)
    assert compared(said(1.5, 0.3), timed=True) != compared(said(1.5, "half"), timed=True)
    assert compared(said(1.5, 0.3), timed=True) != compared(said(1.5, 0.3) | {"data": {}}, timed=True)


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_every_check_passes_in_the_committed_notebook(source):
    outputs = [output for cell in committed(source)["cells"] for output in cell.get("outputs", [])]
    printed = [text({"source": output["text"]}) for output in outputs if "text" in output]
    assert any("✓" in one for one in printed)
    assert not [one for one in printed if "✗" in one]


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_a_student_gets_no_answers(source):
    full, bare = build.read(source), exercises.student(build.read(source))
    assert len(full.cells) == len(bare.cells)
    for one, other in zip(full.cells, bare.cells, strict=True):
        assert "<summary>Solution" not in other.source
        assert one.source.count("<summary>Hint") == other.source.count("<summary>Hint")
        for found in exercises.ANSWER.finditer(one.source):
            assert f"{found['before']}...{found['mark']}" in other.source
            assert found[0] not in other.source
        assert one.source.count("your answer here") == len(exercises.ANSWER.findall(one.source))
    opened = exercises.solutions(build.read(source))
    assert sum(c.source.count("<details open><summary>Solution") for c in opened.cells) == sum(
        c.source.count("<summary>Solution") for c in full.cells
    )


@pytest.mark.parametrize("source", SOURCES, ids=ids)
def test_runs_top_to_bottom_at_smoke_scale_and_wrong_answers_are_told_why(source, tmp_path):
    needs = NEEDS.get(source.stem)
    if needs and not data.available(needs):
        pytest.skip(f"{needs} not found; set LABKIT_DATA")
    done = subprocess.run(
        [sys.executable, exercises.__file__, "tested", ids(source), "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        env=stay_here(tmp_path / "notes") | {"JUPYTER_CONFIG_DIR": str(tmp_path), "IPYTHONDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert not (tmp_path / "notes").exists(), f"it wanted out: {(tmp_path / 'notes').read_text()}"
    ran = json.loads(build.target(source, tmp_path / "tested").read_text())
    wrong = [cell for cell in ran["cells"] if cell["id"].endswith("-wrong")]
    assert len(wrong) == sum(exercises.ANSWER.search(cell.source) is not None for cell in build.read(source).cells)
    for cell in wrong:
        told = "".join(text({"source": output["text"]}) for output in cell["outputs"] if "text" in output)
        refused = [output for output in cell["outputs"] if output.get("ename") == "ValueError"]
        assert refused or re.search(r"✗ .*\n  hint: \S", told), (cell["source"], cell["outputs"])


@pytest.mark.parametrize("club", [None, "club"])
def test_the_notebook_for_your_own_data_takes_data_without_labels_or_features(club, tmp_path):
    random, source = np.random.default_rng(0), build.SOURCES / "0_your_own_data.py"
    for number in range(20):
        Image.fromarray(random.integers(0, 255, (24, 24), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    karate = networkx.karate_club_graph()
    if club is None:
        karate = networkx.Graph(list(karate.edges))
    networkx.write_graphml(karate, tmp_path / "karate.graphml")
    np.savez(tmp_path / "mine.npz", z=random.normal(size=(40, 6)))
    mine = {"IMAGES": str(tmp_path), "GRAPH": str(tmp_path / "karate.graphml"), "LABEL": club, "SHARE": 0.3}
    if club:
        mine["EMBEDDING"] = str(tmp_path / "mine.npz")

    def with_paths(notebook):
        (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
        for name, value in mine.items():
            cell.source, found = re.subn(rf"^{name} = .*?(?=  #|$)", f"{name} = {value!r}", cell.source, flags=re.M)
            assert found == 1
        transform = "from torch_geometric.transforms import LocalDegreeProfile\nTRANSFORM = LocalDegreeProfile()"
        cell.source = cell.source.replace("TRANSFORM = None", transform)
        return notebook

    build.build(source, "smoke", tmp_path / "out", prepare=with_paths)
    cells = json.loads((tmp_path / "out" / "0_your_own_data.ipynb").read_text())["cells"]
    told = "".join(text({"source": out.get("text", "")}) for cell in cells for out in cell.get("outputs", []))
    assert "STAND-IN for your graph" not in told
    assert ("STAND-IN for your embedding" in told) == (club is None)
    assert f"{1 + bool(club)} of 3 predictions revealed" in told, "nothing is scored without labels"


@pytest.mark.parametrize(
    "answer",
    [
        "s2, r2 = 0.6, 0.8  # σ: your answer here",
        "both = torch.stack(  # your answer here\n    [a, b]\n)",
        "both = torch.stack(\n    [a, b]\n)  # your answer here",
        "share = 0.5  # your answer here, in percent",
    ],
)
def test_an_answer_that_is_not_one_line_is_not_handed_out(answer):
    notebook = build.nbformat.v4.new_notebook(cells=[build.nbformat.v4.new_code_cell(answer)])
    with pytest.raises(ValueError, match="an answer must be one line"):
        exercises.student(notebook)


def handed_out(track, monkeypatch, output, *names):
    """The cells that `make student` or `make solutions` writes, a notebook each."""
    monkeypatch.setattr(sys, "argv", ["exercises.py", track, *names, "--output", str(output)])
    exercises.main()
    return {path: json.loads(path.read_text())["cells"] for path in (output / track).rglob("*.ipynb")}


def test_solutions_of_an_edited_source_are_refused(tmp_path, monkeypatch):
    source = build.SOURCES / "4_stepwise_dynamics" / "1_one_dimension_at_a_time.py"
    assert handed_out("solutions", monkeypatch, tmp_path, ids(source))
    edited = build.read(source)
    edited.cells[-1].source += " One more word."
    monkeypatch.setattr(exercises, "read", lambda source: edited)
    with pytest.raises(SystemExit, match=f"run `make notebooks NOTEBOOK={ids(source)}` first"):
        handed_out("solutions", monkeypatch, tmp_path, ids(source))


def test_links_of_what_is_handed_out_lead_to_files(tmp_path, monkeypatch):
    """To the code, and to a neighbour: to its copy where that is written, too, else to the notebook itself."""
    names = ["0_start_here", "1_graph_ssl/1_grace"]
    made, links = handed_out("student", monkeypatch, tmp_path, *names), {}
    for path, cells in made.items():
        for link in re.findall(r"\]\(([\w./]+)\)", "\n".join(map(text, filter(_is_markdown, cells)))):
            links[link] = (path.parent / link).resolve()
    assert all(file.exists() for file in links.values()), links
    assert ROOT / "labkit/papers/graph/grace.py" in links.values()
    assert tmp_path / "student/1_graph_ssl/1_grace.ipynb" in links.values()
    assert ROOT / "notebooks/2_contrastive_vision/1_simclr.ipynb" in links.values()


def _is_markdown(cell):
    return cell["cell_type"] == "markdown"


ORDERS = ("4_stepwise_dynamics/2_four_losses_one_spectrum", "second = ")
LIMIT = ("4_stepwise_dynamics/1_one_dimension_at_a_time", "limit = ")


@pytest.mark.parametrize(
    ("exercise", "answer", "said"),
    [
        (ORDERS, "torch.tensor([0.6, 0.8])", "✓"),
        (ORDERS, "np.array([1.2, 0.3])", "✓"),
        (ORDERS, "(5, -0.1)", "✗"),  # Barlow Twins never learns it
        (ORDERS, "torch.ones(2, 2)", "✗"),
        (LIMIT, "1 / 4", "✓"),
        (LIMIT, "None", "value must be a number, not None"),
        (LIMIT, "'a quarter'", "value must be a number, not 'a quarter'"),
    ],
)
def test_an_answer_is_judged_by_what_it_says(exercise, answer, said, capsys):
    """Whatever type it has, the reader is told by the check, not by the lines around it."""
    stem, start = exercise
    source = next(source for source in SOURCES if ids(source) == stem)
    (cell,) = [one.source for one in build.read(source).cells if re.search(f"^{start}", one.source, re.MULTILINE)]
    code = exercises._answered(cell, lambda value: answer)
    names = "import numpy as np, torch; from labkit.teach import check; from labkit.theory import modes\n"
    try:
        exec(names + code, {})
    except TypeError as error:
        print(error)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "said"), [(73.2, 73), (354.0, 354), (588.4, 588)])
def test_what_the_banner_says_a_build_took_can_be_read_back(seconds, said, tmp_path):
    notebook = tmp_path / "1_one.ipynb"
    assert build.last_seconds(notebook) is None
    notebook.write_text(f"{build.BANNER} <p><em>{build.measurement(seconds, 2**20)}</em></p>")
    assert build.last_seconds(notebook) == pytest.approx(said, abs=3)  # minutes are written to a tenth


def test_every_picture_becomes_a_file_in_both_forms(tmp_path):
    source = next(source for source in SOURCES if source.stem == "0_start_here")
    figures = tmp_path / "figures"
    done = subprocess.run(
        [sys.executable, build.__file__, ids(source), "--scale", "smoke", "--output", tmp_path, "--figures", figures],
        capture_output=True,
        text=True,
        env=stay_here(tmp_path / "notes") | {"JUPYTER_CONFIG_DIR": str(tmp_path), "IPYTHONDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [output for cell in committed(source)["cells"] for output in cell.get("outputs", [])]
    drawn = [output for output in outputs if "image/png" in output.get("data", {})]
    pngs, svgs = (sorted(figures.glob(f"*.{kind}")) for kind in ("png", "svg"))
    assert len(pngs) == len(drawn)
    assert len(svgs) == len(pngs) - 1, "the Explorer's twin is a PNG"
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pngs)
    assert all("<svg" in path.read_text() for path in svgs)
    made = json.loads(build.target(source, tmp_path).read_text())
    assert len(made["cells"]) == len(build.read(source).cells)


@pytest.mark.attack("requests that leave")
def test_a_process_that_is_kept_here_reaches_this_machine_alone(tmp_path):
    """So that the test above can fail."""
    ask = """
import socket, subprocess, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
for host in ("192.0.2.1", "example.org"):
    try:
        socket.create_connection((host, 80), timeout=1)
    except PermissionError:
        print("refused", host)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, sys.argv[0], "child"])
"""
    (tmp_path / "ask.py").write_text(ask)
    command = [sys.executable, str(tmp_path / "ask.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=stay_here(tmp_path / "notes"))
    assert done.stdout.count("refused 192.0.2.1") == done.stdout.count("refused example.org") == 2, done.stderr
    assert (tmp_path / "notes").read_text().count("socket.getaddrinfo example.org") == 2


@pytest.mark.parametrize("source", SOURCES, ids=build.name)
def test_the_readme_says_the_time_of_the_banner(source):
    said = re.search(r"Last build: (\S+ \S+) of processor time", json.dumps(committed(source)["cells"][:2]))
    link = f"(notebooks/{build.name(source)}.ipynb)"
    rows = [line for line in (build.NOTEBOOKS.parent / "README.md").read_text().splitlines() if line.startswith("|")]
    (row,) = [row for row in rows if link in row]
    assert f"| {said[1]} |" in row, "put the banner's time there"
