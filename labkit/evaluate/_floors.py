"""What the same probe reaches with nothing trained: it stands beside every score."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_counts, require_matrix
from labkit._graph_batch import GraphBatch
from labkit.evaluate._cross_validation import CrossValidation
from labkit.evaluate._protocol import Protocol
from labkit.evaluate._score import Score, counted
from labkit.models import GIN, propagation_matrix


@checked(numbers=False)
def floors(
    x: Tensor,
    y: Tensor,
    source: Any = None,
    protocol: Protocol | CrossValidation | None = None,
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
    if x.dim() < 2:
        raise ValueError(f"x must have shape [items, ...], not {list(x.shape)}")
    x = x.flatten(1).float()
    require_matrix("x", x)
    # a classifier's own prediction is compared with a linear probe of what is untrained
    fitted = protocol.of_features if isinstance(protocol, Protocol) else protocol
    scores = {"raw": fitted.score(x, y, source, seed)}
    if untrained is not None:
        scores["untrained"] = protocol.score(untrained, y, source, seed)
    if edge_index is not None:
        propagate = propagation_matrix(edge_index, len(x))
        scores["propagated"] = fitted.score(propagate @ (propagate @ x), y, source, seed)
    return scores


@checked(numbers=False)
def graph_set_floors(
    batch: GraphBatch,
    y: Tensor,
    source: Any = None,
    protocol: Protocol | CrossValidation | None = None,
    *,
    random_gins: int = 3,
    seed: int = 0,
) -> dict[str, Score]:
    """Scores of whole graphs under ``protocol`` with nothing trained.

    Args:
        batch: all graphs, ``graphs.packed``.
        y: [graphs] integer classes.
        source: the data set, where the protocol's folds come with it.
        protocol: None: ``CrossValidation()``.
        random_gins: how many random starts of a GIN to score, see :func:`random_gin`; 0: none.
        seed: of folds and of the first random start.

    Returns:
        "raw": node features summed over each graph, which for one-hot labels counts the nodes of each label, and for
        features of all ones the nodes. "size": number of nodes and number of edges. "random GIN": mean over the
        starts; on most TU sets it reaches what papers report for trained encoders.

    Raises:
        ValueError: what the protocol refuses.

    Example:
        >>> graphs = load("mutag")
        >>> graph_set_floors(graphs.packed, graphs.y)["random GIN"].mean
    """
    require_counts(0, random_gins=random_gins)
    protocol = protocol or CrossValidation()
    size = torch.stack([batch.sizes, batch.edge_ptr.diff()], dim=1).float()
    scores = {"raw": batch.pool(batch.x), "size": size}
    scores = {name: protocol.score(z.cpu(), y, source, seed) for name, z in scores.items()}
    if random_gins:
        starts = [protocol.score(random_gin(batch, seed + i), y, source, seed) for i in range(random_gins)]
        scores["random GIN"] = Score.pool(starts, f"{counted(random_gins, 'random start')}, each {starts[0].over}")
    return scores


@checked(numbers=False)
def random_gin(batch: GraphBatch, seed: int = 0) -> Float[Tensor, "graphs dim"]:
    """Graphs embedded by a GIN at torch's random start: 3 layers of 32, the sums of all layers side by side."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch.no_grad():
        torch.manual_seed(seed)
        return GIN(batch.x.shape[1]).to(batch.device).eval()(batch)
