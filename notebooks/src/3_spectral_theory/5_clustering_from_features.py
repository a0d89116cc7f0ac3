# %% [markdown]
# # Clustering from features: rate reduction, multicut, feature selection
#
# **The question.** Somebody hands you features and no labels. How many groups are there, which are they, and which of
# the features matter? Three answers, each with a closed form behind it.
#
# <!-- measured -->
#
# At the end you can say
# - how many nats a set of vectors costs, and why classes that stand at right angles save most;
# - how a number of clusters falls out of a code length, and when it doesn't;
# - how to cluster a complete graph of 20 000 nodes without ever building it;
# - how a published formula and its released code can rank features by different things.
#
# Chu et al. 2024, [CPP](https://arxiv.org/abs/2306.05272) · Abbas & Swoboda 2023,
# [ClusterFuG](https://arxiv.org/abs/2301.12159) · Roffo et al. 2020, [Inf-FS](https://arxiv.org/abs/2006.08184). Needs no
# download.

# %% tags=["parameters"]
import os
import time

import numpy as np
import torch
from matplotlib import pyplot as plt
from tqdm.auto import tqdm

import labkit
from labkit import plot
from labkit.teach import beside_paper, check, predict, score

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
torch.manual_seed(0)  # of what is drawn outside of `fit`
digits = labkit.data.load("digits")
x = digits.images[: 200 if SMOKE else 1000].flatten(1).double() / 255
x = torch.nn.functional.normalize(x - x.mean(0), dim=1)  # pixels as features: centred unit vectors

# %% [markdown]
# ## 1 · What a set of vectors costs
#
# To keep $n$ vectors in $d$ dimensions up to an error $\varepsilon^2$ takes
# $R(Z) = \tfrac12\log\det(I + \tfrac{d}{n\varepsilon^2} Z^\top Z)$ nats a vector. Coding each class by itself is cheaper;
# what is saved, $\Delta R = R(Z) - \sum_j \tfrac{n_j}{n} R(Z_j)$, is the **rate reduction**. For $k$ classes, isotropic in
# orthogonal subspaces of rank $r$, it has a closed form: the line below. The points are log-determinants.

# %%
from labkit.papers.spectral import rate_reduction as cpp
from labkit.theory import rate_reduction as rates

rank, dim = 3, 36
most = predict(
    "12 classes of rank 3 in 36 dimensions: nats saved a vector (ε² = 0.5)?", guess=5.0, low=0,
    high=20,
)  # fmt: skip
counts = range(1, 13)
orthogonal, turned = [], []
for classes in counts:
    basis = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64))[0][: classes * rank]
    orthogonal.append(
        rates.rate_reduction(basis, torch.arange(classes).repeat_interleave(rank)).item()
    )
    turned.append(
        [
            rates.rate_reduction(*cpp.subspaces(classes, rank, dim, noise=0, seed=s)).item()
            for s in range(5)
        ]
    )
line = [rates.orthogonal_rate_reduction(classes, rank, dim) for classes in counts]

# %%
with plot.style():
    figure, axis = plt.subplots(figsize=(6.6, 3.6))
    axis.plot(counts, line, color=plot.COLOURS[1], label="closed form, orthogonal")
    axis.plot(counts, orthogonal, "o", color=plot.COLOURS[0], label="log-determinants, orthogonal")
    axis.plot(counts, np.mean(turned, 1), "s", color=plot.COLOURS[2], label="subspaces at random")
    axis.set(
        xlabel="classes", ylabel="rate reduction (nats a vector)", title="Right angles save most"
    )
    axis.legend()
plt.show()
most.reveal(line[-1])
check(
    "nats of twelve orthogonal classes", orthogonal[-1], line[-1] - 1e-6, line[-1] + 1e-6,
    paper=line[-1],
)  # fmt: skip

# %% [markdown]
# ## 2 · Who belongs together, and how many groups
#
# CPP makes a **membership** out of features: $\exp(|z_i\cdot z_j|/\eta)$, scaled until every row and column adds up to
# one. The absolute value is the point: in a subspace, $z$ and $-z$ are neighbours. Spectral clustering on it gives
# groups for any number; the number is the one with the smallest **coding length**, which charges for each vector within
# its class *and* for saying which class that is.

