"""GCC: Graph Contrastive Coding for Graph Neural Network Pre-Training.

Jiezhong Qiu, Qibin Chen, Yuxiao Dong, Jing Zhang, Hongxia Yang, Ming Ding, Kuansan Wang, Jie Tang. KDD 2020.
https://arxiv.org/abs/2006.09963 · code: https://github.com/THUDM/GCC
"""

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import Data
from torch_geometric.transforms import Constant

from labkit._checks import require_between, require_counts, require_positive, require_undirected
from labkit.claims import Evidence, Lab, claim
from labkit.data import GraphBatch, GraphSet, load
from labkit.evaluate import CrossValidation, Protocol, Split, linear_probe
from labkit.losses import info_nce
from labkit.methods import Method, Queue, inference
from labkit.papers._controls import against_floor, against_untrained
from labkit.papers.graph._ego_nets import EgoNets, EgoPairs, ego_nets, whole_graphs
from labkit.recipes import PaperNumber, Recipe
from labkit.train import Minibatches, choose_device, finished, fit, seeded, to_device
from labkit.views import Adjacency

LARGEST_DEGREE = 512  # as in the released code; larger degrees share a row
BLOCK = 256  # nets that are embedded at a time
ENTRIES = 2**24  # of their matrices, padded to the largest: 64 MB each, and the eigenvectors' solver holds several


class NetEncoder(nn.Module):
    """A GIN over nets of structure alone: positions, degree and whether a node is the centre (section 3.2).

    Sum over nodes after every layer, a linear map each, dropout, and the sum of those, scaled to length 1. The released
    GIN has a third batch norm and ReLU in each layer, and its training a warm-up, a linear decay and clipped gradients.

    Args:
        dim: of the embedding. hidden, layers: of the GIN. positions, degrees: widths of the two inputs.
    """

    def __init__(self, dim: int = 64, hidden: int = 64, layers: int = 4, positions: int = 32, degrees: int = 16):
        super().__init__()
        widths = [positions + degrees + 1] + [hidden] * layers
        self.positions, self.degree = positions, nn.Embedding(LARGEST_DEGREE + 1, degrees)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(),
                          nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU())
            for width in widths[:-1]
        )  # fmt: skip
        self.heads = nn.ModuleList(nn.Linear(width, dim) for width in widths)
        self.dropout = nn.Dropout(0.5)

    def forward(self, nets: EgoNets) -> Float[Tensor, "nets dim"]:
        centre = torch.zeros_like(nets.links[:, :, :1])
        centre[:, 0] = 1
        parts = [nets.positions(self.positions), self.degree(nets.degree.clamp(max=LARGEST_DEGREE)), centre]
        h = torch.cat(parts, dim=2) * nets.real[:, :, None]
        out = self.dropout(self.heads[0](h.sum(dim=1)))
        for layer, head in zip(self.layers, self.heads[1:], strict=True):
            met = (h + nets.links @ h)[nets.real]  # batch norm must not see the padding
            met = layer(met)
            h = met.new_zeros(*nets.real.shape, head.in_features)
            h[nets.real] = met
            out = out + self.dropout(head(h.sum(dim=1)))
        return F.normalize(out, dim=1)


