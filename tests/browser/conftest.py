"""One JupyterLab and one browser page for all browser tests; see labpage.py for what the page can do."""

import pytest
from labpage import CHROMIUM, running_page, running_server


def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.xdist_group("browser"))  # one JupyterLab, on one worker


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call" and report.failed and "lab" in getattr(item, "funcargs", {}):
        report.sections.append(("page", item.funcargs["lab"].seen()))
    return report


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


@pytest.fixture
def alone(lab, tmp_path):
    """Show an Explorer as a page of its own, in a window of some width."""
    contexts = []

    def show(explorer, width=1200):
        explorer.wait().to_html(tmp_path / "page.html")
        contexts.append(lab.page.context.browser.new_context(viewport={"width": width, "height": 900}))
        page = type(lab)(contexts[-1].new_page(), "", tmp_path)
        page.page.goto((tmp_path / "page.html").as_uri())
        page.drawn()
        return page

    yield show
    for context in contexts:
        context.close()
