"""Every test runs with the shape annotations of labkit checked (jaxtyping + beartype) and without a network."""

import os
from pathlib import Path

from jaxtyping import install_import_hook

_hook = install_import_hook("labkit", "annotations.check")  # stays for the session: rooms are loaded lazily

import pytest  # noqa: E402
import torch  # noqa: E402

_shared = Path(__file__).resolve().parents[2] / "shared" / "data"
if not os.environ.get("LABKIT_DATA") and _shared.is_dir():
    os.environ["LABKIT_DATA"] = str(_shared)
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # each worker has a core; notebooks that it starts inherit this
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
