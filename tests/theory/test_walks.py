"""Walks without draws: the chances of equation 2, the counts that many drawn walks approach, vectors that factorise."""

import math

import pytest
import torch

from labkit.data import load
from labkit.theory.walks import WalkChain, skipgram_vectors
from labkit.views import Adjacency, random_walk

TRIANGLE_AND_TAIL = torch.tensor([(0, 1), (1, 2), (2, 0), (2, 3), (1, 0), (2, 1), (0, 2), (3, 2)]).T


def drawn_pairs(walks, nodes, window):
    counts = torch.zeros(nodes * nodes, dtype=torch.float64)
    for distance in range(1, min(window, walks.shape[1] - 1) + 1):
        met = walks[:, :-distance] * nodes + walks[:, distance:]
        counts += met.flatten().bincount(minlength=nodes * nodes)
    counts = counts.view(nodes, nodes)
    return counts + counts.T


def test_the_second_step_follows_equation_2():
    p, q = 4.0, 0.5
    seen = WalkChain(TRIANGLE_AND_TAIL, 4, p, q).visits(0, 2)
    # 0 -> 1: back to 0 (1/p), or on to 2, which knows 0 (1); 0 -> 2: back (1/p), 1 knows 0 (1), 3 does not (1/q)
    by_1, by_2 = 1 / p + 1, 1 / p + 1 + 1 / q
    expected = [(1 / p) / by_1 + (1 / p) / by_2, 1 / by_2, 1 / by_1, (1 / q) / by_2]
    torch.testing.assert_close(seen[2], torch.tensor(expected).double() / 2)
    torch.testing.assert_close(seen.sum(dim=1), torch.ones(3).double())


def test_without_a_bias_it_is_the_plain_walk():
    edges = load("karate").edge_index
    step = torch.zeros(34, 34).double().index_put_(tuple(edges), torch.ones(()).double())
    step /= step.sum(dim=1, keepdim=True)
    seen = WalkChain(edges, 34).visits(3, 6)
    for steps in range(7):
        torch.testing.assert_close(seen[steps], torch.linalg.matrix_power(step, steps)[3])


@pytest.mark.parametrize(("p", "q"), [(1.0, 1.0), (0.25, 4.0), (4.0, 0.25)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("window", "length"), [(3, 8), (10, 4), (1, 2), (5, 1)])
def test_chances_are_what_drawn_walks_approach(p, q, weighted, window, length):
    edges = torch.cat([TRIANGLE_AND_TAIL, torch.tensor([[4], [0]])], dim=1)  # 4 -> 0 leads one way, 5 is alone
    nodes, draws = 6, 20_000
    weight = torch.tensor([1.0, 2, 0.5, 3, 1, 0.25, 4, 1, 2]) if weighted else None
    chain = WalkChain(edges, nodes, p, q, weight)
    walks = random_walk(Adjacency(edges, nodes, weight), torch.arange(nodes).repeat(draws), length, p, q,
                        torch.Generator().manual_seed(0))  # fmt: skip
    pairs = chain.pairs(window, length)
    torch.testing.assert_close(pairs, drawn_pairs(walks, nodes, window) / draws, rtol=0.02, atol=0.03)
    assert pairs.sum() == pytest.approx(2 * nodes * sum(length - d for d in range(1, min(window, length - 1) + 1)))
    for start in range(nodes):
        seen = chain.visits(start, length)
        drawn = walks[walks[:, 0] == start, -1].bincount(minlength=nodes) / draws
        torch.testing.assert_close(seen[length - 1], drawn.double(), rtol=0, atol=0.02)


def test_a_walk_that_cannot_go_on_stays():
    chain = WalkChain(torch.tensor([[0, 1], [1, 2]]), 4)
    assert chain.visits(0, 5)[:, :3].argmax(dim=1).tolist() == [0, 1, 2, 2, 2, 2]
    assert (chain.visits(3, 5)[:, 3] == 1).all()
    torch.testing.assert_close(chain.pairs(2, 4)[3], torch.tensor([0, 0, 0, 10.0]).double())  # 3 + 2 pairs, both ways


def test_vectors_factorise_what_is_more_than_chance():
    pairs = WalkChain(load("karate").edge_index, 34).pairs(5, 20)
    often = pairs.sum(dim=1)
    gain = (pairs * often.sum() / often / often[:, None]).log().clamp(min=0)
    whole = skipgram_vectors(pairs, 34)
    left, values, _ = torch.linalg.svd(gain)
    torch.testing.assert_close(whole @ whole.T, left @ values.diag() @ left.T)
    torch.testing.assert_close(skipgram_vectors(pairs, 5), whole[:, :5])
    fewer = skipgram_vectors(pairs, 34, negatives=math.e)
    torch.testing.assert_close((fewer @ fewer.T).trace(), torch.linalg.svdvals((gain - 1).clamp(min=0)).sum())


def test_two_cliques_become_two_groups():
    clique = torch.combinations(torch.arange(5)).T
    edges = torch.cat([clique, clique + 5, torch.tensor([[4], [5]])], dim=1)
    chain = WalkChain(torch.cat([edges, edges.flip(0)], dim=1), 10, p=1.0, q=2.0)
    vectors = torch.nn.functional.normalize(skipgram_vectors(chain.pairs(3, 40), 4), dim=1)
    alike = vectors @ vectors.T
    assert alike[:5, :5].min() > alike[:5, 5:].max()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WalkChain(TRIANGLE_AND_TAIL, 4, p=0.0), "p must be"),
        (lambda: WalkChain(TRIANGLE_AND_TAIL, 4, q=-1.0), "q must be"),
        (lambda: WalkChain(TRIANGLE_AND_TAIL, 3), "reaches node 3"),
        (lambda: WalkChain(TRIANGLE_AND_TAIL.repeat(1, 2), 4), "lists an edge twice"),
        (lambda: WalkChain(TRIANGLE_AND_TAIL, 4, edge_weight=torch.zeros(8)), "edge_weight must hold"),
        (lambda: WalkChain(TRIANGLE_AND_TAIL, 4).visits(4, 2), "start must lie between 0 and 3"),
        (lambda: WalkChain(TRIANGLE_AND_TAIL, 4).pairs(0, 2), "window must be at least 1"),
        (lambda: skipgram_vectors(torch.tensor([[1.0, 2.0], [2.0, -1.0]]), 2), "counts of at least 0"),
        (lambda: skipgram_vectors(torch.ones(3, 3), 4), "dim must be at most the number of nodes, 3, not 4"),
        (lambda: skipgram_vectors(torch.ones(3, 3), 2, negatives=0), "negatives must be"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_it_says_what_it_is():
    assert repr(WalkChain(TRIANGLE_AND_TAIL, 4)) == "WalkChain(4 nodes, 8 edges)"


def test_weights_may_be_learned():
    edges, weight = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), torch.tensor([1.0, 1.0, 3.0, 1.0])
    learned = WalkChain(edges, 3, edge_weight=weight.clone().requires_grad_())
    assert torch.equal(learned.visits(1, 2), WalkChain(edges, 3, edge_weight=weight).visits(1, 2))
