"""node2vec walks on Cora: one step of all walks at a time, against a walk at a time with alias tables, as published.

The published reference (https://github.com/aditya-grover/node2vec) makes an alias table for every directed edge, then
walks in Python. ``Published`` is that algorithm, written anew.
"""

import statistics
from contextlib import contextmanager

import networkx as nx
import numpy as np
import torch

from benchmarks._bench import Row, alternate
from labkit.data import load
from labkit.views import Adjacency, _walks, random_walk

NAME = "node2vec walks on Cora"
WALKS, LENGTH, P, Q = 4, 80, 0.5, 2.0  # walks a node; the paper takes 10, at the same cost for each


@contextmanager
def no_tables():
    """Walks as on a graph whose tables would be too large."""
    kept, _walks.TABLE = _walks.TABLE, -1
    try:
        yield
    finally:
        _walks.TABLE = kept


def alias_table(chances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Walker's alias method: O(outcomes) to make, O(1) to draw from."""
    n = len(chances)
    scaled, alias = chances * n, np.zeros(n, dtype=int)
    small = [i for i in range(n) if scaled[i] < 1]
    large = [i for i in range(n) if scaled[i] >= 1]
    while small and large:
        low, high = small.pop(), large.pop()
        alias[low] = high
        scaled[high] += scaled[low] - 1
        (small if scaled[high] < 1 else large).append(high)
    return alias, scaled


def draw(table) -> int:
    alias, kept = table
    place = int(np.floor(np.random.rand() * len(alias)))  # noqa: NPY002 (as published)
    return place if np.random.rand() < kept[place] else alias[place]  # noqa: NPY002


class Published:
    """A networkx graph, an alias table a node and a directed edge, neighbours sorted at every step."""

    def __init__(self, data):
        self.graph = nx.Graph()
        self.graph.add_nodes_from(range(data.num_nodes))
        self.graph.add_edges_from(data.edge_index.t().tolist())

    def prepare(self):
        graph = self.graph
        self.first = {v: alias_table(np.full(graph.degree(v), 1 / max(graph.degree(v), 1))) for v in graph}
        self.second = {}
        for t, v in [*graph.edges, *((b, a) for a, b in graph.edges)]:
            near = sorted(graph.neighbors(v))
            bias = np.array([1 / P if x == t else 1 if graph.has_edge(x, t) else 1 / Q for x in near])
            self.second[t, v] = alias_table(bias / bias.sum())

    def walk(self):
        walks = []
        for _ in range(WALKS):
            for start in np.random.permutation(len(self.graph)):  # noqa: NPY002
                walk = [int(start)]
                while len(walk) < LENGTH:
                    here = walk[-1]
                    near = sorted(self.graph.neighbors(here))
                    if not near:
                        break
                    table = self.first[here] if len(walk) == 1 else self.second[walk[-2], here]
                    walk.append(near[draw(table)])
                walks.append(walk)
        return walks


def main(repeats: int = 5) -> list[Row]:
    data = load("cora")
    published, adjacency = Published(data), Adjacency.of(data)
    peer = "a walker in Python with alias tables, as published"
    prepare = alternate(lambda: Adjacency.of(data)._table(P, Q), published.prepare, min(repeats, 3))
    start = torch.arange(data.num_nodes).repeat(WALKS)
    walk = alternate(lambda: random_walk(adjacency, start, LENGTH, P, Q), published.walk, repeats)
    uniform = alternate(lambda: random_walk(adjacency, start, LENGTH), published.walk, min(repeats, 3))
    with no_tables():
        rejection = alternate(lambda: random_walk(adjacency, start, LENGTH, P, Q), published.walk, min(repeats, 3))
    tables = [statistics.median(seconds) for seconds in prepare]
    whole = [[10 / WALKS * one + once for one in each] for each, once in zip(walk, tables, strict=True)]
    entry = f"{len(start)} walks of {LENGTH} nodes"
    return [
        Row(f"{entry}, p = {P:g}, q = {Q:g}, tables ready", peer, *walk, at_least=20),
        Row(f"{entry}, p = {P:g}, q = {Q:g}, by rejection (graphs too large for tables)", peer, *rejection),
        Row(f"{entry}, p = q = 1", peer, *uniform),
        Row("the tables", peer, *prepare),
        Row("the paper's corpus, 10 walks a node with their tables (from the above)", peer, *whole, at_least=20),
    ]
