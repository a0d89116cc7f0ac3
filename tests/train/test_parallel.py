"""Two and three processes (gloo) against one with the whole batch: loss, gradients, batch norm, resume, bad input."""

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from labkit import losses
from labkit._processes import gather, processes, rank
from labkit.methods import TwoView
from labkit.models import ResNet
from labkit.papers.vision.all4one import All4One
from labkit.papers.vision.amdim import AMDIM
from labkit.papers.vision.byol import BYOL
from labkit.papers.vision.damaged_jigsaw import unexplained
from labkit.papers.vision.dino import DINO
from labkit.papers.vision.g_simclr import DistinctBatches
from labkit.papers.vision.instdisc import InstDisc
from labkit.papers.vision.moco import MoCo
from labkit.papers.vision.mv_mr import MVMR, pixels
from labkit.papers.vision.nnclr import NNCLR
from labkit.papers.vision.pose_aware import PoseAware
from labkit.papers.vision.scan import SCAN, SelfLabelling
from labkit.papers.vision.simsiam import SimSiam
from labkit.papers.vision.swav import SwAV
from labkit.papers.vision.tldr import TLDR
from labkit.papers.vision.w_mse import WMSE
from labkit.train import Minibatches, fit, seeded
from labkit.train._parallel import _synchronise_batch_norms

LOSSES = {
    "nt_xent": losses.nt_xent,
    "info_nce": losses.info_nce,
    "tiled": partial(losses.nt_xent, block=5),
    "barlow_twins": losses.barlow_twins,
    "vicreg": losses.vicreg,
    "spectral_contrastive": losses.spectral_contrastive,
    "w_mse": losses.w_mse,
    "decoupled": losses.decoupled,
    "decoupled, weighted": partial(losses.decoupled, sigma=0.5),
    "distance_correlation": lambda a, b: 1 - losses.distance_correlation(a, b),
}

MIXED = {"kernels": ((2.0, 0.8), (1.0, 0.5)), "weights": (1, 3)}
RINGS = {
    "ring: nt_xent": losses.nt_xent,
    "ring: nt_xent, tiles": partial(losses.nt_xent, block=3),
    "ring: nt_xent, low temperature": partial(losses.nt_xent, temperature=0.002, block=3),
    "ring: info_nce": partial(losses.info_nce, block=3),
    "ring: kernels": partial(losses.kernel_nt_xent, **MIXED),
    "ring: concatenated kernels": partial(losses.kernel_nt_xent, **MIXED, mixture="concatenation"),
    "ring: sum of losses": partial(losses.kernel_nt_xent, **MIXED, mixture="losses (as released)"),
    "ring: spectral_contrastive": losses.spectral_contrastive,
}

FAMILY = {
    "moco": partial(MoCo, queue=24),
    "byol": BYOL,
    "nnclr": partial(NNCLR, queue=24),
    "dino": partial(DINO, clusters=5),
    "swav": partial(SwAV, clusters=5, dim=4),
}


def test_batch_norms_that_were_synchronised_can_be_pickled():
    encoder = Encoder()
    _synchronise_batch_norms(encoder)
    back = pickle.loads(pickle.dumps(encoder))
    assert [type(part) for part in back] == [type(part) for part in encoder]
    images = torch.rand(5, 1, 6, 6)
    assert torch.equal(back(images), encoder(images))


class Encoder(nn.Sequential):
    """A convolution with two batch norms behind it."""

    dim = 6

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6)
        )


class Wide(Encoder):
    """The same with eight outputs, for attention of four heads."""

    dim = 8

    def __init__(self):
        super().__init__()
        self[4], self[5] = nn.Linear(64, 8), nn.BatchNorm1d(8)


class Views:
    """The image and its mirror in turn: two views without chance, so that processes and the one see the same."""

    def __init__(self):
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        return images if self.calls % 2 else images.flip(-1) * 0.9


METHODS = {
    "simsiam": lambda: SimSiam(Encoder(), Views(), 8, 4),
    "instdisc": lambda: InstDisc(Encoder(), Views(), 24, dim=4, negatives=None),
    "mv_mr": lambda: MVMR(Encoder(), Views(), represent=(pixels,), dim=4),
    "all4one": lambda: All4One(Wide(), Views(), queue=24, neighbours=3),
    "all4one, no centroid": lambda: All4One(Wide(), Views(), queue=24, neighbours=3, centroid=False),
    "amdim, global only": lambda: AMDIM(ResNet((1, 1, 1), 4, 1), Views(), 8, local=False),
    "scan": lambda: SCAN(Encoder(), nn.Identity(), 4),
    "self-labelling": lambda: SelfLabelling(SCAN(Encoder(), nn.Identity(), 4), 0.3),
    "tldr": lambda: TLDR(36, 3, 6),
    "w_mse, the method": lambda: WMSE(Encoder(), Views(), dim=8),
    "pose_aware": lambda: PoseAware(Encoder(), nn.Linear(6, 4), Views()),
}


