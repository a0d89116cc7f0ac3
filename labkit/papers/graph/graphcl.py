"""GraphCL: Graph Contrastive Learning with Augmentations.

Yuning You, Tianlong Chen, Yongduo Sui, Ting Chen, Zhangyang Wang, Yang Shen. NeurIPS 2020.
https://arxiv.org/abs/2010.13902 · code: https://github.com/Shen-Lab/GraphCL (here: its folder unsupervised_TU)

    python -m labkit.papers.graph.graphcl mutag 5       the paper's figure of augmentation pairs, 5 seeds -> JSON
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.transforms import Constant

from labkit._checks import require_known, require_positive, unknown
from labkit._graph_batch import argsort, check_graph_batch, take
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.data import GraphBatch, GraphSet, load
from labkit.evaluate import CrossValidation
from labkit.methods import Method, in_blocks, inference
from labkit.models import GIN, MLP
from labkit.papers._controls import against_floor, against_untrained
from labkit.papers.graph._graphcl_robustness import UnderAttack, component_graphs, counted_by_size, kept, train_counter
from labkit.recipes import Kept, Material, PaperNumber, Recipe, train
from labkit.views import RandomChoice, drop_nodes, identity, mask_attributes, perturb_edges, subgraph

View = Callable[[GraphBatch], GraphBatch]


class GraphCL(Method):
    """Two views of each graph; a graph's two views find each other among the batch (section 3.2, algorithm 1).

    Args:
        dim_in: features a node.
        views: what makes the first view of a batch of graphs, and the second.
        hidden, layers: of the GIN; graphs embed in hidden · layers dimensions.
        temperature: τ.
        clean: what graphs go through before ``embed``.

    Shapes:
        batch: :class:`labkit.data.GraphBatch`; ``embed(batch)``: [graphs, hidden · layers].
    """

    def __init__(
        self,
        dim_in: int,
        views: tuple[View, View],
        hidden: int = 32,
        layers: int = 3,
        temperature: float = 0.2,
        clean: View = identity,
    ):
        super().__init__()
        require_positive("temperature", temperature)
        self.encoder = GIN(dim_in, hidden, layers)
        self.projector = MLP(self.encoder.dim, self.encoder.dim, self.encoder.dim)
        self.views, self.clean, self.temperature = views, clean, temperature

    def forward(self, batch: GraphBatch) -> Float[Tensor, ""]:
        a, b = (gather(self.projector(self.encoder(view(batch)))) for view in self.views)
        return contrast(a, b, self.temperature)

    @inference
    def embed(self, batch: GraphBatch) -> Float[Tensor, "graphs dim"]:
        return in_blocks(lambda part: self.encoder(self.clean(part)), batch)

    def check(self, batch) -> None:
        check_graph_batch(batch, least=2)


def contrast(a: Tensor, b: Tensor, temperature: float) -> Float[Tensor, ""]:
    """Equation 3: graph n's first view against the second views of all *other* graphs; one direction.

    The positive is missing from the denominator, in the paper as in the code, so that the loss has no lower bound at 0.
    """
    similarity = F.normalize(a) @ F.normalize(b).T / temperature
    itself = torch.eye(len(a), dtype=torch.bool, device=a.device)
    return (similarity.masked_fill(itself, -torch.inf).logsumexp(dim=1) - similarity.diag()).mean()


def loops_but_the_last(batch: GraphBatch) -> GraphBatch:
    """Released code: self-loops for ``range(edge_index.max())``, which leaves out the last node of each graph."""
    node = torch.arange(len(batch.x), device=batch.device)
    node = node[node + 1 < take(batch.ptr, batch.batch + 1)]
    edges = torch.cat([batch.edge_index, node.expand(2, -1)], dim=1)
    graph_by_graph = argsort(take(batch.batch, edges[0]))
    return GraphBatch(batch.x, edges.index_select(1, graph_by_graph), batch.ptr)


def xavier(layer: nn.Module) -> None:
    """Released code: every linear layer starts with Xavier's weights and no bias."""
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)


AUGMENTATIONS = {  # ratio 0.2 (section 4.1); a subgraph keeps the rest, as in the authors' GraphCL_Automated
    "identity": identity,
    "drop nodes": partial(drop_nodes, ratio=0.2),
    "perturb edges": partial(perturb_edges, ratio=0.2),
    "mask attributes": partial(mask_attributes, ratio=0.2),
    "subgraph": partial(subgraph, keep=0.8),
}
RELEASED = {  # aug.py
    "drop nodes": partial(drop_nodes, ratio=0.1),
    "perturb edges": partial(perturb_edges, ratio=0.1, add=False),
    "mask attributes": partial(mask_attributes, ratio=0.1, fill="noise"),
    "subgraph": partial(subgraph, keep=0.2, one_hop=True),
}


