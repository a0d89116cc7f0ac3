"""Small vision encoders: residual networks for small images, and a vision transformer."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from labkit._arguments import checked


def _check_images(images: Tensor, channels: int) -> None:
    if not isinstance(images, Tensor) or images.dim() != 4:
        found = list(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"images must be a tensor [items, channels, height, width], not {found}")
    if images.shape[1] != channels:
        raise ValueError(
            f"images have {images.shape[1]} channels, but this encoder was made for {channels}; "
            f"make it with channels={images.shape[1]}"
        )
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point, not {images.dtype}; uint8 is scaled by images / 255")


class _Residual(nn.Module):
    """relu(x + BN(conv(relu(BN(conv(x)))))); where the shape changes, x goes through a 1×1 convolution (option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int, second: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, second, padding=second // 2, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.norm1(self.conv1(x)), inplace=True)
        y = self.norm2(self.conv2(y))
        return relu(y.add_(self.shortcut(x)), inplace=True)


@checked(numbers=False)
class ResNet(nn.Module):
    """A residual network for small images: 3×3 stem, no max-pool, stages that halve the sides and double the width.

    He et al. 2016, "Deep Residual Learning for Image Recognition"; the stem is the one SimCLR uses on CIFAR-10
    (Chen et al. 2020, appendix B.9). The representation is the mean over the last map, ``dim`` numbers an image.

    Args:
        blocks: residual blocks in each stage (two 3×3 convolutions each).
        width: channels of the first stage; the last one has ``dim = width · 2^(stages - 1)``.
        channels: of the images.
        stride: of the stem. 2 halves the sides before the first stage: a quarter of the work on every map.
        second: side of each block's second convolution, odd. 1 keeps what a place of a map sees small, as AMDIM's
            local features ask for (Bachman et al. 2019).

    Raises:
        ValueError: images of another shape, channel count or type (on use).

    Example:
        >>> encoder = ResNet(blocks=(1, 1, 1), width=16, channels=1)
        >>> encoder(images).shape, encoder.feature_map(images).shape  # images: [n, 1, 36, 36]
        (torch.Size([n, 64]), torch.Size([n, 64, 9, 9]))
    """

    def __init__(self, blocks: Sequence[int], width: int = 64, channels: int = 3, stride: int = 1, second: int = 3):
        super().__init__()
        if second < 1 or second % 2 == 0:
            raise ValueError(f"second must be odd, not {second}: a convolution of even side has no centre")
        if not blocks or min(*blocks, width, channels, stride) < 1:
            raise ValueError(
                f"blocks, width, channels and stride must be positive, not {tuple(blocks)}, {width}, {channels} and "
                f"{stride}"
            )
        self.channels = channels
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        stages, inputs = [], width
        for stage, count in enumerate(blocks):
            outputs, stride = width * 2**stage, 1 if stage == 0 else 2
            stages.append(_Residual(inputs, outputs, stride, second))
            stages += [_Residual(outputs, outputs, 1, second) for _ in range(count - 1)]
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.dim = inputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=self.memory_format)

    @property
    def memory_format(self) -> torch.memory_format:
        """Channels last, which is faster, from a width of 8 on.

        With fewer, where channels are last, the backward pass of torch 2.13's 1 × 1 convolutions with a stride
        writes past its memory on processors that have AVX2 and no AVX-512.
        """
        return torch.channels_last if self.stem[0].out_channels >= 8 else torch.contiguous_format

    def feature_map(self, images: Tensor) -> Float[Tensor, "items dim rows columns"]:
        """[items, channels, height, width] -> the last map, before it is averaged over space."""
        _check_images(images, self.channels)
        return self.stages(self.stem(images.contiguous(memory_format=self.memory_format)))

    def forward(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return self.feature_map(images).mean((2, 3))


@checked
def resnet8(width: int = 16, channels: int = 3) -> ResNet:
    """Three stages of one block: 77 000 weights at width 16, which a laptop trains in minutes. ``dim`` = 4 · width."""
    return ResNet((1, 1, 1), width, channels)


@checked
def resnet18(channels: int = 3) -> ResNet:
    """ResNet-18 in its form for CIFAR: 11.17 million weights, ``dim`` = 512. At home on a GPU."""
    return ResNet((2, 2, 2, 2), 64, channels)


@checked(numbers=False)
class ViT(nn.Module):
    """A vision transformer for small images: patches, learned positions, pre-norm blocks, the mean of the tokens.

    Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words", with the mean over patches in the place of a class token
    (section D.3 there finds them equal). Attention costs O((size / patch)⁴ · dim) an image.

    Args:
        size: side of the square images in pixels; a multiple of ``patch``.
        patch: side of a patch.
        dim: width of a token, and of the representation; a multiple of ``heads``.
        depth: blocks (self-attention, then a perceptron of width 4 · dim with GELU).
        heads: of each attention.
        channels: of the images.

    Raises:
        ValueError: a size that patches don't tile, a dim that heads don't share; images that don't fit (on use).
    """

    def __init__(self, size: int, patch: int = 4, dim: int = 192, depth: int = 6, heads: int = 3, channels: int = 3):
        super().__init__()
        if min(size, patch, dim, depth, heads, channels) < 1 or size % patch or dim % heads:
            raise ValueError(
                f"size must be a multiple of patch and dim one of heads, all positive; not size={size}, "
                f"patch={patch}, dim={dim}, heads={heads}, depth={depth}, channels={channels}"
            )
        self.size, self.channels, self.dim = size, channels, dim
        self.embed = nn.Conv2d(channels, dim, patch, stride=patch)
        self.position = nn.Parameter(0.02 * torch.randn((size // patch) ** 2, dim))
        blocks = [
            nn.TransformerEncoderLayer(
                dim, heads, 4 * dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)  # nn.TransformerEncoder would start every block from the same weights
        ]
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(dim))

    def feature_map(self, images: Tensor) -> Float[Tensor, "items dim rows columns"]:
        """[items, channels, size, size] -> the tokens after the last block, where their patches were."""
        _check_images(images, self.channels)
        if images.shape[2:] != (self.size, self.size):
            raise ValueError(
                f"images must be {self.size} × {self.size}, not {list(images.shape[2:])}; positions are learned"
            )
        patches = self.embed(images)
        tokens = self.blocks(patches.flatten(2).mT + self.position)
        return tokens.mT.unflatten(2, patches.shape[2:])

    def forward(self, images: Tensor) -> Float[Tensor, "items dim"]:
        return self.feature_map(images).mean((2, 3))
