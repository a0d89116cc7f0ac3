"""Arrays, tables and files come in; rows that can not be drawn are left out by name; all else is refused clearly."""

import numpy as np
import pandas
import pyarrow
import pytest
import scipy.sparse
import torch

from labkit.explore import compare, explore
from labkit.explore._inputs import as_classes, choose_rows, read, take

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(60, 5)).astype(np.float32)
Y = np.arange(60) % 3


@pytest.mark.parametrize("kind", ["numpy", "float64", "torch", "half", "integers", "requires grad", "strided"])
def test_arrays_of_every_kind_give_the_same_points(kind):
    whole = np.round(Z * 4)
    source = {
        "numpy": whole,
        "float64": whole.astype(np.float64),
        "torch": torch.from_numpy(whole),
        "half": torch.from_numpy(whole).half(),
        "integers": whole.astype(np.int32),
        "requires grad": torch.from_numpy(whole).requires_grad_(),
        "strided": np.repeat(whole, 2, axis=0)[::2],
    }[kind]
    shown = explore(source, projection="raw").projection
    np.testing.assert_array_equal(shown, whole[:, :2])


def test_a_frame_gives_its_float_columns_and_keeps_the_rest_as_facts():
    frame = pandas.DataFrame(Z, columns=[f"z{i}" for i in range(5)])
    frame["kind"] = np.array(["a", "b", "c"])[Y]
    frame["age"] = np.arange(60)
    explorer = explore(frame, "kind")
    assert explorer._lenses["left"].series.dim == 5
    assert {"column:kind", "column:age"} & set(explorer.colours) == {"column:age"}  # "kind" is the label already
    explorer.select(range(0, 60, 3))
    assert [(share.name, share.share) for share in explorer.composition()] == [("a", 1.0)]


@pytest.mark.parametrize("by", ["name", "column", "file"])
def test_a_column_of_labels_that_is_asked_for_is_no_dimension(by, tmp_path):
    """A gap among whole numbers makes a column of floats of them."""
    frame = pandas.DataFrame(Z, columns=list("abcde")).assign(club=np.where(np.arange(60) == 7, np.nan, Y))
    frame.to_parquet(tmp_path / "mine.parquet")
    source = tmp_path / "mine.parquet" if by == "file" else frame
    labels = frame["club"] if by == "column" else "club"
    assert explore(source, labels)._lenses["left"].series.dim == 5
    both = compare(source, source, labels)
    assert [both._lenses[side].series.dim for side in ("left", "right")] == [5, 5]
    assert explore(source)._lenses["left"].series.dim == 6


def test_a_column_of_vectors_is_the_embedding():
    frame = pandas.DataFrame({"score": RNG.normal(size=60), "vector": list(Z)})
    matrix, facts = read(frame)
    np.testing.assert_array_equal(matrix, Z)
    assert list(facts) == ["score"]


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".parquet"])
def test_files(tmp_path, suffix):
    path = tmp_path / f"z{suffix}"
    if suffix == ".npz":
        np.savez(path, embedding=Z, label=Y, other=np.zeros((60, 2)))
    elif suffix == ".npy":
        np.save(path, Z)
    else:
        pandas.DataFrame(Z, columns=list("abcde")).assign(label=Y).to_parquet(path)
    explorer = explore(path)
    assert explorer._lenses["left"].series.dim == 5
    assert explorer._colouring.kind == ("none" if suffix == ".npy" else "class")


@pytest.mark.attack("npz")
def test_an_npz_with_python_objects_is_not_executed(tmp_path):
    np.savez(tmp_path / "z.npz", embedding=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="holds Python objects, which are not read"):
        explore(tmp_path / "z.npz")


def test_rows_with_nan_are_left_out_and_numbers_stay_those_of_the_input():
    z = Z.copy()
    z[[3, 17]] = np.nan
    z[20, 2] = np.inf
    explorer = explore(z, Y)
    np.testing.assert_array_equal(explorer.left_out, [3, 17, 20])
    assert len(explorer.projection) == 57
    assert "3 rows with NaN or infinite values are left out: 3, 17, 20" in explorer._data["note"]
    explorer.select([4, 18, 59])
    np.testing.assert_array_equal(explorer.selection, [4, 18, 59])
    np.testing.assert_array_equal(
        np.frombuffer(explorer._data["rows"], np.int32), np.delete(np.arange(60), [3, 17, 20])
    )
    with pytest.raises(ValueError, match="row 17 was left out"):
        explorer.select([17])


def test_values_beyond_float32_count_as_infinite():
    z = Z.astype(np.float64)
    z[5] = 1e300
    np.testing.assert_array_equal(explore(z).left_out, [5])


