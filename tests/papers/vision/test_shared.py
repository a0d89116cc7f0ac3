"""What the recipes of the family share: data sets, views that fit them, a ceiling a data set."""

from dataclasses import replace

import pytest
import torch

from labkit import papers
from labkit.claims import Lab
from labkit.data import ImageSet, available, catalogue
from labkit.methods import Supervised
from labkit.models import resnet8
from labkit.papers.vision import instdisc, simclr
from labkit.papers.vision._nuisance import DATA, encoder_of, numbered, view_of
from labkit.recipes import _arms, over_seeds
from labkit.train import seeded
from labkit.views import RandomResizedCrop

FAMILY = ["simclr", "moco", "byol", "simsiam", "barlow_twins", "vicreg", "swav", "nnclr", "dino", "instdisc", "w_mse"]


def images(channels, side):
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, channels, side, side), dtype=torch.uint8, generator=draws)
    splits = {"train": torch.tensor([0, 2, 4, 6, 8, 10]), "test": torch.arange(1, 12, 2)}
    return ImageSet(pixels, torch.arange(12) % 3, ("a", "b", "c"), splits)


@pytest.mark.parametrize(("channels", "side", "size"), [(1, 36, 28), (1, 18, 14), (3, 32, 24)])
def test_views_fit_the_images(channels, side, size):
    one = images(channels, side)
    assert view_of(one)(one.images).shape == (12, channels, size, size)


def test_a_view_with_all_off_is_the_image_scaled():
    one = images(1, 18)
    off = view_of(one, crop=1.0, invert=0.0, jitter=0.0, noise=0.0)(one.images)
    scaled = RandomResizedCrop(14, scale=(1.0, 1.0), ratio=(1.0, 1.0))(one.images)
    torch.testing.assert_close(off, scaled)


@pytest.mark.parametrize("data", DATA)
def test_the_family_shares_data_budget_and_ceiling(data):
    recipes = [papers.recipe(f"{name}/{data}") for name in FAMILY]
    assert {recipe.ceiling.name for recipe in recipes} == {f"supervised/{data}"}
    for field in ("data", "load_options", "protocols", "batch_size"):
        assert len({str(getattr(recipe, field)) for recipe in recipes}) == 1
    epochs = {name: recipe.training["epochs"] for name, recipe in zip(FAMILY, recipes, strict=True)}
    late = {"instdisc": 48, "moco": 48, "nnclr": 48, "swav": 48, "w_mse": 48}
    late |= {"byol": 150, "dino": 150, "simsiam": 150}
    assert {name: epochs.pop(name) for name in late} == late
    assert set(epochs.values()) == {papers.recipe(f"supervised/{data}").training["epochs"]}


CEILINGS = {recipe.ceiling.name: recipe.ceiling for recipe in papers.recipes().values() if recipe.ceiling}


@pytest.mark.parametrize("name", sorted(CEILINGS))
def test_every_ceiling_trains(name):
    ceiling = CEILINGS[name]
    if ceiling.data in catalogue() and not available(ceiling.data):
        pytest.skip(f"{ceiling.data} not found; set LABKIT_DATA")
    (run,) = Lab("smoke", [0], device="cpu", progress=False).runs(ceiling)
    assert isinstance(run.method, Supervised)
    assert "h.effective_rank" in run.history


@pytest.mark.parametrize("name", ["rotnet", "context_prediction", "damaged_jigsaw", "pirl", "instdisc", "moco"])
def test_collapse_would_show_also_where_no_two_views_are_compared(name):
    recipe = papers.recipe(name)
    if recipe.data in catalogue() and not available(recipe.data):
        pytest.skip(f"{recipe.data} not found; set LABKIT_DATA")
    (run,) = Lab("smoke", [0], device="cpu", progress=False).runs(recipe)
    epochs, dim = run.spectra["h"].shape
    assert (epochs, dim) == (run.epochs, run.method.encoder.dim)
    assert 1 <= run.history["h.effective_rank"][-1] <= dim
    assert run.history["h.uniformity"][-1] >= run.history["h.uniformity_floor"][-1]
    assert ("h.alignment" in run.history) == (len(run.method.seen["h"]) == 2)


