"""Chromatic aberration and its mends: what they do to single pixels."""

import pytest
import torch
from torch.nn.functional import grid_sample

from labkit.views import ChromaBlur, DropColours, RandomGrayscale, chromatic_aberration


def test_channels_are_magnified_about_the_centre():
    torch.manual_seed(1)
    images = torch.rand(2, 3, 12, 10)
    seen = chromatic_aberration(images, 0.05)
    for channel, zoom in zip(range(3), (1.1, 1.05, 1.0)):
        y, x = torch.meshgrid(torch.arange(12), torch.arange(10), indexing="ij")
        grid = torch.stack([((x + 0.5) / 10 * 2 - 1) / zoom, ((y + 0.5) / 12 * 2 - 1) / zoom], -1).expand(2, -1, -1, -1)
        slow = grid_sample(images[:, channel, None], grid, align_corners=False)[:, 0]
        torch.testing.assert_close(seen[:, channel], slow, atol=1e-5, rtol=0)


def test_a_white_dot_gets_a_fringe_away_from_the_centre():
    image = torch.zeros(1, 3, 41, 41)
    image[:, :, 20, 34] = 1  # 14 pixels to the right of the centre
    seen = chromatic_aberration(image, 0.1)
    places = [(seen[0, c].sum(0) * torch.arange(41)).sum() / seen[0, c].sum() for c in range(3)]
    assert places[2] == pytest.approx(34, abs=1e-4)
    assert places[1] - 20 == pytest.approx(14 * 1.1, abs=0.1)
    assert places[0] - 20 == pytest.approx(14 * 1.2, abs=0.1)
    assert torch.equal(chromatic_aberration(image, 0), image)
    with pytest.raises(ValueError, match=r"strength must lie between 0 and 0\.5"):
        chromatic_aberration(image, 0.7)
    with pytest.raises(TypeError, match="strength must be a number, not"):
        chromatic_aberration(image, torch.tensor([0.1, 0.2]))
    with pytest.raises(TypeError, match="sigma must be a number, not"):
        ChromaBlur(torch.ones(3))
    with pytest.raises(ValueError, match="3 channels, not 1"):
        chromatic_aberration(image[:, :1], 0.1)


def test_dropped_colours_leave_one_channel_and_noise_a_hundredth_of_its_spread():
    torch.manual_seed(0)
    images = torch.rand(300, 3, 8, 8)
    seen = DropColours()(images)
    kept = (seen == images).flatten(2).all(2)
    assert (kept.sum(1) == 1).all()
    assert (kept.float().mean(0) - 1 / 3).abs().max() < 0.1
    dropped = seen.masked_select(~kept[..., None, None].expand_as(seen)).view(300, -1)
    assert (dropped.mean(1) - 0.5).abs().max() < 1e-3
    ratio = dropped.std(1) / images[kept].flatten(1).std(1, unbiased=False)
    torch.testing.assert_close(ratio, torch.full((300,), 0.01), atol=0.003, rtol=0)


def test_chroma_blur_keeps_grey_values_and_loses_colour_contrast():
    torch.manual_seed(0)
    images = 0.25 + 0.5 * torch.rand(4, 3, 16, 16)  # nothing is clamped
    seen = ChromaBlur(3.0)(images)
    grey = RandomGrayscale(1.0)
    torch.testing.assert_close(grey(seen), grey(images), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[:, :, 8, 8] - grey(seen)[:, :, 8, 8], slow_blur(images - grey(images), 3.0))
    flat = (torch.rand(1, 3, 1, 1)).expand(1, 3, 16, 16)
    torch.testing.assert_close(ChromaBlur(3.0)(flat), flat, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="sigma must be a positive"):
        ChromaBlur(0)


def slow_blur(colour, sigma):
    """The blurred value at (8, 8)."""
    weight = torch.tensor([[-((y - 8) ** 2 + (x - 8) ** 2) / (2 * sigma**2) for x in range(16)] for y in range(16)])
    weight = weight.exp() / weight.exp().sum()
    return (colour * weight).sum((2, 3))


def test_aberration_is_gone_after_either_mend():
    """The fringe of a grey edge is colour alone; blurred, little of it is left, and with one channel none."""
    image = torch.zeros(1, 3, 40, 40)
    image[:, :, :, 34:] = 0.8
    fringe = colourfulness(chromatic_aberration(image, 0.1))
    assert fringe > 0.1
    assert colourfulness(ChromaBlur(4.0)(chromatic_aberration(image, 0.1))) < fringe / 2
    seen = DropColours()(chromatic_aberration(image, 0.1))
    assert sorted((seen.amax((2, 3)) - seen.amin((2, 3)))[0].tolist())[1] < 0.05


def colourfulness(images):
    return (images - RandomGrayscale(1.0)(images)).abs().max().item()
