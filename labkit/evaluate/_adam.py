"""The linear probe of GraphMAE, MVGRL and Bandana: a linear layer after a fixed number of Adam steps."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import require_counts, require_known, require_positive
from labkit.evaluate._inputs import check_labels, check_probe, unit_rows
from labkit.evaluate._score import Score, counted
from labkit.evaluate._split import Split
from labkit.losses import without_autocast

_SELECT = {"last": "the last one", "validation": "the best on validation"}


@checked(numbers=False)
@dataclass(frozen=True)
class AdamProbe:
    """Test accuracy of a linear layer trained by full-batch Adam, stopped long before it has converged.

    What the papers' own code does; :func:`linear_probe` solves the same problem to its end, with the strength chosen
    on validation rows. Steps, rate and decay act together as the strength here, and are given. Call it with
    (z [items, dim], y [items], split).

    Args:
        steps: of Adam on the cross-entropy of all train rows.
        lr, weight_decay: of ``torch.optim.Adam``; the decay is of weights and intercepts.
        select: the step that is scored: "last", or "validation": of those with the best validation accuracy the last.
        starts: random starts (Xavier's), trained side by side; the score of a split is their mean.
        normalize: divide each row of z by its L2 norm first. Everything after it is in float32.

    Cost: time O(steps · splits · starts · rows · dim · classes).

    Raises:
        ValueError: what every probe refuses, and ``select="validation"`` on a split without validation rows.
    """

    steps: int = 300
    lr: float = 0.01
    weight_decay: float = 0.0
    select: str = "last"
    starts: int = 1
    normalize: bool = False

    def __post_init__(self):
        require_counts(steps=self.steps, starts=self.starts)
        require_positive("lr", self.lr)
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must not be negative, not {self.weight_decay}")
        require_known("selection", self.select, _SELECT)

    def check(self, y: Tensor, split: Split) -> None:
        """Refuse labels or a split that the probe can't work with."""
        check_labels(y, split)
        if self.select == "validation" and split.validation is None:
            raise ValueError(
                f"split {split.name!r} has no validation rows to choose the step on; use select='last', or give it some"
            )

    def __call__(self, z: Tensor, y: Tensor, split: Split) -> Score:
        z, y, split = check_probe(z, y, split, self.check)
        z = (unit_rows(z) if self.normalize else z).float()
        judge = split.validation if self.select == "validation" else [None] * len(split)
        y = torch.searchsorted(y[split.train[0]].unique(), y)  # numbers may be large; the check saw to it: no others
        parts = zip(split.train, judge, split.test, strict=True)
        accuracy = [self._accuracy(z, y, *rows).mean().item() for rows in parts]
        return Score.of(accuracy, counted(len(split), "split"), f"{split.name}, {self}")

    @torch.inference_mode(False)
    @torch.enable_grad()
    @without_autocast
    def _accuracy(self, z: Tensor, y: Tensor, train: Tensor, judge: Tensor | None, test: Tensor) -> Tensor:
        """Of each start, at the step that counts. Starts stand side by side as columns of one matrix."""
        classes, generator = int(y[train].max()) + 1, torch.Generator().manual_seed(0)
        bound = (6 / (z.shape[1] + classes)) ** 0.5
        weight = torch.rand(self.starts, z.shape[1], classes, generator=generator).mul(2 * bound).sub(bound)
        weight = weight.transpose(0, 1).flatten(1).to(z.device).requires_grad_()
        bias = torch.zeros(weight.shape[1], device=z.device, requires_grad=True)
        adam = torch.optim.Adam([weight, bias], lr=self.lr, weight_decay=self.weight_decay)

        def logits(x: Tensor) -> Tensor:
            return torch.addmm(bias, x, weight).unflatten(1, (self.starts, classes))

        def right(rows: Tensor) -> Tensor:
            return (logits(z[rows]).argmax(dim=2) == y[rows, None]).double().mean(dim=0)

        x, known = z[train], F.one_hot(y[train], classes)[:, None].to(z.dtype)
        best = found = torch.zeros(self.starts, dtype=torch.float64, device=z.device)
        for _ in range(self.steps):
            # summed over starts, so that each has its own gradient
            loss = -(logits(x).log_softmax(dim=2) * known).sum() / len(train)
            weight.grad, bias.grad = torch.autograd.grad(loss, (weight, bias))
            adam.step()
            if judge is not None:
                with torch.no_grad():
                    now = right(judge)
                    found, best = torch.where(now >= best, right(test), found), torch.maximum(now, best)
        with torch.no_grad():
            return right(test) if judge is None else found

    def __str__(self) -> str:
        prepared = "L2-normalised" if self.normalize else "not normalised"
        decay = f", weight decay {self.weight_decay:g}" if self.weight_decay else ""
        starts = f", mean of {self.starts} starts" if self.starts > 1 else ""
        return (
            f"{prepared}, linear layer after Adam steps of {self.lr:g}{decay}: of {self.steps} {_SELECT[self.select]}"
            + starts
        )
