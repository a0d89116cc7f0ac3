# %% [markdown]
# # The geometry of the sphere: alignment, uniformity, rotations
#
# **The question.** Contrastive embeddings live on a sphere. Two numbers, neither of which knows a label, are said to
# predict how good they are. And what an augmentation does to them can be a *rotation*, if one asks for it.
#
# <!-- measured -->
#
# At the end you can say
# - how uniform points on a sphere can be at all, and why few points can beat that;
# - how well alignment and uniformity predict accuracy over 25 encoders, and how well each does alone;
# - which patches should count as a pair;
# - how to find the rotation that an augmentation acts as, and what it is good for: a colour that is not thrown away.
#
# Wang & Isola 2020, [Alignment and Uniformity](https://arxiv.org/abs/2005.10242) · Moon et al. 2022,
# [the same for patches](https://arxiv.org/abs/2210.08819) · Gupta et al. 2024, [CARE](https://arxiv.org/abs/2306.13924).
# Needs no download.

# %% tags=["parameters"]
import os

import numpy as np
import torch
from matplotlib import pyplot as plt
from tqdm.auto import tqdm

import labkit
from labkit import evaluate, plot
from labkit.teach import beside_paper, check, predict, score
from labkit.theory import sphere

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"

# %% [markdown]
# ## 1 · Two forces, and a floor
#
# $$L_{align} = E\,\lVert f(x) - f(x^+)\rVert^2 \qquad L_{unif} = \log E\, e^{-t\,\lVert f(x) - f(y)\rVert^2}$$
#
# The first pulls two views of an image together, the second pushes all images apart. InfoNCE is, for many negatives, a
# sum of such two. The second can't fall without end: the uniform distribution has
#
# $$L_{unif} \ge \log\left(e^{-2t}\; {}_0F_1(;\, d/2;\, t^2)\right),$$
#
# and no distribution on the sphere in $d$ dimensions is lower. So read $L_{unif}$ as a distance to its floor.

# %%
guess = predict("The floor at t = 2 in 128 dimensions?", guess=-3.0, low=-5, high=0)

# %%
dims = [2, 3, 4, 8, 16, 32, 64, 128]
few = 40
generator = torch.Generator().manual_seed(0)
with plot.style():
    figure, axis = plt.subplots(figsize=(6.8, 3.8))
    for position, t in enumerate((0.5, 2, 4)):
        color = plot.COLOURS[position]
        axis.plot(
            dims, [evaluate.uniformity_floor(d, t) / t for d in dims], color=color,
            label=f"floor, t = {t}",
        )  # fmt: skip
        axis.plot(dims, [evaluate.uniformity_floor(d, t, few) / t for d in dims], "--", color=color)
        for n, marker in ((2000, "o"), (few, "x")):
            z = [sphere.concentrated_points(n, d, 0.0, generator) for d in dims]
            axis.plot(
                dims, [evaluate.uniformity(points, t) / t for points in z], marker, color=color,
                ms=6,
            )  # fmt: skip
    axis.set(xscale="log", xlabel="dimensions", ylabel="L_unif / t", xticks=dims, xticklabels=dims,
             title=f"● 2 000 random points   × {few}   - - floor of {few}")  # fmt: skip
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
guess.reveal(evaluate.uniformity_floor(128))
ball = evaluate.uniformity(sphere.concentrated_points(2000, 3, 0.0, generator))
check(
    "L_unif of 2 000 random points in three dimensions", ball, -2.11, -2.05,
    paper=evaluate.uniformity_floor(3),
)  # fmt: skip

# %% [markdown]
# Lines are formulas. The dashed ones are for 40 points: the mean over pairs leaves out each point's pair with itself, so
# that few points in many dimensions can lie *below* the floor of a distribution. The corners of a simplex are the
# extreme case: 129 of them in 128 dimensions reach $-4 \cdot 129/128$.
#
# Play: few points, many dimensions; a concentrated cloud; a second view that is moved.

# %%
labkit.explore.sphere_lab().set(points=200, dim=3)

# %%
labkit.explore.sphere_lab().set(points=20, dim=32, concentration=0.0)

# %% [markdown]
# ## 2 · Train on nothing but the two
#
# The whole method: two losses on the sphere, no negatives, no temperature, no head.

# %%
from torch.nn.functional import normalize

