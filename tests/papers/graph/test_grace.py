"""GRACE on larger graphs, and its temperature study with its file."""

import json

import pytest
import torch

from labkit import papers
from labkit.data import stochastic_block_model
from labkit.papers.graph.grace import GRACE, RECIPES, temperatures
from labkit.recipes import _arms
from labkit.train import Subgraphs, fit


def small_graph():
    data = stochastic_block_model([60, 60], p_in=0.2, p_out=0.02, features=8, signal=1.0, seed=0)
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    for name, rows in zip(("train_mask", "val_mask", "test_mask"), order.split([30, 30, 60]), strict=True):
        data[name] = torch.zeros(120, dtype=torch.bool).index_fill(0, rows, True)
    return data


def test_larger_graphs_come_whole_and_on_subgraphs_under_both_protocols():
    for name in ("amazon-photo", "coauthor-cs"):
        sampled, whole = papers.recipe(f"grace/{name}"), papers.recipe(f"grace/{name}-whole")
        for recipe in (sampled, whole):
            assert set(recipe.protocols) == set(recipe.paper) == {"paper", "released"}
            assert recipe.protocols["paper"].shares == (0.1, 0.1, 0.8)
            assert recipe.protocols["released"].shares == (0.1, None, 0.9)
        assert whole.batches is None
        graph = small_graph()
        part = next(iter(sampled.smoke_batches(graph)))
        assert isinstance(sampled.smoke_batches(graph), Subgraphs)
        assert part.num_nodes <= 100
        method = whole.build(graph)  # one method for both, so that only what a step looks at differs
        assert repr(method) == repr(sampled.build(graph))
        fit(method, sampled.smoke_batches(graph), epochs=1, watch=graph, progress=False)
        assert method.embed(graph).shape == (120, 256)


def test_temperatures_are_written_one_by_one_and_taken_up_again(tmp_path, monkeypatch):
    monkeypatch.setattr(_arms, "load", lambda name, **_: small_graph())
    trained = []
    real = _arms.train

    def spying(recipe, material, seed, **more):
        trained.append((recipe.build(material.dataset).temperature, seed))
        return real(recipe, material, seed, **more)

    monkeypatch.setattr(_arms, "train", spying)
    path = tmp_path / "temperatures.json"
    found = temperatures("citeseer", grid=(0.2, 2.0), seeds=[0, 1], path=path, epochs=1)
    assert trained == [(0.2, 0), (0.2, 1), (2.0, 0), (2.0, 1)]
    assert set(found) == {"0.2", "2", "A²X", "untrained"}
    assert all(0 <= value <= 1 for values in found.values() for value in values)
    written = json.loads(path.read_text())
    assert written["accuracy"] == found
    del written["accuracy"]["2"]
    path.write_text(json.dumps(written))
    trained.clear()
    assert temperatures("citeseer", grid=(0.2, 2.0), seeds=[0, 1], path=path, epochs=1) == found
    assert trained == [(2.0, 0), (2.0, 1)]
    trained.clear()
    with pytest.warns(UserWarning, match="with another seeds: nothing of it is used"):
        temperatures("citeseer", grid=(0.2,), seeds=[1], path=path, epochs=1)
    assert trained == [(0.2, 1)]


def test_what_is_refused():
    with pytest.raises(ValueError, match="did you mean 'cora'"):
        temperatures("core")
    with pytest.raises(ValueError, match="seeds is empty"):
        temperatures(seeds=[])
    with pytest.raises(ValueError, match="temperature"):
        temperatures(grid=(0.4, 0.0))


def test_both_views_are_corrupted_anew_in_each_step():
    torch.manual_seed(0)
    method, data = GRACE(8, hidden=6, dim=4), small_graph()
    assert method(data).item() != method(data).item()
    torch.testing.assert_close(method.embed(data), method.embed(data))
    assert RECIPES[0].name == "grace/cora"
