"""FIE: Fisher Information Embedding for Node and Graph Learning.

Dexiong Chen, Paolo Pellizzoni, Karsten Borgwardt. ICML 2023.
https://arxiv.org/abs/2305.07580 · code: https://github.com/BorgwardtLab/fisher_information_embedding
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Data

from labkit._checks import require_positive, unknown
from labkit.claims import Evidence, Lab, claim
from labkit.data import check_graph
from labkit.evaluate import Protocol
from labkit.methods import Classifier, Method, inference
from labkit.models import SparseMatrix, sparse_if_faster
from labkit.papers.graph import selftask, supergat
from labkit.recipes import Recipe


class KernelMap(nn.Module):
    """Nyström features of the kernel ‖x‖‖y‖ exp((cos(x, y) − 1) / σ²): κ(x, anchors) κ(anchors, anchors)^-1/2."""

    def __init__(self, x: Tensor | SparseMatrix, dim: int, sigma: float):
        super().__init__()
        self.anchors, self.sigma = nn.Parameter(_some_rows(x, dim)), sigma

    def forward(self, x: Tensor | SparseMatrix) -> Float[Tensor, "nodes dim"]:
        length = _lengths(x)[:, None]
        kernel = self.kappa(x @ self.anchors.T / length.clamp(min=1e-12)) * length
        return kernel @ _InverseRoot.apply(self.kappa(self.anchors @ self.anchors.T))

    def kappa(self, cosine: Tensor) -> Tensor:
        return ((cosine - 1) / self.sigma**2).exp()


class FisherLayer(nn.Module):
    """A node's neighbourhood as a Gaussian mixture: one EM step from anchors μ_k that all nodes share.

    Neighbour j belongs to component k with probability r_jk, a softmax over k of cos(h_j, μ_k) / temperature. The
    node's mean of component k is the mean of its neighbours (itself among them) weighted by r_jk; the embedding is how
    far these means moved from the anchors. So the weight of a neighbour depends on it alone, not on the pair: two
    sparse products in place of scores for each edge, O(edges · mixtures · dim).

    Args:
        h: where the anchors are drawn from.
        mixtures: number of components.
        attention: "em": weights r_jk, the mean that EM gives. "released": exp(r_jk), since the released code takes a
            softmax over neighbours of what already are probabilities; these weights differ by e at most.
        temperature: under the softmax over components; None: the width of h, as in the released code. At a width of
            128 every r_jk is then within 2 % of 1 / mixtures, and the layer is a plain mean over neighbours.
    """

    def __init__(self, h: Tensor, mixtures: int, attention: str, temperature: float | None):
        super().__init__()
        self.anchors = nn.Parameter(_some_rows(h, mixtures))
        self.attention, self.temperature = attention, temperature or float(h.shape[1])

    def forward(self, h: Float[Tensor, "nodes dim"], neighbours: SparseMatrix) -> Float[Tensor, "nodes out"]:
        belongs = (F.normalize(h, dim=1) @ self.anchors.T / self.temperature).softmax(dim=1)
        weight = belongs if self.attention == "em" else belongs.exp()
        sums = neighbours @ (weight[:, :, None] * h[:, None]).flatten(1)
        means = sums.unflatten(1, (len(self.anchors), -1)) / (neighbours @ weight)[:, :, None]
        return (means - self.anchors).flatten(1)


class FisherNetwork(nn.Module):
    """A kernel map, then Fisher layers with a kernel map after each; all anchors start as rows of what comes in.

    Args:
        data: the graph.
        hidden: width of the kernel maps; at most the number of nodes.
        mixtures, layers, attention, temperature: of the Fisher layers.
        sigma: σ of the kernels.
        map_last: whether a kernel map follows the last layer (supervised) or not (unsupervised).
    """

    def __init__(self, data, hidden, mixtures, layers, sigma, attention, temperature, map_last):
        super().__init__()
        if attention not in ("em", "released"):
            raise ValueError(unknown("attention", attention, ("em", "released")))
        if layers < 1 or mixtures < 1 or not 1 <= hidden <= data.num_nodes:
            raise ValueError(
                f"layers and mixtures must be at least 1, not {layers} and {mixtures}, and hidden between 1 and the "
                f"{data.num_nodes} nodes, not {hidden}"
            )
        require_positive("sigma", sigma)
        check_graph(data)
        x, neighbours = sparse_if_faster(data.x), _with_self(data)
        self.parts = nn.ModuleList([KernelMap(x, hidden, sigma)])
        with torch.no_grad():
            h = self.parts[0](x)
            for layer in range(layers):
                self.parts.append(FisherLayer(h, mixtures, attention, temperature))
                h = self.parts[-1](h, neighbours)
                if layer < layers - 1 or map_last:
                    self.parts.append(KernelMap(h, hidden, sigma))
                    h = self.parts[-1](h)

    def states(self, data) -> Iterator[tuple[nn.Module, Tensor | SparseMatrix, Tensor]]:
        """(part, what goes in, what comes out) of each part in turn."""
        h, neighbours = sparse_if_faster(data.x), _with_self(data)
        for part in self.parts:
            out = part(h, neighbours) if isinstance(part, FisherLayer) else part(h)
            yield part, h, out
            h = out

    def concatenated(self, data) -> Float[Tensor, "nodes out"]:
        """Output of the first kernel map and of every layer, each after its kernel map if it has one."""
        outputs = [out for part, _, out in self.states(data) if part is self.parts[-1] or isinstance(part, KernelMap)]
        return torch.cat(outputs, dim=1)


class FIE(Method):
    """Unsupervised: every set of anchors is fitted to what comes into its part by spherical k-means.

    The loss is the k-means objective of all parts, Σ mean (1 − cos to the nearest anchor); with :class:`Lloyd` as its
    optimiser an epoch is one k-means iteration of every part at once, each on what the parts before it give by then.

    Args:
        data: the graph; the anchors' starting rows are drawn from it.
        hidden, mixtures, layers, sigma, attention, temperature: see :class:`FisherNetwork`.

    Shapes:
        ``embed(data)``: [nodes, hidden · layers + hidden · mixtures].
    """

    def __init__(self, data, hidden=128, mixtures=8, layers=4, sigma=1.0, attention="em", temperature=None):
        super().__init__()
        self.network = FisherNetwork(data, hidden, mixtures, layers, sigma, attention, temperature, map_last=False)

    def forward(self, data) -> Float[Tensor, ""]:
        with torch.no_grad():
            states = list(self.network.states(data))
        return sum(_quantisation(h, part.anchors) for part, h, _ in states)

    @inference
    def embed(self, data) -> Float[Tensor, "nodes dim"]:
        return self.network.concatenated(data)

    def check(self, data) -> None:
        check_graph(data)


class Lloyd(torch.optim.Optimizer):
    """Spherical k-means as an optimiser: the gradient at an anchor is minus the sum of its rows, so w ← −g / ‖g‖.

    An anchor that no row is nearest to has no gradient and stays.
    """

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 1.0})

    @torch.no_grad()
    def step(self, closure=None):
        for anchors in (anchors for group in self.param_groups for anchors in group["params"]):
            moved = F.normalize(-anchors.grad, dim=1)
            anchors.copy_(torch.where(anchors.grad.any(dim=1, keepdim=True), moved, anchors))


class SupervisedFIE(Classifier):
    """Supervised: the same network, a kernel map also after the last layer, a linear classifier.

    Anchors go back to length 1 after each step, as in the released code; it first fits them by k-means, here they
    start as rows of the data.

    Args:
        data: the graph.
        hidden, mixtures, layers, sigma, attention, temperature: see :class:`FisherNetwork`.
        select: see :class:`~labkit.methods.Classifier`.
    """

    def __init__(self, data, hidden=64, mixtures=8, layers=4, sigma=1.0, attention="em", temperature=None,
                 select="validation"):  # fmt: skip
        super().__init__(select)
        self.network = FisherNetwork(data, hidden, mixtures, layers, sigma, attention, temperature, map_last=True)
        self.classifier = nn.Linear(hidden * (layers + 1), int(data.y.max()) + 1)

    def encode(self, data):
        hidden = self.network.concatenated(data)
        return self.classifier(hidden), hidden

    def forward(self, data) -> Float[Tensor, ""]:
        return self.supervised_loss(self.encode(data)[0], data)

    @torch.no_grad()
    def after_step(self) -> None:
        for part in self.network.parts:
            part.anchors.copy_(F.normalize(part.anchors, dim=1))
        super().after_step()


class _InverseRoot(torch.autograd.Function):
    """(K^½ + 0.01)^-1 of a positive matrix; its gradient needs no difference of eigenvalues, so ties are harmless."""

    @staticmethod
    def forward(ctx, matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        root = values.clamp(min=0).sqrt() + 0.01
        ctx.save_for_backward(root, vectors)
        return (vectors / root) @ vectors.T

    @staticmethod
    def backward(ctx, upstream: Tensor):
        root, vectors = ctx.saved_tensors
        across, down = root[None], root[:, None]
        inner = vectors.T @ upstream @ vectors
        return -vectors @ (inner / ((across + down - 0.02).clamp(min=0.02) * across * down)) @ vectors.T


def _quantisation(h: Tensor | SparseMatrix, anchors: Float[Tensor, "k dim"]) -> Float[Tensor, ""]:
    length = _lengths(h)
    nearest = (h @ anchors.T / length.clamp(min=1e-12)[:, None]).amax(dim=1)
    return (1 - nearest[length > 0]).mean()


def _some_rows(x: Tensor | SparseMatrix, count: int) -> Float[Tensor, "count dim"]:
    """Different rows of x that are not zero, divided by their length (drawn again where there are too few)."""
    usable = (_lengths(x) > 0).nonzero().flatten()
    order = torch.randperm(len(usable), device=usable.device)
    rows = usable[order[torch.arange(count, device=usable.device) % len(usable)]]
    if isinstance(x, SparseMatrix):
        x = x.to_dense()
    return F.normalize(x[rows], dim=1)


def _lengths(x: Tensor | SparseMatrix) -> Float[Tensor, " nodes"]:
    return x.norm(dim=1) if isinstance(x, Tensor) else x.squared_rows().sqrt()


def _with_self(data) -> SparseMatrix:
    loop = torch.arange(data.num_nodes, device=data.edge_index.device)
    source, target = (torch.cat([ends, loop]) for ends in data.edge_index)
    ones = torch.ones(len(source), device=loop.device)
    return SparseMatrix.from_edges(target, source, ones, (data.num_nodes, data.num_nodes))


def unit_rows(data: Data) -> Data:
    """Features divided by the length of their row, as the paper's experiments have them."""
    data.x = F.normalize(data.x, dim=1)
    return data


