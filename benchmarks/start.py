"""From a cold start, each time in a fresh process: the import, and the first figure of notebook 0_start_here.

The figure's peer is the same picture of 36 digits from scikit-learn and matplotlib, with the notebook's own
``import torch`` before it.
"""

import time
from collections.abc import Callable, Iterator

from benchmarks._bench import ROOT, Missing, Row, alternate, fresh
from benchmarks._lightly import GET, have_lightly

NAME = "cold start"
BY_HAND = """
import torch
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

figure, axes = plt.subplots(3, 12, figsize=(12, 3))
for axis, image in zip(axes.flat, load_digits().images):
    axis.imshow(image, cmap="gray")
    axis.axis("off")
"""


def first_figure() -> str:
    """The code of the notebook up to its first figure."""
    text = (ROOT / "notebooks" / "src" / "0_start_here.py").read_text()
    return text[: text.index("plt.show()")]


def cold(script: str) -> Callable:
    return lambda: fresh(script + "\nprint()")


def drawn(script: str) -> Callable:
    return cold(f"import matplotlib; matplotlib.use('agg')\n{script}\nplt.gcf().canvas.draw()")


def main(repeats: int = 5) -> Iterator[Row | Missing]:
    began = time.perf_counter()
    fresh("print()")
    bare = f"(of it {time.perf_counter() - began:.2f} s Python itself)"
    if have_lightly():
        peer = "from benchmarks._lightly import have_lightly; have_lightly(); import lightly.loss"
        lightly = alternate(cold("import labkit"), cold(peer), repeats)
        yield Row(f"import labkit {bare}", "import lightly.loss", *lightly)
    else:
        yield Missing("import labkit", "import lightly.loss", GET)
    pyg = alternate(cold("import labkit"), cold("import torch_geometric"), repeats)
    yield Row(f"import labkit {bare}", "import torch_geometric", *pyg)
    figures = alternate(drawn(first_figure()), drawn(BY_HAND), repeats)
    why = "the plain script imports no labkit"
    yield Row("first figure of 0_start_here, cold", "scikit-learn and matplotlib by hand", *figures, why=why)