class GCC(Method):
    """Tell whether two subgraphs were cut around the same node, among those of many others (section 3).

    Args:
        queue: "MoCo": as many keys of earlier batches are the negatives, from an encoder that follows slowly. None:
            "E2E": the other nets of the batch are, and both sides are trained.
        momentum: share of the slow encoder that stays at each step.
        temperature: τ.
        length, restart, size: of the nets that :meth:`embed` cuts, see :class:`EgoPairs`.
        encoder: settings of :class:`NetEncoder`.

    Shapes:
        forward: (nets, nets) of :class:`EgoPairs`. ``embed``: of a ``Data`` one row a node, of a ``GraphBatch`` one row
        a graph; only edges are looked at. Nets are cut with a seed of their own, so that it repeats itself.

    Cost: of whole graphs time O(Σ nodes³) and memory O(largest²), for their eigenvectors: the largest of REDDIT-BINARY,
    3 782 nodes, takes a minute and 200 MB on one core. A step of training on pairs takes O(batch · size³).
    """

    def __init__(
        self,
        queue: int | None = 4096,
        momentum: float = 0.999,
        temperature: float = 0.07,
        length: int = 256,
        restart: float = 0.8,
        size: int = 64,
        **encoder: int,
    ):
        super().__init__()
        require_positive("temperature", temperature)
        require_between("momentum", momentum, 0, 1)
        require_between("restart", restart, 0, 1)
        require_counts(length=length, size=size)
        self.encoder = NetEncoder(**encoder)
        self.momentum, self.temperature = momentum, temperature
        self.cut = {"length": length, "restart": restart, "size": size}
        self.slow = None
        if queue is not None:
            self.slow = copy.deepcopy(self.encoder).requires_grad_(False)
            self.slow.dropout = nn.Identity()
            dim = self.encoder.heads[0].out_features
            self.keys = Queue(queue, dim)

    def forward(self, nets: tuple[EgoNets, EgoNets]) -> Float[Tensor, ""]:
        a = self.encoder(nets[0])
        if self.slow is None:
            return info_nce(a, self.encoder(nets[1]), self.temperature)
        with torch.no_grad():
            self.fresh = self.slow(nets[1])
        positive, negative = (a * self.fresh).sum(dim=1, keepdim=True), a @ self.keys.rows.T
        logits = torch.cat([positive, negative], dim=1) / self.temperature
        return F.cross_entropy(logits, torch.zeros(len(a), dtype=torch.int64, device=a.device))

    @torch.no_grad()
    def after_step(self) -> None:
        if self.slow is None:
            return
        for slow, quick in zip(self.slow.parameters(), self.encoder.parameters(), strict=True):
            slow.lerp_(quick, 1 - self.momentum)
        self.keys.push(self.fresh)

    @inference
    def embed(self, graphs: Data | GraphBatch) -> Float[Tensor, "items dim"]:
        if isinstance(graphs, GraphBatch):
            blocks = torch.arange(len(graphs), device=graphs.device).split(BLOCK)
            parts = [part for block in blocks for part in _fitting(block, graphs.sizes)]
            z = torch.cat([self.encoder(whole_graphs(graphs[part])) for part in parts])
            return z[torch.cat(parts).argsort()]
        require_undirected(graphs.edge_index, graphs.num_nodes)
        adjacency, generator = Adjacency(graphs.edge_index, graphs.num_nodes), torch.Generator().manual_seed(0)
        starts = torch.arange(graphs.num_nodes, device=adjacency.device).split(BLOCK)
        nets = (ego_nets(adjacency, start, generator=generator, **self.cut) for start in starts)
        return torch.cat([self.encoder(part) for part in nets])

    def check(self, nets) -> None:
        if not (isinstance(nets, tuple) and len(nets) == 2 and all(isinstance(part, EgoNets) for part in nets)):
            raise ValueError(f"GCC trains on pairs of nets: use EgoPairs(graphs), not {type(nets).__name__}")
        if len(nets[0]) < 2:
            raise ValueError("a batch needs at least 2 pairs to tell apart, not 1")
        if self.slow is not None and len(self.keys.rows) < len(nets[0]):
            raise ValueError(f"queue={len(self.keys.rows)} must hold at least one batch, {len(nets[0])} keys")


def _fitting(graphs: Int64[Tensor, " graphs"], sizes: Int64[Tensor, " all"]) -> list[Int64[Tensor, " part"]]:
    """These graphs as they are, or where padded to the largest they are too many entries, those of like size together.

    A graph's embedding hangs on what it is padded to, if little: eigenvectors of one eigenvalue turn.
    """
    if len(graphs) == 1 or len(graphs) * int(sizes[graphs].max()) ** 2 <= ENTRIES:
        return [graphs]
    halves = graphs[sizes[graphs].argsort(stable=True)].tensor_split(2)
    return [part for half in halves for part in _fitting(half, sizes)]


def _build(_, queue: int | None = 4096) -> GCC:
    return GCC(queue)


def pretraining(names: Sequence[str] = ("citeseer", "amazon-photo", "proteins"), **settings: Any) -> EgoPairs:
    """Pairs of nets from several sets of the catalogue together; ``settings`` of :class:`EgoPairs`."""
    sets = [load(name) for name in names]
    return EgoPairs([graph for one in sets for graph in ([one] if isinstance(one, Data) else one)], **settings)


class FromScratch(Method):
    """The same encoder with a linear classifier, trained on nets with their labels: what pre-training competes with."""

    def __init__(self, classes: int):
        super().__init__()
        self.encoder = NetEncoder()
        self.classify = nn.Linear(self.encoder.heads[0].out_features, classes)

    def forward(self, batch: tuple[EgoNets, Tensor]) -> Float[Tensor, ""]:
        return F.cross_entropy(self.classify(self.encoder(batch[0])), batch[1])

    @inference
    def embed(self, nets: EgoNets) -> Float[Tensor, "nets classes"]:
        return self.classify(self.encoder(nets))


class LabelledNets:
    """Graphs of a set as nets, with their labels, in a new order in each epoch: what :class:`FromScratch` trains on."""

    def __init__(self, graphs: GraphSet, rows: Tensor, size: int):
        self.graphs, self.rows = graphs, Minibatches(rows, min(size, len(rows)), drop_last=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[EgoNets, Tensor]]:
        for part in self.rows:
            yield whole_graphs(self.graphs.packed[part]), self.graphs.y[part]


def from_scratch(graphs: GraphSet, split: Split, seed: int, epochs: int = 30, size: int = 64) -> float:
    """Test accuracy after ``epochs`` over the train graphs of a split, at the last epoch: nothing is selected."""
    with seeded(seed):
        method = FromScratch(int(graphs.y.max()) + 1)
    batches = LabelledNets(graphs, split.train[0], size)
    finished(fit(method, batches, epochs=epochs, lr=0.005, seed=seed, device="cpu", progress=False))
    test = split.test[0]
    return (method.embed(whole_graphs(graphs.packed[test])).argmax(1) == graphs.y[test]).float().mean().item()


