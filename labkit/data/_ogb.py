"""ogbn-arxiv as the Open Graph Benchmark publishes it: gzipped tables of numbers, unpacked from its zip."""

import gzip
import zlib
from io import BytesIO

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import index_to_mask, to_undirected

from labkit.data._catalogue import Entry
from labkit.data._store import read_bytes


def read_ogbn_arxiv(entry: Entry) -> Data:
    """Papers that cite each other, both directions of each citation; train, val and test by year of publication.

    OGB publishes no checksum, so that the files are checked by what is in them: as many papers, citations and papers
    in each part as the benchmark states.

    Cost: a few seconds of reading numbers from text; 87 MB of features.

    Raises:
        ValueError: a file that is not a gzipped table of numbers, or another number of citations.
    """

    def table(name: str, kind: type) -> np.ndarray:
        file = entry.file(name)
        content = read_bytes(entry, file)
        try:
            return np.loadtxt(BytesIO(gzip.decompress(content)), delimiter=",", dtype=kind, ndmin=2)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            what = f"{file.path} is not the gzipped table that OGB publishes"
            raise ValueError(f"{what} ({error}); unpack it anew") from error

    citations = torch.from_numpy(table("edge.csv.gz", np.int64).T)
    if citations.shape[1] != entry.expected["citations"]:
        raise ValueError(
            f"edge.csv.gz holds {citations.shape[1]} citations instead of {entry.expected['citations']}: it is cut "
            "short, or from another data set; unpack it anew"
        )
    y = torch.from_numpy(table("node-label.csv.gz", np.int64)).squeeze(1)
    data = Data(
        x=torch.from_numpy(table("node-feat.csv.gz", np.float32)),
        edge_index=to_undirected(citations, num_nodes=len(y)),
        y=y,
        citations=citations.shape[1],
    )
    for part, name in (("train", "train"), ("val", "valid"), ("test", "test")):
        rows = torch.from_numpy(table(f"{name}.csv.gz", np.int64)).squeeze(1)
        data[f"{part}_mask"] = index_to_mask(rows, len(y))
    return data
