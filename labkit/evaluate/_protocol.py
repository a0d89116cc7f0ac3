"""A protocol is split × probe × selection × repeats as one small value that prints itself beside the score."""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_known
from labkit.evaluate._adam import AdamProbe
from labkit.evaluate._argmax import ArgMax
from labkit.evaluate._linear import LinearProbe
from labkit.evaluate._neighbours import KNNProbe
from labkit.evaluate._score import Score
from labkit.evaluate._split import Split

_PROBES = {"linear": LinearProbe, "adam": AdamProbe, "knn": KNNProbe, "argmax": ArgMax}


@checked(numbers=False)
@dataclass(frozen=True)
class Protocol:
    """How an embedding becomes a score. Make one with :meth:`public` or :meth:`random`.

    Attributes:
        probe: a probe with its options.
        shares: train, validation (or None) and test shares of random splits; None for the split of the data.
        repeats: random splits of one embedding.

    Example:
        >>> protocol = Protocol.random(0.1, 0.1, 0.8, repeats=20)
        >>> print(protocol.score(z, data.y))
    """

    probe: LinearProbe | AdamProbe | KNNProbe | ArgMax = field(default_factory=LinearProbe)
    shares: tuple[float, float | None, float] | None = None
    repeats: int = 1

    def __post_init__(self):
        if self.sees_labels and self.shares is not None:
            raise ValueError(
                "argmax scores a classifier that was trained on the data's own split: nodes of a random test part may "
                "have taught it their labels; use Protocol.public('argmax')"
            )

    @classmethod
    def public(cls, probe: str = "linear", **options: Any) -> "Protocol":
        """The split that comes with the data, and the options of :func:`linear_probe` ("knn": :func:`knn_probe`).

        "adam": a linear layer after a fixed number of steps, as some papers have it, with the options of ``AdamProbe``.
        "argmax", for methods trained with labels: their own prediction, no options.
        """
        return cls(_make(probe, options))

    @classmethod
    def random(
        cls,
        train: float = 0.1,
        validation: float | None = 0.1,
        test: float = 0.8,
        repeats: int = 1,
        probe: str = "linear",
        **options: Any,
    ) -> "Protocol":
        """``repeats`` random splits of one embedding, see :meth:`Split.random`, and the options of the probe."""
        return cls(_make(probe, options), (train, validation or None, test), repeats)

    @property
    def sees_labels(self) -> bool:
        """Whether what is scored was trained with labels, and predicts by itself: "argmax"."""
        return isinstance(self.probe, ArgMax)

    @property
    def of_features(self) -> "Protocol":
        """This protocol for something that holds no logits: "argmax" becomes the linear probe on the same split."""
        return replace(self, probe=LinearProbe()) if self.sees_labels else self

    def split(self, y: Tensor, source: Any = None, seed: int = 0) -> Split:
        """The rows: those of ``source`` (a Split, or data with a split of its own), or random ones from ``seed``."""
        if isinstance(source, Split):
            return source
        if self.shares is not None:
            return Split.random(y, *self.shares, repeats=self.repeats, seed=seed)
        if source is None:
            raise ValueError("the public split comes with the data: pass the data set as source")
        return Split.public(source)

    def check(self, y: Tensor, source: Any = None, seed: int = 0) -> None:
        """Refuse, before anything is trained, labels and splits that :meth:`score` would refuse after it."""
        self.probe.check(y, self.split(y, source, seed))

    def score(self, z: Tensor, y: Tensor, source: Any = None, seed: int = 0) -> Score:
        """Score embeddings.

        Args:
            z: [items, dim] embeddings.
            y: [items] integer classes.
            source: the data set (its public split), a ready Split, or nothing where the splits are random.
            seed: of random splits.

        Raises:
            ValueError: what the split and the probe refuse.
        """
        return self.probe(z, y, self.split(y, source, seed))

    def __str__(self) -> str:
        if self.shares is None:
            return f"public, {self.probe}"
        percent = "/".join(f"{100 * share:g}" for share in self.shares if share)
        return f"random {percent} %, {self.probe}"


def _make(probe: str, options: dict[str, Any]) -> LinearProbe | AdamProbe | KNNProbe | ArgMax:
    require_known("probe", probe, _PROBES)
    known = _PROBES[probe].__dataclass_fields__
    for name in options:
        require_known(f"option of the {probe} probe", name, known)
    return _PROBES[probe](**options)
