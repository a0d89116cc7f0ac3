"""Where a number was measured."""

import platform
import subprocess
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from labkit.train import choose_device


def circumstances(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Where a number was measured: device, threads, versions, commit, and whether the code had uncommitted changes."""
    device = choose_device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in ("labkit", "torch", "torch-geometric", "numpy", "scikit-learn")},
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--", "labkit")),
    }


def code() -> dict[str, Any]:
    """What must be equal for an interrupted measurement to go on: commit, and a number for what is not committed."""
    changes = _git("diff", "HEAD", "--", "labkit") + _git("ls-files", "--others", "--exclude-standard", "--", "labkit")
    return {"commit": _git("rev-parse", "HEAD") or "unknown", "uncommitted code": zlib.crc32(changes.encode())}


def _git(*arguments: str) -> str:
    try:
        checkout = Path(__file__).parents[2]
        return subprocess.run(
            ["git", *arguments], cwd=checkout, capture_output=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