def test_too_many_points_are_sampled_evenly_and_said_so():
    items = choose_rows([np.zeros((1_000_003, 1))], 1000, seed=4)
    assert items.note == "showing 1,000 of 1,000,003, seed 4"
    assert len(np.unique(items.rows)) == 1000
    assert 900 < np.diff(items.rows).mean() < 1100
    assert not np.array_equal(items.rows, choose_rows([np.zeros((1_000_003, 1))], 1000, seed=5).rows)
    assert len(set(choose_rows([np.zeros((1500, 1))], 1000, seed=0).rows)) == 1000  # no row twice


def test_fifty_million_rows_are_looked_at_only_where_they_are_shown(tmp_path):
    """A memory map of 50 million rows: the sample must not read, let alone copy, all of them."""
    path = tmp_path / "huge.npy"
    huge = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(50_000_000, 1))
    huge[0] = 1
    del huge
    explorer = explore(path, max_points=500)
    assert explorer._data["note"] == "showing 500 of 50,000,000, seed 0"
    assert len(explorer.projection) == 500


def test_labels_may_be_text_numbers_truth_values_or_missing():
    assert as_classes(np.array([3, 7, 3]))[1] == ["3", "7"]
    assert as_classes(np.array([-1, 7, -1]))[1] == ["-1", "7"]
    assert as_classes(np.array([True, False]))[1] == ["False", "True"]
    assert as_classes(np.array([0.5, 2.0])) is None
    codes, names = as_classes(np.array(["b", None, float("nan"), "a"], dtype=object))
    assert [names[c] for c in codes] == ["b", "(missing)", "(missing)", "a"]


def test_take_does_not_copy_what_is_float32_already():
    tensor = torch.zeros(10, 2)
    assert take(tensor, np.arange(10)).data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explore(), "needs an embedding"),
        (lambda: explore(np.zeros((0, 3))), "holds no rows"),
        (lambda: explore(np.zeros((3, 0))), r"must have shape \[items, dim\], not \[3, 0\]"),
        (lambda: explore(np.zeros(5)), r"use embedding\[:, None\]"),
        (lambda: explore(np.zeros((4, 3, 3))), "flatten it first"),
        (lambda: explore(np.zeros((4, 3), dtype=complex)), "real numbers, not complex128"),
        (lambda: explore(np.array([["a", "b"]])), "real numbers"),
        (lambda: explore([[1.0], [1.0, 2.0]]), "equally long rows"),
        (lambda: explore(np.full((4, 2), np.nan)), "every one of the 4 rows"),
        (
            lambda: explore(Z, Y[:50]),
            "labels must have one entry for each of the 60 rows of the embedding, not 50 entries",
        ),
        (lambda: explore(Z, "kind"), "there is no column 'kind'"),
        (lambda: explore(Z, Y, columns={"age": [1, 2]}), "column 'age' must have one entry"),
        (lambda: explore(Z, images=np.zeros((59, 8, 8))), "images holds 59 pictures for the 60 rows"),
        (lambda: explore(Z, images=[np.zeros((8, 5 + k % 2)) for k in range(60)]), "images must all have one shape"),
        (lambda: explore(Z, images=np.zeros((60, 8))), r"images must have shape \[n, h, w\]"),
        (lambda: explore(Z, graph=np.array([[0, 60], [1, 2]])), "edge to node 60"),
        (lambda: explore(Z, graph=np.array([[0.5, 1.0], [1, 2]])), "integer edge_index"),
        (lambda: explore(Z, texts=["a"]), "texts must have one entry"),
        (lambda: explore(Z, k=0), "k must be at least 1"),
        (lambda: explore(Z, images="x"), "images must hold a picture for each row"),
        (lambda: compare(Z[:, :0], Z), "a must have shape"),
        (lambda: explore(Z, max_points=0), "max_points must be at least 1"),
        (lambda: explore(Z, seed=-1), "seed must lie between 0 and 4294967295, not -1"),
        (lambda: explore(Z, metric="cosin"), "did you mean 'cosine'"),
        (lambda: explore(Z, projection="umpa"), "did you mean 'umap'"),
        (lambda: explore(Z, views=lambda x: x), "views need images and a method"),
        (lambda: compare(Z, Z[:50]), "a has 60 rows, b has 50"),
        (lambda: explore("nowhere.npz"), "does not exist"),
        (lambda: explore({"a": Z, "b": Z}), "must hold one two-dimensional array"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call()


def test_arrays_and_tables_are_taken_wherever_lists_are():
    table = pandas.DataFrame({"size": np.arange(60), "title": [f"t{k}" for k in range(60)]})
    names = pandas.Categorical(["ant", "bee", "cat"]).categories
    explorer = explore(Z, Y, texts=table["title"], columns=table, class_names=names)
    assert [row["name"] for row in explorer._colour["classes"]] == ["ant", "bee", "cat"]
    assert explorer._data["texts"][7] == "t7 · size: 7 · title: t7"
    assert explore(Z, Y, class_names=np.array(["ant", "bee", "cat"]))._colour["classes"][2]["name"] == "cat"
    with pytest.raises(TypeError, match="columns must be a mapping of names to values or a DataFrame, not list"):
        explore(Z, columns=["size"])


def test_missing_values_of_nullable_types_are_missing():
    labels = pandas.Series(["a", None] * 30, dtype="string")
    explorer = explore(Z, labels, columns={"c": labels.iloc[::-1]})
    assert [row["name"] for row in explorer._colour["classes"]] == ["(missing)", "a"]
    explorer.colour_by("c")
    assert explorer._notice == ""


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pandas.Series([0, 1, None] * 20, dtype="Int64"), ["(missing)", "0", "1"]),
        (pandas.Series([2**53, 2**53 + 1, None] * 20, dtype="Int64"), ["(missing)", str(2**53), str(2**53 + 1)]),
        (pandas.Series(pandas.Categorical([5, None, 7] * 20)), ["(missing)", "5", "7"]),
        (pandas.Series([True, None, False] * 20, dtype="boolean"), ["(missing)", "False", "True"]),
        (np.array([b"cat", "Köter".encode()] * 30), ["Köter", "cat"]),
    ],
)
def test_whole_numbers_and_categories_with_gaps_are_classes(labels, classes):
    assert [row["name"] for row in explore(Z, labels)._colour["classes"]] == classes


