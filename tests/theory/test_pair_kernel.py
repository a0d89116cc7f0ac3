"""The pair kernel, its inertia, and the closed-form encoder against the flow that ends there."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from labkit.theory import modes, stepwise
from labkit.theory.pair_kernel import PairKernelEncoder, arc_cosine, gaussian, kernel_pca, linear, pair_kernel


def pairs(n=20, dim=5, noise=0.6):
    x = torch.randn(n, dim, dtype=torch.float64)
    return tuple(x + noise * torch.randn(n, dim, dtype=torch.float64) for _ in range(2))


def swap(n):
    half = torch.eye(n, dtype=torch.float64)
    zero = torch.zeros_like(half)
    return torch.cat([torch.cat([zero, half], 1), torch.cat([half, zero], 1)]) / (2 * n)


def test_the_definition_and_the_form_in_the_paper_agree():
    gram = gaussian(1.5)(*[torch.cat(pairs())] * 2)
    value, vector = torch.linalg.eigh(gram)
    root = (vector * value.sqrt()) @ vector.T
    expected = root @ swap(20) @ root
    torch.testing.assert_close(pair_kernel(gram), expected, rtol=0, atol=1e-12)
    inverse_root = (vector * value.rsqrt()) @ vector.T
    crossed = gram[:, :20] @ gram[20:]
    as_written = inverse_root @ (crossed + crossed.T) @ inverse_root / 40
    torch.testing.assert_close(as_written, expected, rtol=0, atol=1e-12)


def test_linear_kernel_has_the_spectrum_of_the_cross_covariance():
    x, x2 = pairs()
    found = torch.linalg.eigvalsh(pair_kernel(linear(*[torch.cat([x, x2])] * 2)))
    found = found[found.abs().argsort(descending=True)][:5].sort().values
    expected = torch.linalg.eigvalsh(modes.cross_covariance(x, x2, center=False))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_full_rank_kernels_have_n_positive_and_n_negative_modes():
    gram = gaussian(1.0)(*[torch.cat(pairs(n=30))] * 2)
    gamma = torch.linalg.eigvalsh(pair_kernel(gram))
    assert (int((gamma > 0).sum()), int((gamma < 0).sum())) == (30, 30)
    alone = torch.linalg.eigvalsh(pair_kernel(torch.eye(60, dtype=torch.float64)))
    torch.testing.assert_close(alone.abs(), torch.full_like(alone, 1 / 60))  # pairs alone order nothing


@pytest.mark.parametrize("kernel", [linear, gaussian(2.0), arc_cosine])
@pytest.mark.parametrize("center", [True, False])
def test_the_encoder_has_loss_zero_and_the_least_norm(kernel, center):
    x, x2 = pairs()
    encoder = PairKernelEncoder.fit(x, x2, dim=3, kernel=kernel, center=center)
    f, f2 = encoder.embed(x), encoder.embed(x2)
    torch.testing.assert_close((f.T @ f2 + f2.T @ f) / 40, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-9)
    gram = kernel(encoder.views, encoder.views)
    still = torch.eye(40, dtype=torch.float64) - center / 40
    norm = torch.trace(encoder.coefficients @ still @ gram @ still @ encoder.coefficients.T).item()
    assert norm == pytest.approx((1 / encoder.gamma).sum().item(), rel=1e-8)
    wider = PairKernelEncoder.fit(x, x2, dim=4, kernel=kernel, center=center)
    torch.testing.assert_close(wider.embed(x)[:, :3], f)  # nested: the first columns are the narrower encoder


def test_linear_kernel_gives_the_final_linear_encoder():
    x, x2 = pairs()
    encoder = PairKernelEncoder.fit(x, x2, dim=3)
    gamma, v = torch.linalg.eigh(modes.cross_covariance(x, x2))
    weight = stepwise.final_encoder(gamma.flip(0)[:3], v.flip(1)[:, :3])
    new = torch.randn(7, 5, dtype=torch.float64)
    found, expected = encoder.embed(new), (new - torch.cat([x, x2]).mean(0)) @ weight.T
    torch.testing.assert_close(found * (found * expected).sum(0).sign(), expected)
    assert (1 / encoder.gamma).sum().item() == pytest.approx(weight.square().sum().item())


def test_the_flow_of_the_kernel_loss_ends_at_the_encoder():
    """dF/dt = −4 (F Z Fᵀ − I) F Z K̃ from a small random start, for the embeddings F [d, 2n] of all views."""
    shrink = 3 * 0.3 ** torch.arange(5, dtype=torch.float64)  # modes of well separated eigenvalues: quick to converge
    x, x2 = (view * shrink for view in pairs(n=8, noise=0.1))
    kernel, d = gaussian(3.0), 2
    encoder = PairKernelEncoder.fit(x, x2, dim=d, kernel=kernel, center=False)
    gram, z = kernel(encoder.views, encoder.views), swap(8)
    step = (z @ gram).numpy()
    z = z.numpy()

    def flow(_, flat):
        f = flat.reshape(d, 16)
        return (-4 * (f @ z @ f.T - np.eye(d)) @ f @ step).ravel()

    start = 1e-6 * (torch.randn(d, 16, dtype=torch.float64) @ gram).numpy()
    end = 20 / (8 * float(encoder.gamma[-1]))  # a mode of 1e-12 is learned after about 28 / (8 γ)
    final = solve_ivp(flow, (0, 2 * end), start.ravel(), rtol=1e-8, atol=1e-12, method="LSODA").y[:, -1]
    f, expected = torch.tensor(final).reshape(d, 16), encoder.embed(encoder.views).T
    u, _, vh = torch.linalg.svd(f @ expected.T)
    assert ((u @ vh @ expected - f).norm() / f.norm()).item() < 0.01


def test_arc_cosine_kernel_is_the_mean_over_random_relus():
    x, w = torch.randn(4, 3, dtype=torch.float64), torch.randn(400_000, 3, dtype=torch.float64)
    hidden = (x @ w.T).relu()
    torch.testing.assert_close(arc_cosine(x, x), hidden @ hidden.T / len(w), rtol=0.03, atol=0.02)
    assert torch.isfinite(arc_cosine(torch.zeros(2, 3), torch.ones(2, 3))).all()


def test_kernel_pca_is_scikit_learn_s():
    from sklearn.decomposition import KernelPCA

    x, new = torch.randn(30, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    theirs = KernelPCA(3, kernel="rbf", gamma=1 / (2 * 1.5**2)).fit(x.numpy())
    expected = torch.tensor(theirs.transform(new.numpy()) / np.sqrt(theirs.eigenvalues_ / 30))
    found = kernel_pca(x, new, 3, gaussian(1.5))
    torch.testing.assert_close(found * (found * expected).sum(0).sign(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kernel", [linear, gaussian(2.0)])
@pytest.mark.parametrize("x", [torch.full((7, 3), 0.3), torch.ones(1, 3)])
def test_views_that_are_all_alike_leave_nothing_to_embed_by(x, kernel):
    """Centring leaves rounding of them, and no mode."""
    with pytest.raises(ValueError, match="x and x2 share no mode"):
        PairKernelEncoder.fit(x, x, kernel=kernel)


def test_bad_input_is_named():
    x, x2 = pairs()
    with pytest.raises(ValueError, match="between 1 and 5, the modes"):
        PairKernelEncoder.fit(x, x2, dim=6)
    with pytest.raises(ValueError, match="the items of x2 must be the 20 of x, not 19"):
        PairKernelEncoder.fit(x, x2[:-1])
    with pytest.raises(ValueError, match="NaN"):
        PairKernelEncoder.fit(x * math.nan, x2)
    for gram, words in ((torch.eye(3), "even size"), (torch.ones(0, 0), "even size"), (torch.ones(4, 2), "4 of gram")):
        with pytest.raises(ValueError, match=words):
            pair_kernel(gram)
    with pytest.raises(ValueError, match="square"):
        PairKernelEncoder.fit(x, x2, kernel=lambda a, _: torch.ones(len(a), 4).to(a))
    with pytest.raises(ValueError, match="symmetric"):
        pair_kernel(torch.tensor([[1.0, 2], [0, 1]]))
    nearly = torch.eye(4, dtype=torch.float64) + 1
    nearly[0, 1] += 0.9e-6
    pair_kernel(nearly)
    nearly[0, 1] += 0.9e-6
    with pytest.raises(ValueError, match="symmetric"):
        pair_kernel(nearly)
    with pytest.raises(ValueError, match="bandwidth must be a positive"):
        gaussian(0)
    with pytest.raises(ValueError, match="queries holds NaN"):
        kernel_pca(x, x * math.nan, 1)
    with pytest.raises(ValueError, match="rank of the kernel"):
        kernel_pca(x, x, 6)
    for call in (lambda: kernel_pca(x[:0], x, 1), lambda: PairKernelEncoder.fit(x[:0], x[:0])):
        with pytest.raises(ValueError, match="x must hold at least one item"):
            call()


def test_far_from_zero_no_dimension_is_made_of_rounding():
    torch.manual_seed(0)
    x = 1e5 + torch.randn(50, 3, dtype=torch.float64)
    assert kernel_pca(x, x, None).shape == (50, 3)


def test_a_point_lies_on_itself():
    x = 10 * torch.randn(60, 8)
    assert (gaussian(0.1)(x, x).diagonal() == 1).all()
