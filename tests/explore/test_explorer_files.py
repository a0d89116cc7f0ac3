"""What one leaves the Explorer with: pictures, tables, pages of their own."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from explorers import Y, Z
from torch import nn

from labkit.explore import _wiring, explore

RNG = np.random.default_rng(0)


class Tiny(nn.Module):
    """An encoder that looks at the mean of each quarter, and a view that adds a little noise."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.AvgPool2d(4), nn.Flatten())

    def view(self, images):
        return images.float() / 255 + 0.01 * torch.randn(images.shape)


def test_views_of_the_clicked_image_stay_near_it():
    method = Tiny()
    images = torch.randint(0, 256, (80, 1, 8, 8), dtype=torch.uint8)
    z = method.encoder(images.float() / 255)
    run = SimpleNamespace(snapshots={3: z}, history={"loss": [1.0] * 3}, method=method)
    state = torch.get_rng_state()
    explorer = explore(run, images=images)
    explorer.focus(5)
    explorer.wait()
    assert explorer._notice == ""
    star = explorer._star
    assert star["row"] == 5
    assert "8 augmented views" in star["text"]
    assert re.search(r"nearer than \*\*(99|100)%\*\*", star["text"])
    xy = np.frombuffer(star["left"], np.float32).reshape(8, 2)
    spread = explorer.projection.std()
    assert np.linalg.norm(xy - explorer.projection[5], axis=1).max() < 0.2 * spread
    assert len(star["pixels"]) == 8 * 8 * 8
    assert torch.equal(state, torch.get_rng_state())  # the user's own randomness goes on undisturbed


@pytest.mark.parametrize(
    ("images", "size"),
    [
        (np.zeros((150, 8, 8), np.uint8), (8, 8, 1)),
        (np.zeros((150, 3, 8, 8), np.float32), (8, 8, 3)),
        (np.zeros((150, 20, 10, 3)), (10, 20, 3)),
        (torch.zeros(150, 1, 256, 128), (32, 64, 1)),
    ],
)
def test_thumbnails_of_every_layout(images, size):
    sheet = explore(Z, images=images)._data["sheet"]
    assert (sheet["width"], sheet["height"], sheet["channels"]) == size
    assert len(sheet["pixels"]) == 150 * size[0] * size[1] * size[2]


