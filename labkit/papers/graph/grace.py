"""GRACE: Deep Graph Contrastive Representation Learning.

Yanqiao Zhu, Yichen Xu, Feng Yu, Qiang Liu, Shu Wu, Liang Wang. GRL+ workshop at ICML 2020.
https://arxiv.org/abs/2006.04131 · code: https://github.com/CRIPAC-DIG/GRACE

    python -m labkit.papers.graph.grace cora 5       accuracy over the temperature, 5 seeds -> JSON
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

from jaxtyping import Float
from torch import Tensor
from torch_geometric.transforms import NormalizeFeatures

from labkit._checks import require_known, require_positive
from labkit.claims import Evidence, Lab, claim
from labkit.data import check_graph
from labkit.evaluate import Protocol
from labkit.losses import info_nce, nt_xent
from labkit.methods import Method, inference
from labkit.models import GCN, MLP, sparse_if_faster
from labkit.papers._controls import against_propagation, against_untrained, changed
from labkit.recipes import PaperNumber, Recipe, over_seeds, spread
from labkit.train import Subgraphs
from labkit.views import drop_edges, mask_feature_columns


class GRACE(Method):
    """Two views of a graph, each with edges dropped and feature columns masked; nodes find themselves (section 3.2).

    The loss of equations 1 and 2 (a node's other view against all other nodes of both views) is NT-Xent over the 2n
    node views, so that of the n × n matrix no more than 64 MB is held.

    Args:
        dim_in: features a node.
        hidden, dim: widths of the two graph convolutions.
        activation: after each convolution.
        edge_drop, feature_mask: one probability for each of the two views.
        temperature: τ.
        loss: (a, b, temperature) -> scalar; another one for ablations.

    Shapes:
        data: PyG ``Data`` with x [nodes, dim_in] and edge_index [2, edges]; ``embed(data)``: [nodes, dim].
    """

    def __init__(
        self,
        dim_in: int,
        hidden: int = 256,
        dim: int = 128,
        activation: str = "relu",
        edge_drop: tuple[float, float] = (0.2, 0.4),
        feature_mask: tuple[float, float] = (0.3, 0.4),
        temperature: float = 0.4,
        loss: Callable[[Tensor, Tensor, float], Tensor] = nt_xent,
    ):
        super().__init__()
        self.encoder = GCN(dim_in, hidden, dim, activation=activation)
        self.projector = MLP(dim, dim, dim, activation="elu")
        for name, both in (("edge_drop", edge_drop), ("feature_mask", feature_mask)):
            if len(both) != 2:
                raise ValueError(f"{name} must hold one probability for each of the two views, not {both}")
        self.edge_drop, self.feature_mask = edge_drop, feature_mask
        self.loss, self.temperature = loss, temperature

    def view(self, data, edge_drop: float, feature_mask: float) -> Float[Tensor, "nodes dim"]:
        """One corrupted view, encoded and projected."""
        x = mask_feature_columns(sparse_if_faster(data.x), feature_mask)
        return self.projector(self.encoder(x, drop_edges(data.edge_index, edge_drop)))

    def forward(self, data) -> Float[Tensor, ""]:
        a, b = (self.view(data, *corruption) for corruption in zip(self.edge_drop, self.feature_mask, strict=True))
        return self.loss(a, b, self.temperature)

    @inference
    def embed(self, data) -> Float[Tensor, "nodes dim"]:
        return self.encoder(sparse_if_faster(data.x), data.edge_index)

    def check(self, data) -> None:
        check_graph(data, self.encoder.convolutions[0].weight.shape[0])


def _build(data, **changes) -> GRACE:
    return GRACE(data.num_features, **changes)


# The released code's probe; the split is another in each place. Section 4.1.2 of the paper: random 10/10/80. The code:
# random 10/90, C by five-fold cross-validation on the training nodes, three splits of one training.
PROBE = {"link": "one_vs_rest", "strengths": tuple(2.0**i for i in range(-10, 10))}
PROTOCOLS = {
    "public": Protocol.public(**PROBE),
    "paper": Protocol.random(0.1, 0.1, 0.8, repeats=20, **PROBE),
    "released": Protocol.random(0.1, None, 0.9, repeats=3, select="cross-validation", **PROBE),
}
RE_RUN = "released code, run again on two CPU cores"

RECIPES = [
    Recipe(
        name="grace/cora",
        data="cora",
        build=partial(_build, hidden=512, dim=256),
        training={"epochs": 200, "lr": 5e-4, "weight_decay": 1e-5},
        protocols=PROTOCOLS,
        paper={"paper": PaperNumber(83.3, 0.4, "paper, random 10/10/80")},
        # Validation accuracy on the public split, seeds 0 to 2: 76.0 to 78.0 % at the width of grace/cora-released; at
        # this one, that of the released code on its three other graphs, 79.0 and 79.6 % (seeds 0 and 1).
        source="config.yaml of the released code, with the width of its other graphs, by validation accuracy",
        variant="wide",
        load_options={"transform": NormalizeFeatures()},
    ),
    Recipe(
        name="grace/cora-released",
        data="cora",
        build=_build,
        training={"epochs": 200, "lr": 5e-4, "weight_decay": 1e-5},
        protocols=PROTOCOLS,
        paper={
            "public": PaperNumber(81.5, None, RE_RUN),
            "paper": PaperNumber(83.3, 0.4, "paper, random 10/10/80"),
            "released": PaperNumber(83.1, 0.6, RE_RUN),
        },
        source="config.yaml of the released code",
        load_options={"transform": NormalizeFeatures()},
    ),
    Recipe(
        name="grace/citeseer",
        data="citeseer",
        build=partial(
            _build,
            hidden=512,
            dim=256,
            activation="prelu",
            edge_drop=(0.2, 0.0),
            feature_mask=(0.3, 0.2),
            temperature=0.9,
        ),
        training={"epochs": 200, "lr": 1e-3, "weight_decay": 1e-5},
        protocols=PROTOCOLS,
        paper={"paper": PaperNumber(72.1, 0.5, "paper, random 10/10/80")},
        source="config.yaml of the released code",
        load_options={"transform": NormalizeFeatures()},
    ),
]

# GRACE's own code has no larger graph. Its authors re-ran it on these two for their next paper (Zhu et al. 2021, "GCA",
# table 2); the settings are those of GCA's code, which is GRACE where edges and columns are dropped uniformly, but for
# Photo's projector (as wide as the embedding here, 64 there) and CS's activation (PReLU here, RReLU there). A step
# compares all pairs of nodes, in tiles: 5 s of one core and 0.9 GB on Amazon-Photo, 22 s on Coauthor-CS, so that one
# training takes three and six hours of a core. A laptop takes the same loss on subgraphs of 1 000 nodes around random
# walks, 0.15 s a step. There validation accuracy is best after 80 steps (Photo: 91.8 %, against 91.6 % untrained and
# 91.4 % after 240) and 38 (CS: 92.5 %, 91.3 % untrained, 92.1 % after 114); with rows divided by their sum, Photo falls
# to 85.0 %.
LARGER = {name: PROTOCOLS[name] for name in ("paper", "released")}


def _larger(name: str, number: tuple[float, float], epochs: int, whole_epochs: int, lr: float, **settings) -> list:
    where = "GCA paper, GRACE run again by its authors, random 10/10/80"
    whole = Recipe(
        name=f"grace/{name}-whole",
        data=name,
        build=partial(_build, hidden=512, dim=256, **settings),
        training={"epochs": whole_epochs, "lr": lr, "weight_decay": 1e-5},
        protocols=LARGER,
        paper=dict.fromkeys(LARGER, PaperNumber(*number, where)),
        source=f"param/{name.replace('-', '_')}.json of https://github.com/CRIPAC-DIG/GCA",
        load_options={"transform": NormalizeFeatures()},
    )
    sampled = replace(
        whole.with_training(epochs=epochs, lr=1e-3),
        name=f"grace/{name}",
        source=f"{whole.source}; subgraphs, raw features, epochs and learning rate by validation accuracy",
        load_options={},
        batches=partial(Subgraphs, size=1000),
        smoke_batches=partial(Subgraphs, size=100, batches=2),
        variant="subgraphs",
    )
    return [sampled, whole]


RECIPES += _larger("amazon-photo", (92.8, 0.5), 10, 2000, 0.1, edge_drop=(0.3, 0.5), feature_mask=(0.1, 0.1),
                   temperature=0.3)  # fmt: skip
RECIPES += _larger("coauthor-cs", (91.1, 0.2), 2, 1000, 5e-4, activation="prelu", edge_drop=(0.3, 0.2),
                   feature_mask=(0.3, 0.4), temperature=0.4)  # fmt: skip
CORA = RECIPES[1]  # the claims are tested at the released settings


@claim("Training on two corrupted views beats the same encoder untrained.",
       needs="cora", minutes=2, reported="83.3 ± 0.4 for GRACE, random splits")  # fmt: skip
def training_helps(lab: Lab) -> Evidence:
    return against_untrained(lab, CORA, "GRACE", "untrained encoder")


@claim("Training beats two propagations of the features with nothing trained (A²X).", needs="cora", minutes=2)
def training_beats_propagation(lab: Lab) -> Evidence:
    return against_propagation(lab, CORA, "GRACE")


@claim("Corrupting edges and features together beats corrupting edges alone.", needs="cora", minutes=3)
def hybrid_beats_edges(lab: Lab) -> Evidence:
    edges = changed(CORA, feature_mask=(0.0, 0.0))
    return Evidence(lab.scores(CORA), lab.scores(edges), "edges and features", "edges alone")


@claim("Corrupting edges and features together beats corrupting features alone.", needs="cora", minutes=3)
def hybrid_beats_features(lab: Lab) -> Evidence:
    features = changed(CORA, edge_drop=(0.0, 0.0))
    return Evidence(lab.scores(CORA), lab.scores(features), "edges and features", "features alone")


@claim("Negatives from the node's own view help beside those from the other view.", needs="cora", minutes=3)
def intra_view_negatives_help(lab: Lab) -> Evidence:
    inter_only = changed(CORA, loss=_other_view_only)
    return Evidence(lab.scores(CORA), lab.scores(inter_only), "both views", "other view alone")


def _other_view_only(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Equation 1 without its intra-view terms: InfoNCE in both directions."""
    return (info_nce(a, b, temperature) + info_nce(b, a, temperature)) / 2


TEMPERATURES = (0.05, 0.1, 0.2, 0.4, 0.9, 2.0)


def temperatures(
    data: str = "cora",
    grid: Sequence[float] = TEMPERATURES,
    seeds: Sequence[int] = range(5),
    path: str | Path | None = None,
    **changes,
) -> dict[str, list[float]]:
    """Accuracy over τ at the released settings. The paper fixes τ by graph (0.4 to 0.9) and says nothing of others.

    Args:
        data: "cora" or "citeseer".
        grid: values of τ.
        seeds: trainings of each.
        path: JSON to which every τ is written as it is done; those that are there with these seeds are not redone.
        changes: other arguments of ``fit``, e.g. ``epochs=20``.

    Returns:
        τ as text -> test accuracy on the public split for each seed, C by validation; and "A²X" and "untrained", what
        the same probe reaches with nothing trained.

    Cost: a training and a scoring for each τ and seed.

    Raises:
        ValueError: another data set, no seed, a temperature that is not positive.
    """
    known = {"cora": CORA, "citeseer": RECIPES[2]}
    require_known("graph with a released temperature", data, known)
    for tau in grid:
        require_positive("temperature", tau)
    recipe = known[data]
    arms = {f"{tau:g}": changed(recipe, temperature=tau) for tau in grid}
    return over_seeds(arms, seeds, path, protocol="public", floors={"A²X": "propagated"}, **changes)


def main(data: str = "cora", seeds: str = "5") -> None:
    """Measure the temperatures, print them, and leave them in results/figures."""
    found = temperatures(data, seeds=range(int(seeds)), path=f"results/figures/grace-temperature-{data}.json")
    for name, values in found.items():
        print(f"{name:>10}   {100 * fmean(values):.1f} ± {100 * spread(values):.1f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
