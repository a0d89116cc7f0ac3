"""Losses with a bank, a queue, clusters, a weight or distances, against loops at float64, value and gradient."""

import math
from functools import partial

import pytest
import torch
from torch.nn.functional import cosine_similarity

from labkit.losses import (
    byol,
    decoupled,
    dino,
    distance_correlation,
    info_nce_queue,
    nce,
    nt_xent,
    sinkhorn,
    swav,
    w_mse,
)


def unit(row):
    return row / row.norm()


def leaves(*shapes):
    return [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def assert_same(value, expected, inputs):
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-11)
    ours = torch.autograd.grad(value, inputs, allow_unused=True)
    theirs = torch.autograd.grad(expected, inputs, allow_unused=True)
    for x, y in zip(ours, theirs, strict=True):
        assert (x is None) == (y is None)
        if x is not None:
            torch.testing.assert_close(x, y, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
@pytest.mark.parametrize("sigma", [None, 0.5])
def test_decoupled(temperature, sigma):
    a, b = leaves((5, 3), (5, 3))
    views, n, total = [unit(row) for row in torch.cat([a, b])], 5, 0
    cosines = [views[i] @ views[i + n] for i in range(n)]
    for i in range(2 * n):
        others = sum((views[i] @ views[j] / temperature).exp() for j in range(2 * n) if j % n != i % n)
        weight = 1
        if sigma is not None:
            mean = sum((c / sigma).exp() for c in cosines) / n
            weight = (2 - (cosines[i % n] / sigma).exp() / mean).detach()
        total = total + others.log() - weight * cosines[i % n] / temperature
    assert_same(decoupled(a, b, temperature, sigma), total / (2 * n), [a, b])


def test_decoupled_is_nt_xent_without_the_positive():
    a, b = leaves((6, 4), (6, 4))
    z = torch.cat([a, b])
    positive = cosine_similarity(a, b).repeat(2) / 0.3
    whole = decoupled(a, b, 0.3)
    views = [unit(row) for row in z]
    negatives = [sum((views[i] @ views[j] / 0.3).exp() for j in range(12) if j % 6 != i % 6) for i in range(12)]
    back = sum((n + p.exp()).log() - p for n, p in zip(negatives, positive, strict=True)) / 12
    torch.testing.assert_close(back, nt_xent(a, b, 0.3))
    assert whole < back


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_info_nce_queue(temperature):
    q, k, queue = leaves((4, 3), (4, 3), (7, 3))
    total = 0
    for i in range(4):
        own = unit(q[i]) @ unit(k[i]).detach() / temperature
        others = sum((unit(q[i]) @ unit(row).detach() / temperature).exp() for row in queue)
        total = total + (own.exp() + others).log() - own
    assert_same(info_nce_queue(q, k, queue, temperature), total / 4, [q, k, queue])


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("partition", [None, 37.0])
def test_nce(shared, partition):
    items, temperature = 50, 0.2
    q, positives, negatives = leaves((4, 3), (4, 3), (6, 3) if shared else (4, 6, 3))
    z = partition
    if z is None:
        draws = [(unit(q[i]) @ unit(row) / temperature).exp() for i in range(4)
                 for row in (negatives if shared else negatives[i])]  # fmt: skip
        z = (items * sum(draws) / len(draws)).item()
    noise, total = 6 / items, 0
    for i in range(4):
        p = (unit(q[i]) @ unit(positives[i]).detach() / temperature).exp() / z
        total = total - (p / (p + noise)).log()
        for row in negatives if shared else negatives[i]:
            p = (unit(q[i]) @ unit(row).detach() / temperature).exp() / z
            total = total - (noise / (p + noise)).log()
    assert_same(nce(q, positives, negatives, items, temperature, partition), total / 4, [q, positives, negatives])
    if partition:  # as a model keeps it, in a buffer
        torch.testing.assert_close(nce(q, positives, negatives, items, temperature, torch.tensor([z])), total / 4)


def test_nce_gradient_nears_that_of_the_full_softmax_as_draws_grow():
    bank = torch.nn.functional.normalize(torch.randn(400, 8, dtype=torch.float64), dim=1)
    q = (bank[:16] + 0.5 * torch.randn(16, 8, dtype=torch.float64)).requires_grad_()
    logits = torch.nn.functional.normalize(q, dim=1) @ bank.T / 0.2
    full = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, torch.arange(16)), q)[0]
    z = (logits.exp().mean() * 400).item()
    cosine = []
    for m in (4, 64, 4096):
        draws = bank[torch.randint(400, (16, m))]
        gradient = torch.autograd.grad(nce(q, bank[:16], draws, 400, 0.2, z), q)[0]
        cosine.append(cosine_similarity(gradient.flatten(), full.flatten(), dim=0).item())
    assert cosine[0] < cosine[1] < cosine[2]
    assert cosine[2] > 0.95


