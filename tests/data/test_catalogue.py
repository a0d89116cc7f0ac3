"""The catalogue says where everything comes from, and every entry can be read by something."""

import re
from pathlib import PurePosixPath

import pytest

from labkit.data import catalogue
from labkit.data._load import _reader

ENTRIES = catalogue()
WITHOUT_CHECKSUM = {"ogbn-arxiv"}


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_is_complete(name):
    entry = ENTRIES[name]
    assert entry.name == name
    assert all([entry.summary, entry.licence, entry.citation, entry.kind])
    assert callable(_reader(entry))
    for file in entry.files:
        if name in WITHOUT_CHECKSUM:
            assert (file.sha256, file.bytes, file.url) == ("", 0, None)  # and so it is never fetched
        else:
            assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
            assert file.bytes > 0
        assert file.url is None or file.url.startswith(("https://", "http://"))
        assert file.url or file.note, f"{file.path} can't be downloaded and does not say what it is"
        path = PurePosixPath(file.path)
        assert not path.is_absolute()
        assert ".." not in path.parts


def test_one_path_has_one_checksum():
    seen = {}
    for entry in ENTRIES.values():
        for file in entry.files:
            assert seen.setdefault(file.path, file.accepted) == file.accepted


def test_two_checksums_where_the_files_were_repacked():
    photo = ENTRIES["amazon-photo"].files[0]
    assert len(photo.accepted) == 2
    assert photo.accepted[photo.also["sha256"]] == 17_113_960
    assert "upstream" in repr(ENTRIES["amazon-photo"])


def test_prints_as_a_table_and_an_entry_with_its_sources():
    lines = repr(ENTRIES).splitlines()
    assert len(lines) == 1 + len(ENTRIES)
    assert all(name in line for name, line in zip(ENTRIES, lines[1:], strict=True))
    cora = repr(ENTRIES["cora"])
    assert "2708 nodes" in cora
    assert "MIT" in cora
    assert "ind.cora.allx" in cora
    assert "no download" in repr(ENTRIES["digits"])


def test_a_change_of_the_returned_catalogue_stays_with_the_caller():
    catalogue().clear()
    assert "cora" in catalogue()
