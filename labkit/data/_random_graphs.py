"""Graphs drawn from a seed, with the answer known."""

from collections.abc import Sequence

import numpy as np
import torch
from torch_geometric.data import Data

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit.data._catalogue import Entry


@checked
def stochastic_block_model(
    sizes: Sequence[int],
    p_in: float = 0.1,
    p_out: float = 0.01,
    probabilities: Sequence[Sequence[float]] | None = None,
    features: int = 16,
    signal: float = 1.0,
    seed: int = 0,
) -> Data:
    """Communities: an undirected graph whose edges depend on the communities of their two ends only.

    Each pair of nodes is linked, independently, with the probability of its two blocks. Features are those of the
    contextual model (Deshpande, Sen, Montanari and Mossel. Contextual stochastic block models. NeurIPS 2018), with one
    direction a block: x_i = signal · u_c(i) + noise, u_c a random unit vector for each block, noise standard normal.

    Args:
        sizes: nodes in each block.
        p_in, p_out: probability of an edge inside a block and between two.
        probabilities: symmetric [blocks, blocks] instead of those two.
        features: columns of x.
        signal: length of u_c; 0 gives pure noise.
        seed: the same arguments give the same bits.

    Returns:
        ``Data`` with x [nodes, features], edge_index (both directions), y: the block of each node.

    Cost: time and memory O(edges + nodes · features + blocks²); no nodes × nodes matrix.

    Raises:
        ValueError: no block, an empty one, a probability outside [0, 1], probabilities that are not symmetric.

    Example:
        graph = labkit.data.stochastic_block_model([100, 100, 100], p_in=0.1, p_out=0.01, seed=1)
    """
    chances = _chances(sizes, p_in, p_out, probabilities)
    require_counts(features=features)
    require_counts(0, seed=seed)
    rng = np.random.default_rng(seed)
    first = np.concatenate([[0], np.cumsum(sizes)])
    pairs = []
    for a, size_a in enumerate(sizes):
        for b in range(a, len(sizes)):
            row, column = _linked(rng, chances[a, b], size_a, None if a == b else sizes[b])
            pairs.append(np.stack([first[a] + row, first[b] + column]))
    half = np.concatenate(pairs, axis=1)
    both = np.concatenate([half, half[::-1]], axis=1)
    edge_index = torch.from_numpy(both[:, np.lexsort((both[1], both[0]))])
    block = np.repeat(np.arange(len(sizes)), sizes)
    direction = rng.standard_normal((len(sizes), features))
    direction *= signal / np.linalg.norm(direction, axis=1, keepdims=True)
    x = rng.standard_normal((len(block), features), dtype=np.float32) + direction[block].astype(np.float32)
    return Data(x=torch.from_numpy(x), edge_index=edge_index, y=torch.from_numpy(block))


def _chances(sizes, p_in: float, p_out: float, probabilities) -> np.ndarray:
    if not len(sizes) or min(sizes) < 1:
        raise ValueError(f"sizes must name at least one block of at least one node, not {list(sizes)}")
    if probabilities is None:
        chances = np.full((len(sizes), len(sizes)), float(p_out))
        np.fill_diagonal(chances, p_in)
    else:
        chances = np.asarray(probabilities, dtype=float)
    if not ((chances >= 0) & (chances <= 1)).all():
        named = "p_in and p_out" if probabilities is None else "probabilities"
        raise ValueError(f"{named} must lie between 0 and 1, not {chances.min():g} to {chances.max():g}")
    if chances.shape != (len(sizes), len(sizes)) or not np.array_equal(chances, chances.T):
        raise ValueError(f"probabilities must be symmetric [{len(sizes)}, {len(sizes)}], one row a block")
    return chances


def _linked(rng: np.random.Generator, p: float, rows: int, columns: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Each of rows × columns pairs with probability p; without columns, each pair of one block of ``rows`` nodes."""
    number = _successes(rng, p, rows * (rows - 1) // 2 if columns is None else rows * columns)
    if columns is not None:
        return number // columns, number % columns
    return _pair(number)


def _pair(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row, column) with column < row of pair row (row − 1) / 2 + column."""
    row = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) / 2).astype(np.int64)
    row -= row * (row - 1) // 2 > number  # beyond 2^53 the square root may be rounded up
    row += row * (row + 1) // 2 <= number  # or down
    return row, number - row * (row - 1) // 2


def _successes(rng: np.random.Generator, p: float, trials: int) -> np.ndarray:
    """Which of ``trials`` coin flips come up: gaps between them are geometric, so that only successes cost anything.

    Batagelj and Brandes. Efficient generation of large random networks. Phys. Rev. E 71, 036113, 2005.
    """
    found, last = [np.zeros(0, dtype=np.int64)], -1
    while p > 0 and last < trials:
        expected = (trials - 1 - last) * p
        gaps = rng.geometric(p, size=int(expected + 4 * np.sqrt(expected)) + 8)
        # a gap may be huge at a tiny p: cut, so that the sum can't overflow
        found.append(last + np.cumsum(np.minimum(gaps, trials + 1)))
        last = int(found[-1][-1])
    number = np.concatenate(found)
    return number[number < trials]


def read_sbm(
    entry: Entry,
    sizes: Sequence[int] = (100, 100, 100, 100),
    p_in: float = 0.1,
    p_out: float = 0.01,
    probabilities: Sequence[Sequence[float]] | None = None,
    features: int = 16,
    signal: float = 1.0,
    seed: int = 0,
) -> Data:
    """``stochastic_block_model`` with four blocks of 100 nodes; its options."""
    return stochastic_block_model(sizes, p_in, p_out, probabilities, features, signal, seed)