# %%
z, y = cpp.subspaces(6, seed=0)
pi = rates.membership(z)
number = predict(
    "Six subspaces of rank 3 in 30 dimensions. What will k-means with the best silhouette say?",
    guess=6, low=2, high=14,
)  # fmt: skip
tried = list(range(2, 15))
found, lengths = cpp.number_of_clusters(z, tried)
silhouette = cpp.silhouette_number(z, tried)

# %%
wider = list(range(4, 16 if SMOKE else 31))
digit_number, digit_lengths = cpp.number_of_clusters(x, wider)
with plot.style():
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4))
    axes[0].imshow(
        torch.nn.functional.avg_pool2d(pi[None], 6)[0].log10(), cmap="cividis"
    )  # 6 × 6 entries a pixel
    axes[0].set(title="Membership, sorted by class", xticks=[], yticks=[])
    axes[0].grid(False)
    for axis, curve, true, title in (
        (axes[1], lengths, 6, "Six subspaces"),
        (axes[2], digit_lengths, 10, "Digits"),
    ):
        axis.plot(list(curve), np.array(list(curve.values())) / 1000, "-o", ms=4)
        axis.axvline(true, color=plot.COLOURS[3], ls="--", lw=1.5, label="true number")
        axis.set(xlabel="clusters", ylabel="coding length (1000 nats)", title=title)
        axis.legend()
plt.show()
number.reveal(silhouette)
print(f"smallest coding length: {found} subspaces; {digit_number} kinds of digits (10 are there)")

# %% [markdown]
# On subspaces the number is read off. On pixels of digits it is not: a digit fills nearly all directions that all digits
# have, so that a class of its own saves little and costs the $d$ directions it must be told, $\tfrac d2 \log\det$ each.
# The smallest number tried wins. The paper takes CLIP's features, and trains them for this very objective first.
#
# ε² sets the scale: far below the noise every direction counts, far above the signal none does.

# %%
prices = (1e-4, 1e-3, 0.02, 0.1, 1.0, 5.0)
chosen = {eps2: cpp.number_of_clusters(z, tried, eps2)[0] for eps2 in prices}
print("number of subspaces found, by ε²:", chosen)
groups = cpp.cluster(x, 10)[10]
kmeans = cpp.kmeans(x, 10)
for name, one in (("spectral on Π", groups), ("k-means", kmeans)):
    print(
        f"{name:14} adjusted Rand index on digits "
        f"{cpp.rand_index(digits.labels[: len(x)], one):.2f}"
    )

# %% [markdown]
# ## 3 · A complete graph that is never built
#
# **Multicut**: every pair attracts or repels with $\langle f_i, f_j\rangle - a$; find the partition whose clusters hold
# the largest sum. How many clusters there are comes out. The greedy method merges the best pair while that gains
# something. On the explicit graph, that is an $n \times n$ matrix. But weights between clusters *add*,
#
# $$w(I, J) = \langle F_I, F_J\rangle - a\, n_I n_J,\qquad F_I = \sum_{i \in I} f_i,$$
#
# so it is enough to keep a row for each cluster. The whole method, with a search over all pairs:


# %%
def greedy(features, a):
    """The definition: slow, with every pair looked at again after each merge."""
    rows, sizes = features.clone(), torch.ones(len(features)).double()
    members = [[i] for i in range(len(features))]
    while len(rows) > 1:
        weights = rows @ rows.T - a * torch.outer(sizes, sizes)
        weights.fill_diagonal_(-torch.inf)
        i, j = divmod(int(weights.argmax()), len(rows))
        if weights[i, j] <= 0:
            break
        rows[i], sizes[i] = rows[i] + rows[j], sizes[i] + sizes[j]
        members[i] = members[i] + members[j]
        stay = torch.arange(len(rows)) != j
        rows, sizes = rows[stay], sizes[stay]
        members.pop(j)
    return members


from labkit.papers.spectral import multicut as fug
from labkit.theory.multicut import greedy_multicut

features, truth = fug.planted(150, 8, seed=1)
features = features.double()
slow = greedy(features, 0.4)
quick = greedy_multicut(features, 0.4)
labels = torch.empty(150, dtype=torch.long)
for c, members in enumerate(slow):
    labels[members] = c
