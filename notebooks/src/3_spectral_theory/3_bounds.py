# %% [markdown]
# # Bounds you can violate or not: what a contrastive loss promises
#
# **The question.** An encoder was trained without labels. Its loss is low. Does that *promise* anything to somebody who
# will classify with it? And why does everyone want many negatives, if some of them are no negatives at all?
#
# <!-- measured -->
#
# At the end you can say
# - what a latent class is, and why a pair of augmented views is not one;
# - why the loss can't reach zero, and how much of it nobody can get rid of;
# - what the bound gives away, and where it is exact;
# - whether one more negative can be one too many, and how not to be fooled by the length of vectors.
#
# Arora, Khandeparkar, Khodak, Plevrakis and Saunshi 2019, [A Theoretical Analysis of Contrastive Unsupervised
# Representation Learning](https://arxiv.org/abs/1902.09229). Needs no download.

# %% tags=["parameters"]
import os

import numpy as np
import torch
from matplotlib import pyplot as plt
from tqdm.auto import tqdm

import labkit
from labkit import plot
from labkit.papers.spectral import arora
from labkit.teach import beside_paper, check, predict, score
from labkit.theory import bounds

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
SEEDS = range(1 if SMOKE else 3)
epochs = 2 if SMOKE else 60
digits = labkit.data.load("digits")

# %% [markdown]
# ## 1 · Latent classes
#
# The story of the paper: nature draws a class $c$ with probability $\rho_c$, then an item $x$ and a similar one $x^+$ from
# that class. A negative $x^-$ comes from a class drawn anew. So with probability
#
# $$\tau = \sum_c \rho_c^2$$
#
# the negative is of the *same* class, and the loss pushes apart what belongs together: a **class collision**. With $k$
# negatives, $\tau_k = 1 - \sum_c \rho_c (1 - \rho_c)^k$.

# %%
guess = predict(
    "Ten equally likely classes, 32 negatives. How often is at least one of them no negative?",
    guess=0.5,
)

# %%
negatives = 2 ** np.arange(0, 10)
with plot.style():
    figure, axis = plt.subplots(figsize=(6.4, 3.6))
    for position, classes in enumerate((2, 10, 100, 1000)):
        rho = torch.full((classes,), 1 / classes)
        line = [bounds.collision_probability(rho, int(k)) for k in negatives]
        axis.plot(
            negatives, line, color=plot.COLOURS[position],
            label=f"{classes} classes, by the formula",
        )  # fmt: skip
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(classes, (2000, 1 + 512), generator=generator)
        seen = [(drawn[:, 1 : 1 + k] == drawn[:, :1]).any(1).double().mean() for k in negatives]
        axis.plot(negatives, seen, "o", color=plot.COLOURS[position], ms=5)
    axis.set(
        xscale="log", xlabel="negatives k", ylabel="probability of a collision",
        title="Lines: τ. Points: 2 000 draws",
    )  # fmt: skip
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
guess.reveal(bounds.collision_probability(torch.full((10,), 0.1), 32))
ten = torch.randint(10, (20_000, 33), generator=generator)
drawn_tau = (ten[:, 1:] == ten[:, :1]).any(1).double().mean().item()
check("collisions in 20 000 draws of 32 negatives", drawn_tau, 0.96, 0.972, paper=1 - 0.9**32)

# %% [markdown]
# ## 2 · Both sides of the bound
#
# The loss of a triple is $\ell(f(x)\cdot(f(x^+) - f(x^-)))$ with $\ell(v) = \log_2(1 + e^{-v})$: one bit at $v = 0$. The
# classifier that gets no training at all is the **mean classifier**: its weight for class $c$ is the mean of $f$ over
# that class. The bound says, for *every* $f$,
#
# $$L^\mu_{sup}(f) \le \frac{L_{un}(f) - \tau}{1 - \tau}.$$
#
# The whole proof is Jensen's inequality: averaging $f(x^+) - f(x^-)$ inside a convex $\ell$ only lowers the loss, and
# the average *is* the difference of two class means. Where the two classes are the same, the margin's mean is 0, and
# $\ell(0) = 1$: that is the $\tau$.
#
# With finitely many points everything can be summed: no sampling, no error bars.


# %%
def both_sides(z, y):
    rho = y.bincount().double() / len(y)
    tau = (rho**2).sum()
    loss = bounds.contrastive_losses(z, y).total  # over every triple
    return ((loss - tau) / (1 - tau)).item(), bounds.mean_classifier_loss(z, y)


