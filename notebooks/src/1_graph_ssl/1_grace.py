# %% [markdown] slideshow={"slide_type": "slide"}
# # Views and contrast: GRACE and MVGRL
#
# **The question.** A citation graph, no labels. Drop some edges and some features, twice. Is *finding each node again*
# enough to learn what the papers are about, and how much of the score was there before any training?
#
# <!-- measured -->
#
# At the end you can say
# - what GRACE does to a graph and why its loss is NT-Xent;
# - what a linear probe reaches with *nothing* trained, and so what training adds;
# - which of the two corruptions does the work, and how sure five seeds make you;
# - what a diffusion shows an encoder that edges don't, and what MVGRL makes of it;
# - how far to trust a map of the embedding.

# %% [markdown] slideshow={"slide_type": "skip"}
# Zhu et al. 2020, [Deep Graph Contrastive Representation Learning](https://arxiv.org/abs/2006.04131) (GRACE) ·
# Hassani and Khasahmadi 2020, [Contrastive Multi-View Representation Learning on Graphs](https://arxiv.org/abs/2006.05582) (MVGRL).
# Needs the Cora files (`labkit data get cora`).

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
import os
from functools import partial
from statistics import fmean

import torch
from matplotlib import pyplot as plt

import labkit
from labkit import evaluate, plot
from labkit.teach import beside_paper, check, predict, score

SMOKE = os.environ.get("LABKIT_SCALE") == "smoke"
EPOCHS = 4 if SMOKE else 100  # the recipe `grace/cora` trains for 200
SEEDS = range(1 if SMOKE else 2)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 1 · The graph
#
# 2 708 machine-learning papers, 5 278 citations, a bag of 1 433 words for each paper, seven topics. The public split
# has 140 labelled papers to learn a probe from, 500 to choose its strength on and 1 000 to score it on.

# %%
from torch_geometric.transforms import NormalizeFeatures

data = labkit.data.load("cora", transform=NormalizeFeatures())
split = evaluate.Split.public(data)
source, target = data.edge_index
homophily = (data.y[source] == data.y[target]).float().mean().item()
print(data)
print(f"{100 * homophily:.0f} % of citations stay within a topic")
print(f"{100 * (data.x > 0).float().mean():.1f} % of x is non-zero")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 2 · Before training
#
# Neighbours share topics, so averaging features over neighbours already says a lot. A²X is two such averages: no
# weights, no training, no labels. **Predict**: what does a linear probe reach on the words alone, and on A²X?

# %%
words = predict("Accuracy of a linear probe on the words alone?", guess=0.50)
smoothed = predict("... and on A²X, with nothing trained?", guess=0.65)

# %% tags=["hide-input"] slideshow={"slide_type": "fragment"}
from labkit.models import propagation_matrix, sparse_if_faster

propagate = propagation_matrix(data.edge_index, data.num_nodes)
raw = evaluate.linear_probe(data.x, data.y, split)
propagated = evaluate.linear_probe(propagate @ (propagate @ data.x), data.y, split)
words.reveal(raw.mean)
smoothed.reveal(propagated.mean)
print("\nprotocol:", raw.protocol)

# %% [markdown] slideshow={"slide_type": "fragment"}
# Keep that second number in mind: it is what every method on this graph has to beat, and it is rarely printed.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 3 · Two views
#
# GRACE drops each edge with probability 0.2 (first view) or 0.4 (second), and whole word columns with 0.3 or 0.4. Here
# is what happens around one paper.

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
import networkx as nx
from torch_geometric.utils import k_hop_subgraph

from labkit.views import drop_edges, mask_feature_columns

CENTRE = 695
nodes, edges, _, _ = k_hop_subgraph(CENTRE, 2, data.edge_index)
whole = nx.Graph(edges.T.tolist())
place = nx.spring_layout(whole, seed=3)
generator = torch.Generator().manual_seed(0)
with plot.style():
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8))
    for axis, drop, title in zip(
        axes, (0, 0.2, 0.4), ("the graph", "view 1", "view 2"), strict=True
    ):
        kept = nx.Graph(drop_edges(edges[:, edges[0] < edges[1]], drop, generator).T.tolist())
        nx.draw_networkx_edges(whole, place, ax=axis, edge_color="#dddddd", style="dotted")
        nx.draw_networkx_edges(kept, place, ax=axis, edge_color="#777777")
        topics = [plot.COLOURS[data.y[node] % len(plot.COLOURS)] for node in whole]
        nx.draw_networkx_nodes(whole, place, ax=axis, node_color=topics, node_size=60, linewidths=0)
        nx.draw_networkx_nodes(
            whole, place, [CENTRE], ax=axis, node_color="none", edgecolors="black", node_size=160
        )
        axis.set_title(f"{title}: {kept.number_of_edges()} of {whole.number_of_edges()} citations")
        axis.axis("off")
