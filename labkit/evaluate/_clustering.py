"""Clusters: k-means, and how far clusters are classes."""

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_matrix


@checked(numbers=False)
def kmeans(z: Tensor, k: int, seed: int = 0, starts: int = 5, fit_on: Tensor | None = None) -> Int64[Tensor, " items"]:
    """The cluster of every row by scikit-learn's k-means: the best of ``starts`` random starts.

    Args:
        z: [items, dim]. Distances are Euclidean; for cosine, scale the rows to length 1.
        k: clusters, at most the rows.
        seed: of the starts.
        starts: at least 1.
        fit_on: rows from which the centres are found, e.g. a split's train rows; None: all.

    Raises:
        ValueError: NaN, ``k`` or ``starts`` out of range.

    Example:
        >>> clustering_accuracy(y, kmeans(z, 10))
    """
    from sklearn.cluster import KMeans

    require_matrix("z", z)
    rows = z.detach().cpu()
    seen = rows if fit_on is None else rows[fit_on.cpu()]
    if not 1 <= k <= len(seen) or starts < 1:
        raise ValueError(f"k must lie between 1 and the {len(seen)} rows, starts be at least 1; not {k} and {starts}")
    model = KMeans(k, n_init=starts, random_state=seed).fit(seen.numpy())
    found = model.labels_ if fit_on is None else model.predict(rows.numpy())
    return torch.from_numpy(found).long()


@checked(numbers=False)
def clustering_accuracy(y: Tensor, found: Tensor) -> float:
    """Share of items whose cluster stands for their class, under the best one-to-one match (Hungarian method).

    0 to 1; a cluster more than there are classes stands for none. The match looks at ``y``: it is part of the score.

    Args:
        y, found: int64 [items], classes and clusters, numbered from 0.

    Raises:
        ValueError: other lengths, no items, negative numbers.
    """
    from scipy.optimize import linear_sum_assignment

    if y.shape != found.shape or not len(y) or min(int(y.min()), int(found.min())) < 0:
        raise ValueError(
            f"y and found must hold a class and a cluster, from 0, for each item; not {list(y.shape)} and "
            f"{list(found.shape)} numbers from {int(y.min()) if len(y) else 'none'} on"
        )
    sides = int(y.max()) + 1, int(found.max()) + 1
    together = torch.bincount(y.cpu() * sides[1] + found.cpu(), minlength=sides[0] * sides[1]).view(sides)
    matched = linear_sum_assignment(together.numpy(), maximize=True)
    return together[matched].sum().item() / len(y)


@checked(numbers=False)
def rand_index(y: Tensor, found: Tensor) -> float:
    """Adjusted Rand index: 1 for the same clusters, 0 for what chance gives."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(y.cpu().numpy(), found.cpu().numpy()))
