"""Walks as sentences: skip-gram with negative sampling, shared by DeepWalk, node2vec and k-core embeddings."""

import copy
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._arguments import checked
from labkit._checks import require_counts, require_known
from labkit.methods._method import Method, inference
from labkit.views import Adjacency, random_walk

_WEIGHTS = {"uniform": lambda k, w: 1.0, "linear": lambda k, w: (w - k + 1) / w}
_AHEAD = 64  # batches whose walks are drawn together: a step of few walks costs as much as one of many


@checked(numbers=False)
class WalkBatches:
    """Batches of walks from every node, drawn anew in each epoch, for ``fit``.

    Args:
        adjacency: the graph.
        length: nodes of a walk.
        walks_per_node: one number, or one for each node (int64 [nodes]). Nodes without edges, or whose edges all have
            weight 0, start none.
        p, q: of node2vec, see :func:`labkit.views.random_walk`; 1 and 1: DeepWalk.
        size: walks in a batch; the last batch may be smaller.

    Walks come from torch's default generator, which ``fit`` seeds; memory O(64 · size · length).

    Raises:
        ValueError: no walks, or a number of walks that is negative or not one a node.

    Example:
        >>> batches = WalkBatches(Adjacency.of(data), length=80, walks_per_node=10, q=0.5)
        >>> run = labkit.fit(SkipGram(data.num_nodes), batches, epochs=2, lr=0.01, watch=data)
    """

    def __init__(
        self,
        adjacency: Adjacency,
        length: int = 80,
        walks_per_node: int | Int64[Tensor, " nodes"] = 10,
        p: float = 1.0,
        q: float = 1.0,
        size: int = 128,
    ):
        count = torch.as_tensor(walks_per_node, device=adjacency.device)
        if count.dim() and count.shape != (adjacency.num_nodes,):
            raise ValueError(
                f"walks_per_node must be one number, or one for each of the {adjacency.num_nodes} nodes, not "
                f"{list(count.shape)}"
            )
        count = count.expand(adjacency.num_nodes)
        count = torch.where(adjacency.ways > 0, count, 0)
        if int(count.min()) < 0 or int(count.sum()) == 0 or size < 1:
            raise ValueError(
                f"walks_per_node must be at least 0 and above 0 somewhere, and size at least 1, not "
                f"{int(count.min())} to {int(count.max())} and {size}"
            )
        random_walk(adjacency, count[:0], length, p, q)  # refuses a length, p or q that can't be used
        self.adjacency, self.count = adjacency, count
        self.length, self.p, self.q, self.size = length, p, q, size

    def __len__(self) -> int:
        return -(-int(self.count.sum()) // self.size)

    def __iter__(self) -> Iterator[Int64[Tensor, "walks length"]]:
        start = torch.repeat_interleave(torch.arange(len(self.count), device=self.count.device), self.count)
        start = start[torch.randperm(len(start)).to(start.device)]
        for part in start.split(self.size * _AHEAD):
            yield from random_walk(self.adjacency, part, self.length, self.p, self.q).split(self.size)

    def to(self, device: torch.device) -> "WalkBatches":
        """The same walks on another device."""
        moved = copy.copy(self)
        moved.adjacency, moved.count = self.adjacency.to(device), self.count.to(device)
        return moved

    def __repr__(self) -> str:
        return f"WalkBatches({len(self)} × {self.size} walks of {self.length} nodes, p={self.p:g}, q={self.q:g})"


@checked(numbers=False)
class SkipGram(Method):
    """A vector for each node, near to those met within a window of the same walk (Perozzi et al. 2014, "DeepWalk").

    The loss is skip-gram with negative sampling (Mikolov et al. 2013, equation 4): for a node i and a node j at most
    ``window`` steps from it, −log σ(z_i · c_j) − Σ over ``negatives`` noise nodes n of log σ(−z_i · c_n); mean over
    all such pairs. Noise nodes are drawn ``shared`` times a walk and serve all its nodes, weighted so that the
    expectation is that of drawing ``negatives`` for each pair by itself (Ji et al. 2016): products of matrices in
    place of single rows.

    Args:
        num_nodes: rows of the table.
        dim: width of the embedding.
        window: largest distance in a walk, in steps.
        negatives: noise nodes for each pair, in expectation.
        noise: [nodes] weights that noise nodes are drawn by; None: all alike. word2vec: visits to the power 3/4.
        window_weights: "uniform": every pair in the window counts once, as in node2vec's paper. "linear": a pair at
            distance k counts (window − k + 1) / window, which is what word2vec and gensim do by shrinking the window
            at random, and so what the released code of DeepWalk and node2vec trains.
        shared: noise nodes drawn for each walk.
        sparse: gradients hold the rows that a step touched, no others; ``fit`` then needs an optimiser that can use
            them: ``optimizer=lambda p: torch.optim.SparseAdam(list(p), lr=0.01)``. Rows that were not touched are not
            moved, where dense Adam lets them drift on; for graphs of many more nodes than a batch of walks meets.

    Shapes:
        forward: walks int64 [walks, length]; ``embed(data)``: the table [nodes, dim], for the graph it was trained on.

    Cost of a step: time O(walks · length · (length + shared) · dim), memory O(walks · length · (length + shared)); in
    the optimiser memory O(nodes · dim), and time too unless ``sparse``.

    Raises:
        ValueError: sizes below 1, noise weights that are negative or all 0.
    """

    def __init__(
        self,
        num_nodes: int,
        dim: int = 128,
        window: int = 10,
        negatives: int = 5,
        noise: Float[Tensor, " nodes"] | None = None,
        window_weights: str = "uniform",
        shared: int = 64,
        sparse: bool = False,
    ):
        super().__init__()
        require_counts(num_nodes=num_nodes, dim=dim, window=window, negatives=negatives, shared=shared)
        require_known("window_weights", window_weights, _WEIGHTS)
        noise = torch.ones(num_nodes) if noise is None else noise
        if noise.shape != (num_nodes,) or not (noise.isfinite() & (noise >= 0)).all() or noise.sum() == 0:
            raise ValueError(f"noise must hold one weight of at least 0 for each of the {num_nodes} nodes, not all 0")
        self.table, self.context = (nn.Embedding(num_nodes, dim, sparse=sparse) for _ in range(2))
        nn.init.uniform_(self.table.weight, -0.5 / dim, 0.5 / dim)  # as word2vec starts
        nn.init.zeros_(self.context.weight)
        self.register_buffer("noise_until", noise.double().cumsum(0))
        self.window, self.negatives, self.shared = window, negatives, shared
        self.graph_nodes = num_nodes  # of the graph it may be asked about; a k-core has fewer rows
        self.distance_weight = [_WEIGHTS[window_weights](k, window) for k in range(1, window + 1)]

    def forward(self, walks: Int64[Tensor, "walks length"]) -> Float[Tensor, ""]:
        z, near = self.table(walks), self.context(walks)
        weight = self.pair_weights(walks.shape[1]).to(z)
        noise = self.context(self.draw_noise(len(walks)))
        positive = F.softplus(-(z @ near.mT)) * weight
        negative = F.softplus(z @ noise.mT).mean(dim=2) * weight.sum(dim=1)
        return (positive.sum() + self.negatives * negative.sum()) / (len(walks) * weight.sum())

    def pair_weights(self, length: int) -> Float[Tensor, "length length"]:
        """What a pair of places in a walk counts: a band of ``window`` diagonals on either side of an empty one."""
        weight = torch.zeros(length, length, device=self.noise_until.device)
        for k, value in enumerate(self.distance_weight[: length - 1], start=1):
            weight.diagonal(k).fill_(value)
            weight.diagonal(-k).fill_(value)
        return weight

    def draw_noise(self, walks: int) -> Int64[Tensor, "walks shared"]:
        """Noise nodes for each walk."""
        level = torch.rand(walks, self.shared, device=self.noise_until.device, dtype=torch.float64)
        place = torch.searchsorted(self.noise_until, level * self.noise_until[-1], right=True)
        return place.clamp_(max=len(self.noise_until) - 1)

    @inference
    def embed(self, data) -> Float[Tensor, "nodes dim"]:
        self.require_own_graph(data)
        return self.table.weight.clone()

    def require_own_graph(self, data) -> None:
        """Refuse a graph of another size: a table of rows says nothing about nodes that it has not seen."""
        if data.num_nodes != self.graph_nodes:
            raise ValueError(
                f"this embedding is of the {self.graph_nodes} nodes it was trained on; a graph of {data.num_nodes} "
                "nodes needs a training of its own"
            )

    def check(self, walks) -> None:
        if not isinstance(walks, Tensor) or walks.dim() != 2 or walks.dtype != torch.int64 or walks.shape[1] < 2:
            raise ValueError(
                "SkipGram trains on walks, int64 [walks, length] with length of at least 2: use WalkBatches(...), not "
                f"{list(walks.shape) if isinstance(walks, Tensor) else type(walks).__name__}"
            )
        low, high = (int(end) for end in walks.aminmax())
        if low < 0 or high >= len(self.table.weight):
            raise ValueError(f"walks reach from node {low} to {high}, but num_nodes is {len(self.table.weight)}")
