"""SelfTask: Self-supervised Learning on Graphs: Deep Insights and New Direction.

Wei Jin, Tyler Derr, Haochen Liu, Yiqi Wang, Suhang Wang, Zitao Liu, Jiliang Tang. 2020.
https://arxiv.org/abs/2006.10141 · code: https://github.com/ChandlerBang/SelfTask-GNN
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch_geometric.transforms import NormalizeFeatures

from labkit.claims import Claim, Evidence, Lab, claim
from labkit.evaluate import Protocol
from labkit.methods import GCNClassifier
from labkit.papers._controls import changed
from labkit.papers.graph._pretexts import (
    AttributeMask,
    CombinedContextLabel,
    ContextLabel,
    Distance2Labeled,
    DistanceCluster,
    EdgeMask,
    IterativeContextLabel,
    NodeProperty,
    PairwiseAttrSim,
    PairwiseDistance,
    Pretext,
    shuffled,
)
from labkit.recipes import Recipe

# λ of Cora and of CiteSeer. The released code's "citeser" keeps PairwiseAttrSim's from being found there.
PRETEXTS: dict[type[Pretext], tuple[float, float]] = {
    EdgeMask: (10, 5),
    AttributeMask: (100, 5),
    NodeProperty: (5, 0.1),
    PairwiseDistance: (20, 5),
    DistanceCluster: (100, 10),
    PairwiseAttrSim: (100, 5),
    Distance2Labeled: (100, 10),
    ContextLabel: (50, 1),
    IterativeContextLabel: (10, 10),
    CombinedContextLabel: (10, 8),
}


class SelfTask(GCNClassifier):
    """A GCN that classifies nodes and solves a pretext task with the same hidden layer (joint training).

    Loss: cross-entropy of the train nodes + ``weight`` · pretext loss. With no pretext it is the plain GCN: the same
    class, the same initial weights, the same draws of dropout up to the pretext's own.

    Args:
        data: the graph, from which the pretext's targets are computed once.
        pretext: (data, width of the hidden layer) -> :class:`Pretext`; None: labels alone.
        weight: λ, at least 0.
        hidden, dropout, select: see :class:`~labkit.methods.GCNClassifier`.
    """

    def __init__(
        self,
        data,
        pretext: Callable[..., Pretext] | None = None,
        weight: float = 1.0,
        hidden: int = 128,
        dropout: float = 0.5,
        select: str = "validation",
    ):
        super().__init__(data.num_features, int(data.y.max()) + 1, hidden, dropout, select)
        if not weight >= 0:
            raise ValueError(f"weight must be at least 0, not {weight}")
        self.check(data)
        self.pretext = pretext(data, hidden) if pretext and weight else None
        self.weight, self.asked_of = weight, data.edge_index

    def check(self, data) -> None:
        super().check(data)
        if getattr(self, "pretext", None) and not torch.equal(data.edge_index.cpu(), self.asked_of.cpu()):
            raise ValueError("the answers of the pretext task are of another graph: build SelfTask on this one")

    def forward(self, data) -> Float[Tensor, ""]:
        if self.pretext is None:
            return super().forward(data)
        logits, hidden = self.classify(*self.pretext.view(data))
        return self.supervised_loss(logits, data) + self.weight * self.pretext(hidden)


def _build(data, pretext: Callable[..., Pretext] | None = None, weight: float = 0.0) -> SelfTask:
    return SelfTask(data, pretext, weight)


def _words(pretext: type) -> str:
    """EdgeMask -> edge-mask"""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in pretext.__name__)[1:]


def _recipe(data: str, name: str, build: Callable) -> Recipe:
    return Recipe(
        name=f"selftask/{data}-{name}",
        data=data,
        build=build,
        training={"epochs": 200, "lr": 0.01, "weight_decay": 5e-4},
        protocols={"public": Protocol.public("argmax")},
        source="src/configs.py and scripts/ of the released code, which runs one seed (10) a script",
        load_options={"transform": NormalizeFeatures()},
    )


GCN = {data: _recipe(data, "gcn", _build) for data in ("cora", "citeseer")}
WITH = {
    (data, pretext): _recipe(data, _words(pretext), partial(_build, pretext=pretext, weight=weights[place]))
    for place, data in enumerate(GCN)
    for pretext, weights in PRETEXTS.items()
}
RECIPES = [*WITH.values(), *GCN.values()]  # the first is what the paper's name stands for: a task, not its control


def _helps(pretext: type[Pretext], data: str = "cora", why_not: str = "") -> Claim:
    """The claim that a pretext task beats the same GCN with λ = 0."""

    def test(lab: Lab) -> Evidence:
        note = "One of ten tasks: at 95 %, one interval in 20 lies off zero by chance."
        treatment, control = lab.scores(WITH[data, pretext]), lab.scores(GCN[data])
        return Evidence(treatment, control, f"GCN with {pretext.__name__}", "GCN", note=note)

    test.__name__, test.__module__ = f"{_words(pretext).replace('-', '_')}_helps_on_{data}", __name__
    place = {"cora": "Cora", "citeseer": "CiteSeer"}[data]
    sentence = f"{pretext.__name__} beside the labels beats the plain GCN on {place}."
    return claim(sentence, needs=data, minutes=3, why_not=why_not)(test)


edge_mask_cora, edge_mask_citeseer = (_helps(EdgeMask, data) for data in GCN)
attribute_mask_cora = _helps(AttributeMask)
attribute_mask_citeseer = _helps(
    AttributeMask,
    "citeseer",
    "a tenth of the papers lose their words for good, and CiteSeer's have few links to say them.",
)
node_property_cora, node_property_citeseer = (_helps(NodeProperty, data) for data in GCN)
pairwise_distance_cora, pairwise_distance_citeseer = (_helps(PairwiseDistance, data) for data in GCN)
distance_cluster_cora, distance_cluster_citeseer = (_helps(DistanceCluster, data) for data in GCN)
pairwise_attr_sim_cora, pairwise_attr_sim_citeseer = (_helps(PairwiseAttrSim, data) for data in GCN)
distance_to_labeled_cora, distance_to_labeled_citeseer = (_helps(Distance2Labeled, data) for data in GCN)
context_label_cora, context_label_citeseer = (_helps(ContextLabel, data) for data in GCN)
iterative_label_cora, iterative_label_citeseer = (_helps(IterativeContextLabel, data) for data in GCN)
combined_label_cora, combined_label_citeseer = (_helps(CombinedContextLabel, data) for data in GCN)


@claim("Predicting attribute similarity pair by pair beats the released code's loss, where every prediction "
       "meets every target.", needs="cora", minutes=3)  # fmt: skip
def pair_by_pair_helps(lab: Lab) -> Evidence:
    ours = WITH["cora", PairwiseAttrSim]
    released = changed(ours, pretext=partial(PairwiseAttrSim, released=True))
    note = "The released loss subtracts [pairs] from [pairs, 1]: only the mean similarity can be learnt from it."
    return Evidence(lab.scores(ours), lab.scores(released), "pair by pair", "released loss", note=note)


def _answers_matter(task: type[Pretext]) -> Claim:
    """The claim that a task's gain is its answers' and not that of any second loss."""

    def test(lab: Lab) -> Evidence:
        true = WITH["cora", task]
        dealt = changed(true, pretext=partial(shuffled, pretext=task))
        note = "A control that the paper lacks: λ = 0 takes away the answers and the noise that comes with them."
        return Evidence(lab.scores(true), lab.scores(dealt), "true answers", "answers of other nodes", note=note)

    test.__name__, test.__module__ = f"{_words(task).replace('-', '_')}_beats_its_shuffled_self", __name__
    return claim(f"{task.__name__} helps by its answers: dealt out to other nodes they help less.", needs="cora",
                 minutes=3, why_not="a second loss on noise is a regulariser, too, and asks for nothing else.")(
                     test)  # fmt: skip


distance_to_labeled_answers = _answers_matter(Distance2Labeled)
distance_cluster_answers = _answers_matter(DistanceCluster)
node_property_answers = _answers_matter(NodeProperty)


@claim("Hiding an edge in both directions is a better pretext than in one, as the released code does.", needs="cora",
       minutes=3, why_not="with one direction hidden, nearly every pair still hears each other one way.")  # fmt: skip
def both_directions_help(lab: Lab) -> Evidence:
    ours = WITH["cora", EdgeMask]
    released = changed(ours, pretext=partial(EdgeMask, released=True))
    note = "With one direction hidden, the other tells the answer."
    return Evidence(lab.scores(ours), lab.scores(released), "both directions", "one direction", note=note)
