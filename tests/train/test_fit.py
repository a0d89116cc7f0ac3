"""The training loop: determinism, precision, schedules, snapshots, bad input."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from autoencoder import Autoencoder, Picture, build, items, same, train
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from torch_geometric.data import Data

from labkit.losses import nt_xent
from labkit.methods import Method
from labkit.train import Minibatches, Run, choose_device, fit, seeded, to_device


def test_same_seed_same_bits_and_the_world_outside_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one = train()
    assert torch.equal(torch.rand(3), expected)
    assert same(one, train())
    assert one.history["loss"] != train(seed=1).history["loss"]
    assert one.method.steps == 30
    assert not one.method.training
    assert list(one.snapshots) == [0, 3, 6]
    assert one.epochs == 6
    assert repr(one).startswith("Run(Autoencoder, 6 epochs in ")
    assert repr(train(epochs=1, snapshots=[0])).startswith("Run(Autoencoder, 1 epoch in ")


def test_run_saves_and_loads(tmp_path):
    run = train()
    run.events.append((3, "an eigenvalue rises"))
    run.save(tmp_path / "run.safetensors")
    back = Run.load(tmp_path / "run.safetensors", Autoencoder())
    assert same(back, run)
    assert back.events == run.events


def test_a_loss_that_blows_up_is_reported():
    with pytest.raises(FloatingPointError, match=r"in epoch 1; lower the learning rate"):
        train(lr=1e30, optimizer="sgd")


def test_weights_whose_sum_overflows_are_no_divergence():
    method = Autoencoder()
    method.decoder.register_parameter("large", nn.Parameter(torch.full((4,), 2e38), requires_grad=False))
    assert fit(method, [items()], epochs=1, progress=False).epochs == 1


class Contrast(Autoencoder):
    def forward(self, x):
        return nt_xent(self.encoder(x), self.encoder(x))


def test_what_a_loss_refuses_is_bad_input_before_the_first_step_and_divergence_after_it():
    x = items()
    with pytest.raises(ValueError, match="a holds NaN or infinite values in 40 of 40 rows"):
        fit(Contrast(), [x * math.nan], epochs=1, progress=False)
    with pytest.raises(FloatingPointError, match="what the loss is of became NaN") as refused:
        fit(Contrast(), Minibatches(x, 8), epochs=1, lr=1e38, optimizer="sgd", progress=False)
    assert "has training diverged" in str(refused.value.__cause__)

    class Small(Contrast):
        def forward(self, x):
            return nt_xent(self.encoder(x), self.encoder(x), temperature=1 - int(self.steps))

    with pytest.raises(ValueError, match="temperature must be a positive"):
        fit(Small(), [x], epochs=3, progress=False)


@pytest.mark.parametrize(("name", "make"), [
    ("sgd", partial(torch.optim.SGD, momentum=0.9)), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW),
])  # fmt: skip
def test_training_is_the_loop_that_one_would_write(name, make):
    """Three batches, two epochs: cosine rate of each step, momentum, decay, training mode, mean loss."""
    batches, trained = items().split(14), build()
    run = fit(trained.eval(), batches, epochs=2, seed=5, lr=0.1, optimizer=name, weight_decay=0.3, schedule="cosine",
              progress=False, precision="float32")  # fmt: skip
    method, history = build(), []
    optimizer = make(method.parameters(), lr=0.1, weight_decay=0.3, fused=True)
    with seeded(5):
        for epoch in range(2):
            losses = []
            for step, batch in enumerate(batches):
                optimizer.param_groups[0]["lr"] = 0.1 * 0.5 * (1 + math.cos(math.pi * (epoch + step / 3) / 2))
                loss = method(batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                method.after_step()
                losses.append(loss.item())
            history.append(sum(losses) / 3)
    for name, value in method.state_dict().items():
        assert torch.equal(trained.state_dict()[name], value), name
    assert run.history["loss"] == pytest.approx(history, rel=1e-6)


def test_what_is_not_said_is_what_the_docstring_says():
    said = {"seed": 0, "optimizer": "adam", "lr": 1e-3, "weight_decay": 0.0, "schedule": "constant"}
    assert same(train(), train(**said))


def test_dropout_is_active_in_training_after_an_embed_that_forgets_to_switch_it_on_again():
    class Forgetful(Autoencoder):
        def embed(self, x):
            return self.eval().encoder(x)

        def forward(self, x):
            modes.append(self.encoder[2].training)
            return super().forward(x)

    modes, x = [], items()
    fit(Forgetful(), [x], epochs=3, snapshots=[0, 1, 2, 3], watch=x, progress=False)
    assert modes == [True] * 3


@pytest.mark.parametrize(("precision", "seen"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_the_forward_pass_runs_in_the_precision_asked_for(precision, seen):
    class Looking(Autoencoder):
        def forward(self, x):
            kinds.append(self.decoder(self.encoder(x)).dtype)
            return super().forward(x)

    kinds = []
    fit(Looking(), [items()], epochs=1, precision=precision, device="cpu", progress=False)
    assert kinds == [seen]


@pytest.mark.parametrize("hardware", [True, False])
def test_auto_is_bfloat16_for_vision_where_the_hardware_has_it(monkeypatch, hardware):
    class Looking(Picture):
        def forward(self, x):
            kinds.append(self.encoder(x).dtype)
            return super().forward(x).float()

    kinds = []
    monkeypatch.setattr("labkit.train._device.has_bfloat16", lambda device: hardware)
    fit(Looking(), [torch.randn(8, 3, 6, 6)], epochs=1, device="cpu", progress=False)
    fit(build(), [items()], epochs=1, device="cpu", progress=False)  # neither convolution nor attention
    assert kinds == [torch.bfloat16 if hardware else torch.float32]
    method = Looking()
    method.needs_float32 = True
    fit(method, [torch.randn(8, 3, 6, 6)], epochs=1, device="cpu", progress=False)
    assert kinds[1] == torch.float32
    fit(method, [torch.randn(8, 3, 6, 6)], epochs=1, precision="bfloat16", device="cpu", progress=False)
    assert kinds[2] == torch.bfloat16  # who asks for it has it


def test_a_check_that_draws_changes_neither_the_world_outside_nor_the_training():
    class Trying(Autoencoder):
        def check(self, x):
            torch.rand(7)

    with seeded(0):
        method = Trying()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    run = fit(method, Minibatches(items(), 8), epochs=2, progress=False)
    assert torch.equal(torch.rand(3), expected)
    assert same(run, train(epochs=2, snapshots=[]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"epochs": True}, "epochs must be a whole number"),
        ({"lr": 0}, "lr must be a positive"),
        ({"weight_decay": -1}, "weight_decay must lie between 0 and inf"),
        ({"schedule": "linear"}, "schedule must be"),
        ({"snapshots": [7]}, "outside 0 to 6"),
        ({"watch": None}, "snapshots needs watch"),
        ({"resume": True}, "resume=True needs checkpoint"),
        ({"precision": "float8"}, "no precision named"),
        ({"optimizer": "lion"}, "there is no optimizer named 'lion'"),
        ({"optimizer": torch.optim.Adam, "lr": 0.1}, "put them into the callable"),
        ({"optimizer": torch.optim.Adam, "weight_decay": 0.0}, "put them into the callable"),
        ({"device": "tpu9"}, "device 'tpu9' is unknown"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        train(**options)


def test_bad_batches_and_methods_are_named():
    with pytest.raises(ValueError, match="empty"):
        fit(build(), [], epochs=1)
    with pytest.raises(TypeError, match="batches must hold tensors, graphs or the like, not 'a' "):
        fit(build(), ["a", "b"], epochs=1)
    with pytest.raises(ValueError, match="not a generator"):
        fit(build(), (x for x in items().split(8)), epochs=1)
    with pytest.raises(TypeError, match="labkit Method"):
        fit(nn.Linear(2, 2), [items()], epochs=1)
    lacking = nn.Linear(2, 2)
    lacking.embed = lacking.forward
    with pytest.raises(TypeError, match=r"with embed\(batch\) and after_step\(\), not Linear"):
        fit(lacking, [items()], epochs=1)
    with pytest.raises(TypeError, match=r"hand in \[data\], not a Data alone"):
        fit(build(), Data(x=items(), edge_index=torch.zeros(2, 1).long()), epochs=1)
    with pytest.raises(ValueError, match="no trainable parameters"):
        fit(build().requires_grad_(False), [items()], epochs=1)
    with pytest.raises(ValueError, match="size must be between 1 and the number of items, 40"):
        Minibatches(items(), 41)

    class Endless(IterableDataset):
        def __iter__(self):
            return iter(items())

    with pytest.raises(ValueError, match="nor an IterableDataset's"):
        fit(build(), DataLoader(Endless(), 8), epochs=1)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            choose_device("cuda")


def test_what_no_gradient_can_pass_is_said_in_one_sentence():
    class Detached(Autoencoder):
        def forward(self, x):
            return super().forward(x).detach()

    with pytest.raises(ValueError, match="a loss without gradient"):
        fit(Detached(), [items()], epochs=1, progress=False)
    for without in (torch.no_grad, torch.inference_mode):
        with without(), pytest.raises(ValueError, match=r"call it outside torch.no_grad\(\)"):
            fit(build(), [items()], epochs=1, progress=False)
    with torch.inference_mode():
        method, x = build(), items()
    with pytest.raises(ValueError, match=r"Autoencoder was built inside torch.inference_mode\(\)"):
        fit(method, [items()], epochs=1, progress=False)

    class Plain(Autoencoder):
        def forward(self, x):
            return self.encoder(x).square().mean()

    with pytest.raises(ValueError, match=r"batches hold tensors made inside torch.inference_mode\(\)"):
        fit(Plain(), [x], epochs=1, progress=False)
    assert fit(Plain(), Minibatches(x, 8), epochs=1, progress=False).epochs == 1  # its batches are copies


def test_minibatches_cover_whole_batches_once_an_epoch():
    batches = Minibatches(torch.arange(10)[:, None], 4)
    seen = torch.cat(list(batches)).flatten().tolist()
    assert len(seen) == len(set(seen)) == 8
    assert len(batches) == 2
    assert repr(batches) == "Minibatches(2 × 4 of 10)"


@pytest.mark.gpu
def test_trains_on_cuda():
    run = train(device="cuda")
    assert next(run.method.parameters()).is_cuda
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_a_cosine_schedule_keeps_the_rates_of_an_optimiser_of_one_s_own():
    made = []

    def optimiser(parameters):
        first, *rest = parameters
        made.append(torch.optim.SGD([{"params": [first], "lr": 0.5}, {"params": rest}], lr=0.1))
        return made[0]

    fit(build(), [items()], epochs=4, optimizer=optimiser, schedule="cosine", progress=False)
    share = 0.5 * (1 + math.cos(math.pi * 3 / 4))
    assert [group["lr"] for group in made[0].param_groups] == pytest.approx([0.5 * share, 0.1 * share])


def test_a_rate_warms_up_over_a_tenth_of_the_steps_and_falls_to_nothing():
    rates = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    fit(build(), Minibatches(items(), 8), epochs=10, progress=False, schedule="warmup-cosine",
        optimizer=lambda parameters: Watched(parameters, lr=0.3))  # fmt: skip
    steps = len(rates)
    warm, rest = steps // 10, steps - steps // 10
    assert steps % 10 == 0 and warm > 1  # noqa: PT018
    assert rates[:warm] == pytest.approx([0.3 * step / warm for step in range(warm)])
    cosine = [0.15 * (1 + math.cos(math.pi * step / rest)) for step in range(rest)]
    assert rates[warm:] == pytest.approx(cosine)


def test_a_subclass_of_minibatches_stays_one_on_another_device():
    class Noisy(Minibatches):
        def __iter__(self):
            return (batch + 1 for batch in super().__iter__())

    moved = Noisy(torch.zeros(8, 2), 4).to(torch.device("cpu"))
    assert torch.equal(next(iter(moved)), torch.ones(4, 2))


NUMPY = """
import sys
import numpy as np, torch
from autoencoder import Autoencoder, items
from labkit.claims import Evidence
from labkit.recipes._recipe import chosen_seeds
from labkit.train import Minibatches, fit
numbers = {"epochs": np.int64(1), "seed": np.int64(3), "lr": np.float32(0.5), "weight_decay": np.float32(0)}
x = items()
run = fit(Autoencoder(), Minibatches(x, 8), watch=x, checkpoint=sys.argv[1] + "/c", progress=False, **numbers)
run.save(sys.argv[1] + "/run")
assert chosen_seeds(np.arange(2)) == chosen_seeds(np.int64(2)) == [0, 1]
assert type(Evidence([np.float32(1), np.float32(2)], [0, 0], "a", "b").treatment[0]) is float
"""


def test_numpy_s_numbers_are_as_good_as_python_s(tmp_path):
    """In a process without the checks of annotations that tests have: NumPy's whole numbers are no int to those."""
    subprocess.run([sys.executable, "-c", NUMPY, str(tmp_path)], check=True, cwd=Path(__file__).parents[1])


