"""Contrastive and self-supervised vision."""
