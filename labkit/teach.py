"""What notebooks ask of their reader: predict before the reveal, and check a result against a band."""

from dataclasses import dataclass


@dataclass
class Prediction:
    """A guess that was made before the answer was seen; see :func:`predict`."""

    question: str
    guess: float
    low: float
    high: float
    truth: float | None = None

    def reveal(self, truth: float) -> None:
        """Print the answer beside the guess: spot on within 2 % of the possible range, close within 10 %."""
        self.truth = truth
        off = abs(self.guess - truth) / (self.high - self.low)
        word = "spot on" if off < 0.02 else "close" if off < 0.1 else "a surprise"
        print(f"{self.question}\n  you said {self.guess:g}, it is {truth:.3g}: {word}")


def predict(question: str, guess: float, low: float = 0.0, high: float = 1.0) -> Prediction:
    """Write down a guess between ``low`` and ``high`` before running on.

    Raises:
        ValueError: the guess lies outside.

    Example:
        >>> floor = predict("Accuracy of a linear probe on raw bags of words?", guess=0.75)
        >>> floor.reveal(score.mean)
    """
    if not low <= guess <= high:
        raise ValueError(f"guess must lie between {low:g} and {high:g}, not {guess:g}")
    print(f"{question}\n  your guess: {guess:g}")
    return Prediction(question, guess, low, high)


def check(name: str, value: float, low: float, high: float, hint: str = "") -> None:
    """Say whether ``value`` lies in [low, high]; a miss prints the hint and raises nothing, so that one can try again.

    Example:
        >>> check("loss of collapsed views", loss, 2.70, 2.72, hint="how many other views are there?")
    """
    ok = low <= value <= high
    band = f"{low:.4g} to {high:.4g}"
    print(f"{'✓' if ok else '✗'} {name}: {value:.4g} ({'within' if ok else 'outside'} {band})")
    if not ok and hint:
        print(f"  hint: {hint}")
