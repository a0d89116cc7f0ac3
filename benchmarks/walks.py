"""node2vec walks on Cora: one step of all walks at a time, against a walk at a time with alias tables, as published.

The published reference (https://github.com/aditya-grover/node2vec) makes an alias table for every directed edge, then
walks in Python. ``Published`` does the same in NumPy and Python.
"""

import numpy as np
import torch

from benchmarks._bench import Row, alternate
from labkit.data import load
from labkit.views import Adjacency, random_walk

NAME = "node2vec walks on Cora"
WALKS, LENGTH, P, Q = 2, 80, 0.5, 2.0  # walks a node; the paper takes 10, at the same cost for each


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
    place = int(np.random.rand() * len(alias))  # noqa: NPY002 (as published)
    return place if np.random.rand() < kept[place] else alias[place]  # noqa: NPY002


class Published:
    def __init__(self, data):
        self.neighbours = [[] for _ in range(data.num_nodes)]
        for a, b in data.edge_index.t().tolist():
            self.neighbours[a].append(b)
        self.near = [set(others) for others in self.neighbours]

    def prepare(self):
        self.first = [alias_table(np.full(len(others), 1 / max(len(others), 1))) for others in self.neighbours]
        self.second = {}
        for t, others in enumerate(self.neighbours):
            for v in others:
                bias = np.array([1 / P if x == t else 1 if x in self.near[t] else 1 / Q for x in self.neighbours[v]])
                self.second[t, v] = alias_table(bias / bias.sum())

    def walk(self):
        walks = []
        for _ in range(WALKS):
            for start in np.random.permutation(len(self.neighbours)):  # noqa: NPY002
                walk = [int(start)]
                while len(walk) < LENGTH and self.neighbours[walk[-1]]:
                    here = walk[-1]
                    table = self.first[here] if len(walk) == 1 else self.second[walk[-2], here]
                    walk.append(self.neighbours[here][draw(table)])
                walks.append(walk)
        return walks


def main(repeats: int = 5) -> list[Row]:
    data = load("cora")
    published, adjacency = Published(data), Adjacency.of(data)
    peer = "a walker in Python with alias tables, as published"
    prepare = alternate(lambda: Adjacency.of(data), published.prepare, min(repeats, 3))
    start = torch.arange(data.num_nodes).repeat(WALKS)
    walk = alternate(lambda: random_walk(adjacency, start, LENGTH, P, Q), published.walk, repeats)
    entry = f"{len(start)} walks of {LENGTH} nodes, p = {P:g}, q = {Q:g}"
    whole = [10 / WALKS * one + once for one, once in zip(walk, prepare, strict=True)]
    return [
        Row(f"{entry}, tables ready", peer, *walk, at_least=20),
        Row("what the walks need before the first step", peer, *prepare),
        Row("the paper's corpus, 10 walks a node, preparation included (from the two above)", peer, *whole),
    ]
