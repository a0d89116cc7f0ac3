"""GraphMAE for whole graphs: the same hiding and re-masking with graph isomorphism layers (paper, section 4.2)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_between, require_counts, require_known, require_positive
from labkit._graph_batch import POOLS, check_graph_batch
from labkit.data import GraphBatch
from labkit.losses import scaled_cosine_error
from labkit.methods import Method, in_blocks, inference
from labkit.models import neighbours_and_itself
from labkit.views import hide_nodes


class GraphMAEOfGraphs(Method):
    """Hide nodes of many graphs, encode, hide again, decode; a graph's embedding is the pool of its nodes' codes.

    Each layer is MLP(x + Σ over neighbours x) with batch norm and PReLU inside and after it; the decoder is one such
    layer with a plain end. (The released code adds self-loops before a layer that adds the node itself: 2x + Σ there.)

    Args:
        dim_in: features a node.
        hidden, layers: of the encoder.
        pool: "sum", "mean" or "max" of the last layer's codes over a graph.
        mask_rate, replace_rate, gamma: as in :class:`labkit.papers.graph.graphmae.GraphMAE`.
        dropout: of every layer's input.

    Shapes:
        batch: :class:`labkit.data.GraphBatch` with x [nodes, dim_in]; ``embed(batch)``: [graphs, hidden].
    """

    def __init__(
        self, dim_in: int, hidden: int = 512, layers: int = 2, pool: str = "mean", mask_rate: float = 0.5,
        replace_rate: float = 0.0, gamma: float = 1.0, dropout: float = 0.2,
    ):  # fmt: skip
        super().__init__()
        require_known("pool", pool, POOLS)
        if not 0 < mask_rate < 1:
            raise ValueError(f"mask_rate must lie between 0 and 1, not {mask_rate}: some nodes are hidden, some not")
        require_counts(dim_in=dim_in, hidden=hidden, layers=layers)
        require_positive("gamma", gamma)
        require_between("replace_rate", replace_rate, 0, 1)
        require_between("dropout", dropout, 0, 1)
        widths = [dim_in] + [hidden] * layers
        self.layers = nn.ModuleList(
            nn.Sequential(_update(width, hidden, hidden), nn.BatchNorm1d(hidden), nn.PReLU()) for width in widths[:-1]
        )
        self.to_decoder, self.decoder = nn.Linear(hidden, hidden, bias=False), _update(hidden, hidden, dim_in)
        self.token = nn.Parameter(torch.zeros(1, dim_in))
        self.pool, self.mask_rate, self.replace_rate = pool, mask_rate, replace_rate
        self.gamma, self.dropout = gamma, dropout

    def forward(self, batch: GraphBatch) -> Float[Tensor, ""]:
        x, gather = batch.x, neighbours_and_itself(batch)
        _, hidden, tokens, source = hide_nodes(len(x), self.mask_rate, self.replace_rate, x.device)
        masked = x[source].index_put((tokens,), self.token.expand(len(tokens), -1))
        code = self.to_decoder(self.encode(masked, gather)).index_fill(0, hidden, 0.0)
        rebuilt = self.decoder(gather @ F.dropout(code, self.dropout, self.training))
        return scaled_cosine_error(x[hidden], rebuilt[hidden], self.gamma)

    def encode(self, x: Tensor, gather) -> Float[Tensor, "nodes hidden"]:
        for layer in self.layers:
            x = layer(gather @ F.dropout(x, self.dropout, self.training))
        return x

    @inference
    def embed(self, batch: GraphBatch) -> Float[Tensor, "graphs hidden"]:
        return in_blocks(lambda part: part.pool(self.encode(part.x, neighbours_and_itself(part)), self.pool), batch)

    def check(self, batch) -> None:
        check_graph_batch(batch)


def _update(dim: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.PReLU(), nn.Linear(hidden, out))
