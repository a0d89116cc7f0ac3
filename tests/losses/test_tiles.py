"""Every loss over pairs of the batch, tile by tile: the dense value and gradient, and never a matrix of all pairs."""

from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from labkit import losses
from labkit.losses import info_nce, kernel_nt_xent, nt_xent, spectral_contrastive
from labkit.losses._tiles import log_sums

MIXED = ((2.0, 0.8), (1.0, 0.5))
LOSSES = {
    "nt_xent": nt_xent,
    "nt_xent at 0.002": partial(nt_xent, temperature=0.002),
    "info_nce": info_nce,
    "info_nce at 0.002": partial(info_nce, temperature=0.002),
    "laplacian": partial(kernel_nt_xent, kernels=((1.0, 0.5),)),
    "sum": partial(kernel_nt_xent, kernels=MIXED, weights=(1, 3)),
    "sum at low τ": partial(kernel_nt_xent, kernels=((2.0, 0.004), (1.0, 0.002))),
    "concatenation": partial(kernel_nt_xent, kernels=MIXED, mixture="concatenation"),
    "concatenation (as released)": partial(kernel_nt_xent, kernels=MIXED, mixture="concatenation (as released)"),
    "losses (as released)": partial(kernel_nt_xent, kernels=MIXED, mixture="losses (as released)"),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def embeddings(n, dim, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(n, dim, generator=generator, dtype=dtype) for _ in range(2)]
    return [view.to(device).requires_grad_() for view in views]


def value_and_gradients(loss, views, **options):
    value = loss(*views, **options)
    return value.detach(), *torch.autograd.grad(value, views)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("n", "block"), [(4, 1), (40, 7), (90, 64)])
def test_tiles_give_the_dense_value_and_gradient(name, dtype, n, block):
    loss, views = LOSSES[name], embeddings(n, 12, dtype)
    # logits of 1 / τ = 500 are themselves rounded to 3e-5 in float32
    close = 1e-10 if dtype == torch.float64 else 1e-4 if "0.002" in name or "low" in name else 1e-5
    dense, tiled = (value_and_gradients(loss, views, block=rows) for rows in (2 * n, block))
    for one, other in zip(tiled, dense, strict=True):
        assert one.dtype == dtype
        assert (one - other).abs().max() <= close * other.abs().max()


@pytest.mark.parametrize("partner", [0, 2, 10])
def test_the_partner_of_a_row_is_left_out_in_whichever_tile_it_lies(partner):
    rows, columns = torch.randn(11, 3, dtype=torch.float64), torch.randn(13, 3, dtype=torch.float64)
    found = log_sums(torch.inner, rows, columns, bounds=(-50, 50), partner=partner, block=4)
    left = torch.ones(11, 13, dtype=torch.bool)
    left[torch.arange(11), (torch.arange(11) + partner) % 13] = False
    torch.testing.assert_close(found, (rows @ columns.T).masked_fill(~left, -torch.inf).logsumexp(1))


@every_loss
def test_gradients_of_the_tiles_are_those_of_the_value(loss):
    assert torch.autograd.gradcheck(partial(loss, block=3), embeddings(5, 4))


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that was made."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **kwargs or {})
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.untyped_storage().nbytes() // tensor.element_size())
        return made


def largest(loss, n, dim, **options):
    views = embeddings(n, dim, torch.float32)
    with Largest() as seen:
        value_and_gradients(loss, views, **options)
    return seen.elements


@every_loss
def test_no_matrix_of_all_pairs_is_made(loss):
    n, dim, block = 600, 8, 32
    assert largest(loss, n, dim, block=block) <= max(2 * n * dim, 2 * block**2)
    assert largest(loss, n, dim, block=2 * n) >= n**2  # the dense form makes one: this can fail


@pytest.mark.parametrize("loss", [LOSSES[name] for name in ("nt_xent", "nt_xent at 0.002", "info_nce", "laplacian")])
@pytest.mark.parametrize("tiles", [0, 3, 1000])
def test_as_many_tiles_are_kept_as_the_budget_allows_and_nothing_else_changes(loss, tiles, monkeypatch):
    block = 8
    monkeypatch.setattr("labkit.losses._tiles.KEPT", 0)
    expected = value_and_gradients(loss, embeddings(30, 5), block=block)
    monkeypatch.setattr("labkit.losses._tiles.KEPT", tiles * 8 * block**2)
    views = embeddings(30, 5)
    value = loss(*views, block=block)
    kept = {key: tile for function in graph(value) for key, tile in getattr(function, "kept", {}).items()}
    held = sum(tile.nbytes for tile in kept.values())
    assert held <= tiles * 8 * block**2
    if loss is not LOSSES["laplacian"]:  # whose gradients autograd finds, from the rows
        assert (held > 0) == (tiles > 0)
    first, second = (torch.autograd.grad(value, views, retain_graph=True) for _ in range(2))
    for gradients in (first, second):
        assert all(torch.equal(*pair) for pair in zip((value, *gradients), expected, strict=True))


def graph(value):
    """Every function on the way back from ``value``."""
    waiting = [value.grad_fn]
    while waiting:
        function = waiting.pop()
        if function is not None:
            yield function
            waiting += [following for following, _ in function.next_functions]


