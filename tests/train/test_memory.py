"""Freed memory is kept while training and handed back afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from labkit.train._memory import _glibc, memory_kept

STATUS = Path("/proc/self/status")


# In a process of its own: one that has run other tests holds free memory already, from which the tensor would be cut.
SCRIPT = """
import torch
from labkit.train import memory_kept

def megabytes_held():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

torch.ones(1 << 20)
before = megabytes_held()
with memory_kept():
    torch.ones(32 << 20)  # 128 MB, freed at once
    inside = megabytes_held()
print(inside - before, megabytes_held() - before)
"""


@pytest.mark.skipif(not STATUS.exists() or _glibc() is None, reason="only glibc's allocator is adjusted")
def test_freed_tensors_stay_until_the_end():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    inside, afterwards = map(float, done.stdout.split())
    assert inside > 100
    assert afterwards < 60


def test_an_error_inside_passes_through():
    with pytest.raises(KeyError), memory_kept():
        raise KeyError


@pytest.mark.parametrize(("limit", "kept"), [(1 << 31, 1 << 30), (32 << 20, 32 << 20)])
def test_where_a_gigabyte_is_refused_blocks_up_to_32_mb_are_kept(monkeypatch, limit, kept):
    class Libc:
        mmap_threshold = 128 << 10

        def mallopt(self, parameter, value):
            if parameter == -3 and value <= limit:
                self.mmap_threshold = value
            return int(parameter != -3 or value <= limit)

        def malloc_trim(self, pad):
            pass

    libc = Libc()
    monkeypatch.setattr("labkit.train._memory._glibc", lambda: libc)
    with memory_kept():
        assert libc.mmap_threshold == kept
    assert libc.mmap_threshold == 32 << 20


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with memory_kept():
        assert torch.ones(3).sum() == 3