def test_mappings_and_named_tuples_go_to_a_device_whole():
    class Pair(NamedTuple):
        x: torch.Tensor
        y: torch.Tensor

    cpu, ones = torch.device("cpu"), torch.ones(2)
    assert to_device(Pair(ones, ones), cpu).y is ones
    assert to_device({"x": ones.to("cpu")}, cpu)["x"] is ones


def test_numbered_batches_say_which_rows_they_are():
    rows = torch.arange(20.0)[:, None] * 7
    torch.manual_seed(0)
    seen = [(part, place) for part, place in Minibatches(rows, 6, drop_last=False, numbered=True)]
    assert all(torch.equal(rows[place], part) for part, place in seen)
    assert torch.cat([place for _, place in seen]).sort().values.tolist() == list(range(20))


def test_anything_with_a_loss_and_an_embedding_is_trained():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, batch):
            return (self.weight * batch).square().mean()

        def embed(self, batch):
            return batch

        def after_step(self):
            pass

    assert fit(Bare(), [torch.ones(3)], epochs=2, progress=False).epochs == 2


@pytest.mark.parametrize(("loss", "found"), [(lambda x: x.flatten()[:1] * 0, r"shape \[1\]"), (lambda _: 0.5, "float")])
def test_a_loss_is_one_number(loss, found):
    method = Autoencoder()
    method.forward = loss
    with pytest.raises(ValueError, match=f"must return a loss without dimensions, not {found}"):
        fit(method, [torch.randn(4, 6)], epochs=1, progress=False)


