"""What notebooks ask of their reader: predict before the reveal, check a result against a band, and see how one did."""

import math
from dataclasses import dataclass, field
from typing import Any

from labkit._arguments import checked

__all__ = ["Comparison", "Prediction", "beside_paper", "check", "predict", "score"]

_predictions: dict[str, "Prediction"] = {}  # by question; what score() counts, for the life of the kernel
_checks: dict[str, bool] = {}


@dataclass
class Prediction:
    """A guess that was made before the answer was seen; see :func:`predict`."""

    question: str
    guess: float
    low: float
    high: float
    truth: float | None = None
    slider: Any = field(default=None, repr=False)

    def reveal(self, truth: Any) -> None:
        """Lock the guess, and print the answer beside it: spot on within 2 % of the possible range, close within 10 %.

        ``truth`` is a number, or a tensor that holds one. The first reveal is the one that counts: a guess that is
        made after it does not.
        """
        truth = _number("truth", truth)
        if math.isnan(truth):
            raise ValueError("truth is not a number: look at the cell that computed it")
        if self.truth is None:
            if self.slider is not None:
                self.guess, self.slider.disabled = self.slider.value, True
            self.truth = truth
        now = "" if truth == self.truth else f" (now it is {truth:.3g}; what counts is the first)"
        print(f"{self.question}\n  you said {self.guess:g}, it is {self.truth:.3g}: {self.verdict}{now}")

    @property
    def verdict(self) -> str:
        """ "spot on", "close", "a surprise", or "not revealed"."""
        if self.truth is None:
            return "not revealed"
        off = abs(self.guess - self.truth) / (self.high - self.low)
        return "spot on" if off < 0.02 else "close" if off < 0.1 + 1e-9 else "a surprise"


@checked
def predict(question: str, guess: float, low: float = 0, high: float = 1.0) -> Prediction:
    """Write down a guess between ``low`` and ``high`` before running on.

    In JupyterLab a slider shows it as well, which may be dragged until the reveal; where all three numbers are whole
    (``int``), it stops at whole numbers only.

    Raises:
        ValueError: the guess lies outside, or ``low`` and ``high`` are not finite with room between them.

    Example:
        >>> floor = predict("Accuracy of a linear probe on raw bags of words?", guess=0.75)
        >>> floor.reveal(score.mean)
    """
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"low must be below high, both finite, not {low:g} and {high:g}")
    if not low <= guess <= high:
        raise ValueError(f"guess must lie between {low:g} and {high:g}, not {guess:g}")
    known = _predictions.get(question)
    if known is not None and known.truth is not None:
        print(f"{question}\n  you said {known.guess:g}, and have seen the answer since: that guess stands")
        return known
    print(f"{question}\n  your guess: {guess:g}")
    made = _predictions[question] = Prediction(question, guess, low, high, slider=_slider(guess, low, high))
    return made


@checked
def check(name: str, value: Any, low: float, high: float, hint: str = "", paper: float | None = None) -> None:
    """Say whether ``value`` lies in [low, high]; a miss raises nothing, so that one can try again.

    A miss that has a hint prints it, and on which side of the band the value lies, not the band: in an exercise that
    would be the answer.

    Args:
        name: what is checked.
        value: the number that came out, or a tensor that holds one; ``...`` where the reader has not answered yet.
        low, high: the band.
        hint: printed with a miss, in place of the band.
        paper: what the paper reports, to be shown beside the band.

    Raises:
        TypeError: a value that is no number.
        ValueError: ``low`` above ``high``.

    Example:
        >>> check("loss of collapsed views", loss, 2.70, 2.72, hint="how many other views are there?")
    """
    if low > high:
        raise ValueError(f"low must not be above high, not {low:g} and {high:g}")
    band = f"{low:.4g} to {high:.4g}" + ("" if paper is None else f"; the paper: {paper:.4g}")
    if value is ...:
        _checks[name] = False
        print(f"✗ {name}: no answer yet")
    else:
        value = _number("value", value)
        ok = _checks[name] = low <= value <= high
        missed = "not a number" if math.isnan(value) else "too low" if value < low else "too high"
        where = f"within {band}" if ok else missed if hint else f"{missed}: asked is {band}"
        print(f"{'✓' if ok else '✗'} {name}: {value:.4g} ({where})")
    if not _checks[name] and hint:
        print(f"  hint: {hint}")


def score() -> None:
    """Print how the reader did so far in this kernel: predictions by verdict, and checks."""
    verdicts = [made.verdict for made in _predictions.values()]
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("spot on", "close", "a surprise"))
    revealed = sum(verdict != "not revealed" for verdict in verdicts)
    print(f"{revealed} of {len(verdicts)} predictions revealed: {counts}")
    print(f"{sum(_checks.values())} of {len(_checks)} checks passed")


@dataclass(frozen=True)
class Comparison:
    """Rows of (what, paper, ours, why they differ); Jupyter shows them as a table. See :func:`beside_paper`."""

    rows: tuple[tuple[str, str, str, str], ...]

    def _repr_markdown_(self) -> str:
        rows = ((what, _unbroken(paper), _unbroken(ours), why) for what, paper, ours, why in self.rows)
        lines = [("", "paper", "ours", "why they differ"), ("---",) * 4, *rows]
        return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)

    def __str__(self) -> str:
        return "\n".join(f"{what}: paper {paper}, ours {ours}. {why}" for what, paper, ours, why in self.rows)

    __repr__ = __str__


def beside_paper(*rows: tuple[str, Any, Any, str]) -> Comparison:
    """What a paper reports beside what came out here, and why they differ.

    Args:
        rows: (what, paper, ours, why) each. ``paper`` and ``ours`` are text, a number, or a ``Score``, which is shown
            in percent with its spread.

    Raises:
        ValueError: no rows, or one that lacks its reason.

    Example:
        >>> beside_paper(("GRACE on Cora", "83.3 ± 0.4 %", trained, "the paper's splits have twice the labels"))
    """
    if not rows:
        raise ValueError("rows is empty: give at least one (what, paper, ours, why)")
    for row in rows:
        if not isinstance(row, tuple | list) or len(row) != 4 or not str(row[3]).strip():
            raise ValueError(f"each of rows must be (what, paper, ours, why), and why must say something; not {row!r}")
    return Comparison(tuple((str(what), _said(paper), _said(ours), str(why)) for what, paper, ours, why in rows))


def _unbroken(text: str) -> str:
    """No line ends within "82.0 ± 1.4 %", however narrow the column."""
    return text.replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}").replace(" %", "\N{NO-BREAK SPACE}%")


def _said(value: Any) -> str:
    if hasattr(value, "mean") and hasattr(value, "std") and hasattr(value, "over"):
        return f"{100 * value.mean:.1f}" + (f" ± {100 * value.std:.1f} %" if value.std else " %")
    return value if isinstance(value, str) else f"{_number('rows', value):.3g}"


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise TypeError(f"{name} must be a number, not {value!r} ({type(value).__name__})") from error


def _slider(guess: float, low: float, high: float) -> Any:
    """A slider below the cell where a notebook runs it; None elsewhere."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    if getattr(get_ipython(), "kernel", None) is None:
        return None
    import ipywidgets
    from IPython.display import display

    if all(isinstance(number, int) for number in (guess, low, high)):
        slider = ipywidgets.IntSlider(guess, min=low, max=high, description="guess")
    else:
        slider = ipywidgets.FloatSlider(
            guess, min=low, max=high, step=(high - low) / 1000, description="guess", readout_format=".3g"
        )
    display(slider)
    return slider
