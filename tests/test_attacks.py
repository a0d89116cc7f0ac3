"""Crafted files, names and addresses that other tests don't hold: refused in one sentence, or inert.

`python -m tests.trust.attacks` counts all tests that carry the mark.
"""

import io
import json
import os
import re
import struct
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from autoencoder import Autoencoder, train
from data.test_store import CONTENT, Server, entry_of

from labkit import explore, recipes
from labkit.data import _store
from labkit.data._arrays import read_zip
from labkit.evaluate import Score
from labkit.explore import _web
from labkit.train import Run
from labkit.train._files import read_tensors, write_tensors

ROOT = Path(__file__).parents[1]
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


# ---------------------------------------------------------------- files


@pytest.mark.attack("zips")
def test_a_zip_that_lies_about_its_size_unpacks_to_no_more_than_it_says():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb", bytes(10**7))
    data = file.getvalue()
    lying = data.replace(struct.pack("<I", 10**7), struct.pack("<I", 100))
    assert lying != data
    with pytest.raises(ValueError, match=r"bomb\.zip is no whole zip file"):
        read_zip(lying, "bomb.zip", limit=1000)


CRAFTED = {
    "no facts": lambda tensors, facts: facts.clear(),
    "no history": lambda tensors, facts: facts.pop("history"),
    "a history of words": lambda tensors, facts: facts.update(history={"loss": ["<b>"], "seconds": [0]}),
    "a history that is none": lambda tensors, facts: facts.update(history=7),
    "settings that are none": lambda tensors, facts: facts.update(settings="all of them"),
    "a snapshot of no epoch": lambda tensors, facts: tensors.update({"snapshot.last": torch.zeros(1)}),
    "an unknown parameter": lambda tensors, facts: tensors.update({"optimizer.99.exp_avg": torch.zeros(1)}),
    "no random state": lambda tensors, facts: tensors.pop("random.0.cpu"),
    "a short random state": lambda tensors, facts: tensors.update({"random.0.cpu": torch.zeros(3, dtype=torch.uint8)}),
    "short momenta": lambda tensors, facts: tensors.update({"optimizer.0.exp_avg": torch.zeros(1)}),
}


@pytest.mark.parametrize("what", CRAFTED)
@pytest.mark.attack("checkpoints")
def test_a_crafted_checkpoint_is_refused(what, tmp_path):
    """Short momenta are the dangerous ones: a fused step would write past their end."""
    path = tmp_path / "run.safetensors"
    train(checkpoint=path, epochs=2, snapshots=[])
    tensors, facts = read_tensors(path)
    CRAFTED[what](tensors, facts)
    write_tensors(path, tensors, facts)
    with pytest.raises(ValueError, match=r"run\.safetensors is torn or was not written by labkit"):
        train(checkpoint=path, epochs=3, snapshots=[], resume=True)


@pytest.mark.attack("checkpoints")
def test_facts_nested_a_thousandfold_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "run", {"facts": "[" * 10**5})
    with pytest.raises(ValueError, match="is torn or was not written by labkit"):
        Run.load(tmp_path / "run", Autoencoder())


@pytest.mark.parametrize("text", ["[" * 10**5, "[]", '{"settings": 7, "done": []}', '{"settings": {}, "done": [7]}'])
@pytest.mark.attack("sweeps")
def test_a_crafted_sweep_is_refused(text, tmp_path):
    from test_recipes import small_recipe, two_groups

    (tmp_path / "part").write_text(text)
    with pytest.raises(ValueError, match="is not what an interrupted sweep leaves"):
        recipes.run(small_recipe(), 1, dataset=two_groups(), progress=False, keep=tmp_path / "part")


# ---------------------------------------------------------------- names and captions


def points(labels):
    z = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    return explore.explore(z, [labels[i % len(labels)] for i in range(60)]).wait()


@pytest.mark.parametrize(
    "name", [SCRIPT, r"$\frac{$", r"$\input{/etc/passwd}$", "_left out", "\x1b[2J\x00m", "a" * 10**5, "]]>", "\u202e"]
)
@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.attack("names and captions")
def test_a_name_is_text_in_the_still_picture(name, tmp_path):
    """Neither HTML nor matplotlib's mathematics, which stops at what it can't read; and none is left out."""
    picture = points([name, "plain"])
    picture.save(tmp_path / "map.svg")
    drawn = (tmp_path / "map.svg").read_text()
    assert "<script" not in drawn
    assert "<img" not in drawn
    shown = picture._repr_mimebundle_()[0]
    assert "text/html" not in shown
    legend = explore._export.figure(picture).legends[0]
    line = " ".join(name.split())
    short = line if len(line) <= 18 else f"{line[:17]}…"
    assert {text.get_text() for text in legend.get_texts()} == {short, "plain"}


