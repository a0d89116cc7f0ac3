"""What a classifier itself predicts: nothing is fitted."""

from dataclasses import dataclass

from torch import Tensor

from labkit.evaluate._inputs import check_labels, check_probe
from labkit.evaluate._score import Score, accuracy
from labkit.evaluate._split import Split


@dataclass(frozen=True)
class ArgMax:
    """Test accuracy of the largest column of ``z``: for methods trained with labels, which embed as logits.

    Call it with (z [items, classes], y [items], split). Train and validation rows are not used here; the method saw
    them. Not for representations: columns must be classes.

    Raises:
        ValueError: fewer columns than classes, and what every probe refuses.
    """

    def check(self, y: Tensor, split: Split) -> None:
        """Refuse labels or a split that can't be scored."""
        check_labels(y, split)

    def __call__(self, z: Tensor, y: Tensor, split: Split) -> Score:
        z, y, split = check_probe(z, y, split, self.check)
        if z.shape[1] <= int(y.max()):
            raise ValueError(
                f"z has {z.shape[1]} columns for {int(y.max()) + 1} classes: argmax scores logits; use a linear probe "
                "for representations"
            )
        return accuracy(self, z.argmax(dim=1).repeat(len(split), 1), y, split)

    def __str__(self) -> str:
        return "the classifier's own prediction"
