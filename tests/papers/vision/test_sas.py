"""SAS: expected similarity, the greedy order and the released one against loops, subsets, equal steps."""

from statistics import fmean

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labkit.claims import Lab
from labkit.methods import Method, Supervised, TwoView
from labkit.papers.vision import sas
from labkit.train import seeded
from labkit.views import GaussianNoise


def objective(similarity, chosen):
    """Σ of similarities between those taken and those left."""
    left = [j for j in range(len(similarity)) if j not in chosen]
    return sum(similarity[i, j].item() for i in chosen for j in left)


def alike(n, seed=0):
    z = F.normalize(torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)).abs(), dim=1).double()
    return z @ z.T


@pytest.mark.parametrize("seed", range(4))
def test_the_paper_s_order_is_that_of_greedy_steps_up_the_objective(seed):
    similarity, chosen = alike(9, seed), []
    for taken in sas.pick(similarity).tolist():
        values = {e: objective(similarity, [*chosen, e]) for e in range(9) if e not in chosen}
        assert values[taken] == pytest.approx(max(values.values()))
        chosen.append(taken)
    assert sorted(chosen) == list(range(9))


def released(similarity):
    """What the released code does, step by step: gains from a matrix whose rows are zeroed as their items are taken."""
    matrix, chosen = similarity.clone(), []
    while len(chosen) < len(matrix):
        gains = {
            e: (matrix[e] * (matrix[e] > 0)).sum().item() - matrix[chosen, e].sum().item()
            for e in range(len(matrix))
            if e not in chosen
        }
        best = max(gains, key=gains.get)
        chosen.append(best)
        matrix[best] = 0
    return chosen


@pytest.mark.parametrize("seed", range(4))
def test_the_released_order_is_a_ranking_by_row_sums(seed):
    z = F.normalize(torch.randn(12, 3, generator=torch.Generator().manual_seed(seed)), dim=1).double()
    similarity = z @ z.T  # negative ones too
    assert sas.pick(similarity, "released").tolist() == released(similarity)


def test_the_orders_differ_where_items_are_alike():
    """Five copies of one direction and two more nearby: the sums take all copies first, the objective does not."""
    z = F.normalize(torch.tensor([[1.0, 0]] * 5 + [[1, 0.6], [0.6, 1]]), dim=1)
    similarity = z @ z.T
    assert set(sas.pick(similarity, "released")[:5].tolist()) == {0, 1, 2, 3, 4}
    assert 5 in sas.pick(similarity)[:2]


def test_expected_similarity_is_the_mean_over_pairs_of_views():
    class Encoder(nn.Sequential):
        dim = 5

    encoder = Encoder(nn.Flatten(), nn.Linear(16, 5))
    method = TwoView(encoder, nn.Identity(), GaussianNoise(0.3), F.mse_loss)
    images = torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8)
    found = sas.expected_similarity(method, images, views=3, seed=7)
    with seeded(7):
        views = [method.embed(method.view(images)) for _ in range(3)]
    for i in range(6):
        for j in range(6):
            slow = fmean(F.cosine_similarity(a[i], b[j], dim=0).item() for a in views for b in views)
            assert found[i, j].item() == pytest.approx(slow, abs=1e-6)
    assert torch.equal(found, sas.expected_similarity(method, images, views=3, seed=7))


def test_subsets_take_their_share_of_every_latent_class():
    latent = torch.tensor([0] * 20 + [1] * 10 + [2] * 70)
    place = sas.ranking(alike(100), latent)
    assert 0 <= place.min() <= place.max() < 1
    chosen = sas.subset(place, 0.3)
    assert latent[chosen].bincount().tolist() == [6, 3, 21]
    rows = (latent == 1).nonzero().flatten()
    order = sas.pick(alike(100)[rows][:, rows])
    assert set(chosen[latent[chosen] == 1].tolist()) == set(rows[order[:3]].tolist())
    hardest = sas.subset(place, 0.3, "hardest")
    assert not set(hardest.tolist()) & set(chosen.tolist())
    assert place[hardest].min() > place[chosen].max()
    random = sas.subset(place, 0.3, "random", seed=1)
    assert len(random.unique()) == 30
    assert torch.equal(random, sas.subset(place, 0.3, "random", seed=1))
    assert len(sas.subset(place, 1.0)) == 100


