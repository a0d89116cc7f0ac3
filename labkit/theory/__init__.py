"""Closed forms: what theory says about the losses, to be drawn as a line over measured points."""

from labkit.theory import augmentation, factorisation, spectral, stepwise

__all__ = ["augmentation", "factorisation", "spectral", "stepwise"]
