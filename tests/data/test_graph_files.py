"""A graph of one's own: what is saved comes back, and what no method can use is refused in one sentence."""

import numpy as np
import pytest
import torch
from scipy.sparse import random as random_sparse
from torch_geometric.data import Data
from torch_geometric.transforms import Constant
from torch_geometric.utils import is_undirected

from labkit.data import check_graph, read_graph, save_graph, stochastic_block_model


def small(**changes) -> Data:
    """Five nodes; the last two are isolated."""
    fields = {
        "x": torch.randn(5, 3),
        "edge_index": torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]),
        "y": torch.tensor([0, 1, 0, 1, 1]),
        "train_mask": torch.tensor([True, True, False, False, False]),
    }
    return Data(**fields | changes)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".NPZ"])
def test_what_is_saved_comes_back(suffix, tmp_path):
    graph = small(edge_weight=torch.rand(4))
    save_graph(graph, tmp_path / f"mine{suffix}")
    back = read_graph(str(tmp_path / f"mine{suffix}"))
    assert sorted(back.keys()) == sorted(graph.keys())
    for name, value in graph:
        assert torch.equal(back[name], value)
        assert back[name].dtype == value.dtype
    assert back.num_nodes == 5  # isolated trailing nodes are kept
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.misfortune("full disk or read-only folder")
def test_a_failed_save_keeps_the_older_file(tmp_path, monkeypatch):
    path = tmp_path / "mine.npz"
    save_graph(small(), path)
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        save_graph(small(), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def amazon_like(path, dense: bool = False, **changes):
    """The layout of PyG's Amazon and Coauthor: a directed adjacency with a self-loop, and an isolated last node."""
    adjacency = np.zeros((6, 6))
    adjacency[[0, 1, 2, 3], [1, 2, 0, 3]] = 1
    attributes = random_sparse(6, 4, 0.9, "csr", rng=np.random.default_rng(0))
    arrays = {"labels": np.array([0, 1, 0, 1, 0, 1])}
    for stem, matrix in (("adj", adjacency), ("attr", attributes.toarray())):
        from scipy.sparse import csr_matrix

        sparse = csr_matrix(matrix)
        parts = {"data": sparse.data, "indices": sparse.indices, "indptr": sparse.indptr, "shape": sparse.shape}
        arrays |= {f"{stem}_{part}": np.asarray(value) for part, value in parts.items()}
    if dense:
        arrays = {name: value for name, value in arrays.items() if not name.startswith("attr")}
        arrays["attr_matrix"] = attributes.toarray()
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return attributes.toarray()


@pytest.mark.parametrize("dense", [False, True])
def test_the_layout_of_amazon_and_coauthor(dense, tmp_path):
    attributes = amazon_like(tmp_path / "mine.npz", dense, names=np.array([{"pickled": 1}], dtype=object))
    graph = read_graph(tmp_path / "mine.npz")
    np.testing.assert_allclose(graph.x.numpy(), attributes.astype(np.float32))
    assert is_undirected(graph.edge_index)
    assert graph.edge_index.t().tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]  # no self-loop
    assert graph.y.tolist() == [0, 1, 0, 1, 0, 1]
    assert graph.num_nodes == 6


def test_weights_in_the_layout_of_amazon_are_handed_on(tmp_path):
    amazon_like(tmp_path / "mine.npz", adj_data=np.array([5, 1, 2, 1]))
    graph = read_graph(tmp_path / "mine.npz")
    assert graph.edge_index.t().tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert graph.edge_weight.tolist() == [5.0, 2.0, 5.0, 1.0, 2.0, 1.0]
    amazon_like(tmp_path / "mine.npz", adj_data=np.array([1, 1, 1, 7]))  # the 7 is of a self-loop, which is left out
    assert "edge_weight" not in read_graph(tmp_path / "mine.npz")
    both_ways = {"adj_indptr": np.array([0, 1, 2, 2, 2, 2, 2]), "adj_indices": np.array([1, 0])}
    amazon_like(tmp_path / "mine.npz", adj_data=np.array([0.5, 5]), **both_ways)
    with pytest.raises(ValueError, match="gives the edge between nodes 0 and 1 two different weights"):
        read_graph(tmp_path / "mine.npz")