def test_error_norm_by_hand():
    class Encoder(nn.Flatten):
        dim = 4

    method = Supervised(Encoder(), GaussianNoise(0.1), torch.tensor([0, 1, 2]))
    images = torch.randint(0, 256, (3, 1, 2, 2), dtype=torch.uint8)
    y = torch.tensor([2, 0, 1])
    p = method.projected(images).softmax(1)
    slow = [sum((p[i, c] - float(c == y[i])) ** 2 for c in range(3)) ** 0.5 for i in range(3)]
    assert sas.error_norm(method, images, y).tolist() == pytest.approx([one.item() for one in slow])


def test_a_subset_gets_as_many_steps_as_the_whole(monkeypatch):
    lab, seen = Lab("laptop", [0], progress=False), []
    monkeypatch.setattr(sas, "train", lambda recipe, material, seed, **_: seen.append((recipe, material)) or _Nothing)
    sas.trained_on(lab, sas.ALL, torch.arange(251), 0)
    sas.trained_on(lab, sas.ALL.ceiling, torch.arange(251), 0)
    whole = sas.ALL.training["epochs"] * (1257 // sas.ALL.batch_size)
    for recipe, material in seen:
        batches = recipe.batches(material.dataset) if recipe.batches else material.batches(recipe.batch_size)
        assert abs(len(batches) * recipe.training["epochs"] - whole) <= len(batches)
        assert len(batches.items) == 251


class _Nothing:
    method = Method()


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="must be square"):
        sas.pick(torch.ones(3, 4))
    with pytest.raises(ValueError, match="no variant named 'relased'; did you mean 'released'"):
        sas.pick(torch.eye(3), "relased")
    with pytest.raises(ValueError, match="similarity holds NaN"):
        sas.pick(torch.full((3, 3), torch.nan))
    place = torch.arange(10.0) / 10
    for share in (0.0, 1.2, 0.05):
        with pytest.raises(ValueError, match=r"share must lie between 0\.1 and 1"):
            sas.subset(place, share)
    with pytest.raises(ValueError, match="no way to take a subset named 'easiest'"):
        sas.subset(place, 0.5, "easiest")
    with pytest.raises(ValueError, match="views must be at least 1"):
        sas.expected_similarity(TwoView(nn.Flatten(), nn.Identity(), nn.Identity(), F.mse_loss), torch.ones(1), views=0)


def test_training_on_a_subset_is_on_those_rows_and_seeds_draw_other_ones(monkeypatch):
    lab, seen = Lab("smoke", [0], progress=False), []
    monkeypatch.setattr(sas, "train", lambda recipe, material, seed, **_: seen.append((material, seed)) or _Nothing)
    rows = torch.tensor([7, 3, 11])
    sas.trained_on(lab, sas.ALL, rows, 5)
    images = lab.material(sas.ALL).dataset
    ((material, seed),) = seen
    assert torch.equal(material.dataset.splits["train"], images.splits["train"][rows])
    assert torch.equal(material.dataset.splits["test"], images.splits["test"])
    assert seed == 5
    place = torch.arange(100.0) / 100
    assert not torch.equal(sas.subset(place, 0.3, "random", seed=1), sas.subset(place, 0.3, "random", seed=2))


def test_a_claim_compares_the_subsets_that_it_names(monkeypatch):
    monkeypatch.setattr(sas, "scores", lambda lab, share, how, variant="paper": [hash((share, how, variant)) / 2**64])
    lab = Lab("smoke", [0], progress=False)
    lab.scores = lambda recipe: [0.0]
    for one, share, control in ((sas.beats_random_at_20, 0.2, "random"), (sas.beats_hardest_at_40, 0.4, "hardest")):
        evidence = one.test(lab)
        assert (evidence.treatment, evidence.control) == (
            sas.scores(lab, share, "SAS"),
            sas.scores(lab, share, control),
        )
    evidence = sas.objective_beats_release.test(lab)
    pair = [sas.scores(lab, 0.2, "SAS", variant) for variant in ("paper", "released")]
    assert [evidence.treatment, evidence.control] == pair
