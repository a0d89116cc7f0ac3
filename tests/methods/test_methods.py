"""What every method is, and the two-view family."""

from functools import partial

import pytest
import torch
from torch import nn
from torch_geometric.data import Data

from labkit.losses import barlow_twins, nt_xent, vicreg
from labkit.methods import Method, TwoView, in_blocks, inference
from labkit.models import MLP, resnet8
from labkit.train import Minibatches, fit
from labkit.views import Compose, GaussianNoise, RandomResizedCrop


def two_view(loss=partial(nt_xent, temperature=0.2)):  # noqa: B008
    view = Compose([RandomResizedCrop(8, scale=(0.5, 1.0)), GaussianNoise(0.05)])
    return TwoView(resnet8(width=4, channels=1), MLP(16, 16, 8), view, loss)


def images():
    return torch.randint(0, 256, (24, 1, 8, 8), dtype=torch.uint8)


@pytest.mark.parametrize("loss", [nt_xent, barlow_twins, vicreg])
def test_two_view_trains_with_any_pair_loss(loss):
    method, x = two_view(loss), images()
    run = fit(method, Minibatches(x, 12), epochs=8, lr=3e-3, progress=False)
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert method.embed(x).shape == (24, 16)


def test_embed_is_deterministic_and_leaves_the_mode_alone():
    method, x = two_view(), images()
    method.train()
    method.projector.eval()
    first = method.embed(x)
    assert torch.equal(first, method.embed(x))
    torch.testing.assert_close(first, method.embed(x.float() / 255))
    assert not first.requires_grad
    assert method.training
    assert not method.projector.training
    assert method.projected(x).shape == (24, 8)


def test_inference_restores_the_mode_after_an_error():
    class Broken(Method):
        @inference
        def embed(self, batch):
            raise RuntimeError("no")

    method = Broken()
    with pytest.raises(RuntimeError, match="no"):
        method.embed(1)
    assert method.training


def test_inference_asks_on_the_method_s_device_and_answers_on_the_items_own():
    class Elsewhere(Method):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2, device="meta")

        @inference
        def embed(self, x, like=None):
            assert {x.device.type, (x if like is None else like).device.type} == {"meta"}
            return torch.ones(len(x), 2)  # as if it came from there

    asked = torch.randn(4, 3)
    assert Elsewhere().embed(asked).device == asked.device
    assert Elsewhere().embed(x=asked).device == asked.device
    assert Elsewhere().embed(asked, like=asked).device == asked.device


def test_graphs_go_to_the_method_s_device_too_and_the_original_stays():
    class OfGraphs(Method):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 2, device="meta")

        @inference
        def embed(self, data):
            assert data.x.device.type == data.edge_index.device.type == "meta"
            return data.x, data.edge_index

    data = Data(x=torch.ones(2, 3), edge_index=torch.tensor([[0, 1], [1, 0]]))
    with pytest.raises(NotImplementedError):  # nothing comes back from meta, which holds no numbers
        OfGraphs().embed(data)
    assert data.x.device.type == "cpu"


def test_in_blocks_equals_all_at_once():
    x, layer = torch.randn(10, 3), nn.Linear(3, 2)
    torch.testing.assert_close(in_blocks(layer, x, 4), layer(x))


def test_bad_batches_are_named():
    method = two_view()
    with pytest.raises(ValueError, match=r"shape \[n, channels, height, width\], n at least 2, not \[24, 8, 8\]"):
        fit(method, [images()[:, 0]], epochs=1)
    with pytest.raises(ValueError, match="n at least 2, not"):
        fit(method, [images()[:1]], epochs=1)
    with pytest.raises(TypeError, match="a batch must be a tensor of images, not a tuple; use Minibatches"):
        fit(method, Minibatches(images(), 8, numbered=True), epochs=1)
    with pytest.raises(ValueError, match=r"images are float64, the encoder is torch.float32: hand in images.float\(\)"):
        fit(method, Minibatches(images().double() / 255, 8), epochs=1)


def test_a_method_without_its_two_verbs_says_so():
    with pytest.raises(TypeError, match=r"Method has no forward\(batch\)"):
        Method()(1)
    with pytest.raises(TypeError, match=r"Method has no embed\(batch\)"):
        Method().embed(1)


def test_an_item_embeds_the_same_in_any_company_and_through_the_evaluation_view():
    method, x = two_view(), images()
    method.train()
    for embed in (method.embed, method.projected):
        torch.testing.assert_close(embed(x)[:5], embed(x[:5]))
    darker = TwoView(method.encoder, method.projector, method.view, nt_xent, lambda pictures: pictures / 510)
    for ours, plain in ((darker.embed, method.embed), (darker.projected, method.projected)):
        torch.testing.assert_close(ours(x), plain(x.float() / 510))


def test_what_is_kept_for_the_history_is_what_was_encoded_and_what_was_projected():
    method, x = two_view(), images()
    h, z = method.encoded(method.viewed(x))
    for name, values in (("h", h), ("z", z)):
        for kept, view in zip(method.seen[name], values.chunk(2), strict=True):
            assert torch.equal(kept, view)
