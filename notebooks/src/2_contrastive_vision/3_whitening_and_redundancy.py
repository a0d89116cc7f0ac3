# %% [markdown]
# # Whitening and redundancy: three ways to fill a space
#
# **The question.** W-MSE, Barlow Twins and VICReg need no negatives. Each says, in means, variances and correlations
# alone, what an embedding shall look like. What does each of their terms do, and can it be computed *beforehand*?
#
# <!-- measured -->
#
# At the end you can say
# - which of scale, redundancy and agreement each loss sees, and which it is blind to;
# - from which agreement of views on VICReg can keep its variance at one, without training anything;
# - what a redundancy matrix and a spectrum look like when one term is missing;
# - what whitening does to a spectrum, and what it costs when the batch is hardly larger than the width.
#
# Ermolov et al. 2021, [W-MSE](https://arxiv.org/abs/2007.06346); Zbontar et al. 2021,
# [Barlow Twins](https://arxiv.org/abs/2103.03230); Bardes et al. 2022, [VICReg](https://arxiv.org/abs/2105.04906). Needs
# no download.

# %% tags=["parameters"]
import json
import os
from functools import partial
from pathlib import Path

import torch
from matplotlib import pyplot as plt

import labkit
from labkit import losses, plot
from labkit.teach import beside_paper, check, predict, score
from labkit.theory import redundancy

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
torch.manual_seed(0)  # of what is drawn outside of `fit`
EPOCHS = 2 if SMOKE else 15
ITEMS = 192 if SMOKE else 768
DIM = 16

# %% [markdown]
# ## 1 · Three numbers
#
# Take two dimensions of an embedding. Three numbers say all that these losses look at:
#
# | | | |
# |---|---|---|
# | **s** | standard deviation | how far a dimension varies over images |
# | **c** | correlation of the two | how much they repeat each other: *redundancy* |
# | **r** | correlation with itself in the other view | how well the views *agree* |
#
# For Gaussian dimensions each loss is then a short formula
# ([`theory.redundancy`](../../labkit/theory/redundancy.py)):
#
# $$\text{VICReg} = \lambda\,2s^2(1-r) + \mu\max(0, 1-s) + \nu\,2c^2s^4 \qquad
# \text{Barlow Twins} = 2(1-r)^2 + \lambda\,2r^2c^2$$
#
# and W-MSE depends on r alone: whitening takes s and c away. Is that so? Draw views with known s, c and r, and ask the
# losses themselves.

# %%
generator = torch.Generator().manual_seed(0)
print(f"{'s':>5}{'c':>6}{'r':>6} ", end="")
print("".join(f"{name:>10}{'formula':>9}" for name in ("VICReg", "Barlow", "W-MSE")))
for s, c, r in [(1.0, 0.0, 0.9), (1.0, 0.8, 0.9), (0.3, 0.8, 0.9), (0.3, 0.0, 0.3)]:
    a, b = redundancy.gaussian_views(20_000, s, c, r, generator)
    found = [losses.vicreg(a, b), losses.barlow_twins(a, b, off_diagonal=0.5), losses.w_mse(a, b)]
    formula = [
        redundancy.vicreg(s, c, r), redundancy.barlow_twins(c, r, off_diagonal=0.5),
        redundancy.w_mse(r),
    ]  # fmt: skip
    print(f"{s:5.1f}{c:6.1f}{r:6.1f} ", end="")
    print("".join(f"{value:10.3f}{told:9.3f}" for value, told in zip(found, formula)))
check("W-MSE at r = 0.3", found[2].item(), 0.95 * formula[2].item(), 1.05 * formula[2].item())

# %% [markdown]
# Rows 2 and 3 differ in s only: Barlow Twins and W-MSE do not notice. Rows 1 and 2 differ in c only: W-MSE does not
# notice.
#
# ## 2 · The landscape
#
# Agreement r is what the views allow: a crop may have lost what a dimension shows. s and c are free. VICReg *pulls
# views together* with λ·2s²(1 − r), which is cheapest at s = 0, and *holds them apart* with μ(1 − s).
#
# **Predict**: with λ = μ = 25, from which agreement on is s = 1 the best?

# %%
from_where = predict("smallest agreement r at which VICReg keeps s = 1?", guess=0.5, low=0, high=1)

# %%
labkit.explore.redundancy_lab()

# %%
grid = torch.linspace(0, 1, 101)
from_where.reveal(grid[redundancy.vicreg_std(grid) >= 1][0].item())