def standardised(data: Data) -> Data:
    """Columns to mean 0 and standard deviation 1, then rows to length 1: what the released code prepares.

    It fits a ``StandardScaler`` to the features and never applies it. Sparse features become dense.
    """
    centred = data.x - data.x.mean(dim=0)
    data.x = centred / data.x.std(dim=0, correction=0).clamp(min=1e-12)
    return unit_rows(data)


def _recipe(name: str, build, training: dict, probe: bool, source: str) -> Recipe:
    own = {"public": Protocol.public("argmax")}
    return Recipe(
        name=f"fisher/{name}",
        data=name.split("-")[0],
        build=build,
        training=training,
        protocols=PROTOCOLS if probe else own,
        source=source,
        load_options={"transform": unit_rows},
    )


# experiments/train_citation.py: the public split, C from logspace(-4, 5, 19) by validation, fitted to the train rows.
PROTOCOLS = {
    "public": Protocol.public(),
    "released": Protocol.public(strengths=tuple(10 ** (i / 2) for i in range(-8, 11)), normalize=False),
}
KMEANS = {"epochs": 40, "optimizer": Lloyd}
ADAM = {"epochs": 200, "lr": 0.01}
SOURCE = "README of the released code: width 512, 4 layers, 8 mixtures"
SUPERVISED = "README of the released code; constant learning rate where the code lowers it on a plateau"

