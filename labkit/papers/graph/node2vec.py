"""node2vec: Scalable Feature Learning for Networks.

Aditya Grover, Jure Leskovec. KDD 2016.
https://arxiv.org/abs/1607.00653 · code: https://github.com/aditya-grover/node2vec
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from labkit.claims import Evidence, Lab, claim
from labkit.data import load
from labkit.evaluate import Protocol
from labkit.methods import SkipGram, WalkBatches
from labkit.papers._controls import changed
from labkit.papers.graph._links import OPERATORS, adamic_adar, hold_out_links, link_auc, score_auc
from labkit.recipes import PaperNumber, Recipe
from labkit.train import finished, fit, seeded
from labkit.views import Adjacency

WALKS = {"length": 80, "walks_per_node": 10, "p": 1.0, "q": 0.5}  # section 4.2: l = 80, r = 10
SMOKE = {"length": 10, "walks_per_node": 1}
WHOLE = 2_000  # nodes up to which a matrix is decomposed whole, in a second


class Node2Vec(SkipGram):
    """Skip-gram over walks that lean inward or outward (sections 3.1 and 3.2, algorithm 1).

    The walks are :func:`walks`; noise nodes are drawn by degree to the power 3/4, since a uniform walk visits a node in
    proportion to its (weighted) degree and word2vec draws noise by visits to that power.

    Args:
        data: the graph.
        dim, window, negatives, window_weights, sparse: see :class:`labkit.methods.SkipGram`. The paper sets dim 128 and
            window 10; "linear" weights are what its released code trains.
    """

    def __init__(
        self, data, dim: int = 128, window: int = 10, negatives: int = 5, window_weights: str = "uniform",
        sparse: bool = False,
    ):  # fmt: skip
        degree = data.edge_index[0].bincount(data.get("edge_weight"), minlength=data.num_nodes)
        noise = degree.float() ** 0.75
        super().__init__(data.num_nodes, dim, window, negatives, noise, window_weights, sparse=sparse)


def walks(data, size: int = 128, **changes: Any) -> WalkBatches:
    """The paper's walks on a graph, ``size`` a batch; ``changes``: p, q, length, walks_per_node."""
    return WalkBatches(Adjacency.of(data), size=size, **WALKS | changes)


def embed(
    data, seed: int, *, epochs: int = 1, lr: float = 0.01, dim: int = 128, window: int = 10,
    window_weights: str = "uniform", device: str = "auto", **of_walks: Any,
) -> Float[Tensor, "nodes dim"]:  # fmt: skip
    """node2vec of a graph in one call, brought to the CPU; ``of_walks`` as in :func:`walks`."""
    with seeded(seed):
        method = Node2Vec(data, dim, window, window_weights=window_weights)
    finished(fit(method, walks(data, **of_walks), epochs=epochs, lr=lr, seed=seed, device=device, progress=False))
    return method.table.weight.detach().cpu()


# Section 4.3 trains one-vs-rest logistic regression on 10 to 90 % of the labels, ten splits; Cora and CiteSeer are not
# in the paper, so that the protocols are those of the other papers of this theme.
PROTOCOLS = {"public": Protocol.public(), "random": Protocol.random(0.1, 0.1, 0.8, repeats=20)}
QUOTED = "DeepWalk, as the GAT paper quotes it, table 2"


def _recipe(data: str, paper: float, **of_walks: Any) -> Recipe:
    return Recipe(
        name=f"node2vec/{data}",
        data=data,
        build=Node2Vec,
        batches=partial(walks, **of_walks),
        training={"epochs": 2, "lr": 0.01},
        protocols=PROTOCOLS,
        paper={"public": PaperNumber(paper, None, QUOTED)},
        source="section 4.2 (d, r, l, k); q = 0.5 as in figure 3's communities; Adam in place of SGD",
        smoke={"epochs": 1},
        smoke_batches=partial(walks, **SMOKE),
        variant="paper",
    )


RECIPES = [_recipe("cora", 67.2), _recipe("citeseer", 43.2)]
CORA = RECIPES[0]


def les_miserables(
    p: float, q: float, clusters: int, seed: int = 0, epochs: int = 40
) -> tuple[Float[Tensor, "nodes dim"], Integer[np.ndarray, " nodes"]]:
    """Figure 3: d = 16, and k-means in that space. The paper takes p = 1 with q = 0.5 (6 clusters: communities) and
    q = 2 (3 clusters: roles), and draws the clusters on one layout of the graph. Edges count alike, as in its text.
    The paper does not say how long it trains; after 40 epochs of 770 walks the clusters no longer change.
    """
    from sklearn.cluster import KMeans

    data = load("les-miserables")
    data.edge_weight = None
    z = embed(data, seed, dim=16, p=p, q=q, epochs=epochs, size=77)
    return z, KMeans(clusters, n_init=10, random_state=seed).fit_predict(z.numpy())


def modularity(data, clusters: Integer[np.ndarray, " nodes"]) -> float:
    """How many more edges stay within clusters than chance would have it (Newman), at most 1."""
    source, target = data.edge_index.numpy()
    of, degree = clusters, np.bincount(source, minlength=data.num_nodes)
    expected = np.bincount(of, degree).astype(float) / len(source)
    return float((of[source] == of[target]).mean() - (expected**2).sum())


