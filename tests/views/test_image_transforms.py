"""Each image transform against a slow reference written out image by image: geometry, colour, filters."""

import math

import pytest
import torch
from draws import photos, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from labkit.views import (
    ColorJitter,
    Compose,
    GaussianBlur,
    GaussianNoise,
    Normalize,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomInvert,
    RandomResizedCrop,
    RandomSolarize,
)

LUMA = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)


# Geometry


def windows_seen(view, items: int, height: int, width: int):
    """(top, bottom, left, right) in pixels, read off what the view does to the ramps x/width and y/height.

    ``view`` has to enlarge. The fit uses the inner pixels: those at the border lack a neighbour to mix with.
    """
    y = (torch.arange(height, dtype=torch.float64) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    ramps = torch.stack([y[:, None].expand(height, width), x.expand(height, width)])
    seen = view(ramps.expand(items, -1, -1, -1), seeded())
    ends = []
    for line, size in ((seen[:, 0].mean(2), height), (seen[:, 1].mean(1), width)):
        inner = line[:, 4:-4]
        step = (inner[:, -1] - inner[:, 0]) / (inner.shape[1] - 1)
        near = inner[:, 0] - 4.5 * step
        ends += [near * size, (near + step * line.shape[1]) * size]
    return ends


@pytest.mark.parametrize(("height", "width"), [(64, 64), (56, 72)])
def test_crops_cover_the_areas_ratios_and_places_asked_for(height, width):
    view = RandomResizedCrop(96, scale=(0.3, 0.6), ratio=(0.8, 1.25))
    top, bottom, left, right = windows_seen(view, 2000, height, width)
    area = (bottom - top) * (right - left) / (height * width)
    ratio = (right - left) / (bottom - top)
    slack = 1e-4
    assert 0.3 - slack <= area.min() < 0.31
    assert 0.59 < area.max() <= 0.6 + slack
    assert abs(area.mean() - 0.45) < 0.01
    assert 0.8 - slack <= ratio.min() < 0.82
    assert 1.2 < ratio.max() <= 1.25 + slack
    assert abs(ratio.log().mean()) < 0.01
    for near, far, size in ((top, bottom, height), (left, right, width)):
        assert near.min() >= -slack
        assert far.max() <= size + slack
        place = near / (size - (far - near))  # uniform in [0, 1]
        assert abs(place.mean() - 0.5) < 0.03
        assert abs(place.std() - math.sqrt(1 / 12)) < 0.02


@pytest.mark.parametrize(("ratio", "window"), [((2, 3), (15, 45, 0, 60)), ((1 / 3, 1 / 2), (0, 60, 15, 45))])
@pytest.mark.parametrize("times", [(1, 1), (1, 1.2), (1.2, 1)])
def test_a_crop_that_never_fits_is_the_largest_central_one(ratio, window, times):
    height, width = (round(60 * more) for more in times)
    ratio = [r * width / height for r in ratio]
    found = torch.stack(windows_seen(RandomResizedCrop(96, scale=(1, 1), ratio=ratio), 4, height, width))
    expected = torch.tensor(window).view(2, 2) * torch.tensor(times)[:, None]
    torch.testing.assert_close(found, expected.double().view(4, 1).expand(4, 4), rtol=0, atol=1e-3)


def test_a_crop_after_a_crop_sees_the_size_that_the_first_one_leaves():
    whole, quarter = (RandomResizedCrop(size, scale=(s, s), ratio=(1, 1)) for size, s in (((40, 80), 1), (96, 0.25)))
    top, bottom, left, right = windows_seen(Compose([whole, quarter]), 50, 64, 64)
    torch.testing.assert_close(bottom - top, torch.full_like(top, 64 * 0.5**0.5), rtol=0, atol=1e-3)
    torch.testing.assert_close(right - left, torch.full_like(top, 32 * 0.5**0.5), rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(20, 26), (5, 6), (10, 4), (13, 13)])
def test_resizing_agrees_with_interpolate(size):
    images = photos()
    whole = RandomResizedCrop(size, scale=(1, 1), ratio=(1.3, 1.3))
    want = interpolate(images / 255, size, mode="bilinear", antialias=True, align_corners=False)
    torch.testing.assert_close(whole(images), want, rtol=0, atol=1e-5)


