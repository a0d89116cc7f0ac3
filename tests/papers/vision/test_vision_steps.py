"""One training step of each method on images, written out, and whether options and controls are what they are named."""

from itertools import combinations

import pytest
import torch
from torch.nn import functional as F

from labkit.claims import Lab
from labkit.data import ImageSet
from labkit.losses import barlow_twins, nce, nt_xent, swav, vicreg
from labkit.papers.vision import pose_aware, scan
from labkit.papers.vision import vicreg as vicreg_paper
from labkit.papers.vision.barlow_twins import BarlowTwins
from labkit.papers.vision.instdisc import InstDisc
from labkit.papers.vision.nnclr import NNCLR
from labkit.papers.vision.simclr import SimCLR
from labkit.papers.vision.simsiam import SimSiam
from labkit.papers.vision.swav import SwAV
from labkit.papers.vision.vicreg import VICReg
from labkit.views import GaussianNoise

view = GaussianNoise(0.1)


class Encoder(torch.nn.Sequential):
    dim = 8

    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(36, 8), torch.nn.Tanh())


def test_instdisc_s_partition_is_that_of_the_whole_bank():
    x = torch.randint(0, 256, (4, 1, 6, 6), dtype=torch.uint8)
    method, rows = InstDisc(Encoder(), view, items=24, negatives=8), torch.arange(4)
    torch.manual_seed(1)
    loss = method((x, rows))
    torch.manual_seed(1)
    z, drawn = method.projector(method.encoder(method.view(x))), method.bank.draw(8)
    partition = 24 * (F.normalize(z, dim=1) @ drawn.T / 0.1).exp().mean().item()
    assert method.partition.item() == pytest.approx(partition, rel=1e-5)
    torch.testing.assert_close(loss, nce(z, method.bank.rows[rows], drawn, 24, 0.1, partition))


def test_instdisc_s_partition_is_kept_or_estimated_anew():
    x, rows = torch.randint(0, 256, (4, 1, 6, 6), dtype=torch.uint8), torch.arange(4)
    kept, live = (InstDisc(Encoder(), view, items=24, negatives=8, fixed_partition=fixed) for fixed in (True, False))
    for method, changes in ((kept, False), (live, True)):
        method((x, rows))
        first = method.partition.item()
        method((x, rows))
        assert (method.partition.item() != first) is changes


WEIGHTS = {"invariance": 2.0, "variance": 3.0, "covariance": 5.0}
SINKHORN = {"temperature": 0.3, "epsilon": 0.2, "iterations": 0}


@pytest.mark.parametrize(
    ("method", "loss", "options"),
    [
        (SimCLR, nt_xent, {"temperature": 0.3}),
        (BarlowTwins, barlow_twins, {"off_diagonal": 0.3}),
        (VICReg, vicreg, WEIGHTS),
        (SwAV, swav, SINKHORN),
    ],
)
def test_options_reach_the_loss(method, loss, options):
    a, b = torch.randn(2, 9, 4)
    torch.testing.assert_close(method(Encoder(), view, **options).loss(a, b), loss(a, b, **options))
    assert loss(a, b, **options) != loss(a, b)


def test_swav_without_iterations_takes_the_scores_as_they_are():
    a, b = torch.randn(2, 9, 4).double()
    terms = [-((x / 0.05).softmax(1) * (y / 0.1).log_softmax(1)).sum(1).mean() for x, y in ((b, a), (a, b))]
    torch.testing.assert_close(swav(a, b, iterations=0), sum(terms) / 2)


def test_a_control_is_the_control_that_it_is_named():
    assert not SimSiam(Encoder(), view, stop_gradient=False).stop_gradient
    pixels = torch.zeros(4, 1, 18, 18, dtype=torch.uint8)
    one = ImageSet(pixels, torch.arange(4) % 2, ("a", "b"), {"train": torch.arange(2), "test": torch.arange(2, 4)})
    assert vicreg_paper.NO_VARIANCE.build(one).loss.keywords == {"invariance": 25.0, "variance": 0.0, "covariance": 1.0}
    z = torch.randn(50, 8)
    random = NNCLR(Encoder(), view, friend="random")
    assert not torch.equal(random.targets(z, z), random.queue.nearest(z))
    assert scan._changes("no entropy", 5, 0) == {"entropy_weight": 0.0}


def test_a_lower_error_counts_for_the_claim(monkeypatch):
    found = {id(pose_aware.PATHS): 20.0, id(pose_aware.SIMCLR): 30.0}
    monkeypatch.setattr(pose_aware, "_of", lambda lab, recipe: [])
    monkeypatch.setattr(pose_aware, "untrained", lambda lab, recipe: [])
    monkeypatch.setattr(pose_aware, "_errors", lambda lab, recipe, *_: [found[id(recipe)]])
    assert pose_aware.paths_lower_the_pose_error.test(Lab(seeds=[0])).difference[0] == 10


@pytest.mark.parametrize("views", [2, 3])
def test_simclr_compares_all_pairs_of_its_views(views):
    method, images = SimCLR(Encoder(), view, temperature=0.3, views=views), torch.rand(5, 1, 6, 6)
    torch.manual_seed(0)
    loss = method(images)
    torch.manual_seed(0)
    z = method.projector(method.encoder(torch.cat([method.view(images) for _ in range(views)]))).chunk(views)
    torch.testing.assert_close(loss, torch.stack([nt_xent(a, b, 0.3) for a, b in combinations(z, 2)]).mean())
