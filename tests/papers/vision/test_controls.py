"""What a control takes away, and nothing else: an arm that is the method itself would decide a claim by chance."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from labkit.claims import Lab
from labkit.data import ImageSet, load
from labkit.papers.vision import (
    _one_object,
    all4one,
    barlow_twins,
    byol,
    dcl,
    dino,
    g_simclr,
    instdisc,
    moco,
    nnclr,
    rotnet,
    scan,
    simsiam,
    swav,
    tldr,
    vicreg,
    w_mse,
)
from labkit.papers.vision.byol import BYOL
from labkit.papers.vision.dino import DINO, information
from labkit.papers.vision.pirl import PIRL
from labkit.train import Run
from labkit.views import GaussianNoise, unit_images


class Encoder(torch.nn.Sequential):
    dim = 8

    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(36, 8))


def images(n=12):
    return torch.randint(0, 256, (n, 1, 6, 6), dtype=torch.uint8)


def step(method, batch):
    optimizer = torch.optim.SGD(method.parameters(), lr=0.5)
    method(batch).backward()
    optimizer.step()
    method.after_step()


def test_byol_without_a_slow_copy_has_no_copy():
    slow, none = BYOL(Encoder(), GaussianNoise(0.1), momentum=0.9), BYOL(Encoder(), GaussianNoise(0.1), momentum=None)
    before = slow.target_network[0][1].weight.clone()
    step(slow, images())
    torch.testing.assert_close(slow.target_network[0][1].weight, torch.lerp(slow.encoder[1].weight, before, 0.9))
    assert none.target_network is None


def test_dino_without_centring_takes_nothing_away():
    for momentum, moves in ((0.9, True), (None, False)):
        method = DINO(Encoder(), GaussianNoise(0.1), clusters=5, center_momentum=momentum)
        step(method, images())
        assert bool(method.center.any()) is moves


class Runs(Lab):
    """A lab whose one run says of image i what row i of ``projected`` holds."""

    def __init__(self, projected):
        super().__init__("smoke", [0], progress=False)

        class Method(torch.nn.Linear):
            temperatures = (1.0, 1.0)

            def projected(self, _):
                return projected

        self.method, self.items = Method(1, 1), images(len(projected))

    def runs(self, _):
        return [self]

    def material(self, _):
        return self


def test_information_and_prototypes_are_counted():
    sure, alike = 50 * torch.eye(4).repeat(2, 1), torch.zeros(8, 4)
    one = alike.clone()
    one[:, 2] = 50
    assert information(Runs(sure), None) == pytest.approx([math.log(4)])
    assert information(Runs(alike), None) == information(Runs(one), None) == pytest.approx([0.0])
    assert swav.prototypes_used(Runs(sure), None) == pytest.approx([4.0])
    assert swav.prototypes_used(Runs(one), None) == pytest.approx([1.0])


def test_pirl_without_tiles_trains_on_the_image():
    method = PIRL(Encoder(), unit_images, items=24, weight=0.0)
    loss = method((images(4), torch.arange(4)))
    assert loss > 0.1
    assert torch.autograd.grad(loss, method.of_image.weight)[0].abs().sum() > 0


def test_batches_of_g_simclr_have_the_labels_of_their_name():
    digits = load("nuisance-digits")
    truth, pseudo = digits.labels[digits.splits["train"]], g_simclr.pseudo_labels(digits)
    of = {
        name: getattr(g_simclr, f"_{name}")(digits).labels for name in ("guided", "oracle", "random", "random_classes")
    }
    assert torch.equal(of["guided"], pseudo)
    assert torch.equal(of["oracle"], truth)
    for name, like in (("random", pseudo), ("random_classes", truth)):
        assert not torch.equal(of[name], like)
        assert torch.equal(of[name].bincount(), like.bincount())


def test_arms_of_scan_differ_from_it_in_one_thing():
    changes = {arm: scan._changes(arm, 30, seed=1) for arm in ("SCAN", "no entropy", "its own views", "ten heads")}
    near = changes.pop("its own views")["near"]
    assert near.flatten().tolist() == list(range(30))
    assert changes == {"SCAN": {}, "no entropy": {"entropy_weight": 0.0}, "ten heads": {"heads": 10}}
    random = scan._changes("random neighbours", 30, seed=1)["near"]
    assert random.shape == (30, 10)
    assert len(random.unique()) > 20
    assert not torch.equal(random, scan._changes("random neighbours", 30, seed=2)["near"])


def test_arms_of_tldr_differ_from_it_in_one_thing(monkeypatch):
    seen = {}
    monkeypatch.setattr(tldr, "reducer", lambda x, dim, seed, **changes: seen.update(changes) or torch.nn.Identity())
    monkeypatch.setattr(torch.nn.Identity, "embed", lambda self, x: x, raising=False)
    for how, changed in (("TLDR", set()), ("no projector", {"projector"}), ("random pairs", {"near"})):
        seen.clear()
        tldr.reduced(Lab("smoke", [0], progress=False), how, 8, "digits", 0)
        assert seen.keys() - {"epochs"} == changed
    assert seen["near"].shape[1] == 5
    assert seen["near"].unique().numel() > len(seen["near"]) / 2


class Asked(Lab):
    """A lab that trains nothing: what it says of a recipe is its place among those it was asked about."""

    def __init__(self):
        super().__init__("smoke", [0], progress=False)
        self.recipes = []

    def scores(self, recipe, embed=None, protocol=None):
        self.recipes.append(recipe)
        return [float(len(self.recipes) - 1)]

    def runs(self, recipe):  # the numbers of a first epoch, and of the last one
        (place,) = self.scores(recipe)
        spectra, history = {"z": torch.tensor([[-1.0], [place]])}, {"z.effective_rank": [-1.0, place]}
        return [Run(torch.nn.Identity(), spectra=spectra, history=history)]

    def floors(self, recipe, protocol=None):
        return {"raw": SimpleNamespace(mean=-2.0)}

    def arms(self, one):
        """What the build of either arm was told, by name; a module by its class. The training's epochs beside it."""
        evidence = one.test(self)
        return [self._told(self.recipes[int(value)]) for (value,) in (evidence.treatment, evidence.control)]

    def _told(self, recipe):
        options = getattr(recipe.build, "keywords", {})
        named = {k: type(v).__name__ if isinstance(v, torch.nn.Module) else v for k, v in options.items()}
        return named, recipe.training["epochs"]