plt.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# Now drag. The same neighbourhood, with its real words: drop edges, mask words, and diffuse (α = 1 is no diffusion;
# MVGRL uses 0.2). Watch the middle panel: each convolution multiplies the graph's eigenvectors by these numbers, so
# what it pushes to zero the encoder cannot see.

# %% tags=["hide-input"]
from torch_geometric.data import Data

nodes, edges, _, _ = k_hop_subgraph(CENTRE, 2, data.edge_index, relabel_nodes=True)
neighbourhood = Data(x=data.x[nodes], edge_index=edges, y=data.y[nodes])
lab = labkit.explore.graph_view_lab(neighbourhood)
lab

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 4 · The method
#
# Encode both views with the same two-layer GCN, project, and let each node find itself: its other view is the positive,
# all other nodes *of both views* are negatives. Equations 1 and 2 of the paper, written out, are
#
# $$\ell(u_i, v_i) = -\log \frac{e^{\cos(u_i, v_i)/\tau}}{e^{\cos(u_i, v_i)/\tau} + \sum_{k \ne i} e^{\cos(u_i, v_k)/\tau} + \sum_{k \ne i} e^{\cos(u_i, u_k)/\tau}}$$
#
# which is NT-Xent, SimCLR's loss, over 2 × 2 708 node views. `labkit.losses.nt_xent` computes it in tiles, so that the
# 5 416 × 5 416 similarities are never held. The class below is the whole method; the same lines are in
# [`labkit/papers/graph/grace.py`](../../labkit/papers/graph/grace.py).

# %% slideshow={"slide_type": "subslide"}
from labkit.losses import nt_xent
from labkit.methods import Method, inference
from labkit.models import GCN, MLP


class GRACE(Method):
    def __init__(self, dim_in, edge_drop=(0.2, 0.4), feature_mask=(0.3, 0.4), temperature=0.4):
        super().__init__()
        self.encoder = GCN(dim_in, hidden=256, dim=128)
        self.projector = MLP(128, 128, 128, activation="elu")
        self.edge_drop, self.feature_mask, self.temperature = edge_drop, feature_mask, temperature

    def view(self, data, edge_drop, feature_mask):
        x = mask_feature_columns(sparse_if_faster(data.x), feature_mask)
        return self.projector(self.encoder(x, drop_edges(data.edge_index, edge_drop)))

    def forward(self, data):
        a, b = (self.view(data, *p) for p in zip(self.edge_drop, self.feature_mask, strict=True))
        return nt_xent(a, b, self.temperature)

    @inference
    def embed(self, data):
        return self.encoder(sparse_if_faster(data.x), data.edge_index)


# %% slideshow={"slide_type": "skip"}
def train(seed, **changes):
    with labkit.train.seeded(seed):
        method = GRACE(data.num_features, **changes)
    shots = sorted({0, 1, EPOCHS // 8, EPOCHS // 4, EPOCHS // 2, EPOCHS})
    return labkit.fit(
        method, [data], epochs=EPOCHS, lr=5e-4, weight_decay=1e-5, seed=seed, snapshots=shots
    )


runs = [train(seed) for seed in SEEDS]
runs[0]

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 5 · What training adds
#
# The loss says that nodes find themselves better and better. That is not the question: the probe is.

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
probe = partial(evaluate.linear_probe, y=data.y, split=split)
epochs = list(runs[0].snapshots)
scores = torch.tensor([[probe(run.snapshots[epoch]).mean for epoch in epochs] for run in runs])
with plot.style():
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6))
    plot.curve(
        [run.history["loss"] for run in runs], ax=left, axis_names=("epoch", "NT-Xent"),
        title="The loss falls ...",
    )  # fmt: skip
    plot.curve(
        100 * scores, epochs, ax=right, marker="o", axis_names=("epoch", "test accuracy (%)"),
        title="... the probe rises, ever more slowly",
    )  # fmt: skip
    right.axhline(100 * propagated.mean, color="black", ls="--", lw=1)
    right.annotate(
        "A²X, nothing trained", (epochs[0], 100 * propagated.mean), (0, -14),
        textcoords="offset points",
    )  # fmt: skip
plt.show()

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
trained = evaluate.Score.pool([probe(run.snapshots[EPOCHS]) for run in runs])
untrained = evaluate.Score.pool([probe(run.snapshots[0]) for run in runs])
plot.bars_with_floors(
    {"GRACE": trained, "A²X": propagated, "untrained": untrained, "words": raw},
    title="Linear probe on Cora, public split",
)
plt.show()
print(trained)
band = (10, 90) if SMOKE else (74, 86)
check(
    "GRACE on Cora, linear probe (%)", 100 * trained.mean, *band, paper=83.3,
    hint="fewer than 100 epochs?",
)  # fmt: skip

