"""Neighbours and the k-NN probe against sorting everything, and against scikit-learn."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch.nn import functional as F

from labkit.evaluate import Split, _neighbours, knn_probe, neighbours


def by_sorting(z, k, metric, queries=None):
    """All distances (cosine: minus the similarity) in float64, sorted."""
    z = z.double()
    q = z if queries is None else queries.double()
    if metric == "cosine":
        distance = -F.normalize(q) @ F.normalize(z).T
    else:
        distance = (q[:, None] - z[None]).norm(dim=2)
    if queries is None:
        distance.fill_diagonal_(torch.inf)
    value, index = distance.sort(dim=1)
    return index[:, :k], (-value if metric == "cosine" else value)[:, :k]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("block", [1, 700, 10**6])
def test_neighbours_are_those_of_sorting_everything(metric, other, block, monkeypatch):
    monkeypatch.setattr("labkit.evaluate._neighbours._ELEMENTS", block)
    z = torch.randn(101, 7) + 2
    queries = torch.randn(13, 7) if other else None
    index, value = neighbours(z, 5, metric, queries)
    expected_index, expected_value = by_sorting(z, 5, metric, queries)
    assert torch.equal(index, expected_index)
    assert torch.allclose(value.double(), expected_value, atol=1e-5)


def test_close_pairs_far_from_the_origin_keep_their_distance():
    """|a|² + |b|² − 2ab would leave nothing of these distances in float32."""
    z = torch.randn(200, 3)
    z = torch.cat([z, z + torch.tensor([1e-3, 0, 0])]) + 100
    value = neighbours(z, 1, "euclidean")[1]
    assert torch.allclose(value.double(), by_sorting(z, 1, "euclidean")[1], rtol=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 6), metric=st.sampled_from(["cosine", "euclidean"]))
def test_neighbours_move_with_their_items(seed, k, metric):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    order = torch.randperm(30, generator=generator)
    index, value = neighbours(z, k, metric)
    shuffled, shuffled_value = neighbours(z[order], k, metric)
    assert torch.equal(order[shuffled], index[order])
    assert torch.allclose(shuffled_value, value[order])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 8), metric=st.sampled_from(["cosine", "euclidean"]))
def test_neighbours_are_scikit_learn_s(seed, k, metric):
    generator = torch.Generator().manual_seed(seed)
    z, queries = (torch.randn(rows, 5, generator=generator, dtype=torch.float64) for rows in (40, 7))
    distance, index = NearestNeighbors(n_neighbors=k, metric=metric).fit(z.numpy()).kneighbors(queries.numpy())
    ours, value = neighbours(z, k, metric, queries)
    assert ours.tolist() == index.tolist()
    torch.testing.assert_close(1 - value if metric == "cosine" else value, torch.from_numpy(distance))


@pytest.mark.parametrize("temperature", [None, 0.1, 0.001])
@pytest.mark.parametrize("k", [1, 20])
def test_the_probe_agrees_with_scikit_learn(temperature, k):
    data = load_digits()
    z, y = torch.tensor(data.data / 16, dtype=torch.float32), torch.tensor(data.target)
    split = Split.random(y, 0.3, None, 0.7, repeats=2)
    score = knn_probe(z, y, split, k=k, temperature=temperature)
    unit = F.normalize(z.double()).numpy()
    for train, test, value in zip(split.train, split.test, score.values, strict=True):

        def votes(distance):
            nearest = distance.min(axis=1, keepdims=True)  # cosine distance is 1 − similarity
            return torch.tensor((nearest - distance) / temperature).exp().numpy()

        peer = KNeighborsClassifier(k, metric="cosine", weights="uniform" if temperature is None else votes)
        assert value == pytest.approx(peer.fit(unit[train], y[train]).score(unit[test], y[test]), abs=1e-3)
    assert score.over == "2 splits"


def test_votes_weigh_by_similarity_and_ties_go_to_the_lowest_class():
    angle = torch.deg2rad(torch.tensor([0.0, 10.0, -10.0, 2.0]))
    z = torch.stack([angle.cos(), angle.sin()], dim=1)
    y = torch.tensor([1, 2, 2, 1])
    split = Split(torch.arange(3), None, torch.tensor([3]))
    assert knn_probe(z, y, split, k=3, temperature=0.01).mean == 1  # the near one outweighs two
    assert knn_probe(z, y, split, k=3, temperature=None).mean == 0
    assert knn_probe(z, y, split, k=2, temperature=None).details["predictions"].tolist() == [[-1, -1, -1, 1]]


def test_the_protocol_says_how_votes_count():
    y = torch.arange(100) % 4
    score = knn_probe(torch.randn(100, 3), y, Split.random(y), k=5)
    assert score.protocol == "random 10/10/80 %, 5-NN by cosine, votes exp(similarity / 0.1)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be between 1 and the 9 rows to choose from, not 0"),
        ({"k": 10}, "k must be between 1 and the 9 rows"),
        ({"metric": "cosin"}, "there is no metric named 'cosin'; did you mean 'cosine'"),
        ({"queries": torch.zeros(3, 5)}, r"queries must be as wide as z \(4\), not 5"),
        ({"z": torch.full((10, 4), torch.inf)}, "z holds NaN or infinite values"),
    ],
)
def test_bad_input_of_neighbours(arguments, message):
    with pytest.raises(ValueError, match=message):
        neighbours(**{"z": torch.randn(10, 4), "k": 3} | arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be at least 1, not 0"),
        ({"k": 11}, "k must be at most the 10 train rows of a split, not 11"),
        ({"temperature": 0}, "temperature must be a positive, finite number, not 0"),
        ({"y": torch.zeros(100)}, "y must hold integer classes"),
        ({"z": torch.randn(50, 3)}, "one class for each of the 50 rows of z"),
    ],
)
def test_bad_input_of_the_probe(arguments, message):
    y = torch.arange(100) % 2
    with pytest.raises(ValueError, match=message):
        knn_probe(**{"z": torch.randn(100, 3), "y": y, "split": Split.random(y), "k": 3} | arguments)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("size", [1e-2, 1e-3])
def test_two_tight_groups_far_apart_keep_the_order_within(metric, size):
    generator = torch.Generator().manual_seed(0)
    z = (torch.arange(600) < 300).float()[:, None] + size / 32 * torch.randn(600, 32, generator=generator)
    for queries in (None, z[:50]):
        index, value = neighbours(z, 10, metric, queries)
        exact, distance = neighbours(z.double(), 10, metric, queries)
        assert (index == exact).all()
        torch.testing.assert_close(value, distance.float())


def test_the_probe_sees_classes_far_from_the_origin():
    y = torch.arange(300) % 3
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(3, 16, generator=generator)[y] + 0.2 * torch.randn(300, 16, generator=generator)
    split = Split.random(y, 0.5, None, 0.5)
    assert knn_probe(z + 1e4, y, split).mean == knn_probe((z + 1e4).double(), y, split).mean > 0.98


@pytest.mark.parametrize("number", [torch.arange(3), torch.tensor([2, 5, 2**40])])
@pytest.mark.parametrize("kind", [torch.int64, torch.uint16])
def test_classes_may_have_any_numbers(number, kind):
    torch.manual_seed(0)
    y = torch.arange(90) % 3
    z, split = torch.randn(90, 8) + F.one_hot(y, 8), Split(torch.arange(60), None, torch.arange(60, 90))
    number = number if kind == torch.int64 else number.clamp(max=60_000)
    plain, score = knn_probe(z, y, split, k=5), knn_probe(z, number[y].to(kind), split, k=5)
    assert score == plain
    said = plain.details["predictions"][0, 60:]
    assert torch.equal(score.details["predictions"][0, 60:], number[said])


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_products_of_ten_bits_give_the_same_neighbours(metric, monkeypatch):
    def of_ten_bits(a, b, out):
        if a.dtype == torch.float32:
            a, b = (((x.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32) for x in (a, b))
        return multiply(a, b, out=out)

    multiply = torch.mm
    monkeypatch.setattr(torch, "mm", of_ten_bits)  # as a GPU does that may use TF32
    monkeypatch.setattr("labkit.evaluate._neighbours._products_are_short", lambda device: True, raising=False)
    z = 3 + torch.randn(300, 40)
    index, value = neighbours(z, 5, metric)
    expected, values = by_sorting(z, 5, metric)
    assert torch.equal(index, expected)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, values.float())


def test_only_a_gpu_has_short_products():
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    try:
        torch.set_float32_matmul_precision("high")
        assert _neighbours._products_are_short(gpu)
        assert not _neighbours._products_are_short(cpu)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert not _neighbours._products_are_short(gpu)
