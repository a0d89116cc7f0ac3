"""Graphs of up to a million nodes: time and memory of training on parts of them and of embedding all nodes, against n.

Each size runs in a process of its own, so that its peak is its own; the graph is drawn there too, and counts. Training
sees subgraphs of 2 000 nodes, or 128 walks of node2vec's or k-core's own length with gradients of the rows they touch;
embedding goes layer by layer over all nodes and holds two layers' outputs at a time. The figure and its numbers go to
results/figures/big-graphs.{json,png}: ``python -m benchmarks.big_graph [METHOD ...]``.
"""

import json
import math
import os
import statistics
import sys
from collections.abc import Iterator
from functools import partial

import torch

from benchmarks._bench import ROOT, Row, alternate, fresh, training_step
from labkit import plot
from labkit._files import write_json
from labkit.methods import SkipGram
from labkit.recipes import circumstances

NAME = "Big graphs"
STEPS, SIZE = 20, 2000
NODES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SCRIPT = """
import json, sys, time
from functools import partial
from itertools import islice
import torch
import labkit
from benchmarks._bench import memory_gb
from labkit.data import stochastic_block_model
from labkit.papers.graph import bandana, fisher, grace, graphmae, kcore, mvgrl, node2vec

nodes, began = int(sys.argv[1]), time.process_time()
blocks = max(2, nodes // 10_000)
size = nodes // blocks  # 8 edges a node inside its block, 2 outside: ten edges a node, both ends counted once
data = stochastic_block_model([size] * blocks, p_in=16 / size, p_out=4 / (nodes - size), features=64, signal=2.0)
drawn, began = time.process_time() - began, time.process_time()
method = {method}
batches = {batches}
prepared, began = time.process_time() - began, time.process_time()
run = labkit.fit(method, batches, epochs=1, optimizer={optimizer}, progress=False)
trained, began = time.process_time() - began, time.process_time()
z = run.method.embed(data)
embedded = time.process_time() - began
if z.shape[0] != data.num_nodes or not torch.isfinite(z).all():
    raise FloatingPointError("NaN or infinite embeddings, or not one for each node")
print(json.dumps({{"nodes": data.num_nodes, "edges": data.num_edges // 2, "draw": drawn, "prepare": prepared,
                  "step": trained / {steps}, "embed": embedded, "peak": memory_gb()}}))
"""
SUBGRAPHS = f"labkit.train.Subgraphs(data, size={SIZE}, batches={STEPS})", '"adam"'
SPARSE = "lambda p: torch.optim.SparseAdam(list(p), lr=0.01)"
CORE = 14  # of these graphs the innermost, or next to it
METHODS = {
    "GRACE": ("grace.GRACE(64)", *SUBGRAPHS),
    "GraphMAE": ("graphmae.GraphMAE(64, hidden=128)", *SUBGRAPHS),
    "MVGRL": ("mvgrl.MVGRL(64, dim=128)", *SUBGRAPHS),
    "Bandana": ("bandana.Bandana(64, hidden=64, layers=2, decoder_hidden=64)", *SUBGRAPHS),
    "FIE": ("fisher.FIE(data, hidden=32, layers=2)", SUBGRAPHS[0], "partial(fisher.Lloyd, momentum=0.98)"),
    "node2vec": (
        "node2vec.Node2Vec(data, dim=64, sparse=True)",
        f"list(islice(node2vec.walks(data), {STEPS}))",
        SPARSE,
    ),
    f"{CORE}-core": (
        f"kcore.KCoreEmbedding(data, {CORE}, dim=64, sparse=True)",
        f"list(islice(kcore.batches(data, {CORE}, size=128), {STEPS}))",
        SPARSE,
    ),
}


def measure(method: str, nodes: int) -> dict[str, float]:
    """nodes, edges, CPU seconds to draw, to prepare, of a step, to embed all, and peak GB of a fresh process."""
    build, batches, optimizer = METHODS[method]
    script = SCRIPT.format(method=build, batches=batches, optimizer=optimizer, steps=STEPS)
    return json.loads(fresh(script, nodes))


