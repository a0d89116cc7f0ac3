"""Class collision, the sphere, the rotation wheel: what is drawn is what the plain functions say."""

import math

import numpy as np
import pytest
import torch

from labkit.evaluate import alignment, uniformity, uniformity_floor
from labkit.explore import (
    circle_embedding,
    class_collision_lab,
    class_mixture,
    collision_curve,
    rotation_wheel,
    sphere_lab,
    two_views,
    uniformity_curve,
)
from labkit.theory import bounds, sphere


def test_collisions_follow_their_closed_form_and_the_bound_holds():
    lab = class_collision_lab().set(classes=5, negatives=2)
    z, y = class_mixture(5, 0.4, 2.0)
    curve = collision_curve(z, y).numpy()
    np.testing.assert_allclose(lab.panels[1].layers[0].y, [1 - 0.8**k for k in (1, 2, 4, 8, 16, 32, 64)], rtol=1e-9)
    np.testing.assert_allclose(lab.panels[2].layers[2].y, curve[:, 3])
    seen = np.isfinite(curve[:, 3])
    assert (curve[seen, 3] <= curve[seen, 4]).all()
    assert curve[0, 2] == pytest.approx(bounds.contrastive_losses(z, y).total, abs=0.1)
    assert f"loss {curve[2, 3]:.2f} ≤ {curve[2, 4]:.2f}" in lab.panels[2].says


def test_what_draws_cannot_tell_apart_is_called_alike():
    for classes in (2, 5, 8, 17):  # without spread loss and bound are equal for one negative
        lab = class_collision_lab().set(classes=classes, negatives=0, spread=0.0, strength=0.5)
        assert " ≈ " in lab.panels[2].says


def test_where_every_draw_collides_the_lab_says_so():
    lab = class_collision_lab().set(classes=2, negatives=6, spread=0.0)
    assert lab.panels[2].says == "no draw without collision"
    assert lab.twin() is not None


def test_the_sphere_shows_alignment_uniformity_and_both_floors():
    lab = sphere_lab().set(points=20, dim=32, concentration=0.0, noise=0.5, t=2.0)
    a, b = two_views(20, 32, 0.0, 0.5)
    assert f"L_align {alignment(a, b):.3f}" in lab.panels[0].says
    now, floor, few = uniformity(a), uniformity_floor(32), uniformity_floor(32, items=20)
    assert f"{now:.3f}; floors {floor:.3f}, {few:.3f}" in lab.panels[2].says
    curve = uniformity_curve(a)
    assert (curve[:, 1] >= curve[:, 3]).all()
    np.testing.assert_allclose(lab.panels[2].layers[0].y, curve[:, 1])


@pytest.mark.parametrize("dim", [2, 3, 8, 64])
def test_cosines_of_uniform_points_have_their_density(dim):
    s = torch.linspace(-1, 1, 20_001, dtype=torch.float64)[1:-1]
    assert torch.trapezoid(sphere.cosine_density(s, dim), s).item() == pytest.approx(1, abs=0.01)
    a, b = (sphere.concentrated_points(20_000, dim, 0.0, torch.Generator().manual_seed(i)) for i in (0, 1))
    second_moment = (a * b).sum(1).square().mean().item()
    assert second_moment == pytest.approx(1 / dim, rel=0.05)
    assert torch.trapezoid(sphere.cosine_density(s, dim) * s**2, s).item() == pytest.approx(1 / dim, rel=0.02)
    with pytest.raises(ValueError, match="dim must be at least 2"):
        sphere.cosine_density(s, 1)


def test_points_gather_around_the_first_axis():
    near = sphere.concentrated_points(500, 4, 5.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(near.norm(dim=1), torch.ones(500).double())
    assert near.mean(0)[0] > 0.9


def test_the_wheel_finds_the_turns_of_the_circle():
    lab = rotation_wheel().set(a=0.4, b=0.3, bend=0.0)
    z, a, b, ab = (circle_embedding(angle) for angle in (0.0, 0.4, 0.3, 0.7))
    found = sphere.composition(z, a, b, ab)
    assert found.error < 1e-12
    assert "left after one rotation 0.0000" in lab.panels[0].says
    angles = sphere.rotation_angles(found.first)
    assert angles[angles > 0].tolist() == pytest.approx([0.4, 0.8, 1.2], abs=1e-9)
    assert "1.20, 0.80, 0.40 rad" in lab.panels[1].says
    np.testing.assert_allclose(lab.panels[2].layers[1].x, lab.panels[2].layers[1].y, atol=1e-9)
    lab.set(bend=1.0)
    assert "left after one rotation 0.0000" not in lab.panels[0].says


def test_the_wheel_takes_an_encoder_and_refuses_what_is_none():
    lab = rotation_wheel(lambda angle: circle_embedding(angle, 0.2).float())
    assert set(lab.values) == {"a", "b"}
    assert lab.set(a=math.pi / 4).panels[0].says.startswith("moved")
    with pytest.raises(ValueError, match="items, dim"):
        rotation_wheel(lambda angle: torch.ones(3))