# %% [markdown]
# GRACE adds much to its own untrained encoder. Against A²X it adds little or nothing on this split, at the settings of
# the released code: most of what the probe reads is in the graph itself. The claims below put intervals on both
# sentences.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 6 · Look into it
#
# Click a paper: lines go to its nearest neighbours *in the 128 dimensions*, and its citations can be laid over the map.
# Drag the time axis from the untrained encoder to the last epoch. The caption says how much of each neighbourhood this
# map keeps.

# %% tags=["hide-input"]
TOPICS = (
    "theory", "reinforcement", "genetic", "neural nets", "probabilistic", "case-based",
    "rule learning",
)  # fmt: skip
labkit.explore.explore(run=runs[0], labels=data.y, graph=data, class_names=TOPICS)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 7 · Which corruption does the work?
#
# **Predict**, then run: GRACE with edges dropped alone, with words masked alone.
#
# The temperature τ says how much harder the nearest negatives push than the others. The paper fixes it graph by graph,
# from 0.4 to 0.9. The second picture was measured before, at twice as many epochs:
# `python -m labkit.papers.graph.grace cora 5`.

# %%
without_words = predict("Accuracy when only edges are dropped?", guess=0.78)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
variants = {
    "edges and words": {},
    "edges alone": {"feature_mask": (0, 0)},
    "words alone": {"edge_drop": (0, 0)},
}
ablation = {
    name: evaluate.Score.pool([probe(train(seed, **changes).snapshots[EPOCHS]) for seed in SEEDS])
    if changes
    else trained
    for name, changes in variants.items()
}
plot.bars_with_floors(
    ablation, {"A²X": propagated.mean}, title=f"What is corrupted (seeds: {len(SEEDS)})"
)
plt.show()
without_words.reveal(ablation["edges alone"].mean)

by_temperature = labkit.recipes.measured("grace-temperature-cora.json", "accuracy")
if by_temperature:
    nothing_trained = {name: 100 * fmean(by_temperature.pop(name)) for name in ("A²X", "untrained")}
    values = 100 * torch.tensor(list(by_temperature.values())).T
    axis = plot.curve(
        values, list(by_temperature), axis_names=("temperature τ", "accuracy (%)"), marker="o",
        title=f"GRACE on Cora, public split (seeds: {len(values)})",
    )  # fmt: skip
    for name, value in nothing_trained.items():
        axis.axhline(value, color=plot.FLOOR, linestyle=(0, (4, 3)))
        axis.annotate(f"{name} {value:.1f}", (0, value), (0, 4), color=plot.FLOOR,
                      textcoords="offset points")  # fmt: skip
    plt.show()

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 8 · Another second view: diffusion
#
# MVGRL changes nothing at random. Its second view is the *whole* graph under personalised PageRank,
# $S = \alpha\,(I - (1 - \alpha) \hat A)^{-1}$: every node averages over all nodes, near ones most. Two encoders, one
# convolution each; a bilinear discriminator learns whether a node of one view belongs to the *summary* of the other,
# against nodes with shuffled features. The lines are in
# [`labkit/papers/graph/mvgrl.py`](../../labkit/papers/graph/mvgrl.py); here the second view is taken out as control.
#
# **Predict**: how much does the diffusion view add to the graph contrasted with itself?

# %%
diffusion_gain = predict(
    "Gain in accuracy from the diffusion view?", guess=0.03, low=-0.2, high=0.2
)

# %% tags=["hide-input"] slideshow={"slide_type": "subslide"}
from labkit.models import PPR, OneStep
from labkit.papers.graph.mvgrl import MVGRL


def contrast(kernels, seed):
    with labkit.train.seeded(seed):
        method = MVGRL(data.num_features, dim=256, kernels=kernels)
    return labkit.fit(method, [data], epochs=EPOCHS, lr=1e-3, seed=seed).method.embed(data)


pairs = {
    "edges and PPR": (OneStep(), PPR(0.2)), "edges alone": (OneStep(),), "PPR alone": (PPR(0.2),),
}  # fmt: skip
multiview = {
    name: evaluate.Score.pool([probe(contrast(kernels, seed)) for seed in SEEDS])
    for name, kernels in pairs.items()
}
plot.bars_with_floors(
    multiview,
    {"A²X": propagated.mean},
    title=f"What is contrasted (seeds: {len(SEEDS)}, width 256)",
)
plt.show()
diffusion_gain.reveal(multiview["edges and PPR"].mean - multiview["edges alone"].mean)

# %% [markdown] slideshow={"slide_type": "skip"}
# ## 9 · Your turn
#
# **Exercise 1** (easy, 3 min). What is the loss of an encoder that maps all nodes to one point? Write it down with
# the number of nodes, `data.num_nodes`, then check.
#
# <details><summary>Hint</summary>All cosines are equal, so the positive is one of how many equal terms?</details>
# <details><summary>Solution</summary><code>collapsed = math.log(2 * data.num_nodes - 1)</code>, 8.597.</details>

