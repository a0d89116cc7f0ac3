"""Public functions, misused: a few of the inputs that ``python -m tests.trust.misuse`` tries many of."""

import numpy as np
import pytest
import torch
from trust.misuse import ROOMS, SHARE, Misuse, Tally, as_a_user, attempt, public, spoilings, try_out

from labkit._arguments import checked
from labkit.data import GraphSet, ImageSet
from labkit.train import Minibatches


@pytest.mark.parametrize("room", ROOMS)
def test_each_public_function_answers_rightly_or_says_what_is_wrong(room):
    tally = Tally()
    with as_a_user():
        examples = round(12 * SHARE.get(room, 1))
        found = [try_out(owner, function, examples, tally) for owner, function in public(room) if is_checked(function)]
    assert [misuse for misuse in found if misuse] == []
    assert tally.functions == len(found)


def is_checked(function) -> bool:
    """The command tries the others, too, and counts what it finds."""
    return hasattr(function.__init__ if isinstance(function, type) else function, "with_checked_arguments")


def naive(z, k: int):
    """No check: what the harness has to notice."""
    return z.sum() / k


def in_place(z, k: int):
    z += k
    return z.sum()


@pytest.mark.parametrize("function", [naive, in_place])
def test_a_function_without_checks_is_found_out(function):
    tally = Tally()
    with as_a_user():
        assert try_out("losses.naive", function, 60, tally)
    assert tally.inputs >= 1


def test_arguments_that_fit_have_to_be_taken():
    def refuses(z):
        raise ValueError("z is refused")

    with as_a_user(), pytest.raises(Misuse, match=r"as it should be.*: ValueError: z is refused"):
        attempt("losses.refuses", refuses, lambda options: options[0])


def test_what_is_spoiled_is_what_the_harness_says():
    words = [word for word, _ in spoilings(torch.randn(4, 3))]
    assert len(words) == len(set(words)) > 30
    with as_a_user(), pytest.raises(Misuse, match="as it should be"):
        attempt("losses.naive", lambda z: z * float("nan"), lambda options: options[0])


def test_annotations_become_checks():
    from jaxtyping import Float, Int64
    from torch import Tensor

    @checked
    def f(x: Float[Tensor, "n d"], y: Int64[Tensor, " n"], t: float = 1.0, k: int | None = None, *, name: str = "a"):
        return len(x)

    x, y = torch.randn(3, 2), torch.arange(3)
    assert f(x, y, 2, k=None, name="b") == f(x=x, y=y) == 3
    for error, words, arguments in (
        (TypeError, "x must be a floating-point tensor [n, d], not None", (None, y)),
        (ValueError, "x must be a floating-point tensor [n, d], not [3] of float32", (x[:, 0], y)),
        (ValueError, "y must be an int64 tensor [n], not [3] of int32", (x, y.int())),
        (ValueError, "the n of y must be the 3 of x, not 2", (x, y[:2])),
        (ValueError, "use x.float()", (x.half(), y)),
        (ValueError, "on the meta device", (x.to("meta"), y)),
        (ValueError, "x holds NaN or infinite values in 3 of 3 rows", (x * torch.nan, y)),
        (ValueError, "sums of their powers overflow float32", (x * 1e19, y)),
        (TypeError, "t must be a number, not 'x' (str)", (x, y, "x")),
        (ValueError, "t must be a number, not nan", (x, y, float("nan"))),
        (TypeError, "k must be a whole number of 64 bits or None, not 1.5", (x, y, 1.0, 1.5)),
    ):
        with pytest.raises(error) as caught:
            f(*arguments)
        assert words in str(caught.value)
    with pytest.raises(TypeError, match="name must be a string, not 3"):
        f(x, y, name=3)


def test_other_annotations_become_checks_and_numbers_may_be_left_alone():
    from collections.abc import Callable, Sequence

    from jaxtyping import Float
    from torch import Tensor

    @checked(numbers=False)
    def f(
        x: Float[Tensor, "*batch d"],
        factor: float = 1.0,
        flag: bool = True,
        call: Callable = len,
        pair: tuple[int, int] = (1, 2),
        names: Sequence[str] = (),
    ):
        return x.dim()

    assert f(torch.full((2, 3, 4), torch.nan), np.float32(1e30), names=["a"], pair=[3, 4]) == 3
    x = torch.ones(3)
    for error, words, arguments in (
        (ValueError, "x must be a floating-point tensor [*batch, d], not [] of float32", {"x": x[0]}),
        (TypeError, "flag must be True or False, not 1 (int)", {"flag": 1}),
        (TypeError, "call must be something to call, not 3 (int)", {"call": 3}),
        (ValueError, "pair must be a sequence of 2, each a whole number of 64 bits, not (1,)", {"pair": (1,)}),
        (ValueError, "names must be a sequence, each a string, not ['a', 1] (list)", {"names": ["a", 1]}),
        (TypeError, "names must be a sequence, each a string, not 'ab' (str)", {"names": "ab"}),
    ):
        with pytest.raises(error) as caught:
            f(**{"x": x} | arguments)
        assert words in str(caught.value)


def test_a_class_is_checked_where_it_is_made():
    @checked
    class Box:
        def __init__(self, *sides: float):
            self.sides = sides

    assert Box(1, 2.5).sides == (1, 2.5)
    with pytest.raises(TypeError, match="sides must be a number"):
        Box(1, "2")


def test_minibatches_of_a_data_set_say_which_part_of_it_they_take():
    from torch_geometric.data import Data

    images = ImageSet(torch.zeros(4, 1, 2, 2, dtype=torch.uint8))
    graphs = GraphSet((Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [1]]), y=torch.tensor([0])),))
    for items, part in ((images, "images"), (graphs, "packed")):
        with pytest.raises(TypeError, match=rf"; hand in its \.{part}$"):
            Minibatches(items, 2)
