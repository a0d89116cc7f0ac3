"""Files: where they are looked for, how they are checked, how they are fetched."""

import hashlib
import io
import os
from pathlib import Path

from labkit._files import put_aside
from labkit.data._catalogue import Entry, File, catalogue, size

CHECKOUT = Path(__file__).resolve().parents[2]


def roots() -> list[Path]:
    """Folders that are looked at, in order: ``$LABKIT_DATA``, ``data/`` of the checkout, the user's cache."""
    named = os.environ.get("LABKIT_DATA")
    return ([Path(os.path.expanduser(named))] if named else []) + _own_folders()


def _own_folders() -> list[Path]:
    import pooch

    installed_from_checkout = (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "data").is_dir()
    checkout = [CHECKOUT / "data"] if installed_from_checkout else []
    try:
        cache = Path(pooch.os_cache("labkit"))
    except RuntimeError:  # there is no home; older platformdirs give "~/.cache", in the current folder
        return checkout
    return [*checkout, cache] if cache.is_absolute() else checkout


def download_folder() -> Path | None:
    """Where fetched files go: the first folder of ours that can be written to; None where there is no place at all."""
    folders = _own_folders()
    return next((folder for folder in folders if os.access(folder, os.W_OK)), folders[-1] if folders else None)


def find(file: File) -> Path | None:
    """The first place that holds ``file``, unchecked."""
    return next((root / file.path for root in roots() if (root / file.path).is_file()), None)


def has_files(entry: Entry) -> bool:
    """Whether every file that ``load`` reads without options is there with a size that is accepted."""
    found = [(file, find(file)) for file in entry.files if not file.needed_by]
    return all(path and (not file.sha256 or path.stat().st_size in file.accepted.values()) for file, path in found)


def read_bytes(entry: Entry, file: File) -> bytes:
    """The checked bytes of ``file``, from disk or, failing that, from the network.

    What is returned is what was hashed: nobody can swap the file between the check and the reading.

    Raises:
        ValueError: the bytes are not the expected ones; the file was renamed to ``NAME.rejected``.
        FileNotFoundError: it is nowhere, and can't be fetched.
    """
    path = find(file) or fetch(entry, file)
    data = path.read_bytes()
    if not file.sha256 or hashlib.sha256(data).hexdigest() in file.accepted:
        return data
    raise ValueError(f"{path} is not the file {entry.name!r} is made of: {_fault(file, data)}; {_put_aside(path)}")


def _fault(file: File, data: bytes) -> str:
    """What is wrong with bytes that do not match."""
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "it is an HTML page (from a proxy or a login page), not data"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the data it points to"
    if len(data) < min(file.accepted.values()):
        return f"it is cut short ({len(data)} of {file.bytes} bytes)"
    return f"its sha256 is {hashlib.sha256(data).hexdigest()[:12]}…, not {file.sha256[:12]}…"


def _put_aside(path: Path) -> str:
    """Rename to NAME.rejected (never over an older one), and say so."""
    try:
        aside = put_aside(path, "rejected")
    except OSError:
        return "it was not read and, as its folder is read-only, left where it is; replace or remove it and load again"
    return f"it was not read and was renamed to {aside.name}; load again to look for another copy"


def fetch(entry: Entry, file: File) -> Path:
    """Download ``file`` with pooch (two retries, progress bar) and return where it lies, not yet checked.

    Raises:
        FileNotFoundError: there is no address, no answer from it, or no folder to keep one in.
        OSError: it could not be written, e.g. because the disk is full.
    """
    if file.url is None:
        note = f" ({file.note})" if file.note else ""
        raise FileNotFoundError(_nowhere(entry, file, f"no address on the network gives it{note}"))
    home = download_folder()
    if home is None:
        raise FileNotFoundError(_nowhere(entry, file, "there is no home directory to keep it in: set $XDG_CACHE_HOME"))
    import pooch
    import requests

    folder = (home / file.path).parent
    # pooch compares with one checksum, some files may have two: `read_bytes` does the checking for all
    keeper = pooch.create(
        folder, base_url="", registry={file.name: None}, urls={file.name: file.url}, retry_if_failed=2
    )
    download = pooch.HTTPDownloader(progressbar=True, timeout=30)

    def bounded(url: str, path: str, keeper: pooch.Pooch) -> None:
        with _Bounded(path, max(file.accepted.values())) as out:
            download(url, out, keeper)

    try:
        return Path(keeper.fetch(file.name, downloader=bounded))
    except (requests.RequestException, ValueError) as error:
        why = f"fetching {file.url} failed ({_reason(error)})"
        raise FileNotFoundError(_nowhere(entry, file, why)) from None  # five screens of urllib3 add nothing
    except OSError as error:
        raise OSError(f"{entry.name!r} could not be written to {folder}: {error}") from error


class _TooLong(ValueError):
    """An answer without end."""


class _Bounded(io.FileIO):
    """A new file that takes no more than is expected, and a megabyte, so that a page sent in its place is kept."""

    def __init__(self, path: str, expected: int):
        super().__init__(path, "w")
        self.most = expected + 2**20

    def write(self, data) -> int:
        if self.tell() + len(data) > self.most:
            raise _TooLong(f"it sends more than {size(self.most)}, and {size(self.most - 2**20)} are expected")
        return super().write(data)


def _reason(error: Exception) -> str:
    if isinstance(error, _TooLong):
        return str(error)
    answer = getattr(error, "response", None)
    return f"the server answered {answer.status_code}" if answer is not None else f"no answer: {type(error).__name__}"


def _nowhere(entry: Entry, file: File, why: str) -> str:
    offline = [other for other in catalogue().values() if other.offline]
    offline = [other for other in offline if other.kind == entry.kind] or offline
    looked = ", ".join(str(root) for root in roots())
    hint = "" if os.environ.get("LABKIT_DATA") else " ($LABKIT_DATA is not set)"
    amount = f" ({size(file.bytes)})" if file.bytes else ""
    return (
        f"{entry.name!r} needs {file.path}{amount}, which is in none of {looked}{hint}, and {why}; "
        f"set $LABKIT_DATA to a folder that holds {file.path}, or load a set that needs no download: "
        + ", ".join(repr(other.name) for other in offline)
    )
