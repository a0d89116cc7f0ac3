# %% [markdown]
# # Four losses, one spectrum
#
# **The question.** Barlow Twins, the spectral contrastive loss, VICReg and InfoNCE look like four ideas. Given the same
# data and a linear encoder: do they learn different things, the same things in another order, or the same things in the
# same order?
#
# <!-- measured -->
#
# At the end you can say
# - which two numbers of a mode decide everything, and what each loss makes of them;
# - which losses share rates, which one reorders, and which one drops modes that both views share;
# - what VICReg's invariance weight does on its way from principal components to Barlow Twins and beyond;
# - how far InfoNCE is the spectral contrastive loss, and for which data it stops being.
#
# None of the papers puts the four into one picture. Needs no download.

# %% tags=["parameters"]
import torch
from matplotlib import pyplot as plt

import labkit
from labkit import plot
from labkit.teach import beside_paper, check, predict, score
from labkit.theory import modes

BETA, TAU = 1.8, 0.5

# %% [markdown]
# ## 1 · Two numbers a mode
#
# Take a direction of the data (a *mode*). **σ** is its variance; **γ** its covariance between the two views of an item;
# **ρ = γ/σ** the correlation of the views. A mode can vary much and be shared little, or the other way round. Here are
# six, chosen so that σ and ρ disagree.

# %%
sigma = torch.tensor([1.5, 1.2, 0.9, 0.7, 0.5, 0.3], dtype=torch.float64)
rho = torch.tensor([0.3, 0.9, 0.5, 0.95, 0.4, 0.8], dtype=torch.float64)
gamma = sigma * rho
with plot.style():
    figure, axis = plt.subplots(figsize=(6, 3))
    axis.bar(range(1, 7), sigma, color="#cccccc", label="variance σ")
    axis.bar(range(1, 7), gamma, width=0.45, color=plot.COLOURS[0], label="shared by the views, γ")
    axis.set(xlabel="mode", ylabel="variance", title="Six modes")
    axis.legend()
plt.show()

# %% [markdown]
# ## 2 · One equation
#
# Let a linear encoder W start along the modes, and let $u = s^2$ be its squared singular value on one of them. Put that
# into any of the four losses, take the gradient flow, and the same equation comes out:
#
# $$\frac{du}{dt} = r\,u\left(1 - \frac{u}{u^*}\right)$$
#
# | loss | rate r | plateau u\* | variance at the end, σu\* |
# |---|---|---|---|
# | Barlow Twins, $\lVert W\Gamma W^\top - I\rVert^2$ | 8γ | 1/γ | 1/ρ |
# | spectral contrastive, $-2\,\mathrm{tr}\,W\Gamma W^\top + \mathrm{tr}(W\Sigma W^\top)^2$ | 8γ | γ/σ² | ρ |
# | VICReg with squares, $\lVert W\Sigma W^\top - I\rVert^2 + \beta\,E\lVert W(x-x')\rVert^2$ | 8σ(1 − β(1 − ρ)) | (1 − β(1 − ρ))/σ | 1 − β(1 − ρ) |
# | InfoNCE, dot products, small W | 4γ/τ | τγ/σ² | τρ |
#
# **Predict** before you run on: with β = 1.8, how many of the six modes does VICReg never learn?

# %%
lost = predict("Modes that VICReg drops, of six?", guess=1, low=0, high=6)

# %%
TABLE = {
    "Barlow Twins": modes.barlow_twins(gamma),
    "spectral contrastive": modes.spectral_contrastive(gamma, sigma),
    "VICReg": modes.vicreg(gamma, sigma, BETA),
    "InfoNCE": modes.info_nce(gamma, sigma, TAU),
}
for name, (rate, plateau) in TABLE.items():
    rates, ends_at = (
        " ".join(f"{v:5.2f}" for v in values) for values in (rate, (sigma * plateau).clamp(min=0))
    )
    print(f"{name:20} rates {rates}   σu* {ends_at}")
dropped = int((TABLE["VICReg"].rate <= 0).sum())
lost.reveal(dropped)

# %% [markdown]
# A negative rate: the mode dies. It is not that mode 1 has nothing in common between the views (its γ = 0.45 is larger
# than that of two others, and equal to a third); it is that what it *loses* in the invariance term outweighs its variance: ρ < 1 − 1/β.
#
# ## 3 · Theory over simulation
#
# Dots: gradient flow of each loss, from its gradient alone, with a random rotation in front so that nothing knows about
# modes. Lines: the logistic curves of the table.

# %%
from labkit.papers.dynamics.stepwise import four_losses

