"""Families that many papers share, and what every method is."""

from labkit.methods._memory import Bank, Queue
from labkit.methods._method import Method, in_blocks, inference
from labkit.methods._pretext import Pretext, encoded
from labkit.methods._questions import Jigsaw, RelativePosition, Rotations, hamming_permutations
from labkit.methods._self_distillation import SelfDistillation
from labkit.methods._semi_supervised import Classifier, GCNClassifier
from labkit.methods._shortcuts import read_borders, read_fringes
from labkit.methods._supervised import Supervised
from labkit.methods._two_view import TwoView, scaled
from labkit.methods._walks import SkipGram, WalkBatches

__all__ = [
    "Bank",
    "Classifier",
    "GCNClassifier",
    "Jigsaw",
    "Method",
    "Pretext",
    "Queue",
    "RelativePosition",
    "Rotations",
    "SelfDistillation",
    "SkipGram",
    "Supervised",
    "TwoView",
    "WalkBatches",
    "encoded",
    "hamming_permutations",
    "in_blocks",
    "inference",
    "read_borders",
    "read_fringes",
    "scaled",
]