WHO = "The control sees 140 or 120 labels while it trains, the embedding none; its probe sees the same labels."
NARROW = "At width 128."

RECIPES = [
    _recipe(data, partial(FIE, hidden=512), KMEANS, True, SOURCE) for data in ("cora", "citeseer")
] + [
    _recipe(f"{data}-supervised", SupervisedFIE, ADAM, False, SUPERVISED) for data in ("cora", "citeseer")
]  # fmt: skip
CORA, CITESEER, CORA_SUPERVISED, CITESEER_SUPERVISED = RECIPES


def _narrow(**changes) -> Recipe:
    """Cora at width 128, in a tenth of the time: for what is compared with itself."""
    return replace(CORA, build=partial(FIE, hidden=128, **changes))


@claim("Without labels, Fisher embeddings and a linear probe beat a GAT trained with labels on Cora.", needs="cora",
       minutes=6)  # fmt: skip
def unsupervised_beats_gat(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CORA), lab.scores(supergat.GAT["cora"]), "FIE, linear probe", "GAT", note=WHO)


@claim("Without labels, Fisher embeddings and a linear probe beat a GAT trained with labels on CiteSeer.",
       needs="citeseer", minutes=6)  # fmt: skip
def unsupervised_beats_gat_on_citeseer(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CITESEER), lab.scores(supergat.GAT["citeseer"]), "FIE, linear probe", "GAT", note=WHO)


