"""npz, npy and zip from strangers: numbers come through, everything else is one clear error."""

import io
import zipfile

import numpy as np
import pytest

from labkit.data._arrays import read_npy, read_npz, read_zip


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return file.getvalue()


@pytest.mark.attack("npz")
def test_numbers_come_through_and_objects_are_left_alone():
    data = npz(x=np.arange(6.0).reshape(2, 3), names=np.array(["a", "b"]), odd=np.array([{"a": 1}], dtype=object))
    arrays = read_npz(data, "mine.npz")
    assert sorted(arrays) == ["names", "x"]
    np.testing.assert_array_equal(arrays["x"], np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_each_version_of_the_format_is_read_and_what_is_no_array_passed_over(version):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(3), version=version)
    arrays = read_npz(zipped(**{"x.npy": file.getvalue(), "README.txt": b"by hand"}), "mine.npz")
    assert {name: array.tolist() for name, array in arrays.items()} == {"x": [0, 1, 2]}


@pytest.mark.parametrize("keep", [0, 10, 100, -30])
@pytest.mark.attack("npz")
def test_a_truncated_npz_is_one_clear_error(keep):
    with pytest.raises(ValueError, match=r"mine\.npz is no whole npz file"):
        read_npz(npz(x=np.random.default_rng(0).random(500))[:keep], "mine.npz")


@pytest.mark.attack("npz")
def test_flipped_bytes_are_noticed():
    data = bytearray(npz(x=np.random.default_rng(0).random(500)))
    data[300:310] = bytes(10)
    with pytest.raises(ValueError, match="no whole npz"):
        read_npz(bytes(data), "mine.npz")


@pytest.mark.attack("npz")
def test_a_header_that_promises_more_than_there_is():
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 1000)})
    data = zipped(**{"x.npy": file.getvalue() + b"\0" * 16})
    with pytest.raises(ValueError, match="no whole npz"):
        read_npz(data, "lying.npz")


@pytest.mark.attack("zips")
def test_a_bomb_is_refused_before_it_is_unpacked():
    data = npz(x=np.zeros(10**6))
    assert len(data) < 20_000
    with pytest.raises(ValueError, match=r"^bomb\.npz was refused: it unpacks to 8000"):
        read_npz(data, "bomb.npz", limit=10**6)
    with pytest.raises(ValueError, match="unpacks to 5000000 bytes"):
        read_zip(zipped(a=bytes(5 * 10**6)), "bomb.zip", limit=10**6)


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/etc/evil.txt", "..\\evil.txt"])
@pytest.mark.attack("zips")
def test_a_path_that_leaves_its_folder_is_refused(name):
    with pytest.raises(ValueError, match="leaves its folder"):
        read_zip(zipped(**{name: b"x"}), "evil.zip")


def test_a_zip_gives_its_files():
    assert read_zip(zipped(**{"a/b.txt": b"one", "c.txt": b"two"}), "good.zip") == {"a/b.txt": b"one", "c.txt": b"two"}


@pytest.mark.parametrize("keep", [0, 20, -10])
@pytest.mark.attack("zips")
def test_a_torn_zip_is_one_clear_error(keep):
    with pytest.raises(ValueError, match=r"torn\.zip is no whole zip"):
        read_zip(zipped(a=b"some text")[:keep], "torn.zip")


def test_npy():
    file = io.BytesIO()
    np.save(file, np.arange(5))
    np.testing.assert_array_equal(read_npy(file.getvalue(), "a.npy"), np.arange(5))
    with pytest.raises(ValueError, match=r"a\.npy is no whole npy"):
        read_npy(file.getvalue()[:-3], "a.npy")
    np.save(file := io.BytesIO(), np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy is no whole npy file of numbers"):
        read_npy(file.getvalue(), "a.npy")
