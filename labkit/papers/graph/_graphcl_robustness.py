"""GraphCL against attacks that add one edge to a graph whose components are counted (section 5 of the paper).

The task and the attacks are those of Dai et al. (Adversarial Attack on Graph Structured Data. ICML 2018) as GraphCL's
released code has them, in its folder adversarialRobustness_Component: graphs of 15 to 20 nodes; 101 epochs of contrast
between the whole graph and one without a fifth of its nodes, temperature 0.5, then labels; 50 graphs a step, Adam at
0.001. Smaller here: fewer graphs, fewer epochs at a higher rate that falls to 0, and the house's GIN in place of
structure2vec. Three differences are on purpose. The code keeps the epoch with the best *test* loss; here it is the
last. There the pre-trained classifier has fewer epochs of labels than one from scratch; here it has as many, and
"longer" is a control with as many epochs in all. In place of the reinforcement learner RL-S2V every allowed edge is
tried, which no attack of one edge can beat.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torch_geometric.data import Data

from labkit._checks import require_counts, require_known
from labkit._graph_batch import argsort, take
from labkit.data import GraphBatch, GraphSet
from labkit.methods import Method, in_blocks, inference
from labkit.models import GIN, MLP, neighbours_and_itself
from labkit.train import Minibatches, fit, seeded

MOST = 3  # components
STARTS = ("scratch", "pretrained", "longer")


def component_graphs(each: int, seed: int, nodes: tuple[int, int] = (15, 20), p: float = 0.15) -> GraphSet:
    """``each`` graphs of one component, of two and of three; x is 1 everywhere, y one less than the components.

    Each of c components has a c-th of ``nodes`` nodes: an Erdős–Rényi graph whose pieces are put in a random order and
    linked, each to the next, by one random edge. The same seed gives the same graphs.
    """
    require_counts(each=each)
    draw = random.Random(seed)
    return GraphSet(tuple(_graph(1 + i % MOST, nodes, p, draw) for i in range(MOST * each)), "components")


def _graph(count: int, nodes: tuple[int, int], p: float, draw: random.Random) -> Data:
    import networkx as nx

    edges, first = [], 0
    for _ in range(count):
        part = nx.gnp_random_graph(draw.randint(nodes[0] // count, nodes[1] // count), p, seed=draw)
        pieces = [sorted(piece) for piece in nx.connected_components(part)]
        draw.shuffle(pieces)
        links = [(draw.choice(a), draw.choice(b)) for a, b in pairwise(pieces)]
        edges += [(first + a, first + b) for a, b in [*part.edges, *links]]
        first += len(part)
    half = torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T
    both = torch.cat([half, half.flip(0)], dim=1)
    return Data(x=torch.ones(first, 1), edge_index=both, y=torch.tensor([count - 1]))


class ComponentCounter(Method):
    """A GIN and two linear layers that say how many components a graph has; cross-entropy.

    Args:
        labels: [graphs] of the training graphs, from 0.
        layers, hidden: of the GIN.

    A batch is (graphs, their rows): ``Minibatches(graphs, size, numbered=True)``; ``embed(graphs)`` gives the logits.
    """

    def __init__(self, labels: Int64[Tensor, " graphs"], layers: int = 3, hidden: int = 32):
        super().__init__()
        self.encoder = GIN(1, hidden, layers)
        self.head = MLP(self.encoder.dim, hidden, MOST)
        self.register_buffer("labels", labels)

    def forward(self, batch: tuple[GraphBatch, Tensor]) -> Float[Tensor, ""]:
        graphs, rows = batch
        return F.cross_entropy(self.head(self.encoder(graphs)), self.labels[rows])

    @inference
    def embed(self, batch: GraphBatch) -> Float[Tensor, "graphs classes"]:
        return in_blocks(lambda part: self.head(self.encoder(part)), batch)


def components(batch: GraphBatch) -> Int64[Tensor, " nodes"]:
    """The component of every node, numbered through all graphs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = batch.edge_index.numpy()
    matrix = coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(len(batch.x),) * 2)
    return torch.from_numpy(connected_components(matrix, directed=False)[1]).long()


