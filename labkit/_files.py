"""A file is either whole or not there."""

import errno
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any


def write_whole(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    It is written beside its place under a hidden name and moved over it in one step. A crash, ``kill -9`` or a full
    disk leaves the older file as it was. A link stays one, to the new file; who may read the file stays as it was.

    Raises:
        OSError: it could not be written (full disk, read-only folder), or is no file (a folder, /dev/null); the message
            names it.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, f"{path} is no file that could be replaced")
    beside = path.with_name(f".{secrets.token_hex(6)}.part")  # short: a name may be as long as the system takes
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, beside)
        os.replace(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            sentence = f"{path} was not written ({error.strerror}); what was there before, if anything, is as it was"
            raise OSError(error.errno, sentence) from error
        raise


def write_json(path: str | Path, record: Any) -> None:
    """``record`` as readable JSON, written as :func:`write_whole` writes."""
    write_whole(path, (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())


def put_aside(path: Path, ending: str) -> Path:
    """Rename to NAME.``ending``, never over an older one; its new place."""
    aside, number = path.with_name(f"{path.name}.{ending}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.{ending}-{number}")
    return path.rename(aside)
