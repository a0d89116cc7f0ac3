"""Graph attention with features that may be sparse and an aggregation that never holds edges × width."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import at_least_float32, require_counts, require_edges, require_known
from labkit._remembered import Remembered
from labkit.models._heads import ACTIVATIONS
from labkit.models._sparse import MaskedRows, SparseMatrix, csr, dropout, product

_sorted = Remembered()


@checked(numbers=False)
class Neighbourhoods:
    """Edges sorted by target, a self-loop added at each node; sums over them that never hold edges × width.

    Attributes:
        source, target: int64 [edges], sorted by target.
    """

    def __init__(self, edge_index: Integer[Tensor, "2 edges"], num_nodes: int):
        require_edges(edge_index, num_nodes)
        loop = torch.arange(num_nodes, device=edge_index.device)
        source, target = edge_index[:, edge_index[0] != edge_index[1]]
        source, target = torch.cat([source, loop]), torch.cat([target, loop])
        order = torch.argsort(target, stable=True)
        self.source, self.target, self.num_nodes = source[order], target[order], num_nodes
        self._patterns: dict[int, tuple[_Pattern, _Pattern]] = {}

    @classmethod
    def of(cls, edge_index: Integer[Tensor, "2 edges"], num_nodes: int) -> "Neighbourhoods":
        """The neighbourhoods of a graph, remembered for as long as ``edge_index`` lives and stays unchanged."""
        return _sorted.of(edge_index, lambda: cls(edge_index, num_nodes), num_nodes)

    def softmax(self, score: Float[Tensor, "edges heads"]) -> Float[Tensor, "edges heads"]:
        """Scores to weights that add up to 1 at each target; float32 at least, as ``exp`` under autocast on CUDA."""
        score = at_least_float32(score)
        top = score.new_full((self.num_nodes, score.shape[1]), -torch.inf)
        top = top.scatter_reduce(0, self.target[:, None].expand_as(score), score.detach(), "amax")
        weight = (score - top.index_select(0, self.target)).exp()
        total = torch.zeros_like(top).index_add(0, self.target, weight)
        return weight / total.index_select(0, self.target)

    def sum(
        self, weight: Float[Tensor, "edges heads"], h: Float[Tensor, "nodes heads dim"]
    ) -> Float[Tensor, "nodes heads dim"]:
        """Weighted sum over each target's sources, head by head; time O(edges · heads · dim)."""
        exact = torch.promote_types(torch.float32, torch.promote_types(weight.dtype, h.dtype))
        return _WeightedSum.apply(weight.to(exact), h.to(exact), self)  # there is no sparse product in half precision

    def patterns(self, heads: int) -> "tuple[_Pattern, _Pattern]":
        """Where the edges of all heads stand in the sums over sources, and in those over targets."""
        if heads not in self._patterns:
            ends = (self.target, self.source), (self.source, self.target)
            self._patterns[heads] = tuple(_Pattern(*pair, self.num_nodes, heads) for pair in ends)
        return self._patterns[heads]


class _Pattern:
    """One sparse matrix for all heads of a graph: head k of node n is row (and column) n · heads + k.

    So [nodes, heads, dim] is multiplied as it lies in memory; one product a head copies every head's part in and out.
    """

    def __init__(self, row: Tensor, column: Tensor, num_nodes: int, heads: int):
        head = torch.arange(heads, device=row.device)
        row, column = ((end[:, None] * heads + head).flatten() for end in (row, column))
        self.rows = num_nodes * heads
        self.place = torch.argsort(row, stable=True)
        start = torch.cat([row.new_zeros(1), torch.bincount(row, minlength=self.rows).cumsum(0)])
        short = max(len(row), self.rows) < 2**31  # MKL would convert longer ones in every product
        self.start, self.column = (x.int() if short else x for x in (start, column[self.place]))

    def product(self, weight: Float[Tensor, "edges heads"], h: Float[Tensor, "nodes heads dim"]) -> Tensor:
        return product(self._matrix(weight.flatten()[self.place]), h.flatten(0, 1)).view(h.shape)

    def dots(self, a: Float[Tensor, "nodes heads dim"], b: Float[Tensor, "nodes heads dim"]) -> Tensor:
        """a · b of each edge's row and column [edges · heads]."""
        a, b = a.flatten(0, 1), b.flatten(0, 1)
        dots = a.new_empty(len(self.place))
        if a.device.type == "cpu" and not torch.backends.mkl.is_available():  # torch has no sampled product there
            row = torch.repeat_interleave(self.start.diff())
            dots[self.place] = (a[row] * b[self.column]).sum(dim=1)
        else:
            edges = self._matrix(torch.zeros_like(dots))
            dots[self.place] = torch.sparse.sampled_addmm(edges, a, b.T, beta=0).values()
        return dots

    def _matrix(self, values: Tensor) -> Tensor:
        return csr(self.start, self.column, values, (self.rows, self.rows))


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: Tensor, h: Tensor, edges: Neighbourhoods) -> Tensor:
        ctx.save_for_backward(weight, h)
        ctx.edges = edges
        with torch.autocast(h.device.type, enabled=False):
            return edges.patterns(h.shape[1])[0].product(weight, h)

    @staticmethod
    def backward(ctx, upstream: Tensor):
        weight, h = ctx.saved_tensors
        over_sources, over_targets = ctx.edges.patterns(h.shape[1])
        to_weight = to_h = None
        if ctx.needs_input_grad[0]:
            to_weight = over_sources.dots(upstream, h).view(weight.shape)
        if ctx.needs_input_grad[1]:
            to_h = over_targets.product(weight, upstream)
        return to_weight, to_h, None


