"""What computes: graph encoders, small vision encoders, heads."""

from labkit.models._graph import GCN, GraphConvolution, propagation_matrix
from labkit.models._heads import MLP
from labkit.models._sparse import SparseMatrix, sparse_if_faster
from labkit.models._vision import ResNet, ViT, resnet8, resnet18

__all__ = [
    "GCN",
    "MLP",
    "GraphConvolution",
    "ResNet",
    "SparseMatrix",
    "ViT",
    "propagation_matrix",
    "resnet8",
    "resnet18",
    "sparse_if_faster",
]
