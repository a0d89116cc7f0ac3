"""The grid of windows against slices and against interpolation."""

import pytest
import torch

from labkit.views import window_grid


def test_whole_shifts_are_slices_of_the_padded_image():
    images = torch.rand(2, 1, 8, 8)
    views = window_grid(images, shift=2)
    assert views.shape == (9, 2, 1, 8, 8)
    padded = torch.nn.functional.pad(images, (2,) * 4)
    expected = [padded[:, :, y : y + 8, x : x + 8] for y in (2, 0, 4) for x in (2, 0, 4)]
    torch.testing.assert_close(views, torch.stack(expected))


def test_half_a_pixel_is_a_mean_and_no_change_is_none():
    images = torch.rand(1, 1, 4, 4)
    assert (window_grid(images, shift=0) - images).abs().max() < 1e-6
    right = window_grid(images, shift=0.5)[2, 0, 0]
    torch.testing.assert_close(right[:, :3], (images[0, 0, :, :3] + images[0, 0, :, 1:]) / 2)


def test_crops_stay_inside_and_are_scaled_back():
    images = torch.rand(3, 1, 8, 8)
    views = window_grid(images, shift=0, crop=0.5)
    expected = torch.nn.functional.interpolate(images[:, :, :4, 4:], size=8, mode="bilinear", antialias=True)
    inner = slice(1, 7)  # at a window's edge ours sees the pixels beyond it
    torch.testing.assert_close(views[5][..., inner, inner], expected[..., inner, inner])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="crop must lie between"):
        window_grid(torch.rand(1, 1, 4, 4), crop=1.5)
    with pytest.raises(ValueError, match="shift must lie between 0 and 4"):
        window_grid(torch.rand(1, 1, 4, 4), shift=-1)
