"""The training loop: determinism, resume after kill -9, ctrl-C, full disk, bad input."""

import errno
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from labkit.losses import nt_xent
from labkit.methods import Method, SkipGram, inference
from labkit.train import Minibatches, Run, choose_device, fit, seeded, to_device


class Autoencoder(Method):
    """The smallest method with everything that must survive a resume: dropout, batch statistics, a momentum copy."""

    def __init__(self, dim=6):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(dim, 4), nn.BatchNorm1d(4), nn.Dropout(0.3))
        self.decoder = nn.Linear(4, dim)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        noisy = x + 0.1 * torch.randn_like(x)
        return (self.decoder(self.encoder(noisy)) - x).square().mean()

    @inference
    def embed(self, x):
        return self.encoder(x)

    def after_step(self):
        self.steps += 1


def items():
    return torch.randn(40, 6, generator=torch.Generator().manual_seed(1))


def build():
    with seeded(0):
        return Autoencoder()


def train(**options):
    x = items()
    arguments = {"epochs": 6, "snapshots": [0, 3, 6], "watch": x, "progress": False} | options
    return fit(build(), Minibatches(x, 8), **arguments)


def same(one: Run, other: Run) -> bool:
    weights = zip(one.method.state_dict().values(), other.method.state_dict().values(), strict=True)
    shots = all(torch.equal(one.snapshots[epoch], other.snapshots[epoch]) for epoch in other.snapshots)
    return (
        one.history["loss"] == other.history["loss"]
        and all(torch.equal(a, b) for a, b in weights)
        and one.snapshots.keys() == other.snapshots.keys()
        and shots
    )


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