# %% slideshow={"slide_type": "skip"}
import math

collapsed = math.log(2 * data.num_nodes - 1)  # your answer here
one_point = torch.ones(data.num_nodes, 8)
check(
    "loss of collapsed views",
    collapsed,
    *(nt_xent(one_point, one_point, 0.4).item() + e for e in (-5e-5, 5e-5)),
    hint="a logarithm: of the 2n − 1 views that are left when a view leaves itself out",
)

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 2** (easy, 3 min). An embedding has 128 columns, of which four are independent and equally strong; the other
# 124 are copies of them. What is its effective rank?
#
# <details><summary>Hint</summary>The effective rank is exp of the entropy of the normalised singular values.</details>
# <details><summary>Solution</summary><code>rank = 4</code>: copies add no direction. Then train with
# <code>train(0, temperature=0.1)</code> and with 2: which moves more, the rank or the probe?</details>

# %% slideshow={"slide_type": "skip"}
rank = 4  # your answer here
noise = torch.randn(data.num_nodes, 4, generator=torch.Generator().manual_seed(0))
four = torch.linalg.qr(noise - noise.mean(dim=0)).Q  # orthogonal columns of one length
truth = evaluate.effective_rank(four.repeat(1, 32))
check(
    "effective rank of four directions", rank, truth - 0.01, truth + 0.01,
    hint="how many directions are there?",
)  # fmt: skip
used = evaluate.effective_rank(runs[0].snapshots[EPOCHS])
print(f"GRACE uses {used:.0f} of its 128; the Explorer centres first and says more")

# %% [markdown] slideshow={"slide_type": "skip"}
# **Exercise 3** (medium, 5 min). What does diffusion with α = 0.2 multiply an eigenvector of Â by, whose eigenvalue is
# 0.5? Compute it from the formula of section 8.
#
# <details><summary>Hint</summary>S has the same eigenvectors; put the eigenvalue in Â's place.</details>
# <details><summary>Solution</summary><code>0.2 / (1 - 0.8 * 0.5)</code>, one third: diffusion is a low-pass filter.</details>

# %% slideshow={"slide_type": "skip"}
passed = 0.2 / (1 - 0.8 * 0.5)  # your answer here
check("what diffusion leaves of it", passed, PPR(0.2)(0.5) - 5e-3, PPR(0.2)(0.5) + 5e-3,
      hint="α over 1 − (1 − α) times the eigenvalue")  # fmt: skip

# %% [markdown] slideshow={"slide_type": "skip"}
# ## 10 · The claims, as this suite found them
#
# `labkit claims verify grace` (and `mvgrl`) runs them again; `BOARD.md` has all of them.

# %% slideshow={"slide_type": "skip"}
labkit.claims.show("grace")
labkit.claims.show("mvgrl")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## 11 · Beside the papers

# %% tags=["hide-input"]
beside_paper(
    ("GRACE on Cora", "83.3 ± 0.4 %", trained,
     "there 10 % of the labels at random (the code: scored on the other 90 %), here 140; there ± "
     "is over splits of one training, here over trainings, which are half as long"),
    ("A²X, nothing trained", "not reported", propagated,
     "the papers' floors are raw features and DeepWalk"),
    ("MVGRL on Cora", "86.8 ± 0.5 % (authors), 83.5 ± 0.4 % (others, public split)",
     multiview["edges and PPR"],
     "the authors' Cora came from a loader with another split; half their width and fewer steps "
     "here"),
    ("points that the diffusion view adds", "rises",
     f"{100 * (multiview['edges and PPR'].mean - multiview['edges alone'].mean):+.1f}",
     "a few short trainings can't tell such differences from chance; the claim above has more"),
)  # fmt: skip

# %% slideshow={"slide_type": "skip"}
score()

# %% [markdown] slideshow={"slide_type": "slide"}
# **What this does not show.** One graph and one split of 140 labels; the paper's own numbers use other splits
# (`labkit run grace/cora --protocol paper`, `--protocol released`). On two larger graphs (Amazon-Photo,
# Coauthor-CS; trained on subgraphs) A²X stays ahead, by half a point to a good one, and on Amazon-Photo the trained
# encoder is half a point better than the untrained one under the paper's protocol and no better under the released one.
#
# **References.** Zhu et al. 2020, *GRACE* · Hassani and Khasahmadi 2020, *MVGRL* · Chen et al. 2020, *SimCLR* · Wu et al. 2019, *Simplifying Graph
# Convolutional Networks* (A²X) · Yang et al. 2016, *Planetoid* (the public split).
