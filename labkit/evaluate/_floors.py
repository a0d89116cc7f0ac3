"""What the same probe reaches with nothing trained: it stands beside every score."""

from typing import Any

from torch import Tensor

from labkit.evaluate._protocol import Protocol
from labkit.evaluate._score import Score
from labkit.models import propagation_matrix


def floors(
    x: Tensor,
    y: Tensor,
    source: Any = None,
    protocol: Protocol | None = None,
    *,
    untrained: Tensor | None = None,
    edge_index: Tensor | None = None,
    seed: int = 0,
) -> dict[str, Score]:
    """Scores under ``protocol`` with nothing trained.

    Args:
        x: [items, ...] raw features or pixels; rows are flattened.
        y: [items] integer classes.
        source: the data set (for its public split), a ready Split, or None where the protocol's splits are random.
        protocol: None: the public split and the linear probe.
        untrained: [items, dim] embedding by the encoder at its random start.
        edge_index: [2, edges] of a graph whose nodes are the items.
        seed: of random splits.

    Returns:
        "raw"; "untrained" where it is given; and on graphs "propagated", A²X: features sent twice along
        D^-1/2 (A + I) D^-1/2, which on citation graphs is most of what a trained encoder reaches.

    Raises:
        ValueError: what the protocol, its split or its probe refuse.

    Example:
        >>> floors(data.x, data.y, data, untrained=run.snapshots[0], edge_index=data.edge_index)["propagated"]
    """
    protocol = protocol or Protocol.public()
    x = x.flatten(1).float()
    fitted = protocol.of_features  # a classifier's own prediction is compared with a linear probe of what is untrained
    scores = {"raw": fitted.score(x, y, source, seed)}
    if untrained is not None:
        scores["untrained"] = protocol.score(untrained, y, source, seed)
    if edge_index is not None:
        propagate = propagation_matrix(edge_index, len(x))
        scores["propagated"] = fitted.score(propagate @ (propagate @ x), y, source, seed)
    return scores
