# %% [markdown]
# # Augmentation makes a kernel
#
# **The question.** Before a network is chosen, before a loss is written down, the augmentation has already decided which
# functions of an image can be learnt from unlabelled data. Which ones are they, how many labels will they need, and does
# a single number tell a good augmentation from a bad one?
#
# <!-- measured -->
#
# At the end you can say
# - how an augmentation weaves a graph between images, and what its eigenvectors are good for;
# - what κ² is, and compute it for any mask by hand;
# - where the best mask share comes from, and why κ² alone does not find it;
# - what three further losses (spectral contrastive, VICReg, linear InfoNCE) make of the same spectrum.
#
# Zhai et al. 2024, [RKHS view of augmentation](https://arxiv.org/abs/2306.00788) · HaoChen et al. 2021,
# [spectral contrastive loss](https://arxiv.org/abs/2106.04156) · Balestriero and LeCun 2022,
# [local and global spectral embedding](https://arxiv.org/abs/2205.11508) · Jing et al. 2022,
# [dimensional collapse](https://arxiv.org/abs/2110.09348). Needs no download.

# %% tags=["parameters"]
import os

import numpy as np
import torch
from matplotlib import pyplot as plt

import labkit
from labkit import explore, plot
from labkit.teach import beside_paper, check, predict, score
from labkit.theory import augmentation, factorisation, spectral

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
ITEMS = 60 if SMOKE else 250

# %% [markdown]
# ## 1 · From views to a graph
#
# Two images are linked as far as their views can coincide: $A_{ij} = \int p(a|x_i)\, p(a|x_j)\, da$. With nine windows of each image
# and Gaussian noise on every pixel this integral is a mean of 81 exponentials, no sampling needed.

# %%
digits = labkit.data.load("digits")
images, labels = digits.images[:ITEMS], digits.labels[:ITEMS]
views = labkit.views.window_grid(images, shift=0.5)
drawn = views[:, :3] + 0.5 * torch.randn(
    views[:, :3].shape, generator=torch.Generator().manual_seed(0)
)
plot.image_grid(
    torch.cat([views[:, :3], drawn], dim=1).transpose(0, 1).flatten(0, 1).clamp(0, 1),
    columns=9,
    scale=0.7,
)
plt.show()
graph = augmentation.overlap_graph(views.flatten(2).double(), noise=0.5)

# %% [markdown]
# Above: nine windows of three digits; below, the same with the noise (standard deviation 0.5) that augmentation adds.
# No label was used. **Predict**: take the ten leading eigenvectors of this graph as an embedding. How often is an
# image's nearest neighbour the same digit (chance: 0.10)?

# %%
neighbour_guess = predict("Nearest neighbour of the same digit, nothing trained?", guess=0.6)

# %%
values, z = explore.graph_embedding(graph, dim=10)


def same_digit(points):
    nearest = torch.cdist(points, points).fill_diagonal_(torch.inf).argmin(dim=1)
    return float((labels[nearest] == labels).float().mean())


neighbour_guess.reveal(same_digit(z))
print(f"in pixels: {same_digit(images.flatten(1).double()):.3f}")
plot.scatter(
    z[:, :2], labels, axis_names=("eigenvector 2", "eigenvector 3"),
    title="The graph of an augmentation",
)  # fmt: skip
plt.show()

# %% [markdown]
# Beware of the comparison with pixels: on these centred digits they are hard to beat. What the graph gives is 10 numbers
# for 64 pixels.
#
# **Drag it.** With little noise hardly any views overlap: all eigenvalues near 1, and the leading eigenvectors single
# out whatever is loosely tied. With much noise everything is linked to everything, and one eigenvalue is left.

# %%
explore.augmentation_lab(digits.images[:200], digits.labels[:200])

# %% [markdown]
# ## 2 · The loss that factorises this graph
#
# HaoChen et al.: $-2\, E[f \cdot f^+] + E[(f \cdot f^-)^2]$ equals $\|\bar A - F F^\top\|^2$ less a constant, so that its minimum in d dimensions is
# $-\sum_{i \le d} \lambda_i^2$. The line is that formula; the points are gradient descent on the loss. The second panel is their
# guarantee, with constants worked out here: a linear probe on d dimensions misses at most $\varphi / (1 - \lambda_{d+1})$ of the
# labels, φ the share of links that join two digits. **Predict** how tight that is at d = 10.