def test_missing_features_are_asked_for_and_a_transform_gives_them(tmp_path):
    amazon_like(tmp_path / "mine.npz", attr_data=None)
    with pytest.raises(ValueError, match=r"no node features x; .*Constant\(\)"):
        read_graph(tmp_path / "mine.npz")
    assert read_graph(tmp_path / "mine.npz", transform=Constant()).x.shape == (6, 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"adj_shape": np.array([6, 5])}, "adj_shape .* must be square"),
        ({"adj_indices": np.array([1, 2, 0, 9])}, "adj_data, _indices, _indptr and _shape .* do not fit"),
        ({"attr_shape": np.array([7, 4])}, "attr_data, _indices, _indptr and _shape .* do not fit"),
        ({"adj_data": np.array([1, -0.5, 1, 1])}, "adj_data of .* must be finite numbers of at least 0"),
        ({"adj_data": np.array([1, np.nan, 1, 1])}, "adj_data of .* must be finite numbers of at least 0"),
        ({"labels": np.array([0, 1])}, "y must be a tensor with one row for each of the 6 nodes"),
        ({"adj_data": None}, "which is no graph; expected x and edge_index"),
        ({"labels": np.array([0, 1, 0, 1, 0, np.nan])}, "labels of .* must be whole numbers; NaN"),
        ({"labels": np.array([0, 1, 0, 1, 0, 0.5])}, "labels of .* must be whole numbers"),
        ({"labels": np.array(list("ababab"))}, "labels of .* holds <U1 in place of numbers; number the classes"),
    ],
)
def test_an_npz_that_does_not_fit(changes, says, tmp_path):
    amazon_like(tmp_path / "mine.npz", **changes)
    with pytest.raises(ValueError, match=says):
        read_graph(tmp_path / "mine.npz")


def test_a_zero_that_is_stored_is_no_link(tmp_path):
    amazon_like(tmp_path / "mine.npz")
    with np.load(tmp_path / "mine.npz", allow_pickle=True) as stored:
        weights = stored["adj_data"].copy()
        first = int(stored["adj_indices"][0])
    weights[0] = 0
    amazon_like(tmp_path / "mine.npz", adj_data=weights)
    assert [0, first] not in read_graph(tmp_path / "mine.npz").edge_index.t().tolist()


def test_whole_numbers_may_be_floats_and_other_text_may_stand_beside(tmp_path):
    amazon_like(tmp_path / "mine.npz", labels=np.array([0.0, 1, 0, 1, 0, 1]), attr_names=np.array(["a", "b"]))
    assert read_graph(tmp_path / "mine.npz").y.tolist() == [0, 1, 0, 1, 0, 1]


def test_text_in_place_of_numbers_is_not_left_out(tmp_path):
    arrays = {"x": np.ones((3, 2), "f4"), "edge_index": np.array([[0, 1], [1, 2]]), "y": np.array(["a", "b", "a"])}
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError, match=r"y of .* holds <U1 in place of numbers; number the classes"):
        read_graph(tmp_path / "mine.npz")


def lying_safetensors() -> bytes:
    header = b'{"x":{"dtype":"F32","shape":[1000000,1000],"data_offsets":[0,4000000000]}}'
    return len(header).to_bytes(8, "little") + header + bytes(16)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.safetensors", lying_safetensors(), "no whole safetensors"),
        ("a.safetensors", (2**60).to_bytes(8, "little") + b"{}", "no whole safetensors"),
        ("a.safetensors", b"", "no whole safetensors"),
        ("a.npz", b"PK\x03\x04 and then nothing", "no whole npz"),
        ("a.npz", b"", "no whole npz"),
        ("a.pt", b"a pickle", r"source must be a file that ends in \.npz, .*\.graphml, .* ends in \.pt"),
    ],
)
@pytest.mark.attack("npz and safetensors of graphs")
def test_broken_files_are_one_clear_error(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_graph(tmp_path / name)


def test_a_truncated_file_of_our_own(tmp_path):
    for suffix in (".npz", ".safetensors"):
        path = tmp_path / f"mine{suffix}"
        save_graph(small(), path)
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(ValueError, match="no whole"):
            read_graph(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*mine\.npz"):
        read_graph(tmp_path / "mine.npz")


def test_saving_elsewhere_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"path must end in \.npz or \.safetensors, not 'mine\.pt'"):
        save_graph(small(), tmp_path / "mine.pt")


NAN = torch.randn(5, 3).index_fill_(0, torch.tensor([3]), float("nan"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"x": NAN}, "x holds NaN or infinite values in 1 of 5 rows \\(first: row 3\\)"),
        ({"x": NAN.nan_to_num(float("inf"))}, "x holds NaN or infinite"),
        ({"x": NAN.to_sparse_csr()}, "x holds NaN or infinite"),
        ({"x": torch.sparse_coo_tensor([[0, 0], [1, 1]], [1, float("nan")], (5, 3))}, "x holds NaN or infinite"),
        ({"x": torch.ones(5, 3).long()}, "x must be floating point, not torch.int64; use"),
        ({"x": torch.ones(5)}, "x must have shape \\[nodes, features\\]"),
        ({"x": torch.ones(0, 3)}, "x must have shape \\[nodes, features\\] with at least one of each"),
        ({"x": torch.ones(5, 0)}, "x must have shape \\[nodes, features\\] with at least one of each"),
        ({"x": None}, "no node features x"),
        ({"edge_index": None}, "no edge_index"),
        ({"edge_index": torch.zeros(2, 0).long()}, "the graph is empty: 5 nodes and no edge"),
        ({"edge_index": torch.tensor([[0, 5], [1, 0]])}, "points to node 5, but x has 5 rows \\(nodes 0 to 4\\)"),
        ({"edge_index": torch.tensor([[0, -1], [1, 0]])}, "points to node -1"),
        ({"edge_index": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}, "edge_index must be int64, not torch.float32"),
        ({"edge_index": torch.tensor([[0, 1], [1, 0]], dtype=torch.int32)}, "use edge_index.long\\(\\)"),
        ({"edge_index": torch.tensor([[0, 1], [1, 2], [2, 0]])}, "use edge_index.t\\(\\)"),
        ({"edge_index": torch.tensor([0, 1])}, "edge_index must have shape \\[2, edges\\], not \\[2\\]"),
        ({"y": torch.tensor([0, 1])}, "y must be a tensor with one row for each of the 5 nodes, not \\[2\\]"),
        ({"y": torch.full((5,), float("nan"))}, "y holds NaN"),
        ({"y": [0, 1, 0, 1, 0]}, "y must be a tensor .* not list"),
        ({"train_mask": torch.ones(4).bool()}, "train_mask must be a tensor with one row for each of the 5"),
        ({"test_mask": torch.ones(5)}, "test_mask must be bool, not torch.float32"),
        (
            {"edge_weight": torch.ones(1)},
            "edge_weight must be a tensor with one row for each of the . edges, not \\[1\\]",
        ),
        ({"x": torch.eye(5).to_sparse_csr()}, "x is sparse"),
        ({"x": torch.eye(5).to_sparse()}, "x is sparse"),
        ({"edge_weight": torch.tensor(1.0)}, "edge_weight must be a tensor with one row"),
        ({"edge_weight": [1.0, 1.0]}, "edge_weight must be a tensor .* not list"),
        ({"edge_attr": torch.ones(1, 3)}, "edge_attr must be a tensor with one row"),
        ({"edge_weight": torch.tensor([1, 1, float("inf"), 1])}, "edge_weight holds NaN or infinite"),
        ({"edge_attr": torch.full((4, 2), float("nan"))}, "edge_attr holds NaN"),
    ],
)
def test_check_graph_refuses(changes, says):
    with pytest.raises(ValueError, match=says):
        check_graph(small(**changes))