# %% [markdown]
# Dark is low, the dot is the lowest point. Left: one valley, at c = 0 and at an s that depends on r. Middle: Barlow Twins
# asks for c = 0 and does not care about s, because it divides by it. Right: where VICReg's s comes to rest,
# $s = \mu\,/\,4\lambda(1-r)$, at most 1. Below r = ¾ the variance of one **cannot** be kept at the paper's weights (its
# code takes the mean over dimensions, and so does this). Drag μ
# to 0: the dot falls to the floor. That is collapse, and it is the exact minimum.
#
# ## 3 · The same in a network
#
# Small digits under a random place, contrast, polarity and background; a small ResNet; a projection of 16 dimensions.
# Only the loss changes.

# %%
from labkit.methods import TwoView
from labkit.models import MLP, resnet8
from labkit.papers.vision._nuisance import nuisance_view
from labkit.papers.vision.w_mse import plain_mse

images = labkit.data.load("nuisance-digits").subset("train").images[:ITEMS]
view = nuisance_view(size=12)


def train(loss):
    with labkit.train.seeded(0):
        method = TwoView(resnet8(16, channels=1), MLP(64, 64, DIM, norm="batch"), view, loss)
    batches = labkit.train.Minibatches(images, 64)
    return labkit.fit(
        method, batches, epochs=EPOCHS, lr=4e-3, schedule="cosine", precision="float32",
        progress=False,
    )  # fmt: skip


LOSSES = {
    "VICReg": losses.vicreg,
    "VICReg, ν = 0": partial(losses.vicreg, covariance=0.0),
    "VICReg, μ = 0": partial(losses.vicreg, variance=0.0),
    "Barlow Twins": partial(losses.barlow_twins, off_diagonal=0.05),
    "Barlow Twins, λ = 0": partial(losses.barlow_twins, off_diagonal=0.0),
    "W-MSE": losses.w_mse,
    "not whitened": plain_mse,
}

# %% [markdown]
# **Predict**: without its covariance term VICReg still keeps every dimension's variance. How many of the 16 dimensions
# does it use then? (Effective rank of z: 16 if all equally, 1 if all are copies.)

# %%
used = predict("effective rank of VICReg's z with ν = 0?", guess=8.0, low=1, high=16)

# %%
runs = {name: train(loss) for name, loss in LOSSES.items()}


def projections(run, rounds=4):
    """Two views of every image, as the loss saw them in training: batch by batch, float64."""
    method = run.method.train()
    with torch.no_grad(), labkit.train.seeded(7):
        batches = [part for _ in range(rounds) for part in images.split(64)]
        pairs = [
            method.projector(method.encoder(method.viewed(part))).double().chunk(2)
            for part in batches
        ]
    return [torch.cat(part) for part in zip(*pairs)]


def effective_rank(z):
    """exp of the entropy of the covariance's normalised eigenvalues."""
    share = torch.linalg.eigvalsh(torch.cov(z.T)).clamp(min=0)
    return torch.special.entr(share / share.sum()).sum().exp().item()


views = {name: projections(run) for name, run in runs.items()}
used.reveal(effective_rank(views["VICReg, ν = 0"][0]))

# %% [markdown]
# Sixteen copies of one feature satisfy "each varies" and "views agree" perfectly. Variance alone does not fill a space;
# and after so short a training whole VICReg has hardly begun to.
#
# ## 4 · Redundancy matrices

# %%
with plot.style():
    figure, axes = plt.subplots(2, 4, figsize=(9.6, 5.4))
    axes[1, 3].axis("off")
    for ax, (name, (a, _)) in zip(axes.flat, views.items()):
        ax.imshow(torch.corrcoef(a.T).abs(), vmin=0, vmax=1, cmap="Blues")
        ax.set_title(f"{name}\nrank {effective_rank(a):.1f}, s {a.std(0).mean():.2g}", fontsize=11)
        ax.set(xticks=[], yticks=[])
    for ax in axes[:, 0]:
        ax.set_ylabel("dimension of z")
plt.show()