def test_the_ceiling_has_the_encoder_of_the_family_and_the_labels_of_the_training_images():
    one = images(1, 18)
    ceiling = papers.recipe("supervised/nuisance-mnist-small")
    with seeded(3):
        method = ceiling.build(one)
    with seeded(3):
        encoder = encoder_of(one)
    assert isinstance(method, Supervised)
    assert torch.equal(method.labels, one.labels[one.splits["train"]])
    for mine, theirs in zip(method.encoder.parameters(), encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for pictures, rows in ceiling.batches(one):
        assert torch.equal(pictures, one.images[one.splits["train"]][rows])
    assert len(numbered(one, size=3)) == 2


def small_images(name, **options):
    one = images(1, 18)
    return ImageSet(one.images.repeat(8, 1, 1, 1), one.labels.repeat(8), one.class_names,
                    {"train": torch.arange(64), "test": torch.arange(64, 96)})  # fmt: skip


def test_arms_stand_beside_floors_and_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(_arms, "load", small_images)
    path = tmp_path / "arms.json"
    found = simclr.ablations(range(2), path, epochs=1)
    views = {"crop", "crop + invert", "invert", "invert + noise", "jitter + noise"}
    assert found.keys() > {"raw", "untrained", "τ = 0.05", "τ = 1"} | views
    assert {name: len(values) for name, values in found.items()} == {name: 2 - (name == "raw") for name in found}
    monkeypatch.setattr(_arms, "train", None)
    assert simclr.ablations(range(2), path, epochs=1) == found
    with pytest.raises(ValueError, match="seeds is empty"):
        simclr.ablations([])
    with pytest.raises(ValueError, match="arms is empty"):
        over_seeds({}, 1)


def test_an_arm_that_changed_is_measured_again_and_what_cannot_stand_side_by_side_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(_arms, "load", small_images)
    recipe, path, trained = simclr.RECIPES[1], tmp_path / "arms.json", []
    options = {"seeds": 1, "path": path, "epochs": 1, "device": torch.device("cpu")}
    over_seeds({"one": recipe, "other": recipe}, **options)
    train = _arms.train
    monkeypatch.setattr(_arms, "train", lambda *given, **more: trained.append(given[0]) or train(*given, **more))
    over_seeds({"one": recipe.with_training(lr=0.1), "other": recipe}, **options)
    assert [each.training["lr"] for each in trained] == [0.1]
    with pytest.raises(ValueError, match="arms must share one data set: 'b' is of cifar10-4k"):
        over_seeds({"a": recipe, "b": simclr.RECIPES[2]}, 1)
    with pytest.raises(ValueError, match="'propagatd'"):
        over_seeds({"a": recipe}, 1, floors={"A²X": "propagatd"})
    for name in ("raw", "untrained"):
        with pytest.raises(ValueError, match=f"arms must not be named {name}"):
            over_seeds({name: recipe}, 1)


def test_the_untrained_control_is_of_the_arms_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(_arms, "load", small_images)
    narrow = simclr.RECIPES[1].with_training(epochs=1)
    wide = replace(narrow, build=lambda images: simclr.SimCLR(resnet8(32, 1), view_of(images)))
    path = tmp_path / "arms.json"
    over_seeds({"x": narrow, "y": narrow}, 1, path)
    found = over_seeds({"x": wide}, 1, path)
    assert found == over_seeds({"x": wide}, 1)
    assert list(found) == ["raw", "untrained", "x"]  # "y" is in the file, and was not asked for


def test_arms_differ_in_what_their_name_says():
    arms = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simclr, "over_seeds", lambda found, *_, **__: arms.update(found) or {})
        simclr.ablations()
    one = images(1, 18)
    loss = {name: arms[name].build(one).loss.keywords["temperature"] for name in ("τ = 0.05", "τ = 1", "crop")}
    assert loss == {"τ = 0.05": 0.05, "τ = 1": 1.0, "crop": 0.2}
    crop, jitter, invert, noise = arms["invert + jitter"].build(one).view.views
    assert (crop.scale, crop.ratio) == ((1.0, 1.0), (1.0, 1.0))
    assert (invert.p, jitter.brightness, noise.std) == (0.5, 0.4, 0.0)


def test_accuracy_is_followed_over_training(monkeypatch):
    monkeypatch.setattr(_arms, "load", small_images)
    found = instdisc.over_training(range(1), None, (0, 2), epochs=2)
    assert [len(curves) for curves in found.values()] == [1, 1, 1, 1, 1]
    assert found["full softmax"][0][0] == found["untrained"][0]
    assert len(found["512 draws, Z of each step"][0]) == 2
