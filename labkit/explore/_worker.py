"""Computes one slow map in a process of its own: ``python _worker.py METHOD INPUT.npy OUTPUT.npy SEED``.

A thread would not do: UMAP's compiled loops hold the interpreter's lock, and the notebook would stand still. Each
line on stdout is JSON, {"share": 0.4, "note": "epoch 200 of 500"}; share is −1 while it is not known.
"""

import contextlib
import json
import os
import re
import signal
import sys
import threading


def say(share: float, note: str) -> None:
    sys.__stdout__.write(json.dumps({"share": share, "note": note}) + "\n")
    sys.__stdout__.flush()


class Listener:
    """Stands in for stdout or stderr and turns a library's own progress lines into ours."""

    def __init__(self, pattern: str, total: int | None = None):
        self.pattern, self.total, self.text = re.compile(pattern), total, ""

    def write(self, text: str) -> int:
        self.text = (self.text + text)[-400:]
        found = list(self.pattern.finditer(self.text))
        if found:
            done = int(found[-1].group(1))
            total = self.total or int(found[-1].group(2))
            say(min(1.0, done / total), f"step {done} of {total}")
            self.text = ""
        return len(text)

    def flush(self) -> None:
        pass


def umap(x, seed: int):
    say(-1, "loading UMAP")
    import warnings

    warnings.filterwarnings("ignore")
    from umap import UMAP

    say(-1, "finding neighbours")
    neighbours = min(15, len(x) - 1)
    start = _principal(x)
    model = UMAP(n_neighbors=neighbours, min_dist=0.1, init=10 * start / (abs(start).max() or 1), random_state=seed,
                 n_jobs=1, verbose=True, tqdm_kwds={"file": Listener(r"(\d+)/(\d+)"), "disable": False})  # fmt: skip
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        return model.fit_transform(x), f"UMAP ({neighbours} neighbours, min_dist 0.1, seed {seed})"


def tsne(x, seed: int):
    say(-1, "loading t-SNE")
    from sklearn.manifold import TSNE

    perplexity = min(30.0, max(1.0, (len(x) - 1) / 3))
    sys.stdout = Listener(r"Iteration (\d+)", total=1000)
    model = TSNE(
        perplexity=perplexity, init="pca" if x.shape[1] > 1 else "random", random_state=seed, n_jobs=-1, verbose=2
    )
    return model.fit_transform(x), f"t-SNE (perplexity {perplexity:g}, seed {seed})"


def spectral(x, seed: int):
    """Eigenvectors of the neighbour graph's normalised Laplacian, smallest eigenvalues first, constant left out."""
    import numpy as np
    from scipy.sparse import diags, identity
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import eigsh
    from sklearn.neighbors import kneighbors_graph

    say(-1, "finding neighbours")
    k = min(15, len(x) - 1)
    graph = kneighbors_graph(x, k, include_self=False, n_jobs=-1)
    graph = ((graph + graph.T) > 0).astype(float)
    say(-1, "finding eigenvectors")
    scale = diags(1 / np.sqrt(np.asarray(graph.sum(axis=1)).ravel()))
    affinity = scale @ graph @ scale
    count = min(11, len(x) - 1)
    start = np.random.default_rng(seed).normal(size=len(x))
    values, vectors = eigsh(affinity + identity(len(x)), k=count, which="LA", v0=start)
    order = np.argsort(-values)
    values, vectors = 2 - values[order], scale @ vectors[:, order]
    pieces = connected_components(graph, directed=False)[0]
    note = f"normalised Laplacian of the {k}-nearest-neighbour graph"
    if pieces > 1:
        note += f", which falls into {pieces} pieces"
    return np.concatenate([values[None, 1:], vectors[:, 1:] / np.abs(vectors[:, 1:]).max(axis=0)]), note


def _principal(x):
    import numpy as np

    centred = x - x.mean(axis=0)
    u, s, _ = np.linalg.svd(centred.T @ centred if x.shape[1] < len(x) else centred, full_matrices=False)
    start = centred @ u[:, :2] if x.shape[1] < len(x) else u[:, :2] * s[:2]
    return start if start.shape[1] == 2 else np.pad(start, ((0, 0), (0, 1)))


def die_with_the_notebook() -> None:
    """The kernel holds the other end of stdin; when it is gone, however it went, nobody waits for this map."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt of the kernel goes to its whole process group
    threading.Thread(target=die_with_the_notebook, daemon=True).start()
    method, source, target, seed = sys.argv[1:]
    import numpy as np

    x = np.load(source)
    if x.shape[1] > 100 and len(x) > 100 and method != "spectral":
        centred = x - x.mean(axis=0)
        _, vectors = np.linalg.eigh(centred.T @ centred)
        x, before = np.ascontiguousarray(centred @ vectors[:, :-51:-1]), " of the first 50 principal components"
    else:
        before = ""
    xy, note = {"umap": umap, "tsne": tsne, "spectral": spectral}[method](x, int(seed))
    np.save(target, np.asarray(xy, dtype=np.float32))
    sys.stdout = sys.__stdout__
    say(1, note + before)


if __name__ == "__main__":
    main()
