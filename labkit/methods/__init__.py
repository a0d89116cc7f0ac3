"""Families that many papers share, and what every method is."""

from labkit.methods._method import Method, in_blocks, inference
from labkit.methods._two_view import TwoView

__all__ = ["Method", "TwoView", "in_blocks", "inference"]
