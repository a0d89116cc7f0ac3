"""MVGRL for whole graphs: nodes of one view against the graphs of the other (paper, section 3)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_counts, require_known
from labkit._graph_batch import check_graph_batch
from labkit.data import GraphBatch
from labkit.methods import Method, in_blocks, inference
from labkit.models import PPR, GraphConvolution, OneStep, SparseMatrix, propagation_matrix

VARIANTS = ("paper", "released")


class MVGRLOfGraphs(Method):
    """A node of one view tells its own graph, seen in the other view, from the other graphs of the batch.

    Each view is the graphs under another kernel, with a stack of graph convolutions of its own. A graph is the sum over
    its nodes, all layers side by side; one head for nodes and one for graphs, shared by the views. The embedding is the
    sum over views of what the graph head gives.

    The released code keeps its convolutions in a plain Python list, so that no optimiser ever sees them: only the heads
    learn. Its encoder is a random one, which the paper does not say. (The code also cuts padding off at the wrong rows;
    nothing is padded here. The paper has one more layer, σ(·W), before the graph head; the code and this have not.)

    Args:
        dim_in: features a node.
        hidden, layers: of each encoder; also the width of the heads.
        kernels: one a view, at least two.
        variant: "paper": everything learns. "released": the encoders stay as they started.

    Shapes:
        batch: :class:`labkit.data.GraphBatch` with x [nodes, dim_in]; ``embed(batch)``: [graphs, hidden].
    """

    def __init__(
        self, dim_in: int, hidden: int = 512, layers: int = 4, kernels: Sequence[Callable] = (OneStep(), PPR(0.2)),
        variant: str = "paper",
    ):  # fmt: skip
        super().__init__()
        require_known("variant", variant, VARIANTS)
        if len(kernels) < 2:
            raise ValueError(f"kernels must name at least two views, e.g. (OneStep(), PPR(0.2)), not {len(kernels)}")
        require_counts(dim_in=dim_in, hidden=hidden, layers=layers)
        self.kernels = tuple(kernels)
        self.encoders = nn.ModuleList(_Convolutions(dim_in, hidden, layers) for _ in kernels)
        self.of_nodes, self.of_graphs = _Head(hidden, hidden), _Head(layers * hidden, hidden)
        self.encoders.requires_grad_(variant == "paper")

    def forward(self, batch: GraphBatch) -> Float[Tensor, ""]:
        views = [(self.of_nodes(nodes[-1]), self.of_graphs(graphs)) for nodes, graphs in self.encode(batch)]
        return sum(
            node_to_graph(nodes, graphs, batch.batch)
            for i, (nodes, _) in enumerate(views)
            for j, (_, graphs) in enumerate(views)
            if i != j
        )

    def encode(self, batch: GraphBatch) -> list[tuple[list[Tensor], Tensor]]:
        """For each view what every layer makes of the nodes, and the sums over each graph, layers side by side."""
        found = []
        for kernel, encoder in zip(self.kernels, self.encoders, strict=True):
            nodes = encoder(batch.x, spread_within_graphs(batch, kernel))
            found.append((nodes, torch.cat([batch.pool(layer) for layer in nodes], dim=1)))
        return found

    @inference
    def embed(self, batch: GraphBatch) -> Float[Tensor, "graphs hidden"]:
        return in_blocks(lambda part: sum(self.of_graphs(graphs) for _, graphs in self.encode(part)), batch, 256)

    def check(self, batch) -> None:
        check_graph_batch(batch, least=2)


def node_to_graph(
    nodes: Float[Tensor, "nodes dim"], graphs: Float[Tensor, "graphs dim"], owner: Tensor
) -> Float[Tensor, ""]:
    """The Jensen-Shannon estimator's loss (section 3.4; Hjelm et al. 2019, equation 4): dot products of nodes with
    their own graph up, with the other graphs down. A critic that knows nothing gives 0, a perfect one −2 log 2.

    Cost: time O(nodes · graphs · dim), memory O(nodes · graphs).
    """
    score = nodes @ graphs.T
    own = score.gather(1, owner[:, None]).squeeze(1)
    apart = F.softplus(score).sum() - F.softplus(own).sum()
    # log 2 − softplus(−own) is wanted large, softplus(others) − log 2 small
    return F.softplus(-own).mean() + apart / (len(nodes) * (len(graphs) - 1)) - 2 * torch.log(score.new_tensor(2.0))


def spread_within_graphs(batch: GraphBatch, kernel: Callable) -> SparseMatrix:
    """The kernel of every graph of a batch, one block a graph: [nodes, nodes], exact.

    Graphs of like size are inverted together, as dense matrices padded to the largest of their class, the sizes between
    two powers of two: there is no loop over graphs, and one large graph does not make the others expensive.

    Cost: time O(Σ nodes³), memory O(Σ nodes²) over the graphs of the batch.
    """
    if kernel == OneStep():
        return propagation_matrix(batch.edge_index, len(batch.x))
    filled = batch.sizes > 0  # a graph may have lost all its nodes
    size_class = batch.sizes.clamp(min=1).sub(0.5).log2().ceil().long()
    classes = size_class[filled].unique()
    blocks = [_blocks(batch, (filled & (size_class == c)).nonzero().flatten(), kernel) for c in classes]
    row, column, value = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return SparseMatrix.from_edges(row, column, value, (len(batch.x), len(batch.x)))


def _blocks(batch: GraphBatch, graphs: Tensor, kernel: Callable) -> tuple[Tensor, Tensor, Tensor]:
    """Row, column and value of all pairs of nodes of these graphs."""
    part = batch[graphs]
    width = int(part.sizes.max())
    step = propagation_matrix(part.edge_index, len(part.x)).matrix.to_sparse_coo()
    (row, column), first = step.indices(), part.ptr[:-1]
    dense = step.values().new_zeros(len(part), width, width, dtype=torch.float64)
    owner = part.batch[row]
    dense[owner, row - first[owner], column - first[owner]] = step.values().double()
    spread = kernel.matrix(dense)
    place = torch.arange(width, device=batch.device)
    there = place < part.sizes[:, None]
    graph, i, j = (there[:, :, None] & there[:, None, :]).nonzero(as_tuple=True)
    begin = batch.ptr[graphs][graph]
    return begin + i, begin + j, spread[graph, i, j].to(batch.x.dtype)


class _Convolutions(nn.Module):
    def __init__(self, dim_in: int, hidden: int, layers: int):
        super().__init__()
        widths = [dim_in] + [hidden] * layers
        self.convolutions = nn.ModuleList(map(GraphConvolution, widths[:-1], widths[1:]))
        self.activations = nn.ModuleList(nn.PReLU() for _ in self.convolutions)

    def forward(self, x: Tensor, spread: SparseMatrix) -> list[Tensor]:
        outputs = []
        for convolve, activate in zip(self.convolutions, self.activations, strict=True):
            x = activate(convolve(x, spread))
            outputs.append(x)
        return outputs


class _Head(nn.Module):
    """Three linear layers, each with a PReLU, beside a linear shortcut: InfoGraph's head, which the code borrows."""

    def __init__(self, dim_in: int, dim: int):
        super().__init__()
        linear = [nn.Linear(dim_in, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)]
        self.path = nn.Sequential(*(part for layer in linear for part in (layer, nn.PReLU())))
        self.shortcut = nn.Linear(dim_in, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.path(x) + self.shortcut(x)