def addable(batch: GraphBatch) -> Int64[Tensor, "2 pairs"]:
    """The edges an attack may add: pairs of nodes in one component that have none; u < v, graph by graph.

    They leave the number of components, and so the right answer, as it is. As in the code of both papers nothing is
    deleted. There a random draw may hit an edge that is there already and change nothing; here it can't.
    """
    n = len(batch.x)
    after = take(batch.ptr, batch.batch + 1) - torch.arange(n) - 1  # nodes of the graph that come after this one
    u = torch.repeat_interleave(after)
    v = u + 1 + torch.arange(len(u)) - torch.repeat_interleave(after.cumsum(0) - after, after)
    part, (source, target) = components(batch), batch.edge_index
    free = (take(part, u) == take(part, v)) & ~torch.isin(u * n + v, source * n + target)
    return torch.stack([u, v])[:, free]


def add_edges(batch: GraphBatch, pairs: Int64[Tensor, "2 pairs"]) -> GraphBatch:
    """The graphs with these edges as well, in both directions."""
    edges = torch.cat([batch.edge_index, pairs, pairs.flip(0)], dim=1)
    graph_by_graph = argsort(take(batch.batch, edges[0]))
    return GraphBatch(batch.x, edges.index_select(1, graph_by_graph), batch.ptr)


Scores = Callable[[ComponentCounter, GraphBatch, Tensor, Tensor], Float[Tensor, " pairs"]]


def attacked(
    counter: ComponentCounter, batch: GraphBatch, labels: Int64[Tensor, " graphs"], scores: Scores
) -> GraphBatch:
    """Each graph with the addable edge that scores highest; one that has none to add stays as it is.

    Args:
        scores: ``(counter, batch, labels, pairs) -> [pairs]``: :func:`at_random`, :func:`by_gradient` or
            :func:`by_trying_all`.
    """
    pairs = addable(batch)
    if not pairs.shape[1]:
        return batch
    graph = take(batch.batch, pairs[0]).numpy()
    order = np.lexsort((scores(counter, batch, labels, pairs).numpy(), graph))
    last = np.append(np.diff(graph[order]) > 0, True)
    return add_edges(batch, pairs[:, torch.from_numpy(order[last])])


def at_random(counter, batch, labels, pairs) -> Float[Tensor, " pairs"]:
    """RandSampling: every addable edge is as likely; from torch's default generator."""
    return torch.rand(pairs.shape[1])


def by_gradient(counter, batch, labels, pairs) -> Float[Tensor, " pairs"]:
    """GradArgmax: how fast the loss rises as the edge comes in, ∂L/∂A_uv + ∂L/∂A_vu, L the loss of the right answer.

    A layer sees A through S = (A + I) X alone, so each adds g_u · x_v + g_v · x_u, with g = ∂L/∂S. (The released code
    takes the gradient of the loss towards each wrong answer, and of those edges the first that fools the classifier.)

    Cost: one forward and backward pass; O(pairs · hidden) a layer.
    """
    counter.eval()
    gather, x, seen, sums = neighbours_and_itself(batch), batch.x, [], []
    for update, norm in zip(counter.encoder.updates, counter.encoder.norms, strict=True):
        seen.append(x.detach())
        sums.append((gather @ x).requires_grad_())
        x = norm(update(sums[-1]).relu())
        pooled = batch.pool(x) if len(sums) == 1 else torch.cat([pooled, batch.pool(x)], dim=1)
    loss = F.cross_entropy(counter.head(pooled), labels, reduction="sum")  # of the sum: graphs don't meet
    u, v = pairs
    rises = torch.zeros(pairs.shape[1])
    for x, g in zip(seen, torch.autograd.grad(loss, sums), strict=True):
        rises += (take(g, u) * take(x, v) + take(g, v) * take(x, u)).sum(dim=1)
    return rises


