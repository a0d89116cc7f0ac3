"""Pickles may hold arrays and nothing else; a crafted one is refused before it does anything."""

import builtins
import os
import pickle
import subprocess
from collections import defaultdict

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from labkit.data._pickles import unpickle_arrays

PROTOCOL = 4  # Python 3 writes the bytes of arrays in older ones through a call of its own


class Call:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CRAFTED = {
    "a shell": lambda mark: Call(os.system, f"touch {mark}"),
    "a process": lambda mark: Call(subprocess.check_call, ["touch", str(mark)]),
    "eval": lambda mark: Call(builtins.eval, f"open({str(mark)!r}, 'w').close()"),
    "exec": lambda mark: Call(builtins.exec, f"open({str(mark)!r}, 'w').close()"),
    "a file": lambda mark: Call(open, str(mark), "w"),
    "numpy's own loader": lambda mark: Call(np.load, str(mark), None, True),
    "a file written by numpy": lambda mark: Call(np.save, str(mark), 1),
    "getattr": lambda mark: Call(getattr, "text", "upper"),
    "inside a list": lambda mark: [1, Call(os.system, f"touch {mark}")],
    "inside a graph": lambda mark: defaultdict(list, {0: [Call(os.system, f"touch {mark}")]}),
    "inside an array of objects": lambda mark: np.array([Call(os.system, f"touch {mark}")], dtype=object),
}


@pytest.mark.parametrize("what", CRAFTED)
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.attack("pickles")
def test_a_crafted_pickle_is_refused(what, protocol, tmp_path):
    mark = tmp_path / "mark.npy"
    data = pickle.dumps(CRAFTED[what](mark), protocol)
    with pytest.raises(ValueError, match=r"crafted\.bin was refused"):
        unpickle_arrays(data, "crafted.bin")
    assert not mark.exists()


def test_the_crafted_pickles_do_work_on_an_ordinary_unpickler(tmp_path):
    mark = tmp_path / "mark.npy"
    pickle.loads(pickle.dumps(CRAFTED["a shell"](mark), 2))
    assert mark.exists()


@pytest.mark.attack("pickles")
def test_a_name_with_dots_is_no_way_around():
    data = b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93."
    with pytest.raises(ValueError, match=r"numpy\.ndarray\.dump is not an array"):
        unpickle_arrays(data, "crafted.bin")


@pytest.mark.parametrize(
    "value", [np.array([[1], None], dtype=object), np.array(["text"]), {"a": [1]}, {0: [[1]]}, [1, 2], 3, "text"]
)
@pytest.mark.attack("pickles")
def test_what_is_no_array_of_numbers_is_refused(value):
    data = pickle.dumps(value, PROTOCOL)
    with pytest.raises(ValueError, match="was refused"):
        unpickle_arrays(data, "odd.bin")


@pytest.mark.attack("pickles")
def test_a_sparse_matrix_whose_indices_point_outside_is_refused():
    matrix = csr_matrix(np.eye(3, dtype=np.float32))
    matrix.indices = np.array([0, 1, 10**6], dtype=np.int32)
    with pytest.raises(ValueError, match="was refused"):
        unpickle_arrays(pickle.dumps(matrix, PROTOCOL), "lying.bin")


@pytest.mark.parametrize("cut", [1, 10, -1])
@pytest.mark.attack("pickles")
def test_a_torn_pickle_is_one_clear_error(cut):
    with pytest.raises(ValueError, match=r"torn\.bin was refused"):
        unpickle_arrays(pickle.dumps(np.arange(50), PROTOCOL)[:cut], "torn.bin")


def test_arrays_sparse_matrices_and_graphs_pass():
    rng = np.random.default_rng(0)
    array = rng.random((4, 3), dtype=np.float32)
    np.testing.assert_array_equal(unpickle_arrays(pickle.dumps(array, PROTOCOL), "x"), array)
    matrix = csr_matrix(array * (array > 0.5))
    np.testing.assert_array_equal(unpickle_arrays(pickle.dumps(matrix, PROTOCOL), "x").toarray(), matrix.toarray())
    graph = defaultdict(list, {0: [1, 2], 1: [0], 2: [0]})
    assert unpickle_arrays(pickle.dumps(graph, PROTOCOL), "x") == graph