start = torch.full_like(sigma, 1e-4)
t = torch.linspace(0, 7, 36, dtype=torch.float64)
simulated = four_losses(sigma, gamma, start, t, BETA, TAU)
fine = torch.linspace(0, 7, 300, dtype=torch.float64)
worst = {}
with plot.style():
    figure, axes = plt.subplots(2, 2, figsize=(10, 5.8), sharex=True)
    for axis, (name, (rate, plateau)) in zip(axes.flat, TABLE.items(), strict=True):
        lines = sigma * modes.logistic_modes(rate, plateau, start, fine)
        worst[name] = (
            (simulated[name] - modes.logistic_modes(rate, plateau, start, t)).abs().max().item()
        )
        for j, shade in enumerate(plot.colours(6)):
            axis.plot(t, sigma[j] * simulated[name][:, j], "o", ms=3.5, color=shade)
            axis.plot(fine, lines[:, j], color=shade, lw=1.5, label=f"mode {j + 1}")
        axis.set(title=name, ylabel="variance in the embedding")
    for axis in axes[1]:
        axis.set_xlabel("time (learning rate × steps)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncol=6)
plt.show()
for name, error in worst.items():
    print(f"{name:21} largest error of u: {error:.0e}")
whitened, weighed = (
    gamma[1] * simulated["Barlow Twins"][-1, 1],
    sigma[1] * simulated["spectral contrastive"][-1, 1],
)
check("Barlow Twins, cross-correlation of mode 2 at the end", whitened, 0.999, 1.001, paper=1)
check(
    "spectral contrastive loss, variance of mode 2 at the end", weighed, 0.899, 0.901,
    paper=rho[1].item(),
)  # fmt: skip

# %% [markdown]
# Barlow Twins and the spectral contrastive loss: the same modes at the same rates, and so at nearly the same times; where
# two rates are close, the plateau can decide which of the two modes is half grown first. They differ in what is kept: Barlow Twins *whitens* and beyond (1/ρ: the worse two views agree on a mode, the larger it is made),
# the spectral loss *weighs* by ρ. VICReg has an order of its own.
#
# ## 4 · The one picture
#
# Ten modes; drag how fast σ falls, how ρ runs from the first to the last, β and τ. Left the data, in the middle the
# order, right what is kept. A line that stops: modes dropped.

# %%
labkit.explore.four_losses_one_spectrum()

# %% [markdown]
# Try ρ rising (fine detail shared, coarse not) and β at 0, 1 and 3. The numbers are `labkit.explore.four_losses(...)`.
#
# ## 5 · From principal components to Barlow Twins
#
# On real data Σ and Γ have different eigenvectors. A *small* W still grows by one matrix for each loss: 8Γ for Barlow
# Twins and the spectral loss, 4Γ/τ for InfoNCE, and for VICReg
#
# $$8\,\big((1-\beta)\,\Sigma + \beta\,\Gamma\big)$$
#
# At β = 0 that is the covariance: principal components. At β = 1 it is exactly Barlow Twins. Above, it punishes whatever
# the views disagree about. On digits moved by up to a pixel:

# %%
from labkit.papers.dynamics._flows import leading, overlap, pairs

digits = labkit.data.load("digits")
x, x2, _ = pairs(digits, 500)
both = torch.cat([x, x2])
SIGMA, GAMMA = modes.cross_covariance(both, both), modes.cross_covariance(x, x2)
betas = torch.linspace(0, 4, 41, dtype=torch.float64)
grown = [leading((1 - beta) * SIGMA + beta * GAMMA) for beta in betas]
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.5))
    for name, vectors, shade in (
        ("those of Γ (Barlow Twins)", leading(GAMMA)[1], plot.COLOURS[0]),
        ("principal components", leading(SIGMA)[1], plot.COLOURS[3]),
    ):
        left.plot(
            betas, [overlap(v[:, :5], vectors[:, :5]) for _, v in grown], color=shade, label=name
        )
    left.set(
        xlabel="β", ylabel="overlap of 5-dim. subspaces", title="What VICReg learns first",
        ylim=(0, 1.05),
    )  # fmt: skip
    left.legend(loc="upper right")
    right.plot(betas, [int((value > 1e-9).sum()) for value, _ in grown], color=plot.COLOURS[2])
    right.axhline(
        int((leading(GAMMA)[0] > 1e-9).sum()), color=plot.COLOURS[0], ls="--", label="Barlow Twins"
    )
    right.set(
        xlabel="β", ylabel="modes that grow, of 64", title="How many there are to learn",
        ylim=(0, 66),
    )  # fmt: skip
    right.legend()
