# %% [markdown]
# # Start here: look into an embedding, and don't be fooled by the map
#
# **The question.** 1 797 handwritten digits, no labels for training. What does a small network learn from them in half a
# minute, how do you know, how much of it was there *before*, and what does a picture of the result hide?
#
# <!-- measured -->
#
# At the end you have
# - trained a self-supervised method with the five nouns of this suite: **data → views → method → run → evidence**;
# - put its score beside what *nothing trained* reaches;
# - looked into the embedding and seen what a two-dimensional map keeps of it, and what it does not.
#
# Nothing is downloaded. Run the cells from the top with Shift-Enter.

# %% tags=["parameters"]
import os

import torch
from matplotlib import pyplot as plt

import labkit
from labkit import evaluate, plot
from labkit.teach import check, predict

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
EPOCHS = 2 if SMOKE else 30

# %% [markdown]
# ## Data

# %%
images = labkit.data.load("digits")
plot.image_grid(images.images[:36], columns=12)
plt.show()
images

# %% [markdown]
# **Predict** before you run on: how often is the majority of the 20 nearest images *in pixel space* of the right class?
# Guessing gives 10 %.

# %%
guess = predict("20-nearest-neighbour accuracy on raw pixels?", guess=0.70)

# %%
split = evaluate.Split(images.splits["train"], None, images.splits["test"], name="given 1257/540")
pixels = images.images.flatten(1).float() / 255
raw = evaluate.knn_probe(pixels, images.labels, split)
guess.reveal(raw.mean)
print("\n" + str(raw))

# %% [markdown]
# Pixels alone do very well here. A score of 97 % for any clever method would have impressed you a minute ago; now you
# know that it would add nothing. That number, the *floor*, stands beside every score in this suite.
#
# ## Views
#
# A view is a random change that should *not* matter: here a crop, brightness and contrast, a little noise. Top row:
# images. Below: two draws for each.

# %%
from labkit.papers.vision.simclr import SimCLR, nuisance_view

view = nuisance_view(size=8, crop=0.6, invert=0, noise=0.02)
some = images.images[:12]
torch.manual_seed(0)  # the views are drawn at random, the same ones every time
plot.image_grid(torch.cat([some.float() / 255, view(some), view(some)]), columns=12)
plt.show()

# %% [markdown]
# ## Method and run
#
# SimCLR (Chen et al. 2020) embeds two views of every image and asks each view to find its partner among all others of
# the batch. `fit` trains any method; what it leaves behind is a `Run`, here with embeddings kept on the way.

# %%
from labkit.models import resnet8

with labkit.train.seeded(0):
    method = SimCLR(resnet8(width=16, channels=1), view, temperature=0.2)

batches = labkit.train.Minibatches(images.images[images.splits["train"]], size=64)
shots = sorted({0, 1, EPOCHS // 8, EPOCHS // 4, EPOCHS // 2, EPOCHS})
run = labkit.fit(
    method, batches, epochs=EPOCHS, lr=4e-3, schedule="cosine", snapshots=shots, watch=images.images, seed=0
)
run

# %% [markdown]
# ## Evidence
#
# A score alone says nothing. The same probe on the same network *untrained*, and on raw pixels, says what training added.

# %%
before, after = (evaluate.knn_probe(run.snapshots[epoch], images.labels, split) for epoch in (0, EPOCHS))
plot.bars_with_floors(
    {"SimCLR": after, "the same network, untrained": before},
    {"raw pixels": raw.mean, "guessing": 0.1},
    title="20 nearest neighbours, held-out digits",
)
plt.show()
print(after)

# %% [markdown]
# No label was used until this figure. Training improved on the network's random start, and gained nothing on the pixels:
# centred digits on black have no nuisance that is worth ignoring. Where place, contrast and background change from image
# to image, pixels fail and the same method does not: that is
# [`2_contrastive_vision/1_simclr`](2_contrastive_vision/1_simclr.ipynb).
#
# ## Look into it
#
# This is the Explorer. Click a digit: lines go to its nearest neighbours **in all 64 dimensions**, not to what happens to
# lie close on the screen. Lasso a group and read what it is made of. Drag the time axis from the untrained network to the
# trained one. The caption always says how much of each neighbourhood the map keeps.

# %%
explorer = labkit.explore.explore(run=run, images=images, views=view)
explorer

# %% [markdown]
# What you selected is Python's, too: `explorer.selection` holds the row numbers (select something, run the cell again).

# %%
rows = explorer.selection
print(
    f"{len(rows)} selected; classes: {images.labels[torch.as_tensor(rows, dtype=torch.long)].bincount(minlength=10).tolist()}"
)

# %% [markdown]
# ## The map is not the embedding
#
# Squeezing 64 dimensions into two must tear neighbourhoods apart. How much is kept depends on the map, and none keeps
# all of it: here is the trustworthiness (1: all screen neighbours are true ones; 0.5: as good as random) of three maps
# of the *same* embedding.

# %%
from sklearn.decomposition import PCA
from umap import UMAP

z = run.snapshots[EPOCHS]
maps = {
    "two raw dimensions": z[:, :2],
    "PCA": torch.as_tensor(PCA(2, random_state=0).fit_transform(z.numpy())),
    "UMAP": torch.as_tensor(UMAP(random_state=0, n_jobs=1).fit_transform(z.numpy())),
}
with plot.style():
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.9))
    for axis, (name, xy) in zip(axes, maps.items(), strict=True):
        trust = evaluate.trustworthiness(z, xy.float(), k=15)
        title = f"{name} ({trust:.2f})"
        plot.scatter(xy, images.labels, names=images.class_names, ax=axis, title=title, legend=axis is axes[-1])
plt.show()

# %% [markdown]
# ## Your turn
#
# **Exercise** (easy, 5 min). Which dimension-reduction of the three would make you believe in more, or fewer, groups than
# there are? Count the clusters you see in each, then compare with the ten classes.
#
# **Exercise** (medium, 5 min). Invert half of the views (`nuisance_view(size=8, crop=0.6, invert=0.5, noise=0.02)`) and
# train again. Predict first: does the score rise or fall, and why?
#
# <details><summary>Hint</summary>Is polarity a nuisance in these images?</details>
# <details><summary>Solution</summary>All digits here are white on black. Ignoring polarity costs capacity and brings
# nothing; views should change what really varies.</details>

# %%
check("k-NN accuracy of the trained encoder", after.mean, before.mean, 1.0, hint="did all cells above run?")

# %% [markdown]
# ## Where next
#
# | theme | notebook |
# |---|---|
# | graphs | [`1_graph_ssl/1_grace.ipynb`](1_graph_ssl/1_grace.ipynb): two corrupted views of one graph, and what was there before training |
# | vision | [`2_contrastive_vision/1_simclr.ipynb`](2_contrastive_vision/1_simclr.ipynb): what you call the same is what you learn |
#
# Your own embedding, from anywhere: `labkit.explore.explore(z, labels=y)`, with a NumPy array, a tensor, a data frame
# or a file. **What this does not show**: one easy data set, one seed, one small network. The board
# (`BOARD.md`) has the claims with seeds and intervals.
#
# **References.** Chen et al. 2020, *SimCLR* · Venna & Kaski 2001, *trustworthiness* · McInnes et al. 2018, *UMAP*.