def test_the_mean_of_many_small_losses_keeps_its_digits():
    class Constant(Autoencoder):
        def forward(self, batch):
            return 0.1 + 0 * super().forward(batch)

    run = fit(Constant(), [torch.zeros(2, 6)] * 4000, epochs=1, progress=False)
    assert run.history["loss"][0] == pytest.approx(float(torch.tensor(0.1)), rel=1e-7)


def test_snapshots_of_one_batch_keep_the_order_of_the_items():
    x = items()
    for batches in (Minibatches(x, 40), Minibatches(x, 40, numbered=True), [x]):
        method = build()
        method.forward = lambda x, method=method: Autoencoder.forward(method, x[0] if isinstance(x, tuple) else x)
        run = fit(method, batches, epochs=2, snapshots=[2], progress=False)
        assert torch.equal(run.snapshots[2], run.method.embed(x))


def test_a_look_at_the_first_batch_draws_from_the_seed_and_leaves_the_world_outside_alone():
    class Drawn(Autoencoder):
        def check(self, x):
            self.looked_at = x

    loader, looks = DataLoader(items(), 8, shuffle=True), []
    for outside in (0, 1):
        method = Drawn()
        torch.manual_seed(outside)
        before = torch.get_rng_state()
        looks.append(fit(method, loader, epochs=1, seed=3, progress=False).method.looked_at)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*looks)