# %% [markdown]
# |correlation| of the 16 dimensions within a view; dark is 1. Under each name, the effective rank of z and the mean
# standard deviation s. Take the redundancy term away (ν = 0, λ = 0) and the square is as dark as can be: copies. With it
# Barlow Twins' is lighter, and VICReg's a little, after so few steps. W-MSE's is z before it is whitened, and its loss
# never asks for a light one (section 6); whitened, only the diagonal would be dark. Take VICReg's
# *variance* term away and s is gone; whatever correlation is left is that of rounding and noise. Barlow Twins without
# its term keeps its s: it never looked at it.
#
# ## 5 · Theory over measurement
#
# Section 2 says where VICReg's s must come to rest, whatever the network: the last layer can scale each dimension, so the
# gradient by that scale is zero at the end. With the redundancy of dimension i with the others, measured,
#
# $$s_i = \frac{\mu}{4\lambda(1-r_i) + 8\nu\sum_{j\neq i}\rho_{ij}^2 s_j^2}, \quad\text{at most } 1.$$
#
# Nothing in it is fitted. Three more trainings, with other weights λ of the invariance.

# %%
WEIGHTS = {
    "λ = 5": {"invariance": 5.0}, "λ = 10": {"invariance": 10.0}, "λ = 50": {"invariance": 50.0},
}  # fmt: skip
settings = {"λ = 25": {}, "λ = 25, ν = 0": {"covariance": 0.0}} | WEIGHTS
balance = {"λ = 25": views["VICReg"], "λ = 25, ν = 0": views["VICReg, ν = 0"]}
balance |= {
    name: projections(train(partial(losses.vicreg, **weights))) for name, weights in WEIGHTS.items()
}


def moments(a, b):
    """s, r, and the redundancy of each dimension with the others."""
    s = (a.std(0) + b.std(0)) / 2
    r = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(a.T, b.T)])
    rho = torch.corrcoef(torch.cat([a, b]).T).fill_diagonal_(0)
    return s, r, (rho.square() * s.square()).sum(1)


with plot.style():
    figure, ax = plt.subplots(figsize=(5.6, 4.6))
    ax.plot([0, 1.1], [0, 1.1], color=plot.FLOOR, ls="--")
    for colour, marker, (name, pair) in zip(plot.COLOURS, plot.MARKERS, balance.items()):
        s, r, repeated = moments(*pair)
        predicted = redundancy.vicreg_std(r, repeated, **settings[name])
        ax.plot(
            predicted, s, marker, color=colour, ms=6, alpha=0.7, label=f"{name}: r ≈ {r.mean():.2f}"
        )
        print(f"{name:15} predicted {predicted.mean():.2f}, measured {s.mean():.2f}")
        if name == "λ = 25":
            settled, expected = s.mean().item(), predicted.mean().item()
    ax.set(
        xlabel="s predicted from r and redundancy", ylabel="s measured", xlim=(0, 1.1),
        ylim=(0, 1.1),
    )  # fmt: skip
    ax.legend(fontsize=9)
plt.show()
near = 0.9 if SMOKE else 0.2  # a network that was hardly trained has not settled
check("VICReg's s at λ = 25", settled, (1 - near) * expected, (1 + near) * expected)

# %% [markdown]
# Each point is a dimension, the dashed line is *predicted = measured*. VICReg's "standard deviation of at least one" is a
# wish, not a fact: at the paper's weights s ends well below one here, and comes near it only where views are pulled
# together weakly. What is left between points and line: batches of 64, a short training, a batch norm in the head.
#
# ## 6 · Whitening: a spectrum before and after
#
# W-MSE does not *ask* for variance and no redundancy, it *makes* them: z is multiplied by the inverse Cholesky factor of
# its covariance, and only then compared. [`losses.whiten`](../../labkit/losses/_decorrelation.py) does that.

# %%
from labkit.losses import whiten


def spectrum(z):
    return torch.linalg.eigvalsh(torch.cov(z.T)).flip(0).clamp(min=1e-12)


def plot_batches(ax, r=0.9, sizes=(17, 18, 20, 24, 32, 64, 128, 512)):
    """W-MSE of the same Gaussian views, whitened in sub-batches of these sizes."""
    measured = []
    for size in sizes:
        shared, *own = torch.randn(
            3, size * (4 if SMOKE else 40), DIM, generator=generator, dtype=torch.float64
        )
        a, b = (r**0.5 * shared + (1 - r) ** 0.5 * noise for noise in own)
        measured.append(losses.w_mse(a, b, size=size, generator=generator).item())
    ax.plot(sizes, measured, color=plot.COLOURS[0], marker="o", ms=5, label="measured")
    ax.axhline(
        redundancy.w_mse(r, DIM).item(), color=plot.FLOOR, ls="--",
        label="very many items (formula)",
    )  # fmt: skip
    ax.axvline(DIM, color=plot.COLOURS[3], ls=":", label="16 items: refused")
    ax.set(xscale="log", xlabel="items whitened together", ylabel="W-MSE", ylim=(0, None))
    ax.set_xticks([16, 32, 64, 128, 512], labels=["16", "32", "64", "128", "512"], minor=False)
    ax.set_xticks([], minor=True)
    ax.set_title(f"Same data (r = {r}), smaller sub-batches")
    ax.legend(fontsize=9)


