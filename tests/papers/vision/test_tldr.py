"""TLDR: pairs, the loss behind the projector, the reducer, the measures by which it is judged."""

import sys
from types import SimpleNamespace

import pytest
import torch
from sklearn.decomposition import PCA

from labkit.claims import Lab
from labkit.losses import barlow_twins
from labkit.papers.vision import tldr
from labkit.papers.vision._neighbour_pairs import NeighbourPairs


def test_pairs_are_an_item_and_one_of_its_neighbours():
    items = torch.arange(12.0)[:, None]
    near = (torch.arange(12)[:, None] + torch.tensor([1, 3])) % 12
    batches = NeighbourPairs(items, near, 4)
    seen = [pair for _ in range(20) for a, b in batches for pair in zip(a[:, 0].tolist(), b[:, 0].tolist())]
    assert {(b - a) % 12 for a, b in seen} == {1, 3}
    assert sorted(a for a, _ in seen[:12]) == list(range(12))
    moved = batches.to(torch.device("cpu"))
    assert isinstance(moved, NeighbourPairs)
    assert len(moved) == 3


@pytest.mark.parametrize(
    ("near", "words"),
    [
        (torch.zeros(3, 2, dtype=torch.long), "rows for each of the 4 items, not 3"),
        (torch.full((4, 1), 4), "between 0 and 3"),
        (torch.full((4, 1), -1), "between 0 and 3"),
        (torch.zeros(4, 0, dtype=torch.long), "rows for each of the 4 items"),
    ],
)
def test_neighbours_that_are_no_rows_are_refused(near, words):
    with pytest.raises(ValueError, match=words):
        NeighbourPairs(torch.randn(4, 2), near, 2)


def test_the_loss_is_barlow_twins_behind_the_projector():
    method, (a, b) = tldr.TLDR(6, 3, projector=16).double(), torch.randn(2, 20, 6).double()
    loss = method((a, b))
    both = method.projector(method.encoder(torch.cat([a, b])))
    torch.testing.assert_close(loss, barlow_twins(both[:20], both[20:], 3.9e-3))
    bare = tldr.TLDR(6, 3, projector=0).double()
    slow = 0.0
    z = [bare.encoder(one) for one in (a, b)]
    z = [(one - one.mean(0)) / one.std(0, correction=0) for one in z]
    for i in range(3):
        for j in range(3):
            c = (z[0][:, i] * z[1][:, j]).mean()
            slow += (1 - c) ** 2 if i == j else 3.9e-3 * c**2
    torch.testing.assert_close(bare((a, b)), slow)


def test_the_reducer_finds_the_directions_that_neighbours_share():
    """Two groups far apart in one of ten directions, noise ten times as strong in the others."""
    y = torch.arange(300) % 2
    x = torch.cat([(4.0 * y + 0.05 * torch.randn(300))[:, None], 0.5 * torch.randn(300, 9)], dim=1)
    method = tldr.reducer(x, 2, epochs=40, seed=1)
    z = method.embed(x)
    assert z.shape == (300, 2)
    rows = torch.arange(200), torch.arange(200, 300)
    assert tldr.recall(z, y, *rows) > 0.9
    same = tldr.reducer(x, 2, epochs=40, seed=1).embed(x)
    assert torch.equal(z, same)
    assert not torch.equal(z, tldr.reducer(x, 2, epochs=40, seed=1, near=torch.randint(300, (300, 5))).embed(x))


def test_recall_and_kept_neighbours_by_hand():
    z, y = torch.tensor([[0.0], [1], [2], [10], [2.4], [8]]), torch.tensor([0, 1, 1, 0, 1, 1])
    database, queries = torch.arange(4), torch.tensor([4, 5])
    assert tldr.recall(z, y, database, queries) == 0.5  # 2.4 finds 2 (right), 8 finds 10 (wrong)
    assert tldr.recall(z, y, database, queries, k=2) == 1.0
    x = torch.tensor([[0.0], [1], [2], [10], [2.4], [-1]])
    assert tldr.kept(z, x, database, queries, k=2) == pytest.approx((2 + 0) / 4)
    assert tldr.kept(x, x, database, queries, k=3) == 1.0


@pytest.mark.parametrize("whiten", [False, True])
def test_principal_components_are_scikit_learns(whiten):
    x = torch.randn(50, 6).double() * torch.arange(1, 7)
    expected = PCA(3, whiten=whiten).fit(x[:40].numpy()).transform(x.numpy())
    torch.testing.assert_close(tldr.pca(x, torch.arange(40), 3, whiten).abs(), torch.from_numpy(expected).abs())


