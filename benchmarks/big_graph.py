"""Graphs of up to a million nodes: time and memory of training on subgraphs and of embedding all nodes, against n.

Each size runs in a process of its own, so that its peak is its own; the graph is drawn there too, and counts. Training
sees subgraphs of 2 000 nodes; embedding goes layer by layer over all nodes and holds two layers' outputs at a time.
The figure and its numbers go to results/figures/big-graphs.{json,png}: ``python -m benchmarks.big_graph [METHOD ...]``.
"""

import json
import math
import os
import statistics
import sys
from collections.abc import Iterator

from benchmarks._bench import ROOT, Row, fresh
from labkit import plot
from labkit.recipes import circumstances
from labkit.train import write_whole

NAME = "Big graphs"
STEPS, SIZE = 20, 2000
NODES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SCRIPT = """
import json, resource, sys, time
import torch
import labkit
from labkit.data import stochastic_block_model
from labkit.papers.graph.{paper} import {method}

nodes, began = int(sys.argv[1]), time.process_time()
blocks = max(2, nodes // 10_000)
size = nodes // blocks  # 8 edges a node inside its block, 2 outside: ten edges a node, both ends counted once
data = stochastic_block_model([size] * blocks, p_in=16 / size, p_out=4 / (nodes - size), features=64, signal=2.0)
drawn = time.process_time() - began
method, began = {method}(64{options}), time.process_time()
batches = labkit.train.Subgraphs(data, size={size}, batches={steps})
prepared = time.process_time() - began
run = labkit.fit(method, batches, epochs=1, progress=False)
trained, began = time.process_time() - began - prepared, time.process_time()
z = run.method.embed(data)
embedded = time.process_time() - began
if not torch.isfinite(z).all():
    raise FloatingPointError("NaN or infinite embeddings")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({{"nodes": data.num_nodes, "edges": data.num_edges // 2, "draw": drawn, "prepare": prepared,
                  "step": trained / {steps}, "embed": embedded, "peak": peak}}))
"""
METHODS = {
    "GRACE": ("grace", ""),
    "GraphMAE": ("graphmae", ", hidden=128"),
    "MVGRL": ("mvgrl", ", dim=128"),
    "Bandana": ("bandana", ", hidden=64, layers=2, decoder_hidden=64"),
}


def measure(method: str, nodes: int) -> dict[str, float]:
    """nodes, edges, CPU seconds to draw, to prepare, of a step, to embed all, and peak GB of a fresh process."""
    paper, options = METHODS[method]
    return json.loads(fresh(SCRIPT.format(paper=paper, method=method, options=options, size=SIZE, steps=STEPS), nodes))


def main(repeats: int = 1) -> Iterator[Row]:
    """``repeats`` is not used: a peak of memory needs no median."""
    for method in METHODS:
        found = measure(method, NODES[-1])
        entry = f"{method}, {found['nodes']:,} nodes, {found['edges']:,} edges, peak memory"
        yield Row(entry, "the limit asked for", found["peak"], 8.0, at_least=1, unit="GB")


def slope(points: list[dict[str, float]], what: str, since: int = 100_000) -> float:
    """Of log(what) against log(n), least squares over graphs of ``since`` nodes and more."""
    far = [point for point in points if point["nodes"] >= since]
    x, y = ([math.log(point[key]) for point in far] for key in ("nodes", what))
    return statistics.linear_regression(x, y).slope


def draw(found: dict[str, list[dict[str, float]]]):
    """Memory, and CPU seconds to embed all nodes and of a step, against n."""
    from matplotlib import pyplot as plt

    with plot.style(figure__figsize=(10, 3.9)):
        figure, (memory, seconds) = plt.subplots(1, 2)
        for (method, points), colour, marker in zip(found.items(), plot.COLOURS, plot.MARKERS):
            n, look = [point["nodes"] for point in points], {"color": colour, "marker": marker}
            memory.plot(n, [p["peak"] for p in points], label=f"{method}, slope {slope(points, 'peak'):.2f}", **look)
            label = f"{method}: all nodes, slope {slope(points, 'embed'):.2f}"
            seconds.plot(n, [p["embed"] for p in points], label=label, **look)
            label = f"a step of {SIZE:,} nodes, slope {slope(points, 'step'):.2f}"
            seconds.plot(n, [p["step"] for p in points], "--", label=label, markerfacecolor="white", **look)
        memory.axhline(8, color=plot.FLOOR, linestyle=":", label="the limit asked for")
        memory.set(title="Peak memory of the process", ylabel="GB", ylim=(0.06, 12))
        seconds.set(title="Embedding all nodes, and one step", ylabel="CPU seconds")
        for axes in (memory, seconds):
            axes.set(xscale="log", yscale="log", xlabel="nodes (ten edges each)")
        memory.legend(loc="lower right")
        memory.set_yticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"], minor=False)
        memory.minorticks_off()
        seconds.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def keep(found: dict[str, list[dict[str, float]]]) -> None:
    """The numbers with their slopes, and the figure."""
    folder = ROOT / "results" / "figures"
    slopes = {
        method: {what: slope(points, what) for what in ("peak", "embed", "step")} for method, points in found.items()
    }
    facts = {"measured": found, "slopes from 100 000 nodes": slopes, "cores": os.cpu_count()} | circumstances("cpu")
    write_whole(folder / "big-graphs.json", (json.dumps(facts, indent=1) + "\n").encode())
    draw(found).savefig(folder / "big-graphs.png", dpi=120)


if __name__ == "__main__":
    found = {method: [] for method in sys.argv[1:] or METHODS}
    for nodes in NODES:
        for method, points in found.items():
            points.append(measure(method, nodes))
            print(method, points[-1], flush=True)
    keep(found)
