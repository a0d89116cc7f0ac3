"""Closed forms: what theory says about the losses, to be drawn as a line over measured points."""

from labkit.theory import modes, pair_kernel, spectral, stepwise

__all__ = ["modes", "pair_kernel", "spectral", "stepwise"]