plt.show()

# %% [markdown]
# The invariance weight is a dial: from *what varies* to *what is shared* to *what is shared almost perfectly*.
#
# ## 6 · InfoNCE, early and late
#
# For small embeddings InfoNCE with dot products is half the spectral contrastive loss:
#
# $$-\frac{\mathrm{tr}\,W\Gamma W^\top}{\tau} + \frac{\mathrm{tr}(W\Sigma W^\top)^2}{2\tau^2} + \dots$$
#
# The dots are higher cumulants of the data. Gaussian data has none, so there the two terms are everything. Data that
# takes only the values ±1 has them all. **Predict**: a ±1 mode with ρ = 0.9. The table says it ends at variance τρ = 0.45.
# Where does real InfoNCE end it?

# %%
ends = predict(
    "Variance of the ρ = 0.9 mode of ±1 data under InfoNCE, τ = 0.5?", guess=0.45, low=0, high=2
)


# %%
import numpy as np

nodes, weights = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(60))
GAUSSIAN = (
    nodes,
    weights / weights.sum(),
)  # 60 points that stand for a standard Gaussian (quadrature)
BINARY = (
    torch.tensor([-1.0, 1.0], dtype=torch.float64),
    torch.tensor([0.5, 0.5], dtype=torch.float64),
)


def info_nce_flow(data, rho, tau, steps, lr=0.05):
    """Gradient descent on the InfoNCE of z = w a, infinitely many negatives: w² over time."""
    values, share = data
    w, path = torch.tensor(0.05, dtype=torch.float64, requires_grad=True), []
    for _ in range(steps):
        negatives = (torch.exp(w**2 * torch.outer(values, values) / tau) @ share).log() @ share
        (slope,) = torch.autograd.grad(-rho * w**2 / tau + negatives, w)
        path.append(w.item() ** 2)
        w = (w - lr * slope).detach().requires_grad_()
    return torch.tensor(path)


