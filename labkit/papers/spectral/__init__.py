"""Spectral theory: what losses and augmentations alone decide about an embedding."""
