"""Graph encoders and the propagation matrix they share."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from labkit._arguments import checked
from labkit._checks import at_least_float32, require_counts, require_edges, require_known
from labkit._remembered import Remembered
from labkit.models._heads import ACTIVATIONS
from labkit.models._sparse import SparseMatrix

_unweighted = Remembered()


@checked(numbers=False)
def propagation_matrix(
    edge_index: Integer[Tensor, "2 edges"],
    num_nodes: int,
    edge_weight: Float[Tensor, " edges"] | None = None,
    self_loops: bool = True,
) -> SparseMatrix:
    """D^-1/2 (A + I) D^-1/2, the propagation of a graph convolution (Kipf & Welling 2017, equation 2).

    ``propagation_matrix(edge_index, n) @ x`` sends features along each edge from ``edge_index[0]`` to
    ``edge_index[1]``; D holds in-degrees. Nodes without edges keep their own features. PyG's ``GCNConv`` does the same
    on graphs without self-loops; where the graph has one, A + I counts it twice, and PyG, which adds none there, once.

    Args:
        edge_index: integer [2, edges], nodes 0 … num_nodes − 1.
        num_nodes: number of nodes; may exceed the largest index (isolated nodes).
        edge_weight: [edges] non-negative weights; None means 1.
        self_loops: add the identity.

    Without weights the matrix is remembered for as long as ``edge_index`` lives and stays unchanged, so a training loop
    may call this in every step. Torch sees no change made through ``.numpy()`` or ``.data``: change the tensor itself.

    Raises:
        ValueError: an edge that ends past the last node.
    """
    require_edges(edge_index, num_nodes)
    if edge_weight is None:
        return _unweighted.of(
            edge_index, lambda: _scaled(edge_index, num_nodes, None, self_loops), num_nodes, self_loops
        )
    if not (edge_weight.isfinite() & (edge_weight >= 0)).all():
        raise ValueError("edge_weight must hold one finite number of at least 0 for each edge")
    return _scaled(edge_index, num_nodes, edge_weight, self_loops)


def _scaled(edge_index: Tensor, num_nodes: int, edge_weight: Tensor | None, self_loops: bool) -> SparseMatrix:
    source, target = edge_index
    weight = torch.ones(len(source), device=source.device) if edge_weight is None else at_least_float32(edge_weight)
    if self_loops:
        loop = torch.arange(num_nodes, device=source.device)
        source, target = torch.cat([source, loop]), torch.cat([target, loop])
        weight = torch.cat([weight, weight.new_ones(num_nodes)])
    degree = torch.zeros(num_nodes, dtype=weight.dtype, device=source.device).index_add_(0, target, weight)
    factor = degree.clamp(min=torch.finfo(weight.dtype).tiny).rsqrt().where(degree > 0, 0)
    return SparseMatrix.from_edges(target, source, factor[source] * weight * factor[target], (num_nodes, num_nodes))


@checked(numbers=False)
class GraphConvolution(nn.Module):
    """P (x W) + b, P the :func:`propagation_matrix`; ``x`` dense [nodes, in] or a :class:`SparseMatrix`."""

    def __init__(self, dim_in: int, dim_out: int):
        super().__init__()
        require_counts(dim_in=dim_in, dim_out=dim_out)
        self.weight = nn.Parameter(torch.empty(dim_in, dim_out))
        self.bias = nn.Parameter(torch.zeros(dim_out))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor | SparseMatrix, propagation: SparseMatrix) -> Float[Tensor, "nodes out"]:
        return propagation @ (x @ self.weight) + self.bias

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


@checked(numbers=False)
class GCN(nn.Module):
    """A stack of graph convolutions with an activation after each (Kipf & Welling 2017), as GRACE and MVGRL use it.

    Args:
        dim_in: features a node.
        hidden: width of the layers before the last.
        dim: width of the embedding.
        layers: number of graph convolutions, at least 1.
        activation: "relu", "elu", "gelu", "prelu" or "tanh".

    Shapes:
        x: [nodes, dim_in], dense or :class:`SparseMatrix`; edge_index: [2, edges] -> [nodes, dim]. What is made of a
        graph is remembered, as :func:`propagation_matrix` says.

    Example:
        >>> encoder = GCN(1433, hidden=256, dim=128)
        >>> z = encoder(sparse_if_faster(data.x), data.edge_index)
    """

    def __init__(self, dim_in: int, hidden: int, dim: int, layers: int = 2, activation: str = "relu"):
        super().__init__()
        require_counts(dim_in=dim_in, hidden=hidden, dim=dim, layers=layers)
        require_known("activation", activation, ACTIVATIONS)
        self.dim = dim
        widths = [dim_in, *[hidden] * (layers - 1), dim]
        self.convolutions = nn.ModuleList(map(GraphConvolution, widths[:-1], widths[1:]))
        self.activations = nn.ModuleList(ACTIVATIONS[activation]() for _ in self.convolutions)

    def forward(self, x: Tensor | SparseMatrix, edge_index: Tensor) -> Float[Tensor, "nodes dim"]:
        propagation = propagation_matrix(edge_index, x.shape[0])
        for convolve, activate in zip(self.convolutions, self.activations, strict=True):
            x = activate(convolve(x, propagation))
        return x

    def __repr__(self) -> str:
        widths = [self.convolutions[0].weight.shape[0], *(c.weight.shape[1] for c in self.convolutions)]
        return f"GCN({' → '.join(map(str, widths))})"