def test_fractions_with_gaps_are_measurements():
    assert explore(Z, pandas.Series([0.5, 1.0, None] * 20, dtype="Float64"))._colour["kind"] == "value"
    assert explore(Z, pandas.Series([0.0, 1.0, None] * 20))._colour["kind"] == "value"


@pytest.mark.parametrize(
    ("labels", "names", "classes"),
    [
        (Y, {0: "ant", 1: "bee", 2: "cow"}, ["ant", "bee", "cow"]),
        (Y - 1, {-1: "noise", 1: "one"}, ["noise", "0", "one"]),
        (np.array(["n2", "n1"] * 30), {"n1": "ant"}, ["ant", "n2"]),
        (Y == 1, ["no", "yes"], ["no", "yes"]),
        (np.where(Y == 2, np.nan, Y), ["ant", "bee"], ["(missing)", "ant", "bee"]),
        (torch.from_numpy(Y).float(), ("ant", "bee", "cow"), ["ant", "bee", "cow"]),
    ],
)
def test_class_names_name_labels_of_every_kind(labels, names, classes):
    assert [row["name"] for row in explore(Z, labels, class_names=names)._colour["classes"]] == classes


@pytest.mark.parametrize("labels", [Z[:, 0], np.full(60, np.inf), np.arange(60).astype("datetime64[D]")])
def test_measurements_have_no_class_names(labels):
    with pytest.raises(ValueError, match="class_names are for classes, but labels hold measurements"):
        explore(Z, labels, class_names=["a", "b"])


def test_times_of_every_table_are_measurements():
    times = pandas.date_range("2026-01-01", periods=60)
    table = pandas.DataFrame({"plain": times, "zone": times.tz_localize("Europe/Berlin"), "long": times - times[0]})
    explorer = explore(Z, columns=table)
    for name, about in (("plain", "days since 2026-01-01"), ("zone", "days since 2025-12-31T23:00"), ("long", "days")):
        explorer.colour_by(name)
        explorer.wait()
        assert (explorer._notice, explorer._colour["kind"], explorer._colour["about"]) == ("", "value", about)
        assert explorer._colour["range"] == pytest.approx((0, 59), abs=0.5)


def test_numbers_that_float32_blurs_are_named():
    far = Z.astype(np.float64) + np.array([0, 0, 1e7, 0, -1e6])
    assert "2 columns whose values lie so far from 0 that float32 blurs" in explore(far)._data["note"]
    assert "a column whose values lie so far" in explore(torch.from_numpy(far[:, :4]))._data["note"]
    assert explore(far - far.mean(axis=0))._data["note"] == explore(Z)._data["note"] == ""


@pytest.mark.parametrize("dim", [2, 4])
def test_numbers_whose_squares_leave_float32_are_refused(dim):
    with pytest.raises(ValueError, match="squares overflow float32; divide it by a constant"):
        explore(Z[:, :dim] * np.float32(1e30))
    with pytest.raises(ValueError, match="squares vanish in float32; multiply it by a constant"):
        explore(Z[:, :dim] * np.float32(1e-25))
    assert "collapsed" in explore(np.ones((60, dim))).caption


