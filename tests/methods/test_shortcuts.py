"""Readers of shortcuts: they find what is planted, and nothing where nothing is."""

from functools import partial

import pytest
import torch

from labkit.methods import RelativePosition, read_borders, read_fringes
from labkit.views import ChromaBlur, DropColours, chromatic_aberration


def right(reader, question, images):
    torch.manual_seed(0)
    pieces, answers = question(images)
    return (reader(pieces) == answers).double().mean().item()


def smooth(n=400, side=30):
    """Coloured noise that changes slowly: neighbours look alike, far pixels do not."""
    coarse = torch.rand(n, 3, 7, 7)
    return torch.nn.functional.interpolate(coarse, side, mode="bicubic", antialias=True).clamp(0, 1)


def test_borders_tell_where_touching_patches_lie():
    images = smooth()
    touching = right(read_borders, RelativePosition(8), images)
    apart = right(read_borders, RelativePosition(6, gap=4, jitter=1), images)
    assert touching > 0.8
    assert apart < touching - 0.3


def test_the_border_of_least_step_wins():
    """A ramp that runs on through the left border alone."""
    down = torch.arange(4.0)[:, None] / 10
    first, second = (torch.linspace(low, high, 4) + down for low, high in ((0.5, 1), (-0.2, 0.5)))
    first, second = first[None], second[None]
    assert read_borders(torch.stack([first, second])[None]).tolist() == [3]  # left of the first patch
    assert read_borders(torch.stack([second, first])[None]).tolist() == [4]


def test_fringes_tell_where_a_lens_bent_the_light_and_nothing_without_it():
    grey = torch.nn.functional.interpolate(torch.rand(400, 1, 16, 16), 40, mode="bicubic", antialias=True)
    images = grey.clamp(0, 1).expand(-1, 3, -1, -1)
    lens = partial(chromatic_aberration, strength=0.05)
    ask = partial(RelativePosition, 10, gap=2, jitter=1)
    seen = right(read_fringes, ask(image_view=lens), images)
    assert seen > 0.6
    assert right(read_fringes, ask(), images) < 0.2
    dropped = right(read_fringes, ask(image_view=lens, patch_view=DropColours()), images)
    assert dropped < 0.2
    assert right(read_fringes, ask(image_view=lens, patch_view=ChromaBlur(4.0)), images) < seen - 0.1


def test_bad_input_is_named():
    for read in (read_borders, read_fringes):
        with pytest.raises(ValueError, match=r"pieces must be .* tensor \[asked, 2, channels, side, side\]"):
            read(torch.rand(4, 3, 3, 8, 8))
        with pytest.raises(ValueError, match="pieces must have a channel and a side of 3 pixels or more"):
            read(torch.rand(4, 2, 3, 2, 2))
        with pytest.raises(ValueError, match="pieces holds NaN"):
            read(torch.full((4, 2, 3, 8, 8), torch.nan))
        with pytest.raises(TypeError, match=r"pieces must be a floating-point tensor .*, not None"):
            read(None)
    with pytest.raises(ValueError, match="three channels, in which fringes are seen, not 1"):
        read_fringes(torch.rand(4, 2, 1, 8, 8))
