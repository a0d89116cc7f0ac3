"""What is minimised: pure functions of tensors, each with its paper's convention in the docstring."""

from labkit.losses._contrastive import info_nce, nt_xent
from labkit.losses._cosine import byol, scaled_cosine_error
from labkit.losses._decorrelation import barlow_twins, vicreg, w_mse
from labkit.losses._kernel import kernel_nt_xent
from labkit.losses._spectral import spectral_contrastive

__all__ = [
    "barlow_twins",
    "byol",
    "info_nce",
    "kernel_nt_xent",
    "nt_xent",
    "scaled_cosine_error",
    "spectral_contrastive",
    "vicreg",
    "w_mse",
]
