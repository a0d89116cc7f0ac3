"""A²X as the control: features sent twice along the edges, nothing trained. The papers' tables leave it out."""

from labkit.claims import Evidence, Lab
from labkit.recipes import Recipe


def against_propagation(lab: Lab, recipe: Recipe, name: str, note: str = "") -> Evidence:
    """A recipe's scores against that of A²X under the same probe."""
    scores, floor = lab.scores(recipe), lab.floors(recipe)["propagated"].mean
    said = "; ".join(filter(None, ["A floor that the paper does not report", note.rstrip(".")])) + "."
    return Evidence(scores, [floor] * len(scores), name, "A²X", note=said)
