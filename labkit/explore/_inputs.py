"""What a user hands in, brought to one form: arrays, tables, files; which rows can be drawn, which were left out."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from labkit._checks import require_between, require_counts, unknown
from labkit.plot import colours

_LABEL_NAMES = ("label", "labels", "y", "target", "targets", "class")
_EMBEDDING_NAMES = ("embedding", "embeddings", "z", "x", "features", "vectors")


@dataclass
class Items:
    """The rows that are shown, keyed by their number in the input.

    Attributes:
        rows: [n] number of each shown row in the input.
        total: rows of the input.
        left_out: rows with NaN or infinite values, which no map can place.
        note: one sentence for the reader when not every row is shown; else "".
        columns: facts of the shown rows, [n] each; any of them can colour the map.
    """

    rows: np.ndarray
    total: int
    left_out: np.ndarray
    note: str = ""
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    def pick(self, name: str, values: Any) -> np.ndarray:
        """The shown rows of ``values``, which must have an entry for each row of the input."""
        values = array(name, values)
        if values.ndim != 1 or len(values) != self.total:
            found = f"{len(values):,} entries" if values.ndim == 1 else f"shape {list(values.shape)}"
            raise ValueError(
                f"{name} must have one entry for each of the {self.total:,} rows of the embedding, not {found}"
            )
        return values[self.rows]


def read(source: Any, name: str = "embedding", labels: Any = None) -> tuple[Any, dict[str, np.ndarray]]:
    """Matrix [items, dim] (an array or tensor, not copied) and the columns that came along with it.

    ``name``: what the argument is called, for errors. ``labels``: the name of a column, or the column itself, which is
    then no part of the embedding.

    A DataFrame or ``.parquet`` file gives as embedding its column of vectors if it has one, else its floating-point
    columns; the other columns are facts. An ``.npz`` file gives its array named "embedding", "z", "x"..., or its
    only two-dimensional one.
    """
    if isinstance(source, str | Path):
        return _read_file(Path(source), name, labels)
    source = as_pandas(source)
    if is_frame(source):
        return _read_frame(source, labels)
    if isinstance(source, Mapping):
        return _read_arrays(source, "the mapping")
    return _matrix(name, source), {}


def as_pandas(source: Any) -> Any:
    """A table of polars' or Arrow's as pandas'; all else as it is."""
    return source.to_pandas() if hasattr(source, "columns") and hasattr(source, "to_pandas") else source


def is_frame(source: Any) -> bool:
    """Whether it is a table of named columns, such as pandas'."""
    return hasattr(source, "columns") and hasattr(source, "dtypes")


def choose_rows(matrices: Sequence[Any], max_points: int, seed: int) -> Items:
    """Which rows to show: finite in every matrix, at most ``max_points`` of them, drawn evenly over the input."""
    total = len(matrices[0])
    if total == 0:
        raise ValueError("embedding holds no rows; at least one is needed")
    require_counts(max_points=max_points)
    require_between("seed", seed, 0, 2**32 - 1)  # what NumPy, UMAP and scikit-learn take
    rows = np.arange(total)
    note = ""
    if total > max_points:
        # One row from each of max_points equal stretches of the input: no 50-million permutation in memory.
        bounds = np.linspace(0, total, max_points + 1).astype(np.int64)  # whole, so that no two share a row
        rows = (bounds[:-1] + np.random.default_rng(seed).random(max_points) * np.diff(bounds)).astype(np.int64)
        note = f"showing {max_points:,} of {total:,}, seed {seed}"
    good = np.ones(len(rows), dtype=bool)
    for matrix in matrices:
        good &= _finite_rows(take(matrix, rows))
    left_out = rows[~good]
    if not good.any():
        raise ValueError(
            f"every one of the {len(rows):,} rows of embedding holds NaN or infinite values; nothing can be drawn"
        )
    if len(left_out):
        first = ", ".join(map(str, left_out[:8])) + (", …" if len(left_out) > 8 else "")
        what = "row with NaN or infinite values is" if len(left_out) == 1 else "rows with NaN or infinite values are"
        note = "; ".join(filter(None, [note, f"{len(left_out):,} {what} left out: {first}"]))
    coarse = max(_coarse_columns(matrix, rows[good]) for matrix in matrices)
    if coarse:
        columns = "a column whose values lie" if coarse == 1 else f"{coarse:,} columns whose values lie"
        said = f"{columns} so far from 0 that float32 blurs their differences: subtract the mean before"
        note = "; ".join(filter(None, [note, said]))
    return Items(rows[good], total, left_out, note)


