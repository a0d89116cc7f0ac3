# %% [markdown] slideshow={"slide_type": "slide"}
# # Contrastive learning is spectral clustering
#
# **The question.** InfoNCE pulls pairs together and pushes everything else apart. Spectral clustering computes
# eigenvectors of a graph. Tan et al. say that these are *the same thing*. Exactly the same, or in spirit? And what of the
# graph does the loss learn first, what last, and what never?
#
# <!-- measured -->
#
# At the end you can say
# - which cross-entropy InfoNCE is, to the last digit, and what its two terms do;
# - how fast each eigenvector of the pair graph is learnt, before training;
# - what a temperature does to the rank, and a small batch to the loss;
# - whether other kernels than the Gaussian are worth it here.
#
# Tan et al. 2024, [Contrastive Learning Is Spectral Clustering On Similarity Graph](https://arxiv.org/abs/2303.15103).
# Needs no download.

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
import os
from functools import partial

import numpy as np
import torch
from matplotlib import pyplot as plt

import labkit
from labkit import evaluate, explore, plot
from labkit.teach import beside_paper, check, predict, score
from labkit.theory import spectral

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
TAU = 0.5

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 1 · A graph of pairs
#
# Forget networks for a while. There are 48 objects, and π says how often j is drawn as the positive of i. Here: four
# blocks in two pairs. Each object has its own free vector z; nothing but π tells it where to go.

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
pi = spectral.nested_graph(48, near=0.25, far=0.04, generator=torch.Generator().manual_seed(0))
block = torch.arange(48) * 4 // 48
rates, vectors = spectral.growth_rates(pi, TAU)
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    left.imshow(pi, cmap="Blues")
    left.set(
        title="The pair graph π", xlabel="object j", ylabel="object i", xticks=[0, 12, 24, 36],
        yticks=[0, 12, 24, 36],
    )  # fmt: skip
    left.grid(False)
    for k in range(3):
        right.plot(vectors[:, k], "o", ms=4, color=plot.COLOURS[k], label=f"eigenvector {k + 1}")
    right.set(
        title="Its leading eigenvectors", xlabel="object i", ylabel="entry",
        xticks=[0, 12, 24, 36, 48],
    )  # fmt: skip
    right.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# The first eigenvector tells the two pairs apart, the next two tell twins apart. (The constant one, which tells nothing,
# is left out.)
#
# ## 2 · InfoNCE is the cross-entropy of two random graphs
#
# Draw a graph from π: every object picks one other. Draw another from the embedding, where i picks j with probability
# $k_{ij} / \sum_{l \ne i} k_{il}$, $k_{ij} = \exp(-\|z_i - z_j\|^2 / 2\tau)$. Theorem 3.1: the cross-entropy of the second under the first is
# InfoNCE. With five objects there are 4⁵ = 1 024 graphs, few enough to list them all. **Predict** by how much the two
# sides differ.

# %%
digits_guess = predict(
    "Digits on which the two sides agree (16 is all that there are)?", guess=3, high=16
)

# %% slideshow={"slide_type": "fragment"}
from labkit.papers.spectral.kernel_infonce import correct_digits, cross_entropy_of_graphs

generator = torch.Generator().manual_seed(1)
small_pi = torch.rand(5, 5, dtype=torch.float64, generator=generator).fill_diagonal_(0)
small_pi = small_pi / small_pi.sum(dim=1, keepdim=True)
z = torch.randn(5, 2, dtype=torch.float64, generator=generator)
enumerated = cross_entropy_of_graphs(small_pi, z, TAU)
infonce = spectral.graph_infonce(small_pi, z, TAU)
print(f"all 1 024 graphs {enumerated:.14f}\nInfoNCE          {infonce:.14f}")
digits_guess.reveal(correct_digits(infonce, enumerated))
check("InfoNCE less the cross-entropy of all graphs", infonce - enumerated, -1e-12, 1e-12, paper=0)

