"""The table of benchmarks: ratios of pairs, their spread, and what is kept of a run."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
NAMES = [path.stem for path in sorted((ROOT / "benchmarks").glob("*.py")) if not path.stem.startswith("_")]


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks._bench")


def test_a_ratio_is_the_median_of_pairs_taken_in_turn(bench):
    row = bench.Row("a step", "them", [1.0, 2.0, 4.0], [2.0, 6.0, 4.0], at_least=2, why="a reason")
    assert row.ratios == [2.0, 3.0, 1.0]
    assert (row.ratio, row.record["least"], row.record["most"]) == (2.0, 1.0, 3.0)
    assert "2.00× (1.00–3.00)" in str(row)
    assert "≥ 2" in str(row)
    assert "a reason" not in str(row)  # it is for rows where we are slower
    assert str(bench.Row("memory", "them", 4, 2.0, unit="MB", why="a reason")).endswith("a reason")


def test_both_are_called_in_turn_after_one_turn_to_warm_up(bench, monkeypatch):
    calls, now = [], [0.0]
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(bench.time, "sleep", lambda seconds: calls.append("pause"))

    def taking(name, seconds):
        def function():
            calls.append(name)
            now[0] += seconds

        return function

    ours, theirs = bench.alternate(taking("ours", 0.07), taking("theirs", 3.0), repeats=3)
    assert calls == ["pause", "ours", "ours", "pause", "theirs"] * 4  # what is short is called until a turn is over
    assert ours == pytest.approx([0.07] * 3)
    assert theirs == pytest.approx([3.0] * 3)


def test_a_run_leaves_its_rows_and_its_circumstances(bench, monkeypatch, tmp_path, capsys):
    module = ModuleType("benchmarks.pretend", "One thing.\n\nMore.")
    module.main = lambda repeats: [
        bench.Row("a step", "them", [1.0] * repeats, [3.0] * repeats),
        bench.Missing("another", "a library", "pip install it"),
    ]
    monkeypatch.setitem(sys.modules, "benchmarks.pretend", module)
    bench.measure("pretend", 2, tmp_path / "bench")
    kept = json.loads((tmp_path / "bench" / "pretend.json").read_text())
    assert kept["what"] == "One thing."
    assert kept["rows"][0]["theirs"] == [3.0, 3.0]
    assert kept["rows"][0]["ratio"] == 3
    assert kept["rows"][1]["missing"] == "pip install it"
    assert {"cores", "threads", "versions", "commit", "dirty", "date", "load"} <= kept.keys()
    assert "│ pip install it" in capsys.readouterr().out


def test_what_cannot_be_measured_here_keeps_what_was_measured_before(bench, monkeypatch, tmp_path, capsys):
    module = ModuleType("benchmarks.pretend", "One thing.")
    monkeypatch.setitem(sys.modules, "benchmarks.pretend", module)

    def run(*rows):
        module.main = lambda repeats: list(rows)
        bench.measure("pretend", 1, tmp_path)
        return json.loads((tmp_path / "pretend.json").read_text())

    step, other = bench.Row("a step (of two)", "a library", 1.0, 3.0), bench.Row("a step", "them", 1.0, 2.0)
    missing = bench.Missing("a step", "a library", "pip install it")
    before = run(step, other)
    assert run() == run(missing) == before
    assert "nothing was measured" in capsys.readouterr().out
    after = run(missing, bench.Row("a step", "them", 1.0, 4.0))
    assert [row["ratio"] for row in after["rows"]] == [3, 4]
    of = f"{before['commit'][:7]} on {before['date']}"
    assert after["rows"][0] == {"of": of} | before["rows"][0]
    assert run(missing, other)["rows"][0]["of"] == of  # also after the next time
    page = importlib.import_module("benchmarks._report").report(tmp_path)
    assert f"a step (of two), against a library: kept from {of}." in page


def test_a_process_that_fails_says_why(bench):
    assert bench.fresh("import sys; print('first'); print(sys.argv[1])", 7) == "7"
    with pytest.raises(RuntimeError, match="no such luck"):
        bench.fresh("raise ValueError('no such luck')")


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_says_what_both_did(name, bench):
    text = (ROOT / "benchmarks" / f"{name}.py").read_text()
    assert text.startswith('"""')
    assert "def main(repeats: int" in text


