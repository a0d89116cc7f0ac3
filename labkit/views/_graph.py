"""Graph views: what GRACE and its kin change before the encoder looks."""

import torch
from jaxtyping import Integer
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_device
from labkit.views._draws import drawn


@checked(numbers=False)
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
    return edge_index[:, drawn(torch.rand, edge_index.shape[1], edge_index.device, generator) >= p]


@checked(numbers=False)
def mask_feature_columns(x, p: float, generator: torch.Generator | None = None):
    """Set each feature column to zero for all nodes with probability ``p`` (GRACE, section 3.2.2).

    ``x`` is a dense [nodes, features] tensor, or a :class:`labkit.models.SparseMatrix`, whose entries are not copied.

    Raises:
        ValueError: ``p`` outside [0, 1].
    """
    require_between("p", p, 0, 1)
    dense = isinstance(x, Tensor) and x.dim() == 2 and not x.is_meta
    if not dense and not hasattr(x, "scale_columns"):
        raise TypeError(f"x must be a [nodes, features] tensor or a SparseMatrix, not {type(x).__name__}")
    if p == 0:
        return x
    keep = (drawn(torch.rand, x.shape[1], x.device, generator) >= p).to(torch.float32)
    return x * keep.to(x.dtype) if isinstance(x, Tensor) else x.scale_columns(keep)


@checked(numbers=False)
def hide_nodes(
    nodes: int, share: float, borrow: float = 0.0, device: torch.device | str = "cpu"
) -> tuple[
    Integer[Tensor, " visible"], Integer[Tensor, " hidden"], Integer[Tensor, " tokens"], Integer[Tensor, " nodes"]
]:
    """Which nodes a masked autoencoder hides, drawn from torch's default generator (Hou et al. 2022, section 3.1).

    Args:
        nodes: number of nodes.
        share: of nodes that are hidden, rounded down.
        borrow: share of these, rounded down, that get a random node's features; the others get the mask token.

    Returns:
        the visible nodes; the hidden ones; those of them that get the token; and for every place [nodes] the node whose
        features stand there.
    """
    require_between("share", share, 0, 1)
    require_between("borrow", borrow, 0, 1)
    require_counts(nodes=nodes)
    device = require_device(device)
    order = torch.randperm(nodes, device=device)
    # 0.29 of 100 are 29, though their product in floats is less
    masked = int(share * nodes + 1e-9)
    borrowing = int(borrow * masked + 1e-9)
    hidden, visible = order.split([masked, nodes - masked])
    tokens, lenders = hidden.split([masked - borrowing, borrowing])
    source = torch.arange(nodes, device=device)
    source[lenders] = torch.randperm(nodes, device=device)[: len(lenders)]
    return visible, hidden, tokens, source