SETTINGS = {
    "training": {"epochs": 10, "lr": 0.005, "weight_decay": 1e-5},
    "batches": lambda _: pretraining(),
    "source": "README of the released code (lr, decay, τ, momentum, restart, walks of 256, widths); nets of at most 64 "
    "nodes, a queue of 4 096 in place of 16 384, 500 steps of 128 in place of 75 000 of 32",
    "smoke": {"epochs": 1},
    "smoke_batches": lambda _: pretraining(("citeseer",), steps=3, length=32),
}
ROLES = Protocol.random(0.3, 0.1, 0.6, repeats=10)

RECIPES = [
    Recipe(name="gcc/planted-roles", data="planted-roles", build=_build, protocols={"random": ROLES}, **SETTINGS),
    Recipe(
        name="gcc/planted-roles-e2e", data="planted-roles", build=partial(_build, queue=None),
        protocols={"random": ROLES}, **SETTINGS,
    ),
    Recipe(
        name="gcc/imdb-binary", data="imdb-binary", build=_build, batch_size=128,
        protocols={"svm": CrossValidation()},
        paper={"svm": PaperNumber(72.0, None, "paper, frozen, MoCo; as quoted by wizwand.com")},
        load_options={"transform": Constant()}, smoke_load={"per_class": 24}, **SETTINGS,
    ),
]  # fmt: skip
MOCO, E2E, IMDB = RECIPES


def _graph_scores(lab: Lab, recipe: Recipe, untrained: bool = False) -> list[float]:
    """Frozen on IMDB-BINARY, one score a seed; the trainings are those of the other claims."""
    material, protocol, scores = lab.material(IMDB), IMDB.protocols["svm"], []
    items = to_device(material.items, choose_device(lab.device))
    for seed, run in zip(lab.seeds, lab.runs(recipe), strict=True):
        method = run.method
        if untrained:
            with seeded(seed):
                method = _build(None).to(items.x.device)
        scores.append(material.score(protocol, method.embed(items)).mean)
    return scores


@claim("Pre-trained on other graphs and frozen, GCC tells graphs of an unseen set (IMDB-BINARY) better than the same "
       "encoder at its random start.", needs="imdb-binary", minutes=8)  # fmt: skip
def transfers_to_unseen_graphs(lab: Lab) -> Evidence:
    note = "Pre-trained on CiteSeer, Amazon-Photo and PROTEINS."
    return Evidence(
        _graph_scores(lab, MOCO), _graph_scores(lab, MOCO, untrained=True), "GCC", "random start", note=note
    )


@claim("On IMDB-BINARY frozen GCC beats how many nodes and edges a graph has.", needs="imdb-binary", minutes=6)
def beats_graph_sizes(lab: Lab) -> Evidence:
    control = lab.floors(IMDB)["size"].mean
    return Evidence(_graph_scores(lab, MOCO), [control] * len(lab.seeds), "GCC", "sizes of the graphs")


@claim("Frozen on a graph with planted roles, pre-trained GCC tells the roles better than its random start.",
       needs="citeseer", minutes=5)  # fmt: skip
def transfers_to_roles(lab: Lab) -> Evidence:
    return against_untrained(lab, MOCO, "GCC", "random start")


@claim("It tells the planted roles better than the degrees of a node and its neighbours do.",
       needs="citeseer", minutes=5)  # fmt: skip
def beats_degrees(lab: Lab) -> Evidence:
    return against_floor(lab, MOCO, "GCC", "raw", "degree profile")


@claim("Frozen, GCC comes within five points of the same encoder trained on IMDB-BINARY itself with its labels.",
       needs="imdb-binary", minutes=8)  # fmt: skip
def close_to_from_scratch(lab: Lab) -> Evidence:
    graphs, ours, scratch = lab.material(IMDB).dataset, [], []
    items = to_device(graphs.packed, choose_device(lab.device))
    for seed, run in zip(lab.seeds, lab.runs(MOCO), strict=True):
        split = Split.random(graphs.y, 0.8, 0.1, 0.1, seed=seed)
        ours.append(linear_probe(run.method.embed(items).cpu(), graphs.y, split).mean)
        scratch.append(from_scratch(graphs, split, seed, 1 if lab.scale == "smoke" else 30) - 0.05)
    note = "One split a seed, the same. Its random start scores nearly as much (see the first claim)."
    return Evidence(ours, scratch, "GCC, frozen", "from scratch, less five points", note=note)


@claim("A queue and a slow encoder (MoCo) beat the negatives of the batch alone (E2E) after as many steps.",
       needs="imdb-binary", minutes=12)  # fmt: skip
def moco_beats_e2e(lab: Lab) -> Evidence:
    return Evidence(_graph_scores(lab, MOCO), _graph_scores(lab, E2E), "MoCo", "E2E")


@claim("They beat it in telling the planted roles, too.", needs="citeseer", minutes=10,
       why_not="many of the 4 096 keys are nets alike in role and count as negatives; a batch has 128")  # fmt: skip
def moco_beats_e2e_on_roles(lab: Lab) -> Evidence:
    return Evidence(lab.scores(MOCO), lab.scores(E2E), "MoCo", "E2E")
