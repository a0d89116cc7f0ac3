"""ogbn-arxiv from files laid out as OGB's zip has them: a small one of the same shape, and what is refused."""

import gzip
from dataclasses import replace

import pytest
import torch
from torch_geometric.transforms import Constant

from labkit.data import _load, available, catalogue, load

EXPECTED = {"nodes": 6, "citations": 5, "features": 2, "classes": 3, "train": 3, "val": 1, "test": 2}
TABLES = {
    "raw/edge.csv.gz": "0,1\n1,2\n2,0\n4,3\n3,4",
    "raw/node-feat.csv.gz": "\n".join(f"{k}.5,-{k}" for k in range(6)),
    "raw/node-label.csv.gz": "0\n1\n2\n0\n1\n2",
    "split/time/train.csv.gz": "0\n2\n4",
    "split/time/valid.csv.gz": "1",
    "split/time/test.csv.gz": "3\n5",
}


@pytest.fixture
def arxiv(tmp_path, monkeypatch):
    """A folder with six papers, and the benchmark's entry expecting them."""
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    entry = replace(catalogue()["ogbn-arxiv"], expected=EXPECTED)
    monkeypatch.setattr(_load, "_entry", lambda name: entry)
    for name, text in TABLES.items():
        path = tmp_path / "graphs" / "ogb" / "arxiv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
    return tmp_path / "graphs" / "ogb" / "arxiv"


def test_reads_papers_citations_and_the_split_by_year(arxiv):
    assert available("ogbn-arxiv")
    data = load("ogbn-arxiv")
    assert torch.equal(data.x, torch.tensor([[k + 0.5, -k] for k in range(6)]))
    pairs = {tuple(pair) for pair in data.edge_index.T.tolist()}
    assert pairs == {(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2), (3, 4), (4, 3)}
    assert data.train_mask.nonzero().flatten().tolist() == [0, 2, 4]
    assert data.val_mask.tolist() == [False, True, False, False, False, False]
    assert data.test_mask.nonzero().flatten().tolist() == [3, 5]


def test_fewer_citations_or_papers_than_published_are_refused(arxiv):
    (arxiv / "raw" / "edge.csv.gz").write_bytes(gzip.compress(b"0,1\n1,2"))
    with pytest.raises(ValueError, match="holds 2 citations instead of 5"):
        load("ogbn-arxiv")
    (arxiv / "raw" / "edge.csv.gz").write_bytes(gzip.compress(TABLES["raw/edge.csv.gz"].encode()))
    (arxiv / "split" / "time" / "train.csv.gz").write_bytes(gzip.compress(b"0"))
    with pytest.raises(ValueError, match="1 train instead of 3"):
        load("ogbn-arxiv")
    with pytest.raises(ValueError, match="1 train instead of 3"):  # before the transform, which may change any size
        load("ogbn-arxiv", transform=Constant())


def test_a_transform_may_change_sizes(arxiv):
    assert load("ogbn-arxiv", transform=Constant()).num_features == 3


@pytest.mark.parametrize(
    "content",
    [b"<!doctype html>", gzip.compress(b"a,b\n"), gzip.compress(b"0,1\n1,2")[:-6]],
    ids=["a page", "words", "cut short"],  # the bytes hold the time, and every worker must find the same names
)
def test_what_is_no_table_is_named(arxiv, content):
    (arxiv / "raw" / "edge.csv.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"edge\.csv\.gz is not the gzipped table that OGB publishes"):
        load("ogbn-arxiv")


def test_who_has_it_not_is_told_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    assert not available("ogbn-arxiv")
    with pytest.raises(FileNotFoundError, match=r"unpack arxiv\.zip from http://snap.stanford.edu/ogb/.*no checksum"):
        load("ogbn-arxiv")
    assert "no checksum is published" in repr(catalogue()["ogbn-arxiv"])
