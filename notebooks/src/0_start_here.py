# %% [markdown] slideshow={"slide_type": "slide"}
# # Start here: look into an embedding, and don't be fooled by the map
#
# **The question.** 1 797 handwritten digits, no labels for training. What does a small network learn from them in a
# few seconds, how do you know, how much of it was there *before*, and what does a picture of the result hide?
#
# <!-- measured -->
#
# At the end you have
# - trained a self-supervised method with the five nouns of this suite: **data → views → method → run → evidence**;
# - put its score beside what *nothing trained* reaches;
# - looked into the embedding and seen what a two-dimensional map keeps of it, and what it does not.
#
# Nothing is downloaded. Run the cells from the top with Shift-Enter.

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
import os

import numpy as np
import torch
from matplotlib import pyplot as plt

import labkit
from labkit import evaluate, plot
from labkit.teach import beside_paper, check, predict, score

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
EPOCHS = 2 if SMOKE else 30

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Data

# %%
images = labkit.data.load("digits")
plot.image_grid(images.images[:36], columns=12)
plt.show()
images

# %% [markdown] slideshow={"slide_type": "subslide"}
# **Predict** before you run on: how often is the majority of the 20 nearest images *in pixel space* of the right class?
# Guessing gives 10 %.

# %%
guess = predict("20-nearest-neighbour accuracy on raw pixels?", guess=0.70)

# %% tags=["hide-input"] slideshow={"slide_type": "fragment"}
split = evaluate.Split(images.splits["train"], None, images.splits["test"], name="given 1257/540")
pixels = images.images.flatten(1).float() / 255
raw = evaluate.knn_probe(pixels, images.labels, split)
guess.reveal(raw.mean)
print("\n" + str(raw))

# %% [markdown] slideshow={"slide_type": "fragment"}
# Pixels alone do very well here. A score of 97 % for any clever method would have impressed you a minute ago; now you
# know that it would add nothing. That number, the *floor*, stands beside every score in this suite.

# %% [markdown] slideshow={"slide_type": "slide"}
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

# %% [markdown] slideshow={"slide_type": "slide"}
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
    method, batches, epochs=EPOCHS, lr=4e-3, schedule="cosine", snapshots=shots,
    watch=images.images, seed=0,
)  # fmt: skip
run

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Evidence
#
# A score alone says nothing. The same probe on the same network *untrained*, and on raw pixels, says what training added.
# **Predict**: by how much do those seconds raise the accuracy of the network?

# %%
gained = predict(
    "Accuracy that training adds to the untrained network?", guess=0.2, low=-0.2, high=0.8
)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
before, after = (
    evaluate.knn_probe(run.snapshots[epoch], images.labels, split) for epoch in (0, EPOCHS)
)
plot.bars_with_floors(
    {"SimCLR": after, "the same network, untrained": before},
    {"raw pixels": raw.mean, "guessing": 0.1},
    title="20 nearest neighbours, held-out digits",
)
plt.show()
gained.reveal(after.mean - before.mean)
check(
    "accuracy gained by training", after.mean - before.mean, -1.0 if SMOKE else 0.0, 1.0,
    hint="fewer than 30 epochs?",
)  # fmt: skip
print(after)

# %% [markdown]
# No label was used in training. It improves on the network's random start, and adds little to the pixels, or nothing: centred digits on black have no nuisance that is worth ignoring. Where place, contrast and background change
# from image to image, pixels fail and the same method does not: that is
# [2_contrastive_vision/1_simclr](2_contrastive_vision/1_simclr.ipynb).

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Look into it
#
# This is the Explorer. Click a digit: lines go to its nearest neighbours **in all 64 dimensions**, not to what happens to
# lie close on the screen. Lasso a group and read what it is made of. Drag the time axis from the untrained network to the
# trained one. The caption always says how much of each neighbourhood the map keeps.

# %%
explorer = labkit.explore.explore(run=run, images=images, views=view)
explorer

# %% [markdown] slideshow={"slide_type": "skip"}
# What you selected is Python's, too: `explorer.selection` holds the row numbers (select something, run the cell again).

# %% slideshow={"slide_type": "skip"}
rows = explorer.selection
of_class = images.labels[torch.as_tensor(rows, dtype=torch.long)].bincount(minlength=10)
print(f"{len(rows)} selected; classes: {of_class.tolist()}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The map is not the embedding
#
# Squeezing 64 dimensions into two must tear neighbourhoods apart. How much is kept depends on the map, and none keeps
# all of it: here is the trustworthiness (1: all screen neighbours are true ones; 0.5: as good as random) of three maps
# of the *same* embedding. **Predict** that of the last one.

# %%
of_umap = predict("Trustworthiness of the UMAP map?", guess=0.75, low=0.5)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
from sklearn.decomposition import PCA
from umap import UMAP

z = run.snapshots[EPOCHS]
maps = {
    "two raw dimensions": z[:, :2],
    "PCA": torch.as_tensor(PCA(2, random_state=0).fit_transform(z.numpy())),
    "UMAP": torch.as_tensor(UMAP(random_state=0, n_jobs=1).fit_transform(z.numpy())),
}
trust = {name: evaluate.trustworthiness(z, xy.float(), k=15) for name, xy in maps.items()}
with plot.style():
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.9))
    for axis, (name, xy) in zip(axes, maps.items(), strict=True):
        title = f"{name} ({trust[name]:.2f})"
        plot.scatter(
            xy, images.labels, names=images.class_names, ax=axis, title=title,
            legend=axis is axes[-1],
        )  # fmt: skip