def _coarse_columns(matrix: Any, rows: np.ndarray, most: int = 10_000) -> int:
    """How many columns of 64-bit numbers lose more than a hundredth of their spread to rounding."""
    if "64" not in str(matrix.dtype):
        return 0
    rows = rows[:: max(1, len(rows) // most)]
    part = matrix.detach()[torch.from_numpy(rows)].cpu().numpy() if isinstance(matrix, Tensor) else matrix[rows]
    part = np.asarray(part, dtype=np.float64)
    spread = part.std(axis=0)
    return int((np.abs(part.mean(axis=0)) * np.finfo(np.float32).eps > 0.01 * spread)[spread > 0].sum())


def take(matrix: Any, rows: np.ndarray) -> Tensor:
    """``matrix[rows]`` as a float32 tensor on the CPU."""
    if isinstance(matrix, Tensor):
        part = (
            matrix.detach() if len(rows) == len(matrix) else matrix.detach()[torch.from_numpy(rows).to(matrix.device)]
        )
        return part.cpu().float()
    part = matrix if len(rows) == len(matrix) else matrix[rows]
    with np.errstate(over="ignore"):  # beyond float32's range means infinite, and such rows are left out
        return torch.from_numpy(np.array(part, dtype=np.float32))


def array(name: str, values: Any) -> np.ndarray:
    """Any array-like as NumPy; pandas' missing values become NaN or None."""
    if isinstance(values, Tensor):
        _require_dense(name, values)
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    if hasattr(values, "to_numpy"):
        given, missing, values = values, getattr(values, "isna", None), values.to_numpy()
        kind = getattr(getattr(given, "dtype", None), "kind", "f")
        if missing and kind in "iubO" and values.dtype.kind == "f":  # whole numbers or categories, and gaps among them
            values = np.array([None if gap else value for value, gap in zip(given, missing())], dtype=object)
        if kind == "M" and values.dtype == object:  # of a time zone
            values = given.to_numpy(dtype="datetime64[ns]")
        elif values.dtype == object and missing:  # pandas.NA is neither equal to itself nor unequal
            values = np.where(missing(), None, values)
    if np.ma.is_masked(values):
        return values.astype(float).filled(np.nan) if values.dtype.kind in "fiub" else values.filled()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be one array with equally long rows; NumPy says: {error}") from error


def as_classes(values: np.ndarray) -> tuple[np.ndarray, list[str]] | None:
    """Codes [n] and names when ``values`` are classes (integers, text, truth values); None when measurements, times."""
    if values.dtype.kind in "fmM":
        return None
    if values.dtype.kind in "iu" and len(values) and values.min() >= 0 and values.max() < 65_536:
        present = np.flatnonzero(np.bincount(values))  # a tenth of the time that sorting takes
        place = np.zeros(int(values.max()) + 1, dtype=np.int64)
        place[present] = np.arange(len(present))
        return place[values], [str(value) for value in present]
    if values.dtype.kind in "iub":
        present, codes = np.unique(values, return_inverse=True)
        return codes, [str(value) for value in present]
    text = np.array([_word(value) for value in values], dtype=object)
    present, codes = np.unique(text.astype(str), return_inverse=True)
    return codes, [str(value) for value in present]


def whole(labels: np.ndarray) -> np.ndarray:
    """Labels that have class names: truth values and whole floats as integers, where they are missing None.

    Raises:
        ValueError: fractions or times.
    """
    if labels.dtype.kind == "b":
        return labels.astype(np.int64)
    if labels.dtype.kind not in "fmM":
        return labels
    known = labels[~np.isnan(labels)] if labels.dtype.kind == "f" else labels
    if labels.dtype.kind != "f" or not (np.isfinite(known) & (known == np.floor(known))).all():
        raise ValueError("class_names are for classes, but labels hold measurements; leave one of the two out")
    return np.array([None if label != label else int(label) for label in labels], dtype=object)


def _word(value: Any) -> str:
    if value is None or value != value:
        return "(missing)"
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)  # HDF5 gives bytes


def _matrix(name: str, values: Any) -> Any:
    _require_dense(name, values)
    if not isinstance(values, Tensor):
        given, values = type(values).__name__, array(name, values)
        if values.ndim == 0 and values.dtype == object:
            raise ValueError(f"{name} must be an array, a tensor or a table, not {given}")
    kind = str(values.dtype)
    if "complex" in kind or (isinstance(values, np.ndarray) and values.dtype.kind not in "fiub"):
        raise ValueError(f"{name} must hold real numbers, not {kind}")
    if values.ndim != 2 or values.shape[1] == 0:
        hint = {1: f"; for one number a row use {name}[:, None]"}.get(
            values.ndim, f"; flatten it first, e.g. {name}.reshape(len({name}), -1)"
        )
        raise ValueError(
            f"{name} must have shape [items, dim], not {list(values.shape)}{hint if values.ndim != 2 else ''}"
        )
    return values


def _require_dense(name: str, values: Any) -> None:
    if isinstance(values, Tensor) and values.is_meta:
        raise ValueError(f"{name} is on the meta device, which holds no numbers")
    if isinstance(values, Tensor) and values.layout != torch.strided:
        raise ValueError(f"{name} must be dense, not {values.layout}; use {name}.to_dense()")
    if hasattr(values, "toarray"):  # SciPy's
        raise ValueError(f"{name} must be dense, not {type(values).__name__}; use {name}.toarray()")


def _finite_rows(values: Tensor) -> np.ndarray:
    if torch.isfinite(values.sum()):  # has no NaN or infinite part: no mask the size of the matrix is needed
        return np.ones(len(values), dtype=bool)
    return torch.isfinite(values).all(dim=1).numpy()


def _read_file(path: Path, name: str, labels: Any) -> tuple[Any, dict[str, np.ndarray]]:
    if not path.is_file():
        raise FileNotFoundError(f"{name}: the file {path} does not exist (looked in {path.resolve().parent})")
    if path.suffix.lower() in (".npy", ".npz"):
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(found, np.ndarray):
                with found as file:
                    found = {name: file[name] for name in file.files}
        except (ValueError, EOFError, OSError, BadZipFile, zlib.error) as error:
            raise ValueError(
                f"{path} is torn, is no file of NumPy's, or holds Python objects, which are not read ({error}); save "
                "plain arrays with numpy.save or numpy.savez"
            ) from error
        return (_matrix("embedding", found), {}) if isinstance(found, np.ndarray) else _read_arrays(found, path.name)
    if path.suffix.lower() == ".parquet":
        try:
            import pandas
        except ImportError as error:
            raise ImportError("reading .parquet needs pandas and pyarrow: pip install 'labkit[tables]'") from error
        return _read_frame(pandas.read_parquet(path), labels)
    hint = f"; or hand in pandas.read_csv({path.name!r})" if path.suffix.lower() in (".csv", ".tsv", ".txt") else ""
    raise ValueError(f"{name} must be a file that ends in .npz, .npy or .parquet, not {path.name!r}{hint}")


def _read_arrays(arrays: Mapping[str, Any], where: str) -> tuple[Any, dict[str, np.ndarray]]:
    arrays = {str(name): array(str(name), values) for name, values in arrays.items()}
    tables = [name for name, values in arrays.items() if values.ndim == 2 and values.dtype.kind in "fiu"]
    named = [name for name in _EMBEDDING_NAMES if name in tables]
    if not named and len(tables) != 1:
        raise ValueError(
            f"{where} must hold one two-dimensional array, or name it 'embedding'; "
            f"it holds: {', '.join(arrays) or 'nothing'}"
        )
    name = (named or tables)[0]
    matrix = _matrix(name, arrays[name])
    return matrix, {key: values for key, values in arrays.items() if values.shape == (len(matrix),)}


def _read_frame(frame: Any, asked: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"the DataFrame has several columns named {twice!r}; give each a name of its own")
    boxed = [name for name, kind in frame.dtypes.items() if getattr(kind, "kind", "O") == "O"]
    vectors = [name for name in boxed if isinstance(_first(frame[name]), list | tuple | np.ndarray | Tensor)]
    if vectors:
        used = vectors[:1]
        matrix = _matrix("embedding", array(str(used[0]), [array(str(used[0]), v) for v in frame[used[0]]]))
    else:
        labels = set(_LABEL_NAMES) - ({"y"} if "x" in frame.columns else set())  # beside an x, y is a coordinate
        labels.add(asked if isinstance(asked, str) else getattr(asked, "name", None))
        used = [name for name, kind in frame.dtypes.items() if getattr(kind, "kind", "O") == "f" and name not in labels]
        if not used:
            raise ValueError(
                "the DataFrame has neither a column of vectors nor floating-point columns to use as embedding (whole "
                "numbers count as classes: .astype(float) makes measurements of them); "
                f"its columns: {', '.join(map(str, frame.columns))}"
            )
        matrix = frame[used].to_numpy(dtype=np.float32)
    facts = {str(name): array(str(name), frame[name]) for name in frame.columns if name not in used}
    return matrix, {name: values for name, values in facts.items() if values.ndim == 1}


def _first(column: Any) -> Any:
    """The first entry of a column that is not missing."""
    there = column.dropna()
    return there.iloc[0] if len(there) else None


def find_labels(labels: Any, columns: Mapping[str, Any]) -> Any:
    """``labels`` may be an array, the name of a column, or None: then a column that is called like labels."""
    if isinstance(labels, str):
        if labels not in columns:
            raise ValueError(
                unknown("column", labels, columns)
                if columns
                else f"there is no column {labels!r}; labels must be an array here"
            )
        return columns[labels]
    if labels is None:
        return next((columns[name] for name in _LABEL_NAMES if name in columns), None)
    return labels


def kinds_of(labels: Any, items: int) -> tuple[Tensor, list]:
    """The class of each item, numbered from 0, and its label; one class where ``labels`` is None."""
    if labels is None:
        return torch.zeros(items, dtype=torch.long), [0] * items
    try:
        labels = torch.as_tensor(labels).cpu()
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ValueError(f"labels can't be read as one class for each item: {error}") from error
    if labels.shape != (items,):
        raise ValueError(f"labels must hold one class for each of the {items} items, not shape {list(labels.shape)}")
    return labels.unique(return_inverse=True)[1], labels.tolist()


def shades(kinds: Tensor) -> list[str]:
    """The colour of each item, by its class as a number from 0."""
    table = colours(int(kinds.max()) + 1)
    return [table[kind] for kind in kinds.tolist()]


def named(labels: Sequence, class_names: Any) -> list[str]:
    """What each label is called."""
    if class_names is None:
        return [str(label) for label in labels]
    if not isinstance(class_names, Iterable) or isinstance(class_names, str):
        raise TypeError(f"class_names must be a list of names, not {type(class_names).__name__}")
    class_names = list(class_names)
    if not all(0 <= int(label) < len(class_names) for label in labels):
        raise ValueError(f"class_names has {len(class_names)} names, but labels go from {min(labels)} to {max(labels)}")
    return [str(class_names[int(label)]) for label in labels]
