"""k-core embedding: About Graph Degeneracy, Representation Learning and Scalability.

Simon Brandeis, Adrian Jarret, Pierre Sevestre. 2020.
https://arxiv.org/abs/2009.02085 · code: https://github.com/SBrandeis/kcore-embedding
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch_geometric.utils import subgraph

from labkit._checks import require_counts, require_known, require_undirected
from labkit.claims import Evidence, Lab, claim
from labkit.evaluate import Protocol
from labkit.methods import SkipGram, WalkBatches, inference
from labkit.models import SparseMatrix
from labkit.recipes import Recipe
from labkit.train import finished, fit, seeded
from labkit.views import Adjacency

# scripts/default_params.json of the released code
WALKS_PER_NODE, DIM, LENGTH, WINDOW = 15, 150, 30, 5
SWEEPS = 20  # of the propagation, `max_itr` in the released code
SCHEDULES: dict[str, Callable[[Tensor, int, int], Tensor]] = {  # walks of a node from its core number k
    "constant": lambda k, top, walks: torch.full_like(k, walks),  # DeepWalk
    "linear": lambda k, top, walks: walks * k // top,  # equation 1 of the paper, `CoreWalkLinear`
    "sigmoid": lambda k, top, walks: (walks * torch.sigmoid(10 * (k - top / 2) / top)).long(),  # `CoreWalkSigmoid`
}


def core_number(edge_index: Int64[Tensor, "2 edges"], num_nodes: int) -> Int64[Tensor, " nodes"]:
    """The largest k for which a node is in the k-core: the subgraph where all have k neighbours (Seidman 1983).

    Nodes of too small a degree are peeled off all at once, and again, until none is left; then k rises. Self-loops are
    left out.

    Raises:
        ValueError: a directed graph: both directions of each edge must be there.

    Cost: time O(edges + nodes) in all plus a few operations on [nodes] for each round; a path of n nodes takes n / 2
    rounds, Cora's 2 708 nodes take 20.
    """
    require_undirected(edge_index, num_nodes)
    key = (edge_index[0] * num_nodes + edge_index[1])[edge_index[0] != edge_index[1]].unique()
    source, target = key // num_nodes, key % num_nodes
    degree = source.bincount(minlength=num_nodes)
    first, remaining = degree.cumsum(0) - degree, degree.clone()
    core, k = torch.zeros_like(degree), 0
    alive = torch.ones(num_nodes, dtype=torch.bool, device=degree.device)
    while alive.any():
        k = max(k, int(remaining[alive].min()))
        peeled = (alive & (remaining <= k)).nonzero().flatten()
        while len(peeled):
            core[peeled], alive[peeled] = k, False
            counts = degree[peeled]
            place = torch.arange(int(counts.sum()), device=degree.device)
            place += torch.repeat_interleave(first[peeled] - counts.cumsum(0) + counts, counts)
            touched = target[place]
            remaining.index_add_(0, touched, torch.full_like(touched, -1))
            candidates = touched.unique()
            peeled = candidates[alive[candidates] & (remaining[candidates] <= k)]
    return core


class KCoreEmbedding(SkipGram):
    """Walks and skip-gram in the k-core only; all other nodes take the mean of their neighbours (algorithm 1).

    Args:
        data: the whole graph.
        k: of the core that is embedded; 0: the whole graph, nothing to propagate.
        dim, window, sparse: of the skip-gram, see :class:`labkit.methods.SkipGram`.

    Shapes:
        forward: walks over the core's own numbering, see :meth:`batches`; ``embed(data)``: [nodes, dim].
    """

    def __init__(self, data, k: int = 0, dim: int = DIM, window: int = WINDOW, sparse: bool = False):
        kept = core_number(data.edge_index, data.num_nodes) >= k
        _require_core(int(kept.sum()), k, data)
        super().__init__(int(kept.sum()), dim, window, sparse=sparse)
        self.graph_nodes = data.num_nodes
        self.register_buffer("core", kept.nonzero().flatten())

    @inference
    def embed(self, data) -> Float[Tensor, "nodes dim"]:
        self.require_own_graph(data)
        return propagate(self.table.weight, self.core, data.edge_index, data.num_nodes)


def propagate(
    z: Float[Tensor, "known dim"], known: Int64[Tensor, " known"], edge_index: Int64[Tensor, "2 edges"], num_nodes: int
) -> Float[Tensor, "nodes dim"]:
    """Embeddings of all nodes from those of some: outward, layer by layer, each node the mean of its neighbours.

    A layer is what touches the nodes embedded so far. Within it the means depend on each other; they are iterated 20
    times from zero (the released code starts at random). Nodes that no path leads to get the mean of all, where paper
    and code give them noise. Salha et al. 2019, algorithm 2; the released code divides by a product of adjacency
    matrices where the paper's equation has the number of neighbours: that is not copied.

    20 sweeps are an approximation. On Cora rows are at most 0.3 % off; where a layer has many edges within itself they
    come out too short, though nearly in their direction (a cosine of 0.999): outside Amazon-Photo's 49-core by 25 % in
    the median and by more than 40 % for a tenth of the nodes, against 600 sweeps.

    Cost: time O(20 · edges · dim), memory O(nodes · dim).
    """
    whole = z.new_zeros(num_nodes, z.shape[1])
    whole[known] = z
    done = torch.zeros(num_nodes, dtype=torch.bool, device=z.device)
    done[known] = True
    source, target = edge_index
    while True:
        layer = torch.zeros_like(done)
        layer[target[done[source]]] = True
        layer &= ~done
        if not layer.any():
            break
        place = torch.full((num_nodes,), -1, device=z.device)
        nodes = layer.nonzero().flatten()
        place[nodes] = torch.arange(len(nodes), device=z.device)
        taken = layer[target] & (done | layer)[source]
        to, of = place[target[taken]], source[taken]
        share = 1 / to.bincount(minlength=len(nodes)).to(z)
        mean = SparseMatrix.from_edges(to, of, share[to], (len(nodes), num_nodes))
        for _ in range(SWEEPS):
            whole[nodes] = mean @ whole
        done |= layer
    whole[~done] = z.mean(dim=0)
    return whole


def batches(data, k: int = 0, schedule: str = "constant", walks_per_node: int = WALKS_PER_NODE, size: int = 256):
    """Walks within the k-core; ``schedule`` says how many a node starts, at least one.

    "constant": all alike (DeepWalk). "linear": CoreWalk, in proportion to the core number. "sigmoid": the code's other.
    """
    require_known("schedule", schedule, SCHEDULES)
    require_counts(walks_per_node=walks_per_node, size=size)
    core = core_number(data.edge_index, data.num_nodes)
    if not core.any():
        raise ValueError("the graph has no edge to walk on")
    kept = core >= k
    _require_core(int(kept.sum()), k, data)
    edges = subgraph(kept, data.edge_index, relabel_nodes=True, num_nodes=data.num_nodes)[0]
    walks = SCHEDULES[schedule](core[kept], int(core.max()), walks_per_node).clamp(min=1)
    return WalkBatches(Adjacency(edges, int(kept.sum())), LENGTH, walks, size=size)


def embed(
    data, k: int = 0, schedule: str = "constant", seed: int = 0, epochs: int = 3, lr: float = 0.01, dim: int = DIM
) -> tuple[Float[Tensor, "nodes dim"], float]:
    """The embedding of a graph by its k-core, and the seconds it took, decomposition and propagation included."""
    started = time.perf_counter()
    with seeded(seed):
        method = KCoreEmbedding(data, k, dim)
    finished(fit(method, batches(data, k, schedule), epochs=epochs, lr=lr, seed=seed, device="cpu", progress=False))
    return method.embed(data), time.perf_counter() - started


def _require_core(nodes: int, k: int, data) -> None:
    if nodes < 2:
        top = int(core_number(data.edge_index, data.num_nodes).max())
        raise ValueError(f"k={k} leaves {nodes} nodes; the graph's largest core is k={top}")


# The released evaluation trains logistic regression on 40 % of the labels and scores the other 60, one split.
PROTOCOLS = {"public": Protocol.public(), "released": Protocol.random(0.3, 0.1, 0.6, repeats=10)}


def _recipe(name: str, k: int, schedule: str) -> Recipe:
    return Recipe(
        name=f"kcore/{name}",
        data="cora",
        build=partial(KCoreEmbedding, k=k),
        batches=partial(batches, k=k, schedule=schedule),
        training={"epochs": 3, "lr": 0.01},
        protocols=PROTOCOLS,
        source="scripts/default_params.json of the released code; Adam in place of gensim's SGD",
        smoke={"epochs": 1},
        smoke_batches=partial(batches, k=k, schedule=schedule, walks_per_node=1),
    )


RECIPES = [
    _recipe("core3-cora", 3, "constant"),
    _recipe("corewalk-cora", 0, "linear"),
    _recipe("deepwalk-cora", 0, "constant"),
]
CORE3, COREWALK, DEEPWALK = RECIPES


def random_part(data, k: int, seed: int) -> Int64[Tensor, " nodes"]:
    """As many random nodes as the k-core has: the control for what is special about a core."""
    size = int((core_number(data.edge_index, data.num_nodes) >= k).sum())
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(data.num_nodes, generator=generator)[:size].sort().values


def embed_part(
    data, nodes: Int64[Tensor, " part"], seed: int = 0, epochs: int = 3, lr: float = 0.01, dim: int = DIM
) -> Float[Tensor, "nodes dim"]:
    """As :func:`embed`, from any set of nodes in place of a core.

    A node whose neighbours are all outside of the set is met by no walk: it gets what propagation gives it, as those
    outside do.
    """
    edges = subgraph(nodes, data.edge_index, relabel_nodes=True, num_nodes=data.num_nodes)[0]
    with seeded(seed):
        method = SkipGram(len(nodes), dim, WINDOW)
    walks = WalkBatches(Adjacency(edges, len(nodes)), LENGTH, WALKS_PER_NODE, size=256)
    finished(fit(method, walks, epochs=epochs, lr=lr, seed=seed, device="cpu", progress=False))
    met = edges[0].bincount(minlength=len(nodes)) > 0
    return propagate(method.table.weight.detach()[met], nodes[met], data.edge_index, data.num_nodes)


def tradeoff(data, cores: Sequence[int], seeds: Sequence[int] = (0,), **training) -> dict[int, dict[str, list[float]]]:
    """k -> {"seconds": one a seed, "accuracy": one a seed (public split), "share": nodes in the core}."""
    core, found = core_number(data.edge_index, data.num_nodes), {}
    for k in cores:
        runs = [embed(data, k, seed=seed, **training) for seed in seeds]
        accuracy = [PROTOCOLS["public"].score(z, data.y, data).mean for z, _ in runs]
        found[k] = {"seconds": [s for _, s in runs], "accuracy": accuracy, "share": [(core >= k).float().mean().item()]}
    return found


def _saved(lab: Lab, **part) -> Evidence:
    """Share of DeepWalk's seconds that a part of its walks saves, the two trained in turn for each seed."""
    data, epochs = lab.material(DEEPWALK).dataset, 1 if lab.scale == "smoke" else DEEPWALK.training["epochs"]
    pairs = [[embed(data, seed=seed, epochs=epochs, **how)[1] for how in (part, {})] for seed in lab.seeds]
    saved = [1 - ours / full for ours, full in pairs]
    return Evidence(saved, [0.0] * len(saved), "time saved", "whole graph (DeepWalk)", "share of DeepWalk's seconds")