agreement = fug.rand_index(labels, quick.labels)
check("agreement (adjusted Rand) of definition and library", agreement, 1, 1, paper=1)
print(
    f"{quick.merges} merges, {quick.searches} rows looked at again; "
    f"{int(quick.labels.max()) + 1} clusters, 8 planted"
)

# %% [markdown]
# The library's version remembers for each cluster its best partner, as an upper bound that is looked at again only when
# it is the largest of all. The same search on the explicit graph is the control. **Predict** the seconds for 20 000 nodes: 200 million pairs.

# %%
seconds = predict("Seconds for 20 000 nodes in 32 dimensions?", guess=60, low=0, high=600)
sizes = (100, 200, 400) if SMOKE else (250, 500, 1000, 2500, 5000, 10_000, 20_000)
taken = {"explicit graph": {}, "factorised": {}}
for n in tqdm(sizes, leave=False):
    points, planted = fug.planted(n, 50)
    for name, method in (
        ("explicit graph", fug.explicit_multicut),
        ("factorised", greedy_multicut),
    ):
        if name == "factorised" or n <= 2500:
            started = time.process_time()
            clusters = method(points, 0.5)
            taken[name][n] = time.process_time() - started

# %% tags=["timed"]
with plot.style():
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for position, (name, row) in enumerate(taken.items()):
        axes[0].plot(list(row), list(row.values()), "o", color=plot.COLOURS[position], label=name)
        start, first = list(row.items())[-1]
        shape = [first * (n / start) ** 2 for n in row]
        axes[0].plot(
            list(row), shape, color=plot.COLOURS[position], lw=1, ls="--", label=f"{name}, n²"
        )
        size = np.array(sizes, dtype=float)
        memory = size**2 * 8 if position == 0 else size * 33 * 4
        axes[1].plot(size, memory / 1e6, color=plot.COLOURS[position], label=name)
    axes[0].set(xscale="log", yscale="log", xlabel="nodes", ylabel="seconds of CPU", title="Time")
    axes[1].set(
        xscale="log", yscale="log", xlabel="nodes", ylabel="MB of weights or features",
        title="What is kept",
    )  # fmt: skip
    for axis in axes:
        axis.legend()
plt.show()
seconds.reveal(taken["factorised"][sizes[-1]])
right = fug.rand_index(planted, clusters.labels)
print(f"{sizes[-1]} nodes: {int(clusters.labels.max()) + 1} clusters, adjusted Rand {right:.2f}")

# %% [markdown]
# Both searches look at the same rows in the same order, and both come to take n² time as n grows (with few nodes most of
# it goes into the calls): on the graph a merge rewrites a row and a column of a matrix, without it takes a product with a
# few numbers a node, which is somewhat quicker. What the graph can't do is stay: at 20 000 nodes it is 3 GB, the features are 3 MB.
#
# The threshold $a$ says what "alike" means, and so how many clusters there are: nothing is free.

# %%
levels = np.linspace(0.0, 0.8, 9)
many = [greedy_multicut(x, a) for a in levels]
rand = [fug.rand_index(digits.labels[: len(x)], one.labels) for one in many]
with plot.style():
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2))
    axes[0].plot(levels, [int(one.labels.max()) + 1 for one in many], "-o")
    axes[0].axhline(10, color=plot.COLOURS[3], ls="--", lw=1.5)
    axes[0].set(xlabel="a", ylabel="clusters", yscale="log", title="Digits: clusters by threshold")
    axes[1].plot(levels, rand, "-o")
    axes[1].set(
        xlabel="a", ylabel="adjusted Rand index", title="and whether they are the digits",
        ylim=(0, 1),
    )  # fmt: skip
plt.show()

# %% [markdown]
# ## 4 · Features as paths
#
# **Infinite feature selection**: features are nodes; two are close when they vary a lot and are unlike each other
# ($A_{ij}$). A subset is a path. Sum the weights of *all* paths of *all* lengths from a feature:
#
# $$s = \sum_{l \ge 1} (rA)^l\,\mathbf 1 = \left((I - rA)^{-1} - I\right)\mathbf 1, \qquad r = 0.9/\rho(A).$$
#
# The released code divides $A$ by its largest row sum, and then takes $r$ as one over that row sum *again*. **Predict**
# how much of its score comes from paths of two steps or more.

