"""Least-squares probes with exact leave-one-out scores: fitted once, asked in milliseconds."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

_RIDGE = 1e-3  # λ as a fraction of the mean variance times n
_ROWS = 2**14  # that are in float64 at a time


class Ridge:
    """Least squares with a ridge on centred data ``x`` [n, dim] and a free intercept.

    The one matrix that is expensive, (XᵀX + λI)⁻¹, serves every target; with it the score of each point under the fit
    that leaves it out has a closed form: (ŷ − h y) / (1 − h), h the point's leverage (Allen 1974).

    Args:
        x: [n, dim], columns with mean 0.

    Cost: O(n · dim² + dim³) once, then O(n · dim) a target.
    """

    def __init__(self, x: Tensor):
        self.x = x
        gram = torch.zeros(x.shape[1], x.shape[1], dtype=torch.float64)
        for block in self._blocks:  # in float64: where points are few or lie far out, 1 − h is what rounding leaves
            block = block.double()
            gram.addmm_(block.T, block)
        scale = float(gram.diagonal().mean())
        gram.diagonal().add_(_RIDGE * scale if scale > 0 else 1.0)
        self.factor = torch.linalg.cholesky(gram)

    @cached_property
    def leverage(self) -> Tensor:
        """[n], float64, in (0, 1): how much of its own score a point decides."""
        blocks = (torch.linalg.solve_triangular(self.factor, part.T.double(), upper=False) for part in self._blocks)
        return torch.cat([block.square().sum(dim=0) for block in blocks]) + 1 / len(self.x)

    @property
    def _blocks(self) -> tuple[Tensor, ...]:
        return self.x.split(_ROWS)

    def fit(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Weights [dim, targets] and intercepts [targets] for ``target`` [n, targets]."""
        bias = target.mean(dim=0)
        return torch.cholesky_solve((self.x.T @ (target - bias)).double(), self.factor).float(), bias

    def left_out(self, target: Tensor) -> Tensor:
        """Score [n, targets] of each point under the fit on all others."""
        h, exact = self.leverage[:, None], bool(self.leverage.max() > 0.9)
        blocks = [part.double() for part in self._blocks] if exact else [self.x]
        target = target.to(blocks[0])
        bias = target.mean(dim=0)
        product = sum(part.T @ of for part, of in zip(blocks, (target - bias).split(_ROWS if exact else len(target))))
        weight = torch.cholesky_solve(product.double(), self.factor).to(blocks[0])
        seen = torch.cat([part @ weight for part in blocks])
        return ((seen + bias - h * target) / (1 - h)).float()


@dataclass(frozen=True)
class Verdict:
    """A probe of some points against the rest.

    Attributes:
        score: [n] left-out score; about 1 for the chosen, 0 for the rest.
        auc: chance that a chosen point scores above one of the rest, ties half; 0.5 is chance.
        weight: [dim] direction of the probe.
        of: what was probed, in words.
    """

    score: np.ndarray
    auc: float
    weight: Tensor
    of: str


def separate(ridge: Ridge, chosen: np.ndarray) -> Verdict:
    """Probe the points where ``chosen`` [n] is true against the rest."""
    inside = int(chosen.sum())
    if not 0 < inside < len(chosen):
        raise ValueError(f"a probe needs points on both sides; {inside:,} of {len(chosen):,} are selected")
    target = torch.from_numpy(chosen).float()[:, None]
    score = ridge.left_out(target)[:, 0].numpy()
    of = f"{inside:,} point" + ("s" if inside > 1 else "")
    return Verdict(score, auc(score, chosen), ridge.fit(target)[0][:, 0], of)


def auc(score: np.ndarray, inside: np.ndarray) -> float:
    """The chance that a point inside scores higher than one outside; ties count half (Mann and Whitney 1947)."""
    n = int(inside.sum())
    return float((rankdata(score)[inside].sum() - n * (n + 1) / 2) / (n * (len(score) - n)))


def left_out_classes(ridge: Ridge, codes: np.ndarray, classes: int) -> np.ndarray:
    """The class [n] that a probe fitted without the point gives it; classes a few at a time, so memory stays O(n)."""
    best = torch.full((len(codes),), -torch.inf)
    guess = torch.zeros(len(codes), dtype=torch.long)
    y = torch.from_numpy(codes.astype(np.int64))
    for start in range(0, classes, 32):
        block = torch.arange(start, min(start + 32, classes))
        score, which = ridge.left_out((y[:, None] == block).float()).max(dim=1)
        guess = torch.where(score > best, block[which], guess)
        best = torch.maximum(score, best)
    return guess.numpy()