from labkit import losses
from labkit.methods import TwoView, inference


class AlignUniform(TwoView):
    def forward(self, images):
        a, b = (normalize(self.encoder(self.view(images)), dim=1) for _ in range(2))
        apart = (losses.uniformity(a) + losses.uniformity(b)) / 2
        return losses.alignment(a, b) + apart

    @inference
    def embed(self, images):
        return normalize(self.encoder(images / 255), dim=1)


# %% [markdown]
# `labkit.papers.spectral.alignment_uniformity` has it with weights, α and t. From those, 25 encoders of digits: five
# ratios of the two losses, five shapes. Each is measured in the same way (α = t = 2, two views of each test image),
# whatever it was trained on. **Predict** the rank correlation of $-(L_{align} + L_{unif})$ with the accuracy of 20
# nearest neighbours.

# %%
from labkit.papers.spectral import alignment_uniformity as au

correlation = predict(
    "Rank correlation of −(L_align + L_unif) with accuracy?", guess=0.5, low=-1, high=1
)
digits = labkit.data.load("digits")
batches = labkit.train.Minibatches(digits.images[digits.splits["train"]], 256)
split = evaluate.Split.public(digits)
cloud = []
for recipe in tqdm(au.GRID[:3] if SMOKE else au.GRID, leave=False):
    with labkit.train.seeded(0):
        method = recipe.build(digits)
    labkit.fit(method, batches, epochs=1 if SMOKE else 30, lr=3e-3, seed=0, progress=False)
    accuracy = evaluate.knn_probe(method.embed(digits.images), digits.labels, split, k=20).mean
    cloud.append([*au.measure(method, digits), accuracy])
cloud = np.array(cloud)

# %%
floor = evaluate.uniformity_floor(16, items=len(digits.splits["test"]))
collapsed = cloud[:, 1] > au.COLLAPSED
with plot.style():
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), width_ratios=(1.2, 1))
    dots = axes[0].scatter(
        cloud[:, 1], cloud[:, 0], c=100 * cloud[:, 2], s=60, cmap="cividis", edgecolors="white"
    )
    axes[0].axvline(floor, color=plot.COLOURS[3], ls="--", lw=1.5)
    axes[0].annotate(
        "floor", (floor, 0.3), (4, 0), xycoords=("data", "axes fraction"),
        textcoords="offset points", color=plot.COLOURS[3], va="top",
    )  # fmt: skip
    axes[0].set(
        xlabel="L_unif (lower: more uniform)",
        ylabel="L_align (lower: more aligned)",
        title=f"{len(cloud)} encoders, {collapsed.sum()} collapsed",
    )
    figure.colorbar(dots, ax=axes[0], label="accuracy (%)").outline.set_visible(False)
    for which, label, color in (
        (~collapsed, "", plot.COLOURS[0]),
        (collapsed, "collapsed", plot.FLOOR),
    ):
        axes[1].scatter(
            cloud[which, 0] + cloud[which, 1], 100 * cloud[which, 2], s=50, color=color,
            label=label or None,
        )  # fmt: skip
    if collapsed.any():
        axes[1].legend()
    axes[1].set(xlabel="L_align + L_unif", ylabel="accuracy (%)", title="The sum against accuracy")
plt.show()
together = au.spearman(torch.tensor(-cloud[:, 0] - cloud[:, 1]), torch.tensor(cloud[:, 2]))
correlation.reveal(together)
for name, values in (("−L_align", -cloud[:, 0]), ("−L_unif", -cloud[:, 1])):
    print(f"{name} alone: {au.spearman(torch.tensor(values), torch.tensor(cloud[:, 2])):.2f}")
standing = torch.tensor(cloud[~collapsed])
apart = au.spearman(-standing[:, 0] - standing[:, 1], standing[:, 2])
print(f"the sum, without the collapsed: {apart:.2f}")

# %% [markdown]
# Alignment alone predicts the *opposite*: what is perfectly aligned has collapsed. Uniformity alone does better, and the
# sum best, also among those that have not collapsed. Nothing lies left of the floor, and the best encoders stay at a
# distance from it.
#
# ## 3 · Patches
#
# For dense tasks the items are patches, and somebody must say which two are a pair: the same place in two views, or a
# place nearby. Here the truth is known: scenes of two objects of different kinds, out of four; each patch has a weak mark
# of its kind and a strong texture that is alike over about three patches. **Predict** where the accuracy (of which kind
# is it? a guess is right in one of four) is highest.