# %%
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.9))
    for colour, name in zip(plot.COLOURS, ("W-MSE", "VICReg", "Barlow Twins", "not whitened")):
        before = spectrum(views[name][0])
        left.plot(
            range(1, DIM + 1), before / before.sum(), color=colour, marker="o", ms=4, label=name
        )
    after = spectrum(whiten(views["W-MSE"][0]))
    left.plot(
        range(1, DIM + 1), after / after.sum(), color=plot.INK, ls="--", label="W-MSE, whitened"
    )
    left.set(
        yscale="log", ylim=(1e-7, 2), xlabel="eigenvalue, in falling order",
        ylabel="share of the variance",
    )  # fmt: skip
    left.set_title("Spectrum of z, before and after")
    left.legend(fontsize=9)

    plot_batches(right)
plt.show()
check("eigenvalues after whitening, the largest", after.max().item(), 0.99, 1.01, paper=1)

# %% [markdown]
# Left: what the loss gets is flat (dashed), and exactly so: that is why W-MSE needs nothing against collapse. What the
# network makes is not flat; nobody asked. Without whitening one direction takes all. Whitening divides by the roots of
# these shares, small ones too, and so enlarges whatever was rounded there: hence `precision="float32"` above. In longer
# trainings eigenvalues may come to lie 10⁷ apart. Nor need views agree on the class: one recorded training of five came to
# agree on something else (the first claim of section 9).
#
# Right: the price. The two views of these data agree at r = 0.9 whatever the batch. Near 16 items, whitening turns *any*
# data into the corners of a simplex, its rotation is noise, and the loss rises with nothing to learn from. The paper
# whitens 128 items in 64 dimensions. With 16 items or fewer there is no full-rank covariance; that is refused, in words:

# %%
import textwrap

try:
    losses.w_mse(torch.randn(16, DIM), torch.randn(16, DIM))
except ValueError as error:
    print(textwrap.fill(f"ValueError: {error}", 100))

# %% [markdown]
# Four views instead of two cost two more passes and give six pairs instead of one: `losses.w_mse(a, b, c, d)`.
#
# ## 7 · What it is worth
#
# At a realistic size: 4 000 digits on 36 × 36, 18 epochs, 20 nearest neighbours on the representation, three trainings
# each (`labkit run NAME/nuisance-mnist --seeds 3 --json ...`). W-MSE, which takes 48 epochs, was run on smaller
# digits and on CIFAR-10 (notebook 2). The ceiling is the same encoder, views and
# epochs *with* the labels.

# %%
folder = Path(labkit.__file__).parents[1] / "results" / "recipes"
NAMES = ("vicreg", "barlow_twins", "w_mse", "supervised")
files = {name: folder / f"{name}-nuisance-mnist.knn.json" for name in NAMES}
found = {name: json.loads(path.read_text()) for name, path in files.items() if path.exists()}
if found:
    scores = {
        name.replace("supervised", "with labels"): (row["mean"], row["std"])
        for name, row in found.items()
    }
    floors = {name: floor["mean"] for name, floor in found["vicreg"]["floors"].items()}
    plot.bars_with_floors(scores, floors, title="20 nearest neighbours on nuisance-mnist")
    plt.show()
print("not run yet:", ", ".join(name for name in NAMES if name not in found) or "none")

# %% [markdown]
# ## 8 · Your turn
#
# **Exercise 1** (easy, 3 min). Views agree at r = 0.5. Which weight μ must VICReg's variance term have, at λ = 25, to
# keep s at 1?
#
# <details><summary>Hint</summary>μ / 4λ(1 − r) = 1.</details>
# <details><summary>Solution</summary><code>mu = 50.0</code></details>