@pytest.mark.parametrize(("n", "dim"), [(600, 8), (8, 600)])
def test_the_spectral_loss_makes_nothing_larger_than_its_input(n, dim):
    assert largest(spectral_contrastive, n, dim) == n * dim


@pytest.mark.parametrize(("n", "dim"), [(9, 4), (4, 9)])
def test_the_spectral_loss_by_moments_and_by_pairs(n, dim):
    a, b = embeddings(n, dim)
    similarity = a @ b.T
    others = similarity.square().sum() - similarity.diag().square().sum()
    slow = -2 * similarity.diag().mean() + others / (n * (n - 1))
    torch.testing.assert_close(spectral_contrastive(a, b), slow, rtol=1e-10, atol=1e-10)
    for one, other in zip(*(torch.autograd.grad(x, (a, b)) for x in (spectral_contrastive(a, b), slow)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("loss", [nt_xent, info_nce])
@pytest.mark.parametrize("block", [32, 48, 1000])
@pytest.mark.parametrize("apart", [None, 0.3, 0.1, 0.02], ids=lambda apart: f"views {apart} apart")
def test_bfloat16_products_are_as_near_as_the_docstring_says(loss, block, apart):
    views = embeddings(200, 64, torch.float32)
    if apart:  # the positive outweighs all others, and what is left of the loss must not be its rounding
        views = views[0], (views[0] + apart * views[1]).detach().requires_grad_()
    loss = partial(loss, temperature=0.1)
    exact = value_and_gradients(loss, views, block=block)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(*views, block=block)
    assert value.dtype == torch.float32
    assert abs(value - exact[0]) <= 2e-3 * exact[0]
    for one, other in zip(torch.autograd.grad(value, views), exact[1:], strict=True):
        assert 0 < (one - other).norm() <= 3e-2 * other.norm()


@pytest.mark.parametrize("apart", [0.3, 0.03], ids=lambda apart: f"views {apart} apart")
@pytest.mark.parametrize("count", [2, 4])
def test_bfloat16_products_of_several_views_are_as_near(count, apart):
    one = torch.randn(64, 64)
    views = [(one + apart * torch.randn(64, 64)).requires_grad_() for _ in range(count)]
    exact = value_and_gradients(partial(losses.multi_view_nt_xent, temperature=0.2), views)
    with torch.autocast("cpu", torch.bfloat16):
        value = losses.multi_view_nt_xent(*views, temperature=0.2)
    assert abs(value - exact[0]) <= 2e-3 * exact[0]
    for ours, theirs in zip(torch.autograd.grad(value, views), exact[1:], strict=True):
        assert 0 < (ours - theirs).norm() <= 3e-2 * theirs.norm()


FULL = {
    "alignment": losses.alignment,
    "barlow_twins": losses.barlow_twins,
    "byol": losses.byol,
    "decoupled": losses.decoupled,
    "dino": losses.dino,
    "distance_correlation": losses.distance_correlation,
    "equivariance": losses.equivariance,
    "info_nce_queue": lambda a, b: losses.info_nce_queue(a, b, a),
    "kernel_nt_xent": partial(kernel_nt_xent, kernels=MIXED),
    "nce": lambda a, b: losses.nce(a, b, a, items=50),
    "scaled_cosine_error": losses.scaled_cosine_error,
    "sinkhorn": lambda a, b: losses.sinkhorn(a),
    "spectral_contrastive": spectral_contrastive,
    "swav": losses.swav,
    "uniformity": lambda a, b: losses.uniformity(a) + losses.uniformity(b),
    "vicreg": losses.vicreg,
    "w_mse": losses.w_mse,
    "whiten": lambda a, b: losses.whiten(a),
}


def test_all_losses_but_those_of_products_in_bfloat16_are_tried_below():
    assert set(losses.__all__) - set(FULL) == {"info_nce", "multi_view_nt_xent", "nt_xent", "without_autocast"}


@pytest.mark.parametrize("loss", FULL.values(), ids=FULL)
def test_distances_and_moments_stay_in_float32(loss):
    views = [x.detach() for x in embeddings(40, 8, torch.float32)]
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = loss(*views)
    assert torch.equal(under_autocast, loss(*views))
    half = [x.bfloat16() for x in views]
    assert torch.equal(loss(*half), loss(*(x.float() for x in half)))


def test_bad_block_is_named():
    a, b = embeddings(4, 2)
    for loss in (nt_xent, info_nce, kernel_nt_xent):
        with pytest.raises(ValueError, match="block must be at least 1 row, not 0"):
            loss(a, b, block=0)


@pytest.mark.gpu
@every_loss
def test_tiles_on_cuda_give_the_value_and_gradient_of_the_cpu(loss):
    expected = value_and_gradients(loss, embeddings(700, 32), block=128)
    for one, other in zip(value_and_gradients(loss, embeddings(700, 32, device="cuda"), block=128), expected):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-10, atol=1e-10)


@pytest.mark.gpu
def test_memory_on_cuda_grows_with_the_rows():
    def extra(n):
        views = embeddings(n, 64, torch.float32, "cuda")
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        value_and_gradients(nt_xent, views, block=512)
        return torch.cuda.max_memory_allocated() - before

    assert extra(32_768) <= 5 * extra(8_192)  # 16 times the pairs