# %%
best = predict(
    "Best radius of the neighbourhood a partner is drawn from (patches, 0 to 13)?", guess=1, low=0,
    high=13,
)  # fmt: skip
RADII = (0, 5) if SMOKE else (0, 1, 3, 5, 9, 13)
small, repeats = {"scenes": 32, "epochs": 1} if SMOKE else {}, range(1 if SMOKE else 3)
dense = [[au.dense_accuracy(r, s, **small) for r in RADII] for s in tqdm(repeats, leave=False)]
floors = {
    "patches as they are": [au.raw_patch_accuracy(s, small.get("scenes", 96)) for s in repeats],
    "encoder, untrained": [au.dense_accuracy(0, s, **small | {"epochs": 0}) for s in repeats],
}

# %%
with plot.style():
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), width_ratios=(1, 2))
    grids, kinds = au.patch_grids(1, seed=2)
    axes[0].imshow(kinds[0], cmap="cividis")
    axes[0].set(title="A scene: of which kind?", xticks=[], yticks=[])
    axes[0].grid(False)
    plot.curve(
        100 * np.array(dense), RADII, ax=axes[1], marker="o",
        axis_names=("radius (patches)", "accuracy (%)"), title="Partners from how far away?",
    )  # fmt: skip
    for (name, values), dash in zip(floors.items(), ("--", ":"), strict=True):
        axes[1].axhline(100 * np.mean(values), color=plot.FLOOR, ls=dash, label=name)
    axes[1].axhline(25, color=plot.FLOOR, lw=1, label="chance")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
print({name: f"{100 * np.mean(values):.0f} %" for name, values in floors.items()})
radius = RADII[int(np.mean(dense, 0).argmax())]
best.reveal(radius)

# %% [markdown]
# At radius 0 the texture is what two views share best, and it is all that is learned. Partners from beyond the texture
# leave only the object in common; partners from anywhere are often on the other object. The dashed floor is the one to
# look at, the 16 numbers of a patch untouched: pairs from the same place end far below it, those from next to it somewhat,
# and the best radius gets a few points above.
#
# ## 4 · Colour, thrown away and kept
#
# Digits in random hues. The views change the hue, so InfoNCE is told that colour doesn't matter. CARE adds a loss that
# asks for less: an augmentation may move the embedding, but the *same* augmentation must move all of it as one
# rotation. It can be written without any rotation, since inner products decide:
#
# $$L_{equi} = E\left[\left(f(a(x))\cdot f(a(x')) - f(x)\cdot f(x')\right)^2\right]$$

# %%
from labkit.papers.spectral import care

coloured = labkit.data.load("coloured-digits")
plot.image_grid(coloured.images[:8], columns=8)
plt.show()
hue_guess = predict("R² of the hue from the embedding: with InfoNCE alone?", guess=0.3)
train = labkit.train.Minibatches(coloured.images[coloured.splits["train"]], 256)
trained = {}
for recipe, name in (
    (care.INFONCE, "InfoNCE"), (care.BOTH, "InfoNCE + equivariance"),
    (care.EQUIVARIANT, "uniformity + equivariance"), (care.UNIFORM, "uniformity alone"),
):  # fmt: skip
    with labkit.train.seeded(0):
        trained[name] = recipe.build(coloured)
    labkit.fit(trained[name], train, epochs=1 if SMOKE else 40, lr=2e-3, schedule="cosine", seed=0)

# %%
public = evaluate.Split.public(coloured)
kept = {}
for name, method in trained.items():
    z = method.embed(coloured.images)
    accuracy = evaluate.knn_probe(z, coloured.labels, public, k=20).mean
    kept[name] = care.colour_kept(z, coloured)
    share = care.explained_by_rotation(method, coloured)
    print(
        f"{name:27} digit {100 * accuracy:.1f} %   hue R² {kept[name]:.2f}   "
        f"movement that is one rotation {share:.2f}"
    )
hue_guess.reveal(kept["InfoNCE"])