def test_sinkhorn_shares_are_even_and_equal_the_released_loop():
    scores = torch.randn(12, 4, dtype=torch.float64) / 4
    shares = (scores / 0.05).exp().T / (scores / 0.05).exp().sum()
    for _ in range(3):
        shares = shares / shares.sum(1, keepdim=True) / 4
        shares = shares / shares.sum(0, keepdim=True) / 12
    torch.testing.assert_close(sinkhorn(scores), 12 * shares.T)
    even = sinkhorn(scores, iterations=500)
    torch.testing.assert_close(even.sum(1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(even.sum(0), torch.full((4,), 3.0, dtype=torch.float64))
    torch.testing.assert_close(sinkhorn(scores, iterations=0), (scores / 0.05).softmax(1))
    assert sinkhorn(100 * scores.float()).isfinite().all()


def test_swav():
    a, b = leaves((8, 3), (8, 3))
    total = 0
    for target, predicted in ((a, b), (b, a)):
        share = sinkhorn(target)
        for i in range(8):
            log_share = (predicted[i] / 0.1) - (predicted[i] / 0.1).exp().sum().log()
            total = total - (share[i] * log_share).sum() / 8
    assert_same(swav(a, b), total / 2, [a, b])


@pytest.mark.parametrize("centred", [True, False])
def test_dino(centred):
    student, teacher = leaves((5, 4), (5, 4))
    center = torch.randn(4, dtype=torch.float64) if centred else None
    total = 0
    for s, t in zip(student, teacher, strict=True):
        target = ((t - (center if centred else 0)) / 0.04).detach()
        weights = (target - target.max()).exp()
        log_share = s / 0.1 - (s / 0.1).exp().sum().log()
        total = total - (weights / weights.sum() * log_share).sum()
    assert_same(dino(student, teacher, center), total / 5, [student, teacher])


def test_distance_correlation():
    x, y = leaves((7, 3), (7, 2))

    def centred(z):
        d = [[(z[i] - z[j]).norm() if i != j else z.new_zeros(()) for j in range(7)] for i in range(7)]
        rows = [sum(line) / 7 for line in d]
        return [[d[i][j] - rows[i] - rows[j] + sum(rows) / 7 for j in range(7)] for i in range(7)]

    def mean(a, b):
        return sum(a[i][j] * b[i][j] for i in range(7) for j in range(7)) / 49

    a, b = centred(x), centred(y)
    assert_same(distance_correlation(x, y), (mean(a, b) / (mean(a, a) * mean(b, b)).sqrt()).sqrt(), [x, y])


def test_distance_correlation_knows_dependence_that_correlation_does_not():
    x = torch.linspace(-1, 1, 201)[:, None]
    turn = torch.linalg.qr(torch.randn(3, 3))[0]
    z = torch.randn(100, 3)
    assert distance_correlation(z, 5 * z @ turn + 2).item() == pytest.approx(1, abs=1e-4)
    square = distance_correlation(x, x.square()).item()
    assert square > 0.4
    assert distance_correlation(x, x.square()[torch.randperm(201)]).item() < square / 2
    twins = torch.ones(4, 2).index_fill(0, torch.tensor([0]), 3.0).requires_grad_()
    assert torch.autograd.grad(distance_correlation(twins, torch.randn(4, 2)), twins)[0].isfinite().all()


@pytest.mark.parametrize("views", [2, 3, 4])
def test_w_mse_of_many_views_is_the_mean_over_pairs(views):
    parts = leaves(*[(12, 3)] * views)

    def whiten(x):
        x = x - x.mean(0)
        return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / 11)).T

    white = [whiten(x) for x in parts]
    pairs = [(i, j) for i in range(views) for j in range(i)]
    cosines = [unit(white[i][k]) @ unit(white[j][k]) for i, j in pairs for k in range(12)]
    assert_same(w_mse(*parts), 2 - 2 * sum(cosines) / len(cosines), parts)


