"""One JupyterLab and one browser page for all browser tests; see labpage.py for what the page can do."""

import pytest
from labpage import CHROMIUM, running_page, running_server


@pytest.fixture(scope="session")
def _server(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium found; install it (Debian: apt-get install chromium) to run the browser tests")
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")
    pytest.importorskip("playwright", reason="playwright is not installed")
    with running_server(tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture(scope="session")
def lab(_server):
    """The page of a running JupyterLab, shared by all browser tests; each opens its own notebook."""
    with running_page(*_server) as page:
        yield page