def by_trying_all(counter, batch, labels, pairs, block: int = 4096) -> Float[Tensor, " pairs"]:
    """How far each edge takes the best wrong logit above the right one: above 0 it fools the classifier.

    Cost: a forward pass over as many graphs as pairs, ``block`` at a time.
    """
    graph, found = take(batch.batch, pairs[0]), []
    for chosen in torch.arange(pairs.shape[1]).split(block):
        copies = batch[graph[chosen]]
        moved = pairs[:, chosen] + copies.ptr[:-1] - take(batch.ptr, graph[chosen])
        logits, right = counter.embed(add_edges(copies, moved)), labels[graph[chosen], None]
        own = logits.gather(1, right).flatten()
        found.append(logits.scatter(1, right, -torch.inf).amax(dim=1) - own)
    return torch.cat(found)


ATTACKS: dict[str, Scores] = {"random": at_random, "gradient": by_gradient, "any": by_trying_all}


@dataclass(frozen=True)
class UnderAttack:
    """Accuracy on the test graphs: as they are, and with one edge more, put there by each attack."""

    clean: float
    random: float
    gradient: float
    any: float


def train_counter(
    graphs: GraphSet, layers: int, start: str, seed: int, contrast: int = 20, labelled: int = 40, **arguments
) -> ComponentCounter:
    """A classifier of these graphs.

    Args:
        layers: of its GIN.
        start: "scratch"; "pretrained": the GIN has GraphCL's weights, batch norm's averages among them, and all of it
            goes on learning; "longer": from scratch, with as many epochs of labels as "pretrained" has in all.
            With one seed all three begin at the same random weights.
        contrast, labelled: epochs without and with labels.
        arguments: more for ``fit``.
    """
    from labkit.papers.graph.graphcl import AUGMENTATIONS, GraphCL

    require_known("start", start, STARTS)
    # at a constant rate batch norm's averages lag behind the weights: after the last step it may know nothing
    arguments = {"lr": 0.005, "schedule": "cosine", "seed": seed} | arguments
    with seeded(seed):
        counter = ComponentCounter(graphs.y, layers)
    if start == "pretrained":
        with seeded(seed):
            method = GraphCL(1, (AUGMENTATIONS["identity"], AUGMENTATIONS["drop nodes"]), 32, layers, temperature=0.5)
        fit(method, Minibatches(graphs.packed, 50), epochs=contrast, **arguments)
        counter.encoder.load_state_dict(method.encoder.state_dict())
    epochs = labelled + (contrast if start == "longer" else 0)
    fit(counter, Minibatches(graphs.packed, 50, numbered=True), epochs=epochs, **arguments)
    return counter.cpu()


def kept(counter: ComponentCounter, graphs: GraphSet, seed: int = 0) -> UnderAttack:
    """What a classifier gets right of these graphs, before and after each attack; ``seed`` is the random one's."""
    batch, labels = graphs.packed, graphs.y
    with seeded(seed):
        seen = {"clean": batch} | {name: attacked(counter, batch, labels, how) for name, how in ATTACKS.items()}
    right = {name: counter.embed(one).argmax(1) == labels for name, one in seen.items()}
    return UnderAttack(**{name: one.float().mean().item() for name, one in right.items()})


def counted_by_size(graphs: GraphSet, tested: GraphSet) -> UnderAttack:
    """What the numbers of nodes and edges alone say: the commonest answer among the 15 ``graphs`` nearest in both.

    A forest has as many components as nodes less edges; one edge more, wherever it is put, makes that one less.
    """
    from sklearn.neighbors import KNeighborsClassifier

    sizes = [torch.stack([one.packed.sizes, one.packed.edge_ptr.diff() // 2], dim=1) for one in (graphs, tested)]
    model = KNeighborsClassifier(15).fit(sizes[0].numpy(), graphs.y.numpy())
    clean, after = (model.score((sizes[1] + torch.tensor([0, more])).numpy(), tested.y.numpy()) for more in (0, 1))
    return UnderAttack(clean, after, after, after)
