"""What every method is: a module that turns a batch into a loss and can embed."""

import functools
from collections.abc import Callable
from copy import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from labkit._arguments import checked
from labkit._checks import require_counts
from labkit._graph_batch import GraphBatch


class Method(nn.Module):
    """A self-supervised method: the whole training step of its paper in ``forward``.

    ``fit`` asks for nothing else. A subclass writes ``forward`` and ``embed``; ``after_step`` only where a paper has a
    momentum encoder, a memory bank or a centre; ``check`` to refuse a batch it can't use before any work starts.

    A method may leave its codes in ``seen`` at each step, without gradient: name -> ([n, dim], [n, dim]) of two views
    of the same items, or ([n, dim],) of one. ``fit`` then keeps uniformity, effective rank, spectrum and, of two,
    alignment in the run, once an epoch: collapse shows without being asked for.

    Example:
        >>> class Autoencoder(Method):
        ...     def __init__(self, encoder, decoder):
        ...         super().__init__()
        ...         self.encoder, self.decoder = encoder, decoder
        ...
        ...     def forward(self, x):
        ...         return (self.decoder(self.encoder(x)) - x).square().mean()
        ...
        ...     @inference
        ...     def embed(self, x):
        ...         return self.encoder(x)
    """

    seen: dict[str, tuple[Tensor, ...]] | None = None
    needs_float32 = False  # True: ``fit`` with precision="auto" stays in float32, whatever the hardware has

    def __init_subclass__(cls, **options: Any) -> None:
        """``embed`` runs in evaluation mode also where a subclass forgot to say ``@inference``.

        Else batch norm would learn from the items that it is asked about, and dropout would blur the answer.
        """
        super().__init_subclass__(**options)
        if "embed" in vars(cls) and not hasattr(cls.embed, "in_evaluation_mode"):
            cls.embed = inference(cls.embed)

    def forward(self, batch) -> Float[Tensor, ""]:
        raise TypeError(f"{type(self).__name__} has no forward(batch) that returns its loss")

    def embed(self, batch) -> Float[Tensor, "items dim"]:
        raise TypeError(f"{type(self).__name__} has no embed(batch) that returns [items, dim]")

    def after_step(self) -> None:
        """Called after each optimiser step."""

    def check(self, batch) -> None:
        """Called on the first batch before training; raises ValueError where the method can't use it."""


@checked
def inference(embed: Callable) -> Callable:
    """Run a method's ``embed`` without gradients and in evaluation mode; the mode it was in comes back.

    Tensors, graphs and graph batches go to the device that the method is on, and what it says comes back to theirs, so
    that a method trained on a GPU can be asked about items that are not there.
    """

    @functools.wraps(embed)
    def embed_in_evaluation_mode(self: nn.Module, *args, **kwargs):
        modes = [(module, module.training) for module in self.modules()]
        trained_on = next((weights.device for weights in self.parameters()), None)
        asked_on = next(filter(None, map(_device_of, (*args, *kwargs.values()))), None)

        def moved(arg: Any) -> Any:
            if trained_on is None or _device_of(arg) in (None, trained_on):
                return arg
            return (arg if isinstance(arg, Tensor | GraphBatch) else copy(arg)).to(trained_on)  # Data.to changes Data

        def back(said: Any) -> Any:
            if isinstance(said, tuple):
                return tuple(map(back, said))
            return said.to(asked_on) if asked_on and isinstance(said, Tensor) else said

        self.eval()
        try:
            with torch.no_grad():
                said = embed(self, *map(moved, args), **{name: moved(arg) for name, arg in kwargs.items()})
        finally:
            for module, training in modes:
                module.training = training
        return back(said)

    embed_in_evaluation_mode.in_evaluation_mode = True
    return embed_in_evaluation_mode


def _device_of(items: Any) -> torch.device | None:
    """Of a tensor, graphs, or a PyG ``Data``; None of anything else."""
    if isinstance(items, Tensor | GraphBatch):
        return items.device
    edges = getattr(items, "edge_index", None)
    return edges.device if isinstance(edges, Tensor) and hasattr(items, "to") else None


def check_images(images: Any) -> None:
    """Refuse a batch that is not at least two images [n, channels, height, width]."""
    if not isinstance(images, Tensor):
        kind = type(images).__name__
        raise TypeError(f"a batch must be a tensor of images, not a {kind}; use Minibatches(images, size), or a "
                        "DataLoader whose collate_fn gives the images alone")  # fmt: skip
    if images.dim() != 4 or len(images) < 2:
        raise ValueError(f"images must have shape [n, channels, height, width], n at least 2, not {list(images.shape)}")


@checked(numbers=False)
def in_blocks(function: Callable[[Any], Tensor], items: Tensor | GraphBatch, block: int = 1024) -> Tensor:
    """``function(items)`` computed ``block`` items at a time, so that memory does not grow with the data set.

    ``items``: a tensor, or a :class:`labkit.data.GraphBatch`, whose items are graphs.
    """
    require_counts(block=block)
    return torch.cat([function(part) for part in items.split(block)])
