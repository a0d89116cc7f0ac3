# %% [markdown] slideshow={"slide_type": "slide"}
# # SimCLR: what you call the same is what you learn
#
# **The question.** A digit at a random place, in black on white or white on black, at any contrast. Nearest neighbours in
# pixel space find the *background*. Can an encoder that never sees a label be told to ignore all that, just by choosing
# which changes of an image count as "the same image"?
#
# <!-- measured -->
#
# At the end you can say
# - what the two views, the head and the temperature of SimCLR each do;
# - what happens when the views change the wrong things;
# - whether the head earns its place here, and whether throwing it away does;
# - how to see collapse before a probe does.
#
# Chen et al. 2020, [A Simple Framework for Contrastive Learning of Visual Representations](https://arxiv.org/abs/2002.05709).
# Needs the MNIST files (`labkit data get mnist`).

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
import os
from functools import partial

import torch
from matplotlib import pyplot as plt

import labkit
from labkit import evaluate, plot
from labkit.teach import beside_paper, check, predict, score

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
torch.manual_seed(0)  # of what is drawn outside of `fit`
EPOCHS = 1 if SMOKE else 10  # the recipe `simclr/nuisance-mnist` trains for 18
TEMPERATURE = 0.2
IMAGES = 600 if SMOKE else 4000
BATCH = 64

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 1 · The images
#
# `nuisance-mnist` is drawn by us from MNIST and a seed: the class is what we care about, everything else is nuisance.

