"""Ratios against named peers, a module each; ``labkit bench`` runs them. A package: pyarrow 17 brings another ``benchmarks``."""
