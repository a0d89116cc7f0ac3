"""The redundancy lab shows what the closed forms say."""

import pytest

from labkit.explore import redundancy_lab
from labkit.theory import redundancy


def test_the_lowest_point_is_where_theory_puts_it():
    lab = redundancy_lab().set(agreement=0.5)
    vicreg, barlow, settles = lab.panels
    (dot,) = [layer for layer in vicreg.layers if layer.kind == "points"]
    assert float(dot.x[0]) == 0
    assert float(dot.y[0]) == pytest.approx(float(redundancy.vicreg_std(0.5)), abs=0.02)
    assert "any s" in barlow.says
    assert f"{float(redundancy.w_mse(0.5)):.2f}" in settles.says


def test_every_slider_is_seen_to_do_something():
    lab = redundancy_lab()
    before = [panel.says for panel in lab.panels]
    for name, slider in lab.sliders.items():
        start, up = slider.value, min(slider.max, slider.value + 10 * slider.step)
        assert [panel.says for panel in lab.set(**{name: up}).panels] != before, name
        lab.set(**{name: start})


def test_without_its_terms_vicreg_falls_to_a_point_and_barlow_twins_is_flat():
    vicreg, barlow, settles = redundancy_lab().set(variance=0.0, off_diagonal=0.0, covariance=0.0).panels
    assert "s = 0.02" in vicreg.says or "any s" in vicreg.says
    assert float(vicreg.layers[1].y.max()) == pytest.approx(0.02)
    assert "flat" in barlow.says
    assert "s = 0.00" in settles.says
