"""Heads: what stands between an encoder and a loss, and is thrown away afterwards."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from labkit._arguments import checked
from labkit._checks import require_counts, require_known

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "prelu": nn.PReLU, "tanh": nn.Tanh}
_NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


@checked(numbers=False)
class MLP(nn.Sequential):
    """Linear layers with an activation, and a norm where asked for, between them; the last one is plain.

    ``MLP(64, 128, 64)`` is SimCLR's head (Linear-ReLU-Linear), ``MLP(256, 256, 256, activation="elu")`` GRACE's,
    ``MLP(512, 2048, 2048, layers=3, norm="batch")`` that of Barlow Twins and VICReg; ``layers=1`` is one Linear.
    Input [..., dim], output [..., out]; with ``norm="batch"`` exactly [items, dim].

    Args:
        dim, hidden, out: width of the input, of every layer between, and of the output.
        layers: number of Linear layers.
        activation: "relu", "elu", "gelu", "prelu", "tanh", or what makes a module when called, e.g. ``nn.SiLU``.
        norm: "batch", "layer" or None, before each activation. A Linear before a batch norm has no bias.

    Raises:
        ValueError: widths or layers below 1, an unknown activation or norm.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        out: int,
        layers: int = 2,
        activation: str | Callable[[], nn.Module] = "relu",
        norm: str | None = None,
    ):
        require_counts(dim=dim, hidden=hidden, out=out, layers=layers)
        if isinstance(activation, str):
            require_known("activation", activation, ACTIVATIONS)
        if norm is not None:
            require_known("norm", norm, _NORMS)
        widths = [dim] + [hidden] * (layers - 1)
        modules: list[nn.Module] = []
        for inputs in widths[:-1]:
            modules.append(nn.Linear(inputs, hidden, bias=norm != "batch"))
            modules += [_NORMS[norm](hidden)] if norm else []
            modules.append(ACTIVATIONS[activation]() if isinstance(activation, str) else activation())
        super().__init__(*modules, nn.Linear(widths[-1], out))
        self.dim = out
        name = repr(activation) if isinstance(activation, str) else getattr(activation, "__name__", "custom")
        self._made_by = f"MLP({dim}, {hidden}, {out}, layers={layers}, activation={name}, norm={norm!r})"

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self[0].in_features:
            raise ValueError(f"x must have {self[0].in_features} numbers an item, not shape {list(x.shape)}")
        return super().forward(x)

    def __repr__(self) -> str:
        return self._made_by


@checked(numbers=False)
class Prototypes(nn.Module):
    """Cosine similarity of each item to a set of learned directions: the last layer of SwAV's and DINO's heads.

    SwAV's code scales its prototypes to length one before each step, DINO's holds theirs there by weight normalisation;
    here they are scaled in the forward pass, as in DINO's. Input [..., dim], output [..., clusters] between -1 and 1.

    Args:
        dim: width of the input.
        clusters: how many directions.
    """

    def __init__(self, dim: int, clusters: int):
        super().__init__()
        require_counts(dim=dim, clusters=clusters)
        self.weight = nn.Parameter(normalize(torch.randn(clusters, dim), dim=1))
        self.dim = clusters

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # a temperature of 0.04 would magnify bfloat16's rounding
            return linear(normalize(x.to(self.weight), dim=-1), normalize(self.weight, dim=1))
