"""Infinite feature selection: features as nodes, subsets as paths, and a sum over paths of every length."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_matrix, unknown

_SHRINK = 5e-6  # of the released code, times the number of features


@checked
def feature_graph(x: Float[Tensor, "items features"], alpha: float = 0.5) -> Float[Tensor, "features features"]:
    """A_ij = α max(σ_i, σ_j) + (1 − α)(1 − |Spearman_ij|): varied and unalike features are close (Roffo et al. 2020).

    max(σ_i, σ_j) is moved and scaled onto [0, 1] over all pairs, as in the released code. A constant feature counts as
    unlike every other one, also as there: leave such features out first.

    Args:
        x: [items, features], at least 2 items.
        alpha: in [0, 1], the share of the spread.

    Cost: time O(items · features² + items · features · log items), memory O(features²).

    Raises:
        ValueError: NaN, ``alpha`` outside [0, 1].
    """
    from scipy.stats import rankdata

    require_matrix("x", x, rows=2)
    require_between("alpha", alpha, 0, 1)
    x = x.detach().double()
    spread = x.std(dim=0)
    larger = torch.maximum(spread[:, None], spread)
    larger = larger - larger.min()
    larger = larger / larger.max() if larger.max() > 0 else larger
    ranks = torch.from_numpy(rankdata(x.cpu().numpy(), axis=0)).to(x)  # equal values share their mean rank
    ranks = ranks - ranks.mean(dim=0)
    length = ranks.norm(dim=0)
    spearman = torch.where(length > 0, ranks / length, 0.0)
    unlike = 1 - (spearman.T @ spearman).abs().clamp(max=1)
    return alpha * larger + (1 - alpha) * unlike


@checked
def infinite_scores(
    graph: Float[Tensor, "features features"], r: float = 0.9, variant: str = "paper"
) -> Float[Tensor, " features"]:
    """Σ_{l≥1} (ρ A)^l 1: the value of all paths that start at a feature; larger is better (equation 9 of the paper).

    In closed form (I − ρA)⁻¹ 1 − 1.

    "paper": ρ = r / (spectral radius of A), the sum being finite for r < 1. "released" (``InfFS_U.m`` of 2020): A is
    divided by its largest row sum s, and then ρ = 1 / s *again*, so that ρA has a spectral radius near 1 / s, a few per
    cent: paths of two steps and more have no weight left, and the ranking is that of the row sums (see
    :func:`path_share`). ``r`` is not used there.

    Args:
        graph: [features, features], symmetric, ≥ 0.
        r: in (0, 1).

    Cost: time O(features³).

    Raises:
        ValueError: not square and symmetric, negative entries, ``r`` outside (0, 1), another variant.
    """
    step = _step(graph, r, variant)
    ones = torch.ones_like(step[:, :1])
    return torch.linalg.solve(torch.eye(len(step)).to(step) - step, ones).flatten() - 1


@checked
def truncated_scores(
    graph: Float[Tensor, "features features"], length: int, r: float = 0.9, variant: str = "paper"
) -> Float[Tensor, " features"]:
    """The same sum over paths of at most ``length`` steps; what is left out is, as a vector, at most r^length
    times as long as the whole ("paper").

    Args, Raises: as :func:`infinite_scores`; ``length`` at least 1.
    """
    require_counts(length=length)
    step = _step(graph, r, variant)
    walk = total = step.sum(dim=1)
    for _ in range(length - 1):
        walk = step @ walk
        total = total + walk
    return total


@checked
def path_share(graph: Float[Tensor, "features features"], r: float = 0.9, variant: str = "paper") -> float:
    """Share of the scores that comes from paths of two steps and more: 0 when features are ranked by degree alone."""
    single = truncated_scores(graph, 1, r, variant)
    whole = infinite_scores(graph, r, variant)
    return (1 - single.sum() / whole.sum()).item()


def _step(graph: Tensor, r: float, variant: str) -> Tensor:
    if not torch.allclose(graph, graph.T) or (graph < 0).any():
        raise ValueError(f"graph must be symmetric and ≥ 0; its least entry is {graph.min().item()}")
    if not graph.any():
        raise ValueError("graph has no edge: all features are constant or copies of each other")
    graph = graph.detach().double()
    if variant == "paper":
        if not 1e-6 <= r < 1:
            raise ValueError(f"r must lie between 0 and 1, not {r}: at 1 the sum over paths is infinite, at 0 empty")
        return graph * (r / torch.linalg.eigvalsh(graph).abs().max())
    if variant == "released":
        shrink = _SHRINK * len(graph)
        largest = graph.sum(dim=1).max()
        return graph / (largest + shrink) * ((1 - shrink) / largest)
    raise ValueError(unknown("variant", variant, ("paper", "released")))
