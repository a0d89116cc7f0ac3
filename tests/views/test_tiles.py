"""Tiles against slices written out one by one."""

import pytest
import torch

from labkit.views import tiles


def test_a_block_that_fills_the_image_is_its_tiles_in_reading_order():
    images = torch.randint(0, 256, (3, 2, 9, 9), dtype=torch.uint8)
    cut = tiles(images, size=3)
    assert cut.shape == (3, 9, 2, 3, 3)
    for place in range(9):
        y, x = 3 * (place // 3), 3 * (place % 3)
        torch.testing.assert_close(cut[:, place], images[:, :, y : y + 3, x : x + 3].float() / 255)


def position(cut, width):
    """Row and column of the first pixel of each tile, of images that hold the number of each pixel."""
    number = (cut[:, :, 0, 0, 0] * 1e4).round().long()
    return number // width, number % width


def numbered(n, height, width):
    return (torch.arange(height * width).view(1, 1, height, width) / 1e4).repeat(n, 1, 1, 1)


def test_tiles_are_whole_cuts_with_gap_jitter_and_every_place_of_the_block():
    images = numbered(4000, 16, 17)
    cut = tiles(images, size=3, gap=2, jitter=1)  # a block of 9 + 4 + 2 = 15
    row, column = position(cut, 17)
    for i in (0, 1, 2):
        for place in range(9):
            y, x = int(row[i, place]), int(column[i, place])
            assert torch.equal(cut[i, place], images[i, :, y : y + 3, x : x + 3])
    assert row.min() == 0
    assert column.min() == 0
    assert row.max() == 13
    assert column.max() == 14
    down = row[:, 3] - row[:, 0]  # five pixels apart, each moved by -1, 0 or 1: a triangle from 3 to 7
    share = torch.stack([(down == step).float().mean() for step in range(3, 8)])
    torch.testing.assert_close(share, torch.tensor([1, 2, 3, 2, 1]) / 9, atol=0.03, rtol=0)
    assert (row[:, 0] != row[:, 1]).any()
    assert (row[0] != row[1]).any()


def test_yoked_tiles_keep_their_distances():
    row, column = position(tiles(numbered(200, 20, 20), size=4, gap=1, jitter=2, yoked=True), 20)
    assert ((row[:, 8] - row[:, 0]) == 10).all()
    assert ((column[:, 8] - column[:, 0]) == 10).all()
    assert len(row[:, 0].unique()) == 20 - 14 + 1  # the block moves as far as all its tiles may


def test_a_generator_decides_and_bad_input_is_named():
    images = numbered(5, 16, 16)
    one, other = (tiles(images, 3, 1, 1, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="tiles of 5 pixels with gap=1 and jitter=0 need 17 × 17 pixels, but images"):
        tiles(images, size=5, gap=1)
    with pytest.raises(ValueError, match="gap must be at least 0, not -1"):
        tiles(images, size=3, gap=-1)
    with pytest.raises(ValueError, match="size must be at least 1, not 0"):
        tiles(images, size=0)
    with pytest.raises(TypeError, match=r"grid must be a whole number of 64 bits, not 2\.5"):
        tiles(images, size=3, grid=2.5)
    with pytest.raises(ValueError, match="images must have shape"):
        tiles(images[0], size=3)
