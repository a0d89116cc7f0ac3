"""A step in two passes: the plain step's loss and gradient, while the encoder sees a piece at a time."""

from functools import partial

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from labkit.data import GraphBatch
from labkit.losses import barlow_twins, nt_xent, vicreg
from labkit.methods import TwoView
from labkit.models import GIN, TwoPass
from labkit.models import _two_pass as two_pass
from labkit.train import seeded

LOSSES = {"tiled nt_xent": partial(nt_xent, block=3), "barlow_twins": barlow_twins, "vicreg": vicreg}


def encoder(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Tanh(), nn.Flatten(), nn.Linear(64, 5))


def noise(images):
    return images + torch.randn_like(images)


def step(encoder: nn.Module, loss) -> dict[str, torch.Tensor]:
    """Loss and gradients of one step on two noisy views of 11 images; the seed says which noise, which dropout."""
    with seeded(1):
        images = torch.randn(11, 1, 6, 6, dtype=torch.float64)
        method = TwoView(encoder, nn.Linear(5, 4), noise, loss).double()
        value = method(images)
        value.backward()
    gradients = {name.replace("encoder.encoder", "encoder"): p.grad for name, p in method.named_parameters()}
    return gradients | {"loss": value.detach()}


def built(make, wrap=lambda encoder: encoder):
    with seeded(0):
        return wrap(make())


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("size", [1, 4, 22, 100])
def test_loss_and_gradient_are_those_of_the_plain_step(loss, size):
    plain = step(built(encoder), loss)
    found = step(built(encoder, lambda inner: TwoPass(inner, size)), loss)
    assert found.keys() == plain.keys()
    for name, value in plain.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=name)


class InPieces(nn.Module):
    """The encoder on each piece in turn, everything kept: what two passes must be equal to."""

    def __init__(self, encoder, sizes):
        super().__init__()
        self.encoder, self.sizes = encoder, sizes

    def forward(self, items):
        return torch.cat([self.encoder(piece) for piece in items.split(self.sizes)])


@pytest.mark.parametrize("layer", [partial(nn.BatchNorm2d, 4), partial(nn.Dropout, 0.5)], ids=["batch norm", "dropout"])
def test_chance_is_the_same_twice_and_statistics_are_updated_once(layer):
    def make():
        return encoder(layer())

    pieces, twice = (
        built(make, lambda inner, way=way, size=size: way(inner, size))
        for way, size in ((InPieces, [3, 4, 4, 3, 4, 4]), (TwoPass, 4))
    )
    expected, found = (step(way, LOSSES["tiled nt_xent"]) for way in (pieces, twice))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=name)
    for one, other in zip(twice.buffers(), pieces.buffers(), strict=True):
        assert torch.equal(one, other)
    if isinstance(layer(), nn.BatchNorm2d):
        assert twice.encoder[1].num_batches_tracked == 6  # 22 views in pieces of 4
        assert twice.encoder[1].momentum == 0.1
        plain = step(built(make), LOSSES["tiled nt_xent"])
        assert abs(plain["loss"] - found["loss"]) > 1e-4  # the statistics of a piece are not those of the batch


def test_the_encoder_sees_each_piece_twice_and_no_more_at_once():
    sizes, inner = [], built(encoder)
    inner[0].register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    step(TwoPass(inner, 5), LOSSES["vicreg"])
    assert sorted(sizes) == [4, 4, 4, 4, 4, 4, 5, 5, 5, 5]
    sizes.clear()
    with torch.no_grad():
        TwoPass(inner, 5)(torch.zeros(11, 1, 6, 6, dtype=torch.float64))
    assert sizes == [3, 4, 4]


def test_graphs_in_pieces():
    def cycle(n):
        here = torch.arange(n)
        onward = torch.stack([here, (here + 1) % n])
        return Data(x=torch.randn(n, 3), edge_index=torch.cat([onward, onward.flip(0)], dim=1))

    graphs = GraphBatch.of([cycle(n) for n in (3, 4, 5, 6, 7)])
    gin = GIN(3, 4, 2).eval()
    wrapped = TwoPass(gin, 2)
    torch.testing.assert_close(wrapped(graphs), gin(graphs))
    assert wrapped(graphs).shape == (5, wrapped.dim)


def test_the_second_pass_is_told_the_device_of_graphs(monkeypatch):
    """Of what it is handed, `checkpoint` looks at tensors alone for the devices whose random state comes back."""
    handed = []
    monkeypatch.setattr(two_pass, "checkpoint", lambda f, *parts, **_: handed.append(parts) or f(*parts))
    edges, ptr = torch.zeros(2, 0, dtype=torch.int64), torch.tensor([0, 2, 3])
    TwoPass(GIN(3, 4, 2).eval(), 1)(GraphBatch(torch.ones(3, 3), edges, ptr))
    assert [sum(isinstance(part, torch.Tensor) for part in parts) for parts in handed] == [1, 1]


@pytest.mark.gpu
def test_chance_is_the_same_twice_for_graphs_on_cuda():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, device="cuda"))

        def forward(self, graphs):
            return graphs.pool(nn.functional.dropout(graphs.x) * self.weight)

    encoder = Noisy()
    edges, ptr = torch.zeros(2, 0, dtype=torch.int64), torch.tensor([0, 200, 500])
    value = TwoPass(encoder, 1)(GraphBatch(torch.ones(500, 3), edges, ptr).to("cuda"))
    (gradient,) = torch.autograd.grad(value.sum(), encoder.weight)
    torch.testing.assert_close(gradient, value.sum(0).detach())  # the value is linear in the weight, which is one


def test_an_empty_batch_is_named():
    with pytest.raises(ValueError, match="items is empty: there is nothing to encode"):
        TwoPass(nn.Flatten(), 4)(torch.zeros(0, 3))


def test_bad_size_is_named():
    with pytest.raises(ValueError, match="size must be at least 1, not 0"):
        TwoPass(nn.Identity(), 0)
    with pytest.raises(TypeError, match="size must be a whole number of 64 bits, not"):
        TwoPass(nn.Identity(), torch.tensor([4, 8]))


@pytest.mark.gpu
def test_memory_on_cuda_does_not_grow_with_the_batch():
    inner = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Tanh(), nn.Conv2d(64, 8, 3), nn.Flatten(), nn.LazyLinear(8))
    wrapped = TwoPass(inner.cuda(), 64)

    def extra(n):
        images = torch.randn(n, 3, 32, 32, device="cuda")
        wrapped(images).square().sum().backward()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        wrapped(images).square().sum().backward()
        return torch.cuda.max_memory_allocated() - before

    assert extra(2048) <= 1.2 * extra(256)


@pytest.mark.parametrize(("items", "size", "pieces"), [(10, 3, [2, 3, 2, 3]), (9, 4, [3, 3, 3]), (4, 9, [4])])
def test_pieces_are_as_equal_as_can_be(items, size, pieces):
    seen = []
    inside = nn.BatchNorm1d(4)
    inside.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    TwoPass(inside, size)(torch.randn(items, 4))
    assert seen == pieces