@claim("Without labels, Fisher embeddings and a linear probe beat a GCN trained with labels on Cora.", needs="cora",
       minutes=4)  # fmt: skip
def unsupervised_beats_gcn(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CORA), lab.scores(selftask.GCN["cora"]), "FIE, linear probe", "GCN", note=WHO)


@claim("With labels, the Fisher network beats a GAT on Cora.", needs="cora", minutes=6)
def supervised_beats_gat(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CORA_SUPERVISED), lab.scores(supergat.GAT["cora"]), "FIE, supervised", "GAT")


@claim("Fisher embeddings beat two propagations with nothing trained (A²X).", needs="cora", minutes=2)
def embedding_beats_propagation(lab: Lab) -> Evidence:
    scores, floor = lab.scores(CORA), lab.floors(CORA)["propagated"].mean
    return Evidence(scores, [floor] * len(scores), "FIE", "A²X", note="A floor that the paper does not report.")


@claim("Fitting the anchors by k-means beats anchors that are random nodes.", needs="cora", minutes=2)
def kmeans_helps(lab: Lab) -> Evidence:
    random = lab.scores(_narrow(), embed=lambda run: run.snapshots[0])
    return Evidence(lab.scores(_narrow()), random, "k-means anchors", "random rows as anchors", note=NARROW)


@claim("Attention that tells neighbours apart (temperature 0.1) beats the released one, which is nearly a plain mean.",
       needs="cora", minutes=4)  # fmt: skip
def sharp_attention_helps(lab: Lab) -> Evidence:
    sharp = _narrow(temperature=0.1)
    return Evidence(lab.scores(sharp), lab.scores(_narrow()), "temperature 0.1", "temperature = width", note=NARROW)


@claim("Applying the scaler that the released code fits and forgets helps.", needs="cora", minutes=4)
def scaler_helps(lab: Lab) -> Evidence:
    scaled = replace(_narrow(), load_options={"transform": standardised})
    return Evidence(lab.scores(scaled), lab.scores(_narrow()), "standardised features", "as released", note=NARROW)
