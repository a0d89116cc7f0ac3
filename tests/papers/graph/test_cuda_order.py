import numpy as np
import pytest
import torch

from labkit.data import stochastic_block_model
from labkit.papers.graph._cuda_order import cuda_permutation, philox
from labkit.papers.graph._links import SEED_OF_BANDANA, link_split


@pytest.mark.parametrize(
    ("counter", "key", "drawn"),
    [  # known answers of Random123, the authors' own implementation
        ([0, 0, 0, 0], [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers(counter, key, drawn):
    found = philox(np.array(counter, dtype=np.uint64)[:, None], np.array(key, dtype=np.uint64))
    assert found[:, 0].tolist() == drawn


def test_the_keys_are_those_of_cuda():
    """torch.rand(4, device="cuda") after torch.manual_seed(0), as its users print it."""
    counter = np.zeros((4, 4), dtype=np.uint64)
    counter[2] = np.arange(4)
    uniform = (philox(counter, np.zeros(2, dtype=np.uint64))[0] + 0.5) / 2**32
    np.testing.assert_allclose(uniform, [0.3990, 0.5167, 0.0249, 0.9401], atol=5e-5)


@pytest.mark.parametrize("n", [0, 1, 2, 100, 30_000])
def test_a_permutation_holds_every_entry_once_and_goes_with_its_seed(n):
    drawn = cuda_permutation(n, 7)
    assert torch.equal(drawn.sort().values, torch.arange(n))
    assert torch.equal(drawn, cuda_permutation(n, 7))
    assert n < 3 or not torch.equal(drawn, cuda_permutation(n, 8))


@pytest.mark.gpu
@pytest.mark.parametrize("n", [4552, 5278])
def test_a_gpu_draws_the_same(n):
    torch.manual_seed(SEED_OF_BANDANA)
    drawn = torch.randperm(n, device="cuda").cpu()
    assert (drawn != cuda_permutation(n, SEED_OF_BANDANA)).sum() <= 2  # equal keys may swap


def test_the_released_split_takes_edges_sorted_by_node_in_the_order_of_a_gpu():
    graph = stochastic_block_model([20, 20], p_in=0.7, p_out=0.02, features=8, signal=3.0, seed=0)
    graph.edge_weight = torch.arange(graph.num_edges).float()
    shuffled = graph.edge_subgraph(torch.randperm(graph.num_edges, generator=torch.Generator().manual_seed(0)))
    edges = graph.coalesce().edge_index
    forward = edges[:, edges[0] < edges[1]]
    forward = forward[:, cuda_permutation(forward.shape[1], SEED_OF_BANDANA)]
    held = int(0.1 * forward.shape[1])
    for data in (graph, shuffled):  # whatever the order of the file
        train, _, test = link_split(data)
        assert torch.equal(test.edge_label_index[:, test.edge_label == 1], forward[:, -held:])
        kept = train.edge_index[:, : train.num_edges // 2]
        assert torch.equal(kept, forward[:, : kept.shape[1]])


def test_a_split_of_its_own_is_drawn_here():
    graph = stochastic_block_model([20, 20], p_in=0.7, p_out=0.02, features=8, signal=3.0, seed=0)
    held = [link_split(graph, seed)[2].edge_label_index for seed in (0, 0, 1, SEED_OF_BANDANA, None)]
    assert torch.equal(held[0], held[1])
    assert not any(torch.equal(held[0], other) for other in held[2:])
    assert not torch.equal(held[3], held[4])
