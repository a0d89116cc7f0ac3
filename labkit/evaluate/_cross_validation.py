"""Graph classification's protocol: k-fold cross-validation of a support vector machine on frozen embeddings."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_known, require_matrix
from labkit.evaluate._inputs import in_range, sorted_strengths
from labkit.evaluate._score import Score, counted
from labkit.evaluate._split import Split

SVMS = {"rbf": "RBF SVM", "linear": "linear SVM"}
STRENGTHS = tuple(10.0**i for i in range(-3, 4))
_SELECT = {
    "cross-validation": "by {inner}-fold cross-validation inside the fold",
    "test (as the paper did)": "by TEST accuracy (as the paper did)",
}
# train rows, rows to predict, values of C -> for each C the classes of those rows
Predict = Callable[[np.ndarray, np.ndarray, Sequence[float]], Iterator[np.ndarray]]


@checked(numbers=False)
@dataclass(frozen=True)
class CrossValidation:
    """Stratified k-fold cross-validation of an SVM, its C chosen without looking at the fold that is scored.

    Stands wherever a :class:`Protocol` does: prints itself, refuses before training what it could not score after it.

    Attributes:
        svm: "rbf" (scikit-learn's SVC, γ = 1 / (dim · variance) of the train part) or "linear" (LinearSVC, squared
            hinge, primal).
        strengths: values of C to choose from, or one fixed value.
        select: "cross-validation" (on the train part of each fold, ``inner_folds`` stratified parts, the smallest of
            equally good C), or "test (as the paper did)": the best on the part that is scored, printed with the score.
        standardize: every dimension to mean 0 and standard deviation 1, as the train part has them.
        folds: how many, shuffled from the seed; or "given", the folds that come with the data (``GraphSet.folds``: the
            files of the GIN authors, ``load(name, source="gin")``; they fit that file's order only).
        inner_folds: parts of the choice of C.
        repeats: shuffles, one after the other; the seed of the first is the one asked for.

    What the papers' codes do, as options: InfoGraph and GraphCL ``standardize=False``; GraphMAE the same with
    ``strengths=(1e-3, 1e-2, 0.1, 1, 10)`` and calls the accuracy micro-F1; MVGRL ``svm="linear", standardize=False``.
    They draw new folds for every embedding; here two embeddings see the same folds, so that their difference is paired.

    Example:
        >>> print(CrossValidation().score(z, graphs.y))
        87.8 ± 6.6 % (over 10 folds; 10-fold cross-validation, standardised, RBF SVM, C in 0.001..1000 (7 values) ...)
    """

    svm: str = "rbf"
    strengths: Iterable[float] | float = STRENGTHS
    select: str = "cross-validation"
    standardize: bool = True
    folds: int | str = 10
    inner_folds: int = 5
    repeats: int = 1

    def __post_init__(self):
        object.__setattr__(self, "strengths", sorted_strengths(self.strengths))
        for argument, kind, known in (("svm", "SVM", SVMS), ("select", "selection", _SELECT)):
            require_known(kind, getattr(self, argument), known, argument)
        if self.folds != "given" and (isinstance(self.folds, str) or self.folds < 2):
            raise ValueError(f"folds must be at least 2, or 'given'; not {self.folds!r}")
        if self.inner_folds < 2 or self.repeats < 1:
            raise ValueError(
                f"inner_folds must be at least 2 and repeats at least 1, not {self.inner_folds} and {self.repeats}"
            )
        if self.folds == "given" and self.repeats > 1:
            raise ValueError("folds='given' are always the same folds: repeats must be 1")

    def check(self, y: Tensor, source: Any = None, seed: int = 0) -> None:
        """Refuse, before anything is trained, labels and folds that :meth:`score` would refuse after it."""
        numbers = isinstance(y, Tensor) and y.dtype != torch.bool and not (y.is_floating_point() or y.is_complex())
        if not numbers or y.dim() != 1:
            found = f"{y.dtype} {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"y must be a tensor of one integer class an item, not {found}")
        kinds, counts = y.unique(return_counts=True)
        if len(kinds) < 2:
            found = "one class only" if len(kinds) else "no labels"
            raise ValueError(f"y holds {found}; an SVM needs at least two classes to tell apart")
        if self.folds == "given":
            self._check_given(y, getattr(source, "folds", ()))
            return
        require_between("seed", seed, 0, 2**32 - self.repeats)  # what NumPy takes
        fewest = int(counts.min())
        if fewest < self.folds:
            raise ValueError(
                f"class {int(kinds[counts.argmin()])} of y has {counted(fewest, 'item')}; {self.folds}-fold "
                f"cross-validation needs one for each fold: use folds={max(fewest, 2)} at most, or leave the class out"
            )
        self._check_inner(int(kinds[counts.argmin()]), fewest - -(-fewest // self.folds), "a train part")

    def score(self, z: Tensor, y: Tensor, source: Any = None, seed: int = 0) -> Score:
        """Score embeddings.

        Args:
            z: [items, dim] embeddings.
            y: [items] integer classes.
            source: the data set, where its folds are "given"; else not used.
            seed: of the shuffles.

        Returns:
            Score: with one repeat a value for each fold; with more a value for each repeat, the mean of its folds.
            ``details`` holds "strengths" (the chosen C of each fold, [repeats, folds]) and "predictions" [repeats,
            items], −1 where an item is in no test part.

        Cost: folds · (inner_folds · strengths + 1) fits, each up to quadratic in the items, on the CPU; memory items²
        numbers for "rbf". PROTEINS (1 113 × 96): 5 s on one core.

        Raises:
            ValueError: NaN or infinite embeddings, labels of another length, a class that is too small for the folds.
        """
        require_matrix("z", z)
        if isinstance(y, Tensor) and y.shape != z.shape[:1]:
            raise ValueError(f"y must hold one class for each of the {len(z)} rows of z, not {list(y.shape)}")
        self.check(y, source, seed)
        z = z.detach().double().cpu()
        if self.standardize or self.svm == "rbf":  # to both the scale is nothing, and huge values overflow
            z = in_range(z, dim=0 if self.standardize else (0, 1))
        rows, classes = z.numpy(), y.cpu().numpy()
        accuracies, strengths, predictions = [], [], []
        for repeat in range(self.repeats):
            accuracies.append([])
            strengths.append([])
            predictions.append(np.full(len(classes), -1))
            for train, test in self._folds(classes, source, seed + repeat):
                predict = self._machine(rows, classes, train)
                c = self._choose(predict, classes, train, test)
                predictions[-1][test] = next(predict(train, test, [c]))
                accuracies[-1].append((predictions[-1][test] == classes[test]).mean())
                strengths[-1].append(c)
        folds = len(accuracies[0])
        values = [np.mean(one) for one in accuracies] if self.repeats > 1 else accuracies[0]
        over = f"{self.repeats} repeats of {folds} folds" if self.repeats > 1 else counted(folds, "fold")
        details = {"strengths": strengths, "predictions": torch.from_numpy(np.stack(predictions))}
        return Score.of(values, over, str(self), details)

    def _folds(self, y: np.ndarray, source: Any, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.folds == "given":
            return ((train.cpu().numpy(), test.cpu().numpy()) for train, test in source.folds)
        from sklearn.model_selection import StratifiedKFold

        return StratifiedKFold(self.folds, shuffle=True, random_state=seed).split(y[:, None], y)

    def _machine(self, z: np.ndarray, y: np.ndarray, train: np.ndarray) -> Predict:
        """The SVM as a function; features are prepared, and the kernel taken, once for a fold and all its C."""
        from sklearn.svm import SVC, LinearSVC

        if self.standardize:
            mean, spread = z[train].mean(axis=0), z[train].std(axis=0)
            rounding = len(train) * np.finfo(z.dtype).eps * np.abs(mean)  # of a column that is constant
            z = (z - mean) / np.where(spread > rounding, spread, 1)
        if self.svm == "linear":
            return lambda rows, others, strengths: (
                LinearSVC(C=c, dual=False).fit(z[rows], y[rows]).predict(z[others]) for c in strengths
            )
        variance = z[train].var()
        square = (z * z).sum(axis=1)
        distance = np.maximum(square[:, None] + square - 2 * z @ z.T, 0)
        kernel = np.exp(-distance / (z.shape[1] * variance if variance > 0 else 1))

        def predict(rows: np.ndarray, others: np.ndarray, strengths: Sequence[float]) -> Iterator[np.ndarray]:
            within, across = kernel[np.ix_(rows, rows)], kernel[np.ix_(others, rows)]
            return (SVC(C=c, kernel="precomputed").fit(within, y[rows]).predict(across) for c in strengths)

        return predict

    def _choose(self, predict: Predict, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
        if len(self.strengths) == 1:
            return self.strengths[0]
        parts = [(train, test)]
        if self.select == "cross-validation":
            from sklearn.model_selection import StratifiedKFold

            inner = StratifiedKFold(self.inner_folds).split(train[:, None], y[train])
            parts = [(train[learn], train[judge]) for learn, judge in inner]
        right = [
            [(found == y[judge]).mean() for found in predict(learn, judge, self.strengths)] for learn, judge in parts
        ]
        # rounded, as sums in another order must not break a tie; of equals the first, and so the smallest, C
        return self.strengths[int(np.mean(right, axis=0).round(12).argmax())]

    def _check_given(self, y: Tensor, folds: Any) -> None:
        if not folds:
            raise ValueError(
                "folds='given', but the data comes with none; load the set with source='gin', or use folds=10"
            )
        for number, (train, test) in enumerate(folds):
            try:
                Split(train, None, test)
            except ValueError as error:
                raise ValueError(f"fold {number} can't be scored: {error}") from error
            if max(int(train.max()), int(test.max())) >= len(y):
                raise ValueError(f"fold {number} reaches past the last of {len(y)} items: it belongs to another set")
            kinds, counts = y[train.to(y.device)].unique(return_counts=True)
            if len(kinds) < len(y.unique()):
                raise ValueError(f"the train part of fold {number} lacks a class")
            self._check_inner(int(kinds[counts.argmin()]), int(counts.min()), f"the train part of fold {number}")

    def _check_inner(self, kind: int, items: int, part: str) -> None:
        """Each of the inner folds, which choose C, must see the class."""
        if len(self.strengths) > 1 and self.select == "cross-validation" and items < self.inner_folds:
            raise ValueError(
                f"class {kind} of y has {items} items in {part}, too few to choose C by {self.inner_folds}-fold "
                "cross-validation; use fewer inner_folds or one C, e.g. strengths=1.0"
            )

    def __str__(self) -> str:
        folds = "given folds" if self.folds == "given" else f"{self.folds}-fold cross-validation"
        prepared = "standardised" if self.standardize else "not standardised"
        chosen = f"C = {self.strengths[0]:g}"
        if len(self.strengths) > 1:
            chosen = f"C in {self.strengths[0]:g}..{self.strengths[-1]:g} ({len(self.strengths)} values) "
            chosen += _SELECT[self.select].format(inner=self.inner_folds)
        return f"{folds}, {prepared}, {SVMS[self.svm]}, {chosen}"
