"""The view lab for images: what is drawn is what the views and the encoder say."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from labkit.data import world
from labkit.explore import chosen_view, image_view_lab

STILL = {"crop": 1.0, "colour": 0.0, "grey": 0.0, "blur": 0.0, "noise": 0.0}


@pytest.fixture(scope="module")
def images():
    return world.render(world.sample(40, 0, objects=(1, 1)), 16)["image"]


def embed(pictures):
    return pictures.float().mean((2, 3)) ** 2


@pytest.fixture
def lab(images):
    return image_view_lab(images, torch.arange(40) % 3, ["cat", "dog", "bird"], embed)


def test_without_strength_a_view_is_the_image(lab):
    pictures, where, alike = lab.set(image=7, **STILL).panels
    assert pictures.says == "image 7, dog; a pixel changes by 0.00 on average"
    assert where.says == "the image itself is nearest for 32 of 32 views"
    assert alike.says.startswith("mean cosine: views 1.00")
    sheet = pictures.layers[0].values
    np.testing.assert_array_equal(sheet[18:, :16], sheet[18:, 18:])  # both views, below
    np.testing.assert_array_equal(sheet[:16, 9:25], sheet[18:, :16])  # and the image, above
    np.testing.assert_allclose(where.layers[3].x, where.layers[4].x.repeat(2), atol=1e-5)


def test_numbers_are_those_of_the_whole_space(lab, images):
    settings = {"crop": 0.3, "colour": 0.8, "grey": 0.5, "blur": 1.0, "noise": 0.1}
    _, where, alike = lab.set(image=3, draw=5, **settings).panels
    floats = images.float() / 255
    views = chosen_view((16, 16), **settings)(floats[3].expand(32, -1, -1, -1), torch.Generator().manual_seed(5))
    z, all_of_them = (normalize(embed(x) - embed(floats).mean(0), dim=1) for x in (views, floats))
    nearest = sum(int((all_of_them @ row).argmax()) == 3 for row in z)
    assert where.says == f"the image itself is nearest for {nearest} of 32 views"
    cosines = [float(z[i] @ z[j]) for i in range(32) for j in range(i)]
    assert f"views {np.mean(cosines):.2f}" in alike.says
    counts = np.histogram(cosines, np.linspace(-1, 1, 41))[0]
    np.testing.assert_allclose(alike.layers[1].y, counts / counts.sum(), atol=0.005)
    assert sum(alike.layers[0].y) == pytest.approx(1)


def test_the_same_draw_is_the_same_view_and_the_browser_gets_its_pixels(lab):
    first = lab.set(draw=3, noise=0.2).panels[0].layers[0].values
    assert not np.array_equal(lab.set(draw=4).panels[0].layers[0].values, first)
    again = lab.set(draw=3)
    np.testing.assert_array_equal(again.panels[0].layers[0].values, first)
    sent = again.figure.data[0].source.removeprefix("data:image/png;base64,")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sent))))
    np.testing.assert_array_equal(pixels[::-1], first)  # plotly draws the first row lowest


def test_grey_images_without_labels_or_encoder_and_a_picture_with_words():
    grey = torch.rand(5, 1, 8, 12, generator=torch.Generator().manual_seed(0))
    lab = image_view_lab(grey).set(image=4, **STILL)
    assert lab.panels[0].layers[0].values.shape == (18, 26, 3)
    assert lab.panels[1].says == "the image itself is nearest for 32 of 32 views"
    data, metadata = lab._repr_mimebundle_()
    assert data["image/png"].startswith(b"\x89PNG")
    assert len(data["image/png"]) < 150_000
    assert metadata["image/png"]["alt"].startswith("Views of an image, at smallest crop 1")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": torch.rand(2, 3, 8, 8)}, "3 to 2000 images, not 2"),
        ({"images": 2 * torch.ones(4, 3, 8, 8)}, r"must lie in \[0, 1\]"),
        ({"labels": torch.zeros(3)}, r"labels must hold one class for each of the 4 items"),
        ({"class_names": ()}, "class_names has 0 names, but labels go from 0 to 0"),
        ({"embed": lambda x: x}, r"embed\(images\) must have shape \[items, dim\]"),
        ({"embed": lambda x: x.flatten(1)[:1]}, "a row for each of the 4 images, not 1"),
        ({"embed": lambda x: x.flatten(1) / 0}, r"embed\(images\) holds NaN"),
    ],
)
def test_what_can_not_be_shown_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        image_view_lab(**{"images": torch.rand(4, 3, 8, 8)} | change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 8}, "size must be a sequence of 2"),
        ({"size": (8, 0)}, "size must be a height and a width of at least a pixel"),
        ({"crop": 0.0}, "crop must lie between"),
        ({"colour": 2.0}, "colour must lie between 0 and 1, not 2"),
        ({"blur": float("inf")}, "blur must be finite"),
        ({"noise": -0.1}, "noise must lie between 0 and 10"),
    ],
)
def test_strengths_out_of_range_are_named(change, says):
    with pytest.raises((ValueError, TypeError), match=says):
        chosen_view(**{"size": (8, 8), "crop": 0.5, "colour": 0.5, "grey": 0.5, "blur": 1.0, "noise": 0.1} | change)
