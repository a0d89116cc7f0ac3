"""Memory of a SimCLR step as the batch grows: the encoder on the whole batch, and in two passes over pieces of it."""

import torch

from benchmarks._bench import Row, alternate, extra_memory
from labkit.models import TwoPass, resnet8
from labkit.papers.vision.simclr import SimCLR
from labkit.train import memory_kept

NAME = "two-pass step"
PIECE, TIMED = 128, 512


def _step(items: int, two_pass: bool):
    torch.manual_seed(0)
    method = SimCLR(resnet8(16, 3), lambda images: images.float() / 255)
    if two_pass:
        method.encoder = TwoPass(method.encoder, PIECE)
    images = torch.randint(256, (items, 3, 32, 32), dtype=torch.uint8)
    return lambda: method(images).backward()


def main(repeats: int = 5) -> list[Row]:
    rows = []
    for items in (512, 2048):
        memory = [extra_memory(__name__, f"_step({items}, two_pass={way})") for way in (True, False)]
        entry = f"SimCLR step of {items} images of 32 × 32, pieces of {PIECE} views, extra memory"
        rows.append(Row(entry, "the plain step", *memory, unit="MB"))
    with memory_kept():  # as in fit
        times = alternate(_step(TIMED, two_pass=True), _step(TIMED, two_pass=False), repeats)
    why = "the encoder runs twice forward, which buys the memory above"
    return [*rows, Row(f"SimCLR step of {TIMED} images, time", "the plain step", *times, why=why)]