def build(name: str) -> nn.Module:
    with seeded(0):
        if name in METHODS:
            return METHODS[name]().double()
        if name in FAMILY:
            return FAMILY[name](Encoder(), Views()).double()
        loss = (LOSSES | RINGS)[name]
        return TwoView(Encoder(), nn.Linear(6, 4), Views(), loss, ring=name in RINGS).double()


def images(n: int = 16) -> torch.Tensor:
    return torch.randn(n, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def batch_of(name: str, n: int) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    x = images(n).sigmoid() if name in METHODS else images(n)
    if name == "instdisc":
        return x, torch.arange(n)
    if name == "tldr":
        return x.flatten(1), x.flip(-1).flatten(1)
    if name == "pose_aware":
        return torch.stack([x, x.flip(-1), x.square()], dim=1)
    return (x, x.flip(-1)) if name == "scan" else x


def share(batch: torch.Tensor | tuple) -> torch.Tensor | tuple:
    """What this process sees of a batch."""
    return tuple(map(share, batch)) if isinstance(batch, tuple) else batch[rank() :: processes()]


def sorted_rows(values: torch.Tensor) -> torch.Tensor:
    """Processes put the rows of a batch into a queue in another order."""
    return values[values[:, 0].argsort()] if values.dim() == 2 else values


def one_step(method: nn.Module, trained: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)  # w_mse draws its sub-batches
    loss = trained(batch)
    loss.backward()
    method.after_step()  # momentum encoders, queues and centres
    learning = {name: parameter for name, parameter in method.named_parameters() if parameter.requires_grad}
    found = {f"gradient of {name}": parameter.grad for name, parameter in learning.items()}
    return found | {"loss": loss.detach()} | {name: sorted_rows(x) for name, x in method.named_buffers()}


def trained_weights(**options) -> dict[str, torch.Tensor]:
    settings = {"epochs": 4, "optimizer": "sgd", "lr": 0.01, "progress": False, "precision": "float32"}
    run = fit(build("nt_xent"), Minibatches(images(), 8), **settings | options)
    return run.method.state_dict() | {"history": torch.tensor(run.history["loss"])}


def own_draws() -> list[float]:
    """What a view draws in the steps of a training."""
    seen = []

    def view(images):
        seen.append(torch.rand(()).item())
        return images

    with seeded(0):
        method = TwoView(Encoder(), nn.Linear(6, 4), view, losses.nt_xent).double()
    fit(method, Minibatches(images(), 8), epochs=1, progress=False, precision="float32")
    return seen


def sub_batches() -> torch.Tensor:
    """The loss of the whole batch, which each process knows but draws for with a seed of its own."""
    a, b = torch.randn(2, 24, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(rank())
    return losses.w_mse(a, b, size=8)


def distinct_labels() -> list[int]:
    """Of the whole of a batch in which no label may come twice; each process draws with a seed of its own."""
    labels = torch.arange(40) % 4
    torch.manual_seed(rank())
    return gather(next(iter(DistinctBatches(labels, labels, 4)))).tolist()


def unexplained_share() -> torch.Tensor:
    """A loss with a variance over the batch in it, each process knowing its share of the rows."""
    said, target = torch.randn(2, 24, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return unexplained(share(said), share(target))


def refusals() -> list[str]:
    """Of batches that are large enough, though a process's share of them is not."""
    shuffled = PoseAware(Encoder(), nn.Linear(6, 4), Views(), shuffled=True).double()
    refused = []
    for method, batch in (
        (build("w_mse, the method"), batch_of("w_mse, the method", 16)),
        (shuffled, batch_of("pose_aware", 4)),
    ):
        try:
            method.check(share(batch))
        except ValueError as error:
            refused.append(str(error))
    return refused


def gathered_twice() -> torch.Tensor:
    """The gradient of two gathered shares that meet in one sum."""
    a, b = (images(2)[rank()].requires_grad_() for _ in range(2))
    (gather(a) + gather(b)).square().sum().backward()
    return torch.stack([a.grad, b.grad])


SCRIPT = """
import sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[2])
from labkit._processes import everyone, processes, rank
from labkit.train import Minibatches, fit, joined
from labkit.train._parallel import in_parallel
from test_parallel import FAMILY, LOSSES, METHODS, RINGS, batch_of, build, images, one_step, share, trained_weights
from test_parallel import distinct_labels, gathered_twice, own_draws, refusals, sub_batches, unexplained_share


def step_of(name):  # what holds the process group goes with it, as in fit
    method = build(name)
    torch.manual_seed(rank())
    trained = in_parallel(method, torch.device("cpu"))
    return one_step(method, trained, share(batch_of(name, 8 * processes())))

def steps_of_three(folder):
    steps = {name: step_of(name) for name in RINGS}
    if rank() == 0:
        torch.save(steps, folder / "found.pt")

def all_of_two(folder):
    steps = {name: step_of(name) for name in [*LOSSES, *FAMILY, *METHODS, *RINGS]}
    unbroken = trained_weights()
    file = folder / "checkpoint.safetensors"
    trained_weights(epochs=2, checkpoint=file)
    resumed = trained_weights(checkpoint=file, resume=True)
    refused = []
    for batches in (Minibatches(images(), 7), [images()]):
        try:
            fit(build("nt_xent"), batches, epochs=1)
        except ValueError as error:
            refused.append(str(error))
    each = {what.__name__: everyone(what()) for what in
            (own_draws, sub_batches, gathered_twice, distinct_labels, unexplained_share, refusals)}
    if rank() == 0:
        torch.save([steps, unbroken, resumed, refused, each], folder / "found.pt")

with joined("cpu"):
    (steps_of_three if processes() == 3 else all_of_two)(Path(sys.argv[1]))
"""


def launched(folder: Path, processes: int):
    script = folder / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes]
    command += [script, folder, Path(__file__).parent]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / "found.pt")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return launched(tmp_path_factory.mktemp("two"), 2)


@pytest.fixture(scope="module")
def steps_of_three(tmp_path_factory):
    return launched(tmp_path_factory.mktemp("three"), 3)


def assert_as_in_one_process(step: dict[str, torch.Tensor], name: str, items: int):
    method = build(name)
    expected = one_step(method, method, batch_of(name, items))
    assert step.keys() == expected.keys()
    near = 1e-5 if name in METHODS else 1e-9  # some of them work out their loss in float32
    for what, value in expected.items():
        torch.testing.assert_close(step[what], value, rtol=near, atol=near, msg=f"{name}: {what}")


@pytest.mark.parametrize("name", [*LOSSES, *FAMILY, *METHODS, *RINGS])
def test_loss_gradients_and_batch_norm_are_those_of_the_whole_batch(found, name):
    assert_as_in_one_process(found[0][name], name, 16)


@pytest.mark.parametrize("name", RINGS)
def test_a_ring_of_three_gives_those_of_the_whole_batch(steps_of_three, name):
    assert_as_in_one_process(steps_of_three[name], name, 24)


def test_a_loss_without_a_ring_is_refused():
    with pytest.raises(ValueError, match="has no form for a ring of processes; use ring=False"):
        TwoView(Encoder(), nn.Identity(), Views(), losses.vicreg, ring=True)


def test_training_gives_what_one_process_does(found):
    for name, value in trained_weights().items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-6, atol=1e-9, msg=name)


