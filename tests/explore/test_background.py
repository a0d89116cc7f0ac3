"""Work beside the main thread: a script may end while the Explorer still computes."""

import subprocess
import sys
import time

import pytest

from labkit.explore._background import Background

SCRIPT = """
import threading
import numpy as np
from labkit.explore import explore

z = np.random.default_rng(0).normal(size=(1500, 32))
explorer = explore(z, np.arange(1500) % 3)
{then}
assert threading.active_count() > 1, "nothing is computed any more: the script shows nothing"
print("end")
"""


@pytest.mark.parametrize("then", ["", "explorer.project('umap')"], ids=str)
def test_a_script_ends_while_the_explorer_computes(then):
    quiet = ["-W", "ignore:`torch.jit.script`:FutureWarning"]  # of torch 2.14, about torch-geometric
    command = [sys.executable, *quiet, "-c", SCRIPT.format(then=then)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_closing_makes_work_void_and_ends_what_it_waits_for():
    ended, errors = [], []
    background = Background(errors.append)

    def until_void(current):
        while current():
            time.sleep(0.001)

    def until_stopped(current):
        while not ended:
            time.sleep(0.001)

    background.start("a", until_void)
    background.start("b", until_stopped, stop=lambda: ended.append("b"))
    background.close()
    assert background.wait(10)
    assert ended == ["b"]
    assert errors == []
