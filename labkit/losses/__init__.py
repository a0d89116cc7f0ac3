"""What is minimised: pure functions of tensors, each with its paper's convention in the docstring."""

from labkit.losses._clusters import dino, sinkhorn, swav
from labkit.losses._contrastive import info_nce, multi_view_nt_xent, nt_xent
from labkit.losses._cosine import byol, scaled_cosine_error
from labkit.losses._decorrelation import barlow_twins, vicreg, w_mse, whiten
from labkit.losses._decoupled import decoupled
from labkit.losses._dependence import distance_correlation
from labkit.losses._kernel import kernel_nt_xent
from labkit.losses._memory import info_nce_queue, nce
from labkit.losses._precision import without_autocast
from labkit.losses._spectral import spectral_contrastive
from labkit.losses._sphere import alignment, equivariance, uniformity

__all__ = [
    "alignment",
    "barlow_twins",
    "byol",
    "decoupled",
    "dino",
    "distance_correlation",
    "equivariance",
    "info_nce",
    "info_nce_queue",
    "kernel_nt_xent",
    "multi_view_nt_xent",
    "nce",
    "nt_xent",
    "scaled_cosine_error",
    "sinkhorn",
    "spectral_contrastive",
    "swav",
    "uniformity",
    "vicreg",
    "w_mse",
    "whiten",
    "without_autocast",
]