# claim -> what its control is built with; the claim's own side is the recipe as it is
CONTROLS = {
    all4one.centroid_helps: {"centroid": False},
    all4one.feature_term_helps: {"feature": False},
    all4one.neighbour_term_helps: {"neighbour": False},
    all4one.nearest_beats_random: {"friends": "random"},
    barlow_twins.redundancy_term_keeps_rank: {"off_diagonal": 0.0},
    barlow_twins.redundancy_term_helps: {"off_diagonal": 0.0},
    barlow_twins.wide_projection_helps: {"dim": 32},
    byol.predictor_prevents_collapse: {"predictor": "Identity"},
    byol.predictor_helps: {"predictor": "Identity"},
    byol.slow_target_helps: {"momentum": None},
    dcl.helps_small_batches: {"coupled": True},
    dino.centring_helps: {"center_momentum": None},
    instdisc.bank_has_to_move: {"momentum": 1.0},
    moco.long_queue_helps: {"queue": 64},
    moco.momentum_needed: {"momentum": 0.0},
    nnclr.neighbour_beats_self: {"friend": "self"},
    nnclr.nearest_beats_random: {"friend": "random"},
    simsiam.stop_gradient_prevents_collapse: {"stop_gradient": False},
    simsiam.stop_gradient_helps: {"stop_gradient": False},
    simsiam.predictor_helps: {"predictor": "Identity"},
    swav.equal_shares_help: {"iterations": 0},
    vicreg.variance_term_helps: {"variance": 0.0},
    vicreg.variance_term_keeps_spread: {"variance": 0.0},
    vicreg.covariance_term_keeps_rank: {"covariance": 0.0},
    w_mse.whitening_prevents_collapse: {"whiten": False},
    w_mse.whitening_keeps_rank: {"whiten": False},
}


@pytest.mark.parametrize(("one", "control"), CONTROLS.items(), ids=lambda one: getattr(one, "name", ""))
def test_a_claim_compares_the_method_with_its_control(one, control):
    (ours, epochs), (theirs, same) = Asked().arms(one)
    assert (ours, theirs, epochs) == ({}, control, same)