def test_resume_reaches_the_same_bits(found):
    _, unbroken, resumed, *_ = found
    assert all(torch.equal(resumed[name], value) for name, value in unbroken.items())


def test_what_cannot_be_shared_is_refused(found):
    refused = found[3]
    assert "a batch of 7 can't be shared equally by 2 processes" in refused[0]
    assert "2 processes share the batches of Minibatches; list has none to share" in refused[1]


def test_each_process_draws_views_of_its_own_and_the_first_those_of_a_training_alone(found):
    first, second = found[4]["own_draws"]
    assert first == own_draws()
    assert not set(first) & set(second)


def test_processes_whiten_the_same_sub_batches(found):
    assert found[4]["sub_batches"] == [sub_batches()] * 2


def test_a_batch_is_judged_whole_not_by_a_process_s_share(found):
    assert found[4]["refusals"] == [[], []]


def test_no_label_comes_twice_in_what_processes_share(found):
    first, second = found[4]["distinct_labels"]
    assert first == second
    assert sorted(first) == [0, 1, 2, 3]


def test_what_is_left_unexplained_is_of_the_whole_batch(found):
    for value in found[4]["unexplained_share"]:
        torch.testing.assert_close(value, unexplained_share())


def test_gathered_shares_that_meet_in_a_sum_have_each_their_own_gradient(found):
    whole = 2 * 2 * images(2)  # of (a + b)², where a = b
    for number, gradients in enumerate(found[4]["gathered_twice"]):
        for gradient in gradients:  # summed over two processes that say the same
            torch.testing.assert_close(gradient, 2 * whole[number])


def test_a_last_batch_must_have_two_items_for_each_process(monkeypatch):
    monkeypatch.setattr("labkit.train._batches.processes", lambda: 2)
    for count, batches in ((11, 2), (10, 2), (12, 3), (13, 3)):
        shares = Minibatches(torch.arange(count), 4, drop_last=False)
        assert len(shares) == len(list(shares)) == batches
        assert min(map(len, shares)) == 2
