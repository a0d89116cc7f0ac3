"""Families that many papers share, and what every method is."""

from labkit.methods._memory import Bank, Queue
from labkit.methods._method import Method, in_blocks, inference
from labkit.methods._self_distillation import SelfDistillation
from labkit.methods._semi_supervised import Classifier, GCNClassifier
from labkit.methods._supervised import Supervised
from labkit.methods._two_view import TwoView
from labkit.methods._walks import SkipGram, WalkBatches

__all__ = [
    "Bank",
    "Classifier",
    "GCNClassifier",
    "Method",
    "Queue",
    "SelfDistillation",
    "SkipGram",
    "Supervised",
    "TwoView",
    "WalkBatches",
    "in_blocks",
    "inference",
]
