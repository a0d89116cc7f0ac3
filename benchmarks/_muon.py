"""Muon for convolutions: momentum whose matrices are made orthogonal, one captured CUDA graph a step.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; ``torch.optim.Muon`` takes matrices only,
and one after the other.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """[n, rows, columns]: about U·Vᵀ of each matrix U·S·Vᵀ, by a Newton-Schulz iteration whose S ends in 0.7 to 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        s = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(s, s, s, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """A step turns each weight matrix and keeps its length (batch norm undoes length); all else follows SGD.

    Convolutions are matrices [outputs, inputs · height · width]. Matrices of one shape are made orthogonal together.

    Args:
        params: matrices and convolutions, and vectors; all get gradients at each step.
        lr: the share of its length that a square matrix moves by.
        vectors_lr: of SGD, for norms and biases.
        momentum: Nesterov's, of both.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, vectors_lr: float, momentum: float = 0.9):
        params = list(params)
        self.matrices = [p for p in params if p.dim() > 1]
        self.vectors = [p for p in params if p.dim() <= 1]
        super().__init__([{"params": self.matrices, "lr": lr}, {"params": self.vectors, "lr": vectors_lr}], {})
        self.momentum = momentum
        self.lengths = [len(p) ** 0.5 for p in self.matrices]
        self.grads, self.means = ([torch.zeros_like(p) for p in self.matrices + self.vectors] for _ in range(2))
        self.rates = torch.zeros(2, device=params[0].device)  # read by the captured graph
        self.alike = defaultdict(list)
        for at, p in enumerate(self.matrices):
            self.alike[len(p), p[0].numel()].append(at)
        self.graph, self.steps = None, 0
        self._keep_lengths()

    @torch.no_grad()
    def step(self) -> None:
        torch._foreach_copy_(self.grads, [p.grad for p in self.matrices + self.vectors])
        for rate, group in zip(self.rates, self.param_groups, strict=True):
            rate.fill_(group["lr"])
        self.steps += 1
        if not self.rates.is_cuda or self.steps < 4:  # the first ones warm up what a capture may not start
            return self._update()
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._update()
        self.graph.replay()

    def _update(self) -> None:
        torch._foreach_lerp_(self.means, self.grads, 1 - self.momentum)
        ahead = torch._foreach_lerp(self.grads, self.means, self.momentum)
        moves = [None] * len(self.matrices)
        for (rows, columns), places in self.alike.items():
            x = torch.stack([ahead[at].reshape(rows, columns) for at in places])
            x = orthogonal(x.bfloat16() if x.is_cuda else x).float() * (-self.rates[0] * max(1, rows / columns) ** 0.5)
            for at, move in zip(places, x, strict=True):
                moves[at] = move.view(self.matrices[at].shape)
        self._keep_lengths()
        torch._foreach_add_(self.matrices, moves)
        slow = ahead[len(self.matrices) :]
        torch._foreach_mul_(slow, -self.rates[1] / (1 - self.momentum))  # SGD sums where ``means`` averages
        torch._foreach_add_(self.vectors, slow)

    @torch.no_grad()
    def _keep_lengths(self) -> None:
        lengths = torch._foreach_norm(self.matrices)
        wanted = zip(self.lengths, lengths, strict=True)
        torch._foreach_mul_(self.matrices, [want / length for want, length in wanted])
