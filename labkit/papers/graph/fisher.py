"""FIE: Fisher Information Embedding for Node and Graph Learning.

Dexiong Chen, Paolo Pellizzoni, Karsten Borgwardt. ICML 2023.
https://arxiv.org/abs/2305.07580 · code: https://github.com/BorgwardtLab/fisher_information_embedding
"""

import copy
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Data

from labkit._checks import require_between
from labkit.claims import Evidence, Lab, claim
from labkit.data import check_graph
from labkit.evaluate import Protocol
from labkit.methods import Classifier, Method, inference
from labkit.papers._controls import against_propagation, against_untrained, changed
from labkit.papers.graph import selftask, supergat
from labkit.papers.graph._fisher_network import FisherNetwork, quantisation
from labkit.recipes import Recipe


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
        return sum(quantisation(h, part.anchors) for part, h, _ in states)

    @inference
    def embed(self, data) -> Float[Tensor, "nodes dim"]:
        return self.network.concatenated(data)

    def check(self, data) -> None:
        check_graph(data, self.network.dim_in)


class Lloyd(torch.optim.Optimizer):
    """Spherical k-means as an optimiser: the gradient at an anchor is minus the sum of its rows, so w ← −g / ‖g‖.

    An anchor that no row is nearest to has no gradient and stays.

    Args:
        parameters: the anchors.
        momentum: share of the sums of earlier steps that is added to a step's own, 0 to 1. 0 is Lloyd's algorithm, for
            steps that see all rows; on subgraphs, whose anchors would follow the last one, 0.98.
    """

    def __init__(self, parameters, momentum: float = 0.0):
        require_between("momentum", momentum, 0, 1)
        super().__init__(parameters, {"lr": 1.0, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for anchors in group["params"]:
                sums = self.state[anchors].setdefault("sums", torch.zeros_like(anchors))
                sums.mul_(group["momentum"]).sub_(anchors.grad)
                moved = F.normalize(sums, dim=1)
                anchors.copy_(torch.where(sums.any(dim=1, keepdim=True), moved, anchors))


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

    def check(self, data) -> None:
        super().check(data, self.network.dim_in, self.classifier.out_features)

    @torch.no_grad()
    def after_step(self) -> None:
        for part in self.network.parts:
            part.anchors.copy_(F.normalize(part.anchors, dim=1))
        super().after_step()


def unit_rows(data: Data) -> Data:
    """Features divided by the length of their row, as the paper's experiments have them."""
    data = copy.copy(data)
    data.x = F.normalize(data.x, dim=1)
    return data


def standardised(data: Data) -> Data:
    """Columns to mean 0 and standard deviation 1, then rows to length 1: what the released code prepares.

    It fits a ``StandardScaler`` to the features and never applies it. Sparse features become dense.
    """
    data, centred = copy.copy(data), data.x - data.x.mean(dim=0)
    data.x = centred / data.x.std(dim=0, correction=0).clamp(min=1e-12)
    return unit_rows(data)


def _build(data, method: type[FIE | SupervisedFIE], hidden: int, **changes) -> FIE | SupervisedFIE:
    return method(data, hidden=min(hidden, data.num_nodes), **changes)  # a graph of one's own may be small


def _recipe(name: str, build, training: dict, probe: bool, source: str) -> Recipe:
    own = {"public": Protocol.public("argmax")}
    return Recipe(
        name=f"fisher/{name}",
        data=name.split("-")[0],
        build=build,
        training=training,
        protocols=PROTOCOLS if probe else own,
        source=source,
        variant="EM's weights",  # the released code's, attention="released", differ by a factor of e at most
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

WIDE, SMALL = partial(_build, method=FIE, hidden=512), partial(_build, method=SupervisedFIE, hidden=64)
RECIPES = [
    _recipe("cora", WIDE, KMEANS, True, SOURCE),
    _recipe("citeseer", WIDE, KMEANS, True, SOURCE),
    _recipe("cora-supervised", SMALL, ADAM, False, SUPERVISED),
    _recipe("citeseer-supervised", SMALL, ADAM, False, SUPERVISED),
]
CORA, CITESEER, CORA_SUPERVISED, CITESEER_SUPERVISED = RECIPES


def _narrow(**changes) -> Recipe:
    """Cora at width 128, in a tenth of the time: for what is compared with itself."""
    return changed(CORA, hidden=128, **changes)


@claim("Without labels, Fisher embeddings and a linear probe beat a GAT trained with labels on Cora.", needs="cora",
       minutes=6)  # fmt: skip
def unsupervised_beats_gat(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CORA), lab.scores(supergat.GAT["cora"]), "FIE, linear probe", "GAT", note=WHO)


@claim("Without labels, Fisher embeddings and a linear probe beat a GAT trained with labels on CiteSeer.",
       needs="citeseer", minutes=6,
       why_not="it loses what two propagations keep: A²X, which sees no labels either, has 72.2.")  # fmt: skip
def unsupervised_beats_gat_on_citeseer(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CITESEER), lab.scores(supergat.GAT["citeseer"]), "FIE, linear probe", "GAT", note=WHO)


@claim("Without labels, Fisher embeddings and a linear probe beat a GCN trained with labels on Cora.", needs="cora",
       minutes=4)  # fmt: skip
def unsupervised_beats_gcn(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CORA), lab.scores(selftask.GCN["cora"]), "FIE, linear probe", "GCN", note=WHO)


@claim("Without labels, Fisher embeddings and a linear probe beat a GCN trained with labels on CiteSeer.",
       needs="citeseer", minutes=4)  # fmt: skip
def unsupervised_beats_gcn_on_citeseer(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CITESEER), lab.scores(selftask.GCN["citeseer"]), "FIE, linear probe", "GCN", note=WHO)


@claim("With labels, the Fisher network beats a GAT on Cora.", needs="cora", minutes=6)
def supervised_beats_gat(lab: Lab) -> Evidence:
    return Evidence(lab.scores(CORA_SUPERVISED), lab.scores(supergat.GAT["cora"]), "FIE, supervised", "GAT")


@claim("Fisher embeddings beat two propagations with nothing trained (A²X).", needs="cora", minutes=2)
def embedding_beats_propagation(lab: Lab) -> Evidence:
    return against_propagation(lab, CORA, "FIE")


@claim("Fisher embeddings beat two propagations with nothing trained (A²X) on CiteSeer.", needs="citeseer", minutes=2)
def embedding_beats_propagation_on_citeseer(lab: Lab) -> Evidence:
    return against_propagation(lab, CITESEER, "FIE")


@claim("Fitting the anchors by k-means beats anchors that are random nodes.", needs="cora", minutes=2)
def kmeans_helps(lab: Lab) -> Evidence:
    return against_untrained(lab, _narrow(), "k-means anchors", "random rows as anchors", NARROW)


@claim("Attention that tells neighbours apart (temperature 0.1) beats the released temperature, nearly a plain mean.",
       needs="cora", minutes=4)  # fmt: skip
def sharp_attention_helps(lab: Lab) -> Evidence:
    sharp = _narrow(temperature=0.1)
    return Evidence(lab.scores(sharp), lab.scores(_narrow()), "temperature 0.1", "temperature = width", note=NARROW)


@claim("Applying the scaler that the released code fits and forgets helps.", needs="cora", minutes=4,
       why_not="divided by its spread, a word of few papers weighs as much as one of many.")  # fmt: skip
def scaler_helps(lab: Lab) -> Evidence:
    scaled = replace(_narrow(), load_options={"transform": standardised})
    return Evidence(
        lab.scores(scaled), lab.scores(_narrow()), "standardised features", "features as they are", note=NARROW
    )
