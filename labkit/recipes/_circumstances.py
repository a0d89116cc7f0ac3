"""Where a number was measured."""

import platform
import subprocess
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from labkit.train import choose_device, has_bfloat16

CHECKOUT = Path(__file__).resolve().parents[2]


def circumstances(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Where a number was measured: device, threads, versions, commit, and whether the code had uncommitted changes.

    ``precision`` is what ``fit(precision="auto")`` takes there for vision encoders: the same command gives other
    numbers on a processor without bfloat16.

    Take it before the work, not after: who commits or edits while hours of training go by did not change what they ran.
    """
    device = choose_device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"
    return {
        "device": name,
        "precision": "bfloat16" if has_bfloat16(device) else "float32",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("labkit", "torch", "torch-geometric", "numpy", "scikit-learn")},
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--", "labkit")),
    }


def code() -> dict[str, Any]:
    """What must be equal for an interrupted measurement to go on: commit, and a number for what is not committed."""
    number = zlib.crc32(_git("diff", "HEAD", "--", "labkit").encode(errors="surrogateescape"))
    new = _git("ls-files", "--others", "--exclude-standard", "-z", "--", "labkit")  # files that no diff shows
    for file in (CHECKOUT / name for name in new.split("\0") if name):
        number = zlib.crc32(bytes(file), number)
        number = zlib.crc32(file.read_bytes(), number) if file.is_file() else number
    return {"commit": _git("rev-parse", "HEAD") or "unknown", "uncommitted code": number}


def _git(*arguments: str) -> str:
    """What git says of the checkout that this labkit is; "" where it is none.

    A labkit that pip installed may lie inside the tree of another repository, whose commit says nothing of it.
    """

    def ask(*words: str) -> str:
        asked = ["git", "-C", str(CHECKOUT), *words]
        return subprocess.run(
            asked, capture_output=True, encoding="utf-8", errors="surrogateescape", timeout=10
        ).stdout.strip()

    try:
        top = ask("rev-parse", "--show-toplevel")
        return ask(*arguments) if top and Path(top).resolve() == CHECKOUT else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""
