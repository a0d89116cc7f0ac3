"""What a control of a paper on graphs takes away, and nothing else, and on which side of a claim it stands."""

from functools import partial
from types import SimpleNamespace

import pytest

from labkit.claims import Lab
from labkit.models import PPR, Heat, OneStep
from labkit.papers._controls import against_propagation
from labkit.papers.graph import _pretexts as tasks
from labkit.papers.graph import (
    bandana,
    fisher,
    gcc,
    grace,
    graphcl,
    graphmae,
    kcore,
    mvgrl,
    node2vec,
    selftask,
    supergat,
)


class Asked(Lab):
    """A lab that trains nothing: what it says of a recipe is its place among those it was asked about."""

    def __init__(self):
        super().__init__("smoke", [0], progress=False)
        self.recipes = []

    def scores(self, recipe, embed=None, protocol=None):
        before = SimpleNamespace(snapshots={0: "before"})
        self.recipes.append((recipe, embed(before) if embed else "trained"))
        return [float(len(self.recipes) - 1)]

    def floors(self, recipe, protocol=None):
        return {name: SimpleNamespace(mean=value) for name, value in (("raw", -2.0), ("propagated", -3.0))}

    def arms(self, one):
        evidence = one.test(self)
        return [self.recipes[int(value)] for (value,) in (evidence.treatment, evidence.control)]


def told(recipe):
    """What its build was told, by name."""
    return recipe.build.keywords if isinstance(recipe.build, partial) else {}


# claim -> what its control is built with
CONTROLS = {
    grace.hybrid_beats_edges: {"feature_mask": (0.0, 0.0)},
    grace.hybrid_beats_features: {"edge_drop": (0.0, 0.0)},
    grace.intra_view_negatives_help: {"loss": grace._other_view_only},
    graphmae.remasking_helps: {"remask": False},
    graphmae.cosine_beats_squares: {"gamma": None},
    graphmae.much_masking_helps: {"mask_rate": 0.1},
    graphmae.wide_start_helps: {"gain": 1.0},
    bandana.bandwidths_beat_masks: {"mask": "discrete"},
    mvgrl.diffusion_view_helps: {"kernels": (OneStep(),)},
    mvgrl.diffusion_beats_two_equal_views: {"kernels": (OneStep(), OneStep())},
    mvgrl.adjacency_view_helps: {"kernels": (PPR(0.2),)},
    mvgrl.ppr_beats_heat: {"kernels": (OneStep(), Heat(5.0))},
    node2vec.walks_beat_one_hop: {"window": 1},
}


@pytest.mark.parametrize(("one", "control"), CONTROLS.items(), ids=lambda one: getattr(one, "name", ""))
def test_a_claim_compares_the_method_with_its_control(one, control):
    (ours, _), (theirs, _) = Asked().arms(one)
    assert (told(ours), told(theirs)) == ({}, control)
    assert (ours.name, ours.training) == (theirs.name, theirs.training)


# claim -> recipes of either side
SIDES = {
    graphcl.paper_beats_release: ("graphcl/proteins", "graphcl/proteins-released"),
    mvgrl.training_the_encoder_helps_on_mutag: ("mvgrl/mutag", "mvgrl/mutag-released"),
    gcc.moco_beats_e2e_on_roles: ("gcc/planted-roles", "gcc/planted-roles-e2e"),
    supergat.mixed_beats_gat: ("supergat/cora", "supergat/cora-gat"),
    supergat.scaled_dot_beats_gat: ("supergat/cora-sd", "supergat/cora-gat"),
    fisher.unsupervised_beats_gat: ("fisher/cora", "supergat/cora-gat"),
    fisher.supervised_beats_gat: ("fisher/cora-supervised", "supergat/cora-gat"),
    selftask.edge_mask_cora: ("selftask/cora-edge-mask", "selftask/cora-gcn"),
}


@pytest.mark.parametrize(("one", "names"), SIDES.items(), ids=lambda one: getattr(one, "name", ""))
def test_a_claim_compares_the_recipes_that_it_names(one, names):
    assert tuple(recipe.name for recipe, _ in Asked().arms(one)) == names


