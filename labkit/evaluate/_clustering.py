"""Clusters: k-means, and how far clusters are classes."""

import torch
from jaxtyping import Int64
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import at_least_float32, require_between, require_matrix
from labkit.evaluate._inputs import in_range


@checked(numbers=False)
def kmeans(
    z: Tensor, k: int, seed: int = 0, starts: int = 5, fit_on: Int64[Tensor, " rows"] | None = None
) -> Int64[Tensor, " items"]:
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
    require_between("seed", seed, 0, 2**32 - 1)
    rows = in_range(at_least_float32(z.detach().cpu()))
    if fit_on is not None and fit_on.numel() and not 0 <= int(fit_on.min()) <= int(fit_on.max()) < len(z):
        low, high = int(fit_on.min()), int(fit_on.max())
        raise ValueError(f"fit_on must hold rows of z, 0 to {len(z) - 1}, not {low} to {high}")
    seen = rows if fit_on is None else rows[fit_on.cpu()]
    if not 1 <= k <= len(seen) or starts < 1:
        raise ValueError(f"k must lie between 1 and the {len(seen)} rows, starts be at least 1; not {k} and {starts}")
    model = KMeans(k, n_init=starts, random_state=seed).fit(seen.numpy())
    found = model.labels_ if fit_on is None else model.predict(rows.numpy())
    return torch.from_numpy(found).long()


@checked(numbers=False)
def clustering_accuracy(y: Int64[Tensor, " items"], found: Int64[Tensor, " items"]) -> float:
    """Share of items whose cluster stands for their class, under the best one-to-one match (Hungarian method).

    0 to 1; a cluster more than there are classes stands for none. The match looks at ``y``: it is part of the score.

    Args:
        y, found: int64 [items], classes and clusters, numbered from 0.

    Raises:
        ValueError: other lengths, no items, negative numbers.
    """
    from scipy.optimize import linear_sum_assignment

    if not len(y) or min(int(y.min()), int(found.min())) < 0:
        raise ValueError(
            "y and found must hold a class and a cluster, from 0, for each of at least one item; not "
            f"{len(y)} numbers from {int(y.min()) if len(y) else 'none'} on"
        )
    y, found = (numbers.unique(return_inverse=True)[1] for numbers in (y, found))  # may be as large as they like
    sides = int(y.max()) + 1, int(found.max()) + 1
    together = torch.bincount(y.cpu() * sides[1] + found.cpu(), minlength=sides[0] * sides[1]).view(sides)
    matched = linear_sum_assignment(together.numpy(), maximize=True)
    return together[matched].sum().item() / len(y)


@checked(numbers=False)
def rand_index(y: Int64[Tensor, " items"], found: Int64[Tensor, " items"]) -> float:
    """Adjusted Rand index: 1 for the same clusters, 0 for what chance gives."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(y.cpu().numpy(), found.cpu().numpy()))
