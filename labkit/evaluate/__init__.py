"""What was learned: protocols, probes (with labels), geometry (without), floors."""

from labkit.evaluate._clustering import clustering_accuracy, kmeans, rand_index
from labkit.evaluate._collapse import collapse
from labkit.evaluate._cross_validation import CrossValidation
from labkit.evaluate._floors import floors, graph_set_floors, random_gin
from labkit.evaluate._geometry import alignment, cka, effective_rank, trustworthiness, uniformity
from labkit.evaluate._linear import linear_probe
from labkit.evaluate._neighbours import knn_probe, neighbours
from labkit.evaluate._protocol import Protocol
from labkit.evaluate._score import Score, mean_interval
from labkit.evaluate._split import Split
from labkit.theory.sphere import uniformity_floor

__all__ = [
    "CrossValidation",
    "Protocol",
    "Score",
    "Split",
    "alignment",
    "cka",
    "clustering_accuracy",
    "collapse",
    "effective_rank",
    "floors",
    "graph_set_floors",
    "kmeans",
    "knn_probe",
    "linear_probe",
    "mean_interval",
    "neighbours",
    "rand_index",
    "random_gin",
    "trustworthiness",
    "uniformity",
    "uniformity_floor",
]
