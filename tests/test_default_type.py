"""A notebook that works in float64: data sets, scenes and recipes are those of one that does not."""

import pytest
import torch
from test_recipes import small_recipe, two_groups

from labkit import data, recipes
from labkit._default_type import in_float32
from labkit.data import world
from labkit.models import GCN, propagation_matrix


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def made(graph):
    pictures = data.load("world", n_train=6, n_test=2, size=16)
    scenes = world.sample(4, seed=3)
    return {
        "graph": data.load("karate").x,
        "world": pictures.images,
        "scenes": world.render(scenes, size=16, truths=list(world.TRUTHS)),
        "own graph": data.read_graph(graph).x,
        "scores": recipes.run(small_recipe(), seeds=1, dataset=graph, progress=False).scores,
    }


def test_what_is_loaded_drawn_and_trained_does_not_depend_on_the_default(request):
    graph = two_groups()
    plain = made(graph)
    request.getfixturevalue("float64")
    torch.testing.assert_close(made(graph), plain, rtol=0, atol=0)
    assert torch.get_default_dtype() == torch.float64


def test_the_default_comes_back_after_an_error(float64):
    with pytest.raises(ZeroDivisionError), in_float32():
        divmod(1, 0)
    with in_float32():
        assert torch.zeros(1).dtype == torch.float32
    assert torch.zeros(1).dtype == torch.float64


def test_a_graph_is_propagated_in_the_type_of_the_day(float64):
    graph = two_groups()
    doubles = propagation_matrix(graph.edge_index, 60) @ graph.x
    torch.set_default_dtype(torch.float32)
    x = graph.x.float()
    torch.testing.assert_close(propagation_matrix(graph.edge_index, 60) @ x, doubles.float())
    assert GCN(40, hidden=8, dim=4)(x, graph.edge_index).dtype == torch.float32