@pytest.mark.attack("names and captions")
def test_what_prints_itself_prints_text():
    """Notebooks take HTML from ``_repr_html_``: nothing here has one, so that names can't become part of a page."""
    run, score = train(epochs=1, snapshots=[]), Score.of([0.5], SCRIPT, SCRIPT)
    run.events.append((1, SCRIPT))
    for thing in (run, score, entry_of(note=SCRIPT)):
        assert not hasattr(thing, "_repr_html_")
    for path in (ROOT / "labkit").rglob("*.py"):
        assert not re.search(r"_repr_html_|display import.*HTML|widgets\.HTML\(", path.read_text()), path
    assert not re.search(
        r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function)\b\s*[(=+]", _web.SCRIPT
    )


# ---------------------------------------------------------------- addresses


class Elsewhere:
    """A server that sends every request on to another address, or an answer without end."""

    def __init__(self, address: str | None):
        self.requests = requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(200 if address is None else 302)
                if address is not None:
                    self.send_header("Location", address.format(port=self.server.server_port))
                    self.send_header("Content-Length", "0")
                self.end_headers()
                try:
                    while address is None:
                        self.wfile.write(bytes(2**16))
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/toy.bin"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", "")
    monkeypatch.setattr(_store, "_own_folders", lambda: [tmp_path])
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    return tmp_path


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("file:///etc/passwd", "no answer: InvalidSchema"),
        ("ftp://127.0.0.1/toy.bin", "no answer: InvalidSchema"),
        ("http://127.0.0.1:{port}/toy.bin", "the server answered 302"),
        ("http://127.0.0.2:9/toy.bin", "no answer: ConnectionError"),
        (None, "it sends more than 1.05 MB, and 1.08 kB are expected"),
    ],
    ids=["a file", "ftp", "itself", "nowhere", "without end"],
)
@pytest.mark.attack("addresses")
def test_an_address_that_leads_elsewhere(address, says, own):
    with Elsewhere(address) as server, pytest.raises(FileNotFoundError, match=re.escape(says)):
        _store.read_bytes(entry_of(server.url), entry_of(server.url).files[0])
    assert [path for path in own.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("content", [b"something else", CONTENT + b"!", b"\x80\x04cos\nsystem\n."])
@pytest.mark.attack("addresses")
def test_another_host_can_only_send_what_the_checksum_says(content, own):
    refused = pytest.raises(ValueError, match=r"is not the file 'toy' is made of: .* renamed to toy\.bin\.rejected")
    with Server(content) as other, Elsewhere(other.url.replace("127.0.0.1", "localhost")) as server, refused:
        _store.read_bytes(entry_of(server.url), entry_of(server.url).files[0])
    assert len(other.requests) == 1
    assert not (own / "graphs/toy/toy.bin").exists()


# ---------------------------------------------------------------- the lab


def lab_command() -> list[str]:
    """What `make lab` runs."""
    printed = subprocess.run(
        ["make", "-n", "lab", "VENV=nowhere"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return next(line for line in printed.splitlines() if "jupyter lab" in line).split()


@pytest.mark.attack("the lab")
def test_the_lab_asks_for_its_token_and_no_one_for_news(tmp_path):
    arguments = lab_command()[2:]
    said = " ".join(arguments).lower()
    for word in ("token", "password", "0.0.0.0", "--ip", "xsrf", "allow_origin", "allow_remote"):
        assert word not in said
    code = (
        "import json, sys; from jupyterlab.labapp import LabApp; "
        "app = LabApp.initialize_server(sys.argv[1:]); lab = app.extension_manager.extension_apps['jupyterlab'].pop(); "
        "print(json.dumps([app.ip, len(app.identity_provider.token), app.identity_provider.login_available, "
        "app.identity_provider.token_generated, lab.news_url, lab.check_for_updates_class.__name__, "
        "lab.extension_manager]))"
    )
    offers = ["--no-browser", "--port=0", *(one for one in arguments if one.startswith("--"))]
    environment = {name: str(tmp_path) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code, *offers], capture_output=True, text=True, env=os.environ | environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    ip, token, _, generated, news, updates, manager = json.loads(done.stdout.splitlines()[-1])
    assert ip in ("localhost", "127.0.0.1")
    assert generated
    assert token >= 40
    assert news is None
    assert updates == "NeverCheckForUpdate"
    assert manager == "readonly"