# %%
tight_guess = predict(
    "What a probe on 10 dimensions really misses, as a share of the bound?", guess=0.8
)

# %%
from labkit.papers.spectral import spectral_contrastive

dims = [1, 2, 4, 7, 10, 15, 20, 30]
least = [float(factorisation.spectral_contrastive_minimum(graph, d)[0]) for d in dims]
reached = []
for d in dims:
    f = 0.5 * torch.randn(ITEMS, d, dtype=torch.float64, generator=torch.Generator().manual_seed(d))
    f = spectral_contrastive.descend(graph, f, steps=50 if SMOKE else 1500)
    reached.append(float(factorisation.spectral_contrastive(graph, f)))
missed, bound = np.array(
    [[float(v) for v in factorisation.probe_residual(graph, labels, d)] for d in dims]
).T
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    left.plot(dims, least, label="−Σ λ²")
    left.plot(dims, reached, "o", color=plot.COLOURS[1], label="gradient descent")
    left.set(
        xlabel="dimensions d", ylabel="spectral contrastive loss", title="The minimum is known"
    )
    left.legend()
    right.plot(dims, bound, label="bound")
    right.plot(dims, missed, "o", color=plot.COLOURS[1], label="probe")
    right.set(
        xlabel="dimensions d", ylabel="labels missed (squared error)", ylim=(0, 1.4),
        title="The bound holds",
    )  # fmt: skip
    right.legend()
plt.show()
ten = dims.index(10)
tight_guess.reveal(missed[ten] / bound[ten])

# %% [markdown]
# The bound is true everywhere and says little here: half of the links join two digits. It becomes useful where an
# augmentation hardly ever crosses classes.
#
# ## 3 · How complex is an augmentation?
#
# Zhai et al. measure it by $\kappa^2 = \max_x K(x, x)$, $K(x, x') = \sum_a p(a|x)\, p(a|x') / p(a)$, the sum of all eigenvalues where
# it is the same for all x. Take six tokens that are ±1 and mask a share α of them. All inputs and all masks can be
# listed; the formulas are one line each. **Predict** κ² at α = ½ for random masks: it lies between 1 and 2⁶ = 64.

# %%
kappa_guess = predict("κ² of six tokens, each masked with probability ½?", guess=20, low=1, high=64)

# %%
from labkit.papers.spectral.augmentation_kernel import enumerated_masks

shares = np.linspace(0, 1, 101)
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    for kind, colour in zip(augmentation.FAMILIES, plot.COLOURS, strict=False):
        listed = np.arange(7) / 6
        measured = [augmentation.complexity(enumerated_masks(kind, 6, share)) for share in listed]
        left.semilogy(
            shares, [augmentation.masking_complexity(kind, 6, s) for s in shares], color=colour,
            label=kind,
        )  # fmt: skip
        left.semilogy(listed, measured, "o", color=colour)
    found = augmentation.spectrum(enumerated_masks("random", 6, 0.4))[0]
    formula, joined = augmentation.masking_spectrum("random", 6, 0.4)
    right.step(range(1, 65), formula, where="mid", label="(1 − α)^|S|")
    right.plot(range(1, 65), found, ".", color=plot.COLOURS[1], label="enumerated")
    left.set(xlabel="mask share α", ylabel="κ²", title="Lines: formulas. Points: all inputs.")
    right.set(xlabel="eigenvalue", ylabel="λ", title="Random masks, α = 0.4")
    left.legend(loc="lower left")
    right.legend()
plt.show()
kappa_guess.reveal(augmentation.masking_complexity("random", 6, 0.5))
kappa = augmentation.complexity(enumerated_masks("random", 6, 0.5))
check("κ² of random masks at ½, all inputs listed", kappa, 11.3906, 11.3907, paper=(2 - 0.5) ** 6)

