"""Examples in docstrings run, where they need nothing but labkit.

Which ones run: those of ``MODULES``, where an example takes no trained run, no file and less than a few seconds. What
an example prints is compared only where the docstring shows it.
"""

import doctest
import importlib

import pytest
import torch

import labkit

MODULES = [
    "data.world._captions",
    "data.world._factors",
    "data.world._sample",
    "explore._class_collision",
    "explore._homophily_lab",
    "explore._masking_lab",
    "explore._redundancy_lab",
    "explore._stepwise_scrubber",
    "explore._walk_lab",
    "theory.walks",
]


def examples(module: str) -> list[doctest.DocTest]:
    names = {"labkit": labkit, "torch": torch, "world": labkit.data.world}
    found = doctest.DocTestFinder().find(importlib.import_module(f"labkit.{module}"), extraglobs=names)
    return [one for one in found if one.examples]


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    assert examples(module)
    for one in examples(module):
        for example in one.examples:
            if example.want:
                said = str(eval(example.source, one.globs))
                assert doctest.OutputChecker().check_output(example.want, said + "\n", doctest.NORMALIZE_WHITESPACE)
            else:
                exec(example.source, one.globs)