def test_a_crop_reads_bilinearly_through_its_window():
    height, width, size = 16, 20, 24  # enlarging: every output is a mix of at most four pixels
    view = RandomResizedCrop(size, scale=(0.3, 0.8), ratio=(0.9, 1.1))
    top, bottom, left, right = windows_seen(view, 5, height, width)
    image = torch.rand(height, width, generator=seeded(7), dtype=torch.float64)
    ramps_alike = image.expand(5, 2, height, width)
    views = view(ramps_alike, seeded())[:, 0]

    def pixel(y, x):
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        return float(image[y, x])

    for n in range(5):
        for i in range(0, size, 5):
            for j in range(0, size, 5):
                y = float(top[n] + (bottom - top)[n] * (i + 0.5) / size) - 0.5
                x = float(left[n] + (right - left)[n] * (j + 0.5) / size) - 0.5
                y0, x0 = math.floor(y), math.floor(x)
                v, u = y - y0, x - x0
                want = (1 - v) * ((1 - u) * pixel(y0, x0) + u * pixel(y0, x0 + 1))
                want += v * ((1 - u) * pixel(y0 + 1, x0) + u * pixel(y0 + 1, x0 + 1))
                assert abs(float(views[n, i, j]) - want) < 1e-4


def test_flips_mirror_about_half_of_the_images():
    images = photos(400)
    flipped = RandomHorizontalFlip(0.5)(images, seeded())
    want, mirrored = images / 255, images.flip(-1) / 255
    kept = (flipped - want).abs().amax((1, 2, 3)) < 1e-6
    turned = (flipped - mirrored).abs().amax((1, 2, 3)) < 1e-6
    assert (kept ^ turned).all()
    assert 150 < int(turned.sum()) < 250
    torch.testing.assert_close(RandomHorizontalFlip(1)(images), mirrored, rtol=0, atol=1e-6)


def test_a_crop_and_a_flip_in_one_resampling_are_the_two_in_turn():
    images = photos(32, height=16, width=16)
    crop, flip = RandomResizedCrop(16), RandomHorizontalFlip()
    for pair in ([crop, flip], [flip, crop]):
        generator, images_in_turn = seeded(), images
        for view in pair:
            images_in_turn = view(images_in_turn, generator)
        torch.testing.assert_close(Compose(pair)(images, seeded()), images_in_turn, rtol=0, atol=1e-5)


# Colour


def grey(image):
    """[1, height, width] of a [channels, height, width] image."""
    return image if len(image) == 1 else (LUMA[:, None, None] * image).sum(0, keepdim=True)


def turn_hue(image, turn):
    """Rotate I and Q of every pixel by ``turn`` of the circle; red goes towards yellow and green."""
    if len(image) == 1:
        return image
    yiq = torch.tensor(
        [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
    ).double()
    y, i, q = torch.einsum("kc,chw->khw", yiq, image)
    c, s = math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn)
    turned = torch.stack([y, c * i + s * q, c * q - s * i])
    return torch.einsum("kc,chw->khw", yiq.inverse(), turned)


def jitter_one(image, brightness, contrast, saturation, turn):
    """torchvision's steps one after the other, without its clamping in between."""
    image = brightness * image
    image = contrast * image + (1 - contrast) * grey(image).mean()
    image = saturation * image + (1 - saturation) * grey(image)
    return turn_hue(image, turn)