# %%
from labkit.papers.spectral import inf_fs
from labkit.theory import feature_selection as selection

pixels = digits.images[digits.splits["train"]].flatten(1).double()
varied = pixels[:, pixels.std(0) > 0]
graph = selection.feature_graph(varied)
share = predict("Share of the released score from paths longer than one step?", guess=0.5)
lengths_ = range(1, 40)
reached = {}
for variant in ("paper", "released"):
    whole = selection.infinite_scores(graph, variant=variant).sum()
    reached[variant] = [
        (selection.truncated_scores(graph, n, variant=variant).sum() / whole).item()
        for n in lengths_
    ]

# %%
degree = graph.sum(1)
with plot.style():
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for variant, values in reached.items():
        axes[0].plot(lengths_, values, "o", ms=4, label=f"{variant}: series over closed form")
    axes[0].plot(lengths_, 1 - 0.9 ** np.array(lengths_), color=plot.FLOOR, label="1 − 0.9^l")
    axes[0].set(
        xlabel="longest path l", ylabel="share of the score", title="Which paths count",
        ylim=(0, 1.05),
    )  # fmt: skip
    axes[0].legend()
    for variant, marker in (("paper", "o"), ("released", "x")):
        ranked = selection.infinite_scores(graph, variant=variant)
        axes[1].plot(degree.argsort().argsort(), ranked.argsort().argsort(), marker, label=variant)
    axes[1].set(
        xlabel="rank by degree", ylabel="rank by score", title=f"{len(degree)} pixels of digits"
    )
    axes[1].legend()
plt.show()
long_paths = {variant: selection.path_share(graph, variant=variant) for variant in reached}
share.reveal(long_paths["released"])

# %% [markdown]
# The released code ranks by degree, exactly. But look at the circles: the paper's own formula hardly ranks differently.
# On a dense graph of similar weights, long paths know little that the degree does not. Does any of it *select*?

# %%
from labkit.evaluate import Protocol, Split

protocol, split = Protocol.public("knn", k=5), Split.public(digits)
every = digits.images.flatten(1).float()
KEPT = (2, 4, 8, 16, 32, 60)
scores = {}
for by in inf_fs.RANKINGS:
    seeds = range(5 if by == "random" and not SMOKE else 1)
    orders = [inf_fs.ranking(pixels, by, seed=seed) for seed in seeds]
    scores[by] = [
        100 * np.mean([protocol.score(every[:, o[:k]], digits.labels, split).mean for o in orders])
        for k in KEPT
    ]
with plot.style():
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), width_ratios=(1.6, 1))
    for position, (by, row) in enumerate(scores.items()):
        style = "--" if by == "random" else "-"
        axes[0].plot(KEPT, row, style, marker=plot.MARKERS[position], label=by)
    axes[0].set(
        xlabel="pixels kept", ylabel="accuracy of 5 neighbours (%)", xscale="log", xticks=KEPT,
        xticklabels=KEPT,
    )  # fmt: skip
    axes[0].minorticks_off()
    axes[0].set_title("Which pixels to keep")
    axes[0].legend()
    place = torch.zeros(64)
    place[inf_fs.ranking(pixels, "paper")[:16]] = 1
    axes[1].imshow(digits.images[:, 0].double().mean(0), cmap="gray")
    row, column = np.nonzero(place.view(8, 8).numpy())
    axes[1].scatter(column, row, s=130, facecolors="none", edgecolors=plot.COLOURS[1], linewidths=2)
    axes[1].set(title="The best 16, on the mean digit", xticks=[], yticks=[])
    axes[1].grid(False)
plt.show()

# %% [markdown]
# Far better than chance, and hardly better than taking the pixels that vary most: on this data the graph adds little.
# That is what a control is for.
#
# ## 5 · Your turn
#
# **Exercise 1** (easy, 3 min). Four orthogonal classes of rank 5 in 20 dimensions, ε² = 0.5. What is their rate
# reduction?
#
# <details><summary>Hint</summary>Section 1's closed form is <code>rates.orthogonal_rate_reduction</code>; or take two
# log-determinants of multiples of the identity.</details>
# <details><summary>Solution</summary><code>saved = rates.orthogonal_rate_reduction(4, 5, 20, 0.5)</code>, 5.49.</details>

