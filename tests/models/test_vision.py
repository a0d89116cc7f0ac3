"""Vision encoders: the architectures they say they are, checked against forward passes written out."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn.functional import batch_norm, conv2d, layer_norm

from labkit.models import ResNet, ViT, resnet8, resnet18


def weights(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_sizes_are_those_of_the_family():
    assert weights(resnet8(16, channels=1)) == 77_104
    assert weights(resnet8(16)) == 77_392
    assert weights(resnet18()) == 11_168_832  # the 11.17 million of the CIFAR form, without its classifier
    assert (resnet8().dim, resnet8(32).dim, resnet18().dim) == (64, 128, 512)
    assert ResNet((2, 1), width=4, channels=2).dim == 8


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (36, 36), (9, 14)])
def test_three_stages_halve_the_image_twice(channels, height, width):
    images = torch.rand(3, channels, height, width)
    encoder = resnet8(4, channels)
    assert encoder(images).shape == (3, 16)
    assert encoder.feature_map(images).shape == (3, 16, -(-height // 4), -(-width // 4))
    torch.testing.assert_close(encoder(images), encoder.feature_map(images).mean((2, 3)))
    strided = ResNet((1, 1, 1), width=4, channels=channels, stride=2)
    assert strided.feature_map(images).shape == (3, 16, -(-height // 8), -(-width // 8))


def test_resnet8_is_the_network_of_the_paper():
    encoder = resnet8(4).double()
    images = torch.rand(5, 3, 12, 12, dtype=torch.float64)
    state = encoder.state_dict()

    def conv_norm(x, conv, norm, stride=1, padding=1):
        x = conv2d(x, state[f"{conv}.weight"], None, stride, padding)
        return batch_norm(x, None, None, state[f"{norm}.weight"], state[f"{norm}.bias"], training=True)

    x = conv_norm(images, "stem.0", "stem.1").clamp_min(0)
    for stage, stride in enumerate((1, 2, 2)):
        block = f"stages.{stage}"
        y = conv_norm(x, f"{block}.conv1", f"{block}.norm1", stride).clamp_min(0)
        y = conv_norm(y, f"{block}.conv2", f"{block}.norm2")
        if stride == 2:
            x = conv_norm(x, f"{block}.shortcut.0", f"{block}.shortcut.1", stride, padding=0)
        x = (x + y).clamp_min(0)
    torch.testing.assert_close(encoder(images), x.mean((2, 3)))


def test_gradients_are_those_of_finite_differences():
    encoder = ResNet((1, 1), width=2, channels=1).double()
    images = torch.rand(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(encoder, (images,))
    encoder(images).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())


@pytest.mark.parametrize("make", [lambda: resnet8(4), lambda: ViT(8, dim=12, depth=2)], ids=["ResNet", "ViT"])
def test_the_layout_in_memory_does_not_change_the_result(make):
    encoder, images = make().eval(), torch.rand(4, 3, 8, 8)
    want = encoder(images)
    torch.testing.assert_close(encoder(images.contiguous(memory_format=torch.channels_last)), want)
    torch.testing.assert_close(encoder(images.permute(1, 0, 2, 3).contiguous().permute(1, 0, 2, 3)), want)


def test_a_narrow_network_does_not_write_past_its_memory():
    """In a process of its own: what torch does to channels last here ends it, or ends it later."""
    trains = (
        "import torch; from labkit.models import resnet8; encoder = resnet8(4)\n"
        "for step in range(60): encoder(torch.rand(100, 3, 16, 16)).square().sum().backward()"
    )
    subprocess.run([sys.executable, "-c", trains], check=True, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert resnet8(4).memory_format == torch.contiguous_format
    assert resnet8(8).memory_format == torch.channels_last


@pytest.mark.parametrize("make", [lambda: resnet8(4), lambda: ViT(8, dim=12, depth=2)], ids=["ResNet", "ViT"])
def test_the_global_seed_decides_the_start(make):
    torch.manual_seed(3)
    first = make().state_dict()
    torch.manual_seed(3)
    again = make().state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(make()(torch.ones(2, 3, 8, 8)), make()(torch.ones(2, 3, 8, 8)))


def test_vit_keeps_patches_in_their_places():
    encoder = ViT(8, patch=4, dim=12, depth=2, heads=3).eval()
    images = torch.rand(3, 3, 8, 8)
    assert encoder(images).shape == (3, 12)
    tokens = encoder.feature_map(images)
    assert tokens.shape == (3, 12, 2, 2)
    torch.testing.assert_close(encoder(images), tokens.mean((2, 3)))
    swapped = images.flip(2)  # rows of patches change places: positions are learned, so the result is another one
    assert (encoder(swapped) - encoder(images)).abs().max() > 1e-4
    with torch.no_grad():
        encoder.position.zero_()
    patches = images.unfold(2, 4, 4).unfold(3, 4, 4)  # [items, channels, rows, columns, 4, 4]
    moved = patches.flip(2).permute(0, 1, 2, 4, 3, 5).reshape(images.shape)
    torch.testing.assert_close(encoder.feature_map(moved), encoder.feature_map(images).flip(2))


def test_vit_is_the_network_of_the_paper():
    """Norm first, attention scaled by the width of a head, GELU, and a last norm over the tokens."""
    encoder = ViT(8, patch=4, dim=12, depth=2, heads=3, channels=2).double()
    with torch.no_grad():
        for parameter in encoder.parameters():  # norms begin as ones and zeros, which would hide where they stand
            parameter.add_(0.3 * torch.randn_like(parameter))
    images, state = torch.rand(5, 2, 8, 8, dtype=torch.float64), encoder.state_dict()

    def norm(x, name):
        return layer_norm(x, (12,), state[f"{name}.weight"], state[f"{name}.bias"])

    def dense(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    x = conv2d(images, state["embed.weight"], state["embed.bias"], stride=4).flatten(2).mT + state["position"]
    for block in ("blocks.0", "blocks.1"):
        y = norm(x, f"{block}.norm1")
        y = y @ state[f"{block}.self_attn.in_proj_weight"].T + state[f"{block}.self_attn.in_proj_bias"]
        query, key, value = (part.unflatten(2, (3, 4)).transpose(1, 2) for part in y.chunk(3, dim=2))
        seen = (query @ key.mT / 4**0.5).softmax(-1) @ value
        x = x + dense(seen.transpose(1, 2).flatten(2), f"{block}.self_attn.out_proj")
        y = dense(norm(x, f"{block}.norm2"), f"{block}.linear1")
        y = y * 0.5 * (1 + torch.erf(y / 2**0.5))
        x = x + dense(y, f"{block}.linear2")
    torch.testing.assert_close(encoder(images), norm(x, "blocks.2").mean(1))


def test_convolutions_start_with_the_scale_of_he_et_al():
    """Standard deviation √(2 / (outputs · area)): the variance of a gradient is kept through a ReLU (2015, eq. 14)."""
    for name, module in ResNet((1, 1), width=64).named_modules():
        if isinstance(module, torch.nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.08), name
            assert abs(module.weight.mean().item()) < 0.1 * module.weight.std().item(), name


def test_vit_blocks_start_from_different_weights():
    first, second = ViT(8, dim=12, depth=2).blocks[:2]
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


@pytest.mark.parametrize("encoder", [resnet8(4), ViT(8, dim=12, depth=1)], ids=["ResNet", "ViT"])
@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.rand(3, 8, 8), r"not \[3, 8, 8\]"),
        (torch.rand(2, 1, 8, 8), "1 channels, but this encoder was made for 3; make it with channels=1"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), "not torch.uint8"),
    ],
)
def test_images_that_do_not_fit_are_refused(encoder, images, says):
    with pytest.raises(ValueError, match=says):
        encoder(images)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ResNet(()), "blocks, width, channels and stride must be positive"),
        (lambda: resnet8(0), "blocks, width, channels and stride must be positive"),
        (lambda: ViT(10, patch=4), "multiple of patch"),
        (lambda: ViT(8, dim=10, heads=3), "dim one of heads"),
        (lambda: ViT(8)(torch.rand(2, 3, 12, 12)), r"must be 8 × 8, not \[12, 12\]"),
    ],
)
def test_shapes_that_can_not_be_built_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(("second", "seen"), [(1, 19), (3, 47)])
def test_pointwise_second_convolutions_keep_what_a_place_sees_small(second, seen):
    encoder = ResNet((1, 1, 1), 4, stride=2, second=second).eval()
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    place = encoder.feature_map(images)[0, :, 4, 4].sum()
    (gradient,) = torch.autograd.grad(place, images)
    rows = gradient[0].abs().sum((0, 2)).nonzero().flatten()
    assert seen // 2 < rows[-1] - rows[0] + 1 <= seen
    with pytest.raises(ValueError, match="second must be odd"):
        ResNet((1, 1, 1), 4, second=2)
