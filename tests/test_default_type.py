"""A notebook that works in float64, or on another default device: what it gets is what one that does not gets."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import torch
from test_recipes import small_recipe, two_groups

from labkit import data, explore, recipes
from labkit._default_type import in_float32
from labkit.data import world
from labkit.evaluate import Split
from labkit.models import GCN, propagation_matrix
from labkit.train import Minibatches, seeded


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


def test_the_default_comes_back_when_threads_overlap(float64):
    first_inside, second_inside, first_left = Event(), Event(), Event()

    def first():
        with in_float32():
            first_inside.set()
            second_inside.wait(60)
        first_left.set()

    def second():
        first_inside.wait(60)
        with in_float32():
            second_inside.set()
            first_left.wait(60)
            return torch.zeros(1).dtype

    with ThreadPoolExecutor(2) as threads:
        threads.submit(first)
        assert threads.submit(second).result() == torch.float32
    assert torch.get_default_dtype() == torch.float64


def test_labs_of_graphs_open_under_another_default(request):
    graphs = data.load("mutag").packed[:20]
    plain = [panel.says for panel in explore.whole_graph_lab(graphs).panels]
    request.getfixturevalue("float64")
    explore.graph_view_lab(data.load("karate")).set(edge_drop=0.4, alpha=0.1)
    assert [panel.says for panel in explore.whole_graph_lab(graphs).panels] == plain


@pytest.fixture
def elsewhere():
    torch.set_default_device("meta")  # a device that every machine has
    yield
    torch.set_default_device(None)


def loaded():
    digits = data.load("digits")
    split = Split.random(digits.labels, repeats=2, seed=1)
    with seeded(0):
        batches = [*Minibatches(digits.images, 500)]
    graphs = data.load("mutag")
    packed = data.GraphBatch.of(list(graphs)[:9])
    parts = [digits.images, digits.splits["test"], data.load("karate").x, packed.edge_index, packed.ptr]
    return [*parts, *batches, split.train, split.test]


def test_what_is_loaded_and_split_lies_on_the_cpu_whatever_the_default_device(request):
    plain = loaded()
    request.getfixturevalue("elsewhere")
    torch.testing.assert_close(loaded(), plain, rtol=0, atol=0)