def node2vec_steps(nodes: int, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of a step of 128 walks of 80 nodes on a table of ``nodes`` rows: sparse gradients, dense ones."""
    walks = torch.randint(nodes, (128, 80))  # where a walk leads makes no difference to what a step costs

    def stepper(sparse: bool):
        method = SkipGram(nodes, dim=64, sparse=sparse)
        adam = torch.optim.SparseAdam if sparse else partial(torch.optim.Adam, fused=True)  # as fit has it
        return training_step(method, walks, adam(list(method.parameters()), lr=0.01))

    return alternate(stepper(True), stepper(False), repeats)


def main(repeats: int = 5) -> Iterator[Row]:
    """``repeats`` is of the step: a peak of memory needs no median."""
    for method in METHODS:
        found = measure(method, NODES[-1])
        entry = f"{method}, {found['nodes']:,} nodes, {found['edges']:,} edges, peak memory"
        yield Row(entry, "the limit asked for", found["peak"], 8.0, at_least=1, unit="GB")
    entry = f"node2vec step on a table of {NODES[-1]:,} rows, gradients of the rows it touched"
    yield Row(entry, "dense gradients and Adam", *node2vec_steps(NODES[-1], repeats))


def slope(points: list[dict[str, float]], what: str, since: int = 100_000) -> float:
    """Of log(what) against log(n), least squares over graphs of ``since`` nodes and more."""
    far = [point for point in points if point["nodes"] >= since]
    x, y = ([math.log(point[key]) for point in far] for key in ("nodes", what))
    return statistics.linear_regression(x, y).slope


def draw(found: dict[str, list[dict[str, float]]]):
    """Memory, and CPU seconds to embed all nodes and of a step, against n."""
    from matplotlib import pyplot as plt

    panels = {
        "peak": ("Peak memory of the process", "GB"),
        "embed": ("Embedding all nodes", "CPU seconds"),
        "step": (f"One step: {SIZE:,} nodes, or 128 walks", "CPU seconds"),
    }
    with plot.style(figure__figsize=(13, 4.3)):
        figure, axes = plt.subplots(1, 3)
        for axis, (what, (title, unit)) in zip(axes, panels.items(), strict=True):
            for (method, points), colour, marker in zip(found.items(), plot.COLOURS, plot.MARKERS, strict=False):
                n, values = [point["nodes"] for point in points], [point[what] for point in points]
                axis.plot(n, values, color=colour, marker=marker, label=f"{method}, slope {slope(points, what):.2f}")
            axis.set(xscale="log", yscale="log", xlabel="nodes (ten edges each)", title=title, ylabel=unit)
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize=9)
        axes[0].axhline(8, color=plot.FLOOR, linestyle=":")
        axes[0].text(NODES[0], 8.4, "the limit asked for", color=plot.FLOOR, fontsize=9)
        axes[0].set(ylim=(0.3, 12))
        axes[0].set_yticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"], minor=False)
        axes[0].minorticks_off()
    return figure


def keep(found: dict[str, list[dict[str, float]]]) -> None:
    """The numbers with their slopes, and the figure."""
    folder = ROOT / "results" / "figures"
    slopes = {
        method: {what: slope(points, what) for what in ("peak", "embed", "step")} for method, points in found.items()
    }
    facts = {"measured": found, "slopes from 100 000 nodes": slopes, "cores": os.cpu_count()} | circumstances("cpu")
    write_json(folder / "big-graphs.json", facts)
    draw(found).savefig(folder / "big-graphs.png", dpi=120)


if __name__ == "__main__":
    found = {method: [] for method in sys.argv[1:] or METHODS}
    for nodes in NODES:
        for method, points in found.items():
            points.append(measure(method, nodes))
            print(method, points[-1], flush=True)
    keep(found)
