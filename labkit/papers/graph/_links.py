"""Missing links: edges held out so that nothing trained has seen them, and scores for pairs of nodes."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch_geometric.data import Data

from labkit.papers.graph._cuda_order import cuda_permutation
from labkit.train import seeded

OPERATORS = {  # table 1 of node2vec's paper
    "average": lambda a, b: (a + b) / 2,
    "hadamard": lambda a, b: a * b,
    "weighted-L1": lambda a, b: (a - b).abs(),
    "weighted-L2": lambda a, b: (a - b).square(),
}


@dataclass(frozen=True)
class Links:
    """A graph with edges held out.

    Attributes:
        graph: what is left of it, both directions of each edge; features and labels as they were.
        pairs: int64 [2, 2 · held], the held-out edges and as many pairs of nodes without an edge.
        linked: float [2 · held], 1 for the edges.
    """

    graph: Data
    pairs: Int64[Tensor, "2 pairs"]
    linked: Float[Tensor, " pairs"]


def hold_out_links(data: Data, share: float, seed: int) -> Links:
    """Hold out ``share`` of the undirected edges, every connected component kept whole (section 4.7 of node2vec).

    What may go are the edges outside a random spanning forest. Pairs without an edge are drawn uniformly, as many as
    edges; none of them is an edge of the whole graph.

    Raises:
        ValueError: a share outside (0, 1), more than the forest can spare, or than there are pairs without an edge.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import minimum_spanning_tree

    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    rng, n = np.random.default_rng(seed), data.num_nodes
    a, b = data.edge_index.numpy()
    edges = np.unique(np.minimum(a, b)[a != b] * n + np.maximum(a, b)[a != b])
    weight = rng.random(len(edges)) + 0.5
    forest = minimum_spanning_tree(coo_matrix((weight, (edges // n, edges % n)), shape=(n, n))).tocoo()
    spare = np.setdiff1d(
        edges, np.minimum(forest.row, forest.col).astype(np.int64) * n + np.maximum(forest.row, forest.col)
    )
    held = int(share * len(edges))
    if not 1 <= held <= len(spare):
        raise ValueError(
            f"share={share} of {len(edges)} edges is {held}; {len(spare)} can go without cutting the graph"
        )
    if n * (n - 1) // 2 - len(edges) < held:
        raise ValueError(f"{held} pairs without an edge are needed; {n} nodes with {len(edges)} edges have fewer")
    positive = rng.choice(spare, held, replace=False)
    negative = np.zeros(0, dtype=np.int64)
    while len(negative) < held:
        u, v = np.sort(rng.integers(n, size=(2, 2 * held)), axis=0)
        negative = np.union1d(negative, np.setdiff1d(u[u != v] * n + v[u != v], edges))
    negative = rng.choice(negative, held, replace=False)
    kept = np.setdiff1d(edges, positive)
    graph = data.clone()
    half = torch.from_numpy(np.stack([kept // n, kept % n]))
    graph.edge_index = torch.cat([half, half.flip(0)], dim=1)
    graph.edge_weight = graph.edge_attr = None  # of edges that stood in another order
    pairs = np.concatenate([positive, negative])
    return Links(graph, torch.from_numpy(np.stack([pairs // n, pairs % n])), torch.arange(2 * held).lt(held).float())


def link_auc(z: Float[Tensor, "nodes dim"], links: Links, operator: str = "hadamard", seed: int = 0) -> float:
    """AUC of logistic regression on ``operator`` of two nodes: one half of the pairs teaches it, the other scores it.

    C = 1 on standardised features, fixed: nothing is chosen. z must not have seen the held-out edges.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = OPERATORS[operator](*z[links.pairs]).numpy(), links.linked.numpy()
    teaches = _teaching_half(links, seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x[teaches], y[teaches])
    return float(roc_auc_score(y[~teaches], model.predict_proba(x[~teaches])[:, 1]))


def score_auc(score, links: Links, seed: int = 0) -> float:
    """AUC of a [nodes, nodes] score that needs no training (an array, or sparse as of SciPy).

    It is over the same half of the pairs that :func:`link_auc` scores.
    """
    from sklearn.metrics import roc_auc_score

    tests = ~_teaching_half(links, seed)
    a, b = links.pairs.numpy()
    return float(roc_auc_score(links.linked.numpy()[tests], np.asarray(score[a, b]).ravel()[tests]))


def adamic_adar(graph: Data):
    """Σ over common neighbours of 1 / log degree, as a sparse [nodes, nodes] matrix (Adamic & Adar 2003)."""
    from scipy.sparse import coo_matrix, diags

    n = graph.num_nodes
    a = coo_matrix((np.ones(graph.num_edges), graph.edge_index.numpy()), shape=(n, n)).tocsr()
    degree = np.asarray(a.sum(1)).ravel()
    return (a @ diags(np.where(degree > 1, 1 / np.log(np.maximum(degree, 2)), 0)) @ a).tocsr()


@dataclass(frozen=True)
class LinkScore:
    """Area under the ROC curve and average precision on held-out edges against as many random pairs."""

    auc: float
    average_precision: float


SEED_OF_BANDANA = 2022  # train_link.py of its released code


def link_split(data, seed: int | None = None):
    """The graph without 15 % of its edges, and those of them that validate (5 %) and test (10 %) with random pairs.

    Args:
        seed: None: the one split of Bandana's released code, edge for edge. It draws on a GPU, from edges sorted by
            node; which edges are held out moves AUC more than anything in the training does.
    """
    from torch_geometric.transforms import RandomLinkSplit

    released = seed is None
    seed = SEED_OF_BANDANA if released else seed
    before = random.getstate()  # PyG draws its random pairs from Python's own generator
    data = _in_the_order_of_a_gpu(data, seed) if released else data
    with seeded(seed):
        random.seed(seed)
        split = RandomLinkSplit(0.05, 0.1, is_undirected=True, add_negative_train_samples=released)(data)
    random.setstate(before)
    return split


def _in_the_order_of_a_gpu(data, seed: int):
    """The edges so placed that a permutation drawn on this machine takes them as CUDA's would, were they sorted."""
    data = data.coalesce()
    forward = (data.edge_index[0] <= data.edge_index[1]).nonzero().flatten()
    with seeded(seed):
        taken = torch.randperm(len(forward))
    place = torch.arange(data.num_edges)
    place[forward[taken]] = forward[cuda_permutation(len(forward), seed)]
    return data.edge_subgraph(place)


def rank_links(z: Float[Tensor, "nodes dim"], part) -> LinkScore:
    """How dot products of z rank the edges of a part of :func:`link_split` among its pairs without one."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    a, b = z[part.edge_label_index]
    found = (a * b).sum(dim=1)
    truth = part.edge_label
    return LinkScore(float(roc_auc_score(truth, found)), float(average_precision_score(truth, found)))


def _teaching_half(links: Links, seed: int) -> np.ndarray:
    """As many edges as other pairs in either half."""
    held = links.pairs.shape[1] // 2
    order = np.random.default_rng(seed + 1).permutation(held)
    teaches = np.zeros(held, dtype=bool)
    teaches[order[: held // 2]] = True
    return np.concatenate([teaches, teaches])
