"""Graph views: what GRACE and its kin change before the encoder looks."""

import torch
from jaxtyping import Integer
from torch import Tensor

from labkit._checks import require_between


def drop_edges(
    edge_index: Integer[Tensor, "2 edges"], p: float, generator: torch.Generator | None = None
) -> Integer[Tensor, "2 kept"]:
    """Drop each directed edge with probability ``p`` (Zhu et al. 2020, "GRACE", section 3.2.1).

    The two directions of an undirected edge fall independently, as in the released code.

    Raises:
        ValueError: ``p`` outside [0, 1].
    """
    require_between("p", p, 0, 1)
    if p == 0:
        return edge_index
    return edge_index[:, _uniform(edge_index.shape[1], edge_index.device, generator) >= p]


def mask_feature_columns(x, p: float, generator: torch.Generator | None = None):
    """Set each feature column to zero for all nodes with probability ``p`` (GRACE, section 3.2.2).

    ``x`` is a dense [nodes, features] tensor, or a :class:`labkit.models.SparseMatrix`, whose entries are not copied.

    Raises:
        ValueError: ``p`` outside [0, 1].
    """
    require_between("p", p, 0, 1)
    if p == 0:
        return x
    keep = (_uniform(x.shape[1], x.device, generator) >= p).to(torch.float32)
    return x * keep.to(x.dtype) if isinstance(x, Tensor) else x.scale_columns(keep)


def _uniform(count: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Draws on the generator's own device, so that a CPU seed gives the same view everywhere."""
    drawn_on = device if generator is None else generator.device
    return torch.rand(count, generator=generator, device=drawn_on).to(device)
