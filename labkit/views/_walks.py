"""Random walks from many nodes at once: uniform, biased (node2vec), and with restart.

One step of all walks is a handful of tensor operations, so that the only loop is over steps.
"""

import copy

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_between, require_counts, require_edges, require_positive
from labkit.views._alias import AliasRows
from labkit.views._draws import drawn

# Entries of alias tables at most: 64 MB, a second to make. By the graph alone: a seed must mean one thing.
TABLE = 2**22


@checked(numbers=False)
class Adjacency:
    """A graph whose neighbours can be drawn: the targets of each node's edges, side by side (CSR).

    Args:
        edge_index: [2, edges], each direction of an undirected edge by itself; an edge that is listed twice is twice as
            likely.
        num_nodes: number of nodes; may exceed the largest index (isolated nodes).
        edge_weight: [edges], at least 0; a neighbour is drawn in proportion to it. None: all alike.

    Attributes:
        degree: int64 [nodes], outgoing edges of each node.
        num_nodes: number of nodes.

    Cost: O(edges · log edges) time once; memory 8 bytes an edge (32 with weights).

    Raises:
        ValueError: no edge, edges outside the nodes, weights that are negative or not finite.

    Example:
        >>> adjacency = Adjacency.of(labkit.data.load("cora"))
        >>> walks = random_walk(adjacency, torch.arange(2708), length=80, p=1, q=0.5)
    """

    def __init__(self, edge_index: Integer[Tensor, "2 edges"], num_nodes: int, edge_weight: Tensor | None = None):
        if edge_index.shape[1] == 0:
            raise ValueError(f"the graph has no edge to walk on: {num_nodes} nodes, edge_index is empty")
        require_edges(edge_index, num_nodes)
        self.num_nodes = num_nodes
        order = (edge_index[0].long() * num_nodes + edge_index[1]).argsort(stable=True)
        self._target = edge_index[1].long()[order]
        self.degree = edge_index[0].bincount(minlength=num_nodes)
        self._first = self.degree.cumsum(0) - self.degree
        self._halvings = int(self.degree.max()).bit_length()  # that a search among a node's neighbours takes
        self._ways = int(self.degree[self._target].sum())  # of going two steps on
        self._weight = None
        if edge_weight is not None:
            if edge_weight.shape != order.shape or not (edge_weight.isfinite() & (edge_weight >= 0)).all():
                raise ValueError(
                    f"edge_weight must hold one finite number of at least 0 for each of the {len(order)} edges, "
                    f"not {list(edge_weight.shape)} of {edge_weight.dtype}"
                )
            self._weight = edge_weight[order].double()
        self._prepare()

    def _prepare(self) -> None:
        """The tables that follow from the tensors: made anew on another device."""
        self._second_order: tuple[tuple[float, float], AliasRows] | None = None
        self._by_weight = None if self._weight is None else AliasRows(self._weight, self.degree)

    @property
    def ways(self) -> Int64[Tensor, " nodes"]:
        """Edges out of each node that a walk may take: all but those of weight 0."""
        return self.degree if self._by_weight is None else self._by_weight.length

    @classmethod
    def of(cls, data) -> "Adjacency":
        """From a PyG ``Data``, with its ``edge_weight`` where it has one."""
        return cls(data.edge_index, data.num_nodes, data.get("edge_weight"))

    @property
    def device(self) -> torch.device:
        return self._target.device

    def to(self, device: torch.device | str) -> "Adjacency":
        """The same graph on another device."""
        moved = copy.copy(self)
        vars(moved).update({name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)})
        moved._prepare()
        return moved

    def has_edge(self, source: Int64[Tensor, " n"], target: Int64[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether there is an edge from each source to its target: a binary search, O(n · log largest degree)."""
        low = self._first.index_select(0, source)
        end = low + self.degree.index_select(0, source)
        high, last = end, len(self._target) - 1
        for _ in range(self._halvings):
            middle = (low + high) >> 1
            below = (self._target.index_select(0, middle.clamp(max=last)) < target) & (low < high)
            low, high = torch.where(below, middle + 1, low), torch.where(below, high, middle)
        return (low < end) & (self._target.index_select(0, low.clamp(max=last)) == target)

    def draw(self, nodes: Int64[Tensor, " walks"], generator: torch.Generator | None = None) -> Int64[Tensor, " walks"]:
        """One neighbour of each node; a node without a way out (no edge, or weights of 0) gives itself."""
        edge, moves = self._draw_edge(nodes, generator)
        return torch.where(moves, self._target.index_select(0, edge), nodes)

    def _draw_edge(self, nodes: Tensor, generator) -> tuple[Tensor, Tensor]:
        """An edge out of each node, and whether there is one."""
        uniform = random(len(nodes), self.device, generator)
        ways = self.ways.index_select(0, nodes)
        slot = uniform.mul_(ways).long() if self._by_weight is None else self._by_weight.draw(nodes, uniform)
        return slot.add_(self._first.index_select(0, nodes)).clamp_(max=len(self._target) - 1), ways > 0

    def edges_of(self, nodes: Int64[Tensor, " n"]) -> tuple[Tensor, Tensor, Tensor]:
        """All edges that leave ``nodes``: which of ``nodes`` (as a place in it), the target, the weight."""
        degree = self.degree[nodes]
        owner = torch.repeat_interleave(torch.arange(len(nodes), device=self.device), degree)
        edge = torch.arange(len(owner), device=self.device) + (self._first[nodes] - degree.cumsum(0) + degree)[owner]
        weight = torch.ones(len(edge), device=self.device).double() if self._weight is None else self._weight[edge]
        return owner, self._target[edge], weight

    def _table(self, p: float, q: float) -> AliasRows:
        """For each edge (t, v) the distribution of section 3.2.2 over the edges of v; the last p and q are kept."""
        if self._second_order is None or self._second_order[0] != (p, q):
            source = torch.repeat_interleave(torch.arange(self.num_nodes, device=self.device), self.degree)
            owner, target, weight = self.edges_of(self._target)
            rows = AliasRows(weight * _bias(self, source[owner], target, p, q), self.degree[self._target])
            self._second_order = (p, q), rows
        return self._second_order[1]

    def __repr__(self) -> str:
        return f"Adjacency({self.num_nodes} nodes, {len(self._target)} edges)"


@checked(numbers=False)
def random_walk(
    adjacency: Adjacency,
    start: Int64[Tensor, " walks"],
    length: int,
    p: float = 1.0,
    q: float = 1.0,
    generator: torch.Generator | None = None,
) -> Int64[Tensor, "walks length"]:
    """Walks of node2vec (Grover & Leskovec 2016, section 3.2.2); uniform for p = q = 1 (DeepWalk).

    From v, reached from t, a neighbour x has chance proportional to w(v, x) times 1/p if x = t, 1 if t has an edge to
    x, 1/q otherwise. The distribution is exact, on either of two ways. Where Σ in-degree · out-degree over the nodes is
    at most 4 million, an alias table for each edge is made, all at once, and kept for further walks with the same p and
    q. On larger graphs neighbours are drawn by weight and kept with probability bias / largest bias, until the
    neighbourhoods of the walks left are small enough to be laid out and drawn from.

    Args:
        start: first node of each walk.
        length: nodes of a walk, the first included.
        p: return parameter > 0; large: seldom straight back.
        q: in-out parameter > 0; above 1 the walk stays near (breadth first), below 1 it moves away.
        generator: draws happen on its device; None: torch's default generator.

    A walk that can't go on (a node without outgoing edges) stays where it is.

    Cost: time O(walks · length) with tables, once made; without, O(walks · length · (1 + log largest degree))
    with a factor of at most largest / smallest bias, the logarithm only for q ≠ 1. Memory O(walks · length + edges).

    Raises:
        ValueError: ``length`` < 1, ``p`` or ``q`` not positive, a start outside the nodes.
    """
    require_positive("p", p)
    require_positive("q", q)
    walks = _begin(adjacency, start, length)
    if p == q == 1:
        for step in range(1, length):
            walks[step] = adjacency.draw(walks[step - 1], generator)
    elif adjacency._ways <= TABLE:
        _by_table(adjacency, walks, p, q, generator)
    else:
        _by_rejection(adjacency, walks, p, q, generator)
    return walks.T.contiguous()


@checked(numbers=False)
def restart_walk(
    adjacency: Adjacency,
    start: Int64[Tensor, " walks"],
    length: int,
    restart: float,
    generator: torch.Generator | None = None,
) -> Int64[Tensor, "walks length"]:
    """Walks that jump back to their start with probability ``restart`` before each step (Tong et al. 2006).

    In the long run a node is visited as often as its personalised PageRank says, with teleport ``restart``. GCC cuts
    its subgraphs from the nodes of such walks.

    Args: as :func:`random_walk`; ``length`` counts the start and every jump back to it.

    Cost: time and memory O(walks · length).

    Raises:
        ValueError: ``restart`` outside [0, 1], ``length`` < 1, a start outside the nodes.
    """
    require_between("restart", restart, 0, 1)
    walks = _begin(adjacency, start, length)
    for step in range(1, length):
        onward = adjacency.draw(walks[step - 1], generator)
        back = random(len(start), adjacency.device, generator) < restart
        walks[step] = torch.where(back, walks[0], onward)
    return walks.T.contiguous()


def random(count: int, device: torch.device, generator: torch.Generator | None) -> Float[Tensor, " count"]:
    """Float64 draws (a float32 can't tell apart the edges of a large graph), on the generator's own device."""
    return drawn(torch.rand, count, device, generator, dtype=torch.float64)


def _begin(adjacency: Adjacency, start: Tensor, length: int) -> Int64[Tensor, "length walks"]:
    require_counts(length=length)
    if len(start) and not 0 <= int(start.min()) <= int(start.max()) < adjacency.num_nodes:
        raise ValueError(f"start must hold nodes 0 to {adjacency.num_nodes - 1}, not {int(start.min())} to "
                         f"{int(start.max())}")  # fmt: skip
    walks = torch.empty(length, len(start), dtype=torch.int64, device=adjacency.device)
    walks[0] = start
    return walks


def _by_table(adjacency: Adjacency, walks: Tensor, p: float, q: float, generator) -> None:
    """All steps of the walks, from edge to edge: which edge comes next depends on the edge one is on."""
    table, target = adjacency._table(p, q), adjacency._target
    onward, dead_end = adjacency._first[target], table.length == 0
    some_end = bool(dead_end.any())
    edge, moves = adjacency._draw_edge(walks[0], generator)
    for step in range(1, len(walks)):
        torch.index_select(target, 0, edge, out=walks[step])
        following = table.draw(edge, random(len(edge), adjacency.device, generator))
        following.add_(onward.index_select(0, edge))
        edge = torch.where(dead_end[edge], edge, following) if some_end else following
    walks[1:, ~moves] = walks[0, ~moves]


def _by_rejection(adjacency: Adjacency, walks: Tensor, p: float, q: float, generator) -> None:
    for step in range(1, len(walks)):
        if step == 1:
            walks[1] = adjacency.draw(walks[0], generator)
        else:
            walks[step] = _rejection_step(adjacency, walks[step - 2], walks[step - 1], p, q, generator)


def _rejection_step(adjacency: Adjacency, before: Tensor, here: Tensor, p: float, q: float, generator) -> Tensor:
    """The next node of each walk: drawn by weight, kept by bias, and laid out when few are left."""
    largest, smallest = max(1 / p, 1.0, 1 / q), min(1 / p, 1.0, 1 / q)
    chosen = adjacency.draw(here, generator)
    left = (adjacency.degree[here] > 1).nonzero().flatten()  # with one way on there is nothing to choose
    candidate = chosen[left]
    while len(left):
        level = largest * random(len(left), adjacency.device, generator)
        unsure = (level >= smallest).nonzero().flatten()  # below the smallest bias every candidate is kept
        at = left[unsure]
        kept = level[unsure] < _bias(adjacency, before[at], candidate[unsure], p, q)
        chosen[left] = candidate  # those that are turned down are drawn again below
        left = at[~kept]
        if adjacency.degree[here[left]].sum() <= len(here):
            chosen[left] = _exact(adjacency, before[left], here[left], p, q, generator)
            break
        candidate = adjacency.draw(here[left], generator)
    return chosen


def _bias(adjacency: Adjacency, before: Tensor, candidate: Tensor, p: float, q: float) -> Float[Tensor, " n"]:
    """The search bias α(t, x) of section 3.2.2."""
    bias = torch.full(candidate.shape, 1 / q, dtype=torch.float64, device=candidate.device)
    if q != 1:
        bias.masked_fill_(adjacency.has_edge(before, candidate), 1.0)
    return bias.masked_fill_(candidate == before, 1 / p)


def _exact(adjacency: Adjacency, before: Tensor, here: Tensor, p: float, q: float, generator) -> Tensor:
    """One draw a walk from the laid-out neighbourhoods: O(their edges)."""
    owner, target, weight = adjacency.edges_of(here)
    if not len(owner):
        return here
    until = (weight * _bias(adjacency, before[owner], target, p, q)).cumsum(0)
    last = adjacency.degree[here].cumsum(0) - 1
    first = torch.cat([last.new_zeros(1), last[:-1] + 1])
    low = torch.where(first == 0, 0.0, until[(first - 1).clamp(min=0)])
    level = torch.lerp(low, until[last], random(len(here), adjacency.device, generator))
    edge = torch.searchsorted(until, level, right=True).clamp_(first, last)
    return torch.where(until[last] == low, here, target[edge])
