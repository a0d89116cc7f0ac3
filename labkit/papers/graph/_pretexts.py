"""The pretext tasks of Jin et al. 2020: what to predict from the hidden layer, and how wrong it is."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_between, require_counts
from labkit.papers.graph._distances import adjacency, closeness, pairs_by_distance


class Pretext(nn.Module):
    """A pretext task on one graph: targets computed once, a linear head, a loss.

    Args:
        data: PyG ``Data``.
        dim: width of the hidden layer.
    """

    def view(self, data) -> tuple[Tensor, Tensor]:
        """Features and edges that the network sees while training; all of them, unless the task hides some."""
        return data.x, data.edge_index

    def require_questions(self, count: int) -> None:
        """Refuse a graph, or a share of it, that leaves nothing to ask."""
        if not count:
            raise ValueError(
                f"{type(self).__name__} finds nothing to ask: the graph is too small for it, or a share too low"
            )

    def forward(self, hidden: Float[Tensor, "nodes dim"]) -> Float[Tensor, ""]:
        raise TypeError(f"{type(self).__name__} has no forward(hidden) that returns its loss")


class EdgeMask(Pretext):
    """Which pairs are edges that were hidden? Cross-entropy on |h_i − h_j|, as many pairs without an edge.

    Args:
        share: of the edges that are hidden, once for the whole training, as in the released code.
        released: hide each direction of an edge by itself, as the released code does: nine times in ten the other
            direction stays in the graph and gives the answer away. Default: both at once.
    """

    def __init__(self, data, dim: int, share: float = 0.1, released: bool = False):
        super().__init__()
        require_between("share", share, 0, 1)
        n, (source, target) = data.num_nodes, data.edge_index
        forward = source != target if released else source < target
        edges = data.edge_index[:, forward]
        hidden = torch.rand(edges.shape[1], device=edges.device) < share
        self.require_questions(int(hidden.sum()))
        gone = edges[:, hidden] if released else torch.cat([edges[:, hidden], edges[:, hidden].flip(0)], dim=1)
        key = source * n + target
        self.register_buffer("left", data.edge_index[:, ~torch.isin(key, gone[0] * n + gone[1])])
        drawn = torch.randint(n * n, (gone.shape[1],), device=edges.device)
        absent = drawn[~torch.isin(drawn, key) & (drawn // n != drawn % n)]
        self.register_buffer("pairs", torch.cat([gone, torch.stack([absent // n, absent % n])], dim=1))
        truth = torch.zeros(self.pairs.shape[1], dtype=torch.long, device=edges.device)
        truth[: gone.shape[1]] = 1
        self.register_buffer("truth", truth)
        self.head = nn.Linear(dim, 2)

    def view(self, data):
        return data.x, self.left

    def forward(self, hidden):
        return F.cross_entropy(self.head(_difference(hidden, self.pairs)), self.truth)


class AttributeMask(Pretext):
    """What were the features of nodes whose features were set to zero? Mean squared error.

    The released code first reduces features by PCA, also those that the network sees; here they stay as they are.

    Args:
        share: of the nodes without a label that are hidden, once for the whole training.
    """

    def __init__(self, data, dim: int, share: float = 0.1):
        super().__init__()
        require_between("share", share, 0, 1)
        free = (~data.train_mask).nonzero().flatten()
        hidden = free[torch.randperm(len(free), device=free.device)[: int(share * len(free))]]
        self.require_questions(len(hidden))
        self.register_buffer("hidden", hidden)
        self.register_buffer("truth", data.x[hidden])
        self.register_buffer("x", data.x.index_fill(0, hidden, 0.0))
        self.head = nn.Linear(dim, data.num_features)

    def view(self, data):
        return self.x, data.edge_index

    def forward(self, hidden):
        return F.mse_loss(self.head(hidden[self.hidden]), self.truth)


class NodeProperty(Pretext):
    """How many neighbours has a node?

    Args:
        regression: mean squared error on the degree, as the paper writes it. Default: which of "up to 2", "3 to 7",
            "more", as in the released code: a hub does not outweigh all other nodes.
    """

    def __init__(self, data, dim: int, regression: bool = False):
        super().__init__()
        degree = data.edge_index[0].bincount(minlength=data.num_nodes)
        self.regression = regression
        self.register_buffer("truth", degree.float() if regression else (degree > 2).long() + (degree > 7))
        self.head = nn.Linear(dim, 1 if regression else 3)

    def forward(self, hidden):
        said = self.head(hidden)
        return F.mse_loss(said.squeeze(1), self.truth) if self.regression else F.cross_entropy(said, self.truth)


class PairwiseDistance(Pretext):
    """How far apart are two nodes: 1, 2, 3 hops or more? Cross-entropy on |h_i − h_j|, new pairs in each step.

    Pairs at 1 to 3 hops are listed once, by sparse products: on Cora 5, 43 and 124 thousand. Further
    ones are drawn and dropped where they turn out to be nearer. Nothing is nodes × nodes unless three hops reach all.

    Args:
        pairs: of each class in a step.
    """

    def __init__(self, data, dim: int, pairs: int = 4000):
        super().__init__()
        require_counts(pairs=pairs)
        self.nodes, self.pairs = data.num_nodes, pairs
        near = pairs_by_distance(data.edge_index, data.num_nodes, 3)
        for hops, listed in enumerate(near, 1):
            self.register_buffer(f"at_{hops}", listed)
        own = torch.arange(self.nodes, device=data.edge_index.device) * (self.nodes + 1)
        keys = torch.cat([a * self.nodes + b for a, b in near] + [b * self.nodes + a for a, b in near] + [own])
        self.register_buffer("near", keys.sort().values)
        self.head = nn.Linear(dim, 4)

    def forward(self, hidden):
        drawn, truth = [], []
        for hops in (1, 2, 3):
            listed = getattr(self, f"at_{hops}")
            if listed.shape[1]:
                drawn.append(listed[:, torch.randint(listed.shape[1], (self.pairs,), device=hidden.device)])
                truth.append(hops - 1)
        key = torch.randint(self.nodes**2, (self.pairs,), device=hidden.device)
        place = torch.searchsorted(self.near, key).clamp(max=len(self.near) - 1)
        key = key[self.near[place] != key]
        drawn.append(torch.stack([key // self.nodes, key % self.nodes]))
        truth.append(3)
        truth = torch.cat([torch.full((part.shape[1],), k, device=hidden.device) for part, k in zip(drawn, truth)])
        return F.cross_entropy(self.head(_difference(hidden, torch.cat(drawn, dim=1))), truth)


class DistanceCluster(Pretext):
    """How near is a node to the centre of each cluster? Mean squared error on 1 / hops, 0 where no path leads.

    The centre is the node with most neighbours. Clusters are the largest that Louvain's method finds (networkx), in
    place of METIS, which would be one more compiled package. The released code takes each centre's place *within* its
    cluster for its place in the graph, so its "centres" are among the first nodes of the file.

    Args:
        clusters: how many; 10 for Cora and CiteSeer.
        released: that mistake.
    """

    def __init__(self, data, dim: int, clusters: int = 10, released: bool = False):
        super().__init__()
        require_counts(clusters=clusters)
        import networkx as nx

        graph = nx.Graph(data.edge_index.T.tolist())
        seed = int(torch.randint(2**31, ()))
        members = sorted(nx.community.louvain_communities(graph, seed=seed), key=len, reverse=True)[:clusters]
        degree = data.edge_index[0].bincount(minlength=data.num_nodes)
        centres = []
        for cluster in members:
            nodes = torch.tensor(sorted(cluster), device=degree.device)
            place = degree[nodes].argmax()
            centres.append(place if released else nodes[place])
        self.register_buffer("truth", closeness(data.edge_index, data.num_nodes, torch.stack(centres)))
        self.head = nn.Linear(dim, len(centres))

    def forward(self, hidden):
        return F.mse_loss(self.head(hidden), self.truth)


class Distance2Labeled(Pretext):
    """How near is a node to the labelled nodes of each class, on average? Mean squared error on 1 / hops.

    Uses labels of the train nodes, for targets on the others.
    """

    def __init__(self, data, dim: int):
        super().__init__()
        labelled = data.train_mask.nonzero().flatten()
        near = closeness(data.edge_index, data.num_nodes, labelled)
        member = F.one_hot(data.y[labelled], int(data.y.max()) + 1).float()
        self.register_buffer("truth", near @ (member / member.sum(dim=0).clamp(min=1)))
        self.register_buffer("free", (~data.train_mask).nonzero().flatten())
        self.require_questions(len(self.free))
        self.head = nn.Linear(dim, member.shape[1])

    def forward(self, hidden):
        return F.mse_loss(self.head(hidden[self.free]), self.truth[self.free])


class PairwiseAttrSim(Pretext):
    """How similar are the features of two nodes (cosine)? Mean squared error on |h_i − h_j|.

    Pairs are each node's ``k`` most and least similar ones and ``k`` random ones, listed once in blocks of rows.

    Args:
        k: of each kind for each node.
        pairs: that are drawn in a step.
        released: compare every prediction with every target, as the released code's loss does when it subtracts
            [pairs] from [pairs, 1]: only the mean of the targets can then be learnt. Computed without the matrix.
    """

    def __init__(self, data, dim: int, k: int = 3, pairs: int = 5000, released: bool = False):
        super().__init__()
        require_counts(k=k, pairs=pairs)
        n, x = data.num_nodes, F.normalize(data.x, dim=1)
        k = min(k, n - 1)
        ends = []
        for rows in torch.arange(n, device=x.device).split(1024):
            similar = x[rows] @ x.T
            similar[torch.arange(len(rows)), rows] = torch.inf  # a node itself comes first, and is left out
            other = torch.randint(n, (len(rows), k), device=x.device)
            picked = [similar.topk(k + 1).indices[:, 1:], similar.topk(k, largest=False).indices, other]
            ends.append(torch.cat(picked, dim=1))
        second = torch.cat(ends)
        first = torch.arange(n, device=x.device)[:, None].expand_as(second)
        key = torch.minimum(first, second) * n + torch.maximum(first, second)
        key = key[first != second].unique()
        self.register_buffer("ends", torch.stack([key // n, key % n]))
        self.register_buffer("truth", (x[self.ends[0]] * x[self.ends[1]]).sum(dim=1))
        self.head = nn.Linear(dim, 1)
        self.pairs, self.released = pairs, released

    def forward(self, hidden):
        drawn = torch.randint(self.ends.shape[1], (self.pairs,), device=hidden.device)
        said, truth = self.head(_difference(hidden, self.ends[:, drawn])).squeeze(1), self.truth[drawn]
        if self.released:  # the mean over all of (p_i − t_j)²
            return (said - truth.mean()).square().mean() + truth.var(correction=0)
        return F.mse_loss(said, truth)


def propagated(data, steps: int = 100) -> Float[Tensor, "nodes classes"]:
    """Label propagation (Zhu and Ghahramani 2003): every other node's shares are the mean of its neighbours'."""
    # a node of class -1 has no label, and is no train node
    label = F.one_hot(data.y.clamp(min=0), int(data.y.max()) + 1).float() * data.train_mask[:, None]
    around = adjacency(data.edge_index, data.num_nodes)
    spread = label
    for _ in range(steps):
        total = around @ spread
        total = total / total.sum(dim=1, keepdim=True).clamp(min=1e-12)
        spread = torch.where(data.train_mask[:, None], label, total)
    return spread


def classified(data, rounds: int = 10) -> Float[Tensor, "nodes classes"]:
    """Iterative classification (Neville and Jensen 2000; the released code's way, but for all nodes at once).

    A logistic regression on features (each row's largest made 1, which makes a bag of words of zeros and ones) says a
    first label for each node; a second one, on features and on how many neighbours have each label, says them again,
    ``rounds`` times. Labels of train nodes stay.
    """
    require_counts(rounds=rounds)
    from sklearn.linear_model import LogisticRegression

    classes, known = int(data.y.max()) + 1, data.train_mask.cpu().numpy()
    truth, x = data.y.cpu().numpy(), (data.x / data.x.abs().amax(dim=1, keepdim=True).clamp(min=1e-12)).cpu().numpy()
    around = adjacency(data.edge_index.cpu(), data.num_nodes)  # scikit-learn's classifiers live on the CPU

    def with_counts(label: np.ndarray) -> np.ndarray:
        one_hot = F.one_hot(torch.from_numpy(label), classes).float()
        return np.concatenate([x, (around @ one_hot).numpy()], axis=1)

    label = np.where(known, truth, LogisticRegression().fit(x[known], truth[known]).predict(x))
    second = LogisticRegression(max_iter=1000).fit(with_counts(label)[known], truth[known])
    for _ in range(rounds):
        seen = with_counts(label)
        label = np.where(known, truth, second.predict(seen))
    votes = torch.zeros(len(x), classes)
    votes[:, torch.from_numpy(second.classes_)] = torch.from_numpy(second.predict_proba(seen)).float()
    sure = F.one_hot(data.y.cpu().clamp(min=0), classes).float()
    return torch.where(data.train_mask.cpu()[:, None], sure, votes).to(data.x.device)


def combined(data) -> Float[Tensor, "nodes classes"]:
    """The sum of what both say."""
    return propagated(data) + classified(data)


class ContextLabel(Pretext):
    """Which labels stand around a node, within two hops? Mean squared error on the shares of the classes.

    Every node within two hops counts once. Labels of the train nodes are first extended to all others, and the most
    likely one of each counts. The first of the tasks that the paper proposes ("SelfTask"), without its label
    correction. Nodes that no label reaches have no target.

    Args:
        extend: data -> how much speaks for each class, [nodes, classes]: :func:`propagated`, :func:`classified` or
            :func:`combined`.
    """

    def __init__(self, data, dim: int, extend: Callable = propagated):
        super().__init__()
        votes = extend(data)
        likely = F.one_hot(votes.argmax(dim=1), votes.shape[1]) * (votes.sum(dim=1, keepdim=True) > 0)
        a, b = torch.cat(pairs_by_distance(data.edge_index, data.num_nodes, 2), dim=1)
        count = torch.zeros_like(votes).index_add_(0, a, likely[b].float()).index_add_(0, b, likely[a].float())
        free = (~data.train_mask & (count.sum(dim=1) > 0)).nonzero().flatten()
        self.require_questions(len(free))
        self.register_buffer("free", free)
        self.register_buffer("truth", (count / count.sum(dim=1, keepdim=True).clamp(min=1e-12))[free])
        self.head = nn.Linear(dim, votes.shape[1])

    def forward(self, hidden):
        return F.mse_loss(self.head(hidden[self.free]).softmax(dim=1), self.truth)


class IterativeContextLabel(ContextLabel):
    """The same with labels extended by classifiers that look at features and neighbours (the paper's "ICA")."""

    def __init__(self, data, dim: int):
        super().__init__(data, dim, classified)


class CombinedContextLabel(ContextLabel):
    """The same with labels extended in both ways (the paper's "Combined")."""

    def __init__(self, data, dim: int):
        super().__init__(data, dim, combined)


def shuffled(data, dim: int, pretext: Callable[..., Pretext]) -> Pretext:
    """The same task with its answers dealt out to other nodes (or pairs): whatever still helps is not the answer.

    A control that the paper lacks: λ = 0 takes away the answer and the noise that comes with it. Use it as
    ``partial(shuffled, pretext=Distance2Labeled)``; not for PairwiseDistance, whose pairs are sorted by their answer.

    Raises:
        ValueError: a task that keeps no ``truth`` to shuffle.
    """
    task = pretext(data, dim)
    if not hasattr(task, "truth"):
        raise ValueError(f"{type(task).__name__} keeps no truth, one row for each node or pair, that could be shuffled")
    task.truth = task.truth[torch.randperm(len(task.truth), device=task.truth.device)]
    return task


def _difference(hidden: Float[Tensor, "nodes dim"], pairs: Int64[Tensor, "2 pairs"]) -> Float[Tensor, "pairs dim"]:
    return (hidden.index_select(0, pairs[0]) - hidden.index_select(0, pairs[1])).abs()
