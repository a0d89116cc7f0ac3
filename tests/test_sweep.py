"""Seeds in turn, in processes, and after an interruption: the same scores."""

import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from joblib.parallel import ThreadingBackend
from test_recipes import small_recipe, two_groups
from torch_geometric.data import Data

from labkit import cli, data, losses, recipes
from labkit._checksum import checksum
from labkit.evaluate import Protocol
from labkit.papers.graph.grace import GRACE
from labkit.recipes import _sweep
from labkit.recipes._circumstances import code


def run(**options):
    return recipes.run(small_recipe(), dataset=two_groups(), progress=False, **{"seeds": 3} | options)


class Interrupted(Exception):
    pass


def interrupt_after(seed):
    def on_seed(trained):
        if trained.seed == seed:
            raise Interrupted

    return on_seed


@pytest.fixture
def kept(tmp_path):
    """What a sweep of three leaves that was interrupted after the second."""
    keep = tmp_path / "sweep.part"
    with pytest.raises(Interrupted):
        run(keep=keep, on_seed=interrupt_after(1))
    return keep


def test_worker_processes_give_the_scores_of_one():
    assert run(jobs=2).scores == pytest.approx(run().scores, abs=0.05)


def test_threads_of_one_process_do_not_share_their_random_numbers():
    assert run(jobs=3, backend="threading").scores == run().scores


def test_backends_that_give_no_seed_before_the_last_one_work_in_rounds(monkeypatch, tmp_path):
    """Ray's is one: what a round gave is kept before the next."""
    monkeypatch.setattr(ThreadingBackend, "supports_return_generator", False)
    keep = tmp_path / "sweep.part"
    with pytest.raises(Interrupted):
        run(jobs=2, backend="threading", keep=keep, on_seed=interrupt_after(1))
    assert [one["seed"] for one in json.loads(keep.read_text())["done"]] == [0, 1]
    assert run(jobs=2, backend="threading").scores == run().scores


def test_a_cluster_whose_library_is_missing_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert cli.main(["run", "simclr/nuisance-mnist", "--backend", "dask"]) == 2
    assert "--backend dask needs its library: pip install dask distributed" in capsys.readouterr().err


def test_an_interrupted_sweep_trains_only_what_is_missing(kept, monkeypatch):
    assert [one["seed"] for one in json.loads(kept.read_text())["done"]] == [0, 1]
    trained, train = [], _sweep.train

    def counted(recipe, material, seed, **options):
        trained.append(seed)
        return train(recipe, material, seed, **options)

    monkeypatch.setattr(_sweep, "train", counted)
    told, record = [], json.loads(kept.read_text())
    record["done"][0]["seconds"] = 1000.0
    kept.write_text(json.dumps(record))
    result = run(keep=kept, on_seed=lambda one: told.append((one.seed, one.restored)))
    assert trained == [2]
    assert 1000 < result.seconds < 1100  # those before the interruption count
    assert told == [(0, True), (1, True), (2, False)]
    monkeypatch.undo()
    unbroken = run()
    assert (result.scores, result.floors, result.over) == (unbroken.scores, unbroken.floors, unbroken.over)


def test_seeds_of_another_training_are_not_mixed_in(kept):
    with pytest.raises(ValueError, match="is from a sweep with another training; delete it to start anew"):
        run(keep=kept, epochs=4)
    with pytest.raises(ValueError, match="is from a sweep with another data; delete it to start anew"):
        recipes.run(small_recipe(), seeds=3, dataset=two_groups(nodes=62), progress=False, keep=kept)
    kept.write_text('{"settings": {}')
    with pytest.raises(ValueError, match="is not what an interrupted sweep leaves"):
        run(keep=kept)


@pytest.mark.parametrize("name", ["x", "edge_index", "y", "train_mask"])
def test_seeds_of_other_data_of_the_same_shape_are_not_mixed_in(tmp_path, name):
    def graph():
        graph = two_groups()
        graph.train_mask = graph.y == 0
        return graph

    swept = partial(recipes.run, small_recipe(), 2, progress=False, keep=tmp_path / "sweep.part")
    first = swept(dataset=graph())
    assert swept(dataset=graph(), on_seed=lambda one: one.restored or pytest.fail("trained")).scores == first.scores
    other = graph()
    other[name] = other[name].flip(-1)
    with pytest.raises(ValueError, match="is from a sweep with another data; delete it to start anew"):
        swept(dataset=other)


@pytest.mark.parametrize("changes", [{"hidden": 17}, {"temperature": 0.9}])
def test_seeds_of_another_method_are_not_mixed_in(kept, changes):
    other = small_recipe(build=lambda graph: GRACE(graph.num_features, **{"hidden": 16, "dim": 8} | changes))
    with pytest.raises(ValueError, match="is from a sweep with another untrained method; delete it to start anew"):
        recipes.run(other, 3, dataset=two_groups(), progress=False, keep=kept)