def test_claims_whose_control_is_the_recipe_itself_or_a_shorter_training():
    assert Asked().arms(w_mse.four_views_beat_two) == [({"views": 4}, 48), ({}, 48)]
    (ours, long), (theirs, short) = Asked().arms(instdisc.live_partition_helps)
    assert (ours, theirs, long) == ({"negatives": 512, "fixed_partition": False}, {"negatives": 512}, short)
    assert [told for told, _ in Asked().arms(all4one.beats_nnclr_at_low_dimension)] == [{"dim": 8}] * 2


def test_raw_pixels_are_the_control_of_those_that_beat_them():
    for one in (byol, moco, dino, swav, nnclr, simsiam, barlow_twins, vicreg, w_mse, all4one, instdisc, dcl):
        evidence = one.beats_raw_pixels.test(Asked())
        assert (evidence.treatment, evidence.control) == ([0.0], [-2.0])


def test_codes_of_instdisc_are_the_projection_in_half_precision():
    lab, asked = Asked(), []
    lab.material = lambda _: SimpleNamespace(items="pictures")
    run = SimpleNamespace(method=SimpleNamespace(projected=lambda items: torch.tensor([[1 / 3, len(items)]])))
    lab.scores = lambda recipe, embed=None: asked.append((recipe, embed and embed(run))) or [0.5]
    evidence = instdisc.code_comes_near_the_encoder.test(lab)
    assert (evidence.treatment, evidence.control) == ([0.5], [0.48])
    assert asked[0][1] is None or torch.equal(asked[0][1], torch.tensor([[1 / 3, 8]]).half().float())
    assert {kept is None for _, kept in asked} == {True, False}
    asked.clear()
    instdisc.wider_codes_find_more.test(lab)
    assert [getattr(recipe.build, "keywords", {}).get("dim") for recipe, _ in asked] == [None, 8]
    asked.clear()
    lab.floors = lambda _: {"raw": SimpleNamespace(mean=0.1)}
    assert instdisc.short_codes_beat_raw_pixels.test(lab).control == [0.1]
    assert asked[0][0].build.keywords["dim"] == 16


def test_a_predictor_that_is_taken_away_is_gone():
    pixels = torch.zeros(4, 1, 18, 18, dtype=torch.uint8)
    one = ImageSet(pixels, torch.arange(4) % 2, ("a", "b"), {"train": torch.arange(2), "test": torch.arange(2, 4)})
    for paper in (byol, simsiam):
        assert isinstance(paper.NO_PREDICTOR.build(one).predictor, torch.nn.Identity)
        assert not isinstance(paper.SMALL.build(one).predictor, torch.nn.Identity)
    assert w_mse.NOT_WHITE.build(one).loss is w_mse.plain_mse


def test_claims_about_trained_and_untrained_and_bounds_have_their_sides():
    lab, run = Asked(), SimpleNamespace(snapshots={0: "before"}, method=SimpleNamespace(embed=lambda _: "after"))
    lab.scores = lambda recipe, embed=None: [0.0 if embed and embed(run) == "before" else 1.0]
    evidence = rotnet.beats_untrained.test(lab)
    assert (evidence.treatment, evidence.control) == ([1.0], [0.0])
    evidence = _one_object.below([0.2, 0.1], 0.3, "value", "bound")
    assert (evidence.treatment, evidence.control) == ([0.3, 0.3], [0.2, 0.1])
    assert (evidence.treatment_name, evidence.control_name) == ("bound", "value")


def test_pretext_questions_are_asked_about_held_out_pictures_by_seed():
    one = ImageSet(torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1), splits={"train": torch.arange(4),
                   "test": torch.arange(4, 6)})  # fmt: skip
    lab = Lab("smoke", [3, 4], progress=False)
    lab.material = lambda recipe: SimpleNamespace(dataset=one)
    assert _one_object.held_out(lab, rotnet.WORLD).flatten().tolist() == [4, 5]
    asked = lambda images: (images, torch.rand(2))  # noqa: E731
    recipe = replace(rotnet.WORLD, build=lambda images: SimpleNamespace(question=asked))
    seen = []
    _one_object.share_read(lab, recipe, lambda pieces: seen.append((pieces, torch.rand(1))) or torch.zeros(2))
    assert all(torch.equal(pieces, one.images[4:]) for pieces, _ in seen)
    assert seen[0][1] != seen[1][1]
