"""docs/coming_from.md: each row of its table of losses is computed, theirs by formula, ours as printed."""

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import labkit
from labkit import data, evaluate, losses, methods, models, train, views

PAGE = (Path(__file__).parents[1] / "docs" / "coming_from.md").read_text()
LOSSES = PAGE[PAGE.index("## Losses") : PAGE.index("## Defaults")]
ROWS = [row for row in re.findall(r"^\| (.+?) \| `(.+?)` \| (.+?) \|$", LOSSES, re.MULTILINE)]


def cosines(a, b):
    return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T


def nt_xent(a, b, temperature):
    z = torch.cat([a, b])
    logits = (cosines(z, z) / temperature).fill_diagonal_(-math.inf)
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(a)))


def one_direction(a, b, temperature):
    return F.cross_entropy(cosines(a, b) / temperature, torch.arange(len(a)))


def barlow(a, b, weight, deviation=0):
    a, b = ((x - x.mean(0)) / x.std(0, correction=deviation) for x in (a, b))
    c = a.T @ b / len(a)
    on, off = c.diagonal(), c - torch.diag(c.diagonal())
    return (1 - on).square().sum() + weight * off.square().sum()


def vicreg(a, b, halves):
    hinges = sum(F.relu(1 - (x.var(0) + 1e-4).sqrt()).mean() for x in (a, b))
    covariances = [torch.cov(x.T) for x in (a, b)]
    off = sum((c - torch.diag(c.diagonal())).square().sum() / len(c) for c in covariances)
    return 25 * F.mse_loss(a, b) + 25 * halves * hinges + off


def queue_loss(a, b, queue, temperature):
    logits = torch.cat([cosines(a, b).diagonal()[:, None], cosines(a, queue)], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(a), dtype=torch.long))


def pygcl_intraview(a, b, temperature):
    own = math.exp(1 / temperature)

    def side(a, b):
        across, within = (cosines(a, other).div(temperature).exp() for other in (b, a))
        others = within.sum(1) - within.diagonal() + own
        return -(across.diagonal() / (across.sum(1) + others)).log().mean()

    return (side(a, b) + side(b, a)) / 2


# what each library computes, written down from its formula (a, b: the views; p, z: the same two; q: the queue)
THEIRS = {
    "lightly `NTXentLoss(temperature=0.5)(a, b)`": lambda a, b, q: nt_xent(a, b, 0.5),
    "lightly `NTXentLoss(temperature=0.5, memory_bank_size=m)(a, b)`": lambda a, b, q: queue_loss(a, b, q, 0.5),
    "lightly `BarlowTwinsLoss(lambda_param=5e-3)(a, b)`": lambda a, b, q: barlow(a, b, 5e-3),
    "lightly `VICRegLoss(25, 25, 1)(a, b)`": lambda a, b, q: vicreg(a, b, halves=0.5),
    "lightly `NegativeCosineSimilarity()(p, z)`": lambda a, b, q: -F.cosine_similarity(a, b).mean(),
    "solo-learn `simclr_loss_func(cat([a, b]), indexes, temperature=0.1)`": lambda a, b, q: nt_xent(a, b, 0.1),
    "solo-learn `barlow_loss_func(a, b)`": lambda a, b, q: 0.025 * barlow(a, b, 5e-3),
    "solo-learn `vicreg_loss_func(a, b)`": lambda a, b, q: vicreg(a, b, halves=1.0),
    "solo-learn `byol_loss_func(p, z)`": lambda a, b, q: 2 - 2 * F.cosine_similarity(a, b).mean(),
    "solo-learn `simsiam_loss_func(p, z)`": lambda a, b, q: -F.cosine_similarity(a, b).mean(),
    "solo-learn `moco_loss_func(a, b, queue, temperature=0.1)`": lambda a, b, q: queue_loss(a, b, q.T, 0.1),
    "stable-pretraining `BarlowTwinsLoss(5e-3)(a, b)`": lambda a, b, q: barlow(a, b, 5e-3, deviation=1),
    "GRACE (released code) `GRACE.loss(a, b)` with `tau=0.4`": lambda a, b, q: nt_xent(a, b, 0.4),
    'PyGCL `DualBranchContrast(InfoNCE(tau=0.2), mode="L2L")(a, b)`': lambda a, b, q: (
        (one_direction(a, b, 0.2) + one_direction(b, a, 0.2)) / 2
    ),
    'PyGCL `DualBranchContrast(InfoNCE(tau=0.4), mode="L2L", intraview_negs=True)(a, b)`': lambda a, b, q: (
        pygcl_intraview(a, b, 0.4)
    ),
}


def test_every_row_has_its_formula():
    assert [theirs for theirs, _, _ in ROWS] == list(THEIRS)


@pytest.mark.parametrize(("theirs", "ours", "words"), ROWS, ids=[row[0] for row in ROWS])
def test_the_row_is_right(theirs, ours, words):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(48, 12, generator=generator, dtype=torch.float64) for _ in range(2))
    queue = torch.randn(64, 12, generator=generator, dtype=torch.float64)
    if "queue.T" in ours:  # handed over as solo-learn keeps it
        queue = queue.T
    expected = THEIRS[theirs](a, b, queue)
    found = eval(ours, vars(losses) | {"a": a, "b": b, "p": a, "z": b, "queue": queue})
    if words.startswith("no factor"):
        assert abs(found - expected) > 1e-4 * abs(expected)
    else:
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_the_names_exist():
    rooms = {"views": views, "models": models, "evaluate": evaluate, "methods": methods, "explore": labkit.explore}
    rooms |= {"data": labkit.data, "train": labkit.train}
    named = re.findall(rf"`@?(?:labkit\.)?({'|'.join(rooms)})\.(\w+)", PAGE)
    assert len(named) >= 19
    for room, name in named:
        assert hasattr(rooms[room], name), f"labkit.{room}.{name}"


def test_training_is_called_as_it_is_said():
    """The page's own calls, on a few pictures: the loader, the method, the backbone and the optimiser."""
    images = data.ImageSet(torch.randint(0, 255, (16, 3, 32, 32), dtype=torch.uint8))
    names = {"labkit": labkit, "images": images, "train": train, "models": models, "methods": methods}
    calls = (
        "train.Minibatches(",
        "models.resnet8(",
        "methods.TwoView(",
        "models.TwoPass(",
        "labkit.fit(method, batches, o",
    )
    found = [re.search(rf"`({re.escape(call)}[^`]*)`", PAGE)[1].replace("256", "8") for call in calls]
    names |= {"projector": models.MLP(64, 64, 32, norm="batch"), "view": views.simclr(32), "loss": losses.nt_xent}
    names["batches"], names["encoder"] = eval(found[0], names), eval(found[1], names)
    names["encoder"] = eval(found[3], names)
    names["method"] = eval(found[2], names)
    eval(found[4].replace("epochs=10", "epochs=1, progress=False"), names)
    with_function = re.search(r"`optimizer=(partial\([^`]*)`", PAGE)[1]
    optimizer = eval(with_function, {"torch": torch, "partial": partial})
    loader = torch.utils.data.DataLoader(images.images, 8)
    run = labkit.fit(names["method"], loader, optimizer=optimizer, epochs=1, progress=False)
    assert math.isfinite(run.history["loss"][-1])


def test_the_defaults_are_those():
    import inspect

    assert inspect.signature(losses.nt_xent).parameters["temperature"].default == 0.5
    knn = inspect.signature(evaluate.knn_probe).parameters
    assert (knn["k"].default, knn["temperature"].default) == (20, 0.1)
