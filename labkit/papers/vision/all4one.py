"""All4One: Symbiotic Neighbour Contrastive Learning via Self-Attention and Redundancy Reduction.

Imanol G. Estepa, Ignacio Sarasúa, Bhalaji Nagarajan, Petia Radeva. ICCV 2023.
https://arxiv.org/abs/2303.09417 · code: https://github.com/vturrisi/solo-learn (solo/methods/all4one.py)
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from labkit._checks import require_known
from labkit._processes import gather
from labkit.claims import Evidence, Lab, claim
from labkit.losses import info_nce, without_autocast
from labkit.methods import Queue, SelfDistillation
from labkit.papers.vision import barlow_twins, nnclr
from labkit.papers.vision._nuisance import against, against_raw, changed, family, head, of_images, patient

FRIENDS = ("nearest", "random")


class All4One(SelfDistillation):
    """Three objectives on one network: a neighbour, the centroid of several, and the features themselves.

    A slow copy of the network embeds the other view. *Neighbour*: as in NNCLR, its nearest row of a queue is to be
    found from the prediction. *Centroid*: self-attention makes one vector of its k nearest rows; another prediction,
    put before the first k − 1 of its own view's rows, is to give the same vector. *Feature*: over the batch, each
    dimension of the projection correlates with the slow copy's same dimension and with no other.

    After the released code, which is read with its defaults: the centroid's temperature is 0.1 whatever the neighbour's
    is, the three terms weigh ½, ½ and 5, the slow copy's rows have length one in the feature term, too, and rows of the
    queue are those of the first view. Other than there, the attention has one layer of four heads (eight there), no
    dropout, the learning rate of the rest and learned places (fixed ones there); the projector has two layers and a
    plain end (three and batch norm there).

    Args:
        encoder, view: as in ``TwoView``.
        neighbours: k, at least 2.
        queue: embeddings that are kept.
        temperature: of the neighbour's InfoNCE.
        momentum: of the slow copy's weights.
        neighbour, centroid, feature: whether each term is in.
        friends: "nearest" rows of the queue, or "random" ones for the control.
        dim: of the projection, a multiple of 4; None: the encoder's.
    """

    def __init__(
        self,
        encoder: nn.Module,
        view: Callable[[Tensor], Tensor],
        neighbours: int = 5,
        queue: int = 1024,
        temperature: float = 0.2,
        momentum: float = 0.99,
        neighbour: bool = True,
        centroid: bool = True,
        feature: bool = True,
        friends: str = "nearest",
        dim: int | None = None,
    ):
        require_known("friends", friends, FRIENDS)
        if not 2 <= neighbours <= queue:
            raise ValueError(f"neighbours must lie between 2 and the {queue} rows of the queue, not {neighbours}")
        if not (neighbour or centroid or feature):
            raise ValueError("neighbour, centroid and feature are all off: there is nothing to learn from")
        dim = encoder.dim if dim is None else dim
        super().__init__(encoder, head(encoder.dim, dim), view, info_nce, predictor=head(dim, dim), momentum=momentum)
        self.queue, self.neighbours, self.friends = Queue(queue, dim), neighbours, friends
        self.temperature, self.terms = temperature, (neighbour, centroid, feature)
        self.for_centroid = head(dim, dim)
        self.attention = nn.TransformerEncoderLayer(dim, nhead=4, dim_feedforward=2 * dim, dropout=0, batch_first=True)
        self.place = nn.Parameter(0.02 * torch.randn(neighbours, dim))
        self.first = None
        self.predictor.requires_grad_(neighbour)  # what no term uses has no gradient to share between processes
        for part in (self.for_centroid, self.attention, self.place):
            part.requires_grad_(centroid)

    def forward(self, images: Tensor) -> Float[Tensor, ""]:
        views = self.viewed(images)
        _, z = self.encoded(views)
        slow = self.targets(views, z)
        self.first = slow.chunk(2)[0]
        rows = self.found(slow)
        loss = z.new_zeros((), dtype=torch.float32)
        if self.terms[0]:
            loss = loss + self.across(rows[:, 0], self.predictor(z), self.temperature) / 2
        if self.terms[1]:
            guess = torch.cat([self.for_centroid(z)[:, None], rows[:, :-1]], dim=1)
            loss = loss + self.across(self.centroid(rows), self.centroid(guess), 0.1) / 2
        if self.terms[2]:
            (a, b), (slow_a, slow_b) = (map(gather, both.chunk(2)) for both in (z, F.normalize(slow.float(), dim=1)))
            loss = loss + 5 * feature_contrast((slow_a, b), (slow_b, a))
        return loss

    @without_autocast
    def found(self, slow: Float[Tensor, "items dim"]) -> Float[Tensor, "items k dim"]:
        """The k rows of the queue nearest to each, nearest first."""
        if self.friends == "random":
            return self.queue.rows[torch.randint(len(self.queue.rows), (len(slow), self.neighbours))]
        similarity = F.normalize(slow.to(self.queue.rows.dtype), dim=1) @ self.queue.rows.T
        return self.queue.rows[similarity.topk(self.neighbours, dim=1).indices]

    def centroid(self, rows: Float[Tensor, "items k dim"]) -> Float[Tensor, "items dim"]:
        """What the first of them becomes when it has attended to all."""
        return self.attention(rows + self.place)[:, 0]

    def across(self, targets: Tensor, guesses: Tensor, temperature: float) -> Float[Tensor, ""]:
        """InfoNCE of each view's targets against the other view's guesses."""
        targets, guesses = ([gather(part) for part in both.chunk(2)] for both in (targets, guesses))
        return (info_nce(targets[0], guesses[1], temperature) + info_nce(targets[1], guesses[0], temperature)) / 2

    def after_step(self) -> None:
        super().after_step()
        self.queue.push(gather(self.first))


def feature_contrast(*pairs: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
    """Root mean square distance of the diagonals from 1, and of all else from 0, of the pairs' feature similarities.

    Mean of the two roots. Similarity of dimensions is the cosine of their columns over the batch, which are not centred
    (Barlow Twins centres them); the means are over both pairs.
    """
    with torch.autocast(pairs[0][0].device.type, enabled=False):  # near 1 bfloat16 knows a similarity to 1 in 256
        similarity = torch.stack([F.normalize(a.float(), dim=0).T @ F.normalize(b.float(), dim=0) for a, b in pairs])
    own = torch.eye(similarity.shape[1], dtype=torch.bool, device=similarity.device)
    there = (1 - similarity[:, own]).square().mean()
    elsewhere = similarity[:, ~own].square().mean()
    return ((there + 1e-8).sqrt() + (elsewhere + 1e-8).sqrt()) / 2  # the root of zero has no gradient


# On the validation images: 41.9 % with SimCLR's Adam at 4e-3 after 16 epochs; SGD at 0.1 gives 65.7 after 48.
RECIPES = family("all4one", of_images(All4One), **patient(48))
SMALL = RECIPES[1]
LOW = 8  # dimensions of the projection, of 64


@claim("A neighbour, a centroid of neighbours and features beat raw pixels.", needs="nuisance-mnist", minutes=3)
def beats_raw_pixels(lab: Lab) -> Evidence:
    return against_raw(lab, SMALL, "All4One")


@claim("Its three terms beat NNCLR's one, after as many epochs.", needs="nuisance-mnist", minutes=10,
       reported="72.2 against 69.6, linear, CIFAR-100, solo-learn's README")  # fmt: skip
def beats_nnclr(lab: Lab) -> Evidence:
    return against(lab, SMALL, nnclr.SMALL, "All4One", "NNCLR")


@claim("It beats Barlow Twins, after as many epochs.", needs="nuisance-mnist", minutes=10,
       reported="72.2 against 70.9, linear, CIFAR-100, solo-learn's README")  # fmt: skip
def beats_barlow_twins(lab: Lab) -> Evidence:
    control = barlow_twins.SMALL.with_training(epochs=SMALL.training["epochs"])
    note = "On nuisance-mnist-small; Barlow Twins with the Adam of its own recipe."
    return against(lab, SMALL, control, "All4One", "Barlow Twins", note=note)


@claim("With projections of few dimensions, too, it beats NNCLR.", needs="nuisance-mnist", minutes=10,
       reported="by more than 5 points, abstract")  # fmt: skip
def beats_nnclr_at_low_dimension(lab: Lab) -> Evidence:
    ours, control = (changed(recipe, dim=LOW) for recipe in (SMALL, nnclr.SMALL))
    note = f"On nuisance-mnist-small. {LOW} dimensions in place of 64."
    return against(lab, ours, control, "All4One", "NNCLR", note=note)


@claim("The centroid term adds to the other two (section 4.4).", needs="nuisance-mnist", minutes=6)
def centroid_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, centroid=False), "three terms", "no centroid")


@claim("The feature term adds to the other two (section 4.4).", needs="nuisance-mnist", minutes=6)
def feature_term_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, feature=False), "three terms", "no feature term")


@claim("The neighbour term adds to the other two (section 4.4).", needs="nuisance-mnist", minutes=6)
def neighbour_term_helps(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, neighbour=False), "three terms", "no neighbour term")


@claim("It has to be near neighbours: random rows of the queue are worse.", needs="nuisance-mnist", minutes=6)
def nearest_beats_random(lab: Lab) -> Evidence:
    return against(lab, SMALL, changed(SMALL, friends="random"), "nearest rows", "random rows")