def build(
    graphs: GraphSet, augmentations: Sequence[str] = ("drop nodes", "subgraph"), variant: str = "paper", second=None
) -> GraphCL:
    """The method for a set of graphs.

    Args:
        graphs: the set; gives the width of the features.
        augmentations: names of ``AUGMENTATIONS``; each graph draws one of them for each view.
        variant: "paper": both views are augmented. "released": the first view is the graph itself, the second one of
            the weaker ``RELEASED`` augmentations; all but augmented graphs get self-loops, except on their last node;
            weights start as :func:`xavier` has them, which without node features makes a weak untrained encoder.
        second: other augmentations for the second view.
    """
    width = graphs.packed.x.shape[1]
    if variant == "released":
        views = (loops_but_the_last, _one_of(augmentations, RELEASED))
        return GraphCL(width, views, clean=loops_but_the_last).apply(xavier)
    if variant != "paper":
        raise ValueError(unknown("variant", variant, ("paper", "released")))
    return GraphCL(width, (_one_of(augmentations, AUGMENTATIONS), _one_of(second or augmentations, AUGMENTATIONS)))


def _one_of(names: Sequence[str], known: dict[str, View]) -> View:
    for name in names:
        require_known("augmentation", name, known)
    return known[names[0]] if len(names) == 1 else RandomChoice([known[name] for name in names])


# evaluate_embedding.py: RBF SVM, C in 1e-3..1e3 by five folds inside each of ten, features as they are. Sums over nodes
# differ in scale by layer, so ours standardises them (inside the fold).
PROTOCOLS = {"svm": CrossValidation(), "released": CrossValidation(standardize=False)}
# The paper names its pools by rules of thumb (section 4.1), not by set: node dropping and subgraphs help everywhere,
# edges may be perturbed in social networks, and attributes that are all ones have nothing to mask.
_SETS = {
    "mutag": (("drop nodes", "subgraph"), 86.80, 1.34, None),
    "proteins": (("drop nodes", "subgraph"), 74.39, 0.45, None),
    "imdb-binary": (("drop nodes", "subgraph", "perturb edges"), 71.14, 0.44, Constant()),
}


def _recipe(name: str, variant: str) -> Recipe:
    augmentations, mean, std, transform = _SETS[name]
    paper = PaperNumber(mean, std, "paper, table 4 (features not standardised, new folds for each of 5 seeds)")
    return Recipe(
        name=f"graphcl/{name}" + ("" if variant == "paper" else f"-{variant}"),
        data=name,
        build=partial(build, augmentations=augmentations, variant=variant),
        training={"epochs": 20, "lr": 0.01},
        protocols=PROTOCOLS,
        paper=dict.fromkeys(PROTOCOLS, paper),
        source="go.sh and gsimclr.py of the released code",
        batch_size=128,
        load_options={"transform": transform} if transform else {},
        smoke_load={"per_class": 24},
        variant=variant,
    )


RECIPES = [_recipe(name, variant) for variant in ("paper", "released") for name in _SETS]
MUTAG, PROTEINS, IMDB, _, PROTEINS_RELEASED, IMDB_RELEASED = RECIPES


def with_views(recipe: Recipe, first: str, second: str) -> Recipe:
    """The recipe with one augmentation for each view."""
    return replace(recipe, build=partial(build, augmentations=(first,), second=(second,)), variant=f"{first}, {second}")


def gains(
    data: str = "mutag", seeds: Sequence[int] = range(5), path: str | Path | None = None, **changes
) -> dict[str, list[float]]:
    """The paper's figure 2 with nothing fine-tuned: what each pair of augmentations adds to the untrained encoder.

    The paper fine-tunes on 10 % of the labels and subtracts training from scratch; here an SVM reads frozen embeddings,
    and the same encoder at its random start, same folds, is subtracted.

    Args:
        data: "mutag", "proteins" or "imdb-binary".
        seeds: trainings of each of the 15 pairs.
        path: JSON to which every pair is written as it is done; pairs that are there with these seeds are not redone.
        changes: other arguments of ``fit``, e.g. ``epochs=5``.

    Returns:
        "drop nodes + subgraph" -> accuracy gained for each seed, fractions. Ten names with two, five with one.

    Cost: for each pair and seed a training and a scoring, and one scoring more a seed.

    Raises:
        ValueError: another data set.
    """
    require_known("set with a recipe of GraphCL", data, _SETS)
    recipe = next(recipe for recipe in RECIPES if recipe.data == data)
    kept = Kept(path, "gains", data=data, seeds=list(seeds), changes=changes, protocol=str(PROTOCOLS["svm"]))
    found = kept.found
    material = Material(load(recipe.data, **recipe.load_options))
    untrained: dict[int, float] = {}
    for first, second in combinations_with_replacement(AUGMENTATIONS, 2):
        pair = f"{first} + {second}"
        if pair in found:
            continue
        found[pair] = []
        for seed in seeds:
            run = train(with_views(recipe, first, second), material, seed, progress=False, **changes)
            if seed not in untrained:  # views hold no weights: the start is the same for every pair
                untrained[seed] = material.score(PROTOCOLS["svm"], run.snapshots[0]).mean
            trained = material.score(PROTOCOLS["svm"], run.method.embed(material.items)).mean
            found[pair].append(trained - untrained[seed])
        kept.write()
    return found


