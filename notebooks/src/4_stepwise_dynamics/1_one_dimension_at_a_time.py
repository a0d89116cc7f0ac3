# %% [markdown] slideshow={"slide_type": "slide"}
# # One dimension at a time
#
# **The question.** Train an encoder on pairs of views, from small weights, and look at the loss: does it glide down, or
# does it fall in steps? And could you have said *when* each step comes, before the first one?
#
# <!-- measured -->
#
# At the end you can say
# - which matrix of the data decides what is learned first, and why it is not the covariance of the inputs;
# - when each dimension is learned, from a formula with one logarithm;
# - what a random start changes, and how small it has to be;
# - which of all perfect encoders training picks.
#
# Simon et al. 2023, [On the Stepwise Nature of Self-Supervised Learning](https://arxiv.org/abs/2303.15438).
# Needs no download.

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
import os

import torch
from matplotlib import pyplot as plt

import labkit
from labkit import plot
from labkit.teach import beside_paper, check, predict, score

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
D = 4 if SMOKE else 10  # dimensions of the embedding
SEEDS = range(2 if SMOKE else 5)
digits = labkit.data.load("digits")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 1 · Pairs
#
# 500 handwritten digits, each seen twice, moved by up to a pixel. What stays the same in a pair is what there is to
# learn.

# %%
from labkit.views import shift

generator = torch.Generator().manual_seed(0)
images = digits.images[digits.splits["train"][:500]].double() / 255
x, x2 = (shift(images, 1, generator).flatten(1) for _ in range(2))
plot.image_grid(torch.cat([x[:12], x2[:12]]).reshape(-1, 1, 8, 8), columns=12, scale=0.8)
plt.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# Two matrices, 64 × 64. **Σ**, the covariance of the pixels, says what varies. **Γ**, the covariance *across the two
# views*, says what varies and is the same in both (pictures with their mean taken off):
#
# $$\Gamma = \tfrac{1}{2n}\sum_i \big(x_i x_i'^\top + x_i' x_i^\top\big)$$
#
# Their eigenvectors are patterns of pixels ("modes").

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
from labkit.theory.modes import cross_covariance


def leading(matrix):
    value, vector = torch.linalg.eigh(matrix)
    return value.flip(0), vector.flip(1)


both = torch.cat([x, x2])
gamma, modes = leading(cross_covariance(x, x2))
sigma, axes = leading(cross_covariance(both, both))
with plot.style(axes__grid=False):
    figure, grid = plt.subplots(2, 8, figsize=(11, 3))
    for row, (name, vectors) in enumerate((("Γ", modes), ("Σ", axes))):
        for j, axis in enumerate(grid[row]):
            pattern = vectors[:, j].reshape(8, 8)
            axis.imshow(pattern, cmap="RdBu_r", vmin=-pattern.abs().max(), vmax=pattern.abs().max())
            axis.set(xticks=[], yticks=[])
        grid[row, 0].set_ylabel(name, rotation=0, labelpad=14, fontsize=16, va="center")
    figure.suptitle(
        "The eight leading modes: shared by the views (Γ), and of the pixels (Σ)", x=0.01, ha="left"
    )
plt.show()
print(
    "eigenvalues of Γ:", ", ".join(f"{value:.2f}" for value in gamma[:6]), "... smallest",
    f"{gamma[-1]:.3f}",
)  # fmt: skip

# %% [markdown] slideshow={"slide_type": "slide"}
# Γ has negative eigenvalues too: patterns in which the two views *disagree*. Keep that in mind.
#
# ## 2 · The training
#
# A linear encoder $f(x) = Wx$ and Barlow Twins at its plainest: pull the cross-correlation $C = W\Gamma W^\top$ to the
# identity.
#
# $$L = \lVert W\Gamma W^\top - I\rVert_F^2, \qquad W \leftarrow W - \eta \cdot 4\,(W\Gamma W^\top - I)\,W\Gamma$$
#
# That is all of the method. Start with W a thousand times smaller than usual.

# %% slideshow={"slide_type": "subslide"}
LR = 0.05


