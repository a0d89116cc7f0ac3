# %% [markdown]
# # Your own data in five minutes
#
# **The question.** You have a folder of images, a graph as an edge list, or an embedding that somebody's model made. What
# is in it, and would nothing at all have found the same?
#
# <!-- measured -->
#
# At the end you can
# - train a self-supervised method on your own images or your own graph;
# - put its score beside the floors that nothing trained reaches;
# - look into an embedding from anywhere, and compare two of the same items.
#
# Nothing is downloaded and nothing leaves the machine.

# %% tags=["parameters"]
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot as plt

import labkit
from labkit import evaluate, plot
from labkit.teach import beside_paper, check, predict, score

IMAGES = None  # a folder: one subfolder a class, or pictures side by side
# "mine.edges" with mine.features.csv and mine.labels.csv beside it; .graphml, .npz, .safetensors
GRAPH = None
LABEL = None  # of GraphML: the node attribute that holds the classes, if not y, label or class
# for a graph without features: from torch_geometric.transforms import LocalDegreeProfile, and then
TRANSFORM = None  # LocalDegreeProfile(): numbers made of the degrees
SHARE = 0.1  # of its labels to learn from, and again to choose on; some tens of nodes need more
EMBEDDING = None  # an .npz, .npy or .parquet file with one row for each item
LABELS = None  # a column of that file, or an array; None: the column that is called y or label

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
EPOCHS = 2 if SMOKE else 40

# %% [markdown]
# Put your paths above. For what stays `None` the next cell writes a stand-in to a temporary folder, in exactly the form
# that your own files would have: 200 photographs (half of them faces) as PNG in two subfolders, a graph of three
# communities as text, and, later, an embedding as `.npz`.

# %%
scratch = Path(tempfile.mkdtemp())
if IMAGES is None:
    print("STAND-IN for your images: scikit-image's faces and other patches")
    IMAGES, faces = scratch / "photographs", labkit.data.load("faces")
    for row, (image, label) in enumerate(zip(faces.images, faces.labels)):
        folder = IMAGES / faces.class_names[label]
        folder.mkdir(parents=True, exist_ok=True)
        plt.imsave(folder / f"{row:03}.png", image[0].numpy(), cmap="gray", vmin=0, vmax=255)
if GRAPH is None:
    print("STAND-IN for your graph: a stochastic block model with weak features")
    GRAPH, drawn = (
        scratch / "mine.edges",
        labkit.data.stochastic_block_model([100] * 3, 0.08, 0.01, signal=1.5),
    )
    np.savetxt(
        GRAPH, drawn.edge_index.T[drawn.edge_index[0] < drawn.edge_index[1]].numpy(), fmt="%d"
    )
    rows = torch.arange(300)[:, None]
    np.savetxt(
        scratch / "mine.features.csv", torch.cat([rows, drawn.x], dim=1).numpy(), fmt="%g",
        delimiter=",",
    )  # fmt: skip
    np.savetxt(
        scratch / "mine.labels.csv", torch.cat([rows, drawn.y[:, None]], dim=1).numpy(), fmt="%d",
        delimiter=",",
    )  # fmt: skip

# %% [markdown]
# ## 1 · A folder of images
#
# `read_images` scales, cuts and splits; the names of the subfolders are the classes. Without subfolders there are no
# labels, and everything below but the scores works all the same.