def test_a_checksum_knows_sets_of_graphs_images_and_sparse_features():
    image_set = data.ImageSet(torch.zeros(2, 1, 3, 3, dtype=torch.uint8), splits={"train": torch.tensor([0])})
    graphs = data.GraphSet((two_groups(8), two_groups(9)), folds=((torch.tensor([0]), torch.tensor([1])),))
    sparse = two_groups()
    sparse.x = sparse.x.to_sparse()
    rows = two_groups()
    rows.x = rows.x.to_sparse_csr()
    changed = [
        (image_set, replace(image_set, splits={"train": torch.tensor([1])})),
        (image_set, replace(image_set, images=image_set.images + 1)),
        (graphs, data.GraphSet(graphs.graphs)),
        (graphs, replace(graphs, graphs=(two_groups(8), two_groups(9, seed=1)))),
        (sparse, Data(**sparse.to_dict() | {"x": 2 * sparse.x})),
        (rows, Data(**rows.to_dict() | {"x": 2 * rows.x})),
        (partial(losses.nt_xent, temperature=0.1), partial(losses.nt_xent, temperature=0.2)),
        (partial(losses.nt_xent, temperature=np.float32(0.1)), partial(losses.nt_xent, temperature=np.float32(0.2))),
        (np.int64(1), np.int64(2)),
        (np.zeros(2), np.ones(2)),
        ({"a", "b"}, {"a", "c"}),
        (torch.float32, torch.bfloat16),
        (b"a", b"b"),
    ]
    for one, other in changed:
        assert checksum(one) == checksum(one) != checksum(other)
    before = checksum(graphs)
    graphs.packed  # noqa: B018 - what is cached is no change
    assert checksum(graphs) == before


def test_seeds_of_another_probe_or_of_edited_code_are_not_mixed_in(kept, monkeypatch):
    again = replace(small_recipe(), batch_size=4)
    with pytest.raises(ValueError, match="is from a sweep with another batch size; delete it to start anew"):
        recipes.run(again, seeds=3, dataset=two_groups(), progress=False, keep=kept)
    again = replace(small_recipe(), protocols={"random": Protocol.random(0.3, 0.2, 0.5, repeats=3)})
    with pytest.raises(ValueError, match="is from a sweep with another protocol; delete it to start anew"):
        recipes.run(again, seeds=3, dataset=two_groups(), progress=False, keep=kept)
    monkeypatch.setattr(_sweep, "code", lambda: code() | {"uncommitted code": 7})
    with pytest.raises(ValueError, match="is from a sweep with another uncommitted code; delete it to start anew"):
        run(keep=kept)


def test_every_setting_that_a_sweep_keeps_is_compared(kept):
    record = json.loads(kept.read_text())
    assert record["settings"].keys() == {
        *("recipe", "variant", "untrained method", "training", "batch size", "data", "protocol"),
        *("device", "versions", "precision", "commit", "uncommitted code"),
    }
    for name in record["settings"]:
        kept.write_text(json.dumps(record | {"settings": record["settings"] | {name: "another"}}))
        with pytest.raises(ValueError, match=f"is from a sweep with another {name}; delete it to start anew"):
            run(keep=kept)


def test_half_a_training_is_no_seed(tmp_path, monkeypatch):
    fit = _sweep.fit

    def stopped(*arguments, seed, **options):
        run = fit(*arguments, seed=seed, **options)
        run.interrupted = seed == 1
        return run

    monkeypatch.setattr(_sweep, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(keep=tmp_path / "sweep.part")
    assert [one["seed"] for one in json.loads((tmp_path / "sweep.part").read_text())["done"]] == [0]


def test_protocols_share_one_training(monkeypatch):
    trained, train = [], _sweep.train

    def counted(recipe, material, seed, **options):
        trained.append(seed)
        return train(recipe, material, seed, **options)

    monkeypatch.setattr(_sweep, "train", counted)
    recipe = small_recipe()
    several = recipe.protocols | {"fewer": Protocol.random(0.2, 0.2, 0.6, repeats=3)}
    recipe = replace(recipe, protocols=several)
    together = recipes.run_protocols(recipe, 2, list(several), dataset=two_groups(), progress=False)
    assert trained == [0, 1]
    alone = [recipes.run(recipe, 2, protocol=name, dataset=two_groups(), progress=False) for name in several]
    for one, other in zip(together, alone, strict=True):
        assert (one.scores, one.floors, one.protocol) == (other.scores, other.floors, other.protocol)
        assert "['random', 'fewer']" in one.command


def test_bad_input():
    with pytest.raises(ValueError, match="jobs must be at least 1, not 0"):
        run(jobs=0)
    with pytest.raises(ValueError, match="joblib has no backend 'ham' here"):
        run(backend="ham")


def test_seeds_that_are_not_asked_for_now_stay_in_the_file(kept):
    run(seeds=[0], keep=kept)
    assert [one["seed"] for one in json.loads(kept.read_text())["done"]] == [0, 1]
    _sweep.forget(kept, {0})
    assert [one["seed"] for one in json.loads(kept.read_text())["done"]] == [1]
    _sweep.forget(kept, {1, 5})
    assert not kept.exists()
    _sweep.forget(kept, {1})


def test_a_ceiling_s_seeds_are_kept_too(tmp_path, monkeypatch):
    recipe, keep = small_recipe(ceiling=small_recipe(name="supervised/two-groups")), tmp_path / "sweep.part"
    options = {"dataset": two_groups(), "progress": False, "keep": keep}
    whole = recipes.run(recipe, 2, **options)
    kept = json.loads((tmp_path / "sweep.part.ceiling").read_text())["done"]
    assert [one["seed"] for one in kept] == [0, 1]
    monkeypatch.setattr(_sweep, "train", None)
    assert recipes.run(recipe, 2, **options).ceiling == whole.ceiling
