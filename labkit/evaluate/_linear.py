"""The linear probe: logistic regression on frozen embeddings, its strength chosen without looking at the test rows."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_counts, require_known
from labkit.evaluate._inputs import check_labels, check_probe, sorted_strengths, unit_rows
from labkit.evaluate._logistic import LINKS, Logistic, fit_logistic
from labkit.evaluate._score import Score, accuracy
from labkit.evaluate._split import Split
from labkit.losses import without_autocast

STRENGTHS = tuple(4.0**i for i in range(-5, 5))
_SELECT = {
    "validation": "by validation",
    "cross-validation": "by {folds}-fold cross-validation on train",
    "test (as the paper did)": "by TEST accuracy (as the paper did)",
}
_NUMBERS = 2**25  # logits, or rows of z, of problems that are solved together: 128 MB in float32
_COPIES = 4  # of its rows that a problem holds while it is solved


@checked(numbers=False)
def linear_probe(
    z: Tensor,
    y: Tensor,
    split: Split,
    *,
    strengths: Iterable[float] | float = STRENGTHS,
    select: str = "validation",
    folds: int = 5,
    link: str = "softmax",
    normalize: bool = True,
) -> Score:
    """Test accuracy of L2-regularised logistic regression on frozen embeddings, for every split at once.

    Objective and C are those of scikit-learn's ``LogisticRegression``: C · Σ loss + ½ ‖w‖², the sum over train rows,
    the intercept not penalised. With two classes scikit-learn has one weight vector in place of softmax's two: C here
    is 2C there, and ``link="one_vs_rest"`` is its problem at the same C. All strengths, splits and folds are solved
    together on the device of ``z``.

    Args:
        z: [items, dim] embeddings; float64 is solved in float64, all else in float32.
        y: [items] integer classes.
        split: rows to learn from, to choose C on, to score on.
        strengths: values of C to choose from, or one fixed value. Default 2^-10, 2^-8 … 2^8 (10 values).
        select: how C is chosen, for each split by itself; the smallest of equally good ones is taken.
            "validation": accuracy on the validation rows. "cross-validation": accuracy on held-out parts of the train
            rows (stratified ``folds``), then one more fit on all of them. "test (as the paper did)": on the rows that
            are scored; only to reproduce papers that did so, and printed with the score.
        folds: parts of the cross-validation.
        link: "softmax" (multinomial) or "one_vs_rest" (a sigmoid for each class, the largest is predicted).
        normalize: divide each row by its L2 norm first, so that a C means the same for every embedding (as GRACE and
            GCA do). Rows of zeros stay.

    Returns:
        Score over splits; ``details`` holds "strengths" (the chosen C of each split) and "predictions" [splits, items].

    Cost: time O(steps · splits · n_train · min(dim, n_train) · strengths · classes), some 30 to 200 steps; memory
    O(n_train · (strengths · classes + dim)), for as many splits at a time as fit into 128 MB.

    Raises:
        ValueError: NaN or infinite embeddings, ``y`` of another length or not integer, a split that reaches past the
            last item or lacks a class in its train part, no validation rows to choose on, C ≤ 0.

    Example:
        >>> score = linear_probe(method.embed(data), data.y, Split.public(data))
        >>> score.mean, score.details["strengths"]
    """
    return LinearProbe(strengths, select, folds, link, normalize)(z, y, split)


@checked(numbers=False)
@dataclass(frozen=True)
class LinearProbe:
    """The options of :func:`linear_probe` as a value, checked when it is made; call it with (z, y, split)."""

    strengths: Iterable[float] | float = STRENGTHS
    select: str = "validation"
    folds: int = 5
    link: str = "softmax"
    normalize: bool = True

    def __post_init__(self):
        object.__setattr__(self, "strengths", sorted_strengths(self.strengths))
        for argument, kind, known in (("select", "selection", _SELECT), ("link", "link", LINKS)):
            require_known(kind, getattr(self, argument), known, argument)
        require_counts(2, folds=self.folds)

    def check(self, y: Tensor, split: Split) -> None:
        """Refuse labels or a split that the probe can't work with."""
        check_labels(y, split)
        if len(self.strengths) == 1:
            return
        if self.select == "validation" and split.validation is None:
            raise ValueError(
                f"split {split.name!r} has no validation rows to choose C on; give it some, pass one fixed value as "
                "strengths=1.0, or use select='cross-validation'"
            )
        if self.select == "cross-validation":
            for s, classes in enumerate(y[split.train]):
                kind, count = classes.unique(return_counts=True)
                if count.min() < 2:
                    raise ValueError(
                        f"class {int(kind[count.argmin()])} has one train row in split {s} of {split.name!r}, so a "
                        "fold would lack it; cross-validation needs at least 2 rows of each class"
                    )

    @without_autocast
    def __call__(self, z: Tensor, y: Tensor, split: Split) -> Score:
        z, y, split = check_probe(z, y, split, self.check)
        z = z if z.dtype == torch.float64 else z.float()
        z = unit_rows(z) if self.normalize else z
        kinds = y[split.train[0]].unique()  # the check saw to it that no split has others
        grid = torch.tensor(self.strengths, dtype=z.dtype, device=z.device).expand(len(split), -1)
        if self.select == "cross-validation" and grid.shape[1] > 1:
            grid = grid.gather(1, self._best_of_folds(z, y, kinds, split.train)[:, None])
        choose = grid.shape[1] > 1
        judge = split.validation if choose and self.select == "validation" else split.test
        strengths, predictions = [], []
        for of, fitted in self._fits(z, y, kinds, split.train, grid, judge):
            best = torch.zeros_like(of)
            if choose:
                right = kinds[fitted.predict(z[judge[of]])] == y[judge[of], None]
                best = right.sum(dim=1).argmax(dim=1)  # the first, and so the smallest, of equally good ones
            strengths += grid[of, best].tolist()
            predictions.append(kinds[fitted.only(best).predict(z[None])[0].T])
        return accuracy(self, torch.cat(predictions), y, split, strengths=tuple(strengths))

    def _best_of_folds(self, z: Tensor, y: Tensor, kinds: Tensor, train: Tensor) -> Tensor:
        """The position of the best C of each split, by the accuracy on held-out parts of its train rows."""
        # rows of a class go to the folds in turn, and so do the classes, so that folds are equal to within one row
        turn = y[train].argsort(dim=1, stable=True).argsort(dim=1) % self.folds
        held_out = turn[:, None] == torch.arange(self.folds, device=z.device)[:, None]
        held_out, rows = held_out.flatten(0, 1), train.repeat_interleave(self.folds, dim=0)
        grid = torch.tensor(self.strengths, dtype=z.dtype, device=z.device).expand(len(rows), -1)
        right = torch.zeros_like(grid, dtype=torch.long)
        for of, fitted in self._fits(z, y, kinds, rows, grid, rows, ~held_out):
            hit = kinds[fitted.predict(z[rows[of]])] == y[rows[of], None]
            right[of] = (hit & held_out[of, :, None]).sum(dim=1)
        return right.unflatten(0, (len(train), self.folds)).sum(dim=1).argmax(dim=1)

    def _fits(
        self, z: Tensor, y: Tensor, kinds: Tensor, rows: Tensor, grid: Tensor, judge: Tensor, part: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Logistic]]:
        """Solve problems (rows of ``rows``) as many at a time as memory allows: (which, their fit)."""
        most = max(rows.shape[1], judge.shape[1])
        numbers = max(len(kinds) * max(grid.shape[1] * most, len(z)), _COPIES * most * z.shape[1])
        together = max(1, _NUMBERS // numbers)
        for of in torch.arange(len(rows), device=z.device).split(together):
            target = (y[rows[of]][:, :, None] == kinds).to(z.dtype)
            fitted = fit_logistic(z[rows[of]], target, grid[of], self.link, None if part is None else part[of])
            _warn_unless_converged(fitted)
            yield of, fitted

    def __str__(self) -> str:
        prepared = "L2-normalised" if self.normalize else "not normalised"
        first, last = _power(self.strengths[0]), _power(self.strengths[-1])
        if len(self.strengths) == 1:
            chosen = f"C = {first}"
        else:
            chosen = f"C in {first}..{last} ({len(self.strengths)} values) {_SELECT[self.select]}"
        return f"{prepared}, {LINKS[self.link]}, {chosen.format(folds=self.folds)}"


def _warn_unless_converged(fitted: Logistic) -> None:
    left = int((~fitted.converged).sum())
    if left:
        warnings.warn(
            f"{left} of {fitted.converged.numel()} logistic regressions had not converged after {fitted.steps} steps; "
            "their accuracy may be off. Smaller strengths or normalize=True make them easier",
            stacklevel=6,
        )


def _power(c: float) -> str:
    mantissa, exponent = torch.tensor(c, dtype=torch.float64).frexp()
    return f"2^{int(exponent) - 1}" if mantissa == 0.5 and c != 1 else f"{c:g}"
