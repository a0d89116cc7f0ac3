"""The Planetoid files are pickles: they are read by an unpickler that knows arrays and nothing else."""

import io
import pickle
from collections import defaultdict
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

_reconstruct = np.zeros(0).__reduce__()[0]  # the function NumPy itself names in its pickles

# (module, name) as Python 2 wrote them, and as NumPy and SciPy write them today.
_ADMITTED = {
    **{(module, "_reconstruct"): _reconstruct for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{(module, "csr_matrix"): csr_matrix for module in ("scipy.sparse.csr", "scipy.sparse._csr")},
    ("collections", "defaultdict"): defaultdict,
    **{(module, "list"): list for module in ("__builtin__", "builtins")},
}


class ArraysOnly(pickle.Unpickler):
    """Admits NumPy arrays, SciPy csr matrices and plain containers of them; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array")
        return _ADMITTED[module, name]


def unpickle_arrays(data: bytes, where: str) -> Any:
    """What ``data`` holds, if that is arrays, csr matrices and builtin containers only.

    Raises:
        ValueError: it asks for anything else, or is torn.
    """
    try:
        value = ArraysOnly(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a crafted pickle can fail in any way it likes
        raise ValueError(f"{where} was refused: a pickle may hold arrays and nothing else here ({error})") from error
    if not _is_plain(value):
        raise ValueError(f"{where} was refused: it holds something other than arrays of numbers and lists of integers")
    return value


def _is_plain(value: Any) -> bool:
    """A numeric array, a sound csr matrix, or node -> list of nodes."""
    if isinstance(value, csr_matrix):
        try:
            value.check_format(full_check=True)  # scipy trusts the indices, and would write past the end
        except (ValueError, AttributeError, TypeError):
            return False
        return value.dtype.kind in "biuf"
    if isinstance(value, dict):
        return all(type(key) is int and _all_int(nodes) for key, nodes in value.items())
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf"


def _all_int(nodes: Any) -> bool:
    return isinstance(nodes, list) and all(type(node) is int for node in nodes)