@claim("Contrastive training beats the same GIN untrained (MUTAG).",
       needs="mutag", minutes=1, reported="86.8 ± 1.3 for GraphCL, README")  # fmt: skip
def training_helps_on_mutag(lab: Lab) -> Evidence:
    return _against_untrained(lab, MUTAG)


@claim("Contrastive training beats the same GIN untrained (PROTEINS).",
       needs="proteins", minutes=2, reported="74.4 ± 0.5 for GraphCL, README")  # fmt: skip
def training_helps_on_proteins(lab: Lab) -> Evidence:
    return _against_untrained(lab, PROTEINS)


@claim("Contrastive training beats the same GIN untrained (IMDB-B).",
       needs="imdb-binary", minutes=2, reported="71.1 ± 0.4 for GraphCL, README")  # fmt: skip
def training_helps_on_imdb(lab: Lab) -> Evidence:
    return _against_untrained(lab, IMDB)


def _against_untrained(lab: Lab, recipe: Recipe) -> Evidence:
    note = "A floor that the paper does not report: it compares with kernels and with other trained methods."
    return against_untrained(lab, recipe, "GraphCL", "untrained GIN", note)


@claim("Two different augmentations beat none: two views that are the graph itself (observation 1; PROTEINS).",
       needs="proteins", minutes=3, reported="3.15 gained with the best single augmentation, figure 2")  # fmt: skip
def augmentations_decide(lab: Lab) -> Evidence:
    two, none = with_views(PROTEINS, "drop nodes", "subgraph"), with_views(PROTEINS, "identity", "identity")
    return Evidence(lab.scores(two), lab.scores(none), "drop nodes + subgraph", "identity + identity")


@claim("Two different augmentations beat one used twice (observation 2; PROTEINS).", needs="proteins", minutes=4)
def different_beats_same(lab: Lab) -> Evidence:
    pairs = [
        with_views(PROTEINS, a, b) for a, b in (("drop nodes",) * 2, ("subgraph",) * 2, ("drop nodes", "subgraph"))
    ]
    drop, grow, both = (lab.scores(pair) for pair in pairs)
    same = [(a + b) / 2 for a, b in zip(drop, grow, strict=True)]
    return Evidence(both, same, "drop nodes + subgraph", "mean of each with itself")


@claim("Perturbing edges helps on a social network (observation 3; IMDB-B).", needs="imdb-binary", minutes=3)
def edges_help_socially(lab: Lab) -> Evidence:
    edges, none = (with_views(IMDB, name, name) for name in ("perturb edges", "identity"))
    return Evidence(lab.scores(edges), lab.scores(none), "perturb edges twice", "identity + identity")


@claim("Perturbing edges hurts on molecules (observation 3; MUTAG).", needs="mutag", minutes=1)
def edges_hurt_molecules(lab: Lab) -> Evidence:
    edges, none = (with_views(MUTAG, name, name) for name in ("perturb edges", "identity"))
    return Evidence(lab.scores(none), lab.scores(edges), "identity + identity", "perturb edges twice")


@claim("On molecules dropping nodes beats perturbing edges (MUTAG).", needs="mutag", minutes=1)
def nodes_beat_edges_on_molecules(lab: Lab) -> Evidence:
    edges, nodes = (with_views(MUTAG, name, name) for name in ("perturb edges", "drop nodes"))
    return Evidence(lab.scores(nodes), lab.scores(edges), "drop nodes twice", "perturb edges twice")


@claim("The method as written (two augmented views, subgraphs that grow) beats what was released (PROTEINS).",
       needs="proteins", minutes=3)  # fmt: skip
def paper_beats_release(lab: Lab) -> Evidence:
    return Evidence(lab.scores(PROTEINS), lab.scores(PROTEINS_RELEASED), "variant paper", "variant released")


@claim("What was released, trained, beats a random GIN on a set without node features (IMDB-B).",
       needs="imdb-binary", minutes=2, reported="71.1 ± 0.4 for GraphCL, README")  # fmt: skip
def release_beats_random_gin(lab: Lab) -> Evidence:
    start = fmean(lab.scores(IMDB_RELEASED, embed=lambda run: run.snapshots[0]))
    note = f"Its own untrained encoder, whose biases start at zero, reaches {100 * start:.1f}."
    return against_floor(lab, IMDB_RELEASED, "variant released", "random GIN", "random GIN, torch's start", note)


