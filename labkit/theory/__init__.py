"""Closed forms: what theory says about the losses, to be drawn as a line over measured points."""

from labkit.theory import spectral, stepwise

__all__ = ["spectral", "stepwise"]
