"""A folder of pictures: what is read, in which order, and what is refused by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from labkit.data import read_images


def save(path, colour, size=(8, 8), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        save(tmp_path / "pets" / "dog" / f"{number}.png", (number, 0, 200))
        save(tmp_path / "pets" / "cat" / "deeper" / f"{number}.JPG", (200, 100, number), size=(30, 12))
    (tmp_path / "pets" / "notes.txt").write_text("not a picture")
    save(tmp_path / "pets" / "cat" / ".hidden.png", (0, 0, 0))
    save(tmp_path / "pets" / "dog" / ".ipynb_checkpoints" / "0-checkpoint.png", (0, 0, 0))
    save(tmp_path / "pets" / "cat" / "deeper" / ".git" / "a" / "0.png", (0, 0, 0))
    (tmp_path / "pets" / "empty").mkdir()
    return tmp_path / "pets"


def test_subfolders_are_classes(folder):
    images = read_images(folder, size=6, test=0.4, seed=1)
    assert images.images.shape == (10, 3, 6, 6)
    assert (images.class_names, images.name) == (("cat", "dog"), "pets")
    assert images.labels.tolist() == [0] * 5 + [1] * 5
    assert images.images[5:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]  # sorted by path
    assert images.images[7, :, 3, 3].tolist() == [2, 0, 200]
    test = images.splits["test"]
    assert images.labels[test].bincount().tolist() == [2, 2]
    assert sorted(torch.cat(list(images.splits.values())).tolist()) == list(range(10))
    assert torch.equal(read_images(folder, size=6, test=0.4, seed=1).splits["test"], test)
    assert not torch.equal(read_images(folder, size=6, test=0.4, seed=2).splits["test"], test)


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "Test")])
@pytest.mark.parametrize("inside", ["", "cat"])
def test_a_folder_that_is_split_already_is_not_taken_for_classes(tmp_path, names, inside):
    for part in names:
        save(tmp_path / part / inside / "0.png", (1, 2, 3))
    with pytest.raises(ValueError, match=rf"split already \({', '.join(sorted(names))}\).*no classes"):
        read_images(tmp_path, test=0)
    assert read_images(tmp_path / names[0], test=0).class_names == ((inside,) if inside else ())


def test_pictures_side_by_side_have_no_labels(folder):
    images = read_images(folder / "dog", size=4, channels=1, test=0)
    assert images.labels is None
    assert images.images.shape == (5, 1, 4, 4)
    assert images.splits["train"].tolist() == [0, 1, 2, 3, 4]


def test_the_folder_itself_may_be_hidden(tmp_path):
    save(tmp_path / ".pets" / "0.png", (1, 2, 3))
    assert len(read_images(tmp_path / ".pets", test=0)) == 1


def test_the_middle_is_kept_and_the_camera_held_upright(tmp_path):
    wide = np.zeros((4, 12, 3), dtype=np.uint8)
    wide[:, 4:8] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert read_images(tmp_path, size=4, channels=1, test=0).images.min() == 255
    half = np.zeros((8, 8, 3), dtype=np.uint8)
    half[:, :4] = 255  # bright on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to look at it: bright on top
    Image.fromarray(half).save(tmp_path / "wide.png", exif=exif)
    turned = read_images(tmp_path, size=8, channels=1, test=0).images[0, 0]
    assert turned[:4].min() == 255
    assert turned[4:].max() == 0


def test_what_cannot_be_read_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        read_images(tmp_path / "missing")
    with pytest.raises(ValueError, match="holds no pictures"):
        read_images(folder / "empty")
    with pytest.raises(ValueError, match=r"channels must be 1 \(grey\) or 3 \(colour\), not 4"):
        read_images(folder, channels=4)
    with pytest.raises(ValueError, match="size must be at least 1"):
        read_images(folder, size=0)
    with pytest.raises(ValueError, match="test must lie between"):
        read_images(folder, test=1)
    for deep in (np.zeros((8, 8), np.uint16), np.zeros((8, 8), np.float32)):
        (tmp_path / "deep").mkdir(exist_ok=True)
        Image.fromarray(deep).save(tmp_path / "deep" / "one.tiff")
        with pytest.raises(ValueError, match="more than 8 bits a channel"):
            read_images(tmp_path / "deep", test=0)
    (folder / "dog" / "2.png").write_bytes((folder / "dog" / "2.png").read_bytes()[:40])
    with pytest.raises(ValueError, match=r"2\.png cannot be read as a picture"):
        read_images(folder)
    save(folder / "bird" / "one.png", (0, 0, 0))
    with pytest.raises(ValueError, match="bird holds one picture"):
        read_images(folder)
    save(folder / "loose.png", (0, 0, 0))
    with pytest.raises(ValueError, match="put every picture into the subfolder of its class"):
        read_images(folder)


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    save(tmp_path / "bomb.png", (0, 0, 0), size=(40, 40))
    with pytest.raises(ValueError, match=r"bomb\.png cannot be read as a picture"):
        read_images(tmp_path, test=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_transparent_shows_white(tmp_path, channels):
    """A cut-out may be black under what cannot be seen, or have its shape in nothing but its transparency."""
    picture = np.zeros((8, 8, 4), dtype=np.uint8)
    picture[2:6, 2:6, 3] = 255
    for name in ("a.png", "b.png"):
        Image.fromarray(picture, "RGBA").save(tmp_path / name)
    image = read_images(tmp_path, size=8, channels=channels).images[0]
    assert (image[:, 2:6, 2:6] == 0).all()
    assert (image[:, 0] == 255).all()


def test_a_link_back_to_the_folder_is_no_class(folder):
    (folder / "latest").symlink_to(folder)
    (folder / "cat" / "up").symlink_to(folder.parent)
    assert len(read_images(folder)) == 10


def test_a_link_to_a_picture_that_is_not_there_is_named(folder):
    (folder / "dog" / "5.png").symlink_to(folder / "not-fetched")
    with pytest.raises(ValueError, match=r"5\.png cannot be read as a picture"):
        read_images(folder)


def test_an_exif_part_that_breaks_the_reader_is_named(folder):
    exif, path = Image.Exif(), folder / "dog" / "5.jpg"
    exif[0x0112], exif[0x0213] = 6, 1
    save(path, (0, 0, 0), exif=exif)
    entry = {order: [number.to_bytes(2, order) for number in (0x0213, 3, 2)] for order in ("big", "little")}
    odd = path.read_bytes()
    for tag, number, text in entry.values():  # a number that says that it is text, as some cameras write it
        odd = odd.replace(tag + number, tag + text)
    path.write_bytes(odd)
    with pytest.raises(ValueError, match=r"5\.jpg cannot be read as a picture"):
        read_images(folder)
