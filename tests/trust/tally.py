"""Tests that carry a mark, run and counted by kind: what ``attacks`` and ``misfortunes`` share."""

from collections import Counter

import pytest

from .report import ROOT


class Tally:
    """A plugin of pytest: how the tests of one mark ended.

    Attributes:
        passed: kind -> how many.
        failed: names of tests.
        skipped: names of tests and why.
    """

    def __init__(self, mark: str):
        self.mark, self.passed, self.failed, self.skipped = mark, Counter(), [], []
        self._kinds: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items):
        for item in items:
            if mark := item.get_closest_marker(self.mark):
                self._kinds[item.nodeid] = mark.args[0]

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)
        elif report.skipped:
            self.skipped.append(f"{report.nodeid}: {report.longrepr[2]}")
        elif report.when == "call":
            self.passed[self._kinds[report.nodeid]] += 1


def tally(mark: str) -> Tally:
    """Run all tests that carry a mark."""
    found = Tally(mark)
    pytest.main(["-q", "-m", mark, "-p", "no:cacheprovider", str(ROOT / "tests")], plugins=[found])
    return found