# %%
hue = care.hue(coloured.images)
rows = coloured.splits["test"][:300]
with plot.style():
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8))
    for axis, name in zip(axes, list(trained)[:3], strict=True):
        z = (
            trained[name].embed(coloured.images)[rows].double()
        )  # in float32, rounding moves a pixel from run to run
        target = torch.stack([hue[rows].cos(), hue[rows].sin()], 1).double()
        plane = torch.linalg.lstsq(
            z - z.mean(0), target
        ).solution  # the plane that shows the hue best
        axis.scatter(*((z - z.mean(0)) @ plane).T, c=hue[rows], cmap="twilight", s=12)
        axis.set(title=f"{name}\nR² {kept[name]:.2f}", xticks=[], yticks=[])
        axis.set_aspect("equal", adjustable="datalim")
    figure.suptitle("The plane of the embedding that shows the hue best (colour: the hue itself)")
plt.show()

# %% [markdown]
# With equivariance in place of invariance the circle of hues is there, and the digit too. Look at the control before
# you praise it: uniformity alone, told nothing of colour, keeps the hue as well. What equivariance adds is that the
# movement is one rotation. With InfoNCE beside it, the two pull in opposite directions; at this weight InfoNCE wins.
#
# ## 5 · The rotation
#
# Turn the hue of every image by $a$ and ask which rotation $R_a$ takes the old embeddings to the new ones. That is
# Wahba's problem: one singular value decomposition. A reflection counts as a rotation here, for inner products can't
# tell the two apart; exercise 2 asks for proper ones. Are the rotations a *group*, $R_{a+b} = R_a R_b$?

# %%
equivariant = trained["uniformity + equivariance"]
shown = coloured.subset(coloured.splits["test"][:150])
labkit.explore.rotation_wheel(lambda angle: care.embed_turned(equivariant, shown, angle))

# %%
error = predict("‖R_ab − R_a R_b‖ (1: unrelated rotations) at a = 1, b = 0.7?", guess=0.3)

# %%
origin = care.embed_turned(equivariant, coloured, 0.0)
turns = np.linspace(-3.1, 3.1, 25)
rotations = [
    sphere.wahba(origin, care.embed_turned(equivariant, coloured, float(a))) for a in turns
]
angles = np.array([sphere.rotation_angles(r.double()).numpy() for r in rotations])
with plot.style():
    figure, axis = plt.subplots(figsize=(6.4, 4))
    for k in range(4):
        axis.plot(
            turns, [k * a if abs(k * a) <= np.pi else np.nan for a in turns], color=plot.COLOURS[1],
            lw=1.5, label="k times the input's angle" if k == 1 else None,
        )  # fmt: skip
        axis.plot(
            turns, [-k * a if abs(k * a) <= np.pi else np.nan for a in turns],
            color=plot.COLOURS[1], lw=1.5,
        )  # fmt: skip
    axis.plot(turns, angles, ".", color=plot.COLOURS[0], ms=5)
    axis.set(
        xlabel="hue turned by (rad)",
        ylabel="angles of R (rad)",
        title="Planes that turn with the input",
    )
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
moved = [care.embed_turned(equivariant, coloured, a) for a in (1.0, 0.7, 1.7)]
error.reveal(sphere.composition(origin, *moved).error)

# %% [markdown]
# Lines are what a group of rotations allows: whole multiples of the input's angle. The circle drawn from nothing but a
# formula, for comparison, with a part that is no rotation:

# %%
labkit.explore.rotation_wheel().set(bend=0.2)

# %% [markdown]
# **What the released code does.** It sums over the chunk and doubles, so that its loss is $2(m-1)$ times the mean for
# chunks of $m$: the published λ means something else for every chunk size.