# %% [markdown]
# (1 + ½)⁶: each token contributes a factor 2 − α. Blocks hide whole tokens: their lines are stairs. And the eigenfunctions of *every* mask are products of tokens: masking
# ranks functions by how many tokens they join. A product of three survives only if all three are seen.
#
# ## 4 · The best mask share
#
# A small κ² means few labels. So mask everything? No: what the target needs must survive too. The bound has both: it
# goes as $\kappa \|f^*\| / \sqrt n$ with $\|f^*\|^2 = \sum_i v_i^2 / \lambda_i$. For a target that joins d of m tokens and random masks that is
# $(2 - \alpha)^{m/2} (1 - \alpha)^{-d/2} / \sqrt n$. **Predict** the best share for m = 10, d = 3, if you believe the bound.

# %%
share_guess = predict("Best mask share of ten tokens for a target that joins three?", guess=0.15)

# %% [markdown]
# The derivative of the bound's logarithm is zero at **α = (m − 2d)/(m − d)**. Now without a bound. The expected error of
# ridge regression on a kernel with a known spectrum is known too (the *eigenlearning* equations), and can be measured:
# draw 100 noisy labels, fit, repeat.

# %%
from labkit.papers.spectral.augmentation_kernel import token_errors

tried = torch.tensor([0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9])
with plot.style():
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True)
    for degree, axis in zip((1, 2, 3), axes, strict=True):
        theory = explore.risk_over_shares("random", 10, degree, 100)
        errors = torch.stack(
            [token_errors(tried, degree=degree, seed=seed) for seed in range(2 if SMOKE else 10)]
        )
        axis.plot(theory["share"], theory["bias"] + theory["variance"], label="predicted error")
        axis.errorbar(
            tried, errors.mean(0), errors.std(0), fmt="o", color=plot.COLOURS[1], capsize=3,
            label="measured",
        )  # fmt: skip
        best = (10 - 2 * degree) / (10 - degree)
        axis.axvline(best, color=plot.COLOURS[2], ls="--", lw=1.5, label="least bound")
        axis.set(xlabel="mask share α", title=f"target joins {degree} of 10", ylim=(0, 1.6))
    axes[0].set_ylabel("squared error")
    axes[0].legend()
plt.show()
share_guess.reveal(best)  # of the last panel: three of ten

# %% [markdown]
# The prediction is a line through the points, and the bound's best share is near the error's where the target is hard,
# three tokens of ten. Of one or two, 100 labels learn every function that so few tokens make, and extreme masking, which
# leaves nothing but these, does no harm. The bound does not know how many labels there are: it asks for fewer masks the
# more tokens a target joins. A mask share is a statement about the task. In the lab, blocks
# of half the tokens show a peak: there as many eigenvalues are left as there are labels.

# %%
explore.masking_lab()

# %% [markdown]
# ## 5 · Real digits
#
# Fifteen maskings of 8 × 8 digits: three families, five shares. The encoder is the top-16 eigenspace of the augmentation
# operator among functions of 256 random features (an eigenproblem, 0.1 s), the probe has 100 labels. κ² is that of 64
# uniform tokens. **Predict** the rank correlation between κ² and the probe's error: +1 is what "small κ² is good" says.

# %%
order_guess = predict("Spearman correlation of κ² and error?", guess=0.7, low=-1, high=1)

# %%
from labkit.papers.spectral.augmentation_kernel import digit_maskings, rank_correlation

small = {"labels": 50, "items": 200, "features": 48, "views": 2} if SMOKE else {}
found = [digit_maskings(seed, **small) for seed in range(1 if SMOKE else 3)]
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    for place, kind in enumerate(augmentation.FAMILIES):
        rows = [one[kind, share] for one in found for share in (0.1, 0.25, 0.5, 0.75, 0.9)]
        for axis, of in ((left, "accuracy"), (right, "gap")):
            axis.plot(
                [row["log2_complexity"] for row in rows], [100 * row[of] for row in rows],
                plot.MARKERS[place], color=plot.COLOURS[place], ms=5, label=kind,
            )  # fmt: skip
    none = 100 * np.mean([one["none", 0.0]["accuracy"] for one in found])
    left.axhline(none, color=plot.FLOOR, ls="--", lw=1.3, label="no mask")
    left.set(
        xlabel="log₂ κ²", ylabel="test accuracy (%)", title="Smaller κ² is not better here ..."
    )
    right.set(
        xlabel="log₂ κ²",
        ylabel="train − test accuracy (points)",
        title="... nor closer to training",
    )
    left.legend(loc="lower right")