def structure(data) -> dict[str, np.ndarray]:
    """What a role is made of, a number a node: log degree, core number, clustering coefficient, log betweenness."""
    import networkx as nx

    graph = nx.Graph(data.edge_index.t().tolist())
    graph.add_nodes_from(range(data.num_nodes))
    parts = {"degree": dict(graph.degree), "core": nx.core_number(graph), "clustering": nx.clustering(graph),
             "betweenness": nx.betweenness_centrality(graph)}  # fmt: skip
    columns = {name: np.array([values[node] for node in range(data.num_nodes)]) for name, values in parts.items()}
    return columns | {"degree": np.log1p(columns["degree"]), "betweenness": np.log1p(1000 * columns["betweenness"])}


def explained_by_roles(data, clusters: Integer[np.ndarray, " nodes"]) -> float:
    """Share of the variance of :func:`structure` that lies between the clusters (η², mean of the four), 0 to 1."""
    of, size = clusters, np.bincount(clusters)
    values = np.stack(list(structure(data).values()), axis=1)
    centre = np.stack([np.bincount(of, column) / np.maximum(size, 1) for column in values.T], axis=1)
    between = (size[:, None] * (centre - values.mean(0)) ** 2).sum(0)
    return float((between / ((values - values.mean(0)) ** 2).sum(0)).mean())


def sweep(
    ps: Sequence[float], qs: Sequence[float], seeds: Sequence[int] = (0,), **settings: Any
) -> Float[np.ndarray, "p q seeds"]:
    """Accuracy on Cora (public split) over a grid of p and q; ``settings`` as in :func:`embed` and :func:`walks`."""
    data, protocol = load(CORA.data), PROTOCOLS["public"]
    return np.array(
        [[[protocol.score(embed(data, s, p=p, q=q, **settings), data.y, data).mean for s in seeds] for q in qs]
         for p in ps]
    )  # fmt: skip


def _clusters(lab: Lab, q: float, clusters: int, epochs: int = 40):
    epochs = 1 if lab.scale == "smoke" else epochs
    return [les_miserables(1, q, clusters, seed, epochs)[1] for seed in lab.seeds]


def _cora(**of_walks: Any) -> Recipe:
    return replace(CORA, batches=partial(walks, **of_walks))


def _links(lab: Lab, seed: int):
    """A fifth of Cora's edges held out, and node2vec of the rest."""
    part = hold_out_links(lab.material(CORA).dataset, 0.2, seed)
    return part, embed(part.graph, seed, **({"epochs": 1} | SMOKE if lab.scale == "smoke" else {"epochs": 2}))


@claim(
    "Walks that move outward (q = 0.5) cluster Les Misérables into better communities than walks that stay near "
    "(q = 2).",
    needs="les-miserables",
    minutes=0.5,
    why_not=(
        "77 characters are few: walks of either bias see nearly all of them, and both find nearly the same communities."
    ),
)
def outward_finds_communities(lab: Lab) -> Evidence:
    data = load("les-miserables")
    out, near = ([modularity(data, of) for of in _clusters(lab, q, 6)] for q in (0.5, 2))
    return Evidence(out, near, "q = 0.5", "q = 2", "modularity", "Six clusters each.")


@claim("Walks that stay near (q = 2) cluster Les Misérables by structural role better than walks that move outward "
       "(q = 0.5).", needs="les-miserables", minutes=0.5)  # fmt: skip
def near_finds_roles(lab: Lab) -> Evidence:
    data = load("les-miserables")
    near, out = ([explained_by_roles(data, of) for of in _clusters(lab, q, 3)] for q in (2, 0.5))
    note = "Three clusters each; share of variance of degree, core number, clustering and betweenness between them."
    return Evidence(near, out, "q = 2", "q = 0.5", "share of variance", note)


@claim("Roles belong to an embedding that is hardly trained: at q = 2 clusters sort characters by role better after 3 "
       "epochs than after 40.", needs="les-miserables", minutes=0.5)  # fmt: skip
def roles_go_with_training(lab: Lab) -> Evidence:
    data = load("les-miserables")
    early, late = ([explained_by_roles(data, of) for of in _clusters(lab, 2, 3, epochs)] for epochs in (3, 40))
    note = "Not a sentence of the paper: why its figure may have shown roles."
    return Evidence(early, late, "3 epochs", "40 epochs", "share of variance", note)


@claim("Walks beat single edges: a window of 10 beats a window of 1.",
       needs="cora", minutes=4, reported="a larger window is a little better, section 4.4")  # fmt: skip
def walks_beat_one_hop(lab: Lab) -> Evidence:
    one_hop = changed(CORA, window=1)
    return Evidence(lab.scores(CORA), lab.scores(one_hop), "window 10", "window 1")


@claim("Walks biased outward (q = 0.5) beat unbiased ones (DeepWalk).",
       needs="cora", minutes=4,
       reported="macro-F1 22.3 % higher on BlogCatalog, hardly on PPI, section 4.3")  # fmt: skip