@settings(deadline=None, max_examples=25)
@given(
    strength=st.tuples(*[st.floats(0, 1.5)] * 3, st.floats(0, 0.5)),
    p=st.sampled_from([0.0, 0.5, 1.0]),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_jitter_is_its_four_steps_image_by_image(strength, p, channels, seed):
    images = photos(5, channels).double() / 255
    views = ColorJitter(*strength, p=p)(images, seeded(seed))
    draws = torch.rand(5, 5, generator=seeded(seed))
    for image, view, draw in zip(images, views, draws.tolist()):
        want = image
        if draw[0] < p:
            factors = [max(0, 1 + x * (2 * d - 1)) for x, d in zip(strength[:3], draw[1:4])]
            want = jitter_one(image, *factors, strength[3] * (2 * draw[4] - 1))
        torch.testing.assert_close(view, want.clamp(0, 1), rtol=0, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_each_factor_alone_does_what_its_name_says(channels):
    images = photos(200, channels).double() / 255 * 0.2 + 0.4  # nothing gets near 0 or 1

    def greys(batch):
        return torch.stack([grey(image) for image in batch])

    def means(batch):
        return greys(batch).mean((1, 2, 3))

    brighter = ColorJitter(0.2, 0, 0, 0, p=1)(images, seeded())
    factor = means(brighter) / means(images)
    assert 0.8 <= factor.min() < 0.83
    assert 1.17 < factor.max() <= 1.2
    torch.testing.assert_close(brighter, factor[:, None, None, None] * images, rtol=0, atol=1e-6)

    starker = ColorJitter(0, 0.3, 0, 0, p=1)(images, seeded())
    torch.testing.assert_close(means(starker), means(images), rtol=0, atol=1e-6)
    factor = starker.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.7 < factor.min() < 0.9
    assert 1.1 < factor.max() < 1.3

    for view in (ColorJitter(0, 0, 0.5, 0, p=1), ColorJitter(0, 0, 0, 0.5, p=1), RandomGrayscale(1)):
        coloured = view(images, seeded())
        torch.testing.assert_close(greys(coloured), greys(images), rtol=0, atol=1e-5)
        changed = (coloured - images).abs().amax((1, 2, 3)) > 1e-3
        assert changed.float().mean() > 0.9 if channels == 3 else not changed.any()


def test_hue_turns_red_towards_green_and_back():
    red = torch.tensor([0.6, 0.2, 0.2]).view(1, 3, 1, 1).expand(500, -1, -1, -1)
    turned = ColorJitter(0, 0, 0, 0.4, p=1)(red, seeded()).flatten(1)
    turn = 0.4 * (2 * torch.rand(500, 5, generator=seeded())[:, 4] - 1)
    third = (turn - 1 / 3).abs() < 0.05
    assert third.any()
    assert (turned[third].argmax(1) == 1).all()
    third = (turn + 1 / 3).abs() < 0.05
    assert (turned[third].argmax(1) == 2).all()


def test_greyscale_and_inversion_change_the_share_of_images_they_should():
    images = photos(1000)
    grey_views = RandomGrayscale(0.3)(images, seeded())
    greyed = (grey_views[:, 0] - grey_views[:, 1]).abs().amax((1, 2)) < 1e-6
    assert 250 < int(greyed.sum()) < 350
    want = torch.stack([grey(image) for image in images.double() / 255]).float()
    torch.testing.assert_close(grey_views[greyed], want[greyed].expand(-1, 3, -1, -1), rtol=0, atol=1e-5)
    inverted = RandomInvert(0.5)(images, seeded())
    negative = (inverted - (1 - images / 255)).abs().amax((1, 2, 3)) < 1e-6
    assert 430 < int(negative.sum()) < 570
    torch.testing.assert_close(inverted[~negative], images[~negative] / 255, rtol=0, atol=1e-6)


def test_colour_maps_merge_into_the_maps_in_turn():
    images = photos(64).double() / 255 * 0.1 + 0.45  # far from the ends, where merging would skip a clamp
    colours = [ColorJitter(0.2, 0.3, 0.3, 0.1), RandomInvert(), RandomGrayscale(), ColorJitter(0, 0.4, 0, 0)]
    generator, in_turn = seeded(), images
    for view in colours:
        in_turn = view(in_turn, generator)
    torch.testing.assert_close(Compose(colours)(images, seeded()), in_turn, rtol=0, atol=1e-6)


# Filters


def test_blur_is_a_normalised_gaussian_about_each_pixel():
    images = photos(8, 1).double() / 255
    views = GaussianBlur((0.3, 2.0), p=0.6)(images, seeded())
    draws = torch.rand(8, 2, generator=seeded()).double()
    y, x = torch.meshgrid(torch.arange(10.0), torch.arange(13.0), indexing="ij")
    for image, view, (chosen, where) in zip(images, views, draws.tolist()):
        sigma = 0.3 + where * 1.7
        for i, j in ((0, 0), (4, 6), (9, 12), (3, 0)):
            kernel = torch.exp(-((y - i) ** 2 + (x - j) ** 2).double() / (2 * sigma**2))
            blurred = (kernel * image[0]).sum() / kernel.sum()
            want = blurred if chosen < 0.6 else image[0, i, j]
            assert abs(float(view[0, i, j] - want)) < 1e-6


def test_blur_leaves_a_constant_image_alone():
    constant = torch.full((16, 3, 9, 9), 0.37)
    torch.testing.assert_close(GaussianBlur(p=1)(constant), constant, rtol=0, atol=1e-6)


def test_noise_has_the_standard_deviation_asked_for():
    noisy = GaussianNoise(0.1)(torch.full((50, 3, 20, 20), 0.5), seeded()) - 0.5
    assert abs(float(noisy.std()) - 0.1) < 2e-3
    assert abs(float(noisy.mean())) < 2e-3


def test_solarize_inverts_only_what_is_bright():
    images = photos().float() / 255
    want = torch.where(images >= 0.7, 1 - images, images)
    torch.testing.assert_close(RandomSolarize(0.7, p=1)(images), want, rtol=0, atol=1e-6)
    assert (RandomSolarize(0.75, p=1)(torch.full((1, 1, 2, 2), 0.75)) == 0.25).all()  # what lies at it counts


def test_normalize_uses_one_number_or_one_a_channel():
    images = photos()
    want = (images / 255 - torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)) / 0.5
    torch.testing.assert_close(Normalize((0.1, 0.2, 0.3), 0.5)(images), want, rtol=0, atol=1e-6)
