"""The three playgrounds of stepwise dynamics: what they draw is what the plain functions say."""

import math

import numpy as np
import pytest
import torch

from labkit.explore import (
    closed_form_scores,
    digit_pairs,
    four_losses,
    four_losses_one_spectrum,
    order_agreement,
    stepwise_scrubber,
    top_d_dial,
)
from labkit.theory.stepwise import critical_times, eigenvalues, loss


@pytest.fixture(scope="module")
def scrubber():
    return stepwise_scrubber()


def test_the_scrubber_draws_the_closed_form(scrubber):
    scrubber.set(alpha=-2.0, d=3, decay=0.6, time=0.5)
    gamma = torch.tensor([1, 0.6, 0.36], dtype=torch.float64)
    initial = torch.full_like(gamma, 0.01)
    curves, staircase, _ = scrubber.panels
    times = torch.as_tensor(curves.layers[0].x)
    expected = eigenvalues(gamma, initial, times)
    for j in range(3):
        np.testing.assert_allclose(curves.layers[j].y, expected[:, j])
    assert all(torch.isnan(torch.as_tensor(layer.y)).all() for layer in curves.layers[3:8])
    np.testing.assert_allclose(staircase.layers[0].y, loss(expected))
    np.testing.assert_allclose(staircase.layers[1].x, critical_times(gamma, initial))
    assert staircase.layers[2].x[0] == pytest.approx(0.5 * critical_times(gamma, initial)[-1].item())


def test_the_embedding_is_a_point_then_a_line_then_a_plane(scrubber):
    def spread(time):
        layer = scrubber.set(alpha=-5.0, d=4, decay=0.5, time=time).panels[2].layers[0]
        return np.std(layer.x), np.std(layer.y)

    assert max(spread(0.0)) < 1e-3
    across, up = spread(0.17)  # τ_2 is a quarter of τ_4, τ_1 an eighth
    assert across > 0.9
    assert up < 0.1
    assert min(spread(1.3)) > 0.9
    scrubber.set(d=1)  # one dimension: the second stays nothing
    assert np.std(scrubber.panels[2].layers[0].y) == 0


def test_the_scrubber_takes_pairs_of_ones_own():
    x, x2, labels = digit_pairs(40)
    assert x.shape == (40, 64)
    assert len(stepwise_scrubber(x, x2, labels).panels[2].layers[0].x) == 40
    with pytest.raises(ValueError, match="same shape"):
        stepwise_scrubber(x, x2[:5])
    with pytest.raises(ValueError, match="the modes that two views share"):
        stepwise_scrubber(x[:, :6], x2[:, :6])


def test_four_losses_says_who_drops_and_who_reorders():
    sigma, rho = torch.tensor([1.0, 0.8, 0.5]).double(), torch.tensor([0.3, 0.6, 0.9]).double()
    found = four_losses(sigma, rho, beta=2.0, tau=0.5)
    torch.testing.assert_close(found["Barlow Twins"].rate, found["spectral contrastive"].rate)
    assert found["VICReg"].half_time[0] == math.inf
    assert found["VICReg"].variance.tolist() == pytest.approx([0.0, 0.2, 0.8])
    torch.testing.assert_close(found["spectral contrastive"].variance, rho)
    torch.testing.assert_close(found["Barlow Twins"].variance, 1 / rho)
    assert order_agreement(found["Barlow Twins"], found["Barlow Twins"]) == 1
    assert order_agreement(found["Barlow Twins"], found["VICReg"]) == -1
    with pytest.raises(ValueError, match="beta must lie"):
        four_losses(sigma, rho, beta=-1.0)


def test_four_losses_are_drawn_as_they_are():
    lab = four_losses_one_spectrum().set(beta=4.0, rho_first=0.3, rho_last=0.9, decay=0.8)
    sigma = 0.8 ** torch.arange(10, dtype=torch.float64)
    expected = four_losses(sigma, torch.linspace(0.3, 0.9, 10, dtype=torch.float64), beta=4.0)
    vicreg = torch.as_tensor(lab.panels[1].layers[5].y)
    assert torch.equal(torch.isnan(vicreg), expected["VICReg"].half_time.isinf())
    np.testing.assert_allclose(lab.panels[2].layers[1].y, expected["Barlow Twins"].variance)
    assert f"drops {int((expected['VICReg'].rate <= 0).sum())};" in lab.panels[1].says
    lab.set(beta=0.0)  # VICReg is principal components: nothing is dropped
    assert "drops 0" in lab.panels[1].says


def test_the_dial_draws_its_scores_and_no_shifts_give_no_gain():
    dial = top_d_dial(n=40)
    dial.set(d=5, pixels=0)
    pairs, views = (np.asarray(layer.y) for layer in dial.panels[0].layers[:2])
    kept = ~np.isnan(pairs)
    np.testing.assert_allclose(pairs[kept], views[kept])
    dial.set(pixels=1, bandwidth=2.0)
    scores, encoder, _ = closed_form_scores(dial._compute.images, dial._compute.labels, 40, 2.0, 1)
    np.testing.assert_allclose(dial.panels[0].layers[0].y, 100 * np.array(scores["pairs"]))
    np.testing.assert_allclose(dial.panels[1].layers[0].y[:5], encoder.gamma[:5])
    dial.set(bandwidth=0.2)  # narrower than any distance: pairs alone, which order nothing
    gamma = closed_form_scores(dial._compute.images, dial._compute.labels, 40, 0.2, 1)[1].gamma
    # two views that were moved alike are one point, and count twice
    assert set(np.round(40 * gamma.numpy()[gamma > 0], 1)) <= {0.5, 0.9, 1.0}
    assert gamma.median().item() == pytest.approx(1 / 80, rel=1e-3)
    assert dial.set(d=50).panels[2].title.startswith("Dimensions")
    fewest = top_d_dial(n=20)  # two views that were moved alike are one, and so the kernel's rank is below 2n − 1
    assert np.isnan(np.asarray(fewest.panels[0].layers[1].y)).tolist() == [False] * 8 + [True]
    with pytest.raises(ValueError, match="n must lie between 20 and 150"):
        top_d_dial(n=5)
