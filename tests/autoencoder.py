"""The smallest method with everything that must survive a resume, and a training of it."""

import torch
from torch import nn

from labkit.methods import Method, inference
from labkit.train import Minibatches, Run, fit, seeded


class Autoencoder(Method):
    """The smallest method with everything that must survive a resume: dropout, batch statistics, a momentum copy."""

    def __init__(self, dim=6):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(dim, 4), nn.BatchNorm1d(4), nn.Dropout(0.3))
        self.decoder = nn.Linear(4, dim)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        noisy = x + 0.1 * torch.randn_like(x)
        return (self.decoder(self.encoder(noisy)) - x).square().mean()

    @inference
    def embed(self, x):
        return self.encoder(x)

    def after_step(self):
        self.steps += 1


def items():
    return torch.randn(40, 6, generator=torch.Generator().manual_seed(1))


def build():
    with seeded(0):
        return Autoencoder()


def train(**options):
    x = items()
    arguments = {"epochs": 6, "snapshots": [0, 3, 6], "watch": x, "progress": False} | options
    return fit(build(), Minibatches(x, 8), **arguments)


def same(one: Run, other: Run) -> bool:
    weights = zip(one.method.state_dict().values(), other.method.state_dict().values(), strict=True)
    shots = all(torch.equal(one.snapshots[epoch], other.snapshots[epoch]) for epoch in other.snapshots)
    return (
        one.history["loss"] == other.history["loss"]
        and all(torch.equal(a, b) for a, b in weights)
        and one.snapshots.keys() == other.snapshots.keys()
        and shots
    )


class Picture(Autoencoder):
    """Weights that lie channels last, as those of vision encoders do."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    def forward(self, x):
        return (self.encoder(x) - torch.randn(4, 1, 1)).square().mean()
