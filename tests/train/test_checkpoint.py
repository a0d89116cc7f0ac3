"""Checkpoints: resume after a crash, ctrl-C, full disk, and files that are none."""

import errno
import math
import os
import warnings
from functools import partial

import pytest
import torch
from autoencoder import Autoencoder, Picture, build, items, same, train
from torch import nn

from labkit.evaluate import collapse
from labkit.methods import Method, SkipGram
from labkit.train import Minibatches, Run, _fit, fit, seeded


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


@pytest.mark.parametrize("place", ["snapshot", "look"])
def test_ctrl_c_between_the_steps_and_the_end_of_an_epoch_leaves_that_epoch_out_whole(monkeypatch, place):
    class Seen(Autoencoder):
        def forward(self, x):
            self.seen = {"h": (self.encoder(x).detach(),), "z": (self.encoder(x).detach(),)}
            return super().forward(x)

    calls = []

    def at_the_fourth(plainly, *args):
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plainly(*args)

    of = "labkit.train._fit._snapshot" if place == "snapshot" else "labkit.train._run.collapse"
    monkeypatch.setattr(of, partial(at_the_fourth, _fit._snapshot if place == "snapshot" else collapse))
    with pytest.warns(UserWarning, match="stopped by hand after"):
        run = fit(Seen(), Minibatches(items(), 8), epochs=4, snapshots=range(5), watch=items(), progress=False)
    done = 2 if place == "snapshot" else 1  # the first snapshot is of epoch 0; two looks an epoch
    assert run.epochs == done
    assert {len(column) for column in [*run.history.values(), *run.spectra.values()]} == {done}
    assert list(run.snapshots) == list(range(done + 1))


@pytest.mark.parametrize(("seconds", "epochs"), [(0, [1, 2, 3]), (1e9, [3])])
def test_a_checkpoint_is_written_no_more_often_than_asked_and_at_the_end(tmp_path, monkeypatch, seconds, epochs):
    written = []
    monkeypatch.setattr(
        "labkit.train._checkpoint.write_tensors", lambda _, __, facts: written.append(len(facts["history"]["loss"]))
    )
    train(epochs=3, snapshots=[], checkpoint=tmp_path / "c", checkpoint_seconds=seconds)
    assert written == epochs


@pytest.mark.misfortune("full disk or read-only folder")
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch, capsys):
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
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # python -W error
        assert train(epochs=4, snapshots=[], checkpoint=checkpoint, checkpoint_seconds=0, resume=True).epochs == 4
    assert "(No space left on device)" in capsys.readouterr().err


def with_buffer(value):
    method = build()
    method.register_buffer("adjacency", value)
    return method


class Told(Autoencoder):
    def get_extra_state(self):
        return {"name": "x"}

    def set_extra_state(self, state):
        pass


@pytest.mark.parametrize(("method", "named"), [
    (with_buffer(torch.eye(6).to_sparse()), "adjacency"),
    (with_buffer(torch.eye(6, dtype=torch.complex128)), "adjacency"),
    (Told(), "_extra_state"),
], ids=["sparse", "complex", "extra state"])  # fmt: skip
def test_what_no_file_can_hold_is_refused_before_training_and_by_name(tmp_path, method, named):
    before = method.decoder.weight.clone()
    message = f"Autoencoder|Told holds {named}, which no file of labkit's can keep"
    with pytest.raises(ValueError, match=message):
        fit(method, [items()], epochs=1, checkpoint=tmp_path / "c", progress=False)
    assert torch.equal(method.decoder.weight, before)
    run = fit(method, [items()], epochs=1, progress=False)
    with pytest.raises(ValueError, match=message):
        run.save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


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


def test_a_cosine_schedule_is_not_resumed_with_another_length(tmp_path):
    file = tmp_path / "run.safetensors"
    train(epochs=2, snapshots=[], schedule="cosine", checkpoint=file)
    with pytest.raises(ValueError, match=r"with epochs=2 \(2 epochs done\), this one has epochs=4"):
        train(epochs=4, snapshots=[], schedule="cosine", checkpoint=file, resume=True)


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


def test_a_resumed_run_does_not_silently_lack_snapshots(tmp_path):
    train(epochs=3, snapshots=[0, 3], checkpoint=tmp_path / "c")
    with pytest.raises(ValueError, match=r"snapshots asks for epochs \[2\], which .* has passed without keeping them"):
        train(epochs=5, snapshots=[0, 2, 4], checkpoint=tmp_path / "c", resume=True)
    assert sorted(train(epochs=5, snapshots=[0, 4], checkpoint=tmp_path / "c", resume=True).snapshots) == [0, 3, 4]


def test_other_data_are_not_gone_on_with(tmp_path):
    x, options = items(), {"checkpoint": tmp_path / "c", "progress": False}
    for batches in (Minibatches, lambda x, _: [x]):
        fit(build(), batches(x, 8), epochs=1, **options)
        other = x.clone()
        other[30, 2] += 1
        with pytest.raises(ValueError, match="comes from a run with checksum of the data="):
            fit(build(), batches(other, 8), epochs=2, resume=True, **options)
        assert fit(build(), batches(x.clone(), 8), epochs=2, resume=True, **options).epochs == 2


def test_another_precision_is_not_gone_on_with(tmp_path):
    train(epochs=2, snapshots=[], checkpoint=tmp_path / "c", precision="float32")
    with pytest.raises(ValueError, match="precision='float32'"):
        train(epochs=3, snapshots=[], checkpoint=tmp_path / "c", precision="bfloat16", resume=True)


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
