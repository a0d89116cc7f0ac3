"""Where random numbers of a view are drawn."""

from collections.abc import Callable

import torch
from torch import Tensor


def drawn(
    what: Callable[..., Tensor], size, device: torch.device, generator: torch.Generator | None, **options
) -> Tensor:
    """``what(size)``, drawn on the generator's own device, so that a CPU seed gives the same view everywhere."""
    on = device if generator is None else generator.device
    return what(size, generator=generator, device=on, **options).to(device)
