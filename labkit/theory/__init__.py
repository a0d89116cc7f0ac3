"""Closed forms: what theory says about the losses, to be drawn as a line over measured points."""

from labkit.theory import bounds, feature_selection, multicut, rate_reduction, spectral, sphere, stepwise

__all__ = ["bounds", "feature_selection", "multicut", "rate_reduction", "spectral", "sphere", "stepwise"]
