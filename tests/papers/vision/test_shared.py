"""What the recipes of the family share: data sets, views that fit them, a ceiling a data set."""

import pytest
import torch

from labkit import papers
from labkit.claims import Lab
from labkit.data import ImageSet, available, catalogue
from labkit.methods import Supervised
from labkit.papers.vision._nuisance import DATA, encoder_of, numbered, view_of
from labkit.train import seeded

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
