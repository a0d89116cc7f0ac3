"""NT-Xent without the positive in its denominator."""

import torch
from jaxtyping import Float
from torch import Tensor

from labkit._arguments import checked
from labkit._checks import require_pair, require_positive
from labkit.losses._precision import unit_rows, without_autocast


@checked(numbers=False)
@without_autocast
def decoupled(a: Tensor, b: Tensor, temperature: float = 0.1, sigma: float | None = None) -> Float[Tensor, ""]:
    """Decoupled contrastive learning, DCL and DCLW (Yeh et al. 2022, equation 6 and section 3.3).

    −w·cos(a_i, b_i) / τ + log Σ exp(cos / τ) over the 2n − 2 views of other items, mean over all 2n views: NT-Xent
    whose denominator leaves the positive out, so that small batches lose no gradient. w = 1 for DCL. lightly's
    ``DCLLoss`` (lightly/loss/dcl_loss.py) adds the logarithms of two sums, one for each view, where equation 6 has the
    logarithm of one sum over both: another loss, and no factor converts.

    Args:
        a, b: [n, dim], n ≥ 2. Normalised here.
        temperature: τ > 0.
        sigma: None: DCL. A width σ > 0: DCLW, with w_i = 2 − exp(cos_i / σ) / mean of exp(cos / σ), without gradient,
            which weighs the positives that are far apart up (the paper uses 0.5).

    Cost: time O(n²·dim), memory O(n²).

    Raises:
        ValueError: other shapes, fewer than two items, NaN or infinite rows, ``temperature`` or ``sigma`` ≤ 0.
    """
    require_pair("a", a, "b", b, items=2)
    require_positive("temperature", temperature)
    z = unit_rows(torch.cat([a, b]))
    n = len(a)
    positive = (z[:n] * z[n:]).sum(1)
    same = torch.eye(n, dtype=torch.bool, device=z.device).repeat(2, 2)
    negatives = (z @ z.T / temperature).masked_fill(same, -torch.inf).logsumexp(1)
    weight = torch.ones_like(positive)
    if sigma is not None:
        require_positive("sigma", sigma)
        weight = 2 - n * (positive.detach() / sigma).softmax(0)
    return negatives.mean() - (weight * positive).mean() / temperature