# %%
STEPS = 160
time, one = 0.05 * torch.arange(STEPS, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
with plot.style():
    figure, axis = plt.subplots(figsize=(7.4, 3.8))
    for rho_of_mode, shade in zip((0.2, 0.5, 0.9), plot.COLOURS):
        line = modes.logistic_modes(
            *modes.info_nce(rho_of_mode * one, one, TAU), 0.05**2 * one, time
        )
        axis.plot(time, line, color=shade, label=f"theory, ρ = {rho_of_mode}")
        for data, marker in ((GAUSSIAN, "o"), (BINARY, "s")):
            path = info_nce_flow(data, rho_of_mode, TAU, STEPS)
            axis.plot(time[::5], path[::5], marker, ms=4, color=shade, alpha=0.6)
    axis.plot([], [], "o", color=plot.FLOOR, label="Gaussian data")
    axis.plot([], [], "s", color=plot.FLOOR, label="±1 data")
    axis.set(
        xlabel="time (learning rate × steps)", ylabel="variance in the embedding", xlim=(-0.2, 11),
        title="InfoNCE (marks) and its two terms (lines)",
    )  # fmt: skip
    axis.legend(loc="center right")
plt.show()
reached = path[-1].item()  # the last one drawn: ρ = 0.9, ±1 data
ends.reveal(reached)
check("the same, over τ artanh ρ", reached / (TAU * np.arctanh(0.9)), 0.99, 1.01)

# %% [markdown]
# Every mode starts at its time: the *order* is the table's, whatever the data. The *plateau* is exact for Gaussian data
# and too low for well-shared modes elsewhere: for ±1 data it is τ artanh ρ, which is τρ only for small ρ.
#
# ## 7 · Your turn
#
# **Exercise 1** (easy, 3 min). A mode has ρ = 0.6. Above which β does VICReg drop it?
#
# <details><summary>Hint</summary>1 − β(1 − ρ) = 0</details>
# <details><summary>Solution</summary><code>beta = 1 / (1 - 0.6)</code>, 2.5.</details>

# %%
beta = 1 / (1 - 0.6)  # your answer here
check(
    "β at which ρ = 0.6 is dropped", beta, 2.49, 2.51, hint="where does the rate change its sign?"
)
one = torch.ones(1, dtype=torch.float64)
if isinstance(beta, int | float) and 0.01 < beta < np.inf:
    around = (modes.vicreg(0.6 * one, one, float(beta) + e).rate.item() for e in (-0.01, 0.01))
    print("rates just below and above:", *(f"{rate:+.3f}" for rate in around))

# %% [markdown]
# **Exercise 2** (medium, 10 min). Find two modes that Barlow Twins learns in one order and VICReg with β = 0.5 in the
# other. Mode 1 has σ = 1, ρ = 0.4; choose σ and ρ of mode 2.
#
# <details><summary>Hint</summary>Mode 2 needs the larger γ = σρ but the smaller σ(1 − β(1 − ρ)).</details>
# <details><summary>Solution</summary><code>second = (0.6, 0.8)</code>: γ = 0.48 &gt; 0.4, but 0.6 · 0.9 = 0.54 &lt; 0.7.</details>

# %%
second = (0.6, 0.8)  # σ, ρ: your answer here


def orders_differ(sigma, rho):
    s, r = torch.tensor([1.0, sigma]), torch.tensor([0.4, rho])
    barlow, vicreg = modes.barlow_twins(s * r).rate, modes.vicreg(s * r, s, 0.5).rate
    learned = min(barlow.min(), vicreg.min()) > 0  # what is never learned has no place in an order
    return bool(learned and (barlow[0] - barlow[1]) * (vicreg[0] - vicreg[1]) < 0)


differ = second
if second is not ...:
    differ = orders_differ(*second) if np.shape(second) == (2,) else float("nan")
check(
    "orders differ (1: yes)",
    differ,
    1,
    1,
    hint="two numbers, σ and ρ: more shared, but much less of it",
)

# %% [markdown]
# **Exercise 3** (easy, 5 min). Two modes of the same γ = 0.4: one with ρ = 0.4 and σ = 1, one with ρ = 0.8 and σ = 0.5.
# Barlow Twins learns both at the same time. In its embedding, how many times the variance of the second does the first
# have, the one the views agree on *less*?
#
# <details><summary>Hint</summary>The last column of section 2's table.</details>
# <details><summary>Solution</summary><code>times = 0.8 / 0.4</code>, 2. Under the spectral contrastive loss it would be
# ½ instead: that is the difference between whitening and weighing.</details>

# %%
times = 0.8 / 0.4  # your answer here
s = torch.tensor([1.0, 0.5], dtype=torch.float64)
kept = s * modes.barlow_twins(torch.tensor([0.4, 0.4], dtype=torch.float64)).plateau
truth = float(kept[0] / kept[1])
check(
    "variance of the first over the second", times, truth - 0.01, truth + 0.01,
    hint="1/ρ each, and σu* is asked",
)  # fmt: skip

# %% [markdown]
# ## 8 · The claims, as this suite found them
#
# Those on the order of the losses and on VICReg's dropped modes; `labkit claims verify stepwise` runs all again.

# %%
labkit.claims.show("stepwise", only=["spectral_contrastive_is_nearer", "vicreg_drops_modes"])

# %%
beside_paper(
    ("Barlow Twins, cross-correlation of a learned mode (Simon et al.)", "1", whitened,
     "a flow of finite length"),
    (f"spectral contrastive loss, variance of a mode of ρ = {rho[1]:.1f} (HaoChen et al.)",
     f"its eigenvalue, {rho[1]:.1f}", weighed,
     "the same; here the eigenvalue is the correlation of the views"),
    ("VICReg, modes that are dropped (Balestriero and LeCun)",
     "those whose invariance costs more than they vary",
     f"{dropped} of {len(rho)}, with β = {BETA}",
     "squares in place of hinges, as in their theory; a weaker β drops fewer"),
    ("InfoNCE, variance of a ±1 mode of ρ = 0.9",
     f"none; two terms of its expansion: {TAU * 0.9:.2f}", f"{reached:.2f}",
     "data that is not Gaussian has higher terms"),
)  # fmt: skip

# %%
score()

# %% [markdown]
# **What this does not show.** The table is exact where Σ and Γ commute and W starts along the modes; section 5 is about
# the first moments of training elsewhere. VICReg in practice has a hinge on the standard deviation in place of squares,
# InfoNCE and Barlow Twins in practice normalise: all of that changes plateaus, and notebook 3 looks at it. That Barlow
# Twins and the spectral contrastive loss share an order holds where modes are apart: their times differ by the logarithm
# of the plateaus.
#
# **References.** Simon et al. 2023, *On the Stepwise Nature of SSL* · HaoChen et al. 2021, *Provable Guarantees for
# Self-Supervised Deep Learning with Spectral Contrastive Loss* · Balestriero & LeCun 2022, *Contrastive and
# Non-Contrastive SSL Recover Global and Local Spectral Embedding Methods* · Bardes et al. 2022, *VICReg*.
