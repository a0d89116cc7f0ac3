"""The papers of the two-view family: what is a paper's own, written out."""

import pytest
import torch
from torch.nn import functional as F

from labkit.losses import byol, decoupled, dino, info_nce, info_nce_queue, nt_xent
from labkit.methods import Queue
from labkit.papers.vision.all4one import All4One
from labkit.papers.vision.amdim import local_nce
from labkit.papers.vision.dcl import DCL
from labkit.papers.vision.dino import DINO
from labkit.papers.vision.instdisc import InstDisc
from labkit.papers.vision.moco import MoCo
from labkit.papers.vision.nnclr import NNCLR
from labkit.papers.vision.simsiam import SimSiam, negative_cosine
from labkit.papers.vision.w_mse import WMSE, plain_mse
from labkit.train import Minibatches, fit
from labkit.views import GaussianNoise, RandomResizedCrop


class Encoder(torch.nn.Sequential):
    dim = 8

    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(36, 8), torch.nn.Tanh())


def images(n=24):
    return torch.randint(0, 256, (n, 1, 6, 6), dtype=torch.uint8)


view = GaussianNoise(0.1)


def under_autocast(function, *tensors):
    with torch.autocast("cpu", torch.bfloat16):
        return function(*tensors)


@pytest.mark.parametrize("loss", [negative_cosine, lambda q, m: local_nce(q, m[:, :, None, None].expand(-1, -1, 2, 2))])
def test_losses_are_worked_out_in_float32_under_autocast(loss):
    a = torch.randn(32, 16)
    b = (a + 0.1 * torch.randn(32, 16)).bfloat16()
    rounded = a.bfloat16().requires_grad_()
    exact = rounded.detach().double().requires_grad_()
    value, truth = under_autocast(loss, rounded, b), loss(exact, b.double())
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), truth, rtol=1e-5, atol=1e-6)
    value.backward(), truth.backward()
    error = (rounded.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < 0.004  # of the gradient's own rounding to bfloat16 where it leaves


def test_neighbours_in_a_queue_are_the_nearest_under_autocast():
    centres = F.normalize(torch.randn(10, 32), dim=1)
    queue = Queue(512, 32)
    queue.push(centres.repeat(52, 1)[:512] + 0.02 * torch.randn(512, 32))
    asked = F.normalize(centres.repeat(20, 1) + 0.02 * torch.randn(200, 32), dim=1)
    best = (asked.double() @ queue.rows.double().T).amax(1)
    found = (asked.double() * under_autocast(queue.nearest, asked).double()).sum(1)
    torch.testing.assert_close(found, best, rtol=0, atol=1e-6)  # in bfloat16 they are off by up to 4e-3
    method = All4One(Encoder(), view, queue=512, neighbours=5)
    method.queue.rows.copy_(F.normalize(torch.randn(512, method.queue.rows.shape[1]), dim=1))
    asked = torch.randn(50, method.queue.rows.shape[1])
    assert torch.equal(under_autocast(method.found, asked), method.found(asked))


def test_the_full_softmax_over_a_bank_is_in_float32_under_autocast():
    method, x = InstDisc(Encoder(), view, items=40, negatives=None, temperature=0.02), images(8)
    batch, seen = (x, torch.arange(8)), {}
    torch.manual_seed(1)
    method.projector.register_forward_hook(lambda module, given, z: seen.update(z=z.float().detach()))
    loss = under_autocast(method, batch)
    similarity = F.normalize(seen["z"], dim=1) @ method.bank.rows.T / 0.02
    torch.testing.assert_close(loss, F.cross_entropy(similarity, batch[1]), rtol=1e-5, atol=1e-5)


def test_moco_enqueues_its_keys_after_the_step():
    method = MoCo(Encoder(), view, queue=10)
    before, x = method.queue.rows.clone(), images(4)
    torch.manual_seed(1)
    loss = method(x)
    torch.manual_seed(1)
    first, second = method.view(x), method.view(x)
    q, k = method.projector(method.encoder(first)), method.target_network(second)
    torch.testing.assert_close(loss, info_nce_queue(q, k, before, 0.2))
    assert torch.equal(method.queue.rows, before)
    method.after_step()
    torch.testing.assert_close(method.queue.rows[:4], F.normalize(k, dim=1))
    assert torch.equal(method.queue.rows[4:], before[4:])


def test_nnclr_contrasts_with_neighbours_of_the_other_view():
    method, x = NNCLR(Encoder(), view, queue=30), images(6)
    torch.manual_seed(1)
    loss = method(x)
    torch.manual_seed(1)
    z = method.projector(method.encoder(torch.cat([method.view(x), method.view(x)])))
    p = method.predictor(z).chunk(2)
    friends = []
    for row in z:
        friends.append(max(method.queue.rows, key=lambda other: float(row @ other)))
    friends = torch.stack(friends).chunk(2)
    slow = (info_nce(friends[1], p[0], 0.1) + info_nce(friends[0], p[1], 0.1)) / 2
    torch.testing.assert_close(loss, slow)
    method.after_step()
    torch.testing.assert_close(method.queue.rows[:6], F.normalize(z[:6], dim=1).detach())
    with pytest.raises(ValueError, match="no friend named 'nearst'; did you mean 'nearest'"):
        NNCLR(Encoder(), view, friend="nearst")


def test_dino_takes_the_running_mean_of_the_teacher_away():
    method, x = DINO(Encoder(), view, clusters=5), images(6)
    method.center.copy_(torch.randn(5) / 5)
    before = method.center.clone()
    torch.manual_seed(1)
    loss = method(x)
    torch.manual_seed(1)
    both = torch.cat([method.view(x), method.view(x)])
    s, t = method.projector(method.encoder(both)).chunk(2), method.target_network(both).chunk(2)
    torch.testing.assert_close(loss, (dino(s[0], t[1], before) + dino(s[1], t[0], before)) / 2)
    assert torch.equal(method.center, before)
    method.after_step()
    torch.testing.assert_close(method.center, 0.9 * before + 0.1 * torch.cat(t).mean(0))


def test_simsiam_loss_is_half_of_byols_less_one():
    p, z = torch.randn(5, 3), torch.randn(5, 3)
    torch.testing.assert_close(negative_cosine(p, z), byol(p, z) / 2 - 1)


def test_instdisc_finds_its_row_in_the_whole_bank():
    method, x = InstDisc(Encoder(), view, items=24, negatives=None), images()
    rows = torch.tensor([3, 17, 5])
    torch.manual_seed(1)
    loss = method((x[rows], rows))
    torch.manual_seed(1)
    z = F.normalize(method.projector(method.encoder(method.view(x[rows]))), dim=1)
    slow = sum(-(z[i] @ method.bank.rows.T / 0.1).log_softmax(0)[row] for i, row in enumerate(rows)) / 3
    torch.testing.assert_close(loss, slow)
    before = method.bank.rows.clone()
    method.after_step()
    moved = (method.bank.rows != before).any(1)
    assert moved.nonzero().flatten().tolist() == [3, 5, 17]


def test_instdisc_keeps_its_first_partition_and_needs_rows():
    method, x = InstDisc(Encoder(), view, items=24, negatives=8), images()
    fit(method, Minibatches(x, 8, numbered=True), epochs=1, progress=False)
    first = method.partition.clone()
    assert 24 * torch.e**-10 < first < 24 * torch.e**10
    method((x[:4], torch.arange(4)))
    assert torch.equal(method.partition, first)
    with pytest.raises(ValueError, match="numbered=True"):
        fit(InstDisc(Encoder(), view, items=24), Minibatches(x, 8), epochs=1, progress=False)
    with pytest.raises(ValueError, match="the bank has 4 rows"):
        fit(InstDisc(Encoder(), view, items=4), Minibatches(x, 8, numbered=True), epochs=1, progress=False)


def test_w_mse_refuses_before_training_what_cannot_be_whitened():
    x = images(32)
    with pytest.raises(ValueError, match="sub-batch of 16 items has no full-rank covariance in 32 dimensions"):
        fit(WMSE(Encoder(), view), Minibatches(x, 16), epochs=1, progress=False)
    with pytest.raises(ValueError, match="size must divide the batch"):
        fit(WMSE(Encoder(), view, dim=4, size=5), Minibatches(x, 16), epochs=1, progress=False)
    run = fit(WMSE(Encoder(), view, dim=4, size=8, views=4), Minibatches(x, 16), epochs=2, progress=False)
    assert run.spectra["z"].shape == (2, 4)
    a, b, c = torch.randn(3, 5, 4)
    pairs = [F.mse_loss(F.normalize(u), F.normalize(v), reduction="sum") / 5 for u, v in ((a, b), (b, c), (a, c))]
    torch.testing.assert_close(plain_mse(a, b, c), sum(pairs) / 3)


def test_a_queue_comes_back_with_a_checkpoint(tmp_path):
    x = images()

    def train(epochs, **options):
        torch.manual_seed(0)
        crop = RandomResizedCrop(6)
        method = MoCo(Encoder(), crop, queue=12)
        return fit(method, Minibatches(x, 8), epochs=epochs, progress=False, **options)

    whole, path = train(4), tmp_path / "moco.safetensors"
    train(2, checkpoint=path)
    resumed = train(4, checkpoint=path, resume=True)
    assert resumed.history["loss"] == whole.history["loss"]
    assert torch.equal(resumed.method.queue.rows, whole.method.queue.rows)
    assert torch.equal(resumed.spectra["z"], whole.spectra["z"])


def test_dcl_leaves_the_positive_out_and_its_control_does_not():
    x = images(6)
    for options, loss in (({}, decoupled), ({"coupled": True}, nt_xent)):
        method = DCL(Encoder(), view, temperature=0.3, **options)
        torch.manual_seed(1)
        found = method(x)
        torch.manual_seed(1)
        z = method.projector(method.encoder(torch.cat([method.view(x), method.view(x)])))
        torch.testing.assert_close(found, loss(*z.chunk(2), temperature=0.3))


def test_temperatures_and_momenta_reach_what_they_are_of():
    """Each default is given another value, and the number that follows from it is written out."""
    q, k = torch.randn(2, 6, 8)
    method = MoCo(Encoder(), view, temperature=0.7)
    torch.testing.assert_close(method.contrast(q, k), info_nce_queue(q, k, method.queue.rows, 0.7))
    torch.testing.assert_close(NNCLR(Encoder(), view, temperature=0.7).contrast(q, k), info_nce(k, q, 0.7))
    method = DINO(Encoder(), view, clusters=8, student_temperature=0.3, teacher_temperature=0.2)
    torch.testing.assert_close(method.distil(q, k), dino(q, k, method.center, 0.3, 0.2))
    assert DINO(Encoder(), view, momentum=0.5).momentum == MoCo(Encoder(), view, momentum=0.5).momentum == 0.5
    assert InstDisc(Encoder(), view, items=4, momentum=0.25).bank.momentum == 0.25


def test_the_friend_of_a_view_may_be_itself():
    method, z = NNCLR(Encoder(), view, friend="self"), torch.randn(6, 8, requires_grad=True)
    assert torch.equal(method.targets(z, z), z.detach())
    assert not method.targets(z, z).requires_grad


def test_options_of_simsiam_and_w_mse_reach_their_parts():
    method = SimSiam(Encoder(), view, dim=12, bottleneck=5)
    assert [layer.out_features for layer in method.predictor if hasattr(layer, "out_features")] == [5, 12]
    assert WMSE(Encoder(), view, views=4).views == 4
    assert WMSE(Encoder(), view, dim=4, size=8, eps=0.1).loss.keywords == {"size": 8, "eps": 0.1}
    assert WMSE(Encoder(), view, whiten=False).loss is plain_mse
