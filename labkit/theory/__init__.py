"""Closed forms: what theory says about the losses, to be drawn as a line over measured points."""

from labkit.theory import (
    augmentation,
    bounds,
    factorisation,
    feature_selection,
    modes,
    multicut,
    pair_kernel,
    rate_reduction,
    redundancy,
    spectral,
    sphere,
    stepwise,
    walks,
)

__all__ = [
    "augmentation",
    "bounds",
    "factorisation",
    "feature_selection",
    "modes",
    "multicut",
    "pair_kernel",
    "rate_reduction",
    "redundancy",
    "spectral",
    "sphere",
    "stepwise",
    "walks",
]
