"""What labs on graphs draw and compare: two axes of an embedding, its neighbours, segments as one line."""

import numpy as np
import torch
from torch import Tensor


def principal(z: Tensor) -> np.ndarray:
    """First two principal components, scaled to a root mean square of 1."""
    centred = (z - z.mean(dim=0)).double()
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    xy = torch.nn.functional.pad(u[:, :2] * s[:2], (0, max(0, 2 - u.shape[1])))
    return (xy / xy.square().mean().sqrt().clamp(min=1e-12)).numpy()


def nearest(z: Tensor, k: int) -> Tensor:
    distance = torch.cdist(z, z).fill_diagonal_(torch.inf)
    return distance.topk(k, largest=False).indices


def kept(z: Tensor, near: Tensor) -> float:
    """Share of the neighbours ``near`` [n, k] of each row that are among its k nearest in ``z``, too."""
    same = nearest(z, near.shape[1])[:, :, None] == near[:, None, :]
    return float(same.any(dim=2).float().mean())


def broken_line(ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[m, 2 ends, 2] -> x and y of one broken line; a line of its own even when there is none."""
    padded = np.concatenate([ends, np.full((len(ends), 1, 2), np.nan)], axis=1).reshape(-1, 2)
    padded = padded if len(padded) else np.full((1, 2), np.nan)
    return padded[:, 0], padded[:, 1]
