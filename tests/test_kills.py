"""A few of the moments of ``tests.trust.kills``; its command takes twenty of each kind."""

import subprocess
import sys
from pathlib import Path

from trust.kills import QUICK


def test_what_is_killed_goes_on_to_the_same_end():
    command = [sys.executable, "-m", "tests.trust.kills", "--moments", "2", "--only", *QUICK]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 moments, 0 torn files, 0 finished parts lost, 0 other ends, 0 processes left behind: kept" in done.stdout
