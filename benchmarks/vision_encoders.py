"""A training step of ResNet-8 (width 16, 512 images of 36 × 36) on the CPU: what its layout and kept memory bring."""

import torch

from benchmarks._bench import Row, alternate
from labkit.models import resnet8
from labkit.train import memory_kept

NAME = "vision encoders"
ITEMS, SIDE = 512, 36


class Contiguous(torch.nn.Module):
    """The same network on tensors laid out as [items, channels, height, width] all the way."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder.to(memory_format=torch.contiguous_format)

    def forward(self, images):
        return self.encoder.stages(self.encoder.stem(images)).mean((2, 3))


def step(encoder):
    optimizer = torch.optim.Adam(encoder.parameters(), fused=True)
    images = torch.rand(ITEMS, 1, SIDE, SIDE)

    def one_step():
        loss = encoder(images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return one_step


def main(repeats: int = 5) -> list[Row]:
    ours, theirs = step(resnet8(channels=1)), step(Contiguous(resnet8(channels=1)))
    entry = f"ResNet-8 training step, {ITEMS} × {SIDE} × {SIDE}"

    def kept():
        with memory_kept():  # gives the memory back after each call, so the first of three steps pays as the plain one
            for _ in range(3):
                ours()

    def plain():
        for _ in range(3):
            ours()

    return [
        Row(f"{entry}, channels last", "channels first", *alternate(ours, theirs, repeats)),
        Row(f"three times {entry}, freed memory kept", "glibc as it comes", *alternate(kept, plain, repeats)),
    ]
