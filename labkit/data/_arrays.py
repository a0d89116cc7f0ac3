"""Arrays from files nobody vouches for: npz without pickles, safetensors, zips without tricks."""

import io
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

LIMIT = 8 * 2**30  # bytes a file may unpack to: a zip bomb stops here


def read_npz(source: Path | bytes, where: str, limit: int = LIMIT) -> dict[str, np.ndarray]:
    """Every array of an npz that is not an array of Python objects (those are pickles, and are left alone).

    Args:
        source: the file, or its bytes.
        where: what messages call it.
        limit: bytes that it may unpack to.

    Raises:
        ValueError: no npz, cut short, larger than ``limit``, or a header that disagrees with what follows.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as packed:
            _require_size(packed, where, limit)
            return {
                info.filename.removesuffix(".npy"): array
                for info in packed.infolist()
                if info.filename.endswith(".npy") and (array := _read_npy(packed, info)) is not None
            }
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, MemoryError, ValueError, RuntimeError,
            tokenize.TokenError) as error:  # fmt: skip
        if isinstance(error, _Refused):
            raise
        raise ValueError(f"{where} is no whole npz file ({_first_line(error)}); write or download it again") from error


class _Refused(ValueError):
    """A sentence that is already complete."""


def _read_npy(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray | None:
    data = packed.read(info)
    if _holds_objects(data):
        return None
    return np.load(io.BytesIO(data), allow_pickle=False)


def _holds_objects(data: bytes) -> bool:
    stream = io.BytesIO(data)
    major, _ = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    return read(stream)[2].hasobject


def read_npy(data: bytes, where: str) -> np.ndarray:
    """The array of one npy file, never a pickle.

    Raises:
        ValueError: no npy file, cut short, or an array of Python objects.
    """
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, EOFError, MemoryError, ValueError) as error:
        raise ValueError(f"{where} is no whole npy file of numbers ({_first_line(error)})") from error


def read_zip(data: bytes, where: str, limit: int = 2**28) -> dict[str, bytes]:
    """Path -> bytes of every file in a zip, in memory: nothing is written anywhere.

    Raises:
        ValueError: no zip, torn, a path that leaves its folder, or more than ``limit`` bytes unpacked.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            _require_size(packed, where, limit)
            for name in packed.namelist():
                if name.startswith("/") or "\\" in name or ".." in name.split("/"):
                    raise _Refused(f"{where} was refused: it holds a file that leaves its folder, {name!r}")
            return {info.filename: packed.read(info) for info in packed.infolist() if not info.is_dir()}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise ValueError(f"{where} is no whole zip file ({_first_line(error)}); download it again") from error


def _require_size(packed: zipfile.ZipFile, where: str, limit: int) -> None:
    # zipfile reads no further than the declared size, so that the declared size is the bound
    total = sum(info.file_size for info in packed.infolist())
    if total > limit:
        raise _Refused(f"{where} was refused: it unpacks to {total} bytes, more than the {limit} allowed")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
