"""MVGRL: Contrastive Multi-View Representation Learning on Graphs.

Kaveh Hassani, Amir Hosein Khasahmadi. ICML 2020.
https://arxiv.org/abs/2006.05582 · code: https://github.com/kavehhassani/mvgrl
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.transforms import NormalizeFeatures, OneHotDegree

from labkit._checks import require_counts
from labkit._remembered import Remembered
from labkit.claims import Evidence, Lab, claim
from labkit.data import check_graph
from labkit.evaluate import CrossValidation, Protocol
from labkit.methods import Method, inference
from labkit.models import (
    PPR,
    GraphConvolution,
    Heat,
    OneStep,
    diffuse,
    diffusion_matrix,
    propagation_matrix,
    sparse_if_faster,
)
from labkit.papers._controls import against_floor, against_propagation, against_untrained, changed
from labkit.papers.graph._mvgrl_of_graphs import MVGRLOfGraphs
from labkit.recipes import PaperNumber, Recipe

DENSE_BELOW = 4096  # nodes up to which a diffusion is held as a matrix: then one product is faster than its series


class MVGRL(Method):
    """Nodes of one view against the summary of another, true against shuffled features (section 3).

    Each view is the graph under another kernel, with an encoder of one convolution of its own. The summary is the
    sigmoid of the mean; a bilinear discriminator says whether a node belongs to it; the loss is its cross-entropy
    (the Jensen-Shannon estimator, section 3.4). The embedding is the sum over views. Large graphs are never held
    n × n: diffusion is then a series of sparse products.

    Args:
        dim_in: features a node.
        dim: width of the embedding.
        kernels: one a view; a single one contrasts the graph with itself, as DGI does.
        sample: consecutive nodes that take part in a step, as in the released code; None: all.

    Shapes:
        data: PyG ``Data`` with x [nodes, dim_in] and edge_index [2, edges]; ``embed(data)``: [nodes, dim].
    """

    def __init__(
        self,
        dim_in: int,
        dim: int = 512,
        kernels: Sequence[Callable] = (OneStep(), PPR(0.2)),
        sample: int | None = 2000,
    ):
        super().__init__()
        if not kernels:
            raise ValueError("kernels is empty: name at least one view, e.g. (OneStep(), PPR(0.2))")
        require_counts(dim_in=dim_in, dim=dim, sample=1 if sample is None else sample)
        self.kernels, self.sample = tuple(kernels), sample
        self.encoders = nn.ModuleList(GraphConvolution(dim_in, dim) for _ in kernels)
        self.activations = nn.ModuleList(nn.PReLU() for _ in kernels)
        self.discriminator = nn.Bilinear(dim, dim, 1)
        nn.init.xavier_uniform_(self.discriminator.weight)  # as the released code: a ninth as wide as torch's own start
        nn.init.zeros_(self.discriminator.bias)
        self.views = list(permutations(range(len(kernels)), 2)) or [(0, 0)]

    def forward(self, data) -> Float[Tensor, ""]:
        x, nodes = sparse_if_faster(data.x), data.num_nodes
        size = min(self.sample or nodes, nodes)
        start = int(torch.randint(nodes - size + 1, ()))
        order = torch.randperm(size, device=data.x.device)
        true, shuffled, summaries = [], [], []
        for encode, activate, spread in zip(self.encoders, self.activations, self.operators(data), strict=True):
            h = (x @ encode.weight)[start : start + size]
            h = spread(torch.cat([h, h[order]], dim=1), start)
            a, b = (activate(part + encode.bias) for part in h.chunk(2, dim=1))
            true.append(a), shuffled.append(b), summaries.append(a.mean(dim=0).sigmoid())
        loss = 0.0
        for i, j in self.views:
            toward = self.discriminator.weight[0] @ summaries[j]
            yes, no = (h @ toward + self.discriminator.bias for h in (true[i], shuffled[i]))
            loss = loss + F.softplus(-yes).mean() + F.softplus(no).mean()
        return loss / (2 * len(self.views))

    def operators(self, data) -> list[Callable[[Tensor, int], Tensor]]:
        """One a view: (signal of consecutive nodes, the first of them) -> the same, after one diffusion among them."""
        return [_operator(data.edge_index, data.num_nodes, kernel) for kernel in self.kernels]

    @inference
    def embed(self, data) -> Float[Tensor, "nodes dim"]:
        x = sparse_if_faster(data.x)
        return sum(
            activate(spread(x @ encode.weight, 0) + encode.bias)
            for encode, activate, spread in zip(self.encoders, self.activations, self.operators(data), strict=True)
        )

    def check(self, data) -> None:
        check_graph(data, self.encoders[0].weight.shape[0])
        if data.num_nodes < 2:
            raise ValueError("MVGRL needs at least 2 nodes: with one, shuffled features are the true ones")


_dense = Remembered()


def _operator(edges: Tensor, nodes: int, kernel: Callable) -> Callable[[Tensor, int], Tensor]:
    if kernel != OneStep() and nodes <= DENSE_BELOW and hasattr(kernel, "matrix"):
        matrix = _dense.of(edges, lambda: diffusion_matrix(edges, nodes, kernel), nodes, kernel)
        return lambda h, start: matrix[start : start + len(h), start : start + len(h)] @ h
    if kernel == OneStep():
        spread = propagation_matrix(edges, nodes).__matmul__
    else:
        spread = partial(diffuse, edge_index=edges, kernel=kernel)

    def among(h: Tensor, start: int) -> Tensor:
        padded = F.pad(h, (0, 0, start, nodes - start - len(h)))
        return spread(padded)[start : start + len(h)]

    return among


def _build(data, **changes) -> MVGRL:
    return MVGRL(data.num_features, **changes)


WHERE = "{} by the authors on another split; {} re-run on the public one"


def _protocols(weight_decay: float = 0.0) -> dict[str, Protocol]:
    """Ours, and that of the released code: no validation rows, so nothing is chosen."""
    return {"public": Protocol.public(), "paper": Protocol.public("adam", weight_decay=weight_decay, starts=50)}


SETTINGS = {
    "build": _build,
    "training": {"epochs": 200, "lr": 1e-3},
    # The released code stops when the training loss has not fallen for 20 steps, at about 160 of them, and takes four
    # windows of 2 000 nodes a step; ours takes one window and 200 steps, which validation accuracy on seeds 0 and 1
    # could not tell from 100 or 400 on Cora. It adds self-loops twice, ours once. On CiteSeer it also drops small
    # diffusion weights and scales each column of the rest to [0, 1], of which the paper says nothing; ours leaves the
    # diffusion as it is.
    "source": "node/train.py of the released code; epochs by validation accuracy",
    "load_options": {"transform": NormalizeFeatures()},
}
RECIPES = [
    Recipe(
        name="mvgrl/cora",
        data="cora",
        protocols=_protocols(),
        paper={"paper": PaperNumber(83.5, 0.4, WHERE.format("86.8 ± 0.5", "83.5 ± 0.4"))},
        **SETTINGS,
    ),
    Recipe(
        name="mvgrl/citeseer",
        data="citeseer",
        protocols=_protocols(weight_decay=0.01),
        paper={"paper": PaperNumber(73.3, 0.5, "paper, public split")},
        # Weight decay while pretraining and all nodes in a step: what DGL's own MVGRL needs for its 73.7 on CiteSeer
        # (examples/pytorch/mvgrl there); neither the paper nor the released code has them. Validation accuracy by the
        # public and the paper's probe, seeds 0 and 1: 74.1 and 72.5 after 200 steps; 73.3 and 68.0 as on Cora, after
        # 60; with the released diffusion 73.0 and 72.0, with a decay of 3e-3 72.5 and 66.0.
        **SETTINGS
        | {
            "build": partial(_build, sample=None),
            "training": {"epochs": 200, "lr": 1e-3, "weight_decay": 1e-3},
            "source": "node/train.py of the released code; weight decay and sample by validation accuracy",
        },
    ),
]
CORA = RECIPES[0]

# graph/train.py: linear SVM, C by five folds inside each of ten, features as they are. It tries 2, 8 and 12 layers with
# four batch sizes and three numbers of epochs and prints all of them on the folds that are scored; ours are its
# function's default arguments. A linear SVM on features that are not standardised converges slowly: minutes a score.
OF_GRAPHS = {"svm": CrossValidation(), "released": CrossValidation(svm="linear", standardize=False)}
_SETS = {  # width, largest degree (features are one-hot degrees beside the node's label), the paper's number
    "mutag": (512, 4, (89.7, 1.1)),
    "imdb-binary": (128, 135, (74.2, 0.7)),
    "proteins": (128, 25, None),
}


def _of_graphs(name: str, variant: str) -> Recipe:
    hidden, degree, number = _SETS[name]
    where = "paper; the encoder of its released code is a random one, its settings were chosen on the folds scored"
    return Recipe(
        name=f"mvgrl/{name}" + ("" if variant == "paper" else f"-{variant}"),
        data=name,
        build=lambda graphs: MVGRLOfGraphs(graphs.packed.x.shape[1], hidden, variant=variant),
        training={"epochs": 40, "lr": 1e-3},
        protocols=OF_GRAPHS,
        paper=dict.fromkeys(OF_GRAPHS, PaperNumber(*number, where)) if number else {},
        source="default arguments of graph/train.py of the released code" + ("" if hidden == 512 else ", narrower"),
        batch_size=64,
        load_options={"transform": OneHotDegree(degree)},
        smoke={"epochs": 1},
        smoke_load={"per_class": 12},
        variant=variant,
    )


RECIPES += [_of_graphs(name, variant) for variant in ("paper", "released") for name in _SETS]
MUTAG, IMDB, _, MUTAG_RELEASED, IMDB_RELEASED, _ = RECIPES[2:]


@claim("Contrasting with a diffusion view beats contrasting the graph with itself.", needs="cora", minutes=4)
def diffusion_view_helps(lab: Lab) -> Evidence:
    alone = changed(CORA, kernels=(OneStep(),))
    return Evidence(lab.scores(CORA), lab.scores(alone), "adjacency and PPR", "adjacency alone")


@claim("Contrasting with a diffusion view beats contrasting two equal views, each with an encoder of its own.",
       needs="cora", minutes=5)  # fmt: skip
def diffusion_beats_two_equal_views(lab: Lab) -> Evidence:
    equal = changed(CORA, kernels=(OneStep(), OneStep()))
    return Evidence(lab.scores(CORA), lab.scores(equal), "adjacency and PPR", "adjacency twice")


@claim("Two views beat the diffusion view alone.", needs="cora", minutes=4)
def adjacency_view_helps(lab: Lab) -> Evidence:
    alone = changed(CORA, kernels=(PPR(0.2),))
    return Evidence(lab.scores(CORA), lab.scores(alone), "adjacency and PPR", "PPR alone")


@claim("More than two views do not help: adjacency, PPR and heat gain less than a point over the first two.",
       needs="cora", minutes=6, reported="no gain from more than two views, abstract")  # fmt: skip
def third_view_does_not_help(lab: Lab) -> Evidence:
    three = changed(CORA, kernels=(OneStep(), PPR(0.2), Heat(5.0)))
    less = [score - 0.01 for score in lab.scores(three)]
    return Evidence(lab.scores(CORA), less, "two views", "three views, less one point")


@claim("PPR is a better second view than the heat kernel.", needs="cora", minutes=4)
def ppr_beats_heat(lab: Lab) -> Evidence:
    heat = changed(CORA, kernels=(OneStep(), Heat(5.0)))
    return Evidence(lab.scores(CORA), lab.scores(heat), "adjacency and PPR", "adjacency and heat")


@claim("Training beats two propagations of the features with nothing trained (A²X).", needs="cora", minutes=2)
def training_beats_propagation(lab: Lab) -> Evidence:
    return against_propagation(lab, CORA, "MVGRL")


@claim("Training the encoder of whole graphs beats leaving it at its random start, as the released code does (MUTAG).",
       needs="mutag", minutes=12)  # fmt: skip
def training_the_encoder_helps_on_mutag(lab: Lab) -> Evidence:
    return Evidence(lab.scores(MUTAG), lab.scores(MUTAG_RELEASED), "variant paper", "variant released")


@claim("Training the encoder of whole graphs beats leaving it at its random start, as the released code does (IMDB-B).",
       needs="imdb-binary", minutes=20)  # fmt: skip
def training_the_encoder_helps_on_imdb(lab: Lab) -> Evidence:
    return Evidence(lab.scores(IMDB), lab.scores(IMDB_RELEASED), "variant paper", "variant released")


@claim("On whole graphs, the method beats a random GIN (MUTAG).",
       needs="mutag", minutes=6, reported="89.7 ± 1.1 for MVGRL, README of GraphMAE")  # fmt: skip
def whole_graphs_beat_a_random_gin(lab: Lab) -> Evidence:
    sizes = 100 * lab.floors(MUTAG)["size"].mean
    note = f"Numbers of nodes and edges alone reach {sizes:.1f}. The paper reports no such floor."
    return against_floor(lab, MUTAG, "MVGRL", "random GIN", "random GIN", note)


@claim("Heads trained on a random encoder, as in the released code, beat untrained ones (MUTAG).", needs="mutag",
       minutes=6)  # fmt: skip
def trained_heads_help_on_mutag(lab: Lab) -> Evidence:
    return against_untrained(lab, MUTAG_RELEASED, "variant released", "nothing trained")
