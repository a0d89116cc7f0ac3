"""A score is a number with what it was measured under; a mean has an interval that the truth may lie in."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, SupportsFloat

from jaxtyping import Int64
from torch import Tensor

from labkit._arguments import checked
from labkit.evaluate._split import Split


@checked
def mean_interval(values: Iterable[SupportsFloat]) -> tuple[float, float]:
    """The mean and half the width of its 95 % interval by Student's t (n − 1 degrees of freedom).

    Args:
        values: finite numbers that don't depend on each other, e.g. a method's gain over its control for each seed. Of
            one value the half width is infinite.

    Twice the standard error, which is often drawn in its place, covers 95 % for many seeds only: 71 % for two, 86 % for
    four, 92 % for ten.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    from scipy.stats import t

    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ValueError(f"values must be numbers, one a repeat: {error}") from error
    if not numbers or not all(map(math.isfinite, numbers)):
        raise ValueError(f"values must hold at least one number, all finite, not {numbers}")
    if len(numbers) == 1:
        return numbers[0], math.inf
    return fmean(numbers), float(t.ppf(0.975, len(numbers) - 1) * stdev(numbers) / math.sqrt(len(numbers)))


@dataclass(frozen=True)
class Score:
    """Accuracy with its spread, what the spread is over, and the protocol that produced it.

    Attributes:
        mean: mean of ``values``, a fraction in [0, 1].
        std: sample standard deviation of ``values`` (n − 1 below); 0 when there is one value, and then not printed.
        values: one accuracy for each split (or pretraining, see :meth:`pool`).
        over: what ± is over, e.g. "20 splits".
        protocol: split, preparation, probe and selection in words.
        details: what the probe leaves for a closer look: "predictions" [splits, items] (predicted class of every
            item), and from ``linear_probe`` "strengths" (the chosen C of each split).

    Example:
        >>> print(linear_probe(z, data.y, Split.public(data)))
        69.3 % (one split; public 140/500/1000, L2-normalised, logistic regression, C in 2^-10..2^8 (10 values) by
        validation)
    """

    mean: float
    std: float
    values: tuple[float, ...]
    over: str
    protocol: str
    details: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, values: Iterable[float], over: str, protocol: str, details: dict[str, Any] | None = None) -> "Score":
        """The score that ``values`` (fractions) make."""
        values = tuple(float(v) for v in values)
        if not values:
            raise ValueError("a score needs at least one value")
        spread = stdev(values) if len(values) > 1 else 0.0
        return cls(fmean(values), spread, values, over, protocol, details or {})

    @classmethod
    def pool(cls, scores: Iterable["Score"], over: str | None = None) -> "Score":
        """One score from one per pretraining: the mean of each counts once, and ± is over pretrainings.

        Raises:
            ValueError: the scores come from different protocols.
        """
        scores = list(scores)
        protocols = {s.protocol for s in scores}
        if len(protocols) > 1:
            raise ValueError(f"scores of different protocols can't be pooled: {'; '.join(sorted(protocols))}")
        if not scores:
            raise ValueError("a score needs at least one value")
        if over is None:
            over = counted(len(scores), "pretraining")
            if len(scores[0].values) > 1:
                over += f", each the mean of {scores[0].over}"
        return cls.of([s.mean for s in scores], over, scores[0].protocol)

    def __str__(self) -> str:
        spread = f" ± {100 * self.std:.1f}" if len(self.values) > 1 else ""
        over = f"over {self.over}" if len(self.values) > 1 else self.over
        return f"{100 * self.mean:.1f}{spread} % ({over}; {self.protocol})"


def accuracy(
    probe: object, predictions: Int64[Tensor, "splits items"], y: Tensor, split: Split, **details: Any
) -> Score:
    """Share of the test rows of each split whose predicted class is the true one."""
    right = predictions.gather(1, split.test) == y[split.test]
    over, protocol = counted(len(split), "split"), f"{split.name}, {probe}"
    return Score.of(right.double().mean(dim=1).tolist(), over, protocol, details | {"predictions": predictions})


def counted(n: int, noun: str) -> str:
    """ "one split", "20 splits" """
    return f"one {noun}" if n == 1 else f"{n} {noun}s"
