"""What is remembered of a tensor: made once, made anew after a change, gone with the tensor."""

import gc
import weakref
from functools import partial

import pytest
import torch

from labkit._remembered import Remembered
from labkit.data import stochastic_block_model
from labkit.methods import GCNClassifier
from labkit.models import Neighbourhoods, diffuse, propagation_matrix, sparse_if_faster
from labkit.papers.graph import mvgrl
from labkit.papers.graph.graphmae import GraphMAE
from labkit.train import fit


def test_it_is_made_once_for_each_key_and_anew_after_a_change():
    made, kept, tensor = [], Remembered(), torch.zeros(3)

    def ask(*key):
        return kept.of(tensor, lambda: made.append(key) or len(made), *key)

    assert [ask(1), ask(2), ask(1), ask(2)] == [1, 2, 1, 2]
    tensor[0] = 1.0
    assert [ask(1), ask(1)] == [3, 3]
    assert kept.of(torch.zeros(3), lambda: "another", 1) == "another"


def test_none_is_remembered_too():
    kept, tensor, made = Remembered(), torch.zeros(3), []
    assert [kept.of(tensor, lambda: made.append(0)) for _ in range(3)] == [None] * 3
    assert len(made) == 1


def test_of_a_tensor_that_does_not_say_when_it_changes_nothing_is_remembered():
    kept, made = Remembered(), []
    with torch.inference_mode():
        tensor = torch.zeros(3)
    for _ in range(2):
        kept.of(tensor, lambda: made.append(0))
    assert len(made) == 2


@pytest.mark.parametrize("dense_below", [0, 100])
def test_graphs_are_let_go(dense_below, monkeypatch):
    """A cache that holds what it is looked up by keeps every subgraph of a training."""
    monkeypatch.setattr(mvgrl, "DENSE_BELOW", dense_below)
    data = stochastic_block_model([10, 10], p_in=0.5, p_out=0.1, features=4, seed=0)
    data.x = data.x * (torch.rand(20, 4) < 0.05)
    mvgrl.MVGRL(4, dim=3)(data)
    GCNClassifier(4, 2).encode(data)
    Neighbourhoods.of(data.edge_index, 20)
    diffuse(torch.ones(20, 1), data.edge_index)
    propagation_matrix(data.edge_index, 20)
    sparse_if_faster(data.x)
    watched = [weakref.ref(data.edge_index), weakref.ref(data.x)]
    del data
    gc.collect()
    assert [reference() for reference in watched] == [None, None]


@pytest.mark.parametrize("make", [partial(mvgrl.MVGRL, dim=4), partial(GraphMAE, hidden=8, heads=2), GCNClassifier])
def test_what_was_embedded_in_inference_mode_can_be_trained_on(make):
    data = stochastic_block_model([10, 10], p_in=0.5, p_out=0.1, features=4, seed=0)
    data.x = data.x * (torch.rand(20, 4) < 0.05)
    data.train_mask = data.val_mask = torch.ones(20, dtype=torch.bool)
    method = make(4, 2) if make is GCNClassifier else make(4)
    with torch.inference_mode():
        method.embed(data)
    assert fit(method, [data], epochs=2, progress=False).epochs == 2