def test_in_a_table_of_coordinates_y_is_one_of_them():
    table = pandas.DataFrame(Z[:, :2], columns=["x", "y"])
    np.testing.assert_array_equal(read(table)[0], Z[:, :2])
    assert read(table.rename(columns={"x": "a"}))[0].shape == (60, 1)


def test_a_table_may_have_columns_of_any_name():
    table = pandas.DataFrame(Z, columns=["snapshots", "images", "edge_index", "a", "b"])
    assert explore(table)._lenses["left"].series.dim == 5


def test_two_columns_come_back_as_they_were():
    far = Z[:, :2] * 3 + 100
    explorer = explore(far, Y)
    assert "nothing is projected" in explorer.caption
    np.testing.assert_array_equal(explorer.projection, far)
    np.testing.assert_array_equal(explorer.to_frame()[["x", "y"]], far)
    both = compare(far, far[:, ::-1].copy())
    np.testing.assert_array_equal(both.projections["right"], far[:, ::-1])
    lengths = np.linalg.norm(explore(far, metric="cosine").projection, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_classes_that_are_numbers_come_back_as_numbers():
    assert (explore(Z, Y).to_frame()["label"] == Y).all()
    assert (explore(Z, Y > 0).to_frame()["label"] == (Y > 0)).all()
    assert explore(Z, Y, class_names=["a", "b", "c"]).to_frame()["label"].iloc[1] == "b"
    assert explore(Z, Y.astype(str)).to_frame()["label"].iloc[1] == "1"


def test_labels_that_are_measurements_come_back_as_they_were():
    seconds = 1.7e9 + np.arange(60.0)  # float32 has one number for all of them
    seconds[7] = 1e300
    explorer = explore(Z, seconds)
    assert (explorer.to_frame()["label"] == seconds).all()
    assert explorer._colouring.range[1] < 2e9  # beyond float32 no point has a colour


def test_tables_of_other_libraries_are_taken():
    frame = pandas.DataFrame({"a": Z[:, 0], "b": Z[:, 1], "kind": Y})
    table = pyarrow.Table.from_pandas(frame)
    assert (explore(table, "kind").to_frame()["kind"] == Y).all()
    assert (explore(Z, columns=table).to_frame()["kind"] == Y).all()


def test_columns_of_one_name_are_refused():
    table = pandas.concat([pandas.DataFrame(Z[:, :2], columns=["pc", "pc"]), pandas.DataFrame({"a": Z[:, 2]})], axis=1)
    with pytest.raises(ValueError, match="several columns named 'pc'"):
        explore(table)


def test_what_is_masked_is_missing():
    masked = np.ma.array(Z.copy(), mask=False)
    masked[3] = np.ma.masked
    masked.data[3] = 1e6
    assert explore(masked).left_out.tolist() == [3]
    assert explore(Z, np.ma.array(Y)).to_frame()["label"].tolist() == Y.tolist()  # nothing masked: classes they stay


def test_a_column_of_vectors_may_hold_tensors_and_begin_with_none():
    table = pandas.DataFrame({"v": list(torch.from_numpy(Z)), "n": Y})
    assert read(table)[0].shape == (60, 5)
    table.loc[0, "n"] = 7
    assert read(table)[1]["n"][0] == 7


class Annotated:
    X = Z


@pytest.mark.parametrize(
    ("embedding", "message"),
    [
        (torch.from_numpy(Z).to_sparse(), r"embedding must be dense, not torch.sparse_coo; use embedding.to_dense\(\)"),
        (scipy.sparse.csr_array(Z), r"embedding must be dense, not csr_array; use embedding.toarray\(\)"),
        (Annotated(), "embedding must be an array, a tensor or a table, not Annotated"),
    ],
)
def test_what_is_no_dense_array_is_named(embedding, message):
    with pytest.raises(ValueError, match=message):
        explore(embedding)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("damage", ["empty", "cut", "words", "objects"])
def test_a_damaged_file_is_named(tmp_path, suffix, damage):
    path = tmp_path / f"z{suffix}"
    save = np.save if suffix == ".npy" else np.savez
    save(path, np.array([{}, 1], dtype=object) if damage == "objects" else Z)
    if damage != "objects":
        whole = path.read_bytes()
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "words": b"a,b\n1,2\n"}[damage])
    with pytest.raises(ValueError, match=f"{path.name} is torn, is no file of NumPy's, or holds Python objects"):
        explore(path)