def test_snapshots_of_a_batch_that_is_drawn_anew_need_to_be_told_of_what():
    x = items()
    for batches in (DataLoader(x, 40, shuffle=True), DataLoader(x, 40)):
        with pytest.raises(ValueError, match="beside a DataLoader, whose batch may be drawn"):
            fit(build(), batches, epochs=1, snapshots=[1], progress=False)
        run = fit(build(), batches, epochs=1, snapshots=[1], watch=x, progress=False)
        assert torch.equal(run.snapshots[1], run.method.embed(x))


@pytest.mark.parametrize("make", [np.array, torch.tensor, tuple, set])
def test_snapshots_may_be_any_collection_of_whole_numbers(make):
    assert list(train(snapshots=make([0, 3])).snapshots) == [0, 3]


class Plain(nn.Module):
    """Of somebody who knows torch and has not heard of ``inference``."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.back = nn.Linear(8, 6)

    def forward(self, x):
        return (self.back(self.body(x)) - x).square().mean()

    def embed(self, x):
        return self.body(x)

    def after_step(self):
        pass


class Derived(Plain, Method):
    def embed(self, x):
        return self.body(x)


@pytest.mark.parametrize("kind", [Plain, Derived])
def test_a_look_at_the_embedding_changes_no_training_whoever_wrote_it(kind):
    x, watched = torch.randn(40, 6), 5 + torch.randn(30, 6)
    runs = []
    for snapshots in ([], [1, 2, 3]):
        with seeded(0):
            method = kind()
        runs.append(fit(method, Minibatches(x, 8), epochs=3, snapshots=snapshots, watch=watched, progress=False))
    for a, b in zip(*(run.method.state_dict().values() for run in runs), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(runs[1].snapshots[3], runs[1].method.eval().embed(watched))
    assert not runs[1].snapshots[3].requires_grad


def test_a_method_of_ones_own_embeds_in_evaluation_mode_and_stays_in_the_mode_it_was_in():
    method = Derived()
    first = method.embed(torch.ones(5, 6))
    assert torch.equal(first, method.embed(torch.ones(5, 6)))
    assert method.training
    assert method.body[1].num_batches_tracked == 0


def test_an_embedding_that_can_not_be_is_told_before_training():
    class Late(Plain):
        steps = 0

        def forward(self, x):
            Late.steps += 1
            return super().forward(x)

    with pytest.raises(RuntimeError):
        fit(Late(), [torch.randn(40, 6)], snapshots=[2], watch=torch.randn(4, 5), epochs=2, progress=False)
    assert Late.steps == 0
