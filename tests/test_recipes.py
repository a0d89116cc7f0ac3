"""Recipes: whole runs on small data, their floors, the keys of the JSON, a graph of one's own, the command line."""

import argparse
import json
import math
import re
import shlex
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch_geometric.data import Data

import labkit
from labkit import cli, data, papers, recipes
from labkit.claims import Lab
from labkit.evaluate import CrossValidation, Protocol, Score
from labkit.methods import Method, SkipGram, WalkBatches, inference
from labkit.papers.graph.grace import GRACE
from labkit.recipes import PaperNumber, Recipe, _run
from labkit.recipes._recipe import printed
from labkit.views import Adjacency

KEYS = {
    *("recipe", "variant", "protocol", "protocol_name", "seeds", "scores", "mean", "std", "over", "floors", "paper"),
    *("ceiling", "seconds", "device", "precision", "threads", "versions", "commit", "dirty", "command", "training"),
    "batch_size",
}


def two_groups(nodes=60, seed=0):
    """Two groups that cite themselves, with words of their own."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(nodes) % 2
    x = (torch.rand(nodes, 40, generator=generator) < 0.05 + 0.2 * (torch.arange(40) % 2 == y[:, None])).float()
    a, b = torch.randint(nodes, (2, 6 * nodes), generator=generator)
    same = y[a] == y[b]
    edge_index = torch.stack([a[same], b[same]])
    return Data(x=x, edge_index=torch.cat([edge_index, edge_index.flip(0)], 1), y=y)


def small_recipe(**changes):
    base = Recipe(
        name="grace/two-groups",
        data="karate",
        build=lambda graph: GRACE(graph.num_features, hidden=16, dim=8),
        training={"epochs": 3, "lr": 1e-2},
        protocols={"random": Protocol.random(0.3, 0.2, 0.5, repeats=2)},
        paper={"random": PaperNumber(99.0, 0.5, "nowhere")},
    )
    return replace(base, **changes)


def test_a_result_has_scores_floors_paper_and_circumstances(tmp_path):
    result = recipes.run(small_recipe(), seeds=2, dataset=two_groups(), progress=False)
    result.save(tmp_path / "result.json")
    written = json.loads((tmp_path / "result.json").read_text())
    assert set(written) == KEYS
    assert set(written["floors"]) == {"raw", "untrained", "propagated"}
    assert written["seeds"] == [0, 1]
    assert len(written["scores"]) == 2
    assert written["mean"] == pytest.approx(sum(written["scores"]) / 2)
    assert written["paper"] == {"mean": 99.0, "std": 0.5, "where": "nowhere"}
    assert {"python", "torch", "labkit"} <= set(written["versions"])
    text = str(result)
    for word in ("floor, raw", "floor, propagated", "floor, untrained", "paper", "99.0 ± 0.5", "protocol:"):
        assert word in text


def test_the_same_seed_gives_the_same_score_and_untrained_is_epoch_0():
    one, other = (recipes.run(small_recipe(), seeds=[3], dataset=two_groups(), progress=False) for _ in range(2))
    assert one.scores == other.scores
    material = recipes.Material(two_groups())
    run = recipes.train(small_recipe(), material, seed=3, progress=False)
    untrained = material.score(small_recipe().protocols["random"], run.snapshots[0])
    assert one.floors["untrained"]["mean"] == untrained.mean


def test_images_are_trained_on_their_training_part_only():
    recipe = papers.recipe("simclr/nuisance-mnist")
    images = data.load("nuisance-digits")
    batches = recipes.Material(images).batches(64)
    assert len(batches.items) == len(images.splits["train"])
    seen = {tuple(picture.flatten().tolist()) for picture in batches.items}
    held_out = [tuple(picture.flatten().tolist()) for picture in images.images[images.splits["test"]]]
    assert sum(picture in seen for picture in held_out) == 0
    result = recipes.run(recipe, seeds=1, dataset=images, epochs=1, progress=False)
    assert set(result.floors) == {"raw", "untrained"}


def test_refused_before_training():
    class Never(GRACE):
        def forward(self, _):
            raise AssertionError("training started")

    recipe = small_recipe(build=lambda graph: Never(graph.num_features))
    with pytest.raises(ValueError, match="no protocol of grace/two-groups named 'publik'"):
        recipes.run(recipe, protocol="publik", dataset=two_groups())
    with pytest.raises(ValueError, match="seeds is empty"):
        recipes.run(recipe, seeds=[], dataset=two_groups())
    for many in (10**12, range(10**12)):
        with pytest.raises(ValueError, match="seeds asks for more than 100,000 trainings"):
            recipes.run(recipe, seeds=many, dataset=two_groups())
    with pytest.raises(ValueError, match=r"seeds must differ, as each is a training of its own; not \[0, 1, 0\]"):
        recipes.run(recipe, seeds=[0, 1, 0], dataset=two_groups())
    with pytest.raises(ValueError, match="seeds must differ"):
        Lab(seeds=[2, 2])
    with pytest.raises(TypeError, match="protocols must be a sequence, each a string or None, not 'random'"):
        recipes.run_protocols(recipe, protocols="random", dataset=two_groups())
    with pytest.raises(TypeError, match=r"dataset must be a graph with x, y and edge_index, .*, not str"):
        recipes.run(recipe, dataset="karate")
    broken = two_groups()
    broken.x[3, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        recipes.run(recipe, dataset=broken)
    lonely = two_groups()
    lonely.y[0] = 2  # one item of a third class can't be in every training part
    with pytest.raises(ValueError, match="class"):
        recipes.run(recipe, dataset=lonely)


def test_a_recipe_may_say_what_training_iterates_over():
    """Walks on the graph, in place of the graph itself; fewer of them at smoke scale."""
    from labkit.claims import Lab

    sizes = []

    def walks(count, data):
        sizes.append((count, data.num_nodes))
        return WalkBatches(Adjacency.of(data), length=6, walks_per_node=count)

    recipe = small_recipe(
        build=lambda graph: SkipGram(graph.num_nodes, dim=8, window=2),
        batches=partial(walks, 5),
        smoke_batches=partial(walks, 1),
    )
    result = recipes.run(recipe, seeds=1, dataset=two_groups(), progress=False)
    assert set(result.floors) == {"raw", "untrained", "propagated"}
    Lab("smoke", device="cpu", progress=False).runs(recipe)
    assert sizes == [(5, 60), (1, 34)]


def test_a_graph_of_ones_own_through_the_command_line(tmp_path, capsys):
    data.save_graph(two_groups(), tmp_path / "mine.npz")
    target = tmp_path / "out.json"
    arguments = ["run", "grace", "--data", str(tmp_path / "mine.npz"), "--seeds", "2", "--epochs", "2"]
    assert cli.main([*arguments, "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert "grace/mine" in out
    assert "random 10/10/80 %" in out
    record = json.loads(target.read_text())
    assert record["recipe"] == "grace/mine"
    assert record["command"] == shlex.join(["labkit", *arguments])
    assert record["training"]["epochs"] == "2"


def test_an_edge_list_and_a_graphml_through_the_command_line(tmp_path, capsys):
    import networkx

    own = two_groups(nodes=200)
    once = own.edge_index[:, own.edge_index[0] < own.edge_index[1]]
    lines = {
        "mine.edges": (f"n{a} n{b}" for a, b in once.T.tolist()),
        "mine.features.csv": (",".join([f"n{i}", *map(str, row)]) for i, row in enumerate(own.x.tolist())),
        "mine.labels.csv": (f"n{i},{'even' if y == 0 else 'odd'}" for i, y in enumerate(own.y.tolist())),
    }
    for name, text in lines.items():
        (tmp_path / name).write_text("\n".join(text))
    short = ["--seeds", "1", "--epochs", "1"]
    assert cli.main(["run", "grace", "--data", str(tmp_path / "mine.edges"), *short]) == 0
    assert "grace/mine" in capsys.readouterr().out
    graph = networkx.Graph(once.T.tolist())
    networkx.set_node_attributes(graph, {i: "even" if own.y[i] == 0 else "odd" for i in graph}, "club")
    networkx.write_graphml(graph, tmp_path / "mine.graphml")
    path = ["run", "grace", "--data", str(tmp_path / "mine.graphml"), "--label", "club"]
    assert cli.main([*path, "--features", "degree", *short]) == 0
    assert cli.main(["run", "node2vec", *path[2:], "--features", "degree", *short]) == 0
    assert "node2vec/mine" in capsys.readouterr().out
    assert cli.main([*path, *short]) == 2
    assert "pass --features constant or --features degree\n" in capsys.readouterr().err
    assert cli.main(["run", "grace", "--data", str(tmp_path / "mine.graphml"), *short]) == 2
    error = capsys.readouterr().err  # both at once: what one has to add is not found out bit by bit
    assert "--features degree" in error
    assert "--label NAME" in error
    assert cli.main(["run", "grace", "--data", str(tmp_path / "mine.graphml"), "--features", "degree", *short]) == 2
    assert "holds no labels: there is nothing to score an embedding by; add them, or name" in capsys.readouterr().err
    assert cli.main(["run", "grace", "--data", str(tmp_path / "mine.edges"), "--features", "degree"]) == 2
    assert "has 40 features a node of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "grace", "--features", "degree"], "they need --data PATH"),
        (["run", "grase"], "no recipe named 'grase'"),
        (["run", "foo"], "; `labkit run` lists them all"),
        (["claims", "verify"], "name a paper (see `labkit claims list`), or pass --all"),
        (["run", "grace", "--data", "nowhere.npz"], "nowhere.npz"),
        (["run", "simclr", "--data", "x.npz"], "a recipe for images"),
        (["run", "stepwise/vicreg-digits", "--data", "x.npz"], "a recipe for images"),  # which has no batch size
        (["run", "graphmae/mutag", "--data", "x.npz"], "a recipe for graphs, not for one graph"),
        (["run", "grace", "--device", "mps"], "device 'mps' is none that labkit trains on"),
        (["run", "grace", "--device", "meta"], "device 'meta' is none that labkit trains on"),
        (["run", "--data", "x.npz", "--json", "x.json"], "name a recipe, e.g. labkit run grace/cora --data x.npz"),
        (["run", "grace", "--json", "."], "--json: . is a folder"),
        (["run", "grace", "--json", "no/such/folder/x.json"], "there is no folder no/such/folder"),
        (["data", "get", "coral"], "did you mean 'cora'"),
        (["claims", "verify", "grase"], "did you mean 'grace'"),
        (["claims", "verify", "grace", "--only", "training"], "no claim of grace named 'training'"),
        (["claims", "verify", "grace", "--all"], "give grace or --all, not both"),
        (["claims", "verify", "--all", "--only", "training"], "no claim of any paper named 'training'"),
        (["bench", "nothing"], "no benchmark named 'nothing'"),
    ],
)
def test_the_command_line_says_in_one_line_what_is_wrong(arguments, message, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("labkit: ")
    assert message in error
    assert "Traceback" not in error
    assert len(error) < 250


def test_lists(capsys):
    for arguments in (["data", "list"], ["run"], ["claims", "list"]):
        assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    for word in ("cora", "nuisance-mnist", "grace/cora", "simclr/nuisance-mnist", "grace.training_helps"):
        assert word in out


@pytest.mark.parametrize("arguments", [["data", "list"], ["run"]])
def test_columns_are_as_wide_as_what_stands_in_them(arguments, capsys):
    cli.main(arguments)
    rows = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert len({len(row) for row in rows}) == 1
    assert {row[-1].startswith("protocols: ") for row in rows} == {arguments == ["run"]}


def test_the_version_is_said(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"labkit {labkit.__version__}\n"


def test_every_option_says_what_it_is_for():
    parsers = [cli._parser()]
    while parsers:
        for action in parsers.pop()._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += set(action.choices.values())
            else:
                assert action.help, action.dest


def test_doctor(capsys):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "check     ok" in out
    assert "torch" in out


@pytest.mark.parametrize("seeds", ["0", "-1", "x"])
def test_bad_numbers_are_refused_by_the_parser(seeds, capsys):
    with pytest.raises(SystemExit):
        cli.main(["run", "grace", "--seeds", seeds])
    assert "--seeds" in capsys.readouterr().err


@pytest.mark.parametrize("paper", sorted(name for name, claims in papers.claims().items() if claims))
def test_claims_run_at_smoke_scale(paper, capsys):
    """The path of every claim works; no verdict is taken from so little."""
    claims = papers.claims()[paper]
    for name in {one.needs for one in claims} & set(data.catalogue()):
        if not data.available(name):
            pytest.skip(f"{name} not found; set LABKIT_DATA")
    assert cli.main(["claims", "verify", paper, "--scale", "smoke"]) == 0
    assert capsys.readouterr().out.count("no verdict") == len(claims)


WITHOUT_IMAGES = [paper for paper, module in papers.modules().items() if ".vision." not in module.__name__]


@pytest.mark.parametrize("paper", sorted(set(WITHOUT_IMAGES) & {name.split("/")[0] for name in papers.recipes()}))
def test_every_method_trains_in_bfloat16(paper):
    """Those of images do so whenever the hardware can; the others when they are asked to."""
    recipe = next(recipe for name, recipe in papers.recipes().items() if name.startswith(f"{paper}/"))
    for needed in [recipe.data] + ["citeseer"] * (paper == "gcc"):  # which is pre-trained on it
        if needed in data.catalogue() and not data.available(needed):
            pytest.skip(f"{needed} not found; set LABKIT_DATA")
    small = {"precision": "bfloat16", "progress": False, "snapshots": [0], **recipe.smoke}
    recipe = replace(recipe, batches=recipe.smoke_batches or recipe.batches)
    material = recipes.Material(data.load(recipe.data, **recipe.load_options | recipe.smoke_load))
    trained = recipes.train(recipe, material, seed=0, **small)
    assert all(map(math.isfinite, trained.history["loss"]))


def chains_and_rings(count=40):
    """A set of graphs: chains and rings of several sizes."""
    graphs = []
    for i in range(count):
        n = 4 + i % 5
        a = torch.arange(n - 1 + i % 2)
        edge_index = torch.stack([a, (a + 1) % n])
        graphs.append(
            Data(x=torch.ones(n, 1), edge_index=torch.cat([edge_index, edge_index.flip(0)], 1), y=torch.tensor([i % 2]))
        )
    return data.GraphSet(tuple(graphs), "chains and rings")


class Pooled(Method):
    """The least a method for sets of graphs can be: sums of nodes, told to be small."""

    def __init__(self, features):
        super().__init__()
        self.encoder = torch.nn.Linear(features, 4)

    def forward(self, batch):
        return self.encoder(batch.pool(batch.x)).square().mean()

    @inference
    def embed(self, batch):
        return self.encoder(batch.pool(batch.x))


def test_a_set_of_graphs_is_material_like_any_other():
    recipe = Recipe(
        name="pooled/chains",
        data="mutag",
        build=lambda graphs: Pooled(graphs.packed.x.shape[1]),
        training={"epochs": 2},
        protocols={"svm": CrossValidation(folds=4, strengths=1.0)},
        batch_size=16,
    )
    graphs = chains_and_rings()
    batches = recipes.Material(graphs).batches(16)
    assert [len(batch) for batch in batches] == [16, 16, 8]  # all graphs: labels are for the probe alone
    one, again = (recipes.run(recipe, seeds=2, dataset=graphs, progress=False) for _ in range(2))
    assert one.scores == again.scores
    assert set(one.floors) == {"raw", "size", "random GIN", "untrained"}
    assert one.over == "2 pretrainings, each the mean of 4 folds"
    lonely = data.GraphSet(graphs.graphs[::2] + graphs.graphs[1:6:2])
    with pytest.raises(ValueError, match="class 1 of y has 3 items; 4-fold"):
        recipes.run(recipe, dataset=lonely, progress=False)


@pytest.fixture
def with_ceiling():
    """A recipe whose ceiling is trained in a second."""
    base = papers.recipe("simclr/nuisance-mnist")
    on_digits = {"data": "nuisance-digits", "training": base.training | {"epochs": 1}}
    ceiling = replace(base.ceiling, **on_digits | {"name": "supervised/nuisance-digits"})
    return replace(base, **on_digits, ceiling=ceiling)


def test_the_ceiling_learns_the_labels_and_is_not_trained_twice(tmp_path, with_ceiling):
    recipe, ceiling = with_ceiling, with_ceiling.ceiling
    first = recipes.run(recipe, seeds=2, progress=False, results=tmp_path)
    assert first.ceiling["recipe"] == "supervised/nuisance-digits"
    assert first.ceiling["over"] == "2 pretrainings"
    assert first.ceiling["commit"] == first.commit
    assert f"{100 * first.ceiling['mean']:.1f}" in str(first)

    measured = recipes.run(ceiling, seeds=3, progress=False)
    assert measured.ceiling is None
    assert sum(measured.scores[:2]) / 2 == pytest.approx(first.ceiling["mean"])  # the same recipe, wherever it runs
    measured.save(tmp_path / "measured.json")
    record = json.loads((tmp_path / "measured.json").read_text())
    record |= {"scores": [0.5, 0.7, 0.9], "commit": "an earlier one"}
    (tmp_path / "measured.json").write_text(json.dumps(record))
    again = recipes.run(recipe, seeds=2, progress=False, results=tmp_path)
    assert again.ceiling["mean"] == pytest.approx(0.6)  # of these two seeds, as saved
    assert again.ceiling["commit"] == "an earlier one"
    longer = recipes.run(recipe, seeds=2, progress=False, results=tmp_path, epochs=2)
    assert longer.ceiling["commit"] == longer.commit  # of as long a training, and not the saved one
    other = recipes.run(recipe, seeds=[3], progress=False, results=tmp_path)
    assert other.ceiling["mean"] != 0.9  # a seed that was not saved is trained


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, True),
        ({"batch_size": 7}, False),
        ({"training": {"epochs": "300"}}, False),
        ({"protocol": "public 1/2, 3-NN"}, False),
        ({"recipe": "supervised/faces"}, False),
        ({"seeds": [1]}, False),
    ],
)
def test_a_ceiling_that_was_trained_or_scored_otherwise_is_none(tmp_path, changes, taken):
    recipe = small_recipe(batch_size=64)
    like = Score.of([0.9], "one pretraining", "public, 5-NN")
    record = {"recipe": recipe.name, "training": printed(recipe.training), "batch_size": 64, "protocol": like.protocol}
    record |= {"seeds": [0], "scores": [0.123], "commit": "an earlier one"} | changes
    (tmp_path / "a-list.json").write_text("[]")
    (tmp_path / "measured.json").write_text(json.dumps(record))
    (tmp_path / "no-result.json").write_text('{"accuracy": 1}')
    found = _run._measured(recipe, like, [0], _run.saved_results(tmp_path))
    assert found == ((Score.of([0.123], like.over, like.protocol), "an earlier one") if taken else None)
    del record["batch_size"]  # which results of before did not say
    (tmp_path / "measured.json").write_text(json.dumps(record))
    found = _run._measured(recipe, like, [0], _run.saved_results(tmp_path))
    assert bool(found) is (taken or "batch_size" in changes)


def test_a_torn_result_is_named_before_anything_is_trained(tmp_path, with_ceiling):
    (tmp_path / "torn.json").write_text('{"recipe": ')
    with pytest.raises(ValueError, match=r"torn\.json is no whole JSON file"):
        recipes.run(with_ceiling, seeds=1, progress=False, results=tmp_path, on_seed=lambda one: pytest.fail("trained"))


def test_a_result_is_of_the_code_that_it_started_with(monkeypatch):
    now = {"commit": "before"}
    real = recipes.circumstances
    monkeypatch.setattr(_run, "circumstances", lambda device: real(device) | now)
    after = lambda one: now.update(commit="after")  # noqa: E731
    assert recipes.run(small_recipe(), 1, dataset=two_groups(), progress=False, on_seed=after).commit == "before"


def test_the_command_of_a_result_gives_that_result(monkeypatch):
    monkeypatch.setattr(_run, "load", lambda name: two_groups())
    run = partial(recipes.run, small_recipe(), progress=False, epochs=1)
    assert run(2).command == "labkit run grace/two-groups --seeds 2 --protocol random --epochs 1"
    call = "recipes.run_protocols(papers.recipe('grace/two-groups'), {}, ['random'], {}epochs=1{})"
    assert run([3, 7], lr=0.5).command == call.format("[3, 7]", "", ", lr=0.5")
    assert run(1, dataset=two_groups()).command == call.format("[0]", "dataset=..., ", "")


def test_snapshots_of_ones_own_do_not_cost_the_untrained_one():
    result = recipes.run(small_recipe(), 1, dataset=two_groups(), progress=False, snapshots=[2])
    assert "untrained" in result.floors


def test_a_lab_trains_each_seed_once_and_embeds_as_it_is_told():
    lab, recipe = Lab(seeds=[0, 1], device="cpu", progress=False), small_recipe()
    runs = lab.runs(recipe)
    assert [run.seed for run in runs] == [0, 1]
    assert runs[0] is lab.runs(recipe)[0]
    wide = lab.runs(replace(recipe, build=lambda graph: recipe.build(graph)))
    assert wide[0] is not runs[0]
    material, protocol = lab.material(recipe), recipe.protocols["random"]
    untrained = [material.score(protocol, run.snapshots[0]).mean for run in runs]
    assert lab.scores(recipe, embed=lambda run: run.snapshots[0]) == untrained
    trained = [material.score(protocol, run.method.embed(material.items)).mean for run in runs]
    assert lab.scores(recipe) == trained != untrained


def test_looks_past_the_end_of_a_shorter_training_are_left_out():
    recipe = replace(small_recipe(), training={"epochs": 3, "lr": 1e-2, "snapshots": [1, 3]})
    run = recipes.train(recipe, recipes.Material(two_groups()), seed=0, epochs=2, progress=False)
    assert list(run.snapshots) == [0, 1]


def test_two_recipes_of_one_name_are_refused_and_a_paper_without_recipes_has_none(monkeypatch):
    grace = papers.modules()["grace"]
    copied = {"grace": grace, "mine": SimpleNamespace(RECIPES=grace.RECIPES), "unfinished": SimpleNamespace()}
    monkeypatch.setattr(papers, "modules", lambda: copied)
    with pytest.raises(ValueError, match=r"two recipes are named .grace/cora., one of them in mine\.py"):
        papers.recipes()
    del copied["mine"]
    assert "grace/cora" in papers.recipes()


def test_a_lab_tells_data_protocols_and_seeds_apart(monkeypatch):
    """What claims of a paper share must be the same: loaded, trained and scored alike."""
    loaded = []
    monkeypatch.setattr(
        "labkit.claims.load", lambda name, **options: loaded.append(options) or two_groups(60 + len(options))
    )
    lab = Lab(seeds=[0, 1], device="cpu", progress=False)
    recipe = small_recipe(
        smoke_load={"small": 1}, smoke_batches=lambda graph: pytest.fail("smoke batches at laptop scale")
    )
    other = replace(recipe, load_options={"wide": 1})
    assert [lab.material(each).dataset.num_nodes for each in (recipe, other, recipe)] == [60, 61, 60]
    assert loaded == [{}, {"wide": 1}]
    few = Protocol.random(0.1, 0.1, 0.8, repeats=1)
    both = replace(recipe, protocols=recipe.protocols | {"few": few})
    first, second = lab.runs(both)
    assert not torch.equal(first.snapshots[0], second.snapshots[0])
    material = lab.material(both)
    for name, protocol in both.protocols.items():
        expected = [material.score(protocol, run.method.embed(material.items)).mean for run in (first, second)]
        assert lab.scores(both, protocol=name) == expected
        assert lab.floors(both, protocol=name)["raw"].mean == material.floors(protocol)["raw"].mean
    smoke = Lab("smoke", device="cpu", progress=False)
    smoke.material(recipe)
    assert loaded[-1] == {"small": 1}
