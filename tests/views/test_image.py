"""What every image view promises, how views are composed, and what they refuse."""

import subprocess
import sys

import pytest
import torch
from draws import photos, seeded

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
    shift,
    simclr,
)

RANDOM = [
    RandomResizedCrop(12),
    RandomResizedCrop((7, 9), scale=(0.1, 0.5)),
    RandomHorizontalFlip(),
    ColorJitter(),
    ColorJitter(0, 0.8, 0, 0),
    RandomGrayscale(0.5),
    RandomInvert(),
    RandomSolarize(p=0.5),
    GaussianBlur(),
    GaussianNoise(0.2),
    simclr(12, blur=0.5),
    Compose([RandomResizedCrop(12), RandomInvert(), GaussianNoise(0.1), Normalize(0.5, 0.25)]),
]
IDENTITY = [
    RandomResizedCrop((10, 13), scale=(1, 1), ratio=(1.3, 1.3)),
    RandomHorizontalFlip(0),
    ColorJitter(0, 0, 0, 0, p=1),
    ColorJitter(1, 1, 1, 0.5, p=0),
    RandomGrayscale(0),
    RandomInvert(0),
    RandomSolarize(p=0),
    GaussianBlur(p=0),
    GaussianNoise(0),
    Normalize(0, 1),
]


def name(view) -> str:
    return type(view).__name__


# What every view promises


@pytest.mark.parametrize("view", IDENTITY, ids=name)
@pytest.mark.parametrize("channels", [1, 3])
def test_parameters_that_change_nothing_give_the_image_back(view, channels):
    images = photos(channels=channels)
    torch.testing.assert_close(view(images), images / 255, rtol=0, atol=1e-6)


@pytest.mark.parametrize("view", RANDOM, ids=name)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_has_a_draw_of_its_own(view, channels):
    if isinstance(view, RandomGrayscale) and channels == 1:
        pytest.skip("one channel is grey already")
    same = photos(1, channels).expand(32, -1, -1, -1)
    views = view(same, seeded())
    assert len(views.flatten(1).unique(dim=0)) > 1
    assert not torch.equal(views, view(same, seeded(1)))


@pytest.mark.parametrize("view", RANDOM, ids=name)
def test_the_same_seed_gives_the_same_bits(view):
    images = photos()
    assert torch.equal(view(images, seeded(3)), view(images, seeded(3)))
    torch.manual_seed(5)
    first = view(images)
    torch.manual_seed(5)
    assert torch.equal(first, view(images))


@pytest.mark.parametrize("view", RANDOM[:-1], ids=name)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("images", ["photo", "black", "white", "pixel"])
def test_values_stay_in_the_unit_range(view, channels, images):
    images = {
        "photo": photos(64, channels),
        "black": torch.zeros(64, channels, 10, 13),
        "white": torch.ones(64, channels, 10, 13),
        "pixel": torch.rand(64, channels, 1, 1, generator=seeded()),
    }[images]
    views = view(images, seeded())
    assert views.dtype == torch.float32
    assert views.shape[:2] == (64, channels)
    assert views.isfinite().all()
    assert 0 <= views.min() <= views.max() <= 1


@pytest.mark.parametrize("view", RANDOM, ids=name)
def test_bytes_floats_and_strides_agree(view):
    images = photos()
    want = view(images, seeded())
    before = images.clone()
    torch.testing.assert_close(view(images / 255, seeded()), want, rtol=0, atol=1e-6)
    strided = images.permute(3, 0, 2, 1).contiguous().permute(1, 3, 2, 0)
    assert not strided.is_contiguous()
    torch.testing.assert_close(view(strided, seeded()), want, rtol=0, atol=1e-6)
    torch.testing.assert_close(view(images.double() / 255, seeded()), want.double(), rtol=0, atol=1e-5)
    assert view(images.half() / 255, seeded()).dtype == torch.float32
    assert torch.equal(images, before)


@pytest.mark.parametrize("view", RANDOM, ids=name)
def test_a_repr_makes_the_view_again(view):
    again = eval(repr(view))
    assert repr(again) == repr(view)
    assert torch.equal(again(photos(), seeded()), view(photos(), seeded()))


def test_autocast_does_not_coarsen_views():
    view, images = simclr(12, blur=0.5), photos()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = view(images, seeded())
    assert torch.equal(inside, view(images, seeded()))


@pytest.mark.gpu
@pytest.mark.parametrize("view", RANDOM, ids=name)
def test_a_cpu_seed_gives_the_same_views_on_a_gpu(view):
    images = photos(64)
    torch.testing.assert_close(view(images.cuda(), seeded()).cpu(), view(images, seeded()), rtol=0, atol=1e-5)


# Recipe and composition