def _under_attack(lab: Lab, start: str, layers: int = 3) -> list[UnderAttack]:
    """What classifiers of so many layers keep, or the graphs' sizes alone; each seed has its own graphs."""
    small = lab.scale == "smoke"
    epochs = {"contrast": 1, "labelled": 1} if small else {}

    def attack(seed: int) -> UnderAttack:
        graphs = lab.once(("components", seed), lambda: component_graphs(20 if small else 200, seed))
        tested = lab.once(("tested", seed), lambda: component_graphs(4 if small else 200, 10_000 + seed))
        if start == "size":
            return counted_by_size(graphs, tested)
        arguments = {"device": lab.device, "progress": lab.progress} | epochs
        return kept(train_counter(graphs, layers, start, seed, **arguments), tested, seed)

    return [lab.once(("attacked", start, layers, seed), partial(attack, seed)) for seed in lab.seeds]


def _against(lab: Lab, attack: str, other: str = "scratch", layers: int = 3) -> Evidence:
    ours, theirs, size = (_under_attack(lab, start, layers) for start in ("pretrained", other, "size"))
    clean = [f"{100 * fmean(one.clean for one in arm):.1f}" for arm in (ours, theirs, size)]
    equal = "as many epochs in all, the contrastive ones counted" if other == "longer" else "as many epochs of labels"
    note = (
        f"Without an attack {clean[0]} and {clean[1]}; {equal}. From the numbers of nodes and edges alone {clean[2]}, "
    )
    note += f"with one edge more {100 * fmean(one.any for one in size):.1f}."
    names = {"scratch": "from scratch", "longer": "from scratch, longer"}
    values = ([getattr(one, attack) for one in arm] for arm in (ours, theirs))
    return Evidence(*values, "pre-trained", names[other], note=note)


@claim("Pre-trained, a counter of components keeps more accuracy with a random edge added (section 5; 3 layers).",
       needs="nothing", minutes=2)  # fmt: skip
def robust_to_random_edges(lab: Lab) -> Evidence:
    return _against(lab, "random")


@claim("Pre-trained, a counter of components keeps more with the gradient's edge (section 5, GradArgmax; 3 layers).",
       needs="nothing", minutes=2)  # fmt: skip
def robust_to_gradients(lab: Lab) -> Evidence:
    return _against(lab, "gradient")


@claim("Pre-trained, a counter of components keeps more with the worst edge (for section 5's RL-S2V; 3 layers).",
       needs="nothing", minutes=2)  # fmt: skip
def robust_to_any_edge(lab: Lab) -> Evidence:
    return _against(lab, "any")


@claim("Pre-trained, a counter of components keeps more with the gradient's edge (section 5, GradArgmax; 2 layers).",
       needs="nothing", minutes=1)  # fmt: skip
def shallow_robust_to_gradients(lab: Lab) -> Evidence:
    return _against(lab, "gradient", layers=2)


@claim("Pre-trained, a counter of components keeps more with the worst edge (for section 5's RL-S2V; 2 layers).",
       needs="nothing", minutes=1)  # fmt: skip
def shallow_robust_to_any_edge(lab: Lab) -> Evidence:
    return _against(lab, "any", layers=2)


@claim("Pre-trained, a counter of components keeps more with the gradient's edge at equal epochs in all (3 layers).",
       needs="nothing", minutes=3)  # fmt: skip
def robust_beyond_longer_training(lab: Lab) -> Evidence:
    return _against(lab, "gradient", "longer")


@claim("Pre-trained, a counter of components loses less to the gradient's edge (section 5, GradArgmax; 3 layers).",
       needs="nothing", minutes=2)  # fmt: skip
def loses_less_to_gradients(lab: Lab) -> Evidence:
    lost = ([one.gradient - one.clean for one in _under_attack(lab, start)] for start in ("pretrained", "scratch"))
    return Evidence(*lost, "pre-trained, after less before", "from scratch, after less before")


@claim("The gradient's edge costs a counter of components more accuracy than a random one (ours; 3 layers).",
       needs="nothing", minutes=1)  # fmt: skip
def gradients_find_worse_edges(lab: Lab) -> Evidence:
    found = _under_attack(lab, "scratch")
    values = ([getattr(one, attack) for one in found] for attack in ("random", "gradient"))
    return Evidence(*values, "accuracy with a random edge", "with the gradient's")


def main(data: str = "mutag", seeds: str = "5") -> None:
    """Measure the matrix, print it, and leave it in results/figures for notebook 4."""
    for pair, values in gains(data, range(int(seeds)), f"results/figures/graphcl-gains-{data}.json").items():
        print(f"{100 * sum(values) / len(values):+5.1f}   {pair}")


if __name__ == "__main__":
    main(*sys.argv[1:])