def test_check_graph_lets_good_graphs_pass():
    check_graph(small())
    check_graph(small(train_mask=torch.ones(5, 10).bool(), y=None))
    check_graph(stochastic_block_model([10, 10], 0.5, 0.1))


def test_check_graph_wants_a_pyg_graph():
    with pytest.raises(TypeError, match=r"torch_geometric\.data\.Data, not dict"):
        check_graph({"x": torch.ones(3, 3)})


def test_labels_of_any_whole_numbers_and_any_byte_order_are_read(tmp_path):
    x, edges = np.ones((3, 2), dtype=">f4"), np.array([[0, 1], [1, 0]])
    np.savez(tmp_path / "a.npz", x=x, edge_index=edges, y=np.array([0, 1, 0], dtype="uint16"))
    graph = read_graph(tmp_path / "a.npz")
    assert graph.y.dtype == torch.int64
    assert graph.x.tolist() == [[1, 1]] * 3
    np.savez(tmp_path / "a.npz", x=x, edge_index=edges, y=np.array([0.5, 1, 0]))  # measurements, no classes
    assert read_graph(tmp_path / "a.npz").y.tolist() == [0.5, 1, 0]


def test_features_of_more_nodes_than_there_are(tmp_path):
    amazon_like(tmp_path / "a.npz", attr_data=None, attr_matrix=np.ones((9, 2), dtype="float32"))
    with pytest.raises(ValueError, match="has 6 nodes by adj_shape and features of 9"):
        read_graph(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_file_gives_its_attributes_in_one_order(suffix, tmp_path):
    """An interrupted sweep knows its data again by a checksum, which goes through them in turn."""
    graph = small()
    for name in "abcdefgh":
        graph[name] = torch.zeros(graph.num_nodes)
    save_graph(graph, tmp_path / f"mine{suffix}")
    orders = {tuple(name for name, _ in read_graph(tmp_path / f"mine{suffix}")) for _ in range(10)}
    assert len(orders) == 1


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_count_of_nodes_and_complex_numbers_come_back(suffix, tmp_path):
    save_graph(small(phase=torch.tensor([1j, 2, 3, 4, 5])), tmp_path / f"g{suffix}")
    assert torch.equal(read_graph(tmp_path / f"g{suffix}").phase, torch.tensor([1j, 2, 3, 4, 5]))
    save_graph(small(num_nodes=torch.tensor(5)), tmp_path / f"n{suffix}")
    assert type(read_graph(tmp_path / f"n{suffix}").num_nodes) is int