def test_simclr_is_the_recipe_of_the_paper():
    assert simclr(32).views == (
        RandomResizedCrop(32, scale=(0.08, 1.0)),
        RandomHorizontalFlip(0.5),
        ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        RandomGrayscale(0.2),
    )
    assert simclr(224, strength=1, blur=0.5).views[2:] == (
        ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        RandomGrayscale(0.2),
        GaussianBlur((0.1, 2.0), p=0.5),
    )


def test_compose_takes_a_function_and_opens_a_compose():
    seen = []

    def halve(images, generator):
        seen.append(generator)
        return images / 2

    images, generator = photos(), seeded()
    inner = Compose([RandomHorizontalFlip(1), halve])
    outer = Compose([inner, RandomInvert(1)])
    assert len(outer.views) == 3
    want = 1 - images.flip(-1) / 255 / 2
    torch.testing.assert_close(outer(images, generator), want, rtol=0, atol=1e-6)
    assert seen == [generator]


# Refusals

GOOD = torch.rand(2, 3, 8, 8)


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (GOOD[0], r"\[items, channels, height, width\], not \[3, 8, 8\]; use images\[None\]"),
        (GOOD[:0], "images is empty"),
        (torch.rand(2, 3, 0, 8), "images is empty"),
        (torch.where(torch.arange(8) == 3, float("nan"), GOOD), "hold NaN"),
        (GOOD * 255, r"must lie in \[0, 1\]"),
        (GOOD - 0.5, r"must lie in \[0, 1\]"),
        (GOOD / 0, r"must lie in \[0, 1\]"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "not torch.int64"),
        (torch.zeros(2, 3, 8, 8, device="meta"), "images must be a torch tensor, not .* on the meta device"),
        ([[0.0]], r"images must be a torch tensor, not \[\[0.0\]\] \(list\)"),
    ],
)
@pytest.mark.parametrize("view", [RandomHorizontalFlip(), simclr(8)], ids=name)
def test_images_that_are_none_are_refused_in_a_sentence(view, images, says):
    with pytest.raises((ValueError, TypeError), match=says):
        view(images)


@pytest.mark.parametrize("view", [ColorJitter(), RandomGrayscale()], ids=name)
def test_colours_need_one_or_three_channels(view):
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        view(torch.rand(2, 2, 8, 8))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RandomResizedCrop(0), "size must be"),
        (lambda: RandomResizedCrop((3, 4, 5)), "size must be"),
        (lambda: RandomResizedCrop(8, scale=(0, 1)), "scale must be"),
        (lambda: RandomResizedCrop(8, scale=(0.5, 1.5)), "scale must lie between"),
        (lambda: RandomResizedCrop(8, ratio=(2, 1)), "ratio must be"),
        (lambda: RandomHorizontalFlip(1.5), "p must lie between"),
        (lambda: ColorJitter(brightness=-0.1), "brightness must lie between"),
        (lambda: ColorJitter(hue=0.6), "hue must lie between"),
        (lambda: GaussianBlur(sigma=(0, 1)), "sigma must be"),
        (lambda: GaussianNoise(float("nan")), "std must be a number"),
        (lambda: Normalize(0.5, 0), "std must be positive"),
        (lambda: Normalize((0.1, 0.2), 1)(GOOD), "mean must be one number or 3"),
        (lambda: simclr(32, strength=-1), "strength must lie between"),
        (lambda: Compose([]), "views is empty"),
        (lambda: Compose([Normalize(0, 1), RandomInvert()]), "must come last"),
        (lambda: Compose([Compose([Normalize(0, 1)]), simclr(8)]), "must come last"),
    ],
)
def test_settings_out_of_range_are_refused_in_a_sentence(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_shift_moves_whole_images_and_lets_black_in():
    images = torch.rand(50, 2, 5, 6)
    moved = shift(images, 2, torch.Generator().manual_seed(0))
    around = torch.nn.functional.pad(images, (2, 2, 2, 2))
    offsets = set()
    for before, after in zip(around, moved):
        found = [(y, x) for y in range(5) for x in range(5) if torch.equal(before[:, y : y + 5, x : x + 6], after)]
        assert len(found) == 1
        offsets |= set(found)
    assert len(offsets) > 15  # of 25
    assert torch.equal(shift(images, 2, torch.Generator().manual_seed(0)), moved)
    assert torch.equal(shift(images, 0), images)
    with pytest.raises(ValueError, match="pixels must be a whole number"):
        shift(images, -1)


COMPILED = """
import torch
from labkit.views import simclr

view, images = simclr(24, blur=0.5), torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8)
compiled = torch.compile(view, backend="aot_eager", fullgraph=True)
torch.manual_seed(3)
found = compiled(images)
torch.manual_seed(3)
torch.testing.assert_close(found, view(images))
"""


def test_compiled_views_are_one_graph_and_the_same():
    # In a process of its own: checked annotations, which tests run with, can't be compiled.
    subprocess.run([sys.executable, "-W", "ignore", "-c", COMPILED], check=True, capture_output=True, timeout=300)