# %%
sizes = [2, 4, 8, 16, 32, 64]
a, b = torch.randn(2, 128, 16, generator=torch.Generator().manual_seed(0))
seen = [
    losses.equivariance(a, b, 128 // m, "released") / losses.equivariance(a, b, 128 // m)
    for m in sizes
]
with plot.style():
    figure, axis = plt.subplots(figsize=(5.6, 3.2))
    axis.plot(sizes, [2 * (m - 1) for m in sizes], label="2(m − 1)")
    axis.plot(sizes, seen, "o", label="released ÷ mean")
    axis.set(xlabel="chunk size m", ylabel="ratio", title="One λ, many meanings")
    axis.legend()
plt.show()

# %% [markdown]
# ## 6 · Your turn
#
# **Exercise 1** (easy, 3 min). Three points on a circle, as far apart as they can be. Their $L_{unif}$ at t = 2?
#
# <details><summary>Hint</summary>Every pair has the same distance: ‖u − v‖² = 2 − 2 cos 120°.</details>
# <details><summary>Solution</summary><code>three = -2 * (2 - 2 * np.cos(2 * np.pi / 3))</code>, −6: far below the floor
# of a distribution, −1.575, and on <code>evaluate.uniformity_floor(2, items=3)</code>, that of three points.</details>

# %%
three = -2 * (2 - 2 * np.cos(2 * np.pi / 3))  # your answer here
check(
    "uniformity of an equilateral triangle", three, -6.001, -5.999,
    hint="log e^(−t · distance²), t = 2",
)  # fmt: skip

# %% [markdown]
# **Exercise 2** (medium, 10 min). A mirror image is no rotation. Reflect the first coordinate of random points and find
# the best *proper* rotation (`proper=True`). How much is left, per point, in three dimensions?
#
# <details><summary>Hint</summary><code>sphere.wahba_error(z, mirrored, proper=True)</code></details>
# <details><summary>Solution</summary><code>left = sphere.wahba_error(z, mirrored, proper=True).item()</code>, about 4/3:
# one coordinate has the wrong sign, 4 E[z₁²].</details>

# %%
z = sphere.concentrated_points(2000, 3, 0.0, torch.Generator().manual_seed(0))
mirrored = z * torch.tensor([-1.0, 1, 1]).double()
left = sphere.wahba_error(z, mirrored, proper=True).item()  # your answer here
check(
    "left after the best proper rotation", left, 1.25, 1.4,
    hint="one coordinate keeps the wrong sign: 4 E[z₁²]",
)  # fmt: skip
print(f"with reflections allowed: {sphere.wahba_error(z, mirrored).item():.0e}")

# %% [markdown]
# **Exercise 3** (easy, 3 min). Somebody runs the released code at λ = 0.01 with chunks of 32 images. Which weight of the
# *mean* is that, and what is it for chunks of 16?
#
# <details><summary>Hint</summary>The last figure.</details>
# <details><summary>Solution</summary><code>weight = 0.01 * 2 * (32 - 1)</code>, 0.62; for 16 it is 0.30.</details>

# %%
weight = 0.01 * 2 * (32 - 1)  # your answer here
check("λ of the mean", weight, 0.6199, 0.6201, hint="2(m − 1) times as much, m = 32")

# %% [markdown]
# ## 7 · The claims, as this suite found them

# %%
for paper in ("alignment_uniformity", "care"):
    labkit.claims.show(paper)

# %%
wide = evaluate.uniformity(sphere.concentrated_points(2000, 128, 0.0, generator))
beside_paper(
    ("L_unif of uniform points, 128 dimensions, t = 2", f"{evaluate.uniformity_floor(128):.4f}",
     f"{wide:.4f}", "2 000 points in place of a distribution"),
    ("−(L_align + L_unif) against accuracy, rank correlation", "rises (figure 5)",
     f"{together:.2f}",
     f"{len(cloud)} perceptrons on digits, some collapsed; the paper: 304 encoders on STL-10"),
    ("radius a partner is best drawn from", "which patches are a pair decides", f"{radius} patches",
     "synthetic scenes, made so that the texture ends before the object does"),
    ("R² of the hue: InfoNCE, with equivariance beside it",
     "embeddings become sensitive to augmentations",
     f"{kept['InfoNCE']:.2f}, {kept['InfoNCE + equivariance']:.2f}",
     "perceptrons on coloured digits, λ = 10 of the mean; the paper: ResNets on CIFAR and STL-10"),
    ("equivariance loss over its mean, chunks of 16", "1 by the formula; the code sums and doubles",
     f"{seen[sizes.index(16)]:.1f}",
     "a sum over the chunk: the published λ of 0.01 to 0.03 depends on its size"),
)  # fmt: skip

# %%
score()

# %% [markdown]
# **What this does not show.** The encoders are small perceptrons on 8 × 8 digits; the papers train ResNets. The patches
# are synthetic. One seed in the figures (three for patches); the claims have five or ten. Features are normalised before they are measured; where
# they are not, neither number means anything.
#
# **References.** Wang & Isola 2020 · Moon et al. 2022 · Gupta et al. 2024 · Wahba 1965, *A least squares estimate of
# satellite attitude* · Kabsch 1976.
