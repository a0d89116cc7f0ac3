"""What computes: graph encoders, small vision encoders, heads."""

from labkit.models._attention import GAT, GraphAttention, Neighbourhoods
from labkit.models._diffusion import PPR, Heat, OneStep, diffuse, diffusion_matrix
from labkit.models._gin import GIN, neighbours_and_itself
from labkit.models._graph import GCN, GraphConvolution, propagation_matrix
from labkit.models._heads import MLP, Prototypes
from labkit.models._sparse import MaskedRows, SparseMatrix, dropout, sparse_if_faster
from labkit.models._two_pass import TwoPass
from labkit.models._vision import ResNet, ViT, resnet8, resnet18

__all__ = [
    "GAT",
    "GCN",
    "GIN",
    "MLP",
    "PPR",
    "GraphAttention",
    "GraphConvolution",
    "Heat",
    "MaskedRows",
    "Neighbourhoods",
    "OneStep",
    "Prototypes",
    "ResNet",
    "SparseMatrix",
    "TwoPass",
    "ViT",
    "diffuse",
    "diffusion_matrix",
    "dropout",
    "neighbours_and_itself",
    "propagation_matrix",
    "resnet8",
    "resnet18",
    "sparse_if_faster",
]
