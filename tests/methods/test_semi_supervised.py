"""Classifiers keep the weights of the best validation epoch, and are scored by their own prediction."""

import pytest
import torch
from torch.nn import functional as F

from labkit.data import stochastic_block_model
from labkit.evaluate import Protocol, floors
from labkit.methods import GCNClassifier
from labkit.models import propagation_matrix
from labkit.train import fit


@pytest.fixture
def data():
    graph = stochastic_block_model([30, 30], p_in=0.2, p_out=0.1, features=4, signal=1.0, seed=0)
    parts = torch.randperm(60)
    graph.train_mask, graph.val_mask, graph.test_mask = parts < 10, (parts >= 10) & (parts < 30), parts >= 30
    return graph


def accuracy(logits, data, mask):
    return (logits.argmax(dim=1) == data.y)[mask].float().mean().item()


def test_a_gcn_is_two_propagated_linear_maps(data):
    method = GCNClassifier(4, 2, hidden=5).eval()
    p = propagation_matrix(data.edge_index, 60).to_dense()
    hidden = (p @ data.x @ method.first.weight + method.first.bias).relu()
    logits = p @ hidden @ method.second.weight + method.second.bias
    torch.testing.assert_close(method.embed(data), logits)
    torch.testing.assert_close(method.hidden(data), hidden)
    torch.testing.assert_close(method(data), F.cross_entropy(logits[data.train_mask], data.y[data.train_mask]))


def test_embed_uses_the_best_validation_epoch(data):
    """One epoch at a time by hand; the last of equally good epochs is kept."""
    best, expected = -1.0, None

    class Watched(GCNClassifier):
        def after_step(self):
            nonlocal best, expected
            super().after_step()
            now = self._now(data)[0]
            if accuracy(now, data, data.val_mask) >= best:
                best, expected = accuracy(now, data, data.val_mask), now

    method = Watched(4, 2, hidden=8)
    run = fit(method, [data], epochs=60, lr=0.1, progress=False)
    assert float(method.best) == pytest.approx(best)
    torch.testing.assert_close(run.method.embed(data), expected)
    last = run.method._now(data)[0]
    assert not torch.allclose(last, expected)  # the case is one where it matters
    torch.testing.assert_close(run.method._now(data)[0], last)  # embedding left the weights where they were


def test_select_last_embeds_with_the_last_weights(data):
    run = fit(GCNClassifier(4, 2, select="last"), [data], epochs=5, progress=False)
    torch.testing.assert_close(run.method.embed(data), run.method._now(data)[0])


def test_looking_at_validation_does_not_change_training(data):
    def losses(select):
        torch.manual_seed(0)
        return fit(GCNClassifier(4, 2, select=select), [data], epochs=5, progress=False).history["loss"]

    assert losses("validation") == losses("last")


def test_a_run_is_saved_and_resumed_with_what_it_kept(data, tmp_path):
    def fresh():
        torch.manual_seed(0)
        return GCNClassifier(4, 2, hidden=8)

    whole = fit(fresh(), [data], epochs=20, lr=0.1, progress=False)
    path = tmp_path / "run.safetensors"
    fit(fresh(), [data], epochs=10, lr=0.1, progress=False, checkpoint=path)
    resumed = fit(fresh(), [data], epochs=20, lr=0.1, progress=False, checkpoint=path, resume=True)
    torch.testing.assert_close(resumed.method.embed(data), whole.method.embed(data))


def test_argmax_scores_logits_and_floors_get_a_probe(data):
    protocol = Protocol.public("argmax")
    z = F.one_hot(data.y, 2).float()
    assert protocol.score(z, data.y, data).mean == 1.0
    assert "own prediction" in protocol.score(z, data.y, data).protocol
    z[data.test_mask.nonzero()[0]] *= -1
    assert protocol.score(z, data.y, data).mean == pytest.approx(29 / 30)
    below = floors(data.x, data.y, data, protocol, untrained=z, edge_index=data.edge_index)
    assert below["raw"].mean == floors(data.x, data.y, data)["raw"].mean
    assert below["untrained"].mean == pytest.approx(29 / 30)
    with pytest.raises(ValueError, match="argmax scores logits"):
        protocol.score(z[:, :1], data.y, data)


def test_what_is_refused(data):
    with pytest.raises(ValueError, match="way to select an epoch"):
        GCNClassifier(4, 2, select="test")
    data.train_mask[:] = False
    with pytest.raises(ValueError, match="train_mask marks no node"):
        fit(GCNClassifier(4, 2), [data], epochs=1, progress=False)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"y": lambda y: y.int()}, "y must hold one int64 class for each node, not torch.int32"),
        ({"y": lambda y: y[:, None]}, r"y must hold one int64 class for each node, not torch.int64 of shape \[40, 1\]"),
        ({"train_mask": lambda m: m[:, None].expand(-1, 3)}, r"of several splits choose one: data.train_mask\[:, 0\]"),
        ({"y": lambda y: y - 1}, "train_mask marks nodes whose class is below 0"),
        ({"y": lambda y: y + 4}, "there are 2 classes, from 0, but train_mask marks a node of class 5"),
    ],
)
def test_labels_and_masks_of_another_form_are_named(changes, says):
    data = stochastic_block_model([20, 20], p_in=0.4, p_out=0.05, features=8, seed=0)
    data.train_mask = data.val_mask = torch.ones(40, dtype=torch.bool)
    for name, change in changes.items():
        data[name] = change(data[name])
    with pytest.raises(ValueError, match=says):
        fit(GCNClassifier(8, 2), [data], epochs=1, progress=False)
