"""The shortcut lab: what its bars say is what the readers say, and its pictures are the patches."""

from functools import partial

import numpy as np
import pytest
import torch

from labkit.data import load
from labkit.explore import shortcut_lab
from labkit.methods import Pretext, RelativePosition, read_borders, read_fringes
from labkit.models import resnet8
from labkit.train import seeded
from labkit.views import DropColours, chromatic_aberration


@pytest.fixture(scope="module")
def images():
    return load("world", n_train=200, n_test=1, size=40, factors={"objects": (1, 1)}).images[:200]


@pytest.fixture
def lab(images):
    return shortcut_lab(images, {"a network": Pretext(resnet8(4), RelativePosition(8))})


def shares(lab):
    return dict(zip(lab.panels[2].x_ticks, lab.panels[2].layers[0].y, strict=True))


def test_bars_are_what_readers_and_network_answer(lab, images):
    lab.set(aberration=0.05, gap=2, jitter=1, mend=1)
    lens = partial(chromatic_aberration, strength=0.05)
    with seeded(0):
        pieces, answers = RelativePosition(8, 2, 1, image_view=lens, patch_view=DropColours())(images)
    network = lab._compute.networks["a network"]
    for name, said in (("borders", read_borders(pieces)), ("fringes", read_fringes(pieces)),
                       ("a network", network.said(pieces))):  # fmt: skip
        assert shares(lab)[name] == pytest.approx(100 * (said == answers).double().mean().item())
        assert f"{name} {shares(lab)[name]:.0f} %" in lab.panels[2].says


def test_each_shortcut_is_planted_and_mended_by_its_own_slider(lab):
    lab.set(gap=0, jitter=0, aberration=0.0, mend=0)
    touching = shares(lab)
    assert touching["borders"] > 30
    assert touching["fringes"] < 20
    assert shares(lab.set(gap=3, jitter=1))["borders"] < touching["borders"] - 8
    fringed = shares(lab.set(aberration=0.05))["fringes"]
    assert fringed > 30
    assert shares(lab.set(mend=1))["fringes"] < 20


def test_pictures_hold_the_patches_that_the_outlines_show(lab):
    lab.set(gap=3, jitter=1)
    (picture, outline), (sheet,) = lab.panels[0].layers, lab.panels[1].layers
    x, y = (np.asarray(values).reshape(9, 6)[:, 0].astype(int) for values in (outline.x, outline.y))
    for place in range(9):
        row, column = 1 + 9 * (place // 3), 1 + 9 * (place % 3)
        top = 40 - y[place]
        cut = picture.values[top : top + 8, x[place] : x[place] + 8]
        np.testing.assert_array_equal(sheet.values[row : row + 8, column : column + 8], cut)
    assert lab.figure.data[0].source.startswith("data:image/png;base64,")
    before = lab.figure.data[0].source
    lab.set(aberration=0.1)
    assert lab.figure.data[0].source != before
    data, _ = lab._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")


def test_bad_input_is_named(images):
    with pytest.raises(ValueError, match="3 channels and 36 pixels or more, not"):
        shortcut_lab(images[:, :1])
    with pytest.raises(ValueError, match="up to 400 images"):
        shortcut_lab(images, shown=200)
    with pytest.raises(ValueError, match="square"):
        shortcut_lab(torch.rand(3, 3, 30, 30))
