"""The time axis of a run: which losses it shows, and what it calls an event."""

from types import SimpleNamespace

import numpy as np
import torch

from labkit.explore._space import Space
from labkit.explore._time import timeline

EPOCHS = [0, 2, 5, 12]


def spaces(*scales):
    """One space for each epoch, whose covariance has the squares of these scales as eigenvalues."""
    x = np.random.default_rng(0).normal(size=(90, 3))
    q = np.linalg.qr(x - x.mean(0))[0] * 90**0.5
    return [Space(torch.from_numpy(q * scale)) for scale in np.array(scales).T]


def test_a_mode_is_marked_where_it_first_reaches_half_of_its_maximum_if_it_rose():
    run = SimpleNamespace(history={}, events=[(1, "rate halved"), (13, "after the last snapshot")])
    told = timeline(run, EPOCHS, spaces([10, 10, 10, 10], [1, 3, 4, 5], [0.5, 0.5, 0.6, 0.5]))
    assert told["events"] == [[1, "rate halved"], [5, "eigenvalue 2 rises past half of its maximum"]]
    assert timeline(run, EPOCHS, spaces([0] * 4, [0] * 4, [0] * 4))["events"] == [[1, "rate halved"]]


def test_a_jump_of_the_loss_is_marked_but_not_its_first_step_nor_what_is_usual():
    loss = [9.0, 5.0, 4.9, 4.8, 6.8, 6.7, 6.6, 2.6, 2.5, 2.4, float("nan"), 2.3, 2.2]
    still = spaces([1] * 4, [1] * 4, [1] * 4)
    run = SimpleNamespace(history={"loss": loss[:10]})
    told = timeline(run, EPOCHS, still)
    assert told["events"] == [[5, "loss rises from 4.8 to 6.8"], [8, "loss falls from 6.6 to 2.6"]]
    assert timeline(SimpleNamespace(history={"loss": loss[:8]}), EPOCHS, still)["events"] == []  # too few to compare
    run.history["loss"] = loss
    assert [epoch for epoch, _ in timeline(run, EPOCHS, still)["loss"]] == [*range(1, 11), 12]
    assert timeline(run, EPOCHS, still)["events"] == told["events"]  # a loss that is not finite hides no jump