@checked(numbers=False)
class GraphAttention(nn.Module):
    """One layer of graph attention (Veličković et al. 2018, equations 1 to 6); heads are concatenated.

    The same function as PyG's ``GATConv`` with self-loops; ``x`` may also be a :class:`SparseMatrix`.

    Args:
        dim_in, dim, heads: input width, width of one head, number of heads: output [nodes, heads · dim].
        dropout: of attention weights.
        slope: of the leaky ReLU under the softmax.
    """

    def __init__(self, dim_in: int, dim: int, heads: int = 1, dropout: float = 0.0, slope: float = 0.2):
        super().__init__()
        require_counts(dim_in=dim_in, dim=dim, heads=heads)
        self.heads, self.dropout, self.slope = heads, dropout, slope
        self.weight = nn.Parameter(torch.empty(dim_in, heads * dim))
        self.to_source = nn.Parameter(torch.empty(heads, dim))
        self.to_target = nn.Parameter(torch.empty(heads, dim))
        self.bias = nn.Parameter(torch.zeros(heads * dim))
        for parameter in (self.weight, self.to_source, self.to_target):
            nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor | SparseMatrix | MaskedRows, edges: Neighbourhoods) -> Float[Tensor, "nodes out"]:
        h = (x @ self.weight).unflatten(1, (self.heads, -1))
        return edges.sum(self.attention(x, edges), h).flatten(1) + self.bias

    def attention(self, x: Tensor | SparseMatrix | MaskedRows, edges: Neighbourhoods) -> Float[Tensor, "edges heads"]:
        """Weights of all edges. a·(Wx) is computed as (Wᵀa)·x, which is narrow where Wx is wide."""
        weight = self.weight.unflatten(1, (self.heads, -1))
        halves = torch.cat([torch.einsum("ihd,hd->ih", weight, a) for a in (self.to_source, self.to_target)], dim=1)
        source, target = (x @ halves).chunk(2, dim=1)
        score = F.leaky_relu(source.index_select(0, edges.source) + target.index_select(0, edges.target), self.slope)
        return dropout(edges.softmax(score), self.dropout, self.training)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.to_source.shape[1]}, heads={self.heads}"


@checked(numbers=False)
class GAT(nn.Module):
    """A stack of attention layers with an activation after each, as GraphMAE's encoder.

    Args:
        dim_in: features a node.
        hidden: width of a layer: heads · width of one head.
        layers, heads: numbers of them.
        dropout, attention_dropout: of each layer's input, and of attention weights.
        activation: "relu", "elu", "gelu", "prelu" or "tanh".

    Shapes:
        x: [nodes, dim_in], dense or :class:`SparseMatrix`; edge_index: [2, edges] -> [nodes, hidden].

    Raises:
        ValueError: a width that the heads don't divide, no layer, an unknown activation.
    """

    def __init__(
        self,
        dim_in: int,
        hidden: int,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation: str = "prelu",
    ):
        super().__init__()
        require_counts(dim_in=dim_in, hidden=hidden, layers=layers, heads=heads)
        if hidden % heads:
            raise ValueError(f"{heads} heads must divide hidden={hidden}")
        require_known("activation", activation, ACTIVATIONS)
        self.dim, self.dropout = hidden, dropout
        widths = [dim_in] + [hidden] * (layers - 1)
        self.layers = nn.ModuleList(GraphAttention(w, hidden // heads, heads, attention_dropout) for w in widths)
        self.activations = nn.ModuleList(ACTIVATIONS[activation]() for _ in self.layers)

    def forward(self, x: Tensor | SparseMatrix | MaskedRows, edge_index: Tensor) -> Float[Tensor, "nodes hidden"]:
        edges = Neighbourhoods.of(edge_index, x.shape[0])
        for attend, activate in zip(self.layers, self.activations, strict=True):
            x = activate(attend(dropout(x, self.dropout, self.training), edges))
        return x

    def __repr__(self) -> str:
        first = self.layers[0]
        return f"GAT({first.weight.shape[0]} → {' → '.join([str(self.dim)] * len(self.layers))}, {first.heads} heads)"