@claim("Training on the 3-core alone takes less time than on the whole graph.", needs="cora", minutes=4)
def core_takes_less_time(lab: Lab) -> Evidence:
    return _saved(lab, k=3)


@claim("CoreWalk's fewer walks take less time than DeepWalk's.",
       needs="cora", minutes=4, reported="22.5 s against 36.1 s, the code's own output")  # fmt: skip
def corewalk_takes_less_time(lab: Lab) -> Evidence:
    return _saved(lab, schedule="linear")


@claim("CoreWalk stays within one point of DeepWalk.",
       needs="cora", minutes=4, reported="micro-F1 74.5 against 73.3, the code's own output")  # fmt: skip
def corewalk_keeps_quality(lab: Lab) -> Evidence:
    full = [score - 0.01 for score in lab.scores(DEEPWALK)]
    return Evidence(lab.scores(COREWALK), full, "CoreWalk", "DeepWalk less one point")


@claim("The propagated 3-core stays within five points of DeepWalk on the whole graph.", needs="cora", minutes=4)
def core_keeps_quality(lab: Lab) -> Evidence:
    full = [score - 0.05 for score in lab.scores(DEEPWALK)]
    return Evidence(lab.scores(CORE3), full, "3-core and propagation", "DeepWalk less five points")


@claim("The 3-core is a better place to start from than as many random nodes.", needs="cora", minutes=4)
def core_beats_random_nodes(lab: Lab) -> Evidence:
    data, epochs = lab.material(CORE3).dataset, 1 if lab.scale == "smoke" else CORE3.training["epochs"]
    control = [embed_part(data, random_part(data, 3, seed), seed, epochs) for seed in lab.seeds]
    scores = [PROTOCOLS["public"].score(z, data.y, data).mean for z in control]
    return Evidence(lab.scores(CORE3), scores, "3-core", "random nodes, as many", note="Both propagated outward.")


@claim("Propagation beats leaving the nodes outside the 3-core at their mean.", needs="cora", minutes=3)
def propagation_helps(lab: Lab) -> Evidence:
    nodes = lab.material(CORE3).dataset.num_nodes

    def cut(run):
        known = run.method.table.weight.detach()
        whole = known.mean(dim=0).repeat(nodes, 1)
        whole[run.method.core] = known
        return whole

    return Evidence(lab.scores(CORE3), lab.scores(CORE3, embed=cut), "propagated", "mean of the core")