# %%
images = labkit.data.load("nuisance-mnist", n_train=IMAGES, n_test=IMAGES // 2)
split = evaluate.Split(
    images.splits["train"], None, images.splits["test"], name=f"{IMAGES}/{IMAGES // 2} given"
)
print(images)
plot.image_grid(images.images[:24], columns=12)
plt.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 2 · Before training
#
# **Predict** the accuracy of 20 nearest neighbours (chance is 10 %): on raw pixels, and on the output of a small
# ResNet whose weights are random.

# %%
pixels = predict("k-NN accuracy on raw pixels?", guess=0.80)
random_net = predict("... on an untrained ResNet's features?", guess=0.50)

# %% tags=["hide-input"] slideshow={"slide_type": "fragment"}
from labkit.models import MLP, resnet8

knn = partial(evaluate.knn_probe, y=images.labels, split=split, k=20)
with labkit.train.seeded(0):
    encoder = resnet8(width=16, channels=1).eval()
raw = knn(images.images.flatten(1).float() / 255)
untrained = knn(
    torch.cat([encoder(part.float() / 255).detach() for part in images.images.split(500)])
)
pixels.reveal(raw.mean)
random_net.reveal(untrained.mean)
print("\nprotocol:", raw.protocol)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 3 · Views
#
# A view is a random change that should *not* matter. The first row are images, the rows below three draws each. Every
# image in a batch gets a draw of its own, all of them in a few tensor operations.

# %% tags=["hide-input"]
from labkit.papers.vision.simclr import nuisance_view

view = nuisance_view()
some = images.images[:12]
drawn = [view(some, torch.Generator().manual_seed(s)) for s in range(3)]
small = torch.nn.functional.interpolate(some.float() / 255, 28, mode="area")  # views are 28 × 28
plot.image_grid(torch.cat([small, *drawn]), columns=12)
plt.show()
view

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 4 · The method
#
# Two views of each of n images, one encoder, one small head, and NT-Xent: each of the 2n views is to pick its partner
# among the other 2n − 1. The lines below are the whole method;
# [`labkit/papers/vision/simclr.py`](../../labkit/papers/vision/simclr.py) has the same with options.

# %% slideshow={"slide_type": "subslide"}
from labkit.losses import nt_xent
from labkit.methods import Method, in_blocks, inference
from labkit.views import unit_images


class SimCLR(Method):
    def __init__(self, encoder, view, temperature):
        super().__init__()
        self.encoder, self.head = encoder, MLP(encoder.dim, 2 * encoder.dim, encoder.dim)
        self.view, self.temperature = view, temperature

    def forward(self, images):
        both = torch.cat([self.view(images), self.view(images)])
        a, b = self.head(self.encoder(both)).chunk(2)
        return nt_xent(a, b, self.temperature)

    @inference
    def embed(self, images):
        return in_blocks(lambda part: self.encoder(unit_images(part)), images)

    @inference
    def projected(self, images):
        return self.head(self.embed(images))


# %% slideshow={"slide_type": "skip"}
def train(view, temperature=TEMPERATURE, seed=0):
    with labkit.train.seeded(seed):
        method = SimCLR(resnet8(width=16, channels=1), view, temperature)
    batches = labkit.train.Minibatches(images.images[images.splits["train"]], BATCH)
    shots = sorted({0, 1, EPOCHS // 4, EPOCHS // 2, EPOCHS})
    return labkit.fit(
        method, batches, epochs=EPOCHS, lr=4e-3, schedule="cosine", seed=seed, snapshots=shots,
        watch=images.images,
    )  # fmt: skip


run = train(view)
run

# %% [markdown] slideshow={"slide_type": "slide"}
# **Change `TEMPERATURE` above and run on from there**: that is the first thing to try.
#
# ## 5 · What was learned
#
# Loss, k-NN accuracy, and the effective rank of the embedding: a collapse would show in the rank first. (The Explorer
# below takes the mean away before it counts dimensions, and so finds more of them.) The upper line
# beside the loss is theory: what NT-Xent says of an encoder that maps every image to one point. Each view then has
# 2n − 1 equal candidates, so the loss is log(2n − 1), at any temperature.

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
import math

one_point = torch.ones(BATCH, 8)
collapsed = math.log(2 * BATCH - 1)
epochs = list(run.snapshots)
accuracy = [knn(run.snapshots[epoch]).mean for epoch in epochs]
ranks = [evaluate.effective_rank(run.snapshots[epoch]) for epoch in epochs]
with plot.style():
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4))
    plot.curve(
        run.history["loss"], range(1, EPOCHS + 1), ax=axes[0], axis_names=("epoch", "NT-Xent"),
        title="Loss",
    )  # fmt: skip
    plot.curve(
        [100 * a for a in accuracy], epochs, ax=axes[1], marker="o",
        axis_names=("epoch", "k-NN accuracy (%)"), title="Neighbours",
    )  # fmt: skip
    axes[0].axhline(collapsed, color="black", ls="--", lw=1)
    axes[0].annotate(
        "collapsed", (EPOCHS, collapsed), (0, 4), textcoords="offset points", ha="right"
    )
    axes[1].axhline(100 * raw.mean, color="black", ls="--", lw=1)
    axes[1].annotate(
        "raw pixels", (epochs[-1], 100 * raw.mean), (0, 4), textcoords="offset points", ha="right"
    )
    plot.curve(
        ranks, epochs, ax=axes[2], marker="o", axis_names=("epoch", "effective rank"),
        title="Dimensions in use",
    )  # fmt: skip
plt.show()
check(
    "loss of one point", nt_xent(one_point, one_point, TEMPERATURE).item(), collapsed - 1e-3,
    collapsed + 1e-3,
)  # fmt: skip

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 6 · The wrong views
#
# **Predict**: the same training, but the only change is a little noise. The encoder is still asked to find each image
# again; nothing tells it to ignore place, contrast or polarity.

# %%
noise_only = predict("k-NN accuracy with noise-only views?", guess=0.6)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
from labkit.views import GaussianNoise

wrong = train(GaussianNoise(0.1))
z, g = run.snapshots[EPOCHS], run.method.projected(images.images)
with plot.style():
    plot.bars_with_floors(
        {
            "SimCLR, h": knn(z),
            "SimCLR, behind the head": knn(g),
            "noise-only views": knn(wrong.snapshots[EPOCHS]),
        },
        {"raw pixels": raw.mean, "untrained": untrained.mean},
        title="20 nearest neighbours on nuisance-mnist",
    )
plt.show()
noise_only.reveal(knn(wrong.snapshots[EPOCHS]).mean)

# %% [markdown] slideshow={"slide_type": "slide"}
# What of the views does it, and at which temperature? Each point and each square below is the mean over full trainings on
# the smaller digits of the claims (`python -m labkit.papers.vision.simclr 3`). On the diagonal one change alone, beside it
# two. The paper has this square for crops and colours (figure 5): no change alone suffices, and one pair stands out.

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
ablations = labkit.recipes.measured("simclr-ablations.json", "accuracy")
if ablations:
    floors = {name: 100 * torch.tensor(ablations.pop(name)).mean() for name in ("raw", "untrained")}
    warm = {name[4:]: values for name, values in ablations.items() if name.startswith("τ")}
    views = {name: values for name, values in ablations.items() if not name.startswith("τ")}
    parts = [name for name in views if " + " not in name]
    square = torch.full((len(parts), len(parts)), torch.nan)
    for name, values in views.items():
        places = [parts.index(part) for part in name.split(" + ")]
        square[max(places), min(places)] = 100 * torch.tensor(values).mean()
    with plot.style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
        plot.curve(
            100 * torch.tensor(list(warm.values())).T, list(warm), ax=left, marker="o",
            axis_names=("temperature τ", "k-NN accuracy (%)"), title="All four changes",
        )  # fmt: skip
        for name, value in floors.items():
            left.axhline(value, color=plot.FLOOR, linestyle=(0, (4, 3)))
            left.annotate(name, (0, value), (0, 4), color=plot.FLOOR, textcoords="offset points")
        right.grid(False)
        shown = right.imshow(square, cmap="Blues", vmin=10, vmax=100)
        for row, column in square.isfinite().nonzero().tolist():
            value = square[row, column]
            dark = "white" if value > 60 else "black"
            right.text(column, row, f"{value:.0f}", ha="center", va="center", color=dark)
        right.set(
            xticks=range(len(parts)), yticks=range(len(parts)), title="One change, and two (%)"
        )
        right.set_xticklabels(parts)
        right.set_yticklabels(parts)
    plt.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# As in the paper no change alone suffices, and one pair stands out, crops with colours (here contrast): 75 %, where alone
# they reach 27 and 38, and with all four changes 82. With a crop alone two views share their histogram of greys, and the
# encoder may go by that. Low temperatures do no harm here; the highest one throws away half of what the views taught, and
# is back at raw pixels.
#
# ## 7 · Look into it
#
# Click an image: its nearest neighbours in 64 dimensions, with lines on the map and pictures beside it. The star around
# it are its augmented views: alignment, made visible. Drag the time axis to see the classes come apart.

# %% tags=["hide-input"]
labkit.explore.explore(run=run, images=images, method=run.method, views=view)

# %% [markdown] slideshow={"slide_type": "slide"}
# Now the views themselves. Drag *smallest crop* to the left, then *colour jitter* and *noise* to the right, one at a
# time: the black dots are two views of the image, in pixels on the left and among all images in the middle. On the right
# see the solid curve (two views of one image) slide towards the dashed one (two images): which slider moves it least,
# and was that change among the training views?

# %% tags=["hide-input"]
labkit.explore.image_view_lab(images.images[:500], images.labels[:500], embed=run.method.embed)

# %% [markdown] slideshow={"slide_type": "skip"}
# ## 8 · Your turn
#
# **Exercise 1** (easy, 3 min). At temperature τ, how much more does a negative at cosine 0.9 weigh in the loss than one
# at cosine 0.5? Give the ratio for τ = 0.2.
#
# <details><summary>Hint</summary>In the denominator a negative counts exp(cosine / τ).</details>
# <details><summary>Solution</summary><code>ratio = math.exp((0.9 - 0.5) / 0.2)</code>, 7.39: low temperatures look at
# the hardest negatives.</details>

# %% slideshow={"slide_type": "skip"}
import math

ratio = math.exp((0.9 - 0.5) / 0.2)  # your answer here
check("weight of the harder negative", ratio, 7.38, 7.40, hint="a quotient of two exponentials")

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 2** (medium, 10 min). NT-Xent is a cross-entropy in disguise: each of the 2n views is to be put into the
# "class" of its partner. `logits` below holds all similarities, a view with itself left out. Say who the partner of each
# row is, and write the loss in one line.
#
# <details><summary>Hint</summary>The partner of view i is i + n, that of i + n is i:
# <code>torch.arange(2 * n).roll(n)</code>.</details>
# <details><summary>Solution</summary>
# <code>by_hand = torch.nn.functional.cross_entropy(logits, torch.arange(2 * n).roll(n))</code></details>

# %% slideshow={"slide_type": "skip"}
n = len(some)
with torch.no_grad():
    a, b = (
        torch.nn.functional.normalize(run.method.head(run.method.encoder(view(some))))
        for _ in range(2)
    )
logits = torch.cat([a, b]) @ torch.cat([a, b]).T / TEMPERATURE
logits.fill_diagonal_(-torch.inf)
by_hand = torch.nn.functional.cross_entropy(logits, torch.arange(2 * n).roll(n))  # your answer here
library = nt_xent(a, b, TEMPERATURE).item()
check(
    "NT-Xent as a cross-entropy", by_hand, library - 1e-4, library + 1e-4,
    hint="mean over all 2n rows; the class of row i is the row of its partner, n rows further on",
)  # fmt: skip

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 3** (easy, 3 min). A batch of 64 gives each view how many *negatives*? And the paper's batch of 4 096: give
# the quotient of the two.
#
# <details><summary>Hint</summary>2n views, less the view itself, less its partner.</details>
# <details><summary>Solution</summary><code>quotient = (2 * 4096 - 2) / (2 * 64 - 2)</code>, 65: a larger batch is a
# harder question, and that is why the paper wants large ones.</details>

# %% slideshow={"slide_type": "skip"}
quotient = (2 * 4096 - 2) / (2 * 64 - 2)  # your answer here
check(
    "negatives, 4 096 against 64", quotient, 64.95, 65.05,
    hint="2n − 2 views are neither the view nor its partner",
)  # fmt: skip

# %% [markdown] slideshow={"slide_type": "skip"}
# Further: leave inversion out of the views (`train(nuisance_view(invert=0))`) and look at the map. Do black-on-white
# and white-on-black digits of one class still lie together?

# %% [markdown] slideshow={"slide_type": "skip"}
# ## 9 · The claims, as this suite found them

# %% slideshow={"slide_type": "skip"}
labkit.claims.show("simclr")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 10 · Beside the paper

# %% tags=["hide-input"]
weights = sum(weight.numel() for weight in run.method.encoder.parameters())
beside_paper(
    ("data, encoder, batch, epochs", "ImageNet, ResNet-50 of 24 M weights, 4 096, up to 1 000",
     f"{IMAGES} digits, {weights / 1000:.0f} k weights, {BATCH}, {EPOCHS}",
     "what two cores train in minutes"),
    ("the views decide", "crop and colour together beat every other pair by far (figure 5)",
     f"{100 * knn(z).mean:.0f} %; noise alone {100 * knn(wrong.snapshots[EPOCHS]).mean:.0f} %",
     "changes that we chose ourselves, and neighbours where the paper has a linear probe"),
    ("h less z, behind the head, in points", "more than 10 (section 4.2)",
     100 * (knn(z).mean - knn(g).mean),
     "one seed gives either sign; these views change nothing that the class needs, so that the "
     "head has little to throw away"),
)  # fmt: skip

# %% [markdown] slideshow={"slide_type": "slide"}
# **What this does not show.** One small encoder, one seed above (the claims have more), images whose nuisances we chose
# ourselves. On the first 4 000 photographs of CIFAR-10 eight epochs bring 39.0 %, where raw pixels have 29.5 and the same
# encoder with labels 47.7 (next notebook).
#
# **References.** Chen et al. 2020, *SimCLR* · Wu et al. 2018, *InstDisc* (k-NN as a score) · Wang & Isola 2020,
# *Alignment and Uniformity* · Roy & Vetterli 2007, *The Effective Rank*.

# %% slideshow={"slide_type": "skip"}
score()
