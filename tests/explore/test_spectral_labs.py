"""The playgrounds of the spectral theme: what they draw is what the plain functions return."""

import numpy as np
import pytest
import torch

from labkit import explore
from labkit.data import load
from labkit.theory import augmentation, factorisation, spectral


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def everything_is_finite(lab):
    for panel in lab.panels:
        for layer in panel.layers:
            assert len(layer.x) == len(layer.y)
            assert np.isfinite(np.asarray(layer.values if layer.kind == "heat" else layer.y, dtype=float)).any()


def test_augmentation_lab_draws_the_spectrum_of_the_overlap_graph(digits):
    images = digits.images[:40]
    lab = explore.augmentation_lab(images, digits.labels[:40]).set(shift=0.0, noise=0.4, crop=1.0)
    x = images[digits.labels[:40].argsort(stable=True)].flatten(1).double() / 255
    graph = torch.exp(-torch.cdist(x, x).square() / (4 * 0.4**2))
    values = torch.linalg.eigvalsh(factorisation.normalised_adjacency(graph)).flip(0)
    np.testing.assert_allclose(lab.panels[1].layers[1].y, values[:30], atol=1e-4)
    everything_is_finite(lab)
    named = explore.augmentation_lab(images[3:20], digits.labels[3:20], class_names=[f"digit {i}" for i in range(10)])
    assert named.panels[2].layers[0].text == sorted(f"digit {i}" for i in digits.labels[3:20].tolist())
    for extreme in ({"noise": 0.05}, {"noise": 1.0, "shift": 2.0, "crop": 0.5}):
        everything_is_finite(lab.set(**extreme))
    assert lab.twin().axes


def test_graph_embedding_minimises_the_spectral_contrastive_loss():
    graph = spectral.planted_graph(20, 4) + 0.1
    values, z = explore.graph_embedding(graph, dim=3)
    least, best = factorisation.spectral_contrastive_minimum(graph, 4)
    with_constant = torch.cat([torch.ones(20, 1, dtype=torch.float64), z], dim=1)
    torch.testing.assert_close(factorisation.spectral_contrastive(graph, with_constant), least)
    torch.testing.assert_close(with_constant @ with_constant.T, best @ best.T)
    assert values[0].item() == pytest.approx(1)


def test_temperature_lab_loses_rank_as_the_temperature_rises():
    lab = explore.temperature_lab(steps=100)
    ranks = {tau: lab.set(tau=tau).panels[2].layers[2].y[0] for tau in (0.2, 1.0, 5.0)}
    assert ranks[0.2] > 4 > ranks[1.0] > 2 > ranks[5.0]
    again = lab.set(tau=1.0, draw=3).panels[0].layers[0].x
    np.testing.assert_array_equal(lab.set(tau=2.0).set(tau=1.0).panels[0].layers[0].x, again)


def test_flow_lab_measures_the_predicted_growth():
    pi = spectral.nested_graph(generator=torch.Generator().manual_seed(0))
    times, z, measured, predicted = explore.mode_growth(pi, tau=0.5)
    assert z.shape == (41, 48, 3)
    early = measured[:, 0] < 0.05
    torch.testing.assert_close(measured[early, :3], predicted[early, :3], rtol=5e-3, atol=0)
    lab = explore.infonce_flow_lab()
    np.testing.assert_allclose(lab.panels[1].layers[1].y, measured[:, 0].log10())
    np.testing.assert_allclose(lab.panels[1].layers[1].x, times)
    for extreme in ({"near": 0.0, "far": 0.0}, {"near": 1.0, "far": 1.0, "tau": 2.0}, {"time": 0.0, "tau": 0.1}):
        everything_is_finite(lab.set(**extreme))


def test_masking_lab_says_what_the_closed_forms_say():
    lab = explore.masking_lab().set(share=0.3, length=6, degree=1, family=0)
    assert lab.panels[0].says.startswith(f"κ² = {1.7**6:.3g}")
    shown = np.concatenate([np.asarray(layer.y)[np.isfinite(np.asarray(layer.x))] for layer in lab.panels[1].layers])
    values, _ = augmentation.masking_spectrum("random", 6, 0.3)
    np.testing.assert_allclose(np.sort(shown), np.sort(values))
    found = explore.risk_over_shares("block", 6, 1, 30)
    np.testing.assert_allclose(found["share"], np.arange(1, 6) / 6)
    for family in range(3):
        for share in (0.0, 0.95):
            everything_is_finite(lab.set(family=family, share=share, degree=4, length=4, labels=3.0))


def test_labs_refuse_what_they_cannot_draw(digits):
    with pytest.raises(ValueError, match="12 to 300 images, not 301"):
        explore.augmentation_lab(digits.images[:301])
    with pytest.raises(ValueError, match="up to 64 items, not 65"):
        explore.temperature_lab(spectral.planted_graph(65, 3))
    with pytest.raises(ValueError, match="pi must be square"):
        explore.temperature_lab(torch.ones(3, 4))
