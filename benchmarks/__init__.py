"""Ratios against named peers, a module each; ``labkit bench`` runs them.

This file makes it a package, which a folder without one would lose to: pyarrow 17 installs ``benchmarks`` of its own.
"""