# %%
images = labkit.data.read_images(IMAGES, size=24, channels=1, test=0.3)
plot.image_grid(images.images[:: max(1, len(images) // 24)][:24], columns=12)
plt.show()
images

# %% [markdown]
# **Predict**: how often is the majority of the five nearest pictures, pixel by pixel, of the same class?

# %%
guess = predict("5-nearest-neighbour accuracy on raw pixels of your images?", guess=0.8)

# %%
from labkit.models import resnet8
from labkit.papers.vision.simclr import SimCLR
from labkit.views import simclr

view = simclr(
    24, scale=(0.5, 1.0), gray=0.0
)  # what should not matter: crop, mirror, brightness, contrast
with labkit.train.seeded(0):
    method = SimCLR(resnet8(width=16, channels=1), view, temperature=0.2)
train = images.images[images.splits["train"]]
batches = labkit.train.Minibatches(train, size=min(64, len(train)))
run = labkit.fit(
    method, batches, epochs=EPOCHS, lr=4e-3, schedule="cosine", snapshots=[0, EPOCHS // 2, EPOCHS],
    watch=images.images, seed=0,
)  # fmt: skip

# %%
split = evaluate.Split(
    images.splits["train"], None, images.splits["test"], name="70/30 %, drawn from seed 0"
)
pixels = images.images.flatten(1) / 255
embedded = {"SimCLR": run.snapshots[EPOCHS], "untrained": run.snapshots[0], "raw pixels": pixels}
scored = {}
if images.labels is not None:
    for name, one in embedded.items():
        scored[name] = evaluate.knn_probe(one, images.labels, split, k=5)
    plot.bars_with_floors(
        {"SimCLR": scored["SimCLR"]},
        {name: scored[name].mean for name in ("raw pixels", "untrained")},
        title="5 nearest neighbours, held-out images",
    )
    plt.show()
    guess.reveal(scored["raw pixels"].mean)
    print(scored["SimCLR"])

# %% [markdown]
# The dashed lines are what you get for nothing. If your bar does not stand clear of them, training has not paid, and the
# first thing to look at are the views: do they change what *should not* matter in your images, and nothing else?

# %%
labkit.explore.explore(run=run, images=images, views=view)

# %% [markdown]
# ## 2 · A graph
#
# An edge list (`source target` on each line) with features and labels in tables beside it; or GraphML, `.npz`, a networkx
# graph, a PyG `Data`. From the shell the same is `labkit run grace --data mine.edges`. Without labels a graph can be
# trained on and looked into, and not scored. Without features it needs a `TRANSFORM` above, and a small one a larger `SHARE`.
#
# **Predict**: average every node's features with its neighbours', twice (A²X). What does a linear probe make of it?

# %%
averaged = predict(
    f"Accuracy of a linear probe on A²X of your graph, with {100 * SHARE:g} % of the labels?",
    guess=0.6,
)

# %%
from labkit.papers.graph.grace import GRACE

graph = labkit.data.read_graph(GRAPH, TRANSFORM, label=LABEL)
with labkit.train.seeded(0):
    method = GRACE(graph.num_features, hidden=64, dim=32)
trained = labkit.fit(
    method, [graph], epochs=10 * EPOCHS, lr=1e-3, snapshots=[0, 10 * EPOCHS], seed=0
)
z = trained.snapshots[10 * EPOCHS]

# %%
grace, nothing = "no labels", {}
if graph.y is not None:
    split = evaluate.Split.random(graph.y, SHARE, SHARE, 1 - 2 * SHARE, repeats=10)
    nothing = evaluate.floors(
        graph.x, graph.y, split, untrained=trained.snapshots[0], edge_index=graph.edge_index
    )
    grace = evaluate.linear_probe(z, graph.y, split)
    plot.bars_with_floors(
        {"GRACE": grace},
        {name: floor.mean for name, floor in nothing.items()},
        title=f"Linear probe, {100 * SHARE:g} % of the labels",
    )
    plt.show()
    averaged.reveal(nothing["propagated"].mean)

# %% [markdown]
# "Propagated" is A²X, nothing trained. On many graphs it is most of what a trained encoder reaches, so that it belongs
# beside every number that you report.

# %%
labkit.explore.explore(z, labels=graph.y, graph=graph)

# %% [markdown]
# ## 3 · An embedding from anywhere
#
# A file with one row an item is enough. Labels, texts or measurements to colour by are optional.

# %%
if EMBEDDING is None:
    print("STAND-IN for your embedding: the one that was just trained on the graph")
    EMBEDDING = scratch / "embedding.npz"
    classes = {} if graph.y is None else {"y": graph.y.numpy()}
    np.savez(EMBEDDING, z=z.numpy(), **classes)
    LABELS = next(iter(classes), None)
labkit.explore.explore(EMBEDDING, labels=LABELS)

# %% [markdown]
# ## 4 · Two embeddings of the same items
#
# Did training change anything, and how much? CKA compares the geometry as a whole, the share of common neighbours what is
# next to what. Both are 1 for equal embeddings; two unrelated ones share `k / (n − 1)` of their neighbours.

# %%
common = predict("Share of the 15 nearest neighbours that training keeps?", guess=0.3)

# %%
before = trained.snapshots[0]
near = [evaluate.neighbours(one, k=15)[0] for one in (before, z)]
kept = torch.stack([torch.isin(a, b).float().mean() for a, b in zip(*near, strict=True)])
common.reveal(kept.mean())
print(f"CKA {evaluate.cka(before, z):.2f}; ", end="")
print(f"by chance {15 / (len(z) - 1):.2f} of the neighbours would be shared")
ranks = [evaluate.effective_rank(one - one.mean(dim=0)) for one in (before, z)]
print(f"effective rank, centred: {ranks[0]:.1f} before, {ranks[1]:.1f} after")

# %% [markdown]
# ## Your turn
#
# **Exercise 1** (easy, 2 min). An embedding of 301 items is compared with an unrelated one. What share of the 15 nearest
# neighbours do they have in common, on average?
#
# <details><summary>Hint</summary>15 of how many others are drawn at random?</details>
# <details><summary>Solution</summary><code>chance = 15 / 300</code>, 5 %.</details>

# %%
chance = 15 / 300  # your answer here
embeddings = torch.randn(2, 1001, 8, generator=torch.Generator().manual_seed(0))
near = [evaluate.neighbours(one, k=15)[0] for one in embeddings]
shared = torch.stack([torch.isin(a, b).float().mean() for a, b in zip(*near, strict=True)])
print(f"of 1001 items, two random embeddings share {shared.mean():.3f}")
check("shared by chance", chance, 0.0499, 0.0501, hint="an item is not its own neighbour")

# %% [markdown]
# **Exercise 2** (medium, 5 min). Multiply the whole embedding by 1 000. What is the CKA of the result and the original?
# And what if only one column is multiplied? Predict both, answer the first, and look at the second.
#
# <details><summary>Hint</summary>CKA does not change under rotation and a common scale. Is this one?</details>
# <details><summary>Solution</summary><code>whole = 1.0</code>: a common scale does not matter. With one column only that
# column is left: compare embeddings in the scale in which they are used, e.g. after
# <code>torch.nn.functional.normalize</code>.</details>

# %%
whole = 1.0  # your answer here
same = evaluate.cka(z, 1000 * z)
check(
    "CKA of z and 1000 z", whole, same - 1e-4, same + 1e-4, hint="CKA divides by the size of both",
    paper=1.0,
)  # fmt: skip
column = z.clone()
column[:, 0] *= 1000
print(f"CKA of z and z with one column multiplied: {evaluate.cka(z, column):.2f}")

# %% [markdown]
# ## Beside the papers

# %%
beside_paper(
    ("SimCLR's images", "69.3 % (ImageNet, ResNet-50, linear probe)",
     scored.get("SimCLR", "no labels"),
     f"your {len(images)} images against 1.3 million in a thousand classes; neighbours here, a "
     "linear probe there"),
    ("GRACE's graph", "83.3 ± 0.4 % (Cora, 10 % of the labels)", grace,
     f"your {graph.num_nodes} nodes against 2 708; the paper chose its widths and corruptions "
     "for that graph"),
    ("A²X on that graph", "not in the paper", nothing.get("propagated", "no labels"),
     "a floor; on Cora it is within a few points"),
    ("CKA of an embedding and a multiple of it", "1", same,
     "they agree but for rounding: it is a theorem"),
)  # fmt: skip

# %%
score()

# %% [markdown]
# **What this does not show.** The stand-ins are small and easy. A random split is optimistic where your items come in
# groups (frames of one film, patients): split by group yourself, with `evaluate.Split(train, validation, test)`.
#
# | you have | one line |
# |---|---|
# | a folder of images | `labkit.data.read_images("folder/", size=32)` |
# | a graph | `labkit.data.read_graph("mine.edges")` |
# | an embedding | `labkit.explore.explore("embedding.npz", labels="y")` |
#
# **References.** Chen et al. 2020, *SimCLR* · Zhu et al. 2020, *GRACE* · Kornblith et al. 2019, *Similarity of Neural
# Network Representations Revisited* (CKA).