def test_thumbnails_show_the_image_of_their_row_also_when_rows_are_left_out():
    images = np.arange(150, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    z = Z.copy()
    z[10] = np.nan
    sheet = np.frombuffer(explore(z, images=images)._data["sheet"]["pixels"], np.uint8).reshape(149, 16)
    np.testing.assert_array_equal(sheet[:, 0], np.delete(np.arange(150), 10))


def test_many_pictures_are_sent_when_asked_for(monkeypatch):
    images = RNG.integers(0, 256, (150, 3, 200, 200), dtype=np.uint8)
    explorer = explore(Z, images=images, texts=[f"item {i}" for i in range(150)])
    sent = []
    monkeypatch.setattr(explorer, "send", lambda message, buffers: sent.append((message, buffers)))
    monkeypatch.setattr("labkit.explore._pictures._SHEET", 10)
    assert "pixels" not in explorer._sources.pictures.sheet(explorer.rows)
    explorer._on_message(None, {"do": "items", "rows": [3, 9]}, [])
    (message, (pixels,)) = sent[0]
    assert message["texts"] == ["item 3", "item 9"]
    assert len(pixels) == 2 * 64 * 64 * 3


def test_the_still_picture_is_small_and_has_words(tmp_path):
    explorer = explore(Z, Y)
    bundle, metadata = explorer._repr_mimebundle_()
    assert bundle["image/png"][:4] == b"\x89PNG"
    assert len(bundle["image/png"]) < 150_000
    assert "application/vnd.jupyter.widget-view+json" in bundle
    alt = metadata["image/png"]["alt"]
    assert "Scatter of 150 points, PCA of 6 dimensions" in alt
    assert "nearest neighbours" in alt  # measured before the picture is taken
    for name in ("map.png", "map.svg"):
        explorer.save(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 5000
    assert "nearest" in (tmp_path / "map.svg").read_text()
    with pytest.raises(ValueError, match=r"must end in .png or .svg"):
        explorer.save(tmp_path / "map.gif")


def test_the_picture_of_many_points_stays_small():
    n = 60_000
    explorer = explore(RNG.normal(size=(n, 2)), np.arange(n) % 7)
    explorer.select(range(20_000))
    assert len(explorer._repr_mimebundle_()[0]["image/png"]) < 150_000


def test_to_frame_has_a_line_for_each_shown_row():
    z = Z.copy()
    z[4] = np.nan
    explorer = explore(z, Y, class_names=["a", "b", "c"], columns={"age": np.arange(150)})
    explorer.select([0, 9])
    explorer.save_selection("two")
    explorer.probe()
    frame = explorer.to_frame()
    assert len(frame) == 149
    assert 4 not in frame.index
    assert frame.loc[[0, 9], "selected"].all()
    assert frame["selected"].sum() == frame["selection: two"].sum() == 2
    assert frame.loc[7, "label"] == "b"
    assert frame.loc[7, "age"] == 7
    assert {"x", "y", "probe score"} <= set(frame.columns)


def test_to_frame_keeps_columns_that_are_named_as_its_own():
    mine = {name: np.arange(150.0) for name in ("selected", "text", "label", "x")}
    frame = explore(Z, Y, columns=mine, texts=["words"] * 150).to_frame()
    for name in mine:
        np.testing.assert_array_equal(frame[f"column: {name}"], np.arange(150))
    assert (frame["text"] == "words").all()
    assert not frame["selected"].any()
    assert frame["label"].astype(str).tolist() == [str(y) for y in Y]


def test_texts_beyond_those_that_travel_are_asked_for_and_are_on_the_page(tmp_path):
    n = _wiring._TEXTS + 1
    pictures, texts = np.zeros((n, 2, 2), dtype=np.uint8), [f"item {i}." for i in range(n)]
    explorer = explore(RNG.normal(size=(n, 2)), images=pictures, texts=texts)
    assert "pixels" in explorer._data["sheet"]
    assert (explorer._data["texts"], explorer._data["asks"]) == (None, True)
    explorer.to_html(tmp_path / "map.html")
    assert f"item {n - 1}." in (tmp_path / "map.html").read_text()
    assert not explore(RNG.normal(size=(n, 2)), images=pictures)._data["asks"], "all of it came along"


@pytest.mark.attack("names and captions")
def test_a_page_of_its_own_holds_everything_and_no_script_of_strangers(tmp_path):
    names = ["</script><script>alert(1)</script>", "b", "c"]
    explorer = explore(Z, Y, class_names=names, images=RNG.integers(0, 256, (150, 4, 4), dtype=np.uint8)).wait()
    explorer.to_html(tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    assert page.count("</script>") == 1
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    state = json.loads(re.search(r"const packed = (\{.*\});", page).group(1))
    assert state["_data"]["standalone"]
    assert state["_colour"]["classes"][0]["name"] == names[0]
    assert set(state["_data"]["table"]) == {"left"}


def test_names_without_spaces_are_shortened_and_not_lost_in_a_still_picture():
    from labkit.explore import _twin

    assert _twin._short("Natural_killer_cell_bright") == "Natural_killer_ce…"
    assert _twin._short("eighteen letters !") == "eighteen letters !"


@pytest.mark.parametrize("name", ["map.svg", "map.html"])
def test_a_file_waits_for_what_its_caption_speaks_of(tmp_path, name, monkeypatch):
    monkeypatch.setattr(_wiring.Wiring, "_measure", lambda *_: None)  # the computation beside it has not begun
    explorer = explore(Z, Y)
    explorer._progress, explorer._notice = {"left": {"label": "t-SNE", "share": 0.1}}, "nothing holds 'x'"
    (explorer.save if name.endswith("svg") else explorer.to_html)(tmp_path / name)
    written = (tmp_path / name).read_text()
    assert "being checked" not in written
    assert "keeps" in explorer.caption
    for stale in ('"label": "t-SNE", "share": 0.1', "nothing holds"):  # of computations that a page doesn't have
        assert stale not in written
