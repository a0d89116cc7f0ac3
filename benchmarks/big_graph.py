"""Node-level methods on a graph of a million nodes: time and memory of training on subgraphs and of embedding all.

Each size runs in a process of its own, so that its peak is its own; the graph is drawn there too, and counts.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks._bench import Row

NAME = "Big graphs"
STEPS, SIZE = 20, 2000
SCRIPT = """
import json, resource, sys, time
import torch
import labkit
from labkit.data import stochastic_block_model
from labkit.papers.graph.{paper} import {method}

nodes, began = int(sys.argv[1]), time.perf_counter()
blocks = max(2, nodes // 10_000)
size = nodes // blocks  # 8 edges a node inside its block, 2 outside: ten edges a node, both ends counted once
data = stochastic_block_model([size] * blocks, p_in=16 / size, p_out=4 / (nodes - size), features=64, signal=2.0)
drawn = time.perf_counter() - began
method, began = {method}(64{options}), time.perf_counter()
batches = labkit.train.Subgraphs(data, size={size}, batches={steps})
run = labkit.fit(method, batches, epochs=1, progress=False)
trained, began = time.perf_counter() - began, time.perf_counter()
z = run.method.embed(data)
embedded = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([data.num_nodes, data.num_edges // 2, drawn, trained, embedded, peak, bool(torch.isfinite(z).all())]))
"""
METHODS = {"grace": ("GRACE", ""), "mvgrl": ("MVGRL", ", dim=128"), "graphmae": ("GraphMAE", ", hidden=128")}


def measure(paper: str, nodes: int) -> list[float]:
    """[nodes, edges, s to draw, s to train, s to embed, peak GB, finite] of a fresh process."""
    method, options = METHODS[paper]
    script = SCRIPT.format(paper=paper, method=method, options=options, size=SIZE, steps=STEPS)
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script, str(nodes)], cwd=root, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(repeats: int = 1) -> Iterator[Row]:
    """``repeats`` is not used: a peak of memory needs no median."""
    for paper, (method, _) in METHODS.items():
        for nodes in (10_000, 100_000, 1_000_000):
            n, edges, _, trained, embedded, peak, finite = measure(paper, nodes)
            if not finite:
                raise FloatingPointError(f"{method} gave NaN or infinite embeddings at {n:,} nodes")
            at = f"{method}, {n:,} nodes and {edges:,} edges"
            print(f"{at}: {1000 * trained / STEPS:.0f} ms a step of {SIZE} nodes, all embedded in {embedded:.1f} s")
            yield Row(f"{at}, peak memory", "8 GB asked for", peak, 8, at_least=1, unit="GB")


if __name__ == "__main__":
    for row in main():
        print(row, flush=True)