plt.show()
of_umap.reveal(trust["UMAP"])

# %% [markdown] slideshow={"slide_type": "skip"}
# Count the clusters that you see in each, then compare with the ten classes: which map makes you believe in more groups,
# or fewer, than there are?
#
# ## Your turn
#
# **Exercise 1** (easy, 3 min). A map puts every digit at a *random* place. What is its trustworthiness, roughly?
#
# <details><summary>Hint</summary>The section before this one says what 1 means, and what as good as random is.</details>
# <details><summary>Solution</summary><code>at_random = 0.5</code>: so read 0.75 as half way, not as three quarters.
# </details>

# %% slideshow={"slide_type": "skip"}
at_random = 0.5  # your answer here
anywhere = torch.rand(len(z), 2, generator=torch.Generator().manual_seed(0))
measured = evaluate.trustworthiness(z, anywhere, k=15)
check(
    "trustworthiness of a random map", at_random, measured - 0.03, measured + 0.03,
    hint="0 is not random: it is a map that shows only the farthest points as neighbours",
)  # fmt: skip

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 2** (medium, 5 min). The pixels' score was measured on 540 held-out digits. How far does it move by the luck
# of *which* 540 were held out? Give the standard error, as a share.
#
# <details><summary>Hint</summary>Right or wrong is a coin that shows heads with probability p: the standard deviation of
# the mean of n throws is √(p (1 − p) / n).</details>
# <details><summary>Solution</summary><code>luck = math.sqrt(raw.mean * (1 - raw.mean) / 540)</code>. Two scores on these
# digits that lie closer than twice that may differ by luck; comparing them image by image would see more.</details>

# %% slideshow={"slide_type": "skip"}
import math

luck = math.sqrt(raw.mean * (1 - raw.mean) / 540)  # your answer here
drawn = np.random.default_rng(0).binomial(540, raw.mean, size=20_000) / 540
check("standard error of the pixels' score", luck, 0.95 * drawn.std(), 1.05 * drawn.std(),
      hint="the number of images goes under the root")  # fmt: skip
print(
    f"SimCLR less pixels: {100 * (after.mean - raw.mean):+.1f} points; "
    f"two standard errors: {200 * drawn.std():.1f}"
)

# %% [markdown] slideshow={"slide_type": "skip"}
# To go on: invert half of the views (`nuisance_view(size=8, crop=0.6, invert=0.5, noise=0.02)`) and train again. All
# digits here are white on black; is polarity a nuisance worth ignoring?

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Beside the paper

# %% tags=["hide-input"]
beside_paper(
    ("trained without labels", "69.3 % (ImageNet, ResNet-50, linear probe)", after,
     "ten centred digits in place of a thousand kinds of object; 20 nearest neighbours in place "
     "of a linear probe"),
    ("the same, on raw pixels", "not in the paper", raw,
     "photographs' pixels say little; these digits' say nearly all"),
    ("the same, untrained", "not in the paper", before, "this suite prints it beside every score"),
    ("dimensions of the embedding", "2 048", z.shape[1],
     "a network of some 80 thousand weights for 8 × 8 pixels"),
)  # fmt: skip

# %% slideshow={"slide_type": "skip"}
score()

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Where next
#
# | theme | notebook |
# |---|---|
# | graphs | [1_graph_ssl/1_grace.ipynb](1_graph_ssl/1_grace.ipynb): two corrupted views of one graph, and what was there before training |
# | vision | [2_contrastive_vision/1_simclr.ipynb](2_contrastive_vision/1_simclr.ipynb): what you call the same is what you learn |
# | theory | [3_spectral_theory/1_contrastive_is_spectral_clustering.ipynb](3_spectral_theory/1_contrastive_is_spectral_clustering.ipynb): the loss is one that you know |
# | dynamics | [4_stepwise_dynamics/1_one_dimension_at_a_time.ipynb](4_stepwise_dynamics/1_one_dimension_at_a_time.ipynb): what is learnt first, and when |
# | yours | [0_your_own_data.ipynb](0_your_own_data.ipynb): a folder of images, a graph, an embedding |
#
# Your own embedding, from anywhere: `labkit.explore.explore(z, labels=y)`, with a NumPy array, a tensor, a data frame
# or a file. **What this does not show**: one easy data set, one seed, one small network. The board
# (`BOARD.md`) has the claims with seeds and intervals.
#
# **References.** Chen et al. 2020, *SimCLR* · Venna & Kaski 2001, *trustworthiness* · McInnes et al. 2018, *UMAP*.