def bias_beats_none(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CORA), lab.scores(_cora(q=1.0)), "q = 0.5", "p = q = 1 (DeepWalk)")


@claim("With few walks (two a node, one epoch) those that move outward beat those that stay: q = 0.25 against 4.",
       needs="cora", minutes=1)  # fmt: skip
def bias_matters_with_few_walks(lab: Lab) -> Evidence:
    out, near = (_cora(q=q, walks_per_node=2).with_training(epochs=1) for q in (0.25, 4.0))
    note = "Walks that stay near see the same few nodes again."
    return Evidence(lab.scores(out), lab.scores(near), "q = 0.25", "q = 4", note=note)


@claim("node2vec beats spectral clustering's eigenvectors of the same width.",
       needs="cora", minutes=2, reported="better at every share of labels, figure 4")  # fmt: skip
def beats_spectral(lab: Lab) -> Evidence:
    material = lab.material(CORA)
    z = spectral(material.dataset, 128)
    control = material.score(PROTOCOLS["public"], z).mean
    return Evidence(lab.scores(CORA), [control] * len(lab.seeds), "node2vec", "128 eigenvectors", note="No seed in it.")


@claim("Pairs of the window weighted alike (the paper's text) beat word2vec's falling weights (its released code).",
       needs="cora", minutes=4)  # fmt: skip
def uniform_window_beats_linear(lab: Lab) -> Evidence:
    released = changed(CORA, window_weights="linear")
    return Evidence(lab.scores(CORA), lab.scores(released), "uniform (paper)", "linear (released)")


@claim("The Hadamard product of two nodes tells missing links better than Adamic-Adar.",
       needs="cora", minutes=3, reported="AUC 12.6 % higher on arXiv, section 4.7")  # fmt: skip
def hadamard_beats_adamic_adar(lab: Lab) -> Evidence:
    ours, theirs = [], []
    for seed in lab.seeds:
        part, z = _links(lab, seed)
        ours.append(link_auc(z, part, "hadamard", seed))
        theirs.append(score_auc(adamic_adar(part.graph), part, seed))
    note = "Fifth of the edges held out, every component kept whole; half of them teach the classifier."
    return Evidence(ours, theirs, "node2vec, Hadamard", "Adamic-Adar", "AUC", note)


@claim(
    "Hadamard beats the other three binary operators for links.",
    needs="cora",
    minutes=3,
    reported="the best on average over three networks, section 4.7",
    why_not=(
        "the best of the three is taken by the AUC that is compared, which favours it; and where nodes "
        "cluster, a distance says much."
    ),
)
def hadamard_beats_other_operators(lab: Lab) -> Evidence:
    ours, best = [], []
    for seed in lab.seeds:
        part, z = _links(lab, seed)
        aucs = {name: link_auc(z, part, name, seed) for name in OPERATORS}
        ours.append(aucs.pop("hadamard"))
        best.append(max(aucs.values()))
    return Evidence(ours, best, "Hadamard", "best of average, L1, L2", "AUC")


def spectral(data, dim: int) -> Float[Tensor, "nodes dim"]:
    """The eigenvectors of D^-1/2 A D^-1/2 with the ``dim`` largest eigenvalues: spectral clustering's embedding.

    The largest is 1, once for each connected component, and its eigenvectors are known: the roots of the degrees on one
    component, 0 elsewhere. They come first, larger components before smaller ones. Lanczos iterations would find few of
    so many equal eigenvalues (on Cora 16 of 78), and rounding would say which; they find the others. In small graphs
    others repeat, too: of those the whole matrix is decomposed.
    """
    from scipy.linalg import eigh
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import LinearOperator, eigsh

    nodes, dim = data.num_nodes, min(dim, data.num_nodes - 1)
    a = coo_matrix((np.ones(data.num_edges), data.edge_index.numpy()), shape=(nodes, nodes)).tocsr()
    degree = np.asarray(a.sum(1)).ravel()
    of = connected_components(a, directed=False)[1]
    mass = np.bincount(of, degree)  # of a component; 0 for a node without edges, whose eigenvalue is 0
    rank = np.argsort(np.argsort(-mass, kind="stable"))
    one = coo_matrix((np.sqrt(degree / np.maximum(mass, 1)[of]), (np.arange(nodes), rank[of]))).tocsc()
    one = one[:, : min(dim, np.count_nonzero(mass))]
    vectors = one.toarray()
    if wanted := dim - one.shape[1]:
        scale = diags(1 / np.sqrt(np.maximum(degree, 1)))
        across = scale @ a @ scale
        if nodes <= WHOLE:
            found = eigh((across - 3 * (one @ one.T)).toarray())[1][:, -wanted:]  # 1 becomes -2, below all others
        else:
            rest = LinearOperator(a.shape, lambda v: across @ v - 2 * (one @ (one.T @ v)), dtype=float)  # 1 becomes -1
            found = eigsh(rest, k=wanted, which="LA", v0=np.random.default_rng(0).random(nodes))[1]
        vectors = np.hstack([vectors, found[:, ::-1]])
    return torch.from_numpy(vectors).float()
