"""Dynamics of training: what is learned first, and when."""
