"""Heads: the layers they say they have, in the order of the papers."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, elu

from labkit.models import MLP, Prototypes


def test_the_default_is_the_head_of_simclr():
    head, x = MLP(6, 5, 4), torch.randn(7, 6)
    first, last = head[0], head[2]
    want = (x @ first.weight.T + first.bias).clamp_min(0) @ last.weight.T + last.bias
    torch.testing.assert_close(head(x), want)
    assert head.dim == 4


def test_elu_makes_the_head_of_grace():
    head, x = MLP(6, 5, 4, activation="elu"), torch.randn(7, 6)
    torch.testing.assert_close(head(x), head[2](elu(head[0](x))))


def test_norms_stand_before_each_activation():
    head = MLP(6, 5, 4, layers=3, norm="batch")
    kinds = [type(module) for module in head]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert head[0].bias is None
    assert head[3].bias is None
    assert head[6].bias is not None
    assert [module.in_features for module in head if isinstance(module, nn.Linear)] == [6, 5, 5]
    assert [type(module) for module in MLP(6, 5, 4, norm="layer")] == [nn.Linear, nn.LayerNorm, nn.ReLU, nn.Linear]


def test_one_layer_is_one_linear():
    head = MLP(6, 5, 4, layers=1)
    assert len(head) == 1
    assert head[0].weight.shape == (4, 6)


def test_an_activation_can_be_any_module_class():
    activations = [m for m in MLP(6, 5, 4, layers=3, activation=nn.PReLU) if isinstance(m, nn.PReLU)]
    assert len(activations) == 2
    assert activations[0] is not activations[1]


def test_the_repr_says_how_it_was_made():
    assert repr(MLP(64, 128, 32)) == "MLP(64, 128, 32, layers=2, activation='relu', norm=None)"
    assert repr(MLP(8, 8, 8, 3, nn.SiLU, "batch")) == "MLP(8, 8, 8, layers=3, activation=SiLU, norm='batch')"


def test_prototypes_give_the_cosine_of_each_item_to_each_direction_in_full_precision():
    layer, x = Prototypes(6, 5), torch.randn(7, 6)
    with torch.no_grad():
        layer.weight *= torch.rand(5, 1) + 1  # as a step leaves them: not of length one
    want = cosine_similarity(x[:, None], layer.weight, dim=-1)
    torch.testing.assert_close(layer(x), want)
    torch.testing.assert_close(layer(3 * x[:, None]), want[:, None])
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x), want)
    torch.testing.assert_close(Prototypes(6, 5).weight.norm(dim=1), torch.ones(5))
    assert layer.dim == 5


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MLP(0, 5, 4), "dim must be at least 1"),
        (lambda: MLP(6, 5, 4, layers=0), "layers must be at least 1"),
        (lambda: MLP(6, 5, 4, activation="relo"), "no activation named 'relo'; did you mean 'relu'"),
        (lambda: MLP(6, 5, 4, norm="bach"), "no norm named 'bach'; did you mean 'batch'"),
        (lambda: MLP(6, 5, 4)(torch.randn(7, 5)), r"6 numbers an item, not shape \[7, 5\]"),
        (lambda: Prototypes(0, 4), "dim must be at least 1"),
        (lambda: Prototypes(6, 0), "clusters must be at least 1"),
    ],
)
def test_what_can_not_be_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
