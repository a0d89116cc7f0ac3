"""What torch compiles is the same step: its loss, its gradient, and the codes that it leaves behind."""

import subprocess
import sys

import pytest

# In processes of their own: checked annotations, which tests run with, can't be compiled, and torch's views of the
# wrong tensor end a process.
STEP = """
import copy, sys, warnings
import torch
from torch import nn
from labkit import losses
from labkit.methods import Supervised, TwoView
from labkit.models import MLP
from labkit.papers.vision.byol import BYOL
from labkit.papers.vision.dino import DINO
from labkit.papers.vision.instdisc import InstDisc
from labkit.papers.vision.moco import MoCo
from labkit.papers.vision.nnclr import NNCLR
from labkit.papers.vision.simclr import SimCLR
from labkit.papers.vision.swav import SwAV

warnings.simplefilter("ignore")
images, rows = torch.rand(12, 3, 4, 4), torch.arange(12)


class Encoder(nn.Sequential):
    dim = 16

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(48, 16), nn.BatchNorm1d(16))


def view(images):
    return images + 0.1 * torch.rand(images.shape)


def two_view(loss):
    return TwoView(Encoder(), MLP(16, 16, 8), view, loss)


METHODS = {
    "NT-Xent": lambda: (two_view(losses.nt_xent), images),
    "Barlow Twins": lambda: (two_view(losses.barlow_twins), images),
    "VICReg": lambda: (two_view(losses.vicreg), images),
    "spectral": lambda: (two_view(losses.spectral_contrastive), images),
    "decoupled": lambda: (two_view(losses.decoupled), images),
    "four views": lambda: (SimCLR(Encoder(), view, views=4), images),
    "BYOL": lambda: (BYOL(Encoder(), view), images),
    "DINO": lambda: (DINO(Encoder(), view), images),
    "InstDisc": lambda: (InstDisc(Encoder(), view, items=40, negatives=None), (images, rows)),
    "MoCo": lambda: (MoCo(Encoder(), view, queue=24), images),
    "NNCLR": lambda: (NNCLR(Encoder(), view, queue=24), images),
    "SwAV": lambda: (SwAV(Encoder(), view), images),
    "labels": lambda: (Supervised(Encoder(), view, rows), (images, rows)),
    "W-MSE": lambda: (two_view(lambda a, b: losses.w_mse(a, b, size=12)), images),
}


def step(method, batch):
    torch.manual_seed(1)
    loss = method(batch)
    loss.backward()
    method.after_step()
    gradient = {name: weights.grad for name, weights in method.named_parameters() if weights.grad is not None}
    return loss.detach(), gradient, method.seen


whole = sys.argv[1] == "whole"
for name in sys.argv[2:]:
    print(name, file=sys.stderr)
    torch.compiler.reset()
    torch.manual_seed(0)
    method, batch = METHODS[name]()
    plain = copy.deepcopy(method)
    method.compile(backend="aot_eager", dynamic=False, fullgraph=whole)
    for _ in range(2):
        torch.testing.assert_close(step(method, batch), step(plain, batch))
"""


def check(how, *names):
    done = subprocess.run([sys.executable, "-c", STEP, how, *names], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-2000:]}"


@pytest.mark.parametrize(
    "names",
    [
        ("NT-Xent", "Barlow Twins", "VICReg", "spectral", "decoupled", "four views", "labels"),
        ("BYOL", "DINO", "InstDisc", "MoCo", "NNCLR", "SwAV"),
    ],
)
def test_compiled_steps_are_one_graph_and_the_same(names):
    check("whole", *names)


def test_a_compiled_step_that_falls_into_parts_is_the_same():
    check("in parts", "W-MSE")  # it asks whether a covariance is singular