def test_the_benchmark_for_a_gpu_runs_where_there_is_none(bench, monkeypatch):
    import torch

    from labkit.data import ImageSet
    from labkit.evaluate import Split
    from labkit.models import ResNet

    one = importlib.import_module("benchmarks.cifar10_gpu_step")
    many = importlib.import_module("benchmarks.cifar10_gpu_accuracy")
    monkeypatch.setattr(one, "resnet18", lambda: ResNet((1, 1), 256, stride=4))
    monkeypatch.setattr(many, "VIEWS", 3)
    monkeypatch.setattr(many, "PACE", 2)
    pixels = torch.randint(0, 256, (48, 3, 32, 32), dtype=torch.uint8)
    splits = {"train": torch.arange(32), "test": torch.arange(32, 48)}
    images = ImageSet(pixels, torch.arange(48) % 2, ("a", "b"), splits)
    for model, bfloat16 in ((one.method("cpu"), True), (one.Plain("cpu"), False)):
        assert 0 < one.step(model, pixels, "cpu", bfloat16, batch_size=8)() < 10
    (model, epochs, first), (_, more, second) = many.trained(pixels[:32], "cpu", budgets=(0.1, 0.5), size=8)
    assert 1 <= epochs <= more
    assert min(first, second) > 0
    plain, averaged = many.accuracies(model, pixels, images.labels, Split.public(images))
    assert 0 <= plain <= 1
    assert 0 <= averaged <= 1
    reached, missed = (many.time_to(90, 60, 300.0, accuracy, 0.95, "a card") for accuracy in (0.901, 0.89))
    assert (reached.ours, reached.theirs) == (300.0, 480.0)
    assert missed.how == "not reached: 89.0 % (95.0 % of averaged features) after 60 epochs, 300 s"


def test_muon_turns_matrices_and_keeps_their_length(bench):
    import torch

    muon = importlib.import_module("benchmarks._muon")
    matrices = torch.randn(2, 6, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for x in (matrices, matrices.mT):
        u, _, vt = torch.linalg.svd(x, full_matrices=False)
        turned = u.mT @ muon.orthogonal(x) @ vt.mT
        values = turned.diagonal(dim1=1, dim2=2)
        torch.testing.assert_close(turned, torch.diag_embed(values))
        assert 0.6 < values.min() <= values.max() < 1.3
    weight, bias = torch.nn.Parameter(torch.randn(4, 3, 2, 2)), torch.nn.Parameter(torch.ones(4))
    optimizer = muon.Muon([weight, bias], lr=0.1, vectors_lr=0.5, momentum=0.9)
    torch.testing.assert_close(weight.norm(), torch.tensor(2.0))
    before = weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        (weight * torch.arange(48.0).view(4, 3, 2, 2)).sum().backward()
        bias.sum().backward()
        optimizer.step()
    assert (weight - before).norm() > 0.1
    sums = bias.new_tensor([1.0, 1.9, 2.71])  # of SGD with Nesterov's momentum, whose steps are g + 0.9 · sum
    torch.testing.assert_close(bias.detach(), torch.full((4,), 1 - 0.5 * (1 + 0.9 * sums).sum().item()))


@pytest.mark.skipif(_cuda(), reason="there is one")
def test_without_a_gpu_its_rows_say_so(bench):
    for name, rows in (("cifar10_gpu_step", 1), ("cifar10_gpu_accuracy", 2)):
        found = list(importlib.import_module(f"benchmarks.{name}").main())
        assert [type(row) for row in found] == [bench.Missing] * rows


def test_speed_md_is_what_was_measured(bench):
    page = importlib.import_module("benchmarks._report").report()
    assert (bench.ROOT / "SPEED.md").read_text() == page, "run `labkit bench`, which writes it"


def test_every_benchmark_was_measured_from_a_commit(bench):
    for path in (bench.ROOT / "results" / "bench").glob("*.json"):
        record = json.loads(path.read_text())
        assert not record["dirty"], f"{path.name} was measured with uncommitted changes"
        for row in record["rows"]:
            short = "missing" not in row and row["ratio"] < max(1, row["asked"] or 1)
            assert not short or row["why"], f"{row['entry']}: short of its aim, and no reason"
