"""Two SimCLR views of 256 CIFAR-sized images on the CPU: a draw per image in one batch, against the two usual ways."""

import math
import random

import torch
from torch.nn.functional import interpolate

from benchmarks._bench import Row, alternate
from labkit.train import memory_kept
from labkit.views import simclr

NAME = "image views"
ITEMS, SIZE = 256, 32

LUMA = torch.tensor([0.299, 0.587, 0.114])
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
RGB = torch.linalg.inv(YIQ)


def one_draw(images):
    """simclr(32) in plain torch with one draw for all ``images``: slice, resize, flip, and each colour step."""
    side = images.shape[-1]
    height = width = side
    for _ in range(10):
        area = random.uniform(0.08, 1) * side**2
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        h, w = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < h <= side and 0 < w <= side:
            height, width = h, w
            break
    top, left = random.randint(0, side - height), random.randint(0, side - width)
    x = images[..., top : top + height, left : left + width].float() / 255
    x = interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
    if random.random() < 0.5:
        x = x.flip(-1)
    if random.random() < 0.8:
        brightness, contrast, saturation = (random.uniform(0.6, 1.4) for _ in range(3))
        x = (x * brightness).clamp_(0, 1)
        x = x.lerp(grey(x).mean((1, 2, 3), keepdim=True), 1 - contrast).clamp_(0, 1)
        x = x.lerp(grey(x), 1 - saturation).clamp_(0, 1)
        turn = 2 * math.pi * random.uniform(-0.1, 0.1)
        c, s = math.cos(turn), math.sin(turn)
        hue = RGB @ torch.tensor([[1, 0, 0], [0, c, s], [0, -s, c]]) @ YIQ
        x = (hue @ x.flatten(2)).clamp_(0, 1).view(x.shape)
    if random.random() < 0.2:
        x = grey(x).expand_as(x)
    return x


def grey(x):
    return (LUMA @ x.flatten(2)).view(len(x), 1, *x.shape[2:])


def main(repeats: int = 5) -> list[Row]:
    images = torch.randint(0, 256, (ITEMS, 3, SIZE, SIZE), dtype=torch.uint8)
    view = simclr(SIZE)

    def ours():
        return view(images), view(images)

    def image_by_image():
        return [torch.cat([one_draw(image[None]) for image in images]) for _ in range(2)]

    def one_for_all():
        return one_draw(images), one_draw(images)

    entry = f"two views of {ITEMS} images, a draw per image"
    with memory_kept():  # as in fit
        loop = alternate(ours, image_by_image, repeats)
        # one draw for the batch leaves out the jitter in every fifth view: the median of many sees the usual case
        shared = alternate(ours, one_for_all, 5 * repeats)
    return [
        Row(entry, "the same image by image", *loop, at_least=10),
        Row(entry, "one draw shared by the batch", *shared, at_least=0.5),
    ]