def descend(weight, matrix, steps, every=20):
    """Plain gradient descent; C at every 20th step."""
    path = []
    for step in range(steps):
        c = weight @ matrix @ weight.T
        if step % every == 0:
            path.append(c)
        weight = weight - LR * 4 * (c - torch.eye(len(c))) @ weight @ matrix
    return weight, torch.stack(path)


start = 1e-3 * torch.randn(D, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
together = predict(
    "When the first dimension is half learned, how far is the last one (its eigenvalue)?", guess=0.3
)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
trained, path = descend(start, cross_covariance(x, x2), steps=600 if SMOKE else 2600)
measured = torch.linalg.eigvalsh(path).flip(1)  # eigenvalues of C, largest first
t = LR * 20 * torch.arange(len(path), dtype=torch.float64)  # time: learning rate times steps
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    left.plot(t, (1 - measured).square().sum(1), "o", ms=3)
    left.set(xlabel="time (learning rate × steps)", ylabel="loss", title="The loss")
    for j in range(D):
        right.plot(t, measured[:, j], "o", ms=2.5, color=plot.colours(D)[j])
    right.set(
        xlabel="time (learning rate × steps)",
        ylabel="eigenvalue of C",
        title="One eigenvalue after the other",
    )
plt.show()
together.reveal(measured[int((measured[:, 0] > 0.5).int().argmax()), -1].item())

# %% [markdown] slideshow={"slide_type": "slide"}
# Each eigenvalue waits near zero, then rises to one in a sigmoid; each rise is a step of height 1 in the loss. Steps
# that lie close together blur in the sum: two of Γ's eigenvalues are nearly the same.
#
# ## 3 · The closed form
#
# Suppose W starts *aligned* with the modes. Then every singular value $s_j$ moves by itself, and
# $\lambda_j = \gamma_j s_j^2$ is a logistic curve (section 4 of the paper):
#
# $$\lambda_j(t) = \frac{1}{1 + \left(\frac{1}{\gamma_j s_j(0)^2} - 1\right)e^{-8\gamma_j t}},\qquad
#   \tau_j = \frac{-\log \gamma_j s_j(0)^2}{8\gamma_j}$$
#
# Our start was random. It behaves like an aligned one with $s_j(0) = |R_{jj}|$, where $W(0)V = QR$: whatever part of a
# column points where an earlier, finished dimension already points is gone.
#
# **Predict**: relative error of the ten times, as a median?

# %%
off = predict("Median error of the predicted step times, in percent?", guess=10.0, low=0, high=50)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
from labkit.theory import stepwise

initial, _ = stepwise.effective_init(start, modes, D)
theory = stepwise.eigenvalues(gamma[:D], initial, t, lr=LR)
tau = stepwise.critical_times(gamma[:D], initial)
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    left.plot(t, (1 - measured).square().sum(1), "o", ms=4, color=plot.FLOOR, label="measured")
    left.plot(t, stepwise.loss(theory), color=plot.COLOURS[3], label="closed form")
    left.set(xlabel="time (learning rate × steps)", ylabel="loss", title="Theory over measurement")
    left.legend()
    for j, curve in enumerate(theory.sort(dim=1, descending=True).values.T):
        right.plot(t, measured[:, j], "o", ms=3.5, alpha=0.5, color=plot.colours(D)[j])
        right.plot(t, curve, color=plot.colours(D)[j], lw=1.6)
    shown = tau[tau < t[-1]]
    right.plot(shown, torch.full_like(shown, -0.06), "|", color=plot.INK, ms=10, mew=1.6)
    right.set(
        xlabel="time; ticks: critical times τ",
        ylabel="eigenvalue of C",
        title="Dots measured, lines predicted",
    )
plt.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# One curve leaves its line: the tenth comes early. Its start happened to be 14 to 45 times smaller than the others, and the
# eleventh mode, whose eigenvalue is nearly as large, was learned in place of the tenth.
#
# ## 4 · Told by Γ, not by Σ
#
# Five trainings from five starts, each with its own 500 pairs. The control uses the same formula, but asks the
# covariance of the pixels Σ instead of Γ: the order that principal components would have.

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
from labkit.papers.dynamics._flows import pairs, train_linear

runs = [train_linear(*pairs(digits, 500, seed=seed)[:2], d=D, seed=seed) for seed in SEEDS]
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    for run in runs:
        left.loglog(
            run.times_predicted, run.times_measured, "o", color=plot.COLOURS[0], ms=5, alpha=0.7
        )
        left.loglog(run.times_of_variance, run.times_measured, "x", color=plot.COLOURS[3], ms=6)
    ends = [
        0.8 * min(run.times_of_variance.min() for run in runs),
        1.2 * max(run.times_measured.max() for run in runs),
    ]
    left.plot(ends, ends, color=plot.INK, lw=1)
    left.plot([], [], "o", color=plot.COLOURS[0], label="from Γ")
    left.plot([], [], "x", color=plot.COLOURS[3], label="from Σ")
    left.set(xlabel="predicted time of a step", ylabel="measured time", title="When")
    left.legend()
    for offset, (name, shade) in enumerate(
        (("subspace", plot.COLOURS[0]), ("subspace_of_variance", plot.COLOURS[3]))
    ):
        right.bar(
            [s + 0.4 * offset for s in SEEDS], [100 * getattr(run, name) for run in runs], 0.38,
            color=shade,
        )  # fmt: skip
    right.set(xlabel="training", ylabel="share of the subspace (%)", ylim=(0, 105), title="What",
              xticks=[s + 0.2 for s in SEEDS], xticklabels=list(SEEDS))  # fmt: skip
plt.show()
errors = torch.tensor([run.error(run.times_predicted) for run in runs])
off.reveal(100 * errors.median().item())
check(
    "step times, median error (%)", 100 * errors.median(), 0, 1, paper=0,
    hint="how small is the start?",
)  # fmt: skip
otherwise = torch.tensor([run.error(run.times_of_variance) for run in runs])
print(f"the same from Σ: {100 * otherwise.median():.0f} %")

# %% [markdown] slideshow={"slide_type": "slide"}
# Right: how much of the space that the final encoder looks at lies in the ten leading modes of Γ (blue) and in the ten
# principal components of the pixels (red).
#
# ## 5 · Drag time
#
# A digit is a point here. At first they all sit on top of each other; then they spread along a line; then a plane.

# %% tags=["hide-input"]
first, second, rows = pairs(digits, 300)
labkit.explore.stepwise_scrubber(first, second, digits.labels[rows])

# %% [markdown] slideshow={"slide_type": "slide"}
# Everything the sliders say is `stepwise.eigenvalues`, `critical_times` and `loss`: script it when you have seen enough.
#
# ## 6 · How small is small?
#
# The formula for a random start is exact only as the start goes to nothing. When dimension j is done, the next one has
# grown from α to $\alpha^{1-\gamma_{j+1}/\gamma_j}$ and mixes in by as much; eigenvalues are off by its square. **Predict**:
# for curves that are never off by more than 0.03 when each γ is 0.8 of the last, what start is needed, as a power of ten?

# %%
needed = predict("log₁₀ of the start that is needed?", guess=-2.0, low=-8, high=0)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
from labkit.papers.dynamics._flows import flow, gradients


def curve_error(decay, scale, d=4, m=8, seed=0):
    """Largest |simulated − closed form| until the last step; γ_j = decay^j, a random start."""
    spectrum = decay ** torch.arange(m, dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    weight = scale * torch.randn(d, m, generator=generator, dtype=torch.float64)
    begin, _ = stepwise.effective_init(weight, torch.eye(m, dtype=torch.float64), d)
    last = float(stepwise.critical_times(spectrum[:d], begin).max())
    times = torch.linspace(0, 1.2 * last, 200, dtype=torch.float64)
    gradient = gradients(torch.diag(spectrum), torch.diag(spectrum))["Barlow Twins"]
    path = flow(gradient, weight, times, tolerance=1e-11)
    found = torch.linalg.eigvalsh((path * spectrum) @ path.mT)
    told = stepwise.eigenvalues(spectrum[:d], begin, times).sort(dim=1).values
    return (found - told).abs().max().item()


scales = [10.0**-k for k in range(1, 4 if SMOKE else 7)]
sweep = {
    decay: torch.tensor([[curve_error(decay, s, seed=seed) for s in scales] for seed in SEEDS])
    for decay in (0.5, 0.8)
}
with plot.style():
    figure, axis = plt.subplots(figsize=(6.4, 3.6))
    for (decay, found), shade, marker in zip(sweep.items(), plot.COLOURS, "os"):
        axis.loglog(
            scales, found.median(0).values, marker + "-", color=shade,
            label=f"each γ {decay} of the last",
        )  # fmt: skip
        axis.fill_between(scales, found.amin(0), found.amax(0), color=shade, alpha=0.15, lw=0)
        slope = torch.tensor(scales) ** (2 * (1 - decay))
        axis.loglog(scales, slope * found[:, 2].median() / slope[2], ":", color=plot.INK, lw=1.4)
    axis.plot([], [], ":", color=plot.INK, label="slope that theory gives")
    axis.axhline(0.03, color=plot.INK, lw=1, ls="--")
    axis.set(xlabel="scale of the random start", ylabel="largest error of an eigenvalue",
             title="Close eigenvalues converge slowly")  # fmt: skip
    axis.legend()
plt.show()
reached = [s for s, error in zip(scales, sweep[0.8].median(0).values) if error < 0.03]
power = torch.tensor(reached[0] if reached else scales[-1]).log10().item()
needed.reveal(power)

# %% [markdown] slideshow={"slide_type": "slide"}
# Marks: medians over starts; bands: all of them; dotted: $\alpha^{2(1-\gamma_{j+1}/\gamma_j)}$. With eigenvalues closer still, as
# some of the digits' are, two dimensions mix before the second one is done: the *times* stay right, the *directions*
# come out rotated.
#
# ## 7 · Which perfect encoder?
#
# Many W have loss 0. Training ends at $W = U\,\mathrm{diag}(\gamma^{-1/2})\,V_d^\top$, of all of them the one with the
# smallest weights, $\lVert W\rVert_F^2 = \sum_j 1/\gamma_j$. Another perfect one: use modes 2 to D + 1.

# %% tags=["hide-input"]
best = stepwise.final_encoder(gamma[:D], modes[:, :D])
other = stepwise.final_encoder(gamma[1 : D + 1], modes[:, 1 : D + 1])
matrix = cross_covariance(x, x2)
for name, weight in (("leading modes", best), ("modes 2 to D + 1", other), ("trained", trained)):
    residual = (weight @ matrix @ weight.T - torch.eye(D)).square().sum()
    print(f"{name:18} loss {residual:.1e}   squared weights {weight.square().sum():7.1f}")
smallest = (1 / gamma[:D]).sum()
heavier = (trained.square().sum() / smallest).item()
check(
    "squared weights after training over Σ 1/γ",
    heavier,
    0.9,
    1.05,
    paper=1,
    hint="has the last dimension been learned?",
)

# %% [markdown] slideshow={"slide_type": "skip"}
# What was trained weighs little more than the least: the eleventh mode stands in for the tenth, which is nearly as cheap.
#
# ## 8 · Your turn
#
# **Exercise 1** (easy, 3 min). γ = 0.2 and a start of s(0) = 0.001. When is this dimension half learned?
#
# <details><summary>Hint</summary>−log(γ s²) / 8γ</details>
# <details><summary>Solution</summary><code>when = -math.log(0.2 * 1e-6) / (8 * 0.2)</code>, 9.64.</details>

# %% slideshow={"slide_type": "skip"}
import math

when = -math.log(0.2 * 1e-6) / (8 * 0.2)  # your answer here
check("critical time", when, 9.63, 9.65, hint="the logarithm is natural, and s is squared")

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 2** (medium, 10 min). Gradient descent is not gradient flow. Near λ = 1 a step multiplies the distance to 1
# by about 1 − 8ηγ. Find, by trying or by thinking, the largest learning rate for which γ = 1 still settles, and check it
# with the loop below.
#
# <details><summary>Hint</summary>When is |1 − 8ηγ| &lt; 1?</details>
# <details><summary>Solution</summary><code>limit = 0.25</code>, 1/(4γ): at 0.24 it settles, at 0.26 it jumps for ever
# between two values.</details>

# %% slideshow={"slide_type": "skip"}
limit = 0.25  # your answer here


def settles(lr):
    s = 0.1
    for _ in range(3000):
        s -= lr * 4 * (s * s - 1) * s
    return abs(s * s - 1) < 1e-3


if isinstance(limit, int | float):
    print(
        "just below your limit it settles:", settles(0.98 * limit), "  just above:",
        settles(1.02 * limit),
    )  # fmt: skip
check("largest stable learning rate × γ", limit, 0.249, 0.251, hint="|1 − 8ηγ| has to stay below 1")

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 3** (medium, 10 min). A second dimension has γ = 0.1 and the same start of 0.001. How long after the first one
# of exercise 1 is it half learned? The loop trains both.
#
# <details><summary>Hint</summary>A difference of two critical times.</details>
# <details><summary>Solution</summary><code>later = -math.log(0.1 * 1e-6) / (8 * 0.1) + math.log(0.2 * 1e-6) / (8 * 0.2)</code>,
# 10.5: half of γ takes more than twice as long, as the start counts for less too.</details>

# %% slideshow={"slide_type": "skip"}
later = -math.log(0.1 * 1e-6) / (8 * 0.1) + math.log(0.2 * 1e-6) / (8 * 0.2)  # your answer here


def half_learned(gamma, lr=0.01):
    s, steps = 1e-3, 0
    while gamma * s * s < 0.5:
        s -= lr * 4 * (gamma * s * s - 1) * gamma * s
        steps += 1
    return lr * steps


gap = half_learned(0.1) - half_learned(0.2)
check(
    "time between the two steps", later, gap - 0.1, gap + 0.1,
    hint="−log(γ s²) / 8γ of the one less that of the other",
)  # fmt: skip

# %% [markdown] slideshow={"slide_type": "skip"}
# ## 9 · The claims, as this suite found them
#
# Those of the linear encoder; the next two notebooks have the others. `labkit claims verify stepwise` runs all again.

# %% slideshow={"slide_type": "skip"}
told = ["closed_form_tells_the_times", "final_subspace_is_gammas", "small_starts_fit"]
labkit.claims.show("stepwise", only=told)

# %% tags=["hide-input"] slideshow={"slide_type": "slide"}
shares = torch.tensor([run.subspace for run in runs])
beside_paper(
    ("step times by the closed form", "exact as the start goes to nothing",
     f"{100 * errors.median():.2f} % off (median)",
     "starts of 0.001, five hundred pairs of digits in place of CIFAR-10's"),
    ("share of the final subspace in Γ's leading modes", "all of it",
     f"{100 * shares.mean():.0f} %",
     "at a finite start the last one may be mixed with the next, or give way to it"),
    ("squared weights at the end over the least possible, Σ 1/γ", "1", f"{heavier:.3f}",
     "the eleventh mode in place of the tenth"),
    ("how small a random start has to be", "“small”, no number", f"10 to the power of {power:.0f}",
     "for errors below 0.03 where each γ is 0.8 of the last; closer eigenvalues need a smaller "
     "one"),
)  # fmt: skip

# %% slideshow={"slide_type": "skip"}
score()

# %% [markdown] slideshow={"slide_type": "slide"}
# **What this does not show.** A linear encoder on 8 × 8 images; networks are in notebook 3. Data were centred: without,
# the first mode is nearly a constant function, and the first step teaches nothing. Batch norm, projectors and Adam, all
# usual in practice, are absent.
#
# **References.** Simon et al. 2023, *On the Stepwise Nature of SSL* · Zbontar et al. 2021, *Barlow Twins* · Saxe et al.
# 2014, *Exact solutions to the nonlinear dynamics of learning in deep linear networks*, where the sigmoids come from.
