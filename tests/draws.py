"""Generators that start from a seed, and pictures drawn from one: what the tests of views change."""

import torch


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(items: int = 6, channels: int = 3, height: int = 10, width: int = 13) -> torch.Tensor:
    return torch.randint(0, 256, (items, channels, height, width), generator=seeded(), dtype=torch.uint8)
