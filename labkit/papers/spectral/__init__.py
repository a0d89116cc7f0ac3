"""Spectral theory: the papers."""