# %%
saved = rates.orthogonal_rate_reduction(4, 5, 20, 0.5)  # your answer here
by_hand = 10 * np.log(1 + 20 / (20 * 0.5)) - 2.5 * np.log(1 + 20 / (5 * 0.5))
check(
    "rate reduction (nats)", saved, by_hand - 0.01, by_hand + 0.01,
    hint="½kr·log(1 + d/(krε²)) for the whole, less ½r·log(1 + d/(rε²)) for the parts",
)  # fmt: skip

# %% [markdown]
# **Exercise 2** (medium, 10 min). Multicut on *negative* weights only: which `a` leaves all points of the planted set
# apart? Give one below 1.
#
# <details><summary>Hint</summary>No two points may have a larger inner product than a.</details>
# <details><summary>Solution</summary>
# <code>a = (features @ features.T).fill_diagonal_(-1).max().item()</code></details>

# %%
a = (features @ features.T).fill_diagonal_(-1).max().item()  # your answer here
apart = a if a is ... else int(greedy_multicut(features, float(a)).labels.max()) + 1
check("clusters", apart, 150, 150, hint="the largest inner product of a pair")
check("a, below 1", a, -1, 1 - 1e-9, hint="the points are unit vectors: 1 is never exceeded")

# %% [markdown]
# **Exercise 3** (medium, 5 min). In the paper's form of Inf-FS, which share of the score comes from paths longer than
# five steps? Answer with one power, then compare with the circles of section 4.
#
# <details><summary>Hint</summary>If all ones were an eigenvector of A, each step would multiply it by r·ρ(A).</details>
# <details><summary>Solution</summary><code>beyond = 0.9**5</code>, 0.59. On a dense graph of similar weights, all ones
# nearly is that eigenvector: which is why the ranking is nearly that of the degree.</details>

# %%
beyond = 0.9**5  # your answer here
truth = 1 - reached["paper"][4]
check(
    "share of paths longer than five", beyond, truth - 0.03, truth + 0.03,
    hint="r = 0.9/ρ(A): a step is worth 0.9",
)  # fmt: skip

# %% [markdown]
# ## 6 · The claims, as this suite found them

# %%
for paper in ("rate_reduction", "multicut", "inf_fs"):
    labkit.claims.show(paper)

# %%
beside_paper(
    ("rate reduction, 12 orthogonal classes (nats)", f"{line[-1]:.6f}", f"{orthogonal[-1]:.6f}",
     "rounding"),
    ("the number of clusters by coding length", "the number of classes (section 3.3)",
     f"{found} for 6 subspaces, {digit_number} for 10 digits",
     "pixels of digits are no union of subspaces; the paper takes CLIP's features and trains "
     "them for this objective"),
    ("rows of the membership, distance to 1", "0; the code stops after five half steps",
     f"{(pi.sum(dim=1) - 1).abs().max():.0e}", "scaled until rows and columns add up"),
    ("clusters without the graph against those on it (adjusted Rand)", "the same", agreement,
     "exact bounds on the best partner; the released code asks a nearest-neighbour index"),
    ("share of the Inf-FS score from paths of two steps and more",
     f"{long_paths['paper']:.2f} by the formula",
     f"{long_paths['released']:.3f} in the released code", "it divides by the row sum twice"),
)  # fmt: skip

# %%
score()

# %% [markdown]
# **What this does not show.** CPP trains a network on CLIP's features before it counts clusters, and ClusterFuG segments
# street scenes; neither is here, only the computation underneath. Greedy multicut is no optimum. CPP's ε² is 0.5 by
# default in its code and 0.1 wherever the flag is ignored; what it finds depends on it, as section 2 shows.
#
# **References.** Ma et al. 2007, *Segmentation of multivariate mixed data via lossy coding* · Yu et al. 2020, *MCR²* · Chu
# et al. 2024 · Abbas & Swoboda 2023 · Roffo et al. 2015, 2020.