# %% [markdown] slideshow={"slide_type": "subslide"}
# It is an identity, not an analogy. The training loss everyone uses is the special case in which π swaps the two views of
# each item:

# %%
from labkit.losses import nt_xent

views = torch.randn(2, 32, 8, dtype=torch.float64, generator=generator)
a, b = torch.nn.functional.normalize(views, dim=2)
swap = spectral.swap_graph(32)
print(f"NT-Xent                 {nt_xent(a, b, TAU):.14f}")
print(f"InfoNCE on a swap graph {spectral.graph_infonce(swap, torch.cat([a, b]), TAU) / 64:.14f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 3 · Two terms: a trace and a log-partition
#
# $H = \mathrm{tr}(Z^\top L Z) / \tau + \sum_i \log \sum_{l \ne i} k_{il}$. The trace is what spectral clustering minimises; alone it would put everything
# on one point. The paper writes L = D − π. **Predict**: for a π that is not symmetric, is that right?

# %%
paper_guess = predict("Relative error of tr(Zᵀ(D − π)Z)/τ off the unit sphere?", guess=0.0)

# %% slideshow={"slide_type": "fragment"}
outgoing = torch.diag(small_pi.sum(dim=1)) - small_pi
for name, points in (
    ("on the sphere", torch.nn.functional.normalize(z, dim=1)),
    ("off the sphere", z),
):
    truth = spectral.graph_infonce(small_pi, points, TAU) - spectral.log_partition(
        small_pi, points, TAU
    )
    written = (points * (outgoing @ points)).sum() / TAU
    ours = spectral.attraction(small_pi, points, TAU)
    print(f"{name:15} H − log-partition {truth:8.4f}   ", end="")
    print(f"symmetric part {ours:8.4f}   D − π {written:8.4f}")
off = float((written / truth - 1).abs())
paper_guess.reveal(off)

# %% [markdown] slideshow={"slide_type": "slide"}
# On the sphere, where the paper's experiments live, both agree. Elsewhere L has to be that of (π + πᵀ)/2.
#
# ## 4 · What is learnt first
#
# Nothing in the identity says that the embedding *becomes* the eigenvectors: the log-partition is no orthogonality
# constraint. But start small, and expand it: along eigenvector $v_k$ of π, with eigenvalue $p_k$, the embedding grows as
# exp(rate·t) with $\mathrm{rate}_k = (2 / \tau)(p_k + 1 / (n - 1))$. The log-partition lifts all modes alike, the Laplacian orders
# them. (This is ours; the paper has no dynamics.)

# %%
rate_guess = predict("The first rate is 3.58 for τ = 0.5. At τ = 0.25?", guess=3.58, high=20)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
times, path, measured, predicted = explore.mode_growth(pi, TAU)
with plot.style():
    figure, axis = plt.subplots(figsize=(7, 3.8))
    for k in range(4):
        axis.semilogy(
            times, predicted[:, k], color=plot.COLOURS[k], lw=1.5,
            label=f"mode {k + 1}, rate {rates[k]:.2f}",
        )  # fmt: skip
        axis.semilogy(times, measured[:, k], "o", ms=4, color=plot.COLOURS[k])
    axis.set(xlabel="time (learning rate × steps)", ylabel="amplitude ‖vᵀZ‖", ylim=(5e-4, 20),
             title="Lines: predicted before training. Points: gradient descent.")  # fmt: skip
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
rate_guess.reveal(float(spectral.growth_rates(pi, 0.25)[0][0]))

# %% [markdown] slideshow={"slide_type": "subslide"}
# The lines have no fitted number in them. Mode 1 levels off when the embedding is no longer small; then it changes the
# landscape for the others. That is *stepwise* spectral clustering: coarse clusters first, twins later.
#
# **Drag it.** Weaken the tie between twins, and see modes 2 and 3 come earlier; set both weights to 1, and no order is
# left.

# %% tags=["hide-input"]
explore.infonce_flow_lab()

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 5 · Temperature
#
# On the unit sphere there is no small start, and the temperature decides how many eigenvectors are worth having.
# **Predict** the effective rank of an 8-dimensional embedding of these 48 objects at τ = 3.

# %%
rank_guess = predict("Effective rank at τ = 3 (at most 8)?", guess=4.0, low=1, high=8)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
temperatures = (
    [0.1, 3.0] if SMOKE else [0.05, 0.1, 0.2, 0.4, 0.5, 0.6, 0.8, 1.2, 1.8, 2.4, 2.8, 3.0, 4.0]
)
start = torch.randn(48, 8, dtype=torch.float64, generator=generator)
ranks, overlaps = [], []
for tau in temperatures:
    z = spectral.infonce_flow(pi, start, tau, 0.3 * tau, steps=50 if SMOKE else 800, sphere=True)[
        -1
    ]
    z = z - z.mean(dim=0)
    ranks.append(evaluate.effective_rank(z))
    overlaps.append(
        spectral.subspace_overlap(torch.linalg.svd(z, full_matrices=False).U[:, :3], vectors[:, :3])
    )
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    left.semilogx(temperatures, ranks, "o-")
    left.set(
        xlabel="temperature τ", ylabel="effective rank", ylim=(0, 8),
        title="High temperatures collapse",
    )  # fmt: skip
    right.semilogx(temperatures, overlaps, "o-")
    right.set(
        xlabel="temperature τ", ylabel="overlap with eigenvectors 1 to 3", ylim=(0, 1.05),
        title="Same eigenvectors",
    )  # fmt: skip
plt.show()
rank_guess.reveal(ranks[temperatures.index(3.0)])

# %% [markdown] slideshow={"slide_type": "subslide"}
# At a low temperature the log-partition forces the points apart in nearly every dimension there is. At a high one it is a
# quadratic, like the trace, and the leading eigenvector takes all. In between the embedding has one dimension fewer than
# the graph has clusters to tell apart: three for four blocks, since the constant eigenvector tells nothing.

# %% tags=["hide-input"]
explore.temperature_lab(pi, block)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 6 · What a batch does not see
#
# The identity is about all objects. In a batch of B negatives, log-mean-exp is taken over few terms, and by Jensen's
# inequality the loss comes out *lower*: by about Var(k) / 2B·E(k)². **Predict** the gap at B = 2.

# %%
gap_guess = predict(
    "Loss at B = 2 negatives, minus that with all (τ = 0.2)?", guess=-0.5, low=-2, high=0
)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
sphere = spectral.infonce_flow(pi, start, 0.2, 0.06, steps=50 if SMOKE else 400, sphere=True)[-1]
sizes = [1, 2, 4, 8, 16, 32, 64, 128]
gaps = [
    spectral.minibatch_gap(sphere, 0.2, size, draws=4000 if SMOKE else 40_000, generator=generator)
    for size in sizes
]
with plot.style():
    figure, axis = plt.subplots(figsize=(6.4, 3.6))
    axis.loglog(sizes, [-expansion for _, expansion in gaps], label="Var(k) / 2B·E(k)²")
    axis.loglog(sizes, [-mean for mean, _ in gaps], "o", color=plot.COLOURS[1], label="measured")
    axis.set(
        xlabel="negatives B",
        ylabel="loss of the graph − loss of the batch",
        title="A batch flatters the loss",
    )
    axis.legend()
plt.show()
gap_guess.reveal(gaps[1][0])

# %% [markdown] slideshow={"slide_type": "slide"}
# Losses at two batch sizes, or two temperatures, can't be compared as they stand. (The positive cancels here; NT-Xent
# also counts it among the B.)
#
# ## 7 · Other kernels
#
# If the exponential is a kernel, others will do: $\exp(-\|\cdot\|^\gamma / \tau)$ for γ ≤ 2, and sums of them. Two conventions to know:
# γ = 2 at τ is the cosine loss at τ/2, and what the released code calls `sum` is a sum of two *losses*.

# %%
from labkit.losses import kernel_nt_xent

mixed = ((2, 0.4), (1, 0.25))
print(f"γ = 2 at 2τ         {kernel_nt_xent(a, b, ((2, 2 * TAU),)):.12f}   ", end="")
print(f"cosine at τ {nt_xent(a, b, TAU):.12f}")
of_kernels = kernel_nt_xent(a, b, mixed)
of_losses = kernel_nt_xent(a, b, mixed, mixture="losses (as released)")
print(f"sum of two kernels  {of_kernels:.4f}\nsum of two losses   {of_losses:.4f}")

# %% [markdown] slideshow={"slide_type": "slide"}
# On CIFAR-10 the paper's best mixture wins about one point over SimCLR. **Predict** the lead of the simple sum over
# the Gaussian here, on 8 × 8 digits with a small network, three seeds.

# %%
lead_guess = predict("Points of accuracy that the sum of kernels wins?", guess=1.0, low=-5, high=5)

# %% slideshow={"slide_type": "skip"}
from labkit.evaluate import Split, linear_probe
from labkit.models import resnet8
from labkit.papers.spectral.kernel_infonce import KernelInfoNCE
from labkit.train import Minibatches
from labkit.views import ColorJitter, Compose, GaussianNoise, RandomResizedCrop

digits = labkit.data.load("digits")
train, test = digits.splits["train"], digits.splits["test"]
split = Split(train, None, test, name="digits")
view = Compose(
    [
        RandomResizedCrop(8, scale=(0.4, 1.0)),
        ColorJitter(0.4, 0.4, 0, 0, p=1.0),
        GaussianNoise(0.05),
    ]
)
kernels = {
    "Gaussian": (((2, 0.4),), "sum"),
    "Laplacian": (((1, 0.25),), "sum"),
    "sum": (mixed, "sum"),
    "concatenation": (mixed, "concatenation"),
}
probe = partial(linear_probe, y=digits.labels, split=split, strengths=16.0)
scores = {name: [] for name in kernels}
for seed in range(1 if SMOKE else 3):
    for name, (parts, mixture) in kernels.items():
        with labkit.train.seeded(seed):
            method = KernelInfoNCE(resnet8(8, 1), view, parts, mixture)
        batches = Minibatches(digits.images[train], 128)
        labkit.fit(
            method, batches, epochs=1 if SMOKE else 12, lr=4e-3, schedule="cosine", seed=seed,
            progress=False,
        )  # fmt: skip
        scores[name].append(probe(method.embed(digits.images)).mean)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
shown = {
    name: (np.mean(values), np.std(values, ddof=min(1, len(values) - 1)))
    for name, values in scores.items()
}
raw = probe(digits.images.flatten(1).float() / 255).mean
plot.bars_with_floors(shown, {"raw pixels": raw}, title="Digits, linear probe, 12 epochs")
plt.show()
lead_guess.reveal(100 * (shown["sum"][0] - shown["Gaussian"][0]))

# %% [markdown] slideshow={"slide_type": "skip"}
# Three seeds of a small network order nothing by themselves: look at the spread beside the differences. And look at the
# floor: raw pixels are hard to beat on centred digits. `labkit claims verify kernel_infonce` (some 22 minutes) compares
# the kernels with five seeds on images where contrast pays; the claims that were tested are below.
#
# ## 8 · Your turn
#
# **Exercise 1** (easy, 5 min). CLIP's loss is the same cross-entropy, with a graph that may link images only to texts.
# Write down which of the 2n × 2n pairs are allowed, as a tensor of True and False.
#
# <details><summary>Hint</summary>Objects 0 to n − 1 are images, n to 2n − 1 texts: allowed is where one is below n and
# the other is not.</details>
# <details><summary>Solution</summary><code>among = (side[:, None] != side)</code></details>

# %% slideshow={"slide_type": "skip"}
from labkit.losses import info_nce

side = torch.arange(64) >= 32
among = side[:, None] != side  # your answer here
clip = (info_nce(a, b, TAU) + info_nce(b, a, TAU)) / 2
stacked = torch.cat([a, b])
ours = among
if among is not ...:  # where an image may not be linked to its own text there is no such loss
    complete = torch.is_tensor(among) and bool(among[swap > 0].all())
    ours = (
        spectral.graph_infonce(swap, stacked, TAU, among=among) / 64 - clip
        if complete
        else float("nan")
    )
check(
    "difference to CLIP's loss", ours, -1e-12, 1e-12, hint="is every object allowed its own kind?"
)

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 2** (medium, 10 min). Two blocks of 24, weight 1 within and w between. How large may w be for the first mode
# to grow ten times as fast as the second? Give a w that does it.
#
# <details><summary>Hint</summary>The second mode lives on the noise of the weights, and its rate hardly depends on w. The
# first one's p is (own block − other block) over (own + other).</details>
# <details><summary>Solution</summary>The first rate is close to (2/τ)((23 − 24w)/(23 + 24w) + 1/47), the second is 0.175
# for any w: w = 0.39 and below will do.</details>

# %% slideshow={"slide_type": "skip"}
w = 0.3  # your answer here


def lead_of_first(w):
    pi = spectral.planted_graph(48, 2, between=w, generator=torch.Generator().manual_seed(0))
    first, second = spectral.growth_rates(pi, TAU)[0][:2]
    return first / second


lead = w if w is ... else lead_of_first(float(w))
check("rate of the first mode over the second", lead, 10, 1000,
      hint="make the blocks more separate: a smaller w")  # fmt: skip

# %% [markdown] slideshow={"slide_type": "skip"}
# ## 9 · The claims, as this suite found them

# %% slideshow={"slide_type": "skip"}
labkit.claims.show("kernel_infonce")

# %% tags=["hide-input"] slideshow={"slide_type": "slide"}
mixtures = max(shown["sum"][0], shown["concatenation"][0])
beside_paper(
    ("InfoNCE against the cross-entropy of all graphs (theorem 3.1)", "equal",
     f"{abs(infonce - enumerated):.0e} apart",
     "rounding; five objects, since all 1 024 graphs are listed"),
    ("trace with D − π, off the sphere", "exact", f"{100 * off:.1f} % off",
     "π is not symmetric here; on the sphere, where the paper's experiments are, both forms are "
     "exact"),
    ("sum of two kernels, one batch",
     "the paper: InfoNCE of the sum; its code: sum of two losses, one τ",
     f"{of_kernels:.3f} and {of_losses:.3f}", "two definitions, here both by name"),
    ("best mixture less Gaussian", "+1.1 points (90.6 to 91.7 %)",
     f"{100 * (mixtures - shown['Gaussian'][0]):+.1f} points",
     "CIFAR-10 for 400 epochs and a search over 100 sets of temperatures; here 8 × 8 digits, 12 "
     "epochs, few seeds"),
)  # fmt: skip

# %% slideshow={"slide_type": "skip"}
score()

# %% [markdown] slideshow={"slide_type": "slide"}
# **What this does not show.** Sections 1 to 6 have no network: each object moves freely. A network moves many objects
# with one weight, and its own kernel then decides together with the graph (next notebook, and the theme on dynamics).
# The comparison of kernels is at a size where one point is within the noise. The paper absorbs τ in Z; here it is
# explicit.
#
# **References.** Tan et al. 2024, *Contrastive Learning Is Spectral Clustering On Similarity Graph* · Chen et al. 2020,
# *SimCLR* · Radford et al. 2021, *CLIP* · von Luxburg 2007, *A Tutorial on Spectral Clustering*.