def test_the_control_of_training_is_the_same_recipe_before_its_first_step():
    for one in (grace.training_helps, graphcl.training_helps_on_mutag, graphmae.training_helps_on_graphs,
                gcc.transfers_to_roles, fisher.kmeans_helps, mvgrl.trained_heads_help_on_mutag):  # fmt: skip
        (ours, after), (theirs, before) = Asked().arms(one)
        assert (ours.name, after, before) == (theirs.name, "trained", "before")


def test_propagated_features_are_the_control_of_those_that_beat_them():
    evidence = against_propagation(Asked(), grace.CORA, "GRACE")
    assert (evidence.treatment, evidence.control) == ([0.0], [-3.0])


def test_claims_of_two_changes_change_what_they_say():
    (sharp, _), (plain, _) = Asked().arms(fisher.sharp_attention_helps)
    assert told(sharp) == told(plain) | {"temperature": 0.1}
    pairs = {
        graphcl.augmentations_decide: (("drop nodes", "subgraph"), ("identity", "identity")),
        graphcl.edges_help_socially: (("perturb edges",) * 2, ("identity",) * 2),
        graphcl.edges_hurt_molecules: (("identity",) * 2, ("perturb edges",) * 2),
        graphcl.nodes_beat_edges_on_molecules: (("drop nodes",) * 2, ("perturb edges",) * 2),
    }
    for one, views in pairs.items():
        found = [(told(recipe)["augmentations"], told(recipe)["second"]) for recipe, _ in Asked().arms(one)]
        assert found == [((first,), (second,)) for first, second in views]
    (true, _), (dealt, _) = Asked().arms(selftask.distance_cluster_answers)
    assert told(true)["pretext"] is tasks.DistanceCluster
    assert (told(dealt)["pretext"].func, told(dealt)["pretext"].keywords) == (
        tasks.shuffled, {"pretext": tasks.DistanceCluster})  # fmt: skip
    (both, _), (released, _) = Asked().arms(selftask.both_directions_help)
    assert told(both)["pretext"] is tasks.EdgeMask
    assert told(released)["pretext"].keywords == {"released": True}
    (one, _), (other, _) = Asked().arms(supergat.edge_prediction_helps)
    assert (told(one)["form"], told(other)["form"], told(other)["edge_weight"]) == ("MX", "MX", 0.0)


def test_variants_that_a_recipe_names_are_built(graphs):
    assert (gcc.MOCO.build(None).slow is None, gcc.E2E.build(None).slow is None) == (False, True)
    for recipe in graphcl.RECIPES:
        first, _ = recipe.build(graphs).views
        assert (first is graphcl.loops_but_the_last) == (recipe.variant == "released"), recipe.name
    views = {recipe.name: recipe.build(graphs).views[1].views for recipe in graphcl.RECIPES}
    assert len(views["graphcl/mutag"]) == 2
    assert len(views["graphcl/imdb-binary"]) == 3
    for recipe in (mvgrl.MUTAG, mvgrl.MUTAG_RELEASED):
        trained = any(weight.requires_grad for weight in recipe.build(graphs).encoders.parameters())
        assert trained == (recipe.variant == "paper")


def test_parts_of_a_claim_reach_the_training_that_they_change(monkeypatch):
    asked = []
    monkeypatch.setattr(bandana, "predict_links", lambda data, seed, **o: asked.append(o) or SimpleNamespace(auc=0.5))
    monkeypatch.setattr(kcore, "embed", lambda data, **o: asked.append(o) or (None, 2.0 if "k" in o else 8.0))
    lab = Asked()
    lab.material = lambda recipe: SimpleNamespace(dataset=None)
    bandana.bandwidths_find_links.test(lab)
    bandana.own_bandwidth_matters.test(lab)
    seen = [{k: v for k, v in options.items() if k not in ("epochs", "device")} for options in asked]
    assert seen == [{"mask": "discrete"}, {}, {}, {"released_order": True}]
    assert kcore.core_takes_less_time.test(lab).treatment == [0.75]