plt.show()
order = -np.mean([rank_correlation(one, "accuracy") for one in found])
order_guess.reveal(order)

# %% [markdown]
# The opposite of what κ² alone would say, and no contradiction to theory: κ² is one factor, the target's norm under the
# kernel the other. A block with flips has a tiny κ² because it destroys digits. Accuracy falls in κ²'s *wrong* direction
# wherever what is destroyed was needed.
#
# ## 6 · The same spectrum, other losses
#
# **VICReg** with squared variances, on a free embedding, is Laplacian eigenmaps: mode k ends with variance
# $\max(0, 1 - \mathrm{weight} \cdot \lambda_k)$ (Balestriero and LeCun). **Linear InfoNCE** leaves an augmented direction at
# ‖w‖² = τγ/σ² (the toy of Jing et al.): lower, not gone. Lines are formulas, points are training.

# %%
from labkit.papers.spectral import dimensional_collapse, local_global

weights, noises = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5], (0.25, 0.5, 1.0, 1.5, 2.0)
pi = spectral.planted_graph(40, 4, between=0.1, generator=torch.Generator().manual_seed(0))
start = torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
kept = []
for weight in weights:
    z = local_global.descend(pi, start, weight, steps=200 if SMOKE else 3000)
    kept.append(torch.linalg.svdvals(z - z.mean(dim=0)).square() / 40)
kept = torch.stack(kept)
toy = dimensional_collapse.train_toy(noises, (0, 1, 2), steps=100 if SMOKE else 6000)
size = toy.square().sum(dim=-2)[..., 8:].mean(dim=-1)
fine = torch.linspace(0.2, 2, 50)
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    grid = np.linspace(0, 1.5, 60)
    lines = np.array(
        [factorisation.laplacian_eigenmaps(pi, 5, weight)[2].numpy() for weight in grid]
    )
    left.plot(grid, lines, color=plot.COLOURS[0], lw=1.5)
    left.plot(weights, kept, "o", color=plot.COLOURS[1], ms=5)
    left.set(xlabel="weight of invariance", ylabel="variance of a mode", title="VICReg drops modes")
    right.plot(
        fine, factorisation.infonce_plateaus(torch.ones(50), fine.square(), 0.1), label="τγ/σ²"
    )
    right.plot(noises, size, "o", color=plot.COLOURS[1], ms=5)
    right.set(
        xlabel="noise of the augmentation",
        ylabel="‖w‖² of an augmented direction",
        title="InfoNCE shrinks them",
    )
    right.legend()
plt.show()

# %% [markdown]
# On the left three modes (the clusters) bend down late, the others early: a strong pull to invariance is a collapse of
# everything but the coarsest clusters. On the right the formula is for many negatives: in these
# batches of 128, whose positives stand among them, weights end higher where there is little noise.
#
# ## 7 · Your turn
#
# **Exercise 1** (easy, 5 min). Which share of 12 tokens must blocks mask so that κ² is 64?
#
# <details><summary>Hint</summary>Blocks of m tokens: κ² = 2<sup>(1−α)m</sup>.</details>
# <details><summary>Solution</summary>2<sup>(1−α)·12</sup> = 2⁶, so α = 0.5.</details>

# %%
alpha = 0.5  # your answer here
found = alpha if alpha is ... else augmentation.masking_complexity("block", 12, float(alpha))
check("κ²", found, 63.9, 64.1, hint="take the logarithm to base 2")