# %%
mu = 50.0  # your answer here
weights = torch.arange(1.0, 101.0)
settles = torch.stack([redundancy.vicreg_std(0.5, variance=weight) for weight in weights.tolist()])
needed = weights[settles >= 1][0].item()  # the smallest whole number that does it
check(
    "smallest weight that keeps s = 1", mu, needed - 0.5, needed + 0.5,
    hint="solve μ / 4λ(1 − r) = 1 for μ",
)  # fmt: skip

# %% [markdown]
# **Exercise 2** (medium, 5 min). Multiply dimension 3 of an embedding by 1 000. How many of the three losses change?
#
# <details><summary>Hint</summary>Which of them divides s out?</details>
# <details><summary>Solution</summary><code>changed = 1</code>: VICReg.</details>

# %%
changed = 1  # your answer here
a, b = torch.randn(2, 200, 4, dtype=torch.float64)
louder = torch.tensor([1.0, 1.0, 1000.0, 1.0])
three = {"VICReg": losses.vicreg, "Barlow Twins": losses.barlow_twins, "W-MSE": losses.w_mse}
differ = [
    name
    for name, loss in three.items()
    if not torch.isclose(loss(a, b), loss(a * louder, b * louder))
]
check(
    "losses that change",
    changed,
    len(differ),
    len(differ),
    hint="two of the three divide every dimension by its own scale, or whiten it away",
)

# %% [markdown]
# **Exercise 3** (hard, 10 min). All d dimensions are copies of one that agrees perfectly (c = r = 1). What is Barlow
# Twins' loss for d = 16 and λ = 0.005? And for d = 8 192?
#
# <details><summary>Hint</summary>Every off-diagonal entry is 1. How many are there?</details>
# <details><summary>Solution</summary><code>0.005 * 16 * 15 = 1.2</code>, and 335 503: the term grows with d², so
# that a wide projection needs a smaller λ.</details>

# %%
loss_of_copies = 0.005 * 16 * 15  # your answer here
copies = torch.randn(500, 1, dtype=torch.float64).repeat(1, 16)
by_the_library = losses.barlow_twins(copies, copies, off_diagonal=0.005).item()
check("loss of 16 copies", loss_of_copies, by_the_library - 1e-6, by_the_library + 1e-6,
      hint="λ for each ordered pair of different dimensions; the diagonal is perfect")  # fmt: skip

# %% [markdown]
# Further: in section 4, how large must Barlow Twins' λ be for z to use more than half of its dimensions? Does the
# agreement r suffer?
#
# ## 9 · The claims, as this suite found them

# %%
for paper in ("w_mse", "vicreg", "barlow_twins"):
    labkit.claims.show(paper)

# %% [markdown]
# ## 10 · Beside the papers

# %%
correlations = {name: torch.corrcoef(a.T).abs() for name, (a, _) in views.items()}
beside_paper(
    ("W-MSE: eigenvalues after whitening", "1, all of them (section 3)",
     f"{after.min():.3f} to {after.max():.3f}", "made so, not learned"),
    ("VICReg: standard deviation of a dimension", "at least 1 is what its hinge asks for", settled,
     f"views agree too little for it: the balance of section 5 says {expected:.2f}"),
    ("VICReg without its variance term", "collapses",
     f"deviation {views['VICReg, μ = 0'][0].std(0).mean():.1g}",
     "the exact minimum of what is left of the loss"),
    ("Barlow Twins: correlation off the diagonal", "0 is what its loss asks for",
     (correlations["Barlow Twins"].sum().item() - DIM) / (DIM * (DIM - 1)),
     "16 dimensions at λ = 0.05, where the paper has 8 192 at 0.005; a short training"),
    ("images, steps", "ImageNet (Barlow Twins, VICReg), CIFAR-10 (W-MSE); 100 epochs and more",
     f"{len(images)} digits, {EPOCHS * (len(images) // 64)}", "seconds a training"),
)  # fmt: skip

# %% [markdown]
# **What this does not show.** One seed per training in sections 3 to 6, and short ones; the claims have several seeds
# and more steps. Projections are 16 wide here, 256 in section 7 (W-MSE's 32 in its claims), where papers have 8 192 (Barlow Twins, VICReg)
# and 64 (W-MSE). Formulas of section 1 are for Gaussian dimensions of equal s and r.
#
# **References.** Ermolov et al. 2021, *Whitening for Self-Supervised Representation Learning* · Zbontar et al. 2021,
# *Barlow Twins* · Bardes et al. 2022, *VICReg* · Jing et al. 2022, *Understanding Dimensional Collapse*.

# %%
score()