def test_bad_input_is_refused():
    x = torch.randn(20, 4)
    for dim in (0, 5):
        with pytest.raises(ValueError, match="dim must lie between 1 and the 4 numbers"):
            tldr.reducer(x, dim)
    with pytest.raises(ValueError, match="k must be between 1 and the 19 rows"):
        tldr.reducer(x, 2, k=20)
    x[3, 1] = torch.nan
    with pytest.raises(ValueError, match="x holds NaN"):
        tldr.reducer(x, 2)


def test_every_seed_draws_other_items():
    (x, y, database, queries), other = tldr.features("digits", 0), tldr.features("digits", 1)
    assert x.shape == (len(database) + len(queries), 64)
    assert 0 <= x.min() <= x.max() <= 1
    assert len(y) == 1797 == len(other[1])
    assert not torch.equal(y, other[1])


def test_the_weight_of_redundancy_reaches_the_loss_and_the_rate_falls(monkeypatch):
    method, (a, b) = tldr.TLDR(6, 3, projector=0, off_diagonal=0.5), torch.randn(2, 20, 6)
    torch.testing.assert_close(method((a, b)), barlow_twins(method.encoder(a), method.encoder(b), 0.5))
    seen, fit = {}, tldr.fit
    monkeypatch.setattr(tldr, "fit", lambda *given, **options: seen.update(options) or fit(*given, **options))
    tldr.reducer(torch.randn(20, 4), 2, epochs=3, lr=0.5, seed=7)
    assert (seen["epochs"], seen["lr"], seen["seed"], seen["schedule"]) == (3, 0.5, 7, "cosine")


def test_what_reduces_has_seen_the_database_alone(monkeypatch):
    lab, seen = Lab("smoke", [0], progress=False), []
    x, _, database, queries = tldr.features("digits", 0, small=True)
    monkeypatch.setattr(tldr, "reducer", lambda x, *_, **__: seen.append(x) or SimpleNamespace(embed=lambda x: x))
    monkeypatch.setattr(tldr, "pca", lambda x, fit_on, *_: seen.append(x[fit_on]) or x)
    monkeypatch.setattr(tldr, "umap", lambda x, fit_on, *_: seen.append(x[fit_on]) or x)
    for how in ("TLDR", "no projector", "PCA", "UMAP"):
        tldr.reduced(lab, how, 8, "digits", 0)
    assert len(seen) == 5
    assert all(torch.equal(rows, x[database]) for rows in seen)
    assert not set(database.tolist()) & set(queries.tolist())


def test_what_stands_beside_has_seen_no_label_of_a_query(monkeypatch):
    plain, seen = tldr.features, []
    monkeypatch.setattr(tldr, "recall", lambda z, *_: seen.append(z) or 0.5)
    lab = Lab("smoke", [0], progress=False)
    said = tldr.beside(lab, 8, "digits")
    assert said == "In all 64 numbers 50.0, in 8 random projections 50.0, in 8 learned with labels (LDA) 50.0."

    def others(name, seed, small):
        x, y, database, queries = plain(name, seed, small)
        return x, y.index_fill(0, queries, 3), database, queries

    monkeypatch.setattr(tldr, "features", others)
    tldr.beside(lab, 8, "digits")
    assert [z.shape[1] for z in seen] == 2 * [64, 8, 8]
    assert all(torch.equal(a, b) for a, b in zip(seen[:3], seen[3:], strict=True))


def test_a_claim_takes_its_own_measure(monkeypatch):
    for name, value in (("recall", 0.25), ("kept", 0.5)):
        monkeypatch.setattr(tldr, name, lambda *_, value=value: value)
    monkeypatch.setattr(tldr, "reduced", lambda *_: [None])
    lab = Lab("smoke", [0], progress=False)
    assert tldr.beats_pca_at_8.test(lab).treatment == [0.25]
    assert tldr.keeps_neighbours.test(lab).treatment == [0.5]


def test_rows_that_umap_was_fitted_to_and_all_others_come_back_in_their_places(monkeypatch):
    class Halved:
        def __init__(self, **_):
            pass

        def fit(self, x):
            self.embedding_ = x[:, :2] / 2
            return self

        def transform(self, x):
            return x[:, :2] / 2

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Halved))
    x = torch.randn(9, 4)
    torch.testing.assert_close(tldr.umap(x, torch.tensor([7, 2, 4]), 2), x[:, :2] / 2)