# %% [markdown]
# **Exercise 2** (medium, 10 min). An augmentation that replaces x by a random other input with probability q, and leaves
# it otherwise, on 8 inputs: p(a|x) is a matrix with 1 − q on the diagonal. At which q is κ² = 2?
#
# <details><summary>Hint</summary>All eigenvalues but the first are equal, and κ² is the sum of all.</details>
# <details><summary>Solution</summary><code>p = (1 − q − q/7)·I + (q/7)·1</code>; λ = (1 − 8q/7)², κ² = 1 + 7λ = 2, so
# q = (7/8)(1 − 7<sup>−½</sup>) = 0.544.</details>

# %%
q = 0.544  # your answer here


def replaced(q):
    return (1 - q - q / 7) * torch.eye(8, dtype=torch.float64) + q / 7


check("κ² of the replacement", q if q is ... else augmentation.complexity(replaced(q)), 1.97, 2.03,
      hint="the smaller q, the nearer κ² is to 8; at q = 7/8 it is 1")  # fmt: skip

# %% [markdown]
# **Exercise 3** (medium, 5 min). A target joins two of 12 tokens. Which mask share does the bound of section 4 like best?
# And could it like a share for a target that joins six?
#
# <details><summary>Hint</summary>Put m and d into section 4's formula. What does a share below 0 mean?</details>
# <details><summary>Solution</summary><code>liked = (12 - 2 * 2) / (12 - 2)</code>, 0.8. For d = 6 it is 0: from half of the
# tokens on, the bound wants no mask at all.</details>

# %%
liked = (12 - 2 * 2) / (12 - 2)  # your answer here
tokens = torch.linspace(0, 0.99, 1000, dtype=torch.float64)
least = float(tokens[((2 - tokens) ** 6 / (1 - tokens)).argmin()])
check(
    "best share for two of twelve tokens", liked, least - 2e-3, least + 2e-3,
    hint="m = 12 and d = 2",
)  # fmt: skip

# %% [markdown]
# ## 8 · The claims, as this suite found them

# %%
for paper in (
    "augmentation_kernel", "spectral_contrastive", "local_global", "dimensional_collapse",
):  # fmt: skip
    labkit.claims.show(paper)

# %%
apart = max(
    float((now - factorisation.laplacian_eigenmaps(pi, 5, w)[2]).abs().max())
    for now, w in zip(kept, weights)
)
beside_paper(
    ("κ² of six tokens, random masks, α = ½", "(2 − α)^m = 11.39", f"{kappa:.2f}",
     "none: all inputs and masks are listed"),
    ("κ² and the error of a probe", "smaller κ², fewer labels needed",
     f"rank correlation {order:+.2f}",
     "κ² is one factor; masks that make it small destroy the digits, and the target's norm, the "
     "other factor, grows"),
    ("a probe on 10 dimensions of the graph", "Õ(α/ρ²), constants unstated",
     f"misses {missed[ten]:.2f}, bound {bound[ten]:.2f}",
     "a bound φ/(1 − λ) of the same kind with its constants worked out; half of the links join two "
     "digits, so it is loose"),
    ("VICReg's variances", "max(0, 1 − weight·λ)", f"at most {apart:.0e} off",
     "descent that stops after finitely many steps"),
    ("‖w‖² of an augmented direction", "shrinks with the noise",
     f"{size[0].mean():.3f} at {noises[0]}, {size[-1].mean():.4f} at {noises[-1]}",
     "the released toy, with seeds and fewer steps; that it ends at τγ/σ² is ours"),
)  # fmt: skip

# %%
score()

# %% [markdown]
# **What this does not show.** Uniform tokens are not language, and 8 × 8 digits are not photographs. κ² of digits is that
# of uniform tokens; the true one needs the density of digits, which nobody has. The paper's generalisation bounds have
# constants that were not checked here: only the factor κ·‖f*‖/√n is.
#
# **References.** Zhai et al. 2024, *Understanding Augmentation-based Self-Supervised Representation Learning via RKHS
# Approximation and Regression* · HaoChen et al. 2021, *Provable Guarantees for Self-Supervised Deep Learning with
# Spectral Contrastive Loss* · Balestriero and LeCun 2022 · Jing et al. 2022 · Simon et al. 2023, *The Eigenlearning
# Framework* · Bartlett and Mendelson 2002, *Rademacher and Gaussian Complexities*.
