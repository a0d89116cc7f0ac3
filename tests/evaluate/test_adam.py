"""The probe of a fixed number of steps against the loop that papers write."""

import pytest
import torch
from torch.nn import functional as F

from labkit.evaluate import Protocol, Split
from labkit.evaluate._adam import AdamProbe

Y = torch.arange(90) % 3
SPLIT = Split(torch.arange(30), torch.arange(30, 60), torch.arange(60, 90))


@pytest.fixture
def z():
    torch.manual_seed(0)
    return torch.randn(90, 8) + 0.7 * F.one_hot(Y, 8)


def written_out(z, steps, start, lr, weight_decay, select):
    """One start, as in the papers' code: nn.Linear, Adam, an accuracy after each step."""
    layer = torch.nn.Linear(8, 3)
    layer.weight.data, layer.bias.data = start.T.clone(), torch.zeros(3)
    adam = torch.optim.Adam(layer.parameters(), lr=lr, weight_decay=weight_decay)
    best = found = 0.0
    for _ in range(steps):
        adam.zero_grad()
        F.cross_entropy(layer(z[:30]), Y[:30]).backward()
        adam.step()
        validation, test = ((layer(z[a:b]).argmax(1) == Y[a:b]).double().mean().item() for a, b in ((30, 60), (60, 90)))
        if validation >= best:
            best, found = validation, test
    return test if select == "last" else found


@pytest.mark.parametrize("select", ["last", "validation"])
@pytest.mark.parametrize(("steps", "lr"), [(1, 0.01), (7, 0.01), (60, 0.01), (7, 0.3)])
def test_starts_side_by_side_equal_the_plain_loop(z, select, steps, lr):
    probe = AdamProbe(steps, lr, weight_decay=0.02, select=select, starts=4)
    bound = (6 / 11) ** 0.5
    starts = torch.rand(4, 8, 3, generator=torch.Generator().manual_seed(0)) * 2 * bound - bound
    expected = sum(written_out(z, steps, start, lr, 0.02, select) for start in starts) / 4
    assert probe(z, Y, SPLIT).mean == pytest.approx(expected)


def test_more_steps_learn_more(z):
    z = z + 4 * F.one_hot(Y, 8)
    assert AdamProbe(1)(z, Y, SPLIT).mean < 0.5
    assert AdamProbe(300)(z, Y, SPLIT).mean > 0.9


def test_normalising_takes_lengths_away(z):
    stretched = z * torch.rand(90, 1).add(0.1)
    normal = AdamProbe(normalize=True)
    assert normal(stretched, Y, SPLIT).mean == pytest.approx(normal(z, Y, SPLIT).mean)
    for size in (1e-15, 1e-30, 1e25):
        assert normal(z * size, Y, SPLIT).mean == pytest.approx(normal(z, Y, SPLIT).mean)


def test_it_prints_itself_and_is_a_protocol(z):
    protocol = Protocol.public("adam", steps=100, weight_decay=5e-3, select="validation", starts=10, normalize=True)
    assert str(protocol) == (
        "public, L2-normalised, linear layer after Adam steps of 0.01, weight decay 0.005: of 100 the best on "
        "validation, mean of 10 starts"
    )
    assert "of 300 the last one" in str(Protocol.public("adam"))
    assert Protocol.random(0.3, 0.3, 0.4, repeats=3, probe="adam", steps=5).score(z, Y).over == "3 splits"


def test_what_is_refused(z):
    for wrong in ({"steps": 0}, {"starts": 0}, {"lr": 0.0}, {"weight_decay": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AdamProbe(**wrong)
    with pytest.raises(ValueError, match="no selection named 'test'"):
        AdamProbe(select="test")
    with pytest.raises(ValueError, match="no validation rows"):
        AdamProbe(select="validation")(z, Y, Split(torch.arange(30), None, torch.arange(60, 90)))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_learns_where_gradients_are_off(context):
    y = torch.arange(90) % 3
    z = F.one_hot(y).float() + 0.1 * torch.randn(90, 3, generator=torch.Generator().manual_seed(0))
    protocol = Protocol.random(0.4, 0.2, 0.4, probe="adam", steps=20)
    with context():
        inside = protocol.score(z + 0, y)
    assert inside == protocol.score(z, y)


def test_classes_may_have_any_numbers(z):
    y = torch.tensor([2, 5, 2**40])[Y]
    assert AdamProbe(steps=5)(z, y, SPLIT) == AdamProbe(steps=5)(z, Y, SPLIT)


def test_autocast_around_the_probe_changes_nothing(z):
    split = Split(torch.arange(30), torch.arange(30, 45), torch.arange(45, 60))
    y = torch.arange(60) % 3
    z = torch.randn(60, 5)
    with torch.autocast("cpu", torch.bfloat16):
        within = AdamProbe(starts=20)(z, y, split)
    assert within.values == AdamProbe(starts=20)(z, y, split).values