@pytest.mark.parametrize("schedule", ["constant", "cosine", "warmup-cosine"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_resume_reaches_the_same_numbers(tmp_path, schedule, optimizer):
    options = {"schedule": schedule, "optimizer": optimizer, "weight_decay": 1e-3}
    whole = train(**options)

    class Stop(Minibatches):
        """Raises in the fourth epoch, as a crash would."""

        epoch = 0

        def __iter__(self):
            Stop.epoch += 1
            if Stop.epoch == 5:  # `fit` looks at the first batch once before training
                raise RuntimeError("power cut")
            return super().__iter__()

        def to(self, device):
            return self

    checkpoint = tmp_path / "run.safetensors"
    keep = {"checkpoint": checkpoint, "checkpoint_seconds": 0, "progress": False}
    x = items()
    with pytest.raises(RuntimeError, match="power cut"):
        fit(build(), Stop(x, 8), epochs=6, snapshots=[0, 3, 6], watch=x, **options, **keep)
    with seeded(99):
        other_start = Autoencoder()
    resumed = fit(
        other_start, Minibatches(x, 8), epochs=6, snapshots=[0, 3, 6], watch=x, resume=True, **options, **keep
    )
    assert same(resumed, whole)
    assert same(Run.load(checkpoint, Autoencoder()), whole)


class Picture(Autoencoder):
    """Weights that lie channels last, as those of vision encoders do."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    def forward(self, x):
        return (self.encoder(x) - torch.randn(4, 1, 1)).square().mean()


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_momenta_go_on_beside_the_weights_they_belong_to(tmp_path, optimizer):
    x = torch.randn(8, 3, 6, 6)

    def train(epochs, **keep):
        with seeded(0):
            method = Picture()
        return fit(method, [x], epochs=epochs, lr=0.1, optimizer=optimizer, progress=False, **keep)

    train(3, checkpoint=tmp_path / "c")
    assert same(train(6, checkpoint=tmp_path / "c", resume=True), train(6))


def test_what_an_optimiser_keeps_in_float32_beside_doubles_stays_so(tmp_path):
    x, options = items().double(), {"optimizer": partial(torch.optim.NAdam, lr=0.01), "progress": False}

    def train(epochs, **keep):
        return fit(build().double(), [x], epochs=epochs, **options, **keep)

    train(3, checkpoint=tmp_path / "c")
    assert same(train(6, checkpoint=tmp_path / "c", resume=True), train(6))


def test_ctrl_c_leaves_a_usable_run_and_the_checkpoint_of_a_finished_epoch(tmp_path):
    class Interrupted(Autoencoder):
        def after_step(self):
            super().after_step()
            if self.steps == 12:
                raise KeyboardInterrupt

    x = items()
    file = tmp_path / "run.safetensors"
    keep = {"epochs": 6, "snapshots": [2], "watch": x, "progress": False, "checkpoint": file, "checkpoint_seconds": 0}
    with seeded(0):
        method = Interrupted()
    with pytest.warns(UserWarning, match="stopped by hand after 2 of 6 epochs; the weights are those of this moment"):
        run = fit(method, Minibatches(x, 8), **keep)
    assert run.interrupted
    assert run.epochs == 2
    assert run.method.embed(x).shape == (40, 4)
    assert not torch.equal(run.method.embed(x), run.snapshots[2])  # two steps into the third epoch, and it says so
    kept = Run.load(file, Autoencoder())
    assert kept.epochs == 2
    assert torch.equal(kept.method.embed(x), run.snapshots[2])
    assert same(fit(Autoencoder(), Minibatches(x, 8), resume=True, **keep), train(snapshots=[2]))


@pytest.mark.parametrize(("seconds", "epochs"), [(0, [1, 2, 3]), (1e9, [3])])
def test_a_checkpoint_is_written_no_more_often_than_asked_and_at_the_end(tmp_path, monkeypatch, seconds, epochs):
    written = []
    monkeypatch.setattr(
        "labkit.train._checkpoint.write_tensors", lambda _, __, facts: written.append(len(facts["history"]["loss"]))
    )
    train(epochs=3, snapshots=[], checkpoint=tmp_path / "c", checkpoint_seconds=seconds)
    assert written == epochs


@pytest.mark.misfortune("full disk or read-only folder")
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    checkpoint = tmp_path / "run.safetensors"
    train(epochs=2, snapshots=[], checkpoint=checkpoint, checkpoint_seconds=0)
    before = checkpoint.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match=r"was not written \(No space left on device\)"):
        run = train(epochs=4, snapshots=[], checkpoint=checkpoint, checkpoint_seconds=0, resume=True)
    assert run.epochs == 4
    assert checkpoint.read_bytes() == before
    assert list(tmp_path.iterdir()) == [checkpoint]


@pytest.mark.attack("checkpoints")
def test_torn_and_foreign_checkpoints_are_refused(tmp_path):
    checkpoint = tmp_path / "run.safetensors"
    train(checkpoint=checkpoint)
    whole = checkpoint.read_bytes()
    for torn in (whole[:-100], whole[:20], b"", b"\xff" * 8 + whole[8:]):
        checkpoint.write_bytes(torn)
        with pytest.raises(ValueError, match="torn or was not written by labkit"):
            train(checkpoint=checkpoint, resume=True)
    checkpoint.write_bytes(whole)
    with pytest.raises(ValueError, match=r"with lr=0\.001 .* this one has lr=0\.5"):
        train(checkpoint=checkpoint, resume=True, lr=0.5)
    with pytest.raises(ValueError, match=r"with epochs=6 \(6 epochs done\), this one has epochs=5"):
        train(checkpoint=checkpoint, resume=True, epochs=5, snapshots=[])
    with pytest.raises(ValueError, match="another method"):
        Run.load(checkpoint, Autoencoder(dim=5))
    with pytest.raises(FileNotFoundError):
        Run.load(tmp_path / "none", Autoencoder())


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


def test_weights_that_blow_up_in_the_last_step_of_an_epoch_spare_the_checkpoint(tmp_path):
    class Poisoned(Autoencoder):
        def after_step(self):
            super().after_step()
            if self.steps == 10:
                self.decoder.weight.data[0, 0] = math.inf

    x, file = items(), tmp_path / "run.safetensors"
    with pytest.raises(FloatingPointError, match="weights became NaN or infinite in epoch 2; lower the learning rate"):
        fit(Poisoned(), Minibatches(x, 8), epochs=3, checkpoint=file, checkpoint_seconds=0, progress=False)
    assert Run.load(file, Autoencoder()).epochs == 1


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


def test_a_cosine_schedule_is_not_resumed_with_another_length(tmp_path):
    file = tmp_path / "run.safetensors"
    train(epochs=2, snapshots=[], schedule="cosine", checkpoint=file)
    with pytest.raises(ValueError, match=r"with epochs=2 \(2 epochs done\), this one has epochs=4"):
        train(epochs=4, snapshots=[], schedule="cosine", checkpoint=file, resume=True)


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
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            choose_device("cuda")


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


class Table(Method):
    """Embeds with its own weights, and reaches its encoder under two names."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(6, 3)
        self.network = nn.Sequential(self.encoder)

    def forward(self, x):
        return self.network(torch.arange(6)).square().mean()

    def embed(self, x):
        return self.encoder.weight


def test_snapshots_of_the_weights_themselves_are_copies_and_shared_weights_can_be_kept(tmp_path):
    file = tmp_path / "run.safetensors"
    run = fit(Table(), [items()], epochs=3, snapshots=[0, 3], watch=items(), checkpoint=file, progress=False)
    assert not torch.equal(run.snapshots[0], run.snapshots[3])
    assert torch.equal(run.snapshots[3], run.method.encoder.weight)
    assert fit(Table(), [items()], epochs=3, checkpoint=file, resume=True, progress=False).epochs == 3


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


def test_a_resumed_run_does_not_silently_lack_snapshots(tmp_path):
    train(epochs=3, snapshots=[0, 3], checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match=r"snapshots asks for epochs \[2\], which .* has passed without keeping them"):
        train(epochs=5, snapshots=[0, 2, 4], checkpoint=tmp_path / "c", resume=True)
    assert sorted(train(epochs=5, snapshots=[0, 4], checkpoint=tmp_path / "c", resume=True).snapshots) == [0, 3, 4]


def test_another_precision_is_not_gone_on_with(tmp_path):
    train(epochs=2, snapshots=[], checkpoint=tmp_path / "c", precision="float32")
    with pytest.raises(ValueError, match="precision='float32'"):
        train(epochs=3, snapshots=[], checkpoint=tmp_path / "c", precision="bfloat16", resume=True)


NUMPY = """
import sys
import numpy as np, torch
from test_fit import Autoencoder, items
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
    subprocess.run([sys.executable, "-c", NUMPY, str(tmp_path)], check=True, cwd=Path(__file__).parent)


def test_mappings_and_named_tuples_go_to_a_device_whole():
    class Pair(NamedTuple):
        x: torch.Tensor
        y: torch.Tensor

    cpu, ones = torch.device("cpu"), torch.ones(2)
    assert to_device(Pair(ones, ones), cpu).y is ones
    assert to_device({"x": ones.to("cpu")}, cpu)["x"] is ones


def test_a_run_goes_on_under_its_own_optimiser_only(tmp_path):
    def train(make, epochs, resume=True):
        where = {"checkpoint": tmp_path / "one", "resume": resume}
        return fit(build(), items().split(14), epochs=epochs, optimizer=make, progress=False, **where)

    rate = partial(torch.optim.SGD, lr=0.01, momentum=0.9)
    train(rate, 1)
    for other in (torch.optim.Adam, partial(torch.optim.SGD, lr=0.02, momentum=0.9), "sgd"):
        with pytest.raises(ValueError, match=r"comes from a run with optimizer=.SGD .*this one has optimizer="):
            train(other, 2)
    assert train(rate, 2).epochs == 2


def test_a_folder_as_checkpoint_and_another_precision_are_refused_before_anything_is_embedded(tmp_path):
    class Watched(Autoencoder):
        def embed(self, x):
            raise AssertionError("looked at before it was refused")

    for wrong, said in (({"checkpoint": tmp_path}, "is a folder"), ({"precision": "float16"}, "no precision named")):
        with pytest.raises(ValueError, match=said):
            fit(Watched(), [items()], epochs=1, snapshots=[0], progress=False, **wrong)


def test_numbered_batches_say_which_rows_they_are():
    rows = torch.arange(20.0)[:, None] * 7
    torch.manual_seed(0)
    seen = [(part, place) for part, place in Minibatches(rows, 6, drop_last=False, numbered=True)]
    assert all(torch.equal(rows[place], part) for part, place in seen)
    assert torch.cat([place for _, place in seen]).sort().values.tolist() == list(range(20))


def test_a_sparse_optimizer_goes_on_to_the_same_bits(tmp_path):
    walks = torch.randint(0, 12, (40, 6), generator=torch.Generator().manual_seed(0))

    def train(epochs, **keep):
        with seeded(0):
            method = SkipGram(12, dim=4, sparse=True)
        how = {"optimizer": lambda weights: torch.optim.SparseAdam(list(weights), lr=0.05), "progress": False}
        return fit(method, Minibatches(walks, 8), epochs=epochs, **how, **keep)

    train(3, checkpoint=tmp_path / "c")
    assert same(train(9, checkpoint=tmp_path / "c", resume=True), train(9))


def test_a_run_that_was_saved_is_no_checkpoint_and_stays_as_it_was(tmp_path):
    train(epochs=1, snapshots=[0]).save(tmp_path / "run")
    with seeded(1):
        method = Autoencoder()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    with pytest.raises(ValueError, match=r"holds a finished run \(Run.save\) and nothing to go on from"):
        fit(method, [torch.randn(4, 6)], epochs=2, checkpoint=tmp_path / "run", resume=True, progress=False)
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_what_a_checkpoint_does_not_hold_is_said_and_training_goes_on(tmp_path):
    class Named(torch.optim.SGD):
        def step(self):
            super().step()
            for group in self.param_groups:
                for parameter in group["params"]:
                    self.state[parameter]["name"] = "x"

    named = {"optimizer": lambda weights: Named(weights, lr=0.1), "checkpoint": tmp_path / "c"}
    with pytest.warns(UserWarning, match="Named remembers 'name' as str"):
        run = train(epochs=2, snapshots=[0], **named)
    assert run.epochs == 2


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


@pytest.mark.parametrize("make", [np.array, torch.tensor, tuple, set])
def test_snapshots_may_be_any_collection_of_whole_numbers(make):
    assert list(train(snapshots=make([0, 3])).snapshots) == [0, 3]
