"""Files: looked for in order, checked, kept aside when wrong, fetched when missing (from a loopback server)."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labkit.data import _store
from labkit.data._catalogue import Entry, File

CONTENT = b"what the authors published\n" * 40
OTHER = b"the same, packed differently\n" * 40


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry_of(url: str | None = None, also: dict | None = None, note: str = "") -> Entry:
    file = File("graphs/toy/toy.bin", len(CONTENT), sha256(CONTENT), url, also, note)
    return Entry("toy", "graph", "a toy", "planetoid", (file,), "none", "nobody")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """$LABKIT_DATA and the folder of our own, both empty."""
    named, own = tmp_path / "named", tmp_path / "own"
    named.mkdir()
    own.mkdir()
    monkeypatch.setenv("LABKIT_DATA", str(named))
    monkeypatch.setattr(_store, "_own_folders", lambda: [own])
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)
    return named, own


def put(root: Path, content: bytes) -> Path:
    path = root / "graphs/toy/toy.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def read(entry: Entry) -> bytes:
    return _store.read_bytes(entry, entry.files[0])


class Server:
    """Answers every request with one status and body, and counts them."""

    def __init__(self, body: bytes = CONTENT, status: int = 200, announced: int | None = None):
        self.requests = requests = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if announced is None else announced))
                self.end_headers()
                self.wfile.write(body)

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


def test_named_folder_is_looked_at_before_our_own(folders):
    named, own = folders
    put(own, CONTENT)
    first = put(named, CONTENT)
    entry = entry_of()
    assert _store.find(entry.files[0]) == first
    assert read(entry) == CONTENT
    first.unlink()
    assert read(entry) == CONTENT  # now from our own


def test_an_empty_variable_is_no_folder(folders, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", "")
    assert _store.roots() == [folders[1]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (CONTENT[:-7], "cut short (1073 of 1080 bytes)"),
        (CONTENT[:-1] + b"!", "its sha256 is"),
        (b"\n<!DOCTYPE html><html>Please log in</html>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"", "cut short (0 of"),
    ],
)
@pytest.mark.attack("data files")
def test_wrong_bytes_are_kept_aside_and_never_read(folders, content, says):
    path = put(folders[0], content)
    with pytest.raises(ValueError, match="'toy'") as caught:
        read(entry_of())
    assert says in str(caught.value)
    assert "toy.bin.rejected" in str(caught.value)
    assert not path.exists()
    assert path.with_name("toy.bin.rejected").read_bytes() == content


def test_an_older_rejected_file_is_not_overwritten(folders):
    for content in (b"first", b"second"):
        path = folders[0] / "graphs/toy/toy.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(ValueError, match="rejected"):
            read(entry_of())
    assert path.with_name("toy.bin.rejected").read_bytes() == b"first"
    assert path.with_name("toy.bin.rejected-2").read_bytes() == b"second"


@pytest.mark.misfortune("full disk or read-only folder")
def test_in_a_read_only_folder_a_wrong_file_stays_and_the_message_says_so(folders, monkeypatch):
    path = put(folders[0], b"wrong")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ValueError, match="read-only, left where it is"):
        read(entry_of())
    assert path.read_bytes() == b"wrong"


def test_fetches_once_into_our_own_folder(folders, capfd):
    with Server() as server:
        entry = entry_of(server.url)
        assert not _store.has_files(entry)
        assert read(entry) == CONTENT
        assert read(entry) == CONTENT
    assert server.requests == ["/toy.bin"]
    assert (folders[1] / "graphs/toy/toy.bin").read_bytes() == CONTENT
    assert not list(folders[0].iterdir())
    assert _store.has_files(entry)
    assert "100%" in capfd.readouterr().err  # the progress bar


def test_the_address_may_give_the_other_accepted_bytes(folders):
    also = {"sha256": sha256(OTHER), "bytes": len(OTHER), "what": "upstream file"}
    with Server(OTHER) as server:
        entry = entry_of(server.url, also)
        assert read(entry) == OTHER
        assert _store.has_files(entry)


@pytest.mark.misfortune("network")
def test_a_proxy_that_answers_with_a_page_is_caught(folders):
    with (
        Server(b"<html><body>Your company blocks this</body></html>") as server,
        pytest.raises(ValueError, match="HTML"),
    ):
        read(entry_of(server.url))
    assert (folders[1] / "graphs/toy/toy.bin.rejected").is_file()
    assert not (folders[1] / "graphs/toy/toy.bin").exists()


@pytest.mark.misfortune("network")
def test_a_server_that_says_no(folders):
    with Server(b"no such page", status=404) as server:
        with pytest.raises(FileNotFoundError, match="the server answered 404"):
            read(entry_of(server.url))
        assert len(server.requests) == 3  # two retries


@pytest.mark.misfortune("network")
def test_a_connection_that_breaks_off_leaves_nothing_behind(folders):
    with Server(CONTENT[:100], announced=len(CONTENT)) as server:
        with pytest.raises(FileNotFoundError, match="no answer"):
            read(entry_of(server.url))
        assert len(server.requests) == 3
    assert not list((folders[1] / "graphs/toy").iterdir())


@pytest.mark.misfortune("network")
def test_no_network_names_the_set_the_places_and_the_two_ways_on(folders):
    with Server() as server:
        pass  # closed again: nobody listens there
    with pytest.raises(FileNotFoundError) as caught:
        read(entry_of(server.url))
    message = str(caught.value)
    for part in ("'toy'", "graphs/toy/toy.bin", *map(str, folders), "set $LABKIT_DATA", "'karate'", "'sbm'"):
        assert part in message


def test_no_address_says_what_the_file_is(folders):
    with pytest.raises(FileNotFoundError, match=r"no address .* \(repacked by hand\)"):
        read(entry_of(note="repacked by hand"))


@pytest.mark.misfortune("full disk or read-only folder")
def test_a_full_disk_is_not_taken_for_a_missing_network(folders, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pooch.core.shutil.move", full)
    with Server() as server, pytest.raises(OSError, match=r"could not be written .* No space left"):
        read(entry_of(server.url))


def test_available_looks_at_the_size(folders):
    entry = entry_of()
    assert not _store.has_files(entry)
    path = put(folders[0], CONTENT)
    assert _store.has_files(entry)
    path.write_bytes(CONTENT[:5])
    assert not _store.has_files(entry)


def test_fetched_files_go_to_the_first_folder_that_can_be_written(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.setattr(_store, "_own_folders", lambda: [first, second])
    assert _store.download_folder() == first
    monkeypatch.setattr(_store.os, "access", lambda folder, _: folder != first)
    assert _store.download_folder() == second