centres = torch.tensor([[2.0, 0], [-1, 1.7], [-1, -1.7]]).double()
y = torch.arange(3).repeat_interleave(20)
z = centres[y] + 0.8 * torch.randn(
    60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
)
print("bound {:.3f}, loss of the mean classifier {:.3f} bits".format(*both_sides(z, y)))

# %% [markdown]
# ## 3 · Try to violate it
#
# Pixels of digits, random encoders, encoders trained with 1 and with 4 negatives, each at five lengths: the loss isn't
# normalised, so that length matters. One point each, in the plane of the two sides. A violation would lie below the
# line.

# %%
rows = arora.some_of_each(digits, each=6 if SMOKE else 24)
labels = digits.labels[rows]
pixels = digits.images[rows].flatten(1).double() / 255
representations = {
    "pixels": [pixels], "random encoders": [], "trained, k = 1": [], "trained, k = 4": [],
}  # fmt: skip
for seed in SEEDS:
    for recipe, name in ((arora.ONE, "trained, k = 1"), (arora.FOUR, "trained, k = 4")):
        with labkit.train.seeded(seed):
            method = recipe.build(digits)
        run = labkit.fit(
            method, recipe.batches(digits), epochs=epochs, lr=1e-2, seed=seed, progress=False
        )
        representations[name].append(method.embed(digits.images[rows]))
    mixing = torch.randn(64, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    representations["random encoders"].append(pixels @ mixing / 8)
run

# %%
closest = predict(
    "Of all these, how small is the smallest bound ÷ loss?", guess=1.5, low=0.5, high=5
)

# %%
from matplotlib.ticker import ScalarFormatter

points = {
    name: np.array(
        [both_sides(scale * z, labels) for z in several for scale in (0.25, 0.5, 1, 2, 4)]
    )
    for name, several in representations.items()
}
with plot.style():
    figure, axis = plt.subplots(figsize=(6.8, 4.4))
    axis.plot([0.03, 20], [0.03, 20], color=plot.FLOOR, label="equality")
    for position, (name, sides) in enumerate(points.items()):
        axis.plot(
            sides[:, 1], sides[:, 0], plot.MARKERS[position], color=plot.COLOURS[position],
            label=name,
        )  # fmt: skip
    axis.set(
        xscale="log", yscale="log", xlabel="loss of the mean classifier (bits)",
        ylabel="bound (bits)", title="No representation lies below the line",
    )  # fmt: skip
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_formatter(ScalarFormatter())
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
every = np.concatenate(list(points.values()))
closest.reveal((every[:, 0] / every[:, 1]).min())
violations = int((every[:, 0] < every[:, 1] * (1 - 1e-9)).sum())
check(f"violations among {len(every)} representations", violations, 0, 0, paper=0)

# %% [markdown]
# Equality is easy to get: short vectors say nothing, and cost one bit on both sides. What one wants is the lower left:
# there the bound is loose.
#
# ## 4 · What the bound gives away
#
# Jensen loses what varies. Take the trained encoder and pull every point towards its class mean: a share $s$ of the
# spread is left. **Predict** the bound's slack at $s = 0$.

# %%
slack = predict("Bound less loss when every digit sits on the mean of its class (bits)?", guess=0.1)
z = representations["trained, k = 4"][0].double()
mean = bounds.mean_classifier(z, labels)[labels]
shares = np.linspace(0, 1.5, 7)
curves = np.array([both_sides(mean + s * (z - mean), labels) for s in shares])
naive = [bounds.contrastive_losses(mean + s * (z - mean), labels).total - 0.1 for s in shares]

# %%
with plot.style():
    figure, axis = plt.subplots(figsize=(6.4, 3.6))
    axis.plot(shares, curves[:, 0], "-o", label="bound (L − τ)/(1 − τ)")
    axis.plot(shares, naive, "--", label="L − τ, undivided")
    axis.plot(shares, curves[:, 1], "-s", label="loss of the mean classifier")
    axis.set(
        xlabel="share of the spread within classes", ylabel="bits", title="The slack is the spread",
        ylim=(0, None),
    )  # fmt: skip
    axis.legend()
plt.show()
slack.reveal(abs(round(curves[0, 0] - curves[0, 1], 6)))
check("bound ÷ loss without spread", curves[0, 0] / curves[0, 1], 0.999, 1.001, paper=1)
print(f"undivided, at no spread: {naive[0]:.4f} < {curves[0, 1]:.4f}: ", end="")
print("without 1/(1 − τ) it is no bound")

# %% [markdown]
# Without spread it is an equality. That is also the paper's second bound: the price of collisions is a constant times
# $s(f)$, the spread within classes, so that collisions are harmless where classes are tight.

# %%
for s in (0.0, 0.5, 1.0):
    losses = bounds.contrastive_losses(mean + s * (z - mean), labels)
    spread = bounds.intraclass_deviation(mean + s * (z - mean), labels)
    print(
        f"spread × {s}: loss on collisions {losses.same:.3f} bits (1 at least), s(f) = {spread:.2f}"
    )

# %% [markdown]
# ## 5 · Class collision, by hand
#
# Drag the classes and the negatives. The line is the bound for k negatives; the green points are what a mean classifier
# loses on the same tasks. Where nearly every draw collides, the bound leaves the picture. (A reader without a kernel
# sees one setting.)

# %%
labkit.explore.class_collision_lab()

# %%
labkit.explore.class_collision_lab().set(classes=3, negatives=4)

# %% [markdown]
# ## 6 · How many negatives?
#
# Now train: linear encoders into four dimensions, positives from the same digit. The classifier has the class means of
# *training* images and is tried on test images. Nothing normalises these vectors, and the longer they are, the less a
# classifier that is mostly right loses: so all encoders are scaled to one mean length first. **Predict**: with five
# classes and 64 negatives, hardly any draw is free of a collision. Against one negative, is the loss higher or lower?
# (Ratio of the two.)

# %%
ratio = predict("Loss with 64 negatives ÷ loss with one, five classes?", guess=1.0, low=0, high=3)
COUNTS = (1, 16) if SMOKE else (1, 4, 16, 64)
found, lengths = {}, {}
for classes in (5, 10):
    seen = digits.images[arora.first_classes(digits, classes)]
    for k in tqdm(COUNTS, leave=False):
        recipe = arora.recipe_for(classes, k)
        for seed in SEEDS:
            with labkit.train.seeded(seed):
                method = recipe.build(digits)
            labkit.fit(
                method, recipe.batches(digits), epochs=epochs, lr=1e-2, seed=seed, progress=False
            )
            found.setdefault((classes, k), []).append(
                arora.mean_classifier_on_test(method, digits, classes)
            )
            lengths.setdefault((classes, k), []).append(method.embed(seen).norm(dim=1).mean())

# %%
with plot.style():
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for classes, color in ((5, plot.COLOURS[0]), (10, plot.COLOURS[1])):
        several = np.array([found[classes, k] for k in COUNTS])
        for axis, which, scale in ((axes[0], 0, 1), (axes[1], 1, 100)):
            values = scale * several[:, :, which]
            axis.errorbar(COUNTS, values.mean(1), values.std(1), color=color, marker="o", capsize=3,
                          label=f"{classes} classes")  # fmt: skip
    axes[0].set(
        ylabel="mean classifier's loss (bits)",
        title="The loss that the theory is about, at one length",
        ylim=(0, None),
    )
    axes[1].set(ylabel="mean classifier's accuracy (%)", title="The same, counted", ylim=(60, 101))
    for axis in axes:
        axis.set(xscale="log", xlabel="negatives k", xticks=COUNTS, xticklabels=COUNTS)
        axis.legend()
plt.show()
(many_loss, many_right), (one_loss, one_right) = (np.mean(found[5, k], 0) for k in (COUNTS[-1], 1))
ratio.reveal(many_loss / one_loss)
own = [np.mean(lengths[5, k]) for k in (1, COUNTS[-1])]
lengths_said = f"{own[0]:.2f} after 1, {own[1]:.2f} after {COUNTS[-1]}"
print(f"five classes, mean ‖f(x)‖ before scaling: {lengths_said}")
print(f"± is the standard deviation over {len(SEEDS)} seeds")

# %% [markdown]
# At one length 64 negatives do no worse than one, neither in the loss nor in the accuracy: where a collision is nearly
# certain it pulls at all classes alike, and what it changes is the length. Had the loss been taken of the vectors as they
# are, the shorter ones would have lost, and the collisions had the blame. The theory warns of something that may happen;
# it can't tell you that it does. In practice the "classes" of SimCLR are single images: τ is
# one over the size of the data set, and collisions in the sense of *this* theory do not happen at all. What happens is
# that images of one class are pushed apart, which the story above has no word for.
#
# ## 7 · Your turn
#
# **Exercise 1** (easy, 2 min). Four equally likely classes, three negatives. How often is none of them of the item's
# class?
#
# <details><summary>Hint</summary>Each of them misses it with probability 3/4.</details>
# <details><summary>Solution</summary><code>free = (3 / 4) ** 3</code>, 0.42.</details>

# %%
free = (3 / 4) ** 3  # your answer here
check("draws without collision", free, 0.417, 0.427, hint="1 − τ₃: three misses in a row")

# %% [markdown]
# **Exercise 2** (medium, 5 min). A loss of 1.2 bits with ten classes and one negative: what can the mean classifier's
# loss be at most? Is a loss of 1.2 bits any use? (Random guessing between two classes costs 1 bit.)
#
# <details><summary>Hint</summary><code>bounds.supervised_bound</code></details>
# <details><summary>Solution</summary>
# <code>most = bounds.supervised_bound(1.2, torch.full((10,), 0.1))</code>, 1.22: worse than guessing, the bound is
# vacuous. It says something below L = 1 only.</details>

# %%
most = bounds.supervised_bound(1.2, torch.full((10,), 0.1))  # your answer here
check("bound at a loss of 1.2 bits", most, 1.22, 1.223, hint="(L − τ)/(1 − τ), and τ is a tenth")

# %% [markdown]
# **Exercise 3** (hard, 10 min). Nobody gets rid of τ. Which probabilities of four classes make the part of the loss that no
# encoder can remove smallest, and how large is τ then?
#
# <details><summary>Hint</summary>With two classes τ = p² + (1 − p)²: where is that flat?</details>
# <details><summary>Solution</summary><code>least_tau = 0.25</code>: balanced classes collide least, and with four of them
# one negative in four is none. With C balanced classes it is 1/C.</details>

# %%
least_tau = 0.25  # your answer here
shares = np.random.default_rng(0).dirichlet(np.ones(4), 2000)  # of four classes, drawn evenly
every_tau = [bounds.collision_probability(torch.tensor(p), 1) for p in [np.full(4, 0.25), *shares]]
check("least τ of four classes", least_tau, min(every_tau) - 1e-3, min(every_tau) + 1e-3,
      hint="the sum of the squared probabilities: where is it flat?")  # fmt: skip

# %% [markdown]
# ## 8 · The claims, as this suite found them
#
# `labkit claims verify arora` runs them again.

# %%
labkit.claims.show("arora")

# %%
beside_paper(
    ("collisions with 32 negatives, ten classes", f"1 − 0.9³² = {1 - 0.9**32:.3f}",
     f"{drawn_tau:.3f}", "20 000 draws"),
    ("representations that violate the bound (lemma 4.3)", "0", f"{violations} of {len(every)}",
     "none: both sides are summed over every triple, so that even the last digit has to obey"),
    (f"mean classifier's loss, {COUNTS[-1]} negatives against 1, five classes (section 6.1)",
     "more negatives can hurt", f"{many_loss:.3f} against {one_loss:.3f} bits",
     "linear encoders 64 → 4 on digits, at one length; the paper: GRUs on Wiki-3029, VGG-16 on "
     "CIFAR-100"),
    ("its accuracy, the same two", "not monotone in the negatives when many collide",
     f"{100 * many_right:.1f} against {100 * one_right:.1f} %",
     "five digits are nearly separable by four linear features, whatever the negatives"),
)  # fmt: skip

# %%
score()

# %% [markdown]
# **What this does not show.** The bound for finite samples adds a generalisation term with a Rademacher complexity; it
# was not computed here: the sums above are over the points themselves. Positives were drawn with the help of labels, as
# the theory has it. The encoders are linear, with four outputs, on 1 257 images; for more than one negative the paper's
# expectations are sampled here too.
#
# **References.** Arora et al. 2019, *A Theoretical Analysis of Contrastive Unsupervised Representation Learning* ·
# Logeswaran & Lee 2018, *An efficient framework for learning sentence representations* · Ash et al. 2022,
# *Investigating the Role of Negatives in Contrastive Representation Learning*.
