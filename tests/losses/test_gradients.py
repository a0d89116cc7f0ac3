"""The gradient of every loss against finite differences, in float64; and that no argument is changed on the way."""

import inspect
from functools import partial

import pytest
import torch

from labkit import losses
from labkit.losses._precision import unit_rows

ITEMS, DIM = 6, 4
NO_GRADIENT = {
    "sinkhorn": "gives shares, through which no gradient flows",
    "swav": "its shares change with its arguments and carry no gradient: see test_memory_and_clusters",
    "without_autocast": "is no loss",
}
DETACHED = {  # by design, as each docstring says
    "byol": {"z"},
    "dino": {"teacher", "center"},
    "info_nce_queue": {"keys", "queue"},
    "nce": {"positives", "negatives"},
}
OF_VIEWS = {"w_mse", "multi_view_nt_xent"}  # as many as one likes
OWN = {
    "nce": {"items": 20, "partition": 30.0},
    "w_mse": {"eps": 1e-3},
    "kernel_nt_xent": {"kernels": ((2.0, 1.0), (1.5, 0.7))},
    "equivariance": {"chunks": 2},
    "alignment": {"alpha": 1.5},
    "scaled_cosine_error": {"gamma": 2.5},
}


def arguments(name: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if name in OF_VIEWS:
        return {f"view {number}": drawn(ITEMS + 4, DIM) for number in range(3)}
    found = {}
    for parameter in inspect.signature(getattr(losses, name)).parameters.values():
        if parameter.default is inspect.Parameter.empty and parameter.name != "items":
            found[parameter.name] = drawn(DIM) if parameter.name == "center" else drawn(ITEMS, DIM)
    return found


@pytest.mark.parametrize("name", sorted(set(losses.__all__) - set(NO_GRADIENT)))
def test_gradients_are_those_of_finite_differences(name):
    given = arguments(name)
    free = [key for key in given if key not in DETACHED.get(name, ())]
    for key in free:
        given[key].requires_grad_()
    before = {key: value.detach().clone() for key, value in given.items()}

    def loss(*values: torch.Tensor) -> torch.Tensor:
        given_now = given | dict(zip(free, values, strict=True))
        if name in OF_VIEWS:
            return getattr(losses, name)(*given_now.values(), **OWN.get(name, {}))
        return getattr(losses, name)(**given_now, **OWN.get(name, {}))

    assert torch.autograd.gradcheck(loss, [given[key] for key in free])
    assert all(torch.equal(before[key], value) for key, value in given.items())
    for key in set(given) - set(free):  # no gradient flows where the docstring says so
        other = given[key].clone().requires_grad_()
        value = getattr(losses, name)(**(given | {key: other}), **OWN.get(name, {}))
        assert torch.autograd.grad(value, other, allow_unused=True)[0] is None


OF_UNIT_ROWS = {
    "nt_xent": losses.nt_xent,
    "nt_xent, tiles": partial(losses.nt_xent, block=5),
    "multi_view_nt_xent": losses.multi_view_nt_xent,
    "info_nce": losses.info_nce,
    "decoupled": losses.decoupled,
    "kernel_nt_xent": losses.kernel_nt_xent,
    "concatenation": partial(losses.kernel_nt_xent, kernels=((2.0, 1.0), (1.0, 0.7)), mixture="concatenation"),
    "info_nce_queue": lambda a, b: losses.info_nce_queue(a, b, b),
    "nce": lambda a, b: losses.nce(a, b, b, items=50),
    "byol": losses.byol,
    "scaled_cosine_error": losses.scaled_cosine_error,
    "alignment": losses.alignment,
    "uniformity": lambda a, b: losses.uniformity(a),
    "equivariance": losses.equivariance,
}


@pytest.mark.parametrize("loss", OF_UNIT_ROWS.values(), ids=OF_UNIT_ROWS)
def test_a_row_of_zeros_has_a_gradient_like_that_of_the_others(loss):
    a, b = torch.randn(2, 8, 4, generator=torch.Generator().manual_seed(0))
    a = torch.nn.functional.normalize(a)
    a[3] = 0
    a.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(a, b), a)
    assert gradient.norm(dim=1).max() < 10 * gradient.norm(dim=1).median()


def test_unit_rows_are_those_of_torch_to_the_bit():
    rows = torch.randn(9, 3, 5, requires_grad=True)
    upstream = torch.randn(9, 3, 5)
    ours, theirs = unit_rows(rows), torch.nn.functional.normalize(rows, dim=-1)
    assert torch.equal(ours, theirs)
    assert torch.equal(*(torch.autograd.grad(unit, rows, upstream)[0] for unit in (ours, theirs)))
    assert torch.equal(unit_rows(torch.zeros(2, 3)), torch.zeros(2, 3))
    assert unit_rows(torch.full((1, 2), torch.nan)).isnan().all()


def test_representations_that_do_not_depend_on_each_other_have_a_gradient():
    x, y = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1]], dtype=torch.float64)[..., None].requires_grad_()
    value = losses.distance_correlation(x, y)
    assert value == 0
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value, (x, y)))


@pytest.mark.parametrize("gamma", [0.01, 0.5, 1, 3])
def test_an_item_that_is_met_exactly_has_no_cosine_error_and_a_finite_gradient(gamma):
    x, y = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    y[0] = torch.tensor([0.0, 1, 0])
    y.requires_grad_()
    value = losses.scaled_cosine_error(x, y, gamma)
    assert value.item() == pytest.approx(1 / 3)  # one of three is at a right angle
    (gradient,) = torch.autograd.grad(value, y)
    assert gradient.isfinite().all()
    assert gradient[0].abs().sum() > 0