def test_bad_input_is_named():
    a = torch.randn(6, 3)
    for words, call in {
        "sub-batch of 3 items has no full-rank covariance in 3 dimensions; use size > 3": lambda: w_mse(a, a, size=3),
        "sub-batch of 6 items has no full-rank covariance in 8": lambda: w_mse(torch.randn(6, 8), torch.randn(6, 8)),
        "at least 2 views, not 1": lambda: w_mse(a),
        "view 2 must have the same shape": lambda: w_mse(a, a, a[:4]),
        "sigma must be a positive": lambda: decoupled(a, a, sigma=0.0),
        "temperature must be a positive": lambda: decoupled(a, a, 0.0),
        "queue must be": lambda: info_nce_queue(a, a, torch.randn(0, 3)),
        "negatives must be": lambda: nce(a, a, torch.randn(5, 4, 3), 10),
        "negatives is empty": lambda: nce(a, a, torch.randn(0, 3), 10),
        "items must lie between 2": lambda: nce(a, a, a, 1),
        "partition must be a positive": lambda: nce(a, a, a, 10, partition=-1.0),
        "epsilon must be a positive": lambda: swav(a, a, epsilon=0.0),
        "iterations must be at least 0": lambda: sinkhorn(a, iterations=-1),
        "scores must hold at least one item": lambda: sinkhorn(a[:0]),
        "scores / epsilon holds NaN": lambda: sinkhorn(a * math.nan),
        "student / student_temperature holds": lambda: dino(1e12 * a, a, student_temperature=1e-29),
        "teacher_temperature must be": lambda: dino(a, a, teacher_temperature=0.0),
        "student_temperature must be": lambda: dino(a, a, student_temperature=0.0),
        "center must have one entry for each of 3 clusters, not 1": lambda: dino(a, a, torch.zeros(1)),
        "partition must be one number": lambda: nce(a, a, a, 10, partition=torch.ones(2)),
        "at least 2, not 6 and 5": lambda: distance_correlation(a, a[:5]),
        "all rows of y are the same": lambda: distance_correlation(a, torch.ones(6, 2)),
        "NaN": lambda: distance_correlation(a, a * math.nan),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()
    for loss in (swav, partial(info_nce_queue, queue=a), partial(nce, negatives=a, items=10)):
        with pytest.raises(ValueError, match="temperature must be a positive"):
            loss(a, a, temperature=0.0)
    for loss in (byol, decoupled, dino, swav):
        with pytest.raises(ValueError, match="same shape"):
            loss(a, a[:4])
        with pytest.raises(ValueError, match="NaN"):
            loss(a, a * math.nan)


def by_differences(x, y):
    """Distance correlation from distances that are taken pair by pair."""
    a, b = (torch.cdist(z, z, compute_mode="donot_use_mm_for_euclid_dist") for z in (x, y))
    a, b = (d - d.mean(0) - d.mean(1)[:, None] + d.mean() for d in (a, b))
    return ((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt()).sqrt()


@pytest.mark.parametrize("kind", ["outlier", "tight clusters"])
def test_distance_correlation_has_its_gradient_beside_an_outlier_and_in_tight_clusters(kind):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 64, 4, generator=generator, dtype=torch.float64)
    if kind == "outlier":
        x[0] *= 1e4
    else:
        x = x * 2.5e-4
        x[:32] += 1
    x.requires_grad_()
    for loss in (distance_correlation, by_differences):
        value = loss(x, y)
        found = value.detach(), torch.autograd.grad(value, x)[0]
        if loss is distance_correlation:
            ours = found
    torch.testing.assert_close(ours[0], found[0], rtol=1e-6, atol=0)
    assert (ours[1] - found[1])[1:].norm() < 1e-4 * found[1][1:].norm()


@pytest.mark.parametrize("size", [1e-12, 1e9, 1e12])
def test_distance_correlation_does_not_run_out_of_floats(size):
    x = size * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    assert float(distance_correlation(x, x)) == pytest.approx(1, abs=1e-4)
